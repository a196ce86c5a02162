"""Jobs whose workers die: given out again as dangerous, and given up in time."""

from __future__ import annotations

from house import House, spec, story

from easyjobs.core.changes import LoseSession, Unit
from easyjobs.core.task import TaskSpec
from easyjobs.protocol.messages import Ack

DAY = 86400.0


async def crash(house: House, task: TaskSpec) -> bool:
    """A worker takes the job and dies with it; whether it was told to isolate it."""
    worker = await house.worker(task)
    worker.keep_beating()
    assignment = await worker.begin()
    worker.drop()
    await house.settle(6.0)
    return assignment.isolate


@story
async def test_the_attempt_after_a_crash_is_isolated_and_the_third_crash_ends_the_job(house: House) -> None:
    await house.open(spec())
    job = await house.submit()
    assert [await crash(house, spec()) for _ in range(2)] == [False, True]
    row = await house.row(job.id)
    assert (row.state, row.crashes, row.failures) == ("queued", 2, 0)
    assert await crash(house, spec())
    row = await house.row(job.id)
    assert (row.state, row.crashes, row.attempt) == ("failed", 3, 3)
    assert "crash 3 within 24 hours" in (row.error or "")
    assert [a.end for a in await house.hub.queries.attempts(job.id)] == ["crashed"] * 3


@story
async def test_crashes_of_another_day_do_not_count(house: House) -> None:
    await house.open(spec())
    job = await house.submit()
    for _ in range(2):
        await crash(house, spec())
    await house.settle(DAY)
    await crash(house, spec())
    row = await house.row(job.id)
    assert (row.state, row.crashes) == ("queued", 1)
    worker = await house.worker(spec())
    worker.finish(await worker.begin())
    await worker.hear(Ack)
    assert (await house.row(job.id)).state == "completed"


@story
async def test_a_job_that_must_not_run_twice_fails_with_its_worker(house: House) -> None:
    task = spec(retry_policy="never")
    await house.open(task)
    job = await house.submit()
    await crash(house, task)
    row = await house.row(job.id)
    assert (row.state, row.crashes, row.attempt) == ("failed", 1, 1)


@story
async def test_a_process_that_comes_at_once_under_the_worker_id_of_one_that_died_does_not_hide_the_crash(
    house: House,
) -> None:
    """Whoever restarts workers is faster than any grace; else a job that kills its worker would do so for ever."""
    await house.open(spec())
    job = await house.submit()
    worker = await house.worker(spec())
    await worker.begin()
    worker.drop()
    for crashes in (1, 2):
        worker, welcome = await house.again(worker, session="", held=[])
        assert welcome.verdicts == []
        assert (await worker.begin()).isolate
        assert (await house.row(job.id)).crashes == crashes
        worker.drop()
    await house.again(worker, session="", held=[])
    await house.settle()
    row = await house.row(job.id)
    assert (row.state, row.crashes, row.attempt) == ("failed", 3, 3)
    assert "another process came under its worker_id" in (row.error or "")


@story
async def test_a_manager_that_dies_while_it_greets_the_newcomer_does_not_hide_the_crash_either(house: House) -> None:
    """Who was welcomed seems to come back: so what the dead one held is known to have died before the welcome."""
    await house.open(spec())
    job = await house.submit()
    worker = await house.worker(spec())
    await worker.begin()
    worker.drop()
    worker, _ = await house.again(worker, session="", held=[])
    await house.restart()
    assert (await house.row(job.id)).crashes == 1
    await house.again(worker, held=[])
    await house.settle()
    assert (await house.row(job.id)).crashes == 1


@story
async def test_a_job_of_a_session_that_was_lost_when_its_manager_died_has_crashed(house: House) -> None:
    await house.open(spec())
    job = await house.submit()
    worker = await house.worker(spec())
    await worker.begin()
    await house.store.commit([Unit([LoseSession(worker.session, None, house.store.now())])])
    await house.restart()
    await house.settle()
    row = await house.row(job.id)
    assert (row.state, row.crashes) == ("queued", 1)
