"""What a child process and the manager say to each other where that goes through the worker: it has the only way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from easyjobs.background import Nursery
from easyjobs.executors.pipe import Dials, ForManager, HangsUp, Heard, HungUp, Says

GONE = 1006


class Way(Protocol):
    """A link to the manager, of which the methods raise OSError (with its `code` and `reason`) when it is over."""

    async def send(self, frame: bytes) -> None:
        """Pass a frame on; waits while nobody reads."""

    async def receive(self) -> bytes:
        """The next frame."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End it."""


class Relay:
    """The links of one child. Give it what the child says for the manager; `close` it when the child is gone.

    :param open: makes a link. `say`: tells the child something, and waits while it does not read.
    """

    def __init__(
        self, open: Callable[[], Way], say: Callable[[Heard | HungUp], Awaitable[None]], nursery: Nursery
    ) -> None:
        self._open = open
        self._say = say
        self._nursery = nursery
        self._ways: dict[int, Way] = {}

    async def pass_on(self, message: ForManager) -> None:
        """Do what the child asks."""
        if isinstance(message, Dials):
            way = self._ways[message.n] = self._open()
            self._nursery.spawn(self._listen(message.n, way), "relay")
            return
        known = self._ways.get(message.n)
        if known is None:
            return
        match message:
            case Says(frame=frame):
                try:
                    await known.send(bytes(frame))
                except OSError:
                    return  # whoever listens hears of it too, and tells the child
            case HangsUp():
                await known.close(1000, "goodbye")

    async def close(self) -> None:
        """End all links. May be called twice."""
        for way in list(self._ways.values()):
            await way.close(1000, "the child process has ended")

    async def _listen(self, n: int, way: Way) -> None:
        try:
            while True:
                await self._say(Heard(n, msgspec.Raw(await way.receive())))
        except OSError as end:
            del self._ways[n]
            await self._say(HungUp(n, getattr(end, "code", GONE), getattr(end, "reason", "")))
