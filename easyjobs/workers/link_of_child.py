"""The link of a child process to the manager that goes through its worker, where there is nothing to dial."""

from __future__ import annotations

import asyncio

import msgspec

from easyjobs.executors.pipe import Dials, HangsUp, Heard, HungUp, Says
from easyjobs.wire.link import Link, LinkClosed
from easyjobs.workers.channel import Channel


class Through:
    """Dials through a worker, again and again: each call gives a fresh link."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def __call__(self) -> Link:
        """A link; it is there as soon as it is spoken on."""
        return _PipeLink(self._channel)


class _PipeLink:
    """One end of a link, the other end of which the worker passes on."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[Heard | HungUp] = asyncio.Queue()
        self._closed: LinkClosed | None = None
        self._n = channel.link(self._take)
        channel.say(Dials(self._n))

    def _take(self, message: Heard | HungUp) -> None:
        self._loop.call_soon_threadsafe(self._heard.put_nowait, message)

    async def send(self, frame: bytes) -> None:
        """As `Link.send`."""
        if self._closed is not None:
            raise self._closed
        self._channel.say(Says(self._n, msgspec.Raw(frame)))

    async def receive(self) -> bytes:
        """As `Link.receive`."""
        if self._closed is None:
            message = await self._heard.get()
            if isinstance(message, Heard):
                return bytes(message.frame)
            self._closed = LinkClosed(message.code, message.reason)
        raise self._closed

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """As `Link.close`."""
        if self._closed is None:
            self._channel.say(HangsUp(self._n))
