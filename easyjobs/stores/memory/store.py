"""The store in memory around its tables: units and commits, the claim, the upkeep, the reads."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from easyjobs.clock import Clock, SteadyClock, SystemClock
from easyjobs.core.changes import APPLIED, Broken, Claim, Committed, Insert, PutTask, Stale, Unit, Verdict
from easyjobs.core.job import Attempt, Edge, Job, Lane, LogLine, Session
from easyjobs.core.placement import Systems, place, urgency
from easyjobs.core.schedule import Schedule
from easyjobs.core.states import CLAIMABLE, COMPLETED, QUEUED, RETRY, RUNNING, WAITING, State
from easyjobs.core.task import TaskSpec
from easyjobs.errors import StoreLocked, StoreUnavailable
from easyjobs.stores.base import Count, JobQuery, KnownTask, Page, Pause, Retention, Retired
from easyjobs.stores.memory.alone import Alone
from easyjobs.stores.memory.tables import GuardFailed, Tables, changed, put

COMING = frozenset(("ready", RUNNING, WAITING, RETRY))


class MemoryStore(Alone, Tables):
    """Keeps all rows in this object: they outlive `close`, not the process. May be opened again after `close`."""

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__()
        self._source: Clock = clock or SystemClock()
        self._clock = SteadyClock(self._source)
        self._is_open = False

    async def open(self) -> None:
        """Begin, with the rows of last time.

        :raises StoreLocked: it is open already.
        """
        if self._is_open:
            raise StoreLocked("This memory store is open already: it serves one manager.")
        self._is_open = True
        self._clock = SteadyClock(self._source)

    async def reset(self, anew: Sequence[TaskSpec] | None = None) -> None:
        """Forget all rows; but for new ones of these tasks."""
        if self._is_open:
            raise StoreLocked("This memory store is open.")
        super().__init__()
        for spec in anew or ():
            self._put_task(PutTask(spec, self.now()))

    async def close(self) -> None:
        """End; the rows stay. May be called twice."""
        self._is_open = False

    def now(self) -> float:
        """Seconds since 1970; never goes backward while open."""
        return self._clock.now()

    # -- writing

    async def commit(self, units: Sequence[Unit], claim: Claim | None = None) -> Committed:
        """Apply each unit, then the claim."""
        self._check_open()
        self._now = self.now()
        self._released.clear()
        verdicts = [self._apply(unit) for unit in units]
        released = sorted((self._jobs[id] for id in self._released if id in self._jobs), key=lambda job: job.seq)
        claimed, emptied, turns = self._claim(claim) if claim is not None else ([], [], [])
        self._undo.clear()
        return Committed(verdicts, _copies(claimed), emptied, _copies(released), _copies(turns))

    def _apply(self, unit: Unit) -> Verdict:
        self._undo.clear()
        seq = self._seq
        inserted: list[tuple[Job, int]] = []
        try:
            for write in unit.writes:
                self._write(write)
                if isinstance(write, Insert):
                    inserted.append((write.job, self._seq))
        except (GuardFailed, ValueError, TypeError, OverflowError) as refusal:
            for table, key, old in reversed(self._undo):
                put(table, key, old)
            self._seq = seq
            if not isinstance(refusal, GuardFailed):
                return Broken(str(refusal))
            row = self._jobs.get(refusal.id or "")
            return Stale(refusal.why, [] if row is None else [copy.copy(row)])
        for job, number in inserted:
            job.seq = number
        return APPLIED

    def _claim(self, claim: Claim) -> tuple[list[Job], list[Lane], list[Job]]:
        offers = [o for o in claim.offers if o.slots > 0 and self._is_live(o.session, o.epoch)]
        lanes = {lane for offer in offers for lane in offer.lanes}
        used = self._held()
        room = {lane: most - used[counter] for lane, (counter, most) in claim.capacity.items()}
        counters = {lane: counter for lane, (counter, _) in claim.capacity.items()}
        ready = sorted((job for job in self._ready_jobs() if job.lane in lanes), key=urgency)
        systems = None if claim.units is None else self._systems(claim.units)
        claimed: list[Job] = []
        turns: list[Job] = []
        for (job, offer), token in zip(place(ready, offers, room, counters, systems), claim.tokens, strict=False):
            if job.turn is not None:
                turns.append(job)
                continue
            row = changed(
                job,
                state=RUNNING,
                attempt=job.attempt + 1,
                version=job.version + 1,
                started_at=self._now,
                token=token,
                session=offer.session,
                worker=offer.worker,
                progress=None,
                holds=counters.get(job.lane),
            )
            self._put_job(row)
            claimed.append(row)
        ends = [job for job in ready if job.state == WAITING and job.turn is not None and job.holds is not None]
        ends = [job for job in ends if job.holds == counters.get(job.lane) and job not in turns]
        turns = sorted([*turns, *ends], key=urgency)
        return claimed, sorted(lanes - {job.lane for job in self._ready_jobs()}), turns

    def _systems(self, units: Mapping[Lane, int]) -> Systems[Job]:
        """What each machine has, and what the jobs take that run there."""
        capacity: dict[str, int] = {}
        for session in self._sessions.values():
            if session.state == "live" and session.units is not None:
                capacity[session.system] = min(session.units, capacity.get(session.system, session.units))

        def taken(which: Callable[[Job], bool]) -> Counter[str]:
            found: Counter[str] = Counter()
            for job in self._jobs.values():
                session = self._sessions.get(job.session or "")
                if job.state == RUNNING and session is not None and which(job):
                    found[session.system] += units.get(job.lane, 1)
            return found

        def overtaken(system: str, waiting: Job) -> int:
            return taken(lambda job: job.started_at is not None and job.started_at >= waiting.run_at)[system]

        return Systems(units, capacity, taken(lambda job: True), overtaken)

    def _is_live(self, id: str, epoch: int) -> bool:
        session = self._sessions.get(id)
        return session is not None and session.state == "live" and session.epoch == epoch

    async def lead(self, holder: str, seconds: float) -> int | None:
        """Take, keep or give up the lead."""
        self._check_open()
        now = self.now()
        last, term, until = self._lead
        if last != holder:
            if until > now:
                return None
            term += 1
        self._lead = (holder, term, now + seconds)
        return term

    async def promote(self, limit: int) -> list[Lane]:
        """Make jobs ready whose time has come."""
        self._check_open()
        now = self.now()
        due = sorted((job for job in self._future() if job.run_at <= now), key=lambda job: (job.run_at, job.seq))
        for job in due[:limit]:
            self._ready[job.id] = True
        return [job.lane for job in due[:limit]]

    async def prune(self, retention: Retention, limit: int) -> int:
        """Remove jobs that ended too long ago, oldest first."""
        self._check_open()
        now = self.now()
        old = [
            job
            for job in filter(self._alone, self._jobs.values())
            if (job.final and job.finished_at is not None)
            and job.finished_at <= now - (retention.completed if job.state == COMPLETED else retention.others)
        ]
        old = sorted(old, key=lambda job: job.seq)[:limit]
        old += self._surplus(retention, {job.id for job in old}, limit - len(old))
        for job in old:
            self._forget(job)
        for session in list(self._sessions.values()):
            if session.ended_at is not None and session.ended_at <= now - retention.others:
                self._set(self._sessions, session.id, None)
        self._fresh = {key: (at, until) for key, (at, until) in self._fresh.items() if until > now}
        self._undo.clear()
        return len(old)

    def _surplus(self, retention: Retention, gone: set[str], limit: int) -> list[Job]:
        """The oldest of those that ended, beside those that are `gone`, as far as there are too many."""
        ended = [job for job in self._jobs.values() if job.final and job.id not in gone]
        too_many = 0 if retention.rows is None else len(ended) - retention.rows
        left = sorted(filter(self._alone, ended), key=lambda job: job.seq)
        size = sum(map(_size, self._jobs.values())) - sum(_size(self._jobs[id]) for id in gone)
        for number, job in enumerate(left[:limit]):
            if number >= too_many and (retention.bytes is None or size <= retention.bytes):
                return left[:number]
            size -= _size(job)
        return left[: max(0, limit)]

    async def retire(self, keep: float, after: Lane | None, limit: int) -> Retired:
        """Forget tasks that nobody needs any more."""
        self._check_open()
        return self._retire(self.now(), keep, after, limit)

    async def size(self) -> int:
        """Of the texts."""
        self._check_open()
        return sum(map(_size, self._jobs.values()))

    # -- reading

    async def next_due(self) -> float | None:
        """The earliest `run_at` that `promote` has not served."""
        self._check_open()
        return min((job.run_at for job in self._future()), default=None)

    async def overdue(self, limit: int) -> list[Job]:
        """Jobs that should have started by now."""
        self._check_open()
        now = self.now()
        late = sorted(
            (job.deadline, job.seq, job)
            for job in self._jobs.values()
            if job.deadline is not None and job.deadline <= now and (job.state == WAITING or job.state in CLAIMABLE)
        )
        return [copy.copy(job) for _, _, job in late[:limit]]

    async def jobs(self, ids: Sequence[str], bare: bool = False) -> dict[str, Job]:
        """Those that exist, by id."""
        self._check_open()
        return {id: _shown(self._jobs[id], bare) for id in ids if id in self._jobs}

    async def find(self, query: JobQuery) -> Page:
        """One page, newest first."""
        self._check_open()
        newest_first = sorted(self._jobs.values(), key=lambda job: -job.seq)
        found = [copy.copy(job) for job in newest_first if query.matches(job)]
        items = found[: query.limit]
        return Page(items, items[-1].seq if len(found) > len(items) else None)

    async def running(self) -> list[Job]:
        """All that run."""
        self._check_open()
        rows = sorted((job for job in self._jobs.values() if job.state == RUNNING), key=lambda job: job.seq)
        return [copy.copy(job) for job in rows]

    async def cancelling(self) -> list[Job]:
        """Those that run and are to stop."""
        return [job for job in await self.running() if job.cancel is not None]

    async def lanes(self) -> list[Lane]:
        """Where something is ready."""
        self._check_open()
        return sorted({job.lane for job in self._ready_jobs()})

    async def counts(self) -> list[Count]:
        """Live jobs by queue, task and state."""
        self._check_open()
        live = Counter((job.queue, job.task, job.state) for job in self._jobs.values() if not job.final)
        return [Count(*key, jobs) for key, jobs in sorted(live.items())]

    async def totals(self) -> dict[State, int]:
        """All jobs by state."""
        self._check_open()
        return dict(Counter(job.state for job in self._jobs.values()))

    async def attempts(self, id: str) -> list[Attempt]:
        """Past attempts, oldest first."""
        self._check_open()
        return [copy.copy(attempt) for attempt in sorted(self._attempts.get(id, ()), key=lambda a: a.attempt)]

    async def logs(self, id: str, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """Lines after `after`, oldest first."""
        self._check_open()
        return [copy.copy(row.line) for row in self._logs.get(id, ()) if row.line.n > after][:limit]

    async def followers(self, ids: Sequence[str]) -> dict[str, list[tuple[Edge, Job]]]:
        """Who waits for each of some jobs, the oldest first."""
        self._check_open()
        asked = set(ids)
        rows = [
            (self._jobs[edge.follower].seq, edge)
            for edge, counted in self._edges.items()
            if edge.prerequisite in asked and not counted and edge.follower in self._jobs
        ]
        waiting: dict[str, list[tuple[Edge, Job]]] = {}
        for _, edge in sorted(rows, key=lambda row: row[0]):
            job = self._jobs[edge.follower]
            if job.state == WAITING or (job.state == QUEUED and edge.bad == "count"):
                waiting.setdefault(edge.prerequisite, []).append((edge, copy.copy(job)))
        return waiting

    async def edges(self, ids: Sequence[str]) -> list[Edge]:
        """What some jobs waited for."""
        self._check_open()
        asked = set(ids)
        found = [edge for edge in self._edges if edge.follower in asked]
        return sorted(found, key=lambda edge: (edge.follower, edge.prerequisite))

    async def coming(self, queue: str, task: str, limit: int) -> list[Job]:
        """Jobs of a task that will end before long, oldest first."""
        self._check_open()
        seen: Counter[str] = Counter()
        found: list[Job] = []
        for job in sorted(self._jobs.values(), key=lambda job: job.seq):
            kind = "ready" if self._ready.get(job.id) and job.state == QUEUED else job.state
            if (job.queue, job.task) == (queue, task) and kind in COMING and seen[kind] < limit:
                seen[kind] += 1
                found.append(copy.copy(job))
        return found

    async def fresh(self, keys: Sequence[str]) -> dict[str, float]:
        """When a job last completed that serves each of some keys."""
        self._check_open()
        return {key: self._fresh[key][0] for key in keys if key in self._fresh}

    async def by_run(self, runs: Sequence[str]) -> dict[str, dict[State, int]]:
        """The jobs of some runs by state."""
        self._check_open()
        found: dict[str, Counter[State]] = {}
        for job in self._jobs.values():
            if job.run is not None and job.run in runs and job.id != job.run:
                found.setdefault(job.run, Counter())[job.state] += 1
        return {run: dict(counts) for run, counts in found.items()}

    async def late(self, limit: int, told: bool = False) -> list[Job]:
        """Jobs that should have begun by now, earliest first."""
        self._check_open()
        now = self.now()
        late = sorted((at, job.seq, job) for at, job in self._not_begun(told) if told or at <= now)
        return [_shown(job, told) for _, _, job in late[:limit]]

    async def live_of(self, schedules: Sequence[str]) -> dict[str, list[Job]]:
        """Jobs of some schedules that have not ended, the oldest first."""
        self._check_open()
        live: dict[str, list[Job]] = {}
        for job in sorted(self._jobs.values(), key=lambda job: job.seq):
            if job.schedule is not None and job.schedule in schedules and not job.final:
                live.setdefault(job.schedule, []).append(copy.copy(job))
        return live

    async def schedules(self) -> list[Schedule]:
        """All of them."""
        self._check_open()
        return [copy.copy(schedule) for _, schedule in sorted(self._schedules.items())]

    async def sessions(self, lost_since: float | None = None) -> list[Session]:
        """Live ones, and those lost since."""
        self._check_open()
        return [copy.copy(s) for _, s in sorted(self._sessions.items()) if s.state == "live" or _since(s, lost_since)]

    async def tasks(self) -> list[KnownTask]:
        """All that are kept."""
        self._check_open()
        return [known for _, known in sorted(self._tasks.items())]

    async def pauses(self) -> list[Pause]:
        """All that is paused."""
        self._check_open()
        return [pause for _, pause in sorted(self._pauses.items())]

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreUnavailable("The store is not open.")


def _size(job: Job) -> int:
    return sum(len(text) for text in (job.id, job.args, job.kwargs, job.result or "", job.error or ""))


def _shown(job: Job, bare: bool) -> Job:
    shown = copy.copy(job)
    if bare:
        shown.args, shown.kwargs, shown.result = "[]", "{}", None
    return shown


def _copies(jobs: Iterable[Job]) -> list[Job]:
    return [copy.copy(job) for job in jobs]


def _since(session: Session, moment: float | None) -> bool:
    return moment is not None and session.ended_at is not None and session.ended_at >= moment
