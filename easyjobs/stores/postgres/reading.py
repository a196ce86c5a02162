"""Rows to structs, on whichever connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from easyjobs.core.job import Edge, Job
from easyjobs.stores.postgres import texts
from easyjobs.stores.postgres.channel import Connection

_BY_ID: Final = f"SELECT {texts.JOB} FROM jobs WHERE id = ANY($1::text[])"
_BARE_BY_ID: Final = f"SELECT {texts.BARE_JOB} FROM jobs WHERE id = ANY($1::text[])"
_BY_SEQ: Final = f"SELECT {texts.JOB} FROM jobs WHERE seq = ANY($1::bigint[])"
_WAITING: Final = (
    f"SELECT {texts.EDGE}, {texts.JOBS_JOB} FROM edges JOIN jobs ON jobs.id = edges.follower"
    " WHERE edges.prerequisite = ANY($1::text[]) AND NOT counted"
    " AND (jobs.state = 'waiting' OR (bad = 'count' AND jobs.state = 'queued'))"
)
_EDGES: Final = f"SELECT {texts.EDGE} FROM edges WHERE follower = ANY($1::text[])"
_LIVE_OF: Final = (
    f"SELECT {texts.JOB} FROM jobs WHERE schedule IS NOT NULL AND schedule = ANY($1::text[]) AND {texts.LIVE}"
    " ORDER BY seq"
)
_COMING: Final = " UNION ".join(
    f"(SELECT {texts.JOB} FROM jobs WHERE {which} AND queue = $1 AND task = $2 LIMIT $3)"
    for which in (
        "state = 'running'",
        "ready = 1 AND state = 'queued'",
        "ready IN (0, 2) AND state = 'waiting'",
        "ready = 1 AND state = 'waiting'",
        "state = 'retry'",
    )
)
_FRESH: Final = "SELECT key, at FROM fresh WHERE key = ANY($1::text[])"


async def jobs_by_id(connection: Connection, ids: Sequence[str], bare: bool = False) -> dict[str, Job]:
    """Those of the jobs that exist, by id."""
    return {row[0]: Job(*row) for row in await connection.fetch(_BARE_BY_ID if bare else _BY_ID, list(ids))}


async def jobs_by_seq(connection: Connection, seqs: Sequence[int]) -> list[Job]:
    """Those of the jobs that exist, in any order."""
    return [Job(*row) for row in await connection.fetch(_BY_SEQ, list(seqs))]


async def followers(connection: Connection, ids: Sequence[str]) -> dict[str, list[tuple[Edge, Job]]]:
    """Who waits for each of some jobs, oldest first."""
    waiting: dict[str, list[tuple[Edge, Job]]] = {}
    width = len(Edge.__struct_fields__)
    rows = [tuple(row) for row in await connection.fetch(_WAITING, list(ids))]
    pairs = [(Edge(*row[:width]), Job(*row[width:])) for row in rows]
    for edge, job in sorted(pairs, key=lambda pair: pair[1].seq):
        waiting.setdefault(edge.prerequisite, []).append((edge, job))
    return waiting


async def edges(connection: Connection, ids: Sequence[str]) -> list[Edge]:
    """What some jobs waited for, by follower and prerequisite."""
    found = [Edge(*row) for row in await connection.fetch(_EDGES, list(ids))]
    return sorted(found, key=lambda edge: (edge.follower, edge.prerequisite))


async def live_of(connection: Connection, schedules: Sequence[str]) -> dict[str, list[Job]]:
    """Jobs of some schedules that have not ended, oldest first."""
    live: dict[str, list[Job]] = {}
    for row in await connection.fetch(_LIVE_OF, list(schedules)):
        job = Job(*row)
        live.setdefault(job.schedule or "", []).append(job)
    return live


async def coming(connection: Connection, queue: str, task: str, limit: int) -> list[Job]:
    """Jobs of a task that run, may be claimed, wait, or are to be tried again: up to `limit` of each, oldest first."""
    rows = await connection.fetch(_COMING, queue, task, limit)
    return sorted((Job(*row) for row in rows), key=lambda job: job.seq)


async def fresh(connection: Connection, keys: Sequence[str]) -> dict[str, float]:
    """When a job last completed that serves each of some keys."""
    return dict(await connection.fetch(_FRESH, list(keys)))
