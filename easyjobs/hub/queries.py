"""What people and programs may see: jobs from the store, workers and queues from memory and store together."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import msgspec

from easyjobs.core.job import Attempt, AttemptEnd, Job, LogLine, Session
from easyjobs.core.task import TaskSpec
from easyjobs.errors import NotFound
from easyjobs.hub.catalog import Catalog, Entry
from easyjobs.hub.dispatcher import ALL_WORKERS, Dispatcher
from easyjobs.hub.following import marked
from easyjobs.hub.roster import Elsewhere, Live, Roster
from easyjobs.stores.base import JobQuery, Page, Pause, Store


class TaskView(msgspec.Struct):
    """A task: `workers` offer it now; `available` says whether any does; `seen_at` is when one last registered it."""

    spec: TaskSpec
    workers: int
    available: bool
    seen_at: float
    paused: Pause | None


class QueueView(msgspec.Struct):
    """A queue with the numbers of its live jobs, its tasks, and the workers that offer any of them."""

    name: str
    paused: Pause | None
    waiting: int = 0
    queued: int = 0
    running: int = 0
    retry: int = 0
    workers: int = 0
    tasks: int = 0


WorkerState = Literal["live", "disconnected", "blocked", "failing", "paused", "leaving", "away"]


class WorkerView(msgspec.Struct):
    """A worker: `running` jobs it holds, `parked` of them await others, `blocked` names the task that blocks it.
    One that is `failing` gets nothing until `barred_until`, because all it did failed. One that is `away` is shown for
    its own pause, which waits for it.
    """

    id: str
    name: str
    host: str
    pid: int | None
    version: str
    state: WorkerState
    queues: list[str]
    slots: int
    running: int
    parked: int
    blocked: str | None
    barred_until: float | None
    started_at: float
    seen_at: float
    paused: Pause | None


class Stats(msgspec.Struct):
    """The whole in numbers. `jobs`: stored, by state. `counters`: since this manager started. `paused`: that of all
    workers.
    """

    jobs: dict[str, int]
    workers: int
    slots: int
    running: int
    uptime: float
    counters: dict[str, int]
    store: str
    paused: Pause | None


class Queries:
    """Reads; changes nothing, and reading never deletes."""

    def __init__(
        self, store: Store, roster: Roster, catalog: Catalog, dispatcher: Dispatcher, counters: Counter[str]
    ) -> None:
        self._store = store
        self._roster = roster
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._counters = counters
        self._started_at = store.now()

    async def job(self, id: str) -> Job:
        """One job. Raises NotFound."""
        rows = await self._store.jobs([id])
        if id not in rows:
            raise NotFound(f"No job {id[:64]!r}.")
        return rows[id]

    async def find(self, query: JobQuery) -> Page:
        """One page of jobs."""
        return await self._store.find(query)

    async def attempts(self, id: str) -> list[Attempt]:
        """All attempts of a job, oldest first; the last one is on its row. Raises NotFound."""
        job = await self.job(id)
        past = await self._store.attempts(id)
        if job.attempt > (past[-1].attempt if past else 0):
            end = _end_of(job)
            past.append(
                Attempt(
                    id,
                    job.attempt,
                    job.worker,
                    job.started_at,
                    job.finished_at,
                    end,
                    job.error if end in ("failed", "crashed") else None,
                )
            )
        return past

    async def logs(self, id: str, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """Up to `limit` lines of a job after the cursor `after`, gaps marked. Raises NotFound."""
        await self.job(id)
        return marked(await self._store.logs(id, after, limit), after, limit)

    def task(self, queue: str, name: str) -> TaskView:
        """One task. Raises NotFound."""
        return self._task(self._catalog.find(queue, name))

    def tasks(self) -> list[TaskView]:
        """All tasks, by queue and name, but for those that were made for one run."""
        return [self._task(entry) for entry in self._catalog.shown]

    def _task(self, entry: Entry) -> TaskView:
        workers = self._roster.number_offering(entry.spec.queue, entry.spec.name)
        paused = self._dispatcher.pauses.get(("task", f"{entry.spec.queue}:{entry.spec.name}"))
        return TaskView(entry.spec, workers, workers > 0, entry.seen_at, paused)

    async def queues(self) -> list[QueueView]:
        """All queues, by name; one that was made for a run while it has live jobs."""
        counts = await self._store.counts()  # first: queues may become known while that is asked
        pauses = self._dispatcher.pauses
        names = {entry.spec.queue for entry in self._catalog.shown} | {name for kind, name in pauses if kind == "queue"}
        views = {name: QueueView(name, pauses.get(("queue", name))) for name in names}
        for count in counts:
            view = views.setdefault(count.queue, QueueView(count.queue, pauses.get(("queue", count.queue))))
            if count.state in ("waiting", "queued", "running", "retry"):
                setattr(view, count.state, getattr(view, count.state) + count.jobs)
        for entry in self._catalog.entries:
            if entry.spec.queue in views:
                views[entry.spec.queue].tasks += 1
        for live in self._roster.holders():
            for queue in {lane.queue for lane in live.lanes}:
                if queue in views and live.voice is not None:
                    views[queue].workers += 1
        for other in self._roster.elsewhere.values():
            for queue in {lane.queue for lane in other.lanes} & views.keys():
                views[queue].workers += 1
        return [views[name] for name in sorted(views)]

    async def workers(self) -> list[WorkerView]:
        """The live workers, of all managers, and those that are away and paused, by name."""
        views = [self._worker(live) for live in self._roster.holders()]
        if self._roster.elsewhere:
            holding = Counter(job.session for job in await self._store.running())
            views += [self._elsewhere(other, holding[id]) for id, other in self._roster.elsewhere.items()]
        here = {view.id for view in views}
        away = {name: pause for (kind, name), pause in self._dispatcher.pauses.items() if kind == "worker"}
        if not away.keys() <= here:
            lost = {row.worker_id: row for row in sorted(await self._store.sessions(lost_since=0.0), key=_ended)}
            views += [_away(lost[id], pause) for id, pause in away.items() if id in lost and id not in here]
        return sorted(views, key=lambda view: (view.name, view.id))

    def _worker(self, live: Live) -> WorkerView:
        row = live.row
        paused = self._dispatcher.pause_of(row.worker_id)
        state: WorkerState = "live"
        if live.leaving:
            state = "leaving"
        elif live.blocked is not None:
            state = "blocked"
        elif live.voice is None:
            state = "disconnected"
        elif paused is not None:
            state = "paused"
        elif live.barred_until is not None:
            state = "failing"
        return WorkerView(
            row.worker_id,
            row.name,
            row.host,
            row.pid,
            row.version,
            state,
            sorted({lane.queue for lane in live.lanes} | set(live.queues)),
            row.slots,
            len(live.held),
            live.parked,
            live.blocked,
            live.barred_until,
            row.started_at,
            live.seen_at,
            paused,
        )

    def _elsewhere(self, other: Elsewhere, running: int) -> WorkerView:
        """A worker of another manager, as its row says."""
        row = other.row
        paused = self._dispatcher.pause_of(row.worker_id)
        return _shown(row, "live" if paused is None else "paused", running, row.expires_at, paused)

    async def stats(self) -> Stats:
        """The whole in numbers."""
        sessions = [live.row for live in self._roster.holders() if live.voice is not None]
        sessions += [other.row for other in self._roster.elsewhere.values()]
        totals = await self._store.totals()
        return Stats(
            {str(state): n for state, n in totals.items()},
            len(sessions),
            sum(row.slots for row in sessions),
            totals.get("running", 0),
            self._store.now() - self._started_at,
            dict(self._counters),
            type(self._store).__name__,
            self._dispatcher.pauses.get(ALL_WORKERS),
        )


def _ended(row: Session) -> float:
    return row.ended_at or row.expires_at


def _away(row: Session, paused: Pause) -> WorkerView:
    """A worker as it was when it went."""
    return _shown(row, "away", 0, _ended(row), paused)


def _shown(row: Session, state: WorkerState, running: int, seen_at: float, paused: Pause | None) -> WorkerView:
    """What the row alone says of a worker."""
    queues: list[str] = sorted(msgspec.json.decode(row.queues, type=list[str]))
    return WorkerView(
        row.worker_id,
        row.name,
        row.host,
        row.pid,
        row.version,
        state,
        queues,
        row.slots,
        running,
        0,
        None,
        None,
        row.started_at,
        seen_at,
        paused,
    )


def _end_of(job: Job) -> AttemptEnd | None:
    """How the attempt on the row ended; None: it runs."""
    if job.state == "completed" or job.state == "cancelled":
        return job.state
    if job.state != "failed":
        return None
    return "crashed" if job.crashes and job.token is None else "failed"  # an outcome of the worker's leaves the token
