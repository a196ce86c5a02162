"""The lines of running attempts on their way to the manager: bounded, the head at once and the tail at the end."""

from __future__ import annotations

from collections import deque
from typing import Literal

from easyjobs.protocol.messages import Limits, Log

Line = tuple[float, str, str]

_COST = 32  # of a line beside its text
_GAP = " … "


def speakable(text: str) -> str:
    """`text` without what a frame cannot carry: lone surrogates are shown as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def shortened(text: str, limit: int) -> str:
    """`text` in at most `limit` bytes of UTF-8: its head and its tail."""
    if len(text) * 4 <= limit:
        return text
    raw = text.encode()
    if len(raw) <= limit:
        return text
    half = max(0, limit - len(_GAP.encode())) // 2
    return raw[:half].decode(errors="ignore") + _GAP + raw[len(raw) - half :].decode(errors="ignore")


class AttemptLog:
    """The lines of one attempt.

    The first half of `limits.logs` may be sent as it comes; of what follows, the newest lines in the other half are
    kept until `end`, with a note of how many were left out between.
    """

    __slots__ = ("_fresh", "_head", "_job", "_left_out", "_tail", "_tail_size")

    def __init__(self, job: str, attempt: int, token: str) -> None:
        self._job = (job, attempt, token)
        self._fresh: list[Line] = []
        self._head = 0
        self._tail: deque[Line] = deque()
        self._tail_size = 0
        self._left_out = 0

    def add(self, at: float, level: str, text: str, limits: Limits) -> Literal["fresh", "kept"]:
        """Take a line, `at` seconds since 1970. `fresh`: `take` has something to send."""
        text = shortened(speakable(text), limits.log_line)
        size = len(text.encode()) + _COST
        half = limits.logs // 2
        if not self._tail and self._head + size <= half:
            self._head += size
            self._fresh.append((at, level, text))
            return "fresh"
        self._tail.append((at, level, text))
        self._tail_size += size
        while self._tail_size > half and len(self._tail) > 1:
            self._tail_size -= len(self._tail.popleft()[2].encode()) + _COST
            self._left_out += 1
        return "kept"

    def end(self) -> None:
        """The attempt is over: the tail may go. Call `take` next."""
        if self._left_out:
            note = f"… {self._left_out} lines were left out here …"
            self._fresh.append((self._tail[0][0], "warning", note))
        self._fresh.extend(self._tail)
        self._tail.clear()
        self._left_out = 0

    def take(self, limits: Limits) -> list[Log]:
        """What to send now, in messages that each fit well into a frame."""
        lines, self._fresh = self._fresh, []
        most = max(1, limits.frame // 8 - limits.log_line)  # a byte may become six in JSON
        logs: list[Log] = []
        used = most
        for line in lines:
            if used >= most:
                logs.append(Log(*self._job, []))
                used = 0
            logs[-1].lines.append(line)
            used += len(line[2].encode()) + _COST
        return logs
