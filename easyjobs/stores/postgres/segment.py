"""Writes that may be done in any order among themselves, gathered so that each kind is one statement.

A segment takes writes until one depends on another in it; the caller then begins the next. A unit of one write that
was passed over is told, because that harms nobody; for all else that is refused the segment must be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

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
    Unit,
    Update,
    Write,
)
from easyjobs.core.job import Job
from easyjobs.core.states import CLAIMABLE, COMPLETED, RUNNING, STATES, WAITING
from easyjobs.stores.postgres import texts
from easyjobs.stores.postgres.bulk import Bulk, Updates
from easyjobs.stores.postgres.channel import Connection
from easyjobs.stores.postgres.counters import held
from easyjobs.stores.postgres.inserts import Inserts
from easyjobs.stores.postgres.lines import write_lines
from easyjobs.stores.postgres.links import Links
from easyjobs.stores.postgres.numbers import Numbers
from easyjobs.stores.postgres.others import Other, Others
from easyjobs.stores.postgres.refusal import Refused
from easyjobs.stores.postgres.sessions import Sessions

READY: Final = 1
NOT_YET: Final = 0
HELD: Final = 2

_past_values = msgspec.structs.astuple


class Segment:
    """`add` writes while it says True, then `write` once, in a transaction."""

    def __init__(self, now: float) -> None:
        self._now = now
        self.inserts = Inserts()
        self.others = Others()
        self.inserted: list[tuple[Job, int]] = []  # after `write`: new jobs and their numbers
        self._updates: dict[tuple[tuple[str, ...], bool], Updates] = {}
        self._past = Bulk(texts.KEEP_ATTEMPTS)
        self._pasts: set[int] = set()  # units that keep one
        self._progress = Bulk(texts.NOTE_PROGRESS)
        self._flags = Bulk(texts.FLAG_CANCEL)
        self._deletes = Bulk(texts.DELETE_JOBS)
        self._logs: list[AppendLogs] = []
        self._charges: list[Charge] = []
        self._links = Links()
        self._touched: set[str] = set()
        self._noted: set[str] = set()
        self._logged: set[str] = set()
        self._only_inserts = True

    @property
    def queued(self) -> list[str]:
        """After `write`: the ids of the followers that it queued."""
        return self._links.queued

    def add(self, unit: int, write: Write) -> bool:
        """Take `write` of a unit; False, and nothing taken, when it must come after what is here already.

        :raises ValueError: it can never be written.
        """
        if type(write) is not Insert:
            self._only_inserts = False
        return _ADD[type(write)](self, unit, write)

    @classmethod
    def of_one(cls, units: Sequence[Unit], now: float) -> Updates | Inserts | None:
        """What does all of `units` in one statement, where each is a new job, or each updates one; else None.

        :raises ValueError: one can never be written.
        """
        segment = cls(now)
        for number, unit in enumerate(units):
            if len(unit.writes) != 1:
                return None
            write = unit.writes[0]
            if type(write) is Insert:
                taken = segment._add_insert(number, write)
            else:
                taken = type(write) is Update and write.past is None and segment._add_update(number, write)
            if not taken:
                return None
        updates = list(segment._updates.values())
        if segment.inserts:
            return None if updates else segment.inserts
        return updates[0] if len(updates) == 1 else None

    def _add_insert(self, unit: int, write: Insert) -> bool:
        job = write.job
        id = job.id
        if id in self._touched or id in self._noted or id in self._logged:
            return False
        ready = None if job.state == RUNNING else self._readiness(job.state, job.run_at)
        if not self.inserts.add(unit, write, ready):
            return False
        self._touched.add(id)
        return True

    def _add_update(self, unit: int, write: Update) -> bool:
        job = write.job
        if job.id in self._touched:
            return False
        columns = write.columns
        shape = tuple(columns)
        state = columns.get("state", job.state)
        fenced = job.state == RUNNING and state != COMPLETED and "state" in columns
        row = [job.id, job.version, job.seq, *columns.values()]
        if "state" in columns or "run_at" in columns:
            if state not in STATES:
                raise ValueError(f"there is no state {state!r}")
            shape = (*shape, "ready")
            row.append(self._readiness(state, columns.get("run_at", job.run_at)))
        if fenced:
            row.append(job.cancel)
        bulk = self._updates.get((shape, fenced))
        if bulk is None:
            bulk = self._updates[shape, fenced] = Updates(shape, fenced)
        bulk.add(unit, row)
        self._touched.add(job.id)
        if write.past is not None:
            self._pasts.add(unit)
            self._past.add(unit, (job.id, *_past_values(write.past)[1:]))
        return True

    def _readiness(self, state: str, run_at: float) -> int | None:
        if state in CLAIMABLE:
            return READY if run_at <= self._now else NOT_YET
        return HELD if state == WAITING else None

    def _add_delete(self, unit: int, write: Delete) -> bool:
        job = write.job
        if job.id in self._touched or self._links.completed:
            return False
        self._deletes.add(unit, (job.id, job.version, job.seq))
        self._touched.add(job.id)
        return True

    def _add_flag(self, unit: int, write: FlagCancel) -> bool:
        if write.id in self._touched:
            return False
        self._touched.add(write.id)
        self._flags.add(unit, (write.id, write.attempt, write.by))
        return True

    def _add_progress(self, unit: int, write: NoteProgress) -> bool:
        if write.id in self._touched or write.id in self._noted:
            return False
        self._noted.add(write.id)
        self._progress.add(unit, (write.id, write.attempt, write.progress))
        return True

    def _add_logs(self, unit: int, write: AppendLogs) -> bool:
        self._logged.add(write.id)
        self._logs.append(write)
        return True

    def _add_edge(self, unit: int, write: AddEdge) -> bool:
        links = self._links
        id = write.edge.prerequisite
        if self._deletes or id in links.completed:
            return False
        if write.join:
            if id in self._touched and id not in links.joined:
                return False
            self._touched.add(id)
        links.add(write)
        return True

    def _add_release(self, unit: int, write: Release) -> bool:
        if write.id in self._links.begun:
            return False  # its followers may be new themselves
        return self._links.completed.setdefault(write.id, write.inside) is write.inside

    def _add_charge(self, unit: int, write: Charge) -> bool:
        links = self._links
        if self.inserts or self._updates or self._deletes or links.begun or links.completed:
            return False
        self._charges.append(write)
        return True

    def _add_session(self, unit: int, write: PutSession | Renew | LoseSession) -> bool:
        id = write.session.id if isinstance(write, PutSession) else write.id
        return id not in self.inserts.holders and self.others.add(unit, write)

    def _add_fresh(self, unit: int, write: PutFresh) -> bool:
        return self.others.add_fresh(write)

    def _add_other(self, unit: int, write: Other) -> bool:
        return self.others.add(unit, write)

    async def write(self, connection: Connection, sessions: Sessions, numbers: Numbers) -> list[int]:
        """Execute all of it; the units that were refused, which are of one write that changed nothing.

        :raises Refused: a unit was refused that is not so simple. An error of `failures.UNWRITABLE`: a value cannot be
            stored. In both cases what was written must be undone.
        """
        refused = await self.others.run(connection)
        if self.others.sessions:
            await sessions.look(connection)
        if self._charges:
            holders = await held(connection, [charge.counter for charge in self._charges])
            if any(holders.jobs[charge.counter] >= charge.most for charge in self._charges):
                raise Refused
        if self.inserts:
            self.inserted, without = await self.inserts.run(connection, numbers)
            if without and not self._only_inserts:
                raise Refused  # what they stumbled over may be freed by another write of this segment
            refused += without
        if self._progress:
            await self._progress.run(connection)
        for bulk in self._updates.values():
            refused += bulk.refused(await bulk.run(connection))
        if not self._pasts.isdisjoint(refused):
            raise Refused
        if self._past:
            await self._past.run(connection)
        await self._links.write_edges(connection)
        if self._flags:
            refused += self._flags.refused(await self._flags.run(connection))
        if self._deletes:
            removed = await self._deletes.run(connection)
            refused += self._deletes.refused(removed)
            await forget_jobs(connection, [seq for _, seq in removed], [id for id, _ in removed])
        if self._logs:
            await write_lines(connection, self._logged, self._logs)
        await self._links.release(connection, self._now, self._touched)
        return refused


async def forget_jobs(connection: Connection, seqs: list[int], ids: list[str]) -> None:
    """Remove what hangs on removed jobs. Edges that begin there stay: they show what others waited for."""
    if seqs:
        await connection.execute("DELETE FROM logs WHERE job = ANY($1::bigint[])", seqs)
        await connection.execute("DELETE FROM attempts WHERE job = ANY($1::bigint[])", seqs)
        await connection.execute("DELETE FROM edges WHERE follower = ANY($1::text[])", ids)


_ADD: Final[dict[type, Callable[[Segment, int, Any], bool]]] = {
    Insert: Segment._add_insert,
    Update: Segment._add_update,
    Delete: Segment._add_delete,
    FlagCancel: Segment._add_flag,
    NoteProgress: Segment._add_progress,
    AppendLogs: Segment._add_logs,
    AddEdge: Segment._add_edge,
    Release: Segment._add_release,
    Charge: Segment._add_charge,
    PutSession: Segment._add_session,
    Renew: Segment._add_session,
    LoseSession: Segment._add_session,
    PutFresh: Segment._add_fresh,
    PutTask: Segment._add_other,
    PutPause: Segment._add_other,
    DropPause: Segment._add_other,
    PutSchedule: Segment._add_other,
    DropSchedule: Segment._add_other,
}
