"""What people and programs see of jobs, tasks, queues, workers and the whole."""

from __future__ import annotations

import pytest
from house import House, spec, story

from easyjobs.errors import NotFound
from easyjobs.protocol.messages import Ack, Credit, Finished, Goodbye, Outcome
from easyjobs.stores.base import Count, JobQuery


@story
async def test_all_attempts_of_a_job_with_how_each_ended(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit()
    assert [(a.attempt, a.end) for a in await house.hub.queries.attempts(job.id)] == [(1, None)]
    a = await worker.begin()
    worker.held.clear()
    worker.say(Finished([Outcome(a.job, 1, a.token, "returned", reason="busy")]))
    worker.fail(await worker.begin())
    worker.finish(await worker.begin())
    for _ in range(3):
        await worker.hear(Ack)
    attempts = await house.hub.queries.attempts(job.id)
    assert [(a.attempt, a.end, a.worker) for a in attempts] == [
        (1, "returned", "w"),
        (2, "failed", "w"),
        (3, "completed", "w"),
    ]
    assert [a.error is not None for a in attempts] == [False, True, False]


@story
async def test_how_the_last_attempt_ended_is_on_the_row(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    failed = await house.submit(retries=0)
    worker.fail(await worker.begin())
    cancelled = await house.submit()
    a = await worker.begin()
    await house.hub.cancel(cancelled.id, "me")
    worker.held.clear()
    worker.say(Finished([Outcome(a.job, 1, a.token, "stopped")]))
    await house.settle()
    (end,) = await house.hub.queries.attempts(failed.id)
    assert (end.end, "ValueError" in (end.error or "")) == ("failed", True)
    (end,) = await house.hub.queries.attempts(cancelled.id)
    assert (end.end, end.error) == ("cancelled", None)
    worker.say(Credit(0, 0))
    never = await house.submit()
    await house.hub.cancel(never.id, "me")
    assert await house.hub.queries.attempts(never.id) == []


@story
async def test_tasks_stay_known_when_their_workers_are_gone(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), spec("other", queue="p"))
    view = house.hub.queries.task("q", "add")
    assert (view.workers, view.available, view.paused) == (1, True, None)
    worker.say(Goodbye())
    await house.hub.pause("task", "q:add", "me")
    assert [(v.spec.name, v.available) for v in house.hub.queries.tasks()] == [("other", False), ("add", False)]
    paused = house.hub.queries.task("q", "add").paused
    assert paused is not None
    assert paused.by == "me"
    with pytest.raises(NotFound):
        house.hub.queries.task("q", "x")


@story
async def test_queues_with_their_numbers(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), spec("other", queue="p"))
    for _ in range(3):
        await house.submit()
    worker.fail(await worker.begin())
    await house.settle()
    await house.hub.pause("queue", "p", "me")
    p, q = await house.hub.queries.queues()
    assert (p.name, p.tasks, p.workers, p.paused is not None) == ("p", 1, 1, True)
    assert (q.queued, q.running, q.retry, q.waiting, q.workers, q.tasks) == (1, 1, 1, 0, 1, 1)


@story
async def test_a_queue_that_becomes_known_while_the_numbers_are_asked_for(house: House) -> None:
    await house.open()
    counts = house.hub.store.counts

    async def slow() -> list[Count]:
        await house.worker(spec())
        return await counts()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(house.hub.store, "counts", slow)
        (q,) = await house.hub.queries.queues()
    assert (q.name, q.tasks) == ("q", 1)


@story
async def test_workers_with_what_they_do(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), slots=3, queues=["q", "p"], host="here", pid=12, version="1")
    await house.submit()
    await worker.begin()
    worker.say(Credit(1, 3))
    (view,) = await house.hub.queries.workers()
    assert (view.id, view.host, view.pid, view.version, view.state) == ("w", "here", 12, "1", "live")
    assert (view.queues, view.slots, view.running, view.parked) == (["p", "q"], 3, 1, 1)
    await house.hub.pause("worker", "w", "me")
    assert [view.state for view in await house.hub.queries.workers()] == ["paused"]
    worker.drop()
    assert [view.state for view in await house.hub.queries.workers()] == ["disconnected"]
    await house.settle(6.0)
    (view,) = await house.hub.queries.workers()
    assert (view.state, view.host, view.queues, view.slots, view.running) == ("away", "here", ["p", "q"], 3, 0)
    assert view.paused is not None
    await house.hub.resume("worker", "w", "me")
    assert await house.hub.queries.workers() == []


@story
async def test_the_whole_in_numbers(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), slots=3)
    await house.submit()
    await house.submit()
    worker.finish(await worker.begin())
    await house.settle(10.0)
    stats = await house.hub.queries.stats()
    assert stats.jobs == {"completed": 1, "running": 1}
    assert (stats.workers, stats.slots, stats.running, stats.store) == (1, 3, 1, "ShakyStore")
    assert stats.uptime > 10.0
    assert stats.counters["completed"] == 1


@story
async def test_jobs_are_found_newest_first(house: House) -> None:
    await house.open(spec())
    ids = [(await house.submit()).id for _ in range(3)]
    page = await house.hub.queries.find(JobQuery(limit=2))
    assert [job.id for job in page.items] == [ids[2], ids[1]]
    page = await house.hub.queries.find(JobQuery(limit=2, before=page.next))
    assert ([job.id for job in page.items], page.next) == ([ids[0]], None)
