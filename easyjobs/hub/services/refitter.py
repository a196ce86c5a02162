"""Moves waiting jobs to the parameters that workers offer now, and says which do not fit them.

A job waits in the lane of the signature it was judged by. When a deploy changes a task's parameters and the last worker
of the old ones is gone, its jobs are judged anew: those that fit move to the new lane, the others are held until a
worker comes that fits them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from easyjobs.core.changes import Update
from easyjobs.core.job import Job, Lane
from easyjobs.hub.alerts import Alerts
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.committer import Committer
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.entries import Chore
from easyjobs.hub.fitting import PAGE, STATES, Measure
from easyjobs.hub.roster import Roster
from easyjobs.hub.settings import HubSettings
from easyjobs.stores.base import JobQuery, Store

ALERT: Final = "misfit"
LOOK_AGAIN: Final = 60.0  # while an alert is open: its jobs may have been cancelled
FEW: Final = 10


class _Held(msgspec.Struct):
    """What a task has that fits no worker: so many jobs (one of them, and why), and these schedules."""

    jobs: int = 0
    example: str = ""
    schedules: list[str] = []


class Refitter:
    """Looks through the waiting jobs of tasks that have more than one signature, when workers came or went."""

    name = "refitter"

    def __init__(
        self,
        store: Store,
        roster: Roster,
        catalog: Catalog,
        dispatcher: Dispatcher,
        committer: Committer,
        settings: HubSettings,
        alerts: Alerts,
    ) -> None:
        self._store = store
        self._roster = roster
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._committer = committer
        self._settings = settings
        self._alerts = alerts

    async def run_once(self, now: float) -> float | None:
        """Judge all such jobs once; called again when woken."""
        tasks = self._catalog.ambiguous
        if not tasks:
            return None
        unfit: dict[tuple[str, str], list[str]] = {}
        for schedule in await self._store.schedules():
            key = (schedule.queue, schedule.task)
            entry = self._catalog.get(*key)
            if entry is not None and Measure(entry.checker, self._settings).fault_of_schedule(schedule) is not None:
                unfit.setdefault(key, []).append(schedule.id)
        open_alerts = False
        for queue, name in tasks:
            offered = [one for one in self._catalog.signatures(queue, name) if self._roster.offered(one.lane)]
            if offered:
                measures = {one.lane: Measure(one.checker, self._settings) for one in offered}
                held = _Held(schedules=unfit.get((queue, name), []))
                for state in STATES:
                    await self._refit(JobQuery(queue=queue, task=name, state=state, limit=PAGE), measures, held)
                open_alerts |= self._report(queue, name, held)
        return now + LOOK_AGAIN if open_alerts else None

    async def _refit(self, query: JobQuery, measures: dict[Lane, Measure], held: _Held) -> None:
        while True:
            page = await self._store.find(query)
            moves: list[tuple[Job, Lane]] = []
            for job in page.items:
                if not job.signature or job.lane in measures or (job.is_run and job.progress is not None):
                    continue  # a run goes by the graph that it began with
                reasons = {lane: measure.fault_of_job(job) for lane, measure in measures.items()}
                fitting = next((lane for lane, reason in reasons.items() if reason is None), None)
                if fitting is None:
                    held.jobs += 1
                    held.example = held.example or f"{job.id}: {next(iter(reasons.values()))}"
                else:
                    moves.append((job, fitting))
            await self._move(moves)
            if page.next is None:
                return
            query = JobQuery(queue=query.queue, task=query.task, state=query.state, before=page.next, limit=PAGE)

    async def _move(self, moves: list[tuple[Job, Lane]]) -> None:
        chores = [Chore([Update(job, {"signature": lane.signature})]) for job, lane in moves]
        answers = await self._committer.chores(chores)
        lanes = {lane for (_, lane), stale in zip(moves, answers, strict=True) if stale is None}
        if lanes:
            self._dispatcher.ready.update(lanes)
            self._committer.poke()

    def _report(self, queue: str, name: str, held: _Held) -> bool:
        """Raise an alert, or close it; whether there is one."""
        said = []
        if held.jobs:
            said.append(f"{held.jobs} jobs fit the parameters of no worker and are held for one that fits")
            said.append(f"job {held.example}")
        if held.schedules:
            said.append(f"schedules that do not fit: {', '.join(held.schedules[:FEW])}")
        if said:
            self._alerts.open(ALERT, f"{queue}:{name}", "; ".join(said))
        else:
            self._alerts.close(ALERT, f"{queue}:{name}")
        return bool(said)
