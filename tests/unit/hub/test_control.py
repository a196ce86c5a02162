"""What people do to jobs and queues; all of it twice."""

from __future__ import annotations

import pytest
from house import House, spec, story

from easyjobs.core.signature import Parameter, Signature
from easyjobs.errors import ArgumentsRefused, Conflict, NotFound, StorageFull, Unavailable, Unprocessable
from easyjobs.protocol.messages import Ack, Assign, PauseWork, ResumeWork, Submission


@story
async def test_many_are_stored_together_or_none_and_the_first_wrong_one_is_named(house: House) -> None:
    await house.open(spec())
    assert await house.hub.submit([]) == []
    with pytest.raises(Unprocessable) as refused:
        await house.hub.submit([house.job(), house.job(priority=10**9)])
    assert (refused.value.errors[0]["loc"], "Job 1 of 2" in refused.value.detail) == ([1, "priority"], True)
    with pytest.raises(NotFound) as unknown:
        await house.hub.submit([house.job("sub"), house.job()])
    assert unknown.value.errors[0]["loc"] == [0]
    assert await house.states() == {}
    made = await house.hub.submit([house.job() for _ in range(3)])
    assert [m.created for m in made] == [True] * 3


@story
async def test_the_same_job_may_be_sent_twice(house: House) -> None:
    await house.open(spec())
    job = house.job()
    (first,) = await house.hub.submit([job])
    (second,) = await house.hub.submit([job])
    assert (first.created, second.created, second.job.id) == (True, False, job.id)
    with pytest.raises(Conflict):
        await house.hub.submit([Submission(job.id, "q", "add", args=house.job(args=[1]).args)])


@story
async def test_a_store_that_fails_refuses_with_the_right_word(house: House) -> None:
    await house.open(spec())
    house.store.faults = ["down"]
    with pytest.raises(Unavailable):
        await house.submit()
    house.store.full = True
    with pytest.raises(StorageFull):
        await house.submit()


@story
async def test_a_cancel_while_the_store_says_nothing_is_done_when_it_speaks_again(house: House) -> None:
    await house.open(spec())
    job = await house.submit()
    house.store.gate.clear()
    with pytest.raises(Unavailable, match="as soon as it works"):
        await house.hub.cancel(job.id, "ann")
    house.store.gate.set()
    await house.settle()
    assert (await house.row(job.id)).state == "cancelled"


@story
async def test_unknown_jobs_are_not_found(house: House) -> None:
    await house.open(spec())
    nobody = house.hub.job_id()
    for act in (
        house.hub.cancel(nobody, "me"),
        house.hub.retry(nobody, "me"),
        house.hub.delete(nobody),
        house.hub.job(nobody),
        house.hub.wait(nobody, 5.0),
        house.hub.queries.attempts(nobody),
        house.hub.queries.logs(nobody),
    ):
        with pytest.raises(NotFound):
            await act


@story
async def test_a_job_that_ended_runs_again_as_a_new_one_that_points_at_it(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    old = await house.submit(args=[1], priority=4, timeout=9.0, retries=0)
    with pytest.raises(Conflict):
        await house.hub.retry(old.id, "me")
    worker.fail(await worker.begin())
    await worker.hear(Ack)
    new = await house.hub.retry(old.id, "me")
    assert new.id != old.id
    assert (new.retry_of, new.args, new.priority, new.timeout, new.max_attempts) == (old.id, "[1]", 4, 9.0, 1)
    assert (await worker.begin()).job == new.id
    assert (await house.row(old.id)).state == "failed"


@story
async def test_old_arguments_that_fit_no_more_are_refused(house: House) -> None:
    await house.open(spec())
    old = await house.submit(kwargs={"s": "x"})
    await house.hub.cancel(old.id, "me")
    await house.worker(spec(signature=Signature(parameters=(Parameter("n"),))))
    with pytest.raises(ArgumentsRefused):
        await house.hub.retry(old.id, "me")


@story
async def test_a_job_is_deleted_with_all_its_traces_unless_it_runs(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit()
    a = await worker.begin()
    with pytest.raises(Conflict):
        await house.hub.delete(job.id)
    worker.finish(a)
    await worker.hear(Ack)
    await house.hub.delete(job.id)
    with pytest.raises(NotFound):
        await house.hub.delete(job.id)
    waiting = await house.submit(delay=100.0)
    await house.hub.delete(waiting.id)
    assert await house.states() == {}
    assert house.hub.admission.depth["q"] == 0


@pytest.mark.parametrize(("kind", "name"), [("queue", "q"), ("task", "q:add"), ("worker", "w")])
def test_a_pause_holds_until_it_is_undone_also_over_a_restart(kind: str, name: str) -> None:
    @story
    async def told(house: House) -> None:
        await house.open()
        worker = await house.worker(spec())
        for _ in range(2):
            await house.hub.pause(kind, name, "me")  # type: ignore[arg-type]
        await house.settle()
        assert len(worker.heard_of(PauseWork)) == (1 if kind == "worker" else 0)
        await house.submit()
        await house.settle(1.0)
        assert worker.heard_of(Assign) == []
        await house.restart()
        worker, welcome = await house.again(worker)
        assert welcome.paused == (kind == "worker")
        worker.keep_beating()
        await house.settle(20.0)
        assert worker.heard_of(Assign) == []
        for _ in range(2):
            await house.hub.resume(kind, name, "me")  # type: ignore[arg-type]
        await house.settle()
        assert len(worker.heard_of(ResumeWork)) == (1 if kind == "worker" else 0)
        await worker.hear(Assign, within=1.0)
        assert await house.store.pauses() == []

    told()


@story
async def test_only_what_is_known_can_be_paused(house: House) -> None:
    await house.open(spec())
    unknown = [("queue", "x"), ("task", "q:x"), ("task", "nonsense"), ("worker", "x")]
    for kind, name in unknown:
        with pytest.raises(NotFound):
            await house.hub.pause(kind, name, "me")  # type: ignore[arg-type]
        with pytest.raises(NotFound):
            await house.hub.resume(kind, name, "me")  # type: ignore[arg-type]


@story
async def test_a_paused_task_leaves_the_other_tasks_of_its_queue_alone(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), spec("other"), slots=2)
    await house.hub.pause("task", "q:add", "me")
    await house.submit()
    other = await house.submit("other")
    assert (await worker.begin()).job == other.id
    await house.settle(1.0)
    assert worker.heard_of(Assign) == []
