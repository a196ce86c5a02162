"""The tasks that the manager knows, by queue and name: what the doors judge by and the dispatcher gives out by."""

from __future__ import annotations

from collections import Counter

from easyjobs.core import freshness
from easyjobs.core.chain import TaskName
from easyjobs.core.job import Lane
from easyjobs.core.task import Options, TaskSpec
from easyjobs.errors import NotFound
from easyjobs.hub.arguments import Checker
from easyjobs.stores.base import KnownTask


class Entry:
    """One task in one signature, with all that the way of a job needs of it worked out once."""

    __slots__ = ("checker", "idle", "lane", "max_attempts", "options", "seen_at", "since", "spec", "stored", "turns")

    def __init__(self, spec: TaskSpec, seen_at: float, since: float) -> None:
        self.spec = spec
        self.seen_at = seen_at
        self.since = since  # when the youngest worker that offered it had started
        self.stored = False  # whether it was seen in the store
        self.idle = False  # whether it is noted there that nobody needs it
        self.lane = spec.lane
        self.options = spec.options
        self.max_attempts = spec.max_attempts
        # whether its jobs may not simply run
        self.turns = bool(spec.options.needs or spec.options.write_all or spec.graph)
        self.checker = Checker(spec.signature)

    def seen(self, known: KnownTask) -> None:
        """The store has it so."""
        self.stored, self.idle = True, known.idle_since is not None

    def needed(self) -> bool:
        """Somebody needs it; whether the store must be told, because it believes that nobody does."""
        idle, self.idle = self.idle, False
        return idle


class Catalog:
    """Grows as workers register tasks. Those of a gone worker are still shown, until the store forgets them.

    `version` rises with each change, for what is derived from it (the OpenAPI page).
    """

    def __init__(self) -> None:
        self.version = 0
        self._by_lane: dict[Lane, Entry] = {}
        self._current: dict[tuple[str, str], Entry] = {}
        self._queues: set[str] = set()
        self.units: dict[Lane, int] = {}
        """What the jobs of a lane take of their machine, where that is not 1."""
        self.awaited: set[tuple[str, str]] = set()
        """Tasks, known or not, of which jobs may be stored that wait for their task to become known."""
        self.sought: dict[TaskName, freshness.Sought] = {}
        """The tasks that others depend on, and how they look for their jobs."""

    def load(self, known: list[KnownTask]) -> None:
        """Take in what the store kept."""
        for task in sorted(known, key=lambda k: k.seen_at):
            entry = Entry(task.spec, task.seen_at, task.seen_at)
            entry.seen(task)
            self._put(entry)

    def add(self, spec: TaskSpec, now: float, since: float | None = None) -> bool:
        """A worker that started at `since` (None: now) offers this task. Whether that must be stored.

        The parameters that the youngest worker has are the newest: an older one that merely comes back changes nothing.
        """
        since = now if since is None else since
        entry = self._by_lane.get(spec.lane)
        current = self._current.get((spec.queue, spec.name))
        if current is not None and since < current.since:
            if entry is not None:
                entry.seen_at = now
                return entry.needed()
            self._put(Entry(spec, now, since), current)
            return True
        if entry is None or entry.spec != spec:
            self._put(Entry(spec, now, since))
            return True
        entry.seen_at, entry.since = now, since
        if current is entry:
            return entry.needed()
        entry.idle = False
        self._current[spec.queue, spec.name] = entry
        self.version += 1
        return True

    def learn(self, known: list[KnownTask]) -> bool:
        """Take in what other managers have stored meanwhile; whether any of it is news."""
        news = []
        for task in known:
            entry = self._by_lane.get(task.spec.lane)
            if entry is None or entry.spec != task.spec:
                news.append(task)
            else:
                entry.seen(task)
        for task in sorted(news, key=lambda k: k.seen_at):
            entry = self._by_lane.get(task.spec.lane)
            if entry is None or entry.seen_at < task.seen_at:
                self.add(task.spec, task.seen_at, task.seen_at)
                self._by_lane[task.spec.lane].seen(task)
        return bool(news)

    def missing(self, known: list[KnownTask]) -> list[Lane]:
        """What is known here and is not in the store any more, where it was, by all that the store keeps."""
        there = {task.spec.lane for task in known}
        return [lane for lane, entry in self._by_lane.items() if entry.stored and lane not in there]

    def drop(self, lane: Lane) -> None:
        """The store has forgotten it. May be called twice."""
        entry = self._by_lane.pop(lane, None)
        if entry is None:
            return
        self.units.pop(lane, None)
        if self._current[lane.queue, lane.task] is entry:
            left = [one for other, one in self._by_lane.items() if (other.queue, other.task) == (lane.queue, lane.task)]
            if left:
                self._current[lane.queue, lane.task] = max(left, key=lambda one: one.since)
            else:
                del self._current[lane.queue, lane.task]
                self._queues = {queue for queue, _ in self._current}
        self.version += 1
        if self.sought:
            self.sought = freshness.sought(one.spec for one in self._by_lane.values())

    def _put(self, entry: Entry, current: Entry | None = None) -> None:
        spec = entry.spec
        self._by_lane[entry.lane] = entry
        if spec.options.process_units != 1:
            self.units[entry.lane] = spec.options.process_units
        else:
            self.units.pop(entry.lane, None)
        self._current[spec.queue, spec.name] = entry if current is None else current
        self._queues.add(spec.queue)
        self.version += 1
        if spec.options.needs or self.sought:
            self.sought = freshness.sought(one.spec for one in self._by_lane.values())

    def signatures(self, queue: str, name: str) -> list[Entry]:
        """The task with each set of parameters that was ever registered, the newest first."""
        entries = [entry for lane, entry in self._by_lane.items() if (lane.queue, lane.task) == (queue, name)]
        return sorted(entries, key=lambda entry: (self._current[queue, name] is entry, entry.since), reverse=True)

    def find(self, queue: str, name: str) -> Entry:
        """The task as it was registered last.

        :raises NotFound: nobody ever offered it; says whether it is the queue that is unknown.
        """
        entry = self._current.get((queue, name))
        if entry is None:
            if queue not in self._queues:
                known = ", ".join(sorted({entry.spec.queue for entry in self.shown})[:20]) or "none yet"
                raise NotFound(
                    f"No queue {queue!r}; known queues: {known}. A queue is known once a worker of it has connected."
                )
            known = ", ".join(sorted(n for q, n in self._current if q == queue)[:50])
            raise NotFound(
                f"No task {name!r} in queue {queue!r}; it has: {known}. A task is known once a worker that has it has "
                "connected."
            )
        return entry

    def get(self, queue: str, name: str) -> Entry | None:
        """As `find`; None where nobody ever offered it."""
        return self._current.get((queue, name))

    def by_lane(self, lane: Lane) -> Entry | None:
        """The task of a lane."""
        return self._by_lane.get(lane)

    def options(self, lane: Lane) -> Options:
        """The options of a lane's task; the defaults where it is not known any more."""
        entry = self._by_lane.get(lane)
        return Options() if entry is None else entry.options

    @property
    def timed(self) -> bool:
        """Whether jobs of any task are to begin within a time."""
        return any(entry.options.sla is not None for entry in self._by_lane.values())

    def has_queue(self, queue: str) -> bool:
        """Whether any task of that queue was ever registered."""
        return queue in self._queues

    @property
    def ambiguous(self) -> list[tuple[str, str]]:
        """The tasks of which more than one signature is known."""
        seen = Counter((lane.queue, lane.task) for lane in self._by_lane)
        return sorted(task for task, signatures in seen.items() if signatures > 1)

    @property
    def entries(self) -> list[Entry]:
        """The current signature of each task, by queue and name."""
        return [self._current[key] for key in sorted(self._current)]

    @property
    def shown(self) -> list[Entry]:
        """As `entries`, without those that were made for one run."""
        return [entry for entry in self.entries if not entry.spec.passing]
