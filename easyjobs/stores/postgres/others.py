"""Writes about sessions, tasks, pauses, schedules and what is fresh, gathered."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from easyjobs.core.changes import (
    DropPause,
    DropSchedule,
    LoseSession,
    PutFresh,
    PutPause,
    PutSchedule,
    PutSession,
    PutTask,
    Renew,
)
from easyjobs.core.schedule import Schedule
from easyjobs.stores.postgres import texts
from easyjobs.stores.postgres.bulk import Bulk
from easyjobs.stores.postgres.channel import Connection

Other = PutSession | Renew | LoseSession | PutTask | PutPause | DropPause | PutSchedule | DropSchedule

_as_tuple = msgspec.structs.astuple
_decode: Final = msgspec.json.Decoder(Schedule).decode

# in this order: sessions are locked before all else, and sorted, so that two managers never wait in a circle
_TEXTS: Final = {
    "put session": texts.PUT_SESSIONS,
    "renew": texts.RENEW,
    "lose": texts.LOSE,
    "put task": texts.PUT_TASKS,
    "put pause": texts.PUT_PAUSES,
    "drop pause": texts.DROP_PAUSES,
    "new schedule": texts.NEW_SCHEDULES,
    "change schedule": texts.CHANGE_SCHEDULES,
    "drop schedule": texts.DROP_SCHEDULES,
}
_GUARDED: Final = frozenset(_TEXTS) - {"put task", "put pause", "drop pause"}


class Others:
    """`add` while it says True, then `run` once."""

    def __init__(self) -> None:
        self._bulks: dict[str, Bulk] = {}
        self._touched: set[tuple[str, ...]] = set()
        self._fresh: dict[str, tuple[float, float]] = {}
        self.sessions: set[str] = set()  # that are written

    def add(self, unit: int, write: Other) -> bool:
        """Take `write`; False when there is one already about the same row.

        :raises ValueError: a schedule that could not be read again.
        """
        key, kind, row = _row(write)
        if key in self._touched:
            return False
        self._touched.add(key)
        if isinstance(write, (PutSession, Renew, LoseSession)):
            self.sessions.add(row[0])
        bulk = self._bulks.get(kind)
        if bulk is None:
            bulk = self._bulks[kind] = Bulk(_TEXTS[kind])
        bulk.add(unit, row)
        return True

    def add_fresh(self, write: PutFresh) -> bool:
        """Take what is fresh; always True: of two the greater values stand, in whatever order."""
        for key in write.keys:
            at, until = self._fresh.get(key, (write.at, write.until))
            self._fresh[key] = max(at, write.at), max(until, write.until)
        return True

    async def run(self, connection: Connection) -> list[int]:
        """Write them; the units that were refused."""
        refused: list[int] = []
        for kind in _TEXTS:
            bulk = self._bulks.get(kind)
            if bulk is not None:
                returned = await bulk.run(connection)
                if kind in _GUARDED:
                    refused += bulk.refused(returned)
        if self._fresh:
            rows = [(key, *times) for key, times in sorted(self._fresh.items())]
            await connection.execute(texts.PUT_FRESH, *zip(*rows, strict=True))
        return refused


def _row(write: Other) -> tuple[tuple[str, ...], str, tuple[Any, ...]]:
    """What it is about, the statement, its row."""
    match write:
        case PutSession():
            return ("session", write.session.id), "put session", _as_tuple(write.session)
        case Renew():
            return ("session", write.id), "renew", (write.id, write.epoch, write.expires_at, write.offers)
        case LoseSession():
            return ("session", write.id), "lose", (write.id, write.epoch, write.at, write.expires_by)
        case PutTask():
            spec = write.spec
            return ("task", *spec.lane), "put task", (*spec.lane, msgspec.json.encode(spec).decode(), write.seen_at)
        case PutPause():
            return ("pause", write.kind, write.name), "put pause", _as_tuple(write)
        case DropPause():
            return ("pause", write.kind, write.name), "drop pause", (write.kind, write.name)
        case DropSchedule():
            return ("schedule", write.id), "drop schedule", (write.id, write.was)
    schedule = write.schedule
    document = msgspec.json.encode(schedule)
    _decode(document)
    if write.was is None:
        return ("schedule", schedule.id), "new schedule", (schedule.id, document.decode())
    return ("schedule", schedule.id), "change schedule", (schedule.id, write.was, document.decode())
