"""Rows of one statement, each with the unit it is for: what a statement passed over tells which units were refused."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from easyjobs.stores.postgres.channel import Connection


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
        return await connection.fetch(self._text, *zip(*self._rows, strict=True))

    def refused(self, returned: Sequence[Any]) -> list[int]:
        """The units whose key is not the first column of any row that was returned."""
        if len(returned) == len(self._units):
            return []
        done = {row[0] for row in returned}
        return [unit for key, unit in self._units.items() if key not in done]
