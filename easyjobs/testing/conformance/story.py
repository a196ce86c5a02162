"""What the cases share: a store that is open while a story is told, and short words to tell it in."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Concatenate, Protocol, TypeVar

import msgspec
import pytest

from easyjobs.clock import Clock
from easyjobs.core.changes import Applied, Claim, Committed, Insert, Offer, PutSession, Unit, Update, Verdict, Write
from easyjobs.core.job import Job, Lane, Session
from easyjobs.stores.base import Store
from easyjobs.testing.clock import HandClock

S = TypeVar("S", bound="Cases")

LANE = Lane("etl", "load", "")
OTHER_LANE = Lane("etl", "clean", "")


class MakeStore(Protocol):
    """Makes a new, empty store at each call; not yet opened."""

    def __call__(self, clock: Clock, /) -> Store:
        """A store on `clock`."""


class Play:
    """An open store, its clock, and what a manager would say to it."""

    def __init__(self, store: Store, clock: HandClock) -> None:
        self.store = store
        self.clock = clock
        self._tokens = 0

    def job(self, id: str, **columns: Any) -> Job:
        """A queued job, ready now, that is not stored yet."""
        now = self.store.now()
        return msgspec.structs.replace(Job(id, "etl", "load", created_at=now, run_at=now), **columns)

    def session(self, id: str = "s1", **columns: Any) -> Session:
        """A live session of epoch 1 that is not stored yet."""
        now = self.store.now()
        return msgspec.structs.replace(Session(id, f"worker-{id}", id, "host", 1, "live", now, now + 30), **columns)

    async def commit(self, *writes: Write) -> list[Verdict]:
        """Commit each write as a unit of its own."""
        return (await self.store.commit([Unit([write]) for write in writes])).verdicts

    async def together(self, *writes: Write) -> Verdict:
        """Commit all writes as one unit."""
        (verdict,) = (await self.store.commit([Unit(list(writes))])).verdicts
        return verdict

    async def add(self, *jobs: Job) -> None:
        """Insert jobs, each in a unit of its own; all are accepted."""
        assert await self.commit(*(Insert(job) for job in jobs)) == [Applied()] * len(jobs)

    async def arrive(self, *sessions: Session) -> None:
        """Put sessions; all are accepted."""
        assert await self.commit(*(PutSession(session) for session in sessions)) == [Applied()] * len(sessions)

    def offer(
        self, session: str = "s1", slots: int = 1, lanes: Sequence[Lane] = (LANE,), epoch: int = 1, system: str = ""
    ) -> Offer:
        """What a worker would take."""
        return Offer(session, epoch, f"worker of {session}", slots, frozenset(lanes), system)

    async def claim(
        self,
        *offers: Offer,
        capacity: Mapping[Lane, tuple[str, int]] | None = None,
        units: dict[Lane, int] | None = None,
    ) -> Committed:
        """Claim without any units; tokens are t1, t2, … over the whole story."""
        slots = sum(offer.slots for offer in offers)
        tokens = [f"t{self._tokens + n}" for n in range(1, slots + 1)]
        self._tokens += slots
        return await self.store.commit([], Claim(list(offers), tokens, dict(capacity or {}), units))

    async def start(self, id: str, **columns: Any) -> Job:
        """A new job that session s1 runs (made if need be); the row."""
        if not any(session.id == "s1" for session in await self.store.sessions()):
            await self.arrive(self.session())
        await self.add(self.job(id, **columns))
        lane = Lane(columns.get("queue", "etl"), columns.get("task", "load"), columns.get("signature", ""))
        (job,) = (await self.claim(self.offer(lanes=[lane]))).claimed
        assert job.id == id
        return job

    async def end(self, job: Job, state: str = "completed", **columns: Any) -> None:
        """End a running job now; accepted."""
        columns = {"state": state, "finished_at": self.store.now(), **columns}
        assert await self.commit(Update(job, columns)) == [Applied()]

    async def row(self, id: str) -> Job:
        """The row as it is."""
        return (await self.store.jobs([id]))[id]


class Cases:
    """The fixtures of all cases."""

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """Override this."""
        raise NotImplementedError("override the fixture make_store")


def story(
    tell: Callable[Concatenate[S, Play, ...], Awaitable[None]],
) -> Callable[[S, MakeStore], None]:
    """A test that tells its story with an open store, in an event loop of its own."""

    @functools.wraps(tell)
    def test(self: S, make_store: MakeStore) -> None:
        async def play() -> None:
            clock = HandClock()
            store = make_store(clock)
            await store.open()
            try:
                await tell(self, Play(store, clock))
            finally:
                await store.close()

        asyncio.run(play())

    del test.__wrapped__  # pytest would ask for the story's own parameters
    return test


def columns(row: msgspec.Struct, *names: str) -> tuple[Any, ...]:
    """Some fields of a row."""
    return tuple(getattr(row, name) for name in names)
