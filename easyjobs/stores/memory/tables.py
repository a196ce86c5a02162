"""The rows of the memory store and what each write does to them: plain rather than fast.

Rows are never changed in place: a write puts a changed copy, and what was there before goes into an undo list until
its unit is whole.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from easyjobs.core.changes import (
    AddEdge,
    AppendLogs,
    Charge,
    Delete,
    DropPause,
    DropSchedule,
    FlagCancel,
    Insert,
    LoseSession,
    NoteProgress,
    PutFresh,
    PutPause,
    PutSchedule,
    PutSession,
    PutTask,
    Release,
    Renew,
    Update,
    Why,
    Write,
)
from easyjobs.core.job import Attempt, Edge, Job, Lane, LogLine, Session
from easyjobs.core.keeping import Known, fate, is_offered
from easyjobs.core.schedule import Schedule
from easyjobs.core.states import CLAIMABLE, COMPLETED, QUEUED, RUNNING, WAITING
from easyjobs.stores.base import SETTABLE, KnownTask, Pause, Retired
from easyjobs.stores.documents import lanes_offered

HOLDING: Final = frozenset((RUNNING, WAITING))  # in these states a job takes of the counter that it holds
MOVES: Final = frozenset(("state", "run_at"))  # columns that say whether a job is ready

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R", bound=msgspec.Struct)


class GuardFailed(Exception):
    """Which guard, and the id of the job that is in the way."""

    def __init__(self, why: Why, id: str | None = None) -> None:
        self.why: Why = why
        self.id = id


class LogRow(NamedTuple):
    """A line, the attempt and voice that said it, and the number it gave it (0: none)."""

    line: LogLine
    said_by: tuple[int, str]
    number: int


class Tables:
    """All rows. `_write` raises `GuardFailed`, or ValueError and the like where a row could not be stored; `_undo` then
    says what was there before.
    """

    def __init__(self) -> None:
        self._now = 0.0  # of the commit under way
        self._seq = 0
        self._jobs: dict[str, Job] = {}
        self._ready: dict[str, bool] = {}  # queued and retry jobs: whether a claim may take them
        self._attempts: dict[str, tuple[Attempt, ...]] = {}
        self._logs: dict[str, tuple[LogRow, ...]] = {}
        self._edges: dict[Edge, bool] = {}  # whether its prerequisite has completed, and it was counted
        self._released: dict[str, bool] = {}  # followers that the commit under way has released
        self._fresh: dict[str, tuple[float, float]] = {}  # when a job that serves the key completed; kept until
        self._sessions: dict[str, Session] = {}
        self._tasks: dict[Lane, KnownTask] = {}
        self._schedules: dict[str, Schedule] = {}
        self._pauses: dict[tuple[str, str], Pause] = {}
        self._lead: tuple[str, int, float] = ("", 0, 0.0)  # who leads, in which term, until when
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []

    def _set(self, table: dict[K, V], key: K, value: V | None) -> None:
        """Put a row, or remove it (None), so that it can be undone."""
        self._undo.append((table, key, table.get(key)))
        put(table, key, value)

    def _ready_jobs(self) -> Iterable[Job]:
        return (self._jobs[id] for id, ready in self._ready.items() if ready)

    def _future(self) -> Iterable[Job]:
        return (self._jobs[id] for id, ready in self._ready.items() if not ready)

    def _not_begun(self, told: bool) -> Iterable[tuple[float, Job]]:
        """Jobs that have not begun, and the moment by which they were to; of which somebody was `told`, or not."""
        for job in self._jobs.values():
            waits = job.state in CLAIMABLE or (job.state == WAITING and job.turn not in ("gather", "close"))
            tried = told and (job.failures or job.crashes)
            if waits and not tried and job.late_at is not None and (job.late_at < 0) == told:
                yield abs(job.late_at), job

    def _alone(self, job: Job) -> bool:
        """Whether it is of no run, or of one that is gone; the others serve it, or its repetition."""
        return job.run is None or job.run == job.id or job.run not in self._jobs

    def _write(self, write: Write) -> None:
        _WRITES[type(write)](self, write)

    # -- jobs

    def _insert(self, write: Insert) -> None:
        job = write.job
        if job.id in self._jobs:
            raise GuardFailed("id", job.id)
        if job.key is not None:
            self._keep_free("key", lambda other: other.key == job.key)
        if job.unique_key is not None and not job.final:
            self._keep_free("unique", lambda other: other.unique_key == job.unique_key and not other.final)
        if job.schedule is not None and job.tick is not None:
            self._keep_free("tick", lambda other: (other.schedule, other.tick) == (job.schedule, job.tick))
        if job.state == RUNNING:
            self._live(job.session, write.epoch)
        row = changed(job, seq=self._seq + 1)
        self._seq += 1
        self._put_job(row)

    def _keep_free(self, why: Why, taken_by: Callable[[Job], bool]) -> None:
        for other in self._jobs.values():
            if taken_by(other):
                raise GuardFailed(why, other.id)

    def _update(self, write: Update) -> None:
        columns = write.columns
        job = self._guarded(write.job)
        leaves = job.state == RUNNING and columns.get("state", COMPLETED) != COMPLETED
        if leaves and job.cancel != write.job.cancel:
            raise GuardFailed("cancel", job.id)
        if not columns.keys() <= SETTABLE:
            raise ValueError(f"columns that cannot be set: {', '.join(sorted(columns.keys() - SETTABLE))}")
        self._put_job(changed(job, **columns, version=job.version + 1), moved=not columns.keys().isdisjoint(MOVES))
        if write.past is not None:
            past = self._attempts.get(job.id, ())
            self._set(self._attempts, job.id, (*past, storable(copy.copy(write.past))))

    def _delete(self, write: Delete) -> None:
        self._forget(self._guarded(write.job))

    def _forget(self, job: Job) -> None:
        tables: list[dict[str, Any]] = [self._jobs, self._ready, self._attempts, self._logs, self._released]
        for table in tables:
            self._set(table, job.id, None)
        for edge in [edge for edge in self._edges if edge.follower == job.id]:
            self._set(self._edges, edge, None)

    def _guarded(self, job: Job) -> Job:
        """The row as it is, if it still has the version of `job`, and is not another job of the same id."""
        row = self._jobs.get(job.id)
        if row is None or row.version != job.version or job.seq not in (0, row.seq):
            raise GuardFailed("version", job.id)
        return row

    def _put_job(self, row: Job, moved: bool = True) -> None:
        self._set(self._jobs, row.id, row)
        if moved:
            self._set(self._ready, row.id, row.run_at <= self._now if row.state in CLAIMABLE else None)

    # -- words about jobs

    def _flag_cancel(self, write: FlagCancel) -> None:
        job = self._jobs.get(write.id)
        if job is None or job.state != RUNNING or job.attempt != write.attempt:
            raise GuardFailed("version", write.id)
        self._set(self._jobs, job.id, changed(job, cancel=write.by))

    def _note_progress(self, write: NoteProgress) -> None:
        job = self._jobs.get(write.id)
        if job is not None and job.state == RUNNING and job.attempt == write.attempt:
            self._set(self._jobs, job.id, changed(job, progress=write.progress))

    def _append_logs(self, write: AppendLogs) -> None:
        if write.id not in self._jobs or not write.lines:
            return
        said_by = (write.lines[0][0], write.voice)
        kept = self._logs.get(write.id, ())
        n = kept[-1].line.n if kept else 0
        highest = max((row.number for row in kept if row.said_by == said_by), default=0)
        fresh: list[LogRow] = []
        for number, line in enumerate(write.lines, write.first):
            if write.first == 0:
                n += 1
                fresh.append(LogRow(storable(LogLine(n, *line)), (line[0], ""), 0))
            elif number > highest:
                n += number - highest
                highest = number
                fresh.append(LogRow(storable(LogLine(n, *line)), said_by, number))
        if write.drop is not None:
            low, high = max(1, write.drop[0]), min(write.drop[1], write.first - 1)
            kept = tuple(row for row in kept if row.said_by != said_by or not low <= row.number <= high)
        self._set(self._logs, write.id, (*kept, *fresh))

    # -- chains

    def _add_edge(self, write: AddEdge) -> None:
        edge = write.edge
        if write.join:
            row = self._jobs.get(edge.prerequisite)
            if row is None or row.final:
                raise GuardFailed("ended", edge.prerequisite)
            self._put_job(changed(row, followers=row.followers + 1, version=row.version + 1), moved=False)
        if any(msgspec.structs.replace(edge, bad=bad) in self._edges for bad in ("fail", "skip", "count")):
            raise ValueError(f"{edge.follower} waits for {edge.prerequisite} already")
        self._set(self._edges, storable(edge), False)

    def _release(self, write: Release) -> None:
        for edge, counted in list(self._edges.items()):
            row = self._jobs.get(edge.follower)
            if write.inside and (row is None or row.run != write.id):
                continue
            if edge.prerequisite == write.id and not counted:
                self._set(self._edges, edge, True)
                if row is not None:
                    self._count_down(changed(row, deps_left=row.deps_left - 1, version=row.version + 1))

    def _count_down(self, row: Job) -> None:
        if row.state == WAITING and row.deps_left == 0:
            if row.turn in ("gather", "close"):
                self._put_job(row, moved=False)
                self._set(self._ready, row.id, True)
            else:
                self._put_job(changed(row, state=QUEUED))
            self._set(self._released, row.id, True)
        else:
            self._put_job(row, moved=False)

    def _charge(self, write: Charge) -> None:
        if self._held()[write.counter] >= write.most:
            raise GuardFailed("room")

    def _held(self) -> Counter[str]:
        """How many jobs hold each counter."""
        return Counter(job.holds for job in self._jobs.values() if job.state in HOLDING and job.holds is not None)

    def _put_fresh(self, write: PutFresh) -> None:
        storable(write)
        for key in write.keys:
            at, until = self._fresh.get(key, (write.at, write.until))
            self._set(self._fresh, key, (max(at, write.at), max(until, write.until)))

    # -- schedules

    def _put_schedule(self, write: PutSchedule) -> None:
        schedule = write.schedule
        self._guard_schedule(schedule.id, write.was)
        self._set(self._schedules, schedule.id, changed(schedule, version=(write.was or 0) + 1))

    def _drop_schedule(self, write: DropSchedule) -> None:
        self._guard_schedule(write.id, write.was)
        self._set(self._schedules, write.id, None)

    def _guard_schedule(self, id: str, was: int | None) -> None:
        row = self._schedules.get(id)
        if (None if row is None else row.version) != was:
            raise GuardFailed("schedule")

    # -- tasks and pauses

    def _put_task(self, write: PutTask) -> None:
        self._set(self._tasks, write.spec.lane, storable(KnownTask(write.spec, write.seen_at)))

    def _retire(self, now: float, keep: float, after: Lane | None, limit: int) -> Retired:
        left = sorted(lane for lane in self._tasks if after is None or lane > after)
        page, gone = left[:limit], []
        offered = lanes_offered(session.offers for session in self._sessions.values() if session.state == "live")
        for lane in page:
            known = self._tasks[lane]
            becomes = fate(self._needed(lane, known, is_offered(known.spec, offered)), now, keep)
            if becomes == "goes" and not any(job.lane == lane for job in self._jobs.values()):
                del self._tasks[lane]
                gone.append(lane)
            elif becomes != "stays":
                self._tasks[lane] = msgspec.structs.replace(known, idle_since=now if becomes == "idle" else None)
        return Retired(gone, page[-1] if len(left) > limit else None)

    def _needed(self, lane: Lane, known: KnownTask, offered: bool) -> Known:
        name = (lane.queue, lane.task)
        others = [one.seen_at for other, one in self._tasks.items() if (other.queue, other.task) == name]
        named = ("task", ":".join(name)) in self._pauses or any(
            (schedule.queue, schedule.task) == name for schedule in self._schedules.values()
        )
        used = any((job.queue, job.task) == name for job in self._jobs.values())
        newer = max(others) > known.seen_at
        return Known(lane, known.idle_since, known.spec.passing, newer, offered, named, used)

    def _put_pause(self, write: PutPause) -> None:
        if (write.kind, write.name) not in self._pauses:
            pause = storable(Pause(write.kind, write.name, write.by, write.at))
            self._set(self._pauses, (write.kind, write.name), pause)

    def _drop_pause(self, write: DropPause) -> None:
        self._set(self._pauses, (write.kind, write.name), None)

    # -- sessions

    def _put_session(self, write: PutSession) -> None:
        if write.session.id in self._sessions:
            self._live(write.session.id, write.session.epoch - 1)
        self._set(self._sessions, write.session.id, storable(copy.copy(write.session)))

    def _renew(self, write: Renew) -> None:
        session = self._live(write.id, write.epoch)
        offers = session.offers if write.offers is None else write.offers
        self._set(self._sessions, session.id, changed(session, expires_at=write.expires_at, offers=offers))

    def _lose_session(self, write: LoseSession) -> None:
        session = self._live(write.id, write.epoch)
        if write.expires_by is not None and session.expires_at > write.expires_by:
            raise GuardFailed("session")
        self._set(self._sessions, session.id, changed(session, state="lost", ended_at=write.at))

    def _live(self, id: str | None, epoch: int | None) -> Session:
        session = self._sessions.get(id or "")
        if session is None or session.state != "live" or epoch not in (None, session.epoch):
            raise GuardFailed("session")
        return session


_WRITES: Final[dict[type, Callable[[Tables, Any], None]]] = {
    Insert: Tables._insert,
    Update: Tables._update,
    Delete: Tables._delete,
    FlagCancel: Tables._flag_cancel,
    NoteProgress: Tables._note_progress,
    AppendLogs: Tables._append_logs,
    AddEdge: Tables._add_edge,
    Release: Tables._release,
    Charge: Tables._charge,
    PutFresh: Tables._put_fresh,
    PutSchedule: Tables._put_schedule,
    DropSchedule: Tables._drop_schedule,
    PutTask: Tables._put_task,
    PutPause: Tables._put_pause,
    DropPause: Tables._drop_pause,
    PutSession: Tables._put_session,
    Renew: Tables._renew,
    LoseSession: Tables._lose_session,
}


def put(table: dict[K, V], key: K, value: V | None) -> None:
    """Put a row, or remove it (None)."""
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def changed(row: R, **columns: Any) -> R:
    """A copy of `row` with other columns; as `storable`."""
    return storable(msgspec.structs.replace(row, **columns))


def storable(row: R) -> R:
    """`row`, if a store could write and read it; else ValueError says where a type or a text is wrong."""
    msgspec.json.decode(msgspec.json.encode(row), type=type(row))
    return row
