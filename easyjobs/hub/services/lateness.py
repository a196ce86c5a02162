"""Alerts of jobs that have not begun in the time that their task allows (`sla`): of each job one, whoever raises it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, NamedTuple

from easyjobs.core.changes import Stale, Update
from easyjobs.core.job import Job
from easyjobs.core.states import FINAL, RUNNING
from easyjobs.hub.alerts import Alert, Alerts
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

SHOWN: Final = 1_000
"""Late jobs that are looked up to show what is open, or to take over from another manager."""


class _Told(NamedTuple):
    """A late job of a task; `alone`: it has an alert of its own."""

    task: str
    alone: bool


class Lateness:
    """Each second where any task has an `sla`, and else never.

    The leader finds late jobs, notes on each that it was told (which only one manager can), then raises the alert, and
    looks until the job has begun or ended. Who takes the lead goes on with what was told before; nothing is told twice.
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
        self._led = False
        self._open: dict[str, _Told] = {}  # by id; those that were looked at last stand last
        self._alerted: Counter[_Told] = Counter()

    async def run_once(self, now: float) -> float | None:
        """Close what is over, raise what is new; again in a second, or when woken."""
        expected = self._catalog.timed
        if not self._leads():
            self._leave()
            return now + EVERY if expected else None
        if expected and not self._led:
            await self._take_over(now)
        await self._look_again()
        if expected:
            await self._find(now)
        return now + EVERY if expected or self._open else None

    async def alerts(self) -> list[Alert]:
        """What is open, by what is stored, whoever raised it. Raises StoreError."""
        now = self._store.now()
        of_task: dict[str, list[Job]] = {}
        for job in await self._store.late(SHOWN, told=True):
            of_task.setdefault(f"{job.queue}:{job.task}", []).append(job)
        found = []
        for task, jobs in of_task.items():
            found += [Alert(KIND, job.id, self._text(job, now), _since(job)) for job in jobs[:OF_A_TASK]]
            if more := jobs[OF_A_TASK:]:
                found.append(Alert(KIND, task, self._text_of_many(more[-1], len(more)), _since(more[0])))
        return found

    def _leave(self) -> None:
        """Another manager leads: it goes on with what is open."""
        self._led = False
        self._open.clear()
        self._alerted.clear()
        self._alerts.forget(KIND)

    async def _take_over(self, now: float) -> None:
        """What was told by who led before is open; nobody is told again."""
        for job in await self._store.late(SHOWN, told=True):
            if job.id not in self._open:
                self._raise(job, now, _since(job))
        self._led = True

    async def _look_again(self) -> None:
        """Who has begun or ended meanwhile; of many, some."""
        ids = list(islice(self._open, PAGE))
        rows = await self._store.jobs(ids, bare=True) if ids else {}
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
        told = await self._committer.chores([Chore([Update(job, {"late_at": _noted(job)})]) for job in late])
        for job, stale in zip(late, told, strict=True):
            if (stale is None or self._was_ours(stale)) and not _begun(job):
                self._raise(job, now)

    def _was_ours(self, stale: Stale) -> bool:
        """Whether it was written with a commit of which nobody knew what became of it."""
        return self._store.single_manager and any((job.late_at or 0.0) < 0 for job in stale.jobs)

    def _raise(self, job: Job, now: float, since: float | None = None) -> None:
        """Open an alert, or one more job of it; `since`: it was told then."""
        task = f"{job.queue}:{job.task}"
        told = _Told(task, self._alerted[_Told(task, True)] < OF_A_TASK)
        if told.alone or not self._alerted[told] or len(self._open) < MOST:
            self._alerted[told] += 1
            self._open[job.id] = told
        subject = job.id if told.alone else task
        text = self._text(job, now) if told.alone else self._text_of_many(job, self._alerted[told])
        if since is None:
            self._alerts.open(KIND, subject, text)
        else:
            self._alerts.know(Alert(KIND, subject, text, since))

    def _text(self, job: Job, now: float) -> str:
        task, ask = f"{job.queue}:{job.task}", _ask(job)
        after = span(now - job.run_at)
        return f"job {job.id} of {task} was to begin{self._allowed(job)}, and has not after {after}; {ask}."

    def _text_of_many(self, last: Job, number: int) -> str:
        task, more = f"{last.queue}:{last.task}", several(number, "more job")
        return f"{more} of {task} did not begin{self._allowed(last)}; of the last of them {_ask(last)}."

    def _allowed(self, job: Job) -> str:
        sla = self._catalog.options(job.lane).sla
        return "" if sla is None else f" within {span(sla)}"


def known_to_all(here: Iterable[Alert], late: Iterable[Alert]) -> list[Alert]:
    """The alerts that are open `here`, with those of all `late` jobs in place of its own, oldest first."""
    return sorted([*(alert for alert in here if alert.kind != KIND), *late], key=lambda alert: alert.since)


def _ask(job: Job) -> str:
    return f"easyjobs jobs explain {job.id} says why"


def _since(job: Job) -> float:
    return -(job.late_at or 0.0)


def _noted(job: Job) -> float | None:
    """What stands in the row of a late job when somebody was told; nobody is of one that has begun."""
    return None if job.late_at is None or _begun(job) else -job.late_at


def _begun(job: Job) -> bool:
    """Whether an attempt of it ran to some end: that it is to be tried again is no delay of its beginning."""
    return job.failures > 0 or job.crashes > 0
