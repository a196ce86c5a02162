"""Schedules in a segment: each is written at most once in it."""

from __future__ import annotations

from sqlite3 import Connection
from typing import Any, Final

import msgspec

from easyjobs.core.changes import DropSchedule, PutSchedule
from easyjobs.core.schedule import Schedule
from easyjobs.stores.sqlite import texts
from easyjobs.stores.sqlite.failures import GuardFailed
from easyjobs.stores.sqlite.others import expect_one

_decode: Final = msgspec.json.Decoder(Schedule).decode


class Schedules:
    """Gathered by a segment; `write` once, in its transaction."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._new: list[Any] = []
        self._changed: list[Any] = []
        self._dropped: list[DropSchedule] = []

    def put(self, write: PutSchedule) -> bool:
        """Take a schedule; False when it is here already.

        :raises ValueError: it could not be read again.
        """
        schedule = write.schedule
        if schedule.id in self._ids:
            return False
        row = msgspec.json.encode(schedule)
        _decode(row)
        self._ids.add(schedule.id)
        if write.was is None:
            self._new += (schedule.id, row.decode(), 1)
        else:
            self._changed += (row.decode(), schedule.id, write.was)
        return True

    def drop(self, write: DropSchedule) -> bool:
        """Take the end of a schedule; False when it is here already."""
        if write.id in self._ids:
            return False
        self._ids.add(write.id)
        self._dropped.append(write)
        return True

    def write(self, connection: Connection) -> None:
        """Write them.

        :raises GuardFailed: one is of another version. sqlite3.IntegrityError: a new one is there already.
        """
        for size, part in texts.slices(self._new, 3):
            connection.execute(texts.insert("schedules", "id, row, version", 3, size), part)
        for size, part in texts.slices(self._changed, 3):
            if connection.execute(texts.change_schedules(size), part).rowcount != size:
                raise GuardFailed
        for drop in self._dropped:
            expect_one(connection, "DELETE FROM schedules WHERE id = ? AND version = ?", (drop.id, drop.was))
