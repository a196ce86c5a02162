"""Lists, pages and counts: each is one statement on a connection beside the writer's."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, cast

from easyjobs.core.job import Attempt, Job, Lane, LogLine, Session
from easyjobs.core.schedule import Schedule
from easyjobs.core.states import FINAL, STATES, State
from easyjobs.stores.base import Count, JobQuery, KnownTask, Page, Pause, Retention
from easyjobs.stores.documents import schedules_of, tasks_of
from easyjobs.stores.postgres import texts
from easyjobs.stores.postgres.channel import Connection
from easyjobs.stores.postgres.failures import UNWRITABLE

# from each lane to the next one by the index: reading all that is ready takes as long as there is much of it
_LANES: Final = (
    "WITH RECURSIVE lane AS ((SELECT queue, task, signature FROM jobs WHERE ready = 1"
    " ORDER BY queue, task, signature LIMIT 1) UNION ALL SELECT next.* FROM lane CROSS JOIN LATERAL"
    " (SELECT queue, task, signature FROM jobs WHERE ready = 1"
    " AND (queue, task, signature) > (lane.queue, lane.task, lane.signature)"
    " ORDER BY queue, task, signature LIMIT 1) AS next) SELECT * FROM lane"
)
_COUNTS: Final = (
    "SELECT queue, task, state, count(*) FROM jobs WHERE ready = 1 GROUP BY 1, 2, 3"
    " UNION ALL SELECT queue, task, state, count(*) FROM jobs WHERE ready IN (0, 2) GROUP BY 1, 2, 3"
    " UNION ALL SELECT queue, task, 'running', count(*) FROM jobs WHERE state = 'running' GROUP BY 1, 2"
)
_BY_RUN: Final = "SELECT run, state, count(*) FROM jobs WHERE run = ANY($1::text[]) AND run <> id GROUP BY run, state"
_ENDED: Final = f"SELECT state, count(*) FROM jobs WHERE {texts.ENDED} GROUP BY state"


async def running(connection: Connection, which: str = "") -> list[Job]:
    """All that run, oldest first."""
    statement = f"SELECT {texts.JOB} FROM jobs WHERE state = 'running'{which} ORDER BY seq"
    return [Job(*row) for row in await connection.fetch(statement)]


async def cancelling(connection: Connection) -> list[Job]:
    """Those that run and are to stop."""
    return await running(connection, " AND cancel IS NOT NULL")


async def lanes(connection: Connection) -> list[Lane]:
    """Where something is ready."""
    return [Lane(*row) for row in await connection.fetch(_LANES)]


async def counts(connection: Connection) -> list[Count]:
    """Live jobs by queue, task and state."""
    jobs: Counter[tuple[str, str, State]] = Counter()
    for queue, task, state, number in await connection.fetch(_COUNTS):
        jobs[queue, task, state] += number
    return [Count(*key, number) for key, number in sorted(jobs.items())]


async def totals(connection: Connection) -> dict[State, int]:
    """All jobs by state."""
    jobs: Counter[State] = Counter()
    for _, _, state, number in await connection.fetch(_COUNTS):
        jobs[state] += number
    jobs.update({cast(State, state): number for state, number in await connection.fetch(_ENDED)})
    return dict(jobs)


async def size(connection: Connection) -> int:
    """About how many bytes the jobs take."""
    return round(sum((await totals(connection)).values()) * await _width(connection))


async def surplus(connection: Connection, retention: Retention, most: int) -> int:
    """How many of the jobs that have ended are too many, by number or by size; at most `most`."""
    if retention.rows is None and retention.bytes is None:
        return 0
    jobs = await totals(connection)
    ended = sum(number for state, number in jobs.items() if state in FINAL)
    many = 0 if retention.rows is None else ended - retention.rows
    if retention.bytes is not None and ended:
        width = await _width(connection)
        many = max(many, math.ceil((sum(jobs.values()) * width - retention.bytes) / width))
    return max(0, min(many, ended, most))


async def _width(connection: Connection) -> float:
    """Bytes of a row, by the newest ones."""
    sample = "SELECT avg(pg_column_size(new)) FROM (SELECT * FROM jobs ORDER BY seq DESC LIMIT 1000) AS new"
    return float(await connection.fetchval(sample) or 0.0)


async def next_due(connection: Connection) -> float | None:
    """The earliest `run_at` among jobs that are not ready yet."""
    return cast(
        float | None, await connection.fetchval("SELECT run_at FROM jobs WHERE ready = 0 ORDER BY run_at, seq LIMIT 1")
    )


async def overdue(connection: Connection, now: float, limit: int) -> list[Job]:
    """Jobs that should have started by `now`."""
    statement = (
        f"SELECT {texts.JOB} FROM jobs WHERE deadline IS NOT NULL AND ready IS NOT NULL AND deadline <= $1"
        " ORDER BY deadline, seq LIMIT $2"
    )
    return [Job(*row) for row in await connection.fetch(statement, now, limit)]


async def late(connection: Connection, now: float, limit: int, told: bool) -> list[Job]:
    """Jobs that should have begun by `now`; those of which somebody was `told`, or the others."""
    which = "late_at < 0 AND failures = 0 AND crashes = 0" if told else "late_at >= 0 AND late_at <= $2"
    statement = (
        f"SELECT {texts.BARE_JOB if told else texts.JOB} FROM jobs"
        f" WHERE late_at IS NOT NULL AND ready IS NOT NULL AND {which}"
        " AND (turn IS NULL OR turn NOT IN ('gather', 'close') OR state <> 'waiting')"
        f" ORDER BY late_at{' DESC' if told else ''}, seq LIMIT $1"
    )
    return [Job(*row) for row in await connection.fetch(statement, limit, *([] if told else [now]))]


async def by_run(connection: Connection, runs: Sequence[str]) -> dict[str, dict[State, int]]:
    """The jobs of some runs by state."""
    found: dict[str, dict[State, int]] = {}
    for run, state, jobs in await connection.fetch(_BY_RUN, list(runs)):
        found.setdefault(run, {})[state] = jobs
    return found


async def attempts(connection: Connection, id: str) -> list[Attempt]:
    """Past attempts, oldest first."""
    statement = (
        f"SELECT {', '.join(f'attempts.{c}' for c in texts.ATTEMPT.split(', '))} FROM jobs"
        " JOIN attempts ON attempts.job = jobs.seq WHERE jobs.id = $1 ORDER BY attempts.attempt"
    )
    return [Attempt(id, *row) for row in await connection.fetch(statement, id)]


async def logs(connection: Connection, id: str, after: int, limit: int) -> list[LogLine]:
    """Lines after `after`, oldest first."""
    statement = (
        f"SELECT {texts.LOG_LINE} FROM logs WHERE job = (SELECT seq FROM jobs WHERE id = $1) AND n > $2"
        " ORDER BY n LIMIT $3"
    )
    return [LogLine(*row) for row in await connection.fetch(statement, id, after, limit)]


async def sessions(connection: Connection, lost_since: float | None) -> list[Session]:
    """Live ones, and those lost since."""
    statement = f"SELECT {texts.SESSION} FROM sessions WHERE state = 'live' OR ended_at >= $1 ORDER BY id"
    return [Session(*row) for row in await connection.fetch(statement, lost_since)]


async def tasks(connection: Connection) -> list[KnownTask]:
    """All that can be read; a specification that cannot is left out until a worker registers it again."""
    return tasks_of(
        await connection.fetch("SELECT spec, seen_at, idle_since FROM tasks ORDER BY queue, name, signature")
    )


async def pauses(connection: Connection) -> list[Pause]:
    """All that is paused."""
    return [Pause(*row) for row in await connection.fetch("SELECT kind, name, by, at FROM pauses ORDER BY kind, name")]


async def schedules(connection: Connection) -> list[Schedule]:
    """All that can be read; a rule that cannot is left out, and stays as it is."""
    return schedules_of(await connection.fetch("SELECT document, version FROM schedules ORDER BY id"))


async def page(connection: Connection, query: JobQuery) -> Page:
    """One page, newest first."""
    if query.state is not None and query.state not in STATES:
        return Page([], None)
    try:
        rows = await connection.fetch(*page_statement(query))
    except UNWRITABLE:
        return Page([], None)  # no row can hold what is looked for
    found = [Job(*row) for row in rows]
    items = found[: query.limit]
    return Page(items, items[-1].seq if len(found) > len(items) else None)


def page_statement(query: JobQuery) -> tuple[Any, ...]:
    """The statement of a page, and its parameters."""
    conditions: list[str] = []
    parameters: list[Any] = []

    def must(condition: str, value: Any) -> None:
        if value is not None:
            parameters.append(value)
            conditions.append(condition.format(f"${len(parameters)}"))

    must("queue = {}", query.queue)
    must("task = {}", query.task)
    must("worker = {}", query.worker)
    must("run = {}", query.run)
    must("parent = {}", query.parent)
    must("schedule = {}", query.schedule)
    must("created_at >= {}", query.since)
    must("created_at < {}", query.until)
    must("seq < {}", query.before)
    if query.text is not None:
        places = ("id", "task", "args", "kwargs", "error", "worker")
        must(f"({' OR '.join(f'strpos({place}, {{0}}) > 0' for place in places)})", query.text)
    if query.runs:
        conditions.append("turn IN ('expand', 'close')")
    parameters.append(query.limit + 1)
    if query.state is not None:
        branches = [f"state = '{query.state}'"]  # a literal: a partial index is of no use to a parameter
        if query.state in FINAL:
            branches[0] += f" AND {texts.ENDED}"
    elif query.queue is not None and not query.runs:
        branches = [texts.LIVE, texts.ENDED]  # each has its index
    else:
        branches = ["true"]
    statement = " UNION ALL ".join(
        f"(SELECT {texts.JOB} FROM jobs WHERE {' AND '.join([branch, *conditions])} ORDER BY seq DESC"
        f" LIMIT ${len(parameters)})"
        for branch in branches
    )
    if len(branches) > 1:
        statement += f" ORDER BY seq DESC LIMIT ${len(parameters)}"
    return statement, *parameters
