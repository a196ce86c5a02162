"""What keeps a job that is due from its worker: how each worker is that could run it, limits, and who is before it."""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from easyjobs.core.job import Job, Lane
from easyjobs.core.placement import UNITS, urgency
from easyjobs.core.states import CLAIMABLE
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.reasons import Code, Reason, listed, several, span
from easyjobs.hub.roster import Elsewhere, Live, Roster
from easyjobs.stores.base import JobQuery, Store

PAGE: Final = 500
MOST_READ: Final = 2000
"""Jobs of a kind that are looked at to say how many are before one."""

MOST_JOBS: Final = 100
"""Ids in one reason."""


class Holding:
    """Explains jobs that wait in a lane which some worker offers."""

    def __init__(self, store: Store, roster: Roster, catalog: Catalog, dispatcher: Dispatcher) -> None:
        self._store = store
        self._roster = roster
        self._catalog = catalog
        self._dispatcher = dispatcher

    async def reasons(self, job: Job, now: float) -> list[Reason]:
        """All that holds it beside pauses of its queue and task; none where a worker is free for it."""
        away = [other for other in self._roster.elsewhere.values() if job.lane in other.lanes]
        running = await self._store.running() if away else list(self._roster.running.values())
        found = self._workers(job, away, running, now)
        limit = self._limit(job, running)
        if limit is not None:
            found.insert(0, limit)
        units = self._units(job, running)
        if units is not None:
            found.insert(0, units)
        if found:
            before = await self._before(job, now)
            if before is not None:
                found.append(before)
        return found

    def _workers(self, job: Job, away: list[Elsewhere], running: list[Job], now: float) -> list[Reason]:
        """Why none of those that offer its task takes it: those who could, by what keeps them. Of workers of other
        managers only their slots are known.
        """
        kept: dict[Code, list[Live]] = {}
        for live in self._roster.offering(job.lane):
            code = self._why(live)
            if code is None:
                return []
            kept.setdefault(code, []).append(live)
        reasons = [self._worker(code, lives, now) for code, lives in kept.items()]
        holding = Counter(row.session for row in running)
        for row, _ in away:
            pause = self._dispatcher.pauses.get(("worker", row.worker_id))
            if pause is not None:
                text = f"Worker {row.name} is paused by {pause.by}. To go on: easyjobs resume worker {row.worker_id}."
                reasons.append(Reason("worker_paused", text, pause.at, pause.by, workers=[row.worker_id]))
            elif holding[row.id] < row.slots:
                return []
            else:
                text = f"Worker {row.name}, of another manager, is full, with {several(holding[row.id], 'job')}."
                jobs = [job.id for job in running if job.session == row.id]
                reasons.append(Reason("workers_full", text, jobs=jobs[:MOST_JOBS], workers=[row.worker_id]))
        return sorted(reasons, key=lambda reason: _ORDER.index(reason.code))

    def _why(self, live: Live) -> Code | None:
        if live.voice is None:
            return "worker_disconnected"
        if live.blocked is not None:
            return "worker_blocked"
        if live.barred_until is not None:
            return "worker_failing"
        if ("worker", live.row.worker_id) in self._dispatcher.pauses:
            return "worker_paused"
        if live.slots == 0 or live.leaving:
            return "worker_without_slots"
        return "workers_full" if live.free <= 0 else None

    def _worker(self, code: Code, lives: list[Live], now: float) -> Reason:
        names = listed([live.row.name for live in lives])
        who = f"Worker {names} is" if len(lives) == 1 else f"Workers {names} are"
        first = lives[0]
        since: float | None = None
        by: str | None = None
        jobs: list[str] = []
        if code == "worker_disconnected":
            since = max(live.seen_at for live in lives)
            text = f"{who} disconnected, last heard of {span(now - since)} ago. Is the process up? Look at its log."
        elif code == "worker_blocked":
            text = f"{who} blocked: task {first.blocked} keeps the loop from turning. Give that one process=True."
        elif code == "worker_failing":
            until = max(live.barred_until or now for live in lives)
            text = f"{who} given nothing for {span(until - now)}: all the last jobs there failed. Look at the alerts."
        elif code == "worker_paused":
            pause = self._dispatcher.pauses["worker", first.row.worker_id]
            since, by = pause.at, pause.by
            text = f"{who} paused by {by}. To go on: easyjobs resume worker {first.row.worker_id}."
        elif code == "worker_without_slots":
            if all(live.leaving for live in lives):
                text = f"{who} stopping, and will hand back what does not end in time. Start another one."
            else:
                text = (
                    f"{who} without slots: one job runs alone there, or threads never came back. Wait, or restart it."
                )
        else:
            jobs = [id for live in lives for id in live.held]
            text = f"{who} full, with {several(len(jobs), 'job')}. Wait, start more workers, or give them more slots."
        workers = [live.row.worker_id for live in lives]
        return Reason(code, text, since, by, jobs[:MOST_JOBS], workers)

    def _limit(self, job: Job, running: list[Job]) -> Reason | None:
        most = self._catalog.options(job.lane).concurrency
        if most is None:
            return None
        counter = f"{job.queue}:{job.task}"
        holders = [row for row in running if row.holds == counter]
        if len(holders) < most:
            return None
        where = listed([f"{row.id} on {row.worker}" for row in holders])
        text = (
            f"The `concurrency` of task {counter} is {most}, and so many run: {where}. It begins when one of them ends."
        )
        since = min(row.started_at or 0.0 for row in holders)
        workers = sorted({row.session or "" for row in holders})
        known = {id: other.row for id, other in self._roster.elsewhere.items()}
        known |= {id: live.row for id, live in self._roster.sessions.items()}
        ids = [known[session].worker_id for session in workers if session in known]
        return Reason("concurrency", text, since, jobs=[row.id for row in holders[:MOST_JOBS]], workers=ids)

    def _units(self, job: Job, running: list[Job]) -> Reason | None:
        """The machines of those who could run it have not enough process units left; None where one has."""
        if not (self._catalog.units or self._roster.bounded):
            return None
        rows = self._roster.rows()
        need = self._catalog.units.get(job.lane, 1)
        jobs: list[str] = []
        said = []
        for system in sorted({row.system for row in rows if job.lane in self._roster.lanes_of(row.id)}):
            sessions = {row.id for row in rows if row.system == system}
            there = [row for row in running if row.session in sessions]
            most = min((row.units for row in rows if row.system == system and row.units is not None), default=UNITS)
            used = sum(self._catalog.units.get(row.lane, 1) for row in there)
            if need <= most - used:
                return None
            jobs += [row.id for row in there]
            said.append(f"{system} has {most}, of which {used} are in use" if need <= most else f"{system} has {most}")
        if not said:
            return None
        text = f"It takes {several(need, 'process unit')}: {'; '.join(said)}."
        if not jobs:
            text += " No machine is large enough: lower what the task takes, or raise system_process_units."
        return Reason("units", text, jobs=jobs[:MOST_JOBS])

    async def _before(self, job: Job, now: float) -> Reason | None:
        """How many jobs its workers would take first."""
        offered = frozenset().union(*(live.lanes for live in self._roster.offering(job.lane)))
        lanes = frozenset(lane for lane in offered if lane == job.lane or not self._dispatcher.paused(lane))
        before, whole = 0, True
        for queue in sorted({lane.queue for lane in lanes}):
            for state in sorted(CLAIMABLE):
                for older in (True, False):
                    found, all_read = await self._urgent(job, now, lanes, JobQuery(queue=queue, state=state), older)
                    before += found
                    whole = whole and all_read
        if not before:
            return None
        least = "" if whole else "at least "
        text = f"Before it, by priority and age: {least}{several(before, 'job')} for the same workers."
        return Reason("behind", text)

    async def _urgent(
        self, job: Job, now: float, lanes: frozenset[Lane], query: JobQuery, older: bool
    ) -> tuple[int, bool]:
        """How many of the jobs that are older, or newer, go before `job`; and whether all were looked at."""
        mine = urgency(job)
        cursor = job.seq if older else None
        found = read = 0
        while read < MOST_READ:
            page = await self._store.find(msgspec.structs.replace(query, before=cursor, limit=PAGE))
            rows = page.items if older else [other for other in page.items if other.seq > job.seq]
            found += sum(other.lane in lanes and other.run_at <= now and urgency(other) < mine for other in rows)
            read += len(rows)
            cursor = page.next
            if cursor is None or len(rows) < len(page.items):
                return found, True
        return found, False


_ORDER: Final[tuple[Code, ...]] = (
    "worker_failing",
    "worker_blocked",
    "worker_paused",
    "worker_disconnected",
    "worker_without_slots",
    "workers_full",
)
