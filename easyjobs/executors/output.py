"""The output of a child process, line by line."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

READ: Final = 65_536  # what a pipe holds, usually
LONGEST: Final = 65_536
"""Bytes of one line that are kept; the rest of it is passed over."""

LEFT_OUT: Final = " … the rest of the line is left out"
MANY: Final = 200
PAUSE: Final = 0.01
"""After so many lines at once the loop is given to others for so many seconds; the child waits meanwhile."""

MOST_DRAINED: Final = 16
"""How many reads `drain` makes: more than a pipe holds."""


class Output:
    """Reads one pipe, from now until its end, and calls `take` with each line, without its end.

    What is no UTF-8 is replaced. `seen` gets each line before, as it is. Of a line of more than `longest` bytes the
    rest is passed over. `ended` is set when the pipe has come to its end, or was closed.
    """

    def __init__(
        self,
        fd: int,
        take: Callable[[str], None],
        *,
        seen: Callable[[bytes], None] | None = None,
        longest: int = LONGEST,
    ) -> None:
        self._fd = fd
        self._take = take
        self._seen = seen
        self._longest = longest
        self._loop = asyncio.get_running_loop()
        self._rest: list[bytes] = []  # of the line under way
        self._size = 0
        self._passing = False
        self._pause: asyncio.TimerHandle | None = None
        self.ended = asyncio.Event()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._ready)

    def drain(self) -> None:
        """Take what is in the pipe now; a last line without an end counts as one."""
        for _ in range(MOST_DRAINED):
            if self.ended.is_set() or self._read() is None:
                break
        self._take_rest()

    def close(self) -> None:
        """Read no more; what has come of a last line is taken. May be called twice."""
        if not self.ended.is_set():
            self.ended.set()
            self._loop.remove_reader(self._fd)
            if self._pause is not None:
                self._pause.cancel()
            os.close(self._fd)
            self._take_rest()

    def _take_rest(self) -> None:
        if self._rest:
            self._line(self._taken())

    def _taken(self) -> bytes:
        rest, self._rest, self._size = b"".join(self._rest), [], 0
        return rest

    def _ready(self) -> None:
        lines = self._read()
        if lines is not None and lines > MANY and not self.ended.is_set():
            self._loop.remove_reader(self._fd)
            self._pause = self._loop.call_later(PAUSE, self._again)

    def _again(self) -> None:
        self._pause = None
        self._loop.add_reader(self._fd, self._ready)

    def _read(self) -> int | None:
        """Read once; how many lines came, None when there was nothing to read."""
        try:
            piece = os.read(self._fd, READ)
        except BlockingIOError:
            return None
        if not piece:
            self.close()
            return None
        *lines, rest = piece.split(b"\n")
        for line in lines:
            if self._passing:
                self._passing = False
            elif self._rest:
                self._rest.append(line)
                self._line(self._taken())
            else:
                self._line(line)
        if rest and not self._passing:
            self._rest.append(rest)
            self._size += len(rest)
            if self._size > self._longest:
                self._line(self._taken())
                self._passing = True
        return len(lines)

    def _line(self, line: bytes) -> None:
        mark = LEFT_OUT if len(line) > self._longest else ""
        line = line[: self._longest]
        if self._seen is not None:
            self._seen(line)
        if len(line) > LONGEST:
            line, mark = line[:LONGEST], LEFT_OUT
        # NUL is the one character that no database takes as text
        self._take(line.removesuffix(b"\r").decode("utf-8", "replace").replace("\0", "\ufffd") + mark)
