"""The store in memory: the executable specification of `base.Store`, plain rather than fast.

Rows are never changed in place: a write puts a changed copy, and what was there before goes into an undo list until
its unit is whole.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from easyjobs.clock import Clock, SteadyClock, SystemClock
from easyjobs.core.changes import (
    APPLIED,
    AppendLogs,
    Broken,
    Claim,
    Committed,
    Delete,
    DropPause,
    FlagCancel,
    Insert,
    LoseSession,
    NoteProgress,
    PutPause,
    PutSession,
    PutTask,
    Renew,
    Stale,
    Unit,
    Update,
    Verdict,
    Why,
    Write,
)
from easyjobs.core.job import Attempt, Job, Lane, LogLine, Session
from easyjobs.core.placement import place, urgency
from easyjobs.core.states import CLAIMABLE, COMPLETED, RUNNING, WAITING, State
from easyjobs.errors import StoreLocked, StoreUnavailable
from easyjobs.stores.base import SETTABLE, Count, JobQuery, KnownTask, Page, Pause, Retention

MOVES = frozenset(("state", "run_at"))  # columns that say whether a job is ready

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R", bound=msgspec.Struct)


class _GuardFailed(Exception):
    """Which guard, and the id of the job that is in the way."""

    def __init__(self, why: Why, id: str | None = None) -> None:
        self.why: Why = why
        self.id = id


class MemoryStore:
    """Keeps all rows in this object: they outlive `close`, not the process. May be opened again after `close`."""

    single_manager = True

    def __init__(self, clock: Clock | None = None) -> None:
        self._source: Clock = clock or SystemClock()
        self._clock = SteadyClock(self._source)
        self._now = 0.0  # of the commit under way
        self._is_open = False
        self._seq = 0
        self._jobs: dict[str, Job] = {}
        self._ready: dict[str, bool] = {}  # queued and retry jobs: whether a claim may take them
        self._attempts: dict[str, tuple[Attempt, ...]] = {}
        self._logs: dict[str, tuple[LogLine, ...]] = {}
        self._sessions: dict[str, Session] = {}
        self._tasks: dict[Lane, KnownTask] = {}
        self._pauses: dict[tuple[str, str], Pause] = {}
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []

    async def open(self) -> None:
        """Begin, with the rows of last time.

        :raises StoreLocked: it is open already.
        """
        if self._is_open:
            raise StoreLocked("This memory store is open already: it serves one manager.")
        self._is_open = True
        self._clock = SteadyClock(self._source)

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
        verdicts = [self._apply(unit) for unit in units]
        claimed, emptied = self._claim(claim) if claim is not None else ([], [])
        self._undo.clear()
        return Committed(verdicts, [copy.copy(job) for job in claimed], emptied)

    def _apply(self, unit: Unit) -> Verdict:
        self._undo.clear()
        seq = self._seq
        inserted: list[tuple[Job, int]] = []
        try:
            for write in unit.writes:
                self._write(write)
                if isinstance(write, Insert):
                    inserted.append((write.job, self._seq))
        except (_GuardFailed, ValueError, TypeError, OverflowError) as refusal:
            for table, key, old in reversed(self._undo):
                _put(table, key, old)
            self._seq = seq
            if not isinstance(refusal, _GuardFailed):
                return Broken(str(refusal))
            row = self._jobs.get(refusal.id or "")
            return Stale(refusal.why, [] if row is None else [copy.copy(row)])
        for job, number in inserted:
            job.seq = number
        return APPLIED

    def _set(self, table: dict[K, V], key: K, value: V | None) -> None:
        """Put a row, or remove it (None), so that it can be undone."""
        self._undo.append((table, key, table.get(key)))
        _put(table, key, value)

    def _write(self, write: Write) -> None:
        if isinstance(write, Insert):
            self._insert(write)
        elif isinstance(write, Update):
            self._update(write)
        elif isinstance(write, Delete):
            self._delete(self._guarded(write.job))
        elif isinstance(write, FlagCancel):
            job = self._jobs.get(write.id)
            if job is None or job.state != RUNNING or job.attempt != write.attempt:
                raise _GuardFailed("version", write.id)
            self._set(self._jobs, job.id, _changed(job, cancel=write.by))
        elif isinstance(write, NoteProgress):
            job = self._jobs.get(write.id)
            if job is not None and job.state == RUNNING and job.attempt == write.attempt:
                self._set(self._jobs, job.id, _changed(job, progress=write.progress))
        elif isinstance(write, AppendLogs):
            if write.id in self._jobs:
                kept = self._logs.get(write.id, ())
                lines = tuple(_storable(LogLine(len(kept) + n, *line)) for n, line in enumerate(write.lines, 1))
                self._set(self._logs, write.id, kept + lines)
        elif isinstance(write, PutTask):
            self._set(self._tasks, write.spec.lane, _storable(KnownTask(write.spec, write.seen_at)))
        elif isinstance(write, PutPause):
            if (write.kind, write.name) not in self._pauses:
                pause = _storable(Pause(write.kind, write.name, write.by, write.at))
                self._set(self._pauses, (write.kind, write.name), pause)
        elif isinstance(write, DropPause):
            self._set(self._pauses, (write.kind, write.name), None)
        else:
            self._write_session(write)

    def _insert(self, write: Insert) -> None:
        job = write.job
        if job.id in self._jobs:
            raise _GuardFailed("id", job.id)
        if job.key is not None:
            for other in self._jobs.values():
                if other.key == job.key:
                    raise _GuardFailed("key", other.id)
        if job.unique_key is not None and not job.final:
            for other in self._jobs.values():
                if other.unique_key == job.unique_key and not other.final:
                    raise _GuardFailed("unique", other.id)
        if job.state == RUNNING:
            self._live(job.session, write.epoch)
        row = _changed(job, seq=self._seq + 1)
        self._seq += 1
        self._put_job(row)

    def _update(self, write: Update) -> None:
        columns = write.columns
        job = self._guarded(write.job)
        leaves = job.state == RUNNING and columns.get("state", COMPLETED) != COMPLETED
        if leaves and job.cancel != write.job.cancel:
            raise _GuardFailed("cancel", job.id)
        if not columns.keys() <= SETTABLE:
            raise ValueError(f"columns that cannot be set: {', '.join(sorted(columns.keys() - SETTABLE))}")
        self._put_job(_changed(job, **columns, version=job.version + 1), moved=not columns.keys().isdisjoint(MOVES))
        if write.past is not None:
            past = self._attempts.get(job.id, ())
            self._set(self._attempts, job.id, (*past, _storable(copy.copy(write.past))))

    def _delete(self, job: Job) -> None:
        tables: list[dict[str, Any]] = [self._jobs, self._ready, self._attempts, self._logs]
        for table in tables:
            self._set(table, job.id, None)

    def _guarded(self, job: Job) -> Job:
        """The row as it is, if it still has the version of `job`, and is not another job of the same id."""
        row = self._jobs.get(job.id)
        if row is None or row.version != job.version or job.seq not in (0, row.seq):
            raise _GuardFailed("version", job.id)
        return row

    def _put_job(self, row: Job, moved: bool = True) -> None:
        self._set(self._jobs, row.id, row)
        if moved:
            self._set(self._ready, row.id, row.run_at <= self._now if row.state in CLAIMABLE else None)

    def _write_session(self, write: PutSession | Renew | LoseSession) -> None:
        if isinstance(write, PutSession):
            if write.session.id in self._sessions:
                self._live(write.session.id, write.session.epoch - 1)
            self._set(self._sessions, write.session.id, _storable(copy.copy(write.session)))
        elif isinstance(write, Renew):
            session = self._live(write.id, write.epoch)
            self._set(self._sessions, session.id, _changed(session, expires_at=write.expires_at))
        else:
            session = self._live(write.id, write.epoch)
            self._set(self._sessions, session.id, _changed(session, state="lost", ended_at=write.at))

    def _live(self, id: str | None, epoch: int | None) -> Session:
        session = self._sessions.get(id or "")
        if session is None or session.state != "live" or epoch not in (None, session.epoch):
            raise _GuardFailed("session")
        return session

    def _claim(self, claim: Claim) -> tuple[list[Job], list[Lane]]:
        offers = [o for o in claim.offers if o.slots > 0 and self._is_live(o.session, o.epoch)]
        lanes = {lane for offer in offers for lane in offer.lanes}
        used = Counter(job.holds for job in self._jobs.values() if job.state == RUNNING and job.holds is not None)
        room = {lane: most - used[counter] for lane, (counter, most) in claim.capacity.items()}
        counters = {lane: counter for lane, (counter, _) in claim.capacity.items()}
        ready = sorted((job for job in self._ready_jobs() if job.lane in lanes), key=urgency)
        claimed = []
        for (job, offer), token in zip(place(ready, offers, room, counters), claim.tokens, strict=False):
            row = _changed(
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
        return claimed, sorted(lanes - {job.lane for job in self._ready_jobs()})

    def _is_live(self, id: str, epoch: int) -> bool:
        session = self._sessions.get(id)
        return session is not None and session.state == "live" and session.epoch == epoch

    def _ready_jobs(self) -> Iterable[Job]:
        return (self._jobs[id] for id, ready in self._ready.items() if ready)

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
            for job in self._jobs.values()
            if job.final
            and job.finished_at is not None
            and job.finished_at <= now - (retention.completed if job.state == COMPLETED else retention.others)
        ]
        old = sorted(old, key=lambda job: job.seq)[:limit]
        for job in old:
            self._delete(job)
        for session in list(self._sessions.values()):
            if session.ended_at is not None and session.ended_at <= now - retention.others:
                self._set(self._sessions, session.id, None)
        self._undo.clear()
        return len(old)

    # -- reading

    async def next_due(self) -> float | None:
        """The earliest `run_at` that `promote` has not served."""
        self._check_open()
        return min((job.run_at for job in self._future()), default=None)

    def _future(self) -> Iterable[Job]:
        return (self._jobs[id] for id, ready in self._ready.items() if not ready)

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

    async def jobs(self, ids: Sequence[str]) -> dict[str, Job]:
        """Those that exist, by id."""
        self._check_open()
        return {id: copy.copy(self._jobs[id]) for id in ids if id in self._jobs}

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
        return [copy.copy(line) for line in self._logs.get(id, ()) if line.n > after][:limit]

    async def sessions(self, lost_since: float | None = None) -> list[Session]:
        """Live ones, and those lost since."""
        self._check_open()
        return [copy.copy(s) for _, s in sorted(self._sessions.items()) if s.state == "live" or _since(s, lost_since)]

    async def tasks(self) -> list[KnownTask]:
        """All ever registered."""
        self._check_open()
        return [known for _, known in sorted(self._tasks.items())]

    async def pauses(self) -> list[Pause]:
        """All that is paused."""
        self._check_open()
        return [pause for _, pause in sorted(self._pauses.items())]

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreUnavailable("The store is not open.")


def _put(table: dict[K, V], key: K, value: V | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def _changed(row: R, **columns: Any) -> R:
    return _storable(msgspec.structs.replace(row, **columns))


def _storable(row: R) -> R:
    """`row`, if a store could write and read it; else ValueError says where a type or a text is wrong."""
    msgspec.json.decode(msgspec.json.encode(row), type=type(row))
    return row


def _since(session: Session, moment: float | None) -> bool:
    return moment is not None and session.ended_at is not None and session.ended_at >= moment
