"""A link: two ends that pass frames to each other, in order, until either closes it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from easyjobs.wire.closed import LinkClosed as LinkClosed


class Link(Protocol):
    """One end. `send` and `receive` may be awaited at the same time, each by one coroutine."""

    async def send(self, frame: bytes) -> None:
        """Pass a frame on; waits while the other end does not read.

        :raises LinkClosed: the link is gone, and the frame may be lost.
        """

    async def receive(self) -> bytes:
        """The next frame.

        :raises LinkClosed: there are no more.
        """

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the link; both ends then raise `LinkClosed`. Returns within seconds. May be called twice."""


def memory_pair(most: int = 256) -> tuple[Link, Link]:
    """The two ends of a link within one event loop; `send` waits while `most` frames are unread."""
    one, other = _MemoryLink(most), _MemoryLink(most)
    one.other, other.other = other, one
    return one, other


class _MemoryLink:
    """Holds the frames that its owner has not read yet."""

    other: _MemoryLink

    def __init__(self, most: int) -> None:
        self._most = most
        self._frames: deque[bytes] = deque()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._closed: tuple[int, str] | None = None

    async def send(self, frame: bytes) -> None:
        """As `Link.send`."""
        other = self.other
        while len(other._frames) >= self._most and self._closed is None:
            other._emptied.clear()
            await other._emptied.wait()
        if self._closed is not None:
            raise LinkClosed(*self._closed)
        other._frames.append(frame)
        other._filled.set()

    async def receive(self) -> bytes:
        """As `Link.receive`. Frames that were sent before the end are still read."""
        while not self._frames:
            if self._closed is not None:
                raise LinkClosed(*self._closed)
            self._filled.clear()
            await self._filled.wait()
        self._emptied.set()
        return self._frames.popleft()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """As `Link.close`."""
        for end in (self, self.other):
            if end._closed is None:
                end._closed = (code, reason)
                end._filled.set()
                end._emptied.set()
