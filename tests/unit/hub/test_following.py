"""Readers who follow a job while it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from house import House, Peer, spec, story

from easyjobs.core.job import Job, LogLine
from easyjobs.errors import TooMany, Unavailable
from easyjobs.hub import following
from easyjobs.hub.following import BEAT, ProgressNote
from easyjobs.protocol.messages import Assignment, Log, Logged, Progress


class Follower:
    """Reads all the time; `heard` in short form."""

    def __init__(self, house: House, id: str, after: int = 0) -> None:
        self.heard: list[Any] = []
        self.times: list[float] = []
        self.reader = house.hub.following.open()
        self._house = house
        self.reading = house.spawn(self._read(id, after))

    async def _read(self, id: str, after: int) -> None:
        try:
            async for piece in self._house.hub.following.news(self.reader, id, after):
                self.times.append(self._house.loop.time())
                if isinstance(piece, list):
                    self.heard += [(line.n, line.text) for line in piece]
                elif isinstance(piece, ProgressNote):
                    self.heard.append(piece.text)
                else:
                    self.heard.append(piece.state if isinstance(piece, Job) else piece)
        finally:
            self._house.hub.following.close(self.reader)


async def begin(house: House) -> tuple[Peer, Assignment]:
    await house.open()
    worker = await house.open_worker()
    await house.submit()
    return worker, await worker.begin()


def said(a: Assignment, first: int, *texts: str) -> Log:
    return Log(a.job, a.attempt, a.token, [(1.0, "info", text) for text in texts], first)


@story
async def test_a_reader_gets_what_was_told_before_then_what_is_told_then_the_end(house: House) -> None:
    worker, a = await begin(house)
    worker.say(said(a, 1, "before"))
    await worker.hear(Logged)
    follower = Follower(house, a.job)
    await house.settle()
    assert follower.heard == [(1, "before")]
    worker.say(said(a, 2, "while"), Progress(a.job, 1, a.token, 0.5, "half"))
    await house.settle(0.3)
    worker.say(said(a, 3, "last"))
    worker.finish(a)
    await follower.reading
    half = '{"value":0.5,"note":"half"}'
    assert follower.heard == [(1, "before"), (2, "while"), half, (3, "last"), "completed"]


@story
async def test_a_line_is_read_right_after_it_was_stored(house: House) -> None:
    worker, a = await begin(house)
    follower = Follower(house, a.job)
    await house.settle(5.0)
    said_at = house.loop.time()
    worker.say(said(a, 1, "now"))
    await house.settle(0.3)
    assert follower.heard == [(1, "now")]
    assert follower.times[0] - said_at < 0.15


@story
async def test_a_cursor_goes_on_without_loss_or_repetition(house: House) -> None:
    worker, a = await begin(house)
    for n in range(1, 500, 2):
        worker.say(said(a, n, str(n), str(n + 1)))
    follower = Follower(house, a.job)
    await house.settle(0.05)
    follower.reader.leave()
    await follower.reading
    worker.finish(a)
    rest = Follower(house, a.job, after=follower.heard[-1][0] if follower.heard else 0)
    await rest.reading
    assert [*follower.heard, *rest.heard] == [*((n, str(n)) for n in range(1, 501)), "completed"]


@story
async def test_a_job_that_has_ended_is_told_to_its_end_at_once(house: House) -> None:
    worker, a = await begin(house)
    worker.say(said(a, 1, "one"))
    worker.fail(a, final=True)
    await house.settle()
    follower = Follower(house, a.job)
    await follower.reading
    assert follower.heard == [(1, "one"), "failed"]


@story
async def test_a_job_that_waits_is_followed_through_all_its_attempts(house: House) -> None:
    await house.open(spec(retries=3, retry_delay=1.0))
    job = await house.submit()
    follower = Follower(house, job.id)
    worker = await house.worker(spec(retries=3, retry_delay=1.0))
    worker.keep_beating()
    a = await worker.begin()
    worker.say(said(a, 1, "first"))
    worker.fail(a)
    a = await worker.begin()
    worker.say(said(a, 1, "second"))
    worker.finish(a)
    await follower.reading
    assert follower.heard == [(1, "first"), (2, "second"), "completed"]


@story
async def test_one_to_whom_nothing_is_said_hears_a_beat_and_nobody_asks_the_store_meanwhile(house: House) -> None:
    await house.open(spec())
    job = await house.submit()
    follower = Follower(house, job.id)
    await house.settle()
    asked: list[str] = []
    was = house.store.logs
    house.store.logs = lambda id, *more: (asked.append(id), was(id, *more))[1]  # type: ignore[method-assign]
    await house.settle(31.0)
    assert follower.heard == [BEAT, BEAT]
    assert asked == []
    await house.hub.cancel(job.id, "ann")
    await follower.reading
    assert follower.heard[-1] == "cancelled"


@story
async def test_a_job_that_tells_much_is_read_a_few_times_a_second(house: House) -> None:
    worker, a = await begin(house)
    reads = 0
    was = house.store.logs

    async def counted(*asked: Any) -> list[LogLine]:
        nonlocal reads
        reads += 1
        return await was(*asked)

    house.store.logs = counted  # type: ignore[method-assign]
    follower = Follower(house, a.job)
    for n in range(1, 200):
        worker.say(said(a, n, str(n)))
        await house.settle(0.01)
    await house.settle(0.3)
    assert len(follower.heard) == 199
    assert reads < 60


@story
async def test_a_job_that_is_deleted_ends_its_readers(house: House) -> None:
    await house.open(spec())
    job = await house.submit()
    follower = Follower(house, "01a1fc89-100e-7364-addd-13e540021a88")
    await follower.reading
    assert follower.heard == []
    assert job.id not in house.hub.announcer.awaited()


@story
async def test_who_left_costs_nothing(house: House) -> None:
    worker, a = await begin(house)
    followers = [Follower(house, a.job) for _ in range(3)]
    await house.settle()
    followers[0].reader.leave()
    followers[1].reading.cancel()
    followers[2].reader.leave()
    await house.settle(0.3)
    assert house.hub.announcer._listeners == {}
    assert house.hub.announcer.awaited() == []
    assert house.hub.following._readers == {}
    assert house.hub.following._looking is None
    worker.finish(a)


async def _stopped(house: House) -> None:
    await house.hub.stop(3.0)


async def _server_told(house: House) -> None:
    house.hub.leaving = lambda: True
    await house.settle(following.LOOK)


@pytest.mark.parametrize("how", [_stopped, _server_told])
def test_when_the_manager_stops_readers_end_and_no_more_are_taken(how: Callable[[House], Awaitable[None]]) -> None:
    @story
    async def told(house: House) -> None:
        _, a = await begin(house)
        follower = Follower(house, a.job)
        await house.settle(2.0)
        assert not follower.reading.done()
        await how(house)
        await asyncio.wait_for(follower.reading, 1.0)
        with pytest.raises(Unavailable):
            house.hub.following.open()

    told()


@story
async def test_so_many_may_follow_and_no_more(house: House) -> None:
    await house.open()
    readers = [house.hub.following.open() for _ in range(following.MOST_READERS)]
    with pytest.raises(TooMany):
        house.hub.following.open()
    house.hub.following.close(readers[0])
    house.hub.following.close(readers[0])
    readers[0] = house.hub.following.open()
    for reader in readers:
        house.hub.following.close(reader)
