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

    async def run(self, connection: Connection, numbers: Numbers) -> tuple[list[tuple[Job, int]], list[int]]:
        """Insert them: the jobs with the numbers they got, and the units that were refused.

        :raises Again: another manager takes the same key at the same time.
        """
        statement, parameters = self._statement()
        taken = await numbers.take(connection, len(self._rows))
        if self._width > texts.QUEUED_WIDTH:
            parameters += [taken, sorted(id for id in self.holders if id is not None), self._epochs()]
        else:
            parameters.append(taken)
        given: dict[str, int] = {}
        try:
            given.update(await connection.fetch(statement, *parameters))
        except TAKEN as error:
            raise Again from error  # by a job that was not committed when this statement looked
        finally:
            numbers.given(given.values(), taken)
        inserted = []
        refused = []
        for unit, write, _ in self._rows:
            seq = given.get(write.job.id)
            if seq is None:
                refused.append(unit)
            else:
                inserted.append((write.job, seq))
        return inserted, refused

    def _statement(self) -> tuple[str, list[Any]]:
        """What writes them: one value in place of many equal ones costs both sides less."""
        columns = list(zip(*(values for _, _, values in self._rows), strict=True))
        parameters: list[Any] = [*columns[: texts.SEQ], *columns[texts.SEQ + 1 : self._width], columns[-1]]
        common = [n for n, name in enumerate(texts.insert_names(self._width)) if name in texts.ALIKE]
        alike = self._width < texts.WIDTH and all(
            parameters[n].count(parameters[n][0]) == len(parameters[n]) for n in common
        )
        if alike:
            for n in common:
                parameters[n] = parameters[n][0]
        return texts.insert_jobs(self._width, alike), parameters

    def _epochs(self) -> list[int | None]:
        return [write.epoch if write.job.state == RUNNING else None for _, write, _ in self._rows]


def _taken_by(job: Job) -> set[tuple[Any, ...]]:
    taken: set[tuple[Any, ...]] = set()
    if job.key is not None:
        taken.add(("key", job.key))
    if job.unique_key is not None and job.state not in FINAL:
        taken.add(("unique", job.unique_key))
    if job.schedule is not None and job.tick is not None:
        taken.add(("tick", job.schedule, job.tick))
    return taken
