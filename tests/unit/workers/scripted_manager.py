"""A manager that says what the test tells it to, over links in memory, to a real worker."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from easyjobs.ids import Ids
from easyjobs.protocol.codec import decode_from_peer, encode
from easyjobs.protocol.messages import (
    Ack,
    Assign,
    Assignment,
    Finished,
    FromManager,
    FromPeer,
    Heartbeat,
    Hello,
    Limits,
    Outcome,
    Ping,
    Verdict,
    Welcome,
)
from easyjobs.testing.loop import VirtualClock, VirtualLoop, run
from easyjobs.wire.link import Link, LinkClosed, memory_pair
from easyjobs.workers.worker import EasyJobsWorker

M = TypeVar("M")


class ScriptedManager:
    """Its end of whatever link the worker dialled last."""

    def __init__(self) -> None:
        self.dialled = 0
        self._links: asyncio.Queue[Link] = asyncio.Queue()
        self._unread: deque[FromPeer] = deque()
        self.refuse: Exception | None = None
        self.quiet = False
        self.link: Any = None

    async def live(self) -> None:
        """Ping now and then, as managers do, unless it is `quiet`."""
        while True:
            await asyncio.sleep(4)
            if self.link is not None and not self.quiet:
                with contextlib.suppress(LinkClosed):
                    await self.say(Ping())

    async def connect(self) -> Link:
        """The worker dials."""
        self.dialled += 1
        if self.refuse is not None:
            raise self.refuse
        ours, theirs = memory_pair()
        self._links.put_nowait(theirs)
        return ours

    async def greeted(self) -> Hello:
        """Wait for a connection and its greeting."""
        self.link = await self._links.get()
        self._unread.clear()
        return await self.hear(Hello)

    async def welcome(self, *verdicts: Verdict, limits: Limits | None = None) -> Hello:
        """Wait for a connection, and welcome the worker."""
        hello = await self.greeted()
        await self.say(Welcome("session", 1, limits or Limits(), list(verdicts)))
        return hello

    async def say(self, *messages: FromManager) -> None:
        """Send one frame."""
        await self.link.send(encode(messages))

    async def hear(self, kind: type[M]) -> M:
        """The next message of that kind; pings and heartbeats on the way are passed over, others are unexpected."""
        while True:
            while self._unread:
                message = self._unread.popleft()
                if isinstance(message, kind):
                    return message
                assert isinstance(message, (Ping, Heartbeat)), f"expected {kind.__name__}, heard {message}"
            self._unread.extend(decode_from_peer(await self.link.receive()))

    async def pass_over(self, kind: type[M]) -> M:
        """The next message of that kind, whatever comes before it."""
        while True:
            while self._unread:
                message = self._unread.popleft()
                if isinstance(message, kind):
                    return message
            self._unread.extend(decode_from_peer(await self.link.receive()))

    async def silent(self, seconds: float) -> bool:
        """Whether nothing but heartbeats is heard for so long."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    self._unread.extend(decode_from_peer(await self.link.receive()))
        except TimeoutError:
            return all(isinstance(message, (Ping, Heartbeat)) for message in self._unread)

    async def hung_up(self) -> LinkClosed:
        """How the worker ended the connection."""
        while True:
            try:
                self._unread.extend(decode_from_peer(await self.link.receive()))
            except LinkClosed as closed:
                return closed

    async def outcomes(self, n: int, *, ack: bool = True) -> list[Outcome]:
        """The next `n` outcomes, acknowledged."""
        found: list[Outcome] = []
        while len(found) < n:
            found += (await self.pass_over(Finished)).outcomes
        if ack:
            await self.say(Ack(applied=[outcome.job for outcome in found]))
        return found

    async def outcome(self, *, ack: bool = True) -> Outcome:
        """The next outcome, acknowledged."""
        (outcome,) = await self.outcomes(1, ack=ack)
        return outcome

    async def assign(self, *jobs: Assignment) -> None:
        """Hand out attempts."""
        await self.say(Assign(list(jobs)))


def assignment(job: str, task: str, /, *args: Any, attempt: int = 1, queue: str = "Q", **options: Any) -> Assignment:
    """An attempt to make."""
    raw = msgspec.Raw(msgspec.json.encode(args))
    return Assignment(job, attempt, f"{job}-{attempt}", queue, task, raw, **options)


def result_of(outcome: Outcome) -> Any:
    """What a job returned."""
    assert outcome.end == "completed", bytes(outcome.error)
    return msgspec.json.decode(outcome.result)


def play(
    story: Callable[[EasyJobsWorker, ScriptedManager], Coroutine[Any, Any, None]], *, slots: int = 4, seed: int = 1
) -> None:
    """Tell a story of one worker and its manager on virtual time; the worker stops at its end."""

    async def main(loop: VirtualLoop) -> None:
        manager = ScriptedManager()
        worker = EasyJobsWorker(
            "Q",
            connect=manager.connect,
            max_tasks_per_worker=slots,
            name="w",
            clock=VirtualClock(loop),
            ids=Ids(seed),
            watchdog=False,
        )
        living = loop.create_task(manager.live())
        try:
            await story(worker, manager)
        finally:
            await worker.stop(0)
            living.cancel()

    run(main, seed)
