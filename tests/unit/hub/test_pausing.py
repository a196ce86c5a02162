"""Pausing all workers, or a worker itself; what is shown of it; and what outlives whom."""

from __future__ import annotations

import asyncio

import pytest
from house import House, spec, story

from easyjobs.errors import NotFound
from easyjobs.protocol.messages import Assign, PauseWork, ResumeWork, Toggle, Toggled


@story
async def test_all_workers_are_paused_also_those_that_come_later_and_over_a_restart(house: House) -> None:
    await house.open()
    first = await house.worker(spec())
    for _ in range(2):
        await house.hub.pause("workers", "all", "me")
    await house.settle()
    assert len(first.heard_of(PauseWork)) == 1
    await house.submit()
    await house.restart()
    first, welcome = await house.again(first)
    assert welcome.paused
    first.keep_beating()
    later = await house.worker(spec(), worker_id="later")
    later.keep_beating()
    await house.settle(20.0)
    assert first.heard_of(Assign) == later.heard_of(Assign) == []
    assert {(view.id, view.state) for view in await house.hub.queries.workers()} == {
        ("later", "paused"),
        ("w", "paused"),
    }
    stats = await house.hub.queries.stats()
    assert stats.paused is not None
    assert (stats.paused.kind, stats.paused.by) == ("workers", "me")
    for _ in range(2):
        await house.hub.resume("workers", "all", "me")
    await house.settle()
    assert len(first.heard_of(ResumeWork)) == len(later.heard_of(ResumeWork)) == 1
    assert len(first.heard_of(Assign)) + len(later.heard_of(Assign)) == 1
    assert (await house.hub.queries.stats()).paused is None
    assert await house.store.pauses() == []


@story
async def test_a_worker_with_a_pause_of_its_own_keeps_it_when_all_are_resumed(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    await house.hub.pause("worker", "w", "me")
    await house.hub.pause("workers", "all", "you")
    await house.hub.resume("workers", "all", "you")
    await house.submit()
    await house.settle()
    assert (len(worker.heard_of(PauseWork)), worker.heard_of(ResumeWork)) == (1, [])
    await house.hub.pause("workers", "all", "you")
    await house.hub.resume("worker", "w", "me")
    await house.settle()
    assert worker.heard_of(ResumeWork) == [], "all are paused"
    assert worker.heard_of(Assign) == []
    await house.hub.resume("workers", "all", "you")
    await worker.hear(ResumeWork)
    await worker.begin()


@story
async def test_of_workers_only_all_can_be_paused_together(house: House) -> None:
    await house.open()
    for act in (house.hub.pause("workers", "some", "me"), house.hub.resume("workers", "some", "me")):
        with pytest.raises(NotFound):
            await act


@story
async def test_a_worker_pauses_itself_until_it_resumes_itself(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    running = await house.submit()
    a = await worker.begin()
    assert a.job == running.id
    for _ in range(2):
        worker.say(Toggle(True))
        assert (await worker.hear(Toggled)).pause
    worker.finish(a)
    await house.submit()
    await house.settle(1.0)
    assert (await house.row(running.id)).state == "completed", "what it has goes on"
    assert worker.heard_of(Assign) == []
    (view,) = await house.hub.queries.workers()
    assert view.paused is not None
    assert (view.state, view.paused.by) == ("paused", "the worker w")
    for _ in range(2):
        worker.say(Toggle(False))
        assert not (await worker.hear(Toggled)).pause
    await worker.begin()


@story
async def test_of_a_workers_words_the_last_counts_however_slow_the_store(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    house.store.gate.clear()
    worker.say(Toggle(True), Toggle(False), Toggle(True), Toggle(False))
    await house.settle()
    assert worker.heard_of(Toggled) == [], "nothing is durable yet"
    house.store.gate.set()
    await house.settle()
    assert [told.pause for told in worker.heard_of(Toggled)] == [True, False, True, False]
    assert await house.store.pauses() == []
    await house.submit()
    await worker.begin()


@story
async def test_a_worker_that_is_away_can_be_paused_and_is_paused_when_it_comes_back(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), queues=["q"])
    worker.drop()
    await house.settle(6.0)
    assert await house.hub.queries.workers() == []
    await house.hub.pause("worker", "w", "me")
    await house.restart()
    (view,) = await house.hub.queries.workers()
    assert view.paused is not None
    assert (view.id, view.state, view.queues, view.paused.by) == ("w", "away", ["q"], "me")
    _, welcome = await house.again(worker)
    assert welcome.paused
    assert [view.state for view in await house.hub.queries.workers()] == ["paused"]


@story
async def test_two_who_pause_and_resume_at_once_leave_one_truth(house: House) -> None:
    await house.open()
    await house.worker(spec())
    await asyncio.gather(
        house.hub.pause("queue", "q", "me"), house.hub.resume("queue", "q", "you"), house.hub.pause("queue", "q", "he")
    )
    (stored,) = await house.store.pauses()
    assert house.hub.dispatcher.pauses == {("queue", "q"): stored}
    assert stored.by == "he"
