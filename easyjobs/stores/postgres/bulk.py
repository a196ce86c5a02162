"""Rows of one statement, each with the unit it is for: what a statement passed over tells which units were refused."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

from easyjobs.stores.postgres import texts
from easyjobs.stores.postgres.channel import Connection

GUARDS: Final = 3  # values in front of the columns of an update: id, version, seq


class Bulk:
    """`add` rows, `run` the statement once. The first value of each row is its key; in a statement that tells what it
    did, no two have the same.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._rows: list[Sequence[Any]] = []
        self._units: dict[Any, int] = {}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, unit: int, row: Sequence[Any]) -> None:
        """Take a row of a unit."""
        self._rows.append(row)
        self._units[row[0]] = unit

    async def run(self, connection: Connection) -> list[Any]:
        """Execute it with all rows, in order of their keys, so that two managers never wait in a circle."""
        if len(self._rows) > 1:
            self._rows.sort(key=itemgetter(0))
        return await connection.fetch(*self._statement(list(zip(*self._rows, strict=True))))

    def _statement(self, columns: list[Any]) -> tuple[Any, ...]:
        """The text, and its parameters."""
        return self._text, *columns

    def refused(self, returned: Sequence[Any]) -> list[int]:
        """The units whose key is not the first column of any row that was returned."""
        if len(returned) == len(self._units):
            return []
        done = {row[0] for row in returned}
        return [unit for key, unit in self._units.items() if key not in done]


class Updates(Bulk):
    """Changes of the same columns of jobs. Where all set one to the same value, that goes over once.

    :raises ValueError: one of `columns` cannot be set.
    """

    def __init__(self, columns: tuple[str, ...], fenced: bool) -> None:
        texts.check_settable(column for column in columns if column != "ready")
        super().__init__("")
        self._columns = columns
        self._fenced = fenced

    def _statement(self, columns: list[Any]) -> tuple[Any, ...]:
        alike = []
        for place, name in enumerate(self._columns, GUARDS):
            values = columns[place]
            if values.count(values[0]) == len(values):
                columns[place] = values[0]
                alike.append(name)
        return texts.update_jobs(self._columns, self._fenced, frozenset(alike)), *columns
