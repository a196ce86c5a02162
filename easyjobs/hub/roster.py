"""The workers as this manager sees them: their sessions, what each holds, and whether it may be given more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from easyjobs.core.job import Job, Lane, Session
from easyjobs.hub.shelf import Shelf
from easyjobs.protocol.manager_side import REPLACED
from easyjobs.protocol.messages import FromManager


class Voice(Protocol):
    """A connection that speaks for a session."""

    def send(self, message: FromManager, weight: int = 0) -> None:
        """Queue a message; it leaves with the others of this turn of the loop."""

    def close(self, code: int, reason: str) -> None:
        """Close the socket."""


class Live:
    """A live session in memory, beside its row in the store.

    `held` are the attempts the worker has, by job id; `unconfirmed` those among them that it has not acknowledged, by
    when they were sent. An outcome that has arrived takes its job out of `held` at once: its slot is free. `streak` are
    its failures since its last success; one that only fails is given nothing until `barred_until`.
    """

    __slots__ = (
        "barred_until",
        "blocked",
        "grace_until",
        "held",
        "lanes",
        "lease_until",
        "leaving",
        "parked",
        "queues",
        "row",
        "seen_at",
        "slots",
        "spared_until",
        "streak",
        "unconfirmed",
        "voice",
        "watchdogs",
    )

    def __init__(self, row: Session, queues: list[str], now: float, lease: float) -> None:
        self.row = row
        self.queues = queues
        self.voice: Voice | None = None
        self.watchdogs: list[Voice] = []
        self.held: dict[str, Job] = {}
        self.unconfirmed: dict[str, float] = {}
        self.lanes: frozenset[Lane] = frozenset()
        self.slots = row.slots
        self.parked = 0
        self.blocked: str | None = None
        self.leaving = False
        self.seen_at = now
        self.lease_until = now + lease
        self.grace_until: float | None = None
        self.streak: deque[tuple[float, str]] | None = None
        self.barred_until: float | None = None
        self.spared_until = 0.0  # a grace that begins before then lasts until then: the manager itself was away

    @property
    def free(self) -> int:
        """How many more jobs it can take now."""
        return self.slots - len(self.held) + self.parked

    @property
    def able(self) -> bool:
        """Whether it may be given anything: it is connected, not leaving, its loop turns, and not all it does fails."""
        return self.voice is not None and not self.leaving and self.blocked is None and self.barred_until is None


class Elsewhere(NamedTuple):
    """A live session that another manager on the same rows looks after, and the lanes it takes jobs of."""

    row: Session
    lanes: frozenset[Lane]


class Roster:
    """All live sessions of this manager, and all jobs that run in them.

    `running` is the truth of the store in memory: whoever decides on a running job reads nothing. `elsewhere` are the
    sessions of other managers, by id.
    """

    def __init__(self) -> None:
        self.sessions: dict[str, Live] = {}
        self.elsewhere: dict[str, Elsewhere] = {}
        self.running: dict[str, Job] = {}
        self.logged: dict[str, Shelf] = {}  # what running attempts have logged
        self._by_worker: dict[str, Live] = {}
        self.changed: Callable[[], None] = lambda: None  # which tasks are offered may have changed

    def add(self, live: Live) -> None:
        """A session was welcomed."""
        self.elsewhere.pop(live.row.id, None)
        self.sessions[live.row.id] = live
        self._by_worker[live.row.worker_id] = live

    def remove(self, live: Live) -> None:
        """A session is lost."""
        self.sessions.pop(live.row.id, None)
        if self._by_worker.get(live.row.worker_id) is live:
            del self._by_worker[live.row.worker_id]
        self.changed()

    def forget(self, live: Live, code: int = REPLACED, reason: str = "this worker has come to another manager") -> None:
        """A session has gone to another manager, or was ended by one, with all that runs in it."""
        for job in [job for job in self.running.values() if job.session == live.row.id]:
            self.released(job)
        self.remove(live)
        for voice in (live.voice, *live.watchdogs):
            if voice is not None:
                voice.close(code, reason)

    def of_worker(self, worker_id: str) -> Live | None:
        """The live session of a worker process."""
        return self._by_worker.get(worker_id)

    def hand_out(self, job: Job, now: float) -> Live | None:
        """A claimed job is its worker's from now on; its session, None when that went while the claim was written."""
        self.running[job.id] = job
        live = self.sessions.get(job.session or "")
        if live is not None:
            live.held[job.id] = job
            live.unconfirmed[job.id] = now
        return live

    def released(self, job: Job) -> bool:
        """A job does not run any more. Whether its worker was still taken to hold it: then its slot is free now."""
        self.running.pop(job.id, None)
        if self.logged:
            self.logged.pop(job.id, None)
        live = self.sessions.get(job.session or "")
        if live is None:
            return False
        live.unconfirmed.pop(job.id, None)
        return live.held.pop(job.id, None) is not None

    def offering(self, lane: Lane) -> list[Live]:
        """The sessions that have this very task."""
        return [live for live in self.sessions.values() if lane in live.lanes]

    def offering_task(self, queue: str, name: str) -> list[Live]:
        """The sessions that have the task in any signature."""
        return [
            live
            for live in self.sessions.values()
            if live.voice is not None and any(lane.queue == queue and lane.task == name for lane in live.lanes)
        ]

    @property
    def bounded(self) -> bool:
        """Whether any worker, here or elsewhere, says what its machine has."""
        here = any(live.row.units is not None for live in self.sessions.values())
        return here or any(other.row.units is not None for other in self.elsewhere.values())

    def rows(self) -> list[Session]:
        """The sessions of all workers, here and elsewhere."""
        return [*(live.row for live in self.sessions.values()), *(other.row for other in self.elsewhere.values())]

    def lanes_of(self, session: str) -> frozenset[Lane]:
        """What one of them offers."""
        one: Live | Elsewhere | None = self.sessions.get(session) or self.elsewhere.get(session)
        return frozenset() if one is None else one.lanes

    def offered(self, lane: Lane) -> bool:
        """Whether anybody has this very task, here or elsewhere."""
        return bool(self.offering(lane)) or any(lane in other.lanes for other in self.elsewhere.values())

    def lanes(self) -> set[Lane]:
        """All that anybody offers, here or elsewhere."""
        return self.lanes_beside(None)

    def lanes_beside(self, worker_id: str | None) -> set[Lane]:
        """As `lanes`, without those of one worker."""
        everybody: list[Live | Elsewhere] = [*self.sessions.values(), *self.elsewhere.values()]
        return set().union(*(one.lanes for one in everybody if one.row.worker_id != worker_id))

    def number_offering(self, queue: str, name: str) -> int:
        """How many workers have the task in any signature, here and elsewhere."""
        away = [o for o in self.elsewhere.values() if any((n.queue, n.task) == (queue, name) for n in o.lanes)]
        return len(self.offering_task(queue, name)) + len(away)

    def holders(self) -> Iterable[Live]:
        """All live sessions."""
        return list(self.sessions.values())
