"""What waits for what, in a segment: edges that are added, prerequisites that were joined, followers that are released.

Ids of followers are not known before the edges are read, so a segment that touched a job which turns out to be a
follower is refused, and its units go on one by one: the order of the two mattered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from easyjobs.core.changes import AddEdge
from easyjobs.core.states import WAITING
from easyjobs.stores.postgres import texts
from easyjobs.stores.postgres.bulk import Bulk
from easyjobs.stores.postgres.channel import Connection
from easyjobs.stores.postgres.refusal import Refused


class Links:
    """Gathered by a segment; each of the two writings once, in its transaction."""

    def __init__(self) -> None:
        self.joined: dict[str, int] = {}  # prerequisite -> how many edges more begin there
        self.completed: dict[str, bool] = {}  # prerequisites whose followers are to be released, or only those inside
        self.begun: set[str] = set()  # prerequisites of the edges that are added
        self.queued: list[str] = []  # followers that were
        self._edges: list[tuple[str, str, str]] = []

    def add(self, write: AddEdge) -> None:
        """Take an edge. One of a prerequisite in `completed` would come too late."""
        edge = write.edge
        self.begun.add(edge.prerequisite)
        self._edges.append((edge.prerequisite, edge.follower, edge.bad))
        if write.join:
            self.joined[edge.prerequisite] = self.joined.get(edge.prerequisite, 0) + 1

    async def write_edges(self, connection: Connection) -> None:
        """Write what was added.

        :raises Refused: a prerequisite that was joined is not there, or has ended.
        """
        if self.joined:
            joins = Bulk(texts.JOIN_JOBS)
            for join in self.joined.items():
                joins.add(0, join)
            if joins.refused(await joins.run(connection)):
                raise Refused
        if self._edges:
            await connection.execute(texts.ADD_EDGES, *zip(*self._edges, strict=True))

    async def release(self, connection: Connection, now: float, touched: Collection[str]) -> None:
        """Count the edges of what has completed. After all that was added, and all else of the segment.

        :raises Refused: one of the followers is among `touched`, other than as joined.
        """
        times: Counter[str] = Counter()
        for which, statement in ((False, texts.COUNT_EDGES), (True, texts.COUNT_EDGES_INSIDE)):
            ids = [id for id, inside in self.completed.items() if inside is which]
            if ids:
                times.update(follower for (follower,) in await connection.fetch(statement, ids))
        if not times:
            return
        rows: list[tuple[Any, ...]] = []
        for id, state, left, run_at, turn in await connection.fetch(texts.LOCK_FOLLOWERS, list(times)):
            if id in touched and id not in self.joined:
                raise Refused
            ready = None
            if state == WAITING and 0 < left <= times[id]:
                ready = int(turn in ("gather", "close") or run_at <= now)
                self.queued.append(id)
            rows.append((id, times[id], ready))
        if rows:
            await connection.execute(texts.COUNT_DOWN, *zip(*rows, strict=True))
