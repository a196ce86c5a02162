"""Rows to structs, on whichever connection, so that a row that cannot be read harms no other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from sqlite3 import Connection
from typing import Any, Final

from easyjobs.core.job import Edge, Job, Lane
from easyjobs.stores.sqlite import texts
from easyjobs.stores.sqlite.failures import is_undecodable

WAITING: Final = (
    f"SELECT {texts.EDGE}, {texts.QUALIFIED_JOB} FROM edges CROSS JOIN jobs ON jobs.id = edges.follower"
    " WHERE edges.prerequisite IN {} AND counted = 0"
    " AND (jobs.state = 'waiting' OR (bad = 'count' AND jobs.state = 'queued'))"
)
EDGES: Final = f"SELECT {texts.EDGE} FROM edges INDEXED BY edges_follower WHERE follower IN {{}}"
LIVE_OF: Final = (
    f"SELECT {texts.JOB} FROM jobs INDEXED BY jobs_live_tick WHERE schedule IS NOT NULL AND schedule IN {{}}"
    f" AND {texts.LIVE}"
)
COMING: Final = tuple(
    f"SELECT {texts.JOB} FROM jobs INDEXED BY {index} WHERE {which} AND queue = ? AND task = ? LIMIT ?"
    for index, which in (
        ("jobs_running", "state = 'running'"),
        ("jobs_ready", "ready = 1"),
        ("jobs_held", "ready = 2"),
        ("jobs_uncommon", "state = 'retry'"),
    )
)
# INDEXED BY: a plan that is not this one must be an error, not a slow surprise among many finished rows
HELD: Final = (
    "SELECT seq, state = 'waiting' AND ready = 1 FROM jobs INDEXED BY jobs_running"
    f" WHERE {texts.UNDER_WAY} AND holds = ?"
)
READY_LANES: Final = "SELECT queue, task, signature FROM jobs INDEXED BY jobs_ready WHERE ready = 1"
FIRST: Final = " ORDER BY queue, task, signature LIMIT 1"
AFTER: Final = ("queue = ? AND task = ? AND signature > ?", "queue = ? AND task > ?", "queue > ?")
FRESH: Final = "SELECT key, at FROM fresh WHERE key IN {}"


def tolerant(raw: bytes) -> str:
    r"""The text of a column. Bytes that are not UTF-8 are written `\xNN`: no JSON, as whoever reads it will find."""
    return raw.decode("utf-8", "backslashreplace")


def fetch(connection: Connection, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
    """All rows; texts that are not UTF-8 come as `tolerant` has them, and cost time only where there are some."""
    try:
        return connection.execute(statement, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if not is_undecodable(error):
            raise
    connection.text_factory = tolerant
    try:
        return connection.execute(statement, parameters).fetchall()
    finally:
        connection.text_factory = str


def each(connection: Connection, statement: str, values: Sequence[Any]) -> Iterator[Any]:
    """The rows of a statement with one `{}` for a list, for all `values`, each once."""
    for size, part in texts.slices(list(dict.fromkeys(values))):
        yield from fetch(connection, texts.select(statement, size), part)


def jobs_by_id(connection: Connection, ids: Sequence[str], bare: bool = False) -> dict[str, Job]:
    """Those of the jobs that exist, by id."""
    rows = each(connection, f"SELECT {texts.BARE_JOB if bare else texts.JOB} FROM jobs WHERE id IN {{}}", ids)
    return {row[0]: Job(*row) for row in rows}


def jobs_by_seq(connection: Connection, seqs: Sequence[int]) -> list[Job]:
    """Those of the jobs that exist, oldest first."""
    rows = each(connection, f"SELECT {texts.JOB} FROM jobs WHERE seq IN {{}}", sorted(seqs))
    return sorted((Job(*row) for row in rows), key=lambda job: job.seq)


def followers(connection: Connection, ids: Sequence[str]) -> dict[str, list[tuple[Edge, Job]]]:
    """Who waits for each of some jobs, oldest first."""
    waiting: dict[str, list[tuple[Edge, Job]]] = {}
    width = len(Edge.__struct_fields__)
    pairs = [(Edge(*row[:width]), Job(*row[width:])) for row in each(connection, WAITING, ids)]
    for edge, job in sorted(pairs, key=lambda pair: pair[1].seq):
        waiting.setdefault(edge.prerequisite, []).append((edge, job))
    return waiting


def edges(connection: Connection, ids: Sequence[str]) -> list[Edge]:
    """What some jobs waited for, by follower and prerequisite."""
    found = [Edge(*row) for row in each(connection, EDGES, ids)]
    return sorted(found, key=lambda edge: (edge.follower, edge.prerequisite))


def live_of(connection: Connection, schedules: Sequence[str]) -> dict[str, list[Job]]:
    """Jobs of some schedules that have not ended, oldest first."""
    live: dict[str, list[Job]] = {}
    jobs = [Job(*row) for row in each(connection, LIVE_OF, schedules)]
    for job in sorted(jobs, key=lambda job: job.seq):
        live.setdefault(job.schedule or "", []).append(job)
    return live


def coming(connection: Connection, queue: str, task: str, limit: int) -> list[Job]:
    """Jobs of a task that run, may be claimed, wait, or are to be tried again: up to `limit` of each, oldest first."""
    rows = {row[texts.SEQ]: row for statement in COMING for row in fetch(connection, statement, (queue, task, limit))}
    return [Job(*row) for _, row in sorted(rows.items())]


def fresh(connection: Connection, keys: Sequence[str]) -> dict[str, float]:
    """When a job last completed that serves each of some keys."""
    return dict(each(connection, FRESH, keys))


def held(connection: Connection, counter: str) -> list[tuple[int, bool]]:
    """The `seq` of the jobs that run or wait and hold a counter, and whether all that it waited for has ended."""
    return connection.execute(HELD, (counter,)).fetchall()


def ready_lanes(connection: Connection) -> list[Lane]:
    """Where something is ready, in order: a look into the index or three for each lane, however many jobs it has."""
    found: list[Lane] = []
    try:
        at = _lane_after(connection, ())
        while at is not None:
            found.append(Lane(*at))
            at = _lane_after(connection, at)
    except sqlite3.OperationalError as error:
        if not is_undecodable(error):
            raise
        return sorted(Lane(*row) for row in fetch(connection, READY_LANES.replace("SELECT", "SELECT DISTINCT", 1)))
    return found


def _lane_after(connection: Connection, at: tuple[str, ...]) -> tuple[str, str, str] | None:
    """The next one of the same task, else of the same queue, else of another one."""
    if not at:
        found: tuple[str, str, str] | None = connection.execute(f"{READY_LANES}{FIRST}").fetchone()
        return found
    for more in AFTER:
        found = connection.execute(f"{READY_LANES} AND {more}{FIRST}", at[: more.count("?")]).fetchone()
        if found is not None:
            return found
    return None
