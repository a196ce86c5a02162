"""New jobs of a segment, in one statement."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from easyjobs.core.changes import Insert
from easyjobs.core.job import Job
from easyjobs.core.states import FINAL, RUNNING, STATES
from easyjobs.stores.postgres import texts
from easyjobs.stores.postgres.channel import Connection
from easyjobs.stores.postgres.failures import TAKEN, Again
from easyjobs.stores.postgres.numbers import Numbers
from easyjobs.stores.postgres.sessions import Sessions

_as_tuple = msgspec.structs.astuple
_TAIL_QUEUED: Final = texts.BARE[texts.QUEUED_WIDTH :]
_TAIL_RUNNING: Final = texts.BARE[texts.RUNNING_WIDTH :]


class Inserts:
    """`add` while it says True, then `run` once."""

    def __init__(self) -> None:
        self.holders: set[str | None] = set()  # sessions of the jobs that come claimed
        self._rows: list[tuple[int, Insert, tuple[Any, ...]]] = []  # unit, write, values with `ready`
        self._width = texts.QUEUED_WIDTH
        self._taken: set[tuple[Any, ...]] = set()

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, unit: int, write: Insert, ready: int | None) -> bool:
        """Take a new job; False when one is here that takes something which no two jobs may have.

        :raises ValueError: it has a state that does not exist.
        """
        job = write.job
        if job.state not in STATES:
            raise ValueError(f"there is no state {job.state!r}")
        values = _as_tuple(job)
        if self._width < texts.WIDTH and values[texts.QUEUED_WIDTH :] != _TAIL_QUEUED:
            self._width = texts.RUNNING_WIDTH if values[texts.RUNNING_WIDTH :] == _TAIL_RUNNING else texts.WIDTH
        if self._width == texts.WIDTH:
            taken = _taken_by(job)
            if not self._taken.isdisjoint(taken):
                return False
            self._taken |= taken
        if job.state == RUNNING:
            self.holders.add(job.session)
        self._rows.append((unit, write, (*values, ready)))
        return True

    async def run(
        self, connection: Connection, sessions: Sessions, numbers: Numbers
    ) -> tuple[list[tuple[Job, int]], list[int]]:
        """Insert them: the jobs with the numbers they got, and the units that were refused.

        :raises Again: another manager takes the same key at the same time.
        """
        rows = []
        refused = []
        for row in self._rows:
            unit, write, _ = row
            if write.job.state != RUNNING or sessions.live(write.job.session, write.epoch):
                rows.append(row)
            else:
                refused.append(unit)
        if not rows:
            return [], refused
        columns = list(zip(*(values for _, _, values in rows), strict=True))
        columns = [*columns[: texts.SEQ], *columns[texts.SEQ + 1 : self._width], columns[-1]]
        statement, parameters = _statement(self._width, columns)
        taken = await numbers.take(connection, len(rows))
        given: dict[str, int] = {}
        try:
            given.update(await connection.fetch(statement, *parameters, taken))
        except TAKEN as error:
            raise Again from error  # by a job that was not committed when this statement looked
        finally:
            numbers.given(given.values(), taken)
        inserted = []
        for unit, write, _ in rows:
            seq = given.get(write.job.id)
            if seq is None:
                refused.append(unit)
            else:
                inserted.append((write.job, seq))
        return inserted, refused


def _statement(width: int, columns: list[tuple[Any, ...]]) -> tuple[str, list[Any]]:
    """What writes them: one value in place of many equal ones costs both sides less."""
    names = texts.insert_names(width)
    common = [n for n, name in enumerate(names) if name in texts.ALIKE]
    alike = width < texts.WIDTH and all(columns[n].count(columns[n][0]) == len(columns[n]) for n in common)
    parameters: list[Any] = list(columns)
    if alike:
        for n in common:
            parameters[n] = columns[n][0]
    return texts.insert_jobs(width, alike), parameters


def _taken_by(job: Job) -> set[tuple[Any, ...]]:
    taken: set[tuple[Any, ...]] = set()
    if job.key is not None:
        taken.add(("key", job.key))
    if job.unique_key is not None and job.state not in FINAL:
        taken.add(("unique", job.unique_key))
    if job.schedule is not None and job.tick is not None:
        taken.add(("tick", job.schedule, job.tick))
    return taken
