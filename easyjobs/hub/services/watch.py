"""Looks around once a minute for what nobody would notice by itself: tasks without a worker, deep queues, a store that
fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from easyjobs.core.states import FINAL, RUNNING
from easyjobs.hub.alerts import Alerts
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.roster import Roster
from easyjobs.hub.settings import HubSettings
from easyjobs.stores.base import Store

EVERY: Final = 60.0
PATIENCE: Final = 600.0
"""Seconds that jobs wait for a worker of their task before that is an alert: a deploy takes less."""

SOON: Final = 1.0  # seconds between looks at a store that fails
CALM: Final = 0.9  # of the warning; a queue that is below that is not deep any more

MISSING: Final = "task_without_worker"
DEEP: Final = "queue_depth"
FILLED: Final = "retention"
NEARLY: Final = 0.9  # of what may be kept
STORE: Final = "store"

Task: TypeAlias = tuple[str, str]  # queue, name


class Watch:
    """Raises and clears alerts. A look costs a walk over the workers in memory; the store is asked only where a task
    with ready jobs seems to have no worker.

    :param depth: live jobs by queue. `trouble`: why the store fails, None while it works.
    """

    name = "watch"

    def __init__(
        self,
        store: Store,
        roster: Roster,
        catalog: Catalog,
        dispatcher: Dispatcher,
        depth: Mapping[str, int],
        trouble: Callable[[], str | None],
        alerts: Alerts,
        settings: HubSettings,
    ) -> None:
        self._store = store
        self._roster = roster
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._depth = depth
        self._trouble = trouble
        self._alerts = alerts
        self._settings = settings
        self._missing: dict[Task, float] = {}  # tasks that jobs wait for and nobody offers, since when

    async def run_once(self, now: float) -> float | None:
        """Look once; again in a minute, or earlier where something is about to become an alert."""
        trouble = self._trouble()
        if trouble is not None:
            text = f"the store fails: {trouble}. No job is taken until it works; look at its disk, its server, its log."
            self._alerts.open(STORE, "store", text)
            return now + SOON
        self._alerts.close(STORE, "store")
        self._look_at_queues()
        await self._look_at_what_is_kept()
        await self._look_at_tasks(now)
        return min([now + EVERY, *(at for since in self._missing.values() if (at := since + PATIENCE) > now)])

    def _look_at_queues(self) -> None:
        warn = self._settings.warn_depth
        for queue, jobs in self._depth.items():
            if jobs >= warn:
                most = self._settings.queue_depth
                self._alerts.open(
                    DEEP,
                    queue,
                    f"{jobs} jobs of queue {queue} wait or run; at {most} new ones are refused. "
                    "Add workers, or stop what makes them.",
                )
            elif jobs < warn * CALM:
                self._alerts.close(DEEP, queue)

    async def _look_at_what_is_kept(self) -> None:
        """Jobs that have ended are about to be removed before their time."""
        kept = self._settings.retention
        for name, most, what in (("rows", kept.rows, "jobs that have ended"), ("bytes", kept.bytes, "bytes")):
            if most is None:
                continue
            if name == "rows":
                now = sum(n for state, n in (await self._store.totals()).items() if state in FINAL)
            else:
                now = await self._store.size()
            if now >= most * NEARLY:
                text = f"The store keeps {now} {what}; from {most} on the oldest are removed before their time."
                self._alerts.open(FILLED, name, f"{text} Raise keep_{name}, or keep jobs for less long.")
            elif now < most * NEARLY * CALM:
                self._alerts.close(FILLED, name)

    async def _look_at_tasks(self, now: float) -> None:
        ready = await self._ready_without_worker()
        unknown = {task for task in self._catalog.awaited if self._catalog.get(*task) is None}
        waiting: Counter[Task] = Counter()
        if unknown or any(self._missing.get(task, now) + PATIENCE <= now for task in ready):
            for count in await self._store.counts():
                if count.state != RUNNING:
                    waiting[count.queue, count.task] += count.jobs
        missing = ready | {task for task in unknown if waiting[task]}
        self._missing = {task: self._missing.get(task, now) for task in sorted(missing)}
        late = [task for task, since in self._missing.items() if since + PATIENCE <= now]
        for subject in self._alerts.subjects(MISSING):
            if subject not in map(":".join, late):
                self._alerts.close(MISSING, subject)
        for task in late:
            subject, jobs = ":".join(task), waiting[task]
            known = "no worker offers it now" if self._catalog.get(*task) else "no worker ever registered it"
            what = "1 job waits" if jobs == 1 else f"{jobs} jobs wait"
            self._alerts.open(
                MISSING, subject, f"{what} for task {subject}, and {known}. Start a worker that has it, or cancel them."
            )

    async def _ready_without_worker(self) -> set[Task]:
        """The tasks whose jobs could begin now, if only anybody offered them."""
        offered = {(lane.queue, lane.task) for lane in self._roster.lanes()}
        if all((lane.queue, lane.task) in offered for lane in self._dispatcher.ready):
            return set()
        # what the dispatcher takes to be ready may be cancelled, or not due: here the store's word counts
        return {(lane.queue, lane.task) for lane in await self._store.lanes()} - offered
