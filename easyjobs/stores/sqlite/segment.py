"""Writes that may be done in any order among themselves, gathered so that each kind is one statement, or few.

A segment takes writes until one depends on another in it; the caller then begins the next. What is refused is not said
here: a segment that cannot be written wholly raises, and its caller finds out unit by unit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from sqlite3 import Connection
from typing import Any, Final, NamedTuple

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
    Verdict,
    Write,
)
from easyjobs.core.job import Attempt, Job
from easyjobs.core.states import CLAIMABLE, COMPLETED, RUNNING, WAITING
from easyjobs.stores.sqlite import texts
from easyjobs.stores.sqlite.failures import GuardFailed
from easyjobs.stores.sqlite.lines import write_lines
from easyjobs.stores.sqlite.links import Links, forget_edges
from easyjobs.stores.sqlite.others import OTHERS, expect_one
from easyjobs.stores.sqlite.reading import held
from easyjobs.stores.sqlite.schedules import Schedules
from easyjobs.stores.sqlite.tally import Key

READY: Final = 1
NOT_YET: Final = 0
HELD: Final = 2

_as_tuple = msgspec.structs.astuple
_TAIL_QUEUED: Final = texts.BARE[texts.QUEUED_WIDTH :]
_TAIL_RUNNING: Final = texts.BARE[texts.RUNNING_WIDTH :]


class Sessions:
    """The live sessions and their epochs, read once and kept until one is written."""

    def __init__(self) -> None:
        self._live: dict[str, int] | None = None

    def forget(self) -> None:
        """Read them again next time."""
        self._live = None

    def live(self, connection: Connection, id: str | None, epoch: int) -> bool:
        """Whether session `id` is live and of `epoch`."""
        if self._live is None:
            self._live = dict(connection.execute("SELECT id, epoch FROM sessions WHERE state = 'live'").fetchall())
        return id is not None and self._live.get(id) == epoch


class Effects(NamedTuple):
    """What units did: a verdict for each, the jobs inserted in order of `seq`, the moves, the `seq` of the followers
    that were queued.
    """

    verdicts: list[Verdict]
    inserted: list[Job]
    moves: Counter[Key]
    queued: list[int]


class Segment:
    """`add` writes while it says True, then `write` once, in a transaction.

    :param next_seq: the `seq` of the first job inserted; `inserted` has the jobs in that order.
    """

    def __init__(self, now: float, next_seq: int) -> None:
        self._now = now
        self._next_seq = next_seq
        self.inserted: list[Job] = []
        self.moves: Counter[Key] = Counter()
        self._rows: dict[int, list[Any]] = {}  # width of a new job -> values
        self._updates: dict[tuple[tuple[str, ...], bool], list[Any]] = {}
        self._past: list[Any] = []
        self._progress: list[Any] = []
        self._flags: list[FlagCancel] = []
        self._deletes: list[Job] = []
        self._logs: list[AppendLogs] = []
        self._others: list[PutSession | Renew | LoseSession | PutTask | PutPause | DropPause | PutFresh] = []
        self._charges: list[Charge] = []
        self._links: Links | None = None
        self._schedules: Schedules | None = None
        self._holders: dict[str | None, int] = {}  # sessions of the jobs that come claimed -> epoch
        self._touched: set[str] = set()
        self._noted: set[str] = set()
        self._logged: set[str] = set()

    @property
    def queued(self) -> list[int]:
        """After `write`: the `seq` of the followers that it queued."""
        return [] if self._links is None else self._links.queued

    def add(self, write: Write) -> bool:
        """Take `write`; False, and nothing taken, when it must come after what is here already."""
        add = _ADD.get(type(write))
        if add is not None:
            return add(self, write)
        if isinstance(write, (PutSession, LoseSession, Renew)):
            id = write.session.id if isinstance(write, PutSession) else write.id
            if id in self._holders:
                return False
        self._others.append(write)  # type: ignore[arg-type]
        return True

    def _add_insert(self, write: Insert) -> bool:
        job = write.job
        id = job.id
        if id in self._touched or id in self._noted or id in self._logged:
            return False
        state = job.state
        ready: int | None = None
        if state != RUNNING:
            ready = self._readiness(state, job.run_at)
        elif self._holders.setdefault(job.session, write.epoch) != write.epoch:
            return False
        row = _as_tuple(job)
        if row[texts.QUEUED_WIDTH :] == _TAIL_QUEUED:
            width = texts.QUEUED_WIDTH
        elif row[texts.RUNNING_WIDTH :] == _TAIL_RUNNING:
            width = texts.RUNNING_WIDTH
        else:
            width = texts.WIDTH
        values = self._rows.get(width)
        if values is None:
            values = self._rows[width] = []
        values += row[: texts.SEQ]
        values.append(self._next_seq + len(self.inserted))
        values += row[texts.SEQ + 1 : width]
        values.append(ready)
        self.inserted.append(job)
        self._touched.add(id)
        self.moves[job.queue, job.task, state] += 1
        return True

    def _add_update(self, write: Update) -> bool:
        job = write.job
        if job.id in self._touched:
            return False
        columns = write.columns
        shape = tuple(columns)
        was = job.state
        state = columns.get("state", was)
        fenced = was == RUNNING and state != COMPLETED and "state" in columns
        values: list[Any]
        if was == RUNNING and state not in CLAIMABLE and state != WAITING:
            values = [*columns.values(), job.seq, job.version]  # the hot way: `ready` is empty and stays so
        elif "state" in columns or "run_at" in columns:
            shape = (*shape, "ready")
            ready = self._readiness(state, columns.get("run_at", job.run_at))
            values = [*columns.values(), ready, job.seq, job.version]
        else:
            values = [*columns.values(), job.seq, job.version]
        if fenced:
            values.append(job.cancel)
        group = self._updates.get((shape, fenced))
        if group is None:
            texts.update(shape, fenced, 1)  # raises for columns that cannot be set
            group = self._updates[shape, fenced] = []
        group += values
        self._touched.add(job.id)
        if write.past is not None:
            self._past.append(job.seq)
            self._past += _as_tuple(write.past)[1:]
        if state != was:
            self.moves[job.queue, job.task, was] -= 1
            self.moves[job.queue, job.task, state] += 1
        return True

    def _readiness(self, state: str, run_at: float) -> int | None:
        if state in CLAIMABLE:
            return READY if run_at <= self._now else NOT_YET
        return HELD if state == WAITING else None

    def _add_delete(self, write: Delete) -> bool:
        job = write.job
        if job.id in self._touched or (self._links is not None and self._links.completed):
            return False
        self._deletes.append(job)
        self._touched.add(job.id)
        self.moves[job.queue, job.task, job.state] -= 1
        return True

    def _add_flag(self, write: FlagCancel) -> bool:
        if write.id in self._touched:
            return False
        self._touched.add(write.id)
        self._flags.append(write)
        return True

    def _add_progress(self, write: NoteProgress) -> bool:
        if write.id in self._touched or write.id in self._noted:
            return False
        self._noted.add(write.id)
        self._progress += (write.id, write.attempt, write.progress)
        return True

    def _add_logs(self, write: AppendLogs) -> bool:
        self._logged.add(write.id)
        self._logs.append(write)
        return True

    def _add_edge(self, write: AddEdge) -> bool:
        links = self._links
        if links is None:
            links = self._links = Links()
        id = write.edge.prerequisite
        if self._deletes or id in links.completed:
            return False
        if write.join:
            if id in self._touched and id not in links.joined:
                return False
            self._touched.add(id)
        links.add(write)
        return True

    def _add_release(self, write: Release) -> bool:
        if self._links is None:
            self._links = Links()
        if write.id in self._links.begun:
            return False  # its followers may be new themselves
        return self._links.completed.setdefault(write.id, write.inside) is write.inside

    def _add_charge(self, write: Charge) -> bool:
        if self._rows or self._updates or self._deletes or self._links is not None:
            return False
        self._charges.append(write)
        return True

    def _add_schedule(self, write: PutSchedule | DropSchedule) -> bool:
        if self._schedules is None:
            self._schedules = Schedules()
        return self._schedules.put(write) if isinstance(write, PutSchedule) else self._schedules.drop(write)

    def write(self, connection: Connection, sessions: Sessions) -> None:
        """Execute all of it.

        :raises GuardFailed: a row was not as it should be. sqlite3.IntegrityError and the others of
            `failures.UNWRITABLE`: a value cannot be stored. In both cases the transaction must be rolled back.
        """
        if self._others:
            self._write_others(connection, sessions)
        for charge in self._charges:
            if len(held(connection, charge.counter)) >= charge.most:
                raise GuardFailed
        for id, epoch in self._holders.items():
            if not sessions.live(connection, id, epoch):
                raise GuardFailed
        for width, values in self._rows.items():
            columns = texts.insert_columns(width)
            for size, part in texts.slices(values, width + 1):
                connection.execute(texts.insert("jobs", columns, width + 1, size), part)
        for size, part in texts.slices(self._progress, 3):
            connection.execute(texts.note_progress(size), part)
        for (shape, fenced), values in self._updates.items():
            for size, part in texts.slices(values, len(shape) + 2 + fenced):
                if connection.execute(texts.update(shape, fenced, size), part).rowcount != size:
                    raise GuardFailed
        if self._past:
            width = len(Attempt.__struct_fields__)
            for size, part in texts.slices(self._past, width):
                connection.execute(texts.insert("attempts", texts.ATTEMPT, width, size), part)
        if self._schedules is not None:
            self._schedules.write(connection)
        if self._links is not None:
            self._links.write_edges(connection)
        for flag in self._flags:
            expect_one(
                connection,
                "UPDATE jobs SET cancel = ? WHERE id = ? AND state = 'running' AND attempt = ?",
                (flag.by, flag.id, flag.attempt),
            )
        for job in self._deletes:
            expect_one(connection, "DELETE FROM jobs WHERE seq = ? AND version = ?", (job.seq, job.version))
            forget_jobs(connection, [job.seq], [job.id])
        if self._logs:
            write_lines(connection, self._logged, self._logs)
        if self._links is not None:
            self.moves.update(self._links.release(connection, self._now, self._touched))

    def _write_others(self, connection: Connection, sessions: Sessions) -> None:
        for write in self._others:
            if isinstance(write, (PutSession, LoseSession)):
                sessions.forget()
            OTHERS[type(write)](connection, write)


def forget_jobs(connection: Connection, seqs: Sequence[int], ids: Sequence[str]) -> None:
    """Remove what hangs on removed jobs, and see to it that no other job ever gets their `seq`."""
    for size, part in texts.slices(seqs):
        connection.execute(texts.select("DELETE FROM logs WHERE job IN {}", size), part)
        connection.execute(texts.select("DELETE FROM attempts WHERE job IN {}", size), part)
    forget_edges(connection, ids)
    connection.execute("UPDATE marks SET highest_removed = max(highest_removed, ?)", (max(seqs),))


_ADD: Final[dict[type, Callable[[Segment, Any], bool]]] = {
    Insert: Segment._add_insert,
    Update: Segment._add_update,
    Delete: Segment._add_delete,
    FlagCancel: Segment._add_flag,
    NoteProgress: Segment._add_progress,
    AppendLogs: Segment._add_logs,
    AddEdge: Segment._add_edge,
    Release: Segment._add_release,
    Charge: Segment._add_charge,
    PutSchedule: Segment._add_schedule,
    DropSchedule: Segment._add_schedule,
}
