"""Rows on their way from one store to another, in a form that both read alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from easyjobs.core.job import Job, Session

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "jobs": (*Job.__struct_fields__, "ready"),
    "attempts": ("job", "attempt", "worker", "started_at", "finished_at", "end", "error"),
    "logs": ("job", "n", "attempt", "at", "level", "text", "voice", "number"),
    "edges": ("prerequisite", "follower", "bad", "counted"),
    "sessions": Session.__struct_fields__,
    "tasks": ("queue", "name", "signature", "spec", "seen_at"),
    "pauses": ("kind", "name", "by", "at"),
    "schedules": ("id", "document", "version"),
    "fresh": ("key", "at", "until"),
}
"""The tables that are copied, and their columns. Who leads is not: that is for the managers of the copy to find out."""


class Dump(NamedTuple):
    """All rows of a store: of each table in turn (again at each call), and the highest number that any job ever had."""

    tables: Callable[[], Iterator[tuple[str, Iterable[tuple[Any, ...]]]]]
    highest: int


class Sum:
    """How many rows there were, and a sum of what was in them, in whatever order."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, row: tuple[Any, ...]) -> None:
        """Count a row."""
        self.rows += 1
        digest = hashlib.blake2b(msgspec.json.encode(row), digest_size=16).digest()
        self._sum = (self._sum + int.from_bytes(digest)) % (1 << 128)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sum) and (self.rows, self._sum) == (other.rows, other._sum)

    __hash__ = None  # type: ignore[assignment] # it changes
