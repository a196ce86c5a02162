"""Jobs on their way to their workers."""

from __future__ import annotations

import pytest
from house import House, raw, spec, story

from easyjobs.core.changes import Unit, Update
from easyjobs.protocol.messages import Assign, Limits


@story
async def test_an_assignment_says_all_that_its_worker_must_know(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit(args=[1], kwargs={"s": "x"}, timeout=7.0, retries=3)
    a = await worker.begin()
    assert (a.job, a.attempt, a.queue, a.task, a.timeout, a.max_attempts) == (job.id, 1, "q", "add", 7.0, 4)
    assert (a.args, a.kwargs) == (raw([1]), raw({"s": "x"}))
    assert a.token == (await house.row(job.id)).token


@story
async def test_many_jobs_of_one_commit_leave_in_one_frame(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), slots=100)
    await house.hub.submit([house.job() for _ in range(50)])
    assert len((await worker.hear(Assign)).jobs) == 50


@story
async def test_large_jobs_are_cut_into_frames_that_the_worker_can_take(house: House) -> None:
    await house.open(limits=Limits(frame=100_000))
    worker = await house.worker(spec(), slots=100)
    await house.hub.submit([house.job(kwargs={"s": "x" * 20_000}) for _ in range(30)])
    await house.settle()
    assert len(worker.held) == 30
    assert all(len(assign.jobs) <= 5 for assign in worker.heard_of(Assign))


@pytest.mark.parametrize(
    ("column", "text"), [("args", "{}"), ("args", "[1"), ("kwargs", "nonsense"), ("kwargs", "[]"), ("args", "\\xff")]
)
def test_a_row_that_cannot_be_read_fails_that_row_and_no_other(column: str, text: str) -> None:
    @story
    async def told(house: House) -> None:
        await house.open(spec())
        bad, good = await house.submit(), await house.submit()
        await house.store.commit([Unit([Update(await house.row(bad.id), {column: text})])])
        worker = await house.worker(spec())
        assert (await worker.begin()).job == good.id
        await house.settle()
        row = await house.row(bad.id)
        assert row.state == "failed"
        assert "Unreadable" in (row.error or "")

    told()


@story
async def test_a_job_for_a_worker_whose_socket_has_just_gone_waits_for_it_or_for_its_grace(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    house.store.gate.clear()
    sent = house.spawn(house.submit())
    await house.settle()
    worker.drop()
    house.store.gate.set()
    job = await sent
    assert (await house.row(job.id)).state == "running"
    await house.settle(6.0)
    row = await house.row(job.id)
    assert (row.state, row.attempt) == ("queued", 1)
