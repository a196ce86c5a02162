"""The numbers of new jobs: what a transaction took and did not use is used by the next one.

A sequence gives a number once, whether the transaction is undone or not. One that was given to us and not used is as
good as new only as long as nobody has been given a later one: else a new job would be older than others.
"""

from __future__ import annotations

from collections.abc import Collection

from easyjobs.stores.postgres.channel import Connection


class Numbers:
    """`take` before an insert, `given` after it, `unused` when it was undone."""

    def __init__(self) -> None:
        self._spare: list[int] = []
        self._highest = 0

    async def take(self, connection: Connection, most: int) -> list[int]:
        """Up to `most` numbers that are to be used first, lowest first; then those of the sequence."""
        if self._spare and await connection.fetchval("SELECT last_value FROM jobs_seq") != self._highest:
            self._spare.clear()
        taken = self._spare[:most]
        del self._spare[:most]
        return taken

    def given(self, numbers: Collection[int], taken: Collection[int]) -> None:
        """An insert used `numbers`; of those it had `taken`, the others are spare again."""
        self._highest = max(self._highest, *numbers, 0)
        self.unused(set(taken).difference(numbers))

    def unused(self, numbers: Collection[int]) -> None:
        """These were given, and what was done with them was undone."""
        if numbers:
            self._spare = sorted({*self._spare, *numbers})
