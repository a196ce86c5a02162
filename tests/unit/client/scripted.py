"""A manager that answers submissions as the test says, over links in memory, to a real client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from easyjobs.client.client import EasyJobsClient
from easyjobs.ids import Ids
from easyjobs.protocol.codec import decode_from_peer, encode
from easyjobs.protocol.messages import (
    Accepted,
    Await,
    Ended,
    FromManager,
    FromPeer,
    Hello,
    Limits,
    Ping,
    Result,
    Submission,
    Submit,
    Welcome,
)
from easyjobs.testing.loop import VirtualClock, VirtualLoop, run
from easyjobs.wire.link import Link, LinkClosed, memory_pair


class Answering:
    """Welcomes every connection, keeps all that it hears, and passes each message to `answer`."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.heard: list[FromPeer] = []
        self.frames: list[int] = []
        self.hellos: list[Hello] = []
        self.refuse: Exception | None = None
        self.link: Any = None
        self.answer: Callable[[FromPeer], list[FromManager]] = self.do_all
        self._serving: list[asyncio.Task[None]] = []

    async def connect(self) -> Link:
        """The client dials."""
        if self.refuse is not None:
            raise self.refuse
        ours, theirs = memory_pair()
        self.link = theirs
        self._serving.append(asyncio.get_running_loop().create_task(self._serve(theirs)))
        return ours

    async def cut(self) -> None:
        """Lose the connection."""
        await self.link.close(1006)

    async def say(self, *messages: FromManager) -> None:
        """Send one frame."""
        await self.link.send(encode(messages))

    async def _serve(self, link: Link) -> None:
        try:
            while True:
                frame = await link.receive()
                self.frames.append(len(frame))
                for message in decode_from_peer(frame):
                    if isinstance(message, Hello):
                        self.hellos.append(message)
                        await link.send(encode([Welcome(limits=self.limits)]))
                        continue
                    if not isinstance(message, Ping):
                        self.heard.append(message)
                    answers = self.answer(message)
                    await link.send(encode(answers or [Ping()]))
        except LinkClosed:
            return

    def submitted(self) -> list[Submission]:
        """All submissions heard so far."""
        return [job for message in self.heard if isinstance(message, Submit) for job in message.jobs]

    def do_all(self, message: FromPeer) -> list[FromManager]:
        """Accept each job; each ends at once with its own arguments as its result."""
        if isinstance(message, Submit):
            ends = [ended(job.id, msgspec.json.decode(job.args)) for job in message.jobs if job.wait]
            self.args = {**getattr(self, "args", {}), **{job.id: msgspec.json.decode(job.args) for job in message.jobs}}
            return [Accepted([job.id for job in message.jobs]), Result(ends)]
        if isinstance(message, Await):
            return [Result([ended(id, self.args[id]) for id in message.ids])]
        return []

    def accept(self, message: FromPeer) -> list[FromManager]:
        """Accept each job; none ever ends."""
        return [Accepted([job.id for job in message.jobs])] if isinstance(message, Submit) else []

    def nothing(self, message: FromPeer) -> list[FromManager]:
        """Keep silent."""
        return []


def ended(id: str, value: Any) -> Ended:
    """A job that completed."""
    return Ended(id, result=msgspec.Raw(msgspec.json.encode(value)))


def play(
    story: Callable[[EasyJobsClient, Answering], Coroutine[Any, Any, None]],
    *,
    limits: Limits | None = None,
    connect_timeout: float = 10.0,
) -> None:
    """Tell a story of one client and its manager on virtual time."""

    async def main(loop: VirtualLoop) -> None:
        manager = Answering(limits or Limits())
        client = EasyJobsClient(
            connect=manager.connect,
            connect_timeout=connect_timeout,
            name="c",
            clock=VirtualClock(loop),
            ids=Ids(1),
        )
        try:
            await story(client, manager)
        finally:
            await client.close()

    run(main)
