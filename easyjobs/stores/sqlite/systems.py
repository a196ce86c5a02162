"""The process units of machines as a claim finds them, inside its transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from sqlite3 import Connection
from typing import Any, Final, Protocol

from easyjobs.core.job import Lane
from easyjobs.core.placement import Systems

_CAPACITY: Final = "SELECT system, min(units) FROM sessions WHERE state = 'live' AND units IS NOT NULL GROUP BY system"
_RUNNING: Final = (
    "SELECT sessions.system, queue, task, signature, count(*)"
    " FROM jobs INDEXED BY jobs_running JOIN sessions ON sessions.id = jobs.session"
    " WHERE jobs.state = 'running'"
)
_BY_LANE: Final = " GROUP BY sessions.system, queue, task, signature"


class Row(Protocol):
    """What is known of a ready job."""

    @property
    def seq(self) -> int:
        """The key of its row."""

    @property
    def lane(self) -> Lane:
        """The lane in which it waits."""


def systems_of(connection: Connection, units: Mapping[Lane, int]) -> Systems[Any]:
    """What each machine has, and what the jobs take that run there."""

    def taken(condition: str = "", *parameters: Any) -> Counter[str]:
        found: Counter[str] = Counter()
        for system, queue, task, signature, jobs in connection.execute(_RUNNING + condition + _BY_LANE, parameters):
            found[system] += jobs * units.get(Lane(queue, task, signature), 1)
        return found

    def overtaken(system: str, waiting: Row) -> int:
        began = " AND sessions.system = ? AND jobs.started_at >= (SELECT run_at FROM jobs WHERE seq = ?)"
        return taken(began, system, waiting.seq)[system]

    return Systems(units, dict(connection.execute(_CAPACITY).fetchall()), taken(), overtaken)
