"""The process units of machines as a claim finds them, inside its transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from easyjobs.core.job import Job, Lane
from easyjobs.core.placement import Systems
from easyjobs.stores.postgres.channel import Connection

_CAPACITY: Final = (
    "SELECT system, min(units) FROM sessions WHERE state = 'live' AND units IS NOT NULL AND system = ANY($1::text[])"
    " GROUP BY system"
)
_RUNNING: Final = (
    "SELECT sessions.system, queue, task, signature, jobs.started_at, count(*)"
    " FROM jobs JOIN sessions ON sessions.id = jobs.session"
    " WHERE jobs.state = 'running' AND sessions.system = ANY($1::text[]) GROUP BY 1, 2, 3, 4, 5"
)


async def systems_of(connection: Connection, units: Mapping[Lane, int], machines: Sequence[str]) -> Systems[Job]:
    """What each of `machines` has, and what the jobs take that run there."""
    capacity = dict(await connection.fetch(_CAPACITY, machines))
    running = [
        (system, began, jobs * units.get(Lane(queue, task, signature), 1))
        for system, queue, task, signature, began, jobs in await connection.fetch(_RUNNING, machines)
    ]
    used: dict[str, int] = {}
    for system, _, taken in running:
        used[system] = used.get(system, 0) + taken

    def overtaken(machine: str, waiting: Job) -> int:
        return sum(
            taken
            for system, began, taken in running
            if system == machine and began is not None and began >= waiting.run_at
        )

    return Systems(units, capacity, used, overtaken)
