"""What waits for what, in a segment: edges that are added, prerequisites that were joined, followers that are released.

Ids of followers are not known before the edges are read, so a segment that touched a job which turns out to be a
follower raises, and its caller goes on unit by unit: the order of the two mattered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from sqlite3 import Connection
from typing import Any, Final

from easyjobs.core.changes import AddEdge
from easyjobs.core.states import QUEUED, WAITING
from easyjobs.stores.sqlite import texts
from easyjobs.stores.sqlite.failures import GuardFailed
from easyjobs.stores.sqlite.reading import each
from easyjobs.stores.sqlite.tally import Key

FOLLOWERS: Final = (
    "SELECT jobs.id, jobs.seq, queue, task, state, deps_left, run_at, turn FROM edges CROSS JOIN jobs"
    " ON jobs.id = edges.follower WHERE edges.prerequisite IN {} AND counted = 0"
)
COUNTED: Final = "UPDATE edges SET counted = 1 WHERE prerequisite IN {} AND counted = 0"
INSIDE: Final = (
    " AND EXISTS (SELECT 1 FROM jobs AS part WHERE part.id = edges.follower AND part.run = edges.prerequisite)"
)
FORGET: Final = "DELETE FROM edges WHERE follower IN {}"


class Links:
    """Gathered by a segment; each of the two writings once, in its transaction."""

    def __init__(self) -> None:
        self.joined: dict[str, int] = {}  # prerequisite -> how many edges more begin there
        self.completed: dict[str, bool] = {}  # prerequisites whose followers are to be released, or only those inside
        self.begun: set[str] = set()  # prerequisites of the edges that are added
        self.queued: list[int] = []  # seq of the followers that were
        self._edges: list[Any] = []

    def add(self, write: AddEdge) -> None:
        """Take an edge. One of a prerequisite in `completed` would come too late."""
        edge = write.edge
        self.begun.add(edge.prerequisite)
        self._edges += (edge.prerequisite, edge.follower, edge.bad)
        if write.join:
            self.joined[edge.prerequisite] = self.joined.get(edge.prerequisite, 0) + 1

    def write_edges(self, connection: Connection) -> None:
        """Write what was added.

        :raises GuardFailed: a prerequisite that was joined is not there, or has ended.
        """
        for size, part in texts.slices([value for join in self.joined.items() for value in join], 2):
            if connection.execute(texts.join_jobs(size), part).rowcount != size:
                raise GuardFailed
        for size, part in texts.slices(self._edges, 3):
            connection.execute(texts.insert("edges", texts.EDGE, 3, size), part)

    def release(self, connection: Connection, now: float, touched: Collection[str]) -> Counter[Key]:
        """Count the edges of what has completed; the moves. After all that was added, and all else of the segment.

        :raises GuardFailed: one of the followers is among `touched`, other than as joined.
        """
        moves: Counter[Key] = Counter()
        followers: list[tuple[Any, ...]] = []
        for which, only in ((False, ""), (True, INSIDE)):
            ids = [id for id, inside in self.completed.items() if inside is which]
            followers += [tuple(row) for row in each(connection, FOLLOWERS + only, ids)]
            for size, part in texts.slices(ids):
                connection.execute(texts.select(COUNTED + only, size), part)
        queued: list[Any] = []
        held: list[Any] = []
        for (id, seq, queue, task, state, left, run_at, turn), times in Counter(followers).items():
            if id in touched and id not in self.joined:
                raise GuardFailed
            if state == WAITING and 0 < left <= times:
                stays = turn in ("gather", "close")
                queued += (times, stays or run_at <= now, seq)
                self.queued.append(seq)
                if not stays:
                    moves[queue, task, WAITING] -= 1
                    moves[queue, task, QUEUED] += 1
            else:
                held += (times, seq)
        for size, part in texts.slices(queued, 3):
            connection.execute(texts.queue_followers(size), part)
        for size, part in texts.slices(held, 2):
            connection.execute(texts.count_down(size), part)
        return moves


def forget_edges(connection: Connection, ids: Sequence[str]) -> None:
    """Remove the edges that end at removed jobs; those that begin there show what others waited for."""
    for size, part in texts.slices(ids):
        connection.execute(texts.select(FORGET, size), part)
