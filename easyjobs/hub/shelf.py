"""How much a running attempt has logged, as far as this manager saw it: a wall for speakers that keep no measure."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

Line: TypeAlias = tuple[int, float, str, str]


class Shelf:
    """The bytes of one attempt's lines that are kept. A speaker (`voice`) numbers its lines, or says 0."""

    __slots__ = ("_parts", "used")

    def __init__(self) -> None:
        self.used = 0
        self._parts: dict[str, deque[tuple[int, int]]] = {}  # by voice: last number of a message, its bytes

    def drop(self, voice: str, high: int) -> None:
        """Lines up to `high` are kept no more; of a message that is dropped in part, all still counts."""
        parts = self._parts.get(voice)
        while parts and parts[0][0] <= high:
            self.used -= parts.popleft()[1]

    def put(self, voice: str, first: int, lines: list[Line], most: int) -> list[Line]:
        """What of `lines` may be kept, so that not much more than `most` bytes are; the last one says if there is more.

        Lines that come again count once.
        """
        parts = self._parts.setdefault(voice, deque())
        last = first + len(lines) - 1
        if first and parts and last <= parts[-1][0]:
            return lines
        before = self.used
        kept: list[Line] = []
        for attempt, at, level, text in lines:
            if self.used > most:
                break
            self.used += len(text) + 1
            if self.used > most:
                text = f"… an attempt may not log more than this ({most} bytes); the rest is dropped"
            kept.append((attempt, at, level, text))
        parts.append((last, self.used - before))
        return kept
