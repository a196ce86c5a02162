"""Alerts of jobs that have not begun in the time that their task allows (`sla`): of each job one, whoever raises it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Final, NamedTuple

from easyjobs.core.changes import Stale, Update
from easyjobs.core.job import Job
from easyjobs.core.states import FINAL, RUNNING
from easyjobs.hub.alerts import Alerts
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.committer import Committer
from easyjobs.hub.entries import Chore
from easyjobs.hub.reasons import several, span
from easyjobs.stores.base import Store

KIND: Final = "late"
EVERY: Final = 1.0
PAGE: Final = 200

OF_A_TASK: Final = 20
"""So many late jobs of a task have an alert of their own; those that come to them share one."""

MOST: Final = 10_000
"""Late jobs of which is known when they begin; of more it is only told that they are late."""


class _Told(NamedTuple):
    """A late job of a task; `alone`: it has an alert of its own."""

    task: str
    alone: bool


class Lateness:
    """Each second where any task has an `sla`, and else never.

    The leader finds late jobs, notes on each that it was told (which only one manager can), then raises the alert; who
    raised it looks until the job has begun or ended. What was told before a restart is not told again.
    """

    name = "lateness"

    def __init__(
        self, store: Store, catalog: Catalog, committer: Committer, leads: Callable[[], bool], alerts: Alerts
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._committer = committer
        self._leads = leads
        self._alerts = alerts
        self._open: dict[str, _Told] = {}  # by id; those that were looked at last stand last
        self._alerted: Counter[_Told] = Counter()

    async def run_once(self, now: float) -> float | None:
        """Close what is over, raise what is new; again in a second, or when woken."""
        await self._look_again()
        expected = self._catalog.timed
        if expected and self._leads():
            await self._find(now)
        return now + EVERY if expected or self._open else None

    async def _look_again(self) -> None:
        """Who has begun or ended meanwhile; of many, some."""
        ids = list(islice(self._open, PAGE))
        rows = await self._store.jobs(ids) if ids else {}
        for id in ids:
            told = self._open.pop(id)
            row = rows.get(id)
            if row is not None and row.state not in FINAL and row.state != RUNNING and not _begun(row):
                self._open[id] = told
                continue
            self._alerted[told] -= 1
            if told.alone:
                self._alerts.close(KIND, id)
            elif not self._alerted[told]:
                self._alerts.close(KIND, told.task)

    async def _find(self, now: float) -> None:
        late = await self._store.late(PAGE)
        if not late:
            return
        told = await self._committer.chores([Chore([Update(job, {"late_at": None})]) for job in late])
        for job, stale in zip(late, told, strict=True):
            if (stale is None or self._was_ours(stale)) and not _begun(job):
                self._raise(job, now)

    def _was_ours(self, stale: Stale) -> bool:
        """Whether it was written with a commit of which nobody knew what became of it."""
        return self._store.single_manager and bool(stale.jobs) and stale.jobs[0].late_at is None

    def _raise(self, job: Job, now: float) -> None:
        task = f"{job.queue}:{job.task}"
        sla = self._catalog.options(job.lane).sla
        allowed = "" if sla is None else f" within {span(sla)}"
        ask = f"easyjobs jobs explain {job.id} says why"
        told = _Told(task, self._alerted[_Told(task, True)] < OF_A_TASK)
        if told.alone or not self._alerted[told] or len(self._open) < MOST:
            self._alerted[told] += 1
            self._open[job.id] = told
        if told.alone:
            text = f"job {job.id} of {task} was to begin{allowed}, and has not after {span(now - job.run_at)}; {ask}."
            self._alerts.open(KIND, job.id, text)
        else:
            more = several(self._alerted[told], "more job")
            self._alerts.open(KIND, task, f"{more} of {task} did not begin{allowed}; of the last of them {ask}.")


def _begun(job: Job) -> bool:
    """Whether an attempt of it ran to some end: that it is to be tried again is no delay of its beginning."""
    return job.failures > 0 or job.crashes > 0
