"""Lists and pages, through one read-only connection with a thread of its own: they never stand in the writer's way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import aiosqlite

from easyjobs.core.job import Attempt, Job, LogLine, Session
from easyjobs.core.schedule import Schedule
from easyjobs.core.states import STATES, State
from easyjobs.errors import StoreUnavailable
from easyjobs.stores.base import JobQuery, KnownTask, Page, Pause, Retention
from easyjobs.stores.documents import schedules_of, tasks_of
from easyjobs.stores.sqlite import texts
from easyjobs.stores.sqlite.reading import tolerant
from easyjobs.stores.sqlite.tally import Tally

CACHE_KIB: Final = 2_000
UNCOMMON: Final = frozenset(("waiting", "retry", "failed", "cancelled", "skipped"))  # the states of jobs_uncommon
WINDOW: Final = 50_000  # rows that one look for old jobs passes over


class Reader:
    """Reads what is committed. `open` after the writer has made the file; `close`, or its thread never ends."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: aiosqlite.Connection | None = None

    async def open(self) -> None:
        """Connect."""
        self._connection = await aiosqlite.connect(f"file:{quote(self._path)}?mode=ro", uri=True, isolation_level=None)
        self._connection.text_factory = tolerant
        await self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")

    async def close(self) -> None:
        """Disconnect. May be called twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _rows(self, statement: str, *parameters: Any) -> list[Any]:
        if self._connection is None:
            raise StoreUnavailable("The store is not open.")
        return list(await self._connection.execute_fetchall(statement, parameters))

    async def page(self, statement: str, parameters: Sequence[Any], limit: int) -> Page:
        """The page that a `page_statement` describes."""
        found = [Job(*row) for row in await self._rows(statement, *parameters)]
        items = found[:limit]
        return Page(items, items[-1].seq if len(found) > len(items) else None)

    async def overdue(self, now: float, limit: int) -> list[Job]:
        """Jobs that should have started by `now`."""
        statement = (
            f"SELECT {texts.JOB} FROM jobs INDEXED BY jobs_deadline"
            " WHERE deadline IS NOT NULL AND ready IS NOT NULL AND deadline <= ? ORDER BY deadline, seq LIMIT ?"
        )
        return [Job(*row) for row in await self._rows(statement, now, limit)]

    async def late(self, now: float, limit: int, told: bool) -> list[Job]:
        """Jobs that should have begun by `now`; those of which somebody was `told`, or the others."""
        which = "late_at < 0 AND failures = 0 AND crashes = 0" if told else "late_at >= 0 AND late_at <= ?1"
        statement = (
            f"SELECT {texts.BARE_JOB.format() if told else texts.JOB} FROM jobs INDEXED BY jobs_late"
            f" WHERE late_at IS NOT NULL AND ready IS NOT NULL AND {which}"
            " AND (turn IS NULL OR turn NOT IN ('gather', 'close') OR state <> 'waiting')"
            f" ORDER BY late_at{' DESC' if told else ''}, seq LIMIT ?2"
        )
        return [Job(*row) for row in await self._rows(statement, now, limit)]

    async def by_run(self, runs: Sequence[str]) -> dict[str, dict[State, int]]:
        """The jobs of some runs by state."""
        found: dict[str, dict[State, int]] = {}
        for size, part in texts.slices(list(dict.fromkeys(runs))):
            for run, state, jobs in await self._rows(texts.select(_BY_RUN, size), *part):
                found.setdefault(run, {})[state] = jobs
        return found

    async def attempts(self, id: str) -> list[Attempt]:
        """Past attempts, oldest first."""
        statement = (
            f"SELECT jobs.id, {', '.join(f'attempts.{c}' for c in _ATTEMPT[1:])} FROM jobs"
            " JOIN attempts ON attempts.job = jobs.seq WHERE jobs.id = ? ORDER BY attempts.attempt"
        )
        return [Attempt(*row) for row in await self._rows(statement, id)]

    async def logs(self, id: str, after: int, limit: int) -> list[LogLine]:
        """Lines after `after`, oldest first."""
        statement = (
            f"SELECT {texts.LOG_LINE} FROM logs WHERE job = (SELECT seq FROM jobs WHERE id = ?) AND n > ?"
            " ORDER BY n LIMIT ?"
        )
        return [LogLine(*row) for row in await self._rows(statement, id, after, limit)]

    async def sessions(self, lost_since: float | None) -> list[Session]:
        """Live ones, and those lost since."""
        statement = f"SELECT {texts.SESSION} FROM sessions WHERE state = 'live' OR ended_at >= ? ORDER BY id"
        return [Session(*row) for row in await self._rows(statement, lost_since)]

    async def tasks(self) -> list[KnownTask]:
        """All that can be read; a specification that cannot is left out until a worker registers it again."""
        return tasks_of(await self._rows("SELECT spec, seen_at, idle_since FROM tasks ORDER BY queue, name, signature"))

    async def pauses(self) -> list[Pause]:
        """All that is paused."""
        return [Pause(*row) for row in await self._rows("SELECT kind, name, by, at FROM pauses ORDER BY kind, name")]

    async def schedules(self) -> list[Schedule]:
        """All that can be read; a rule that cannot is left out, and stays as it is."""
        return schedules_of(await self._rows("SELECT row, version FROM schedules ORDER BY id"))

    async def oldest(self, limit: int) -> list[int]:
        """The numbers of the `limit` oldest jobs that have ended, lowest first."""
        statement = f"SELECT seq FROM jobs WHERE finished_at IS NOT NULL AND {_ALONE} ORDER BY seq LIMIT ?"
        return [seq for (seq,) in await self._rows(statement, limit)]

    async def old(self, retention: Retention, now: float, after: int, limit: int) -> tuple[list[int], int]:
        """Jobs that ended too long ago: up to `limit` numbers, lowest first, above `after` and within one window; and
        the number after which to go on, 0 when the end of the table was reached.
        """
        bounds = "SELECT min(seq), (SELECT max(seq) FROM jobs) FROM jobs WHERE seq > ?"
        ((first, last),) = await self._rows(bounds, after)
        if first is None:
            return [], 0
        end = first + WINDOW - 1
        statement = (
            "SELECT seq FROM jobs WHERE seq BETWEEN ? AND ? AND finished_at <= iif(state = 'completed', ?, ?)"
            f" AND {_ALONE} ORDER BY seq LIMIT ?"
        )
        rows = await self._rows(statement, first, end, now - retention.completed, now - retention.others, limit)
        seqs = [seq for (seq,) in rows]
        if len(seqs) == limit:
            return seqs, seqs[-1]
        return seqs, 0 if end >= last else end


# of no run, or of one that is gone: the jobs of a run are what it takes results of, and what a repetition keeps
_ALONE: Final = "(run IS NULL OR run = id OR NOT EXISTS (SELECT 1 FROM jobs AS whole WHERE whole.id = jobs.run))"
_BY_RUN: Final = (
    "SELECT run, state, count(*) FROM jobs INDEXED BY jobs_run WHERE run IN {} AND id <> run GROUP BY run, state"
)
_ATTEMPT: Final = [f'"{name}"' for name in Attempt.__struct_fields__]


def page_statement(query: JobQuery, tally: Tally) -> tuple[str, list[Any]]:
    """The statement of a page and its parameters; an empty one when the tally knows of no such job."""
    if query.state is not None and query.state not in STATES:
        return "", []
    matching, total = tally.matching(query.queue, query.task, query.state)
    if not matching:
        return "", []
    conditions: list[str] = []
    parameters: list[Any] = []
    for condition, value in (
        ("queue = ?", query.queue),
        ("task = ?", query.task),
        ("worker = ?", query.worker),
        ("run = ?", query.run),
        ("parent = ?", query.parent),
        ("schedule = ?", query.schedule),
        ("created_at >= ?", query.since),
        ("created_at < ?", query.until),
        ("seq < ?", query.before),
    ):
        if value is not None:
            conditions.append(condition)
            parameters.append(value)
    if query.runs:
        conditions += [texts.RUN, *([texts.UNDER_WAY] if query.state == "waiting" else [])]
    if query.state is not None:
        conditions.append(f"state = '{query.state}'")  # a literal: a partial index is of no use to a parameter
    if query.text is not None:
        places = ("id", "task", "args", "kwargs", "error", "worker")
        conditions.append(f"({' OR '.join(f'instr({place}, ?) > 0' for place in places)})")
        parameters += [query.text] * len(places)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    statement = f"SELECT {texts.JOB} FROM jobs {_way(query, matching, total)}{where} ORDER BY seq DESC LIMIT ?"
    return statement, [*parameters, query.limit + 1]


def _way(query: JobQuery, matching: int, total: int) -> str:
    """The index to go by. SQLite keeps no statistics of these rows; the tally does."""
    if query.run is not None:
        return "INDEXED BY jobs_run"
    if query.parent is not None:
        return "INDEXED BY jobs_parent"
    if query.schedule is not None:
        return "INDEXED BY jobs_schedule"
    if query.state == "running" or (query.runs and query.state == "waiting"):
        return "INDEXED BY jobs_running"
    if query.runs:
        return "INDEXED BY jobs_runs"
    if query.state in UNCOMMON:
        return "INDEXED BY jobs_uncommon"
    if query.queue is not None and query.task is not None:
        return "INDEXED BY jobs_task"
    # back through the table it is about limit * total / matching rows to a full page; by the index all that match
    if query.queue is not None and matching * matching < (query.limit + 1) * total:
        return "INDEXED BY jobs_task"
    return "NOT INDEXED"
