"""Tells destinations what happens here: ends and retries that this manager committed, alerts, and that it schedules."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from easyjobs.background import Nursery
from easyjobs.core.job import Attempt, Job
from easyjobs.errors import StoreError
from easyjobs.hub.alerts import Alert, Alerts
from easyjobs.hub.announcer import Announcer
from easyjobs.hub.lead import Lead
from easyjobs.monitors.courier import Courier
from easyjobs.monitors.reports import (
    AlertReport,
    Heartbeat,
    Hook,
    JobReport,
    Report,
    hook_of_end,
    of_end,
    of_retry,
)
from easyjobs.stores.base import Store

EVERY: Final = 30.0
"""Seconds between two heartbeats."""

MOST: Final = 10_000
"""Runs whose workflows are known by heart, and reports that may wait for the name of theirs."""

SEEN_BY_ALL: Final = frozenset(("task_without_worker", "queue_depth", "retention", "misfit"))
"""Alerts that every manager on the same rows raises: the leader tells them."""


class Monitors:
    """The destinations of one manager. Does nothing where there are none, or where nobody wants an event.

    What it hears it passes on at once, but for nodes of runs whose workflow must be looked up: `run_once` does that.

    :raises ConfigurationError: a destination has no hook.
    """

    name = "monitors"

    def __init__(
        self,
        destinations: Sequence[Any],
        store: Store,
        lead: Lead,
        announcer: Announcer,
        alerts: Alerts,
        counters: Counter[str],
    ) -> None:
        self._couriers = [Courier(destination, counters) for destination in destinations]
        self._store = store
        self._lead = lead
        self._nursery = Nursery("monitors")
        self._workflows: dict[str, str | None] = {}  # by run
        self._nameless: list[tuple[Hook, JobReport]] = []
        self._manager = f"{socket.gethostname()}:{os.getpid()}" if destinations else ""
        self.wanted = {hook for courier in self._couriers for hook in courier.hooks}
        self.wake: Callable[[], None] = lambda: None
        if self.wanted.intersection(("task_failed", "task_success", "workflow_failed", "workflow_success")):
            announcer.watchers.append(self._ended)
        if "task_retry" in self.wanted:
            announcer.again = self._again
        if "alert" in self.wanted:
            alerts.told = self._alert

    def start(self) -> None:
        """Begin to deliver."""
        for courier in self._couriers:
            courier.start()

    async def close(self, patience: float) -> None:
        """Deliver what waits, for at most `patience` seconds. May be called twice."""
        if not self._couriers:
            return
        self._pass_on()
        closing = [self._nursery.spawn(courier.close(patience), "close") for courier in self._couriers]
        await asyncio.wait(closing)

    async def run_once(self, now: float) -> float | None:
        """Look up the workflows of runs; called again when woken."""
        runs = {report.run for _, report in self._nameless if report.run is not None}
        if runs:
            try:
                rows = await self._store.jobs(sorted(runs))
            except StoreError:
                rows = {}
            for run in runs:
                self._learn(run, rows[run].task if run in rows else None)
            self._pass_on()
        return None

    # -- what happened

    def _ended(self, job: Job) -> None:
        hook = hook_of_end(job)
        if job.is_run:
            self._learn(job.id, job.task)
        if hook is not None and hook in self.wanted:
            self._tell(hook, of_end(job, self._workflow(job), self._store.now(), self._manager))

    def _again(self, job: Job, past: Attempt) -> None:
        self._tell("task_retry", of_retry(job, past, self._workflow(job), self._store.now(), self._manager))

    def _alert(self, alert: Alert, over: bool) -> None:
        if alert.kind in SEEN_BY_ALL and not self._lead.held:
            return
        now = self._store.now()
        self._post("alert", AlertReport(alert.kind, alert.subject, alert.text, alert.since, over, now, self._manager))

    def beat(self, now: float) -> None:
        """This manager schedules."""
        self._post("heartbeat_scheduler", Heartbeat(now, self._manager))

    # -- passing it on

    def _workflow(self, job: Job) -> str | None:
        return job.task if job.is_run else self._workflows.get(job.run or "")

    def _tell(self, hook: Hook, report: JobReport) -> None:
        if report.run is None or report.run in self._workflows:
            self._post(hook, report)
            return
        if len(self._nameless) >= MOST:
            self._pass_on()
        self._nameless.append((hook, report))
        self.wake()

    def _pass_on(self) -> None:
        """All that waited go, with the names that are known."""
        waited, self._nameless = self._nameless, []
        for hook, report in waited:
            name = self._workflows.get(report.run or "")
            self._post(hook, msgspec.structs.replace(report, workflow=name))

    def _learn(self, run: str, workflow: str | None) -> None:
        if len(self._workflows) >= MOST:
            self._workflows.clear()
        self._workflows[run] = workflow

    def _post(self, hook: Hook, report: Report) -> None:
        for courier in self._couriers:
            courier.post(hook, report)


class Heart:
    """Tells destinations that this manager is there. A duty of the leader."""

    name = "heart"

    def __init__(self, monitors: Monitors) -> None:
        self._monitors = monitors

    async def run_once(self, now: float) -> float | None:
        """Tell them, where anybody wants to hear it; again after a while."""
        if "heartbeat_scheduler" not in self._monitors.wanted:
            return None
        self._monitors.beat(now)
        return now + EVERY
