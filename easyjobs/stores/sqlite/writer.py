"""The one connection that writes: transactions under the lock between processes, and what is known in memory."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from sqlite3 import Connection
from typing import Any, Final, TypeVar

from easyjobs.core.changes import APPLIED, Claim, Committed, Unit
from easyjobs.core.job import Job, Lane
from easyjobs.stores.base import Hint, Retired
from easyjobs.stores.hints import hint_of
from easyjobs.stores.sqlite import files, texts
from easyjobs.stores.sqlite.careful import apply_each
from easyjobs.stores.sqlite.claim import claim_jobs
from easyjobs.stores.sqlite.failures import UNWRITABLE, GuardFailed, is_busy
from easyjobs.stores.sqlite.notes import Notes
from easyjobs.stores.sqlite.presence import Presence
from easyjobs.stores.sqlite.reading import fetch, jobs_by_seq
from easyjobs.stores.sqlite.retiring import retire_tasks
from easyjobs.stores.sqlite.segment import Effects, Segment, Sessions, forget_jobs
from easyjobs.stores.sqlite.tally import Key, Tally

T = TypeVar("T")

_PROMOTE: Final = (
    "UPDATE jobs SET ready = 1 WHERE seq IN (SELECT seq FROM jobs INDEXED BY jobs_due"
    " WHERE ready = 0 AND run_at <= ? ORDER BY run_at, seq LIMIT ?) RETURNING queue, task, signature"
)
_LEAD: Final = (  # numbered: who, until when, now
    "UPDATE lead SET term = term + (holder <> ?1), holder = ?1, until = ?2"
    " WHERE holder = ?1 OR until <= ?3 RETURNING term"
)


class Busy(Exception):
    """Another process writes now: try again soon."""


class Writer:
    """Synchronous; one call at a time, from whichever thread. `open` first, `close` last.

    What it knows in memory (the next `seq`, the live sessions, the tally) is read again when another process wrote.

    `several`: there are, or were, other hubs on the file; it may be set from outside, and stays. What is written is
    noted for them then.
    """

    def __init__(self, path: str, presence: Presence) -> None:
        self._path = path
        self._presence = presence
        self.several = False
        self._lock = files.FileLock(f"{path}.lock")
        self._connection: Connection | None = None
        self._sessions = Sessions()
        self._tally: Tally | None = None
        self._next_seq = 1
        self._foreign = -1
        self._notes = Notes()
        self._hint: Hint | None = None  # of the transaction that is being written
        self._moves: Counter[Key] = Counter()

    @property
    def connection(self) -> Connection:
        """For reading between transactions."""
        if self._connection is None:
            raise sqlite3.ProgrammingError("not open")
        return self._connection

    def open(self, me: str, *, beside: bool) -> None:
        """Connect, check and migrate the file, for a hub that others know as `me`; `beside` others it is in order, or
        not used.

        :raises Busy: another process writes. StoreLocked: others use it in an older version. StoreCorrupt,
            sqlite3.Error, OSError: it cannot be used.
        """
        if not self._lock.acquire():
            raise Busy
        try:
            self._connection = files.open_writer(self._path, beside=beside)
        except sqlite3.OperationalError as error:
            if is_busy(error):
                raise Busy from None
            raise
        finally:
            self._lock.release()
        self._foreign = -1
        with self._snapshot() as connection:
            self._notes.begin(connection, me)
            self.look()

    def close(self, *, patient: bool = False) -> None:
        """Checkpoint and disconnect, if possible under the lock. May be called twice.

        :raises Busy: another process writes, and we are `patient`.
        """
        if self._connection is not None:
            locked = self._lock.acquire()
            if patient and not locked:
                raise Busy
            self._connection.close()
            self._connection = None
            if locked:
                self._lock.release()
        self._lock.close()

    def look(self) -> None:
        """Take in what another process wrote since last time. Costs next to nothing when none did."""
        if self._version() != self._foreign:
            if self.connection.in_transaction:
                self._follow()
            else:
                with self._snapshot():  # in which the version, and what was noted up to it, are of one moment
                    self._follow()

    def looked(self, statement: str) -> list[Any]:
        """Rows; and whoever wrote them is known to be there."""
        rows = fetch(self.connection, statement)
        self.look()
        return rows

    def _version(self) -> int:
        (version,) = self.connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def _follow(self) -> None:
        connection = self.connection
        version = self._version()
        highest = "SELECT max(coalesce((SELECT max(seq) FROM jobs), 0), highest_removed) FROM marks"
        self._next_seq = connection.execute(highest).fetchone()[0] + 1
        self._sessions.forget()
        if not self.several:
            self.several = self._presence.others()
        moves = self._notes.follow(connection)
        if moves is None:
            self._tally = None
        else:
            self._count(moves)
        self._foreign = version

    def news(self) -> Hint | None:
        """What other hubs wrote since it was asked last, as far as it may concern this one."""
        self.look()
        return self._notes.heard()

    def counted(self) -> bool:
        """Whether `tally` answers at once."""
        self.look()
        return self._tally is not None

    def tally(self) -> Tally:
        """How many jobs there are; scans the table if that is not known."""
        self.look()
        if self._tally is None:
            with self._snapshot() as connection:
                self.look()
                rows = connection.execute("SELECT queue, task, state, count(*) FROM jobs GROUP BY queue, task, state")
                self._tally = Tally(rows.fetchall())
        return self._tally

    @contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        """All that is read inside is of one moment."""
        connection = self.connection
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        """`work` in one durable transaction under the lock; it may `_say` what others are to know of it.

        :raises Busy: another process writes; nothing was done.
        """
        if not self._lock.acquire():
            raise Busy
        connection = self.connection
        try:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if is_busy(error):
                    raise Busy from None
                raise
            try:
                self.look()
                result = work(connection)
                if self.several:
                    self._notes.write(connection, self._hint, self._moves)
                connection.execute("COMMIT")
            except BaseException:
                self._sessions.forget()
                self._notes.forgotten()
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            self._notes.written()
        finally:
            self._say(None, Counter())
            self._lock.release()
        return result

    def _say(self, hint: Hint | None, moves: Counter[Key]) -> None:
        self._hint, self._moves = hint, moves

    def _count(self, moves: Counter[Key]) -> None:
        if self._tally is not None:
            self._tally.add(moves)

    def commit(self, units: Sequence[Unit], claim: Claim | None, now: float) -> Committed:
        """Apply the units and then the claim. See `base.Store.commit`."""
        try:
            return self._commit(units, claim, now, self._together)
        except (GuardFailed, *UNWRITABLE):
            return self._commit(units, claim, now, self._each)

    def _commit(
        self,
        units: Sequence[Unit],
        claim: Claim | None,
        now: float,
        apply: Callable[[Connection, Sequence[Unit], float], Effects],
    ) -> Committed:
        def work(connection: Connection) -> tuple[Effects, Committed]:
            effects = apply(connection, units, now)
            committed = Committed(effects.verdicts)
            if effects.queued:
                committed.released = jobs_by_seq(connection, effects.queued)
            if claim is not None:
                claimed = claim_jobs(connection, self._sessions, claim, now)
                committed.claimed, committed.emptied, committed.turns = claimed[:3]
                effects.moves.update(claimed.moves)
            if self.several:
                self._say(hint_of(units, committed), effects.moves)
            return effects, committed

        effects, committed = self._transaction(work)
        for seq, job in enumerate(effects.inserted, self._next_seq):
            job.seq = seq
        self._next_seq += len(effects.inserted)
        self._count(effects.moves)
        return committed

    def _together(self, connection: Connection, units: Sequence[Unit], now: float) -> Effects:
        """All units as few statements; raises when one is refused."""
        segment = Segment(now, self._next_seq)
        done: list[Segment] = [segment]
        inserted: list[Job] = []
        for unit in units:
            for write in unit.writes:
                if not segment.add(write):
                    segment.write(connection, self._sessions)
                    inserted += segment.inserted
                    segment = Segment(now, self._next_seq + len(inserted))
                    done.append(segment)
                    segment.add(write)
        segment.write(connection, self._sessions)
        inserted += segment.inserted
        effects = Effects([APPLIED] * len(units), inserted, segment.moves, segment.queued)
        for earlier in done[:-1]:
            effects.moves.update(earlier.moves)
            effects.queued.extend(earlier.queued)
        return effects

    def _each(self, connection: Connection, units: Sequence[Unit], now: float) -> Effects:
        return apply_each(connection, self._sessions, units, now, self._next_seq)

    def promote(self, now: float, limit: int) -> list[Lane]:
        """Make up to `limit` jobs ready; their lanes. Writes only when there is one."""
        due = self.next_due()
        if due is None or due > now or limit <= 0:
            return []

        def work(connection: Connection) -> list[Lane]:
            lanes = [Lane(*row) for row in connection.execute(_PROMOTE, (now, limit)).fetchall()]
            self._say(Hint(sorted(set(lanes))), Counter())
            return lanes

        return self._transaction(work)

    def next_due(self) -> float | None:
        """The earliest `run_at` among jobs that are not ready yet."""
        statement = "SELECT run_at FROM jobs INDEXED BY jobs_due WHERE ready = 0 ORDER BY run_at LIMIT 1"
        row = self.connection.execute(statement).fetchone()
        return None if row is None else row[0]

    def remove(self, seqs: Sequence[int]) -> int:
        """Remove jobs that have ended, with all that hangs on them; how many were there."""
        moves: Counter[Key] = Counter()

        def work(connection: Connection) -> int:
            removed: dict[int, str] = {}
            for size, part in texts.slices(seqs):
                what = (
                    "DELETE FROM jobs WHERE seq IN {} AND finished_at IS NOT NULL RETURNING seq, id, queue, task, state"
                )
                for seq, id, *key in connection.execute(texts.select(what, size), part).fetchall():
                    removed[seq] = id
                    moves[key[0], key[1], key[2]] -= 1
            if removed:
                forget_jobs(connection, list(removed), list(removed.values()))
            self._say(None, moves)
            return len(removed)

        number = self._transaction(work)
        self._count(moves)
        return number

    def lead(self, holder: str, seconds: float, now: float) -> int | None:
        """The term in which `holder` leads from now on, or gives up to; None while another one does."""
        row = self._transaction(lambda connection: connection.execute(_LEAD, (holder, now + seconds, now)).fetchone())
        return None if row is None else int(row[0])

    def bury(self, name: str) -> None:
        """A hub has died: its lead is over, and it is not to be seen any more."""
        self._transaction(lambda connection: connection.execute("UPDATE lead SET until = 0 WHERE holder = ?", (name,)))
        self._presence.bury(name)

    def retire(self, now: float, keep: float, after: Lane | None, limit: int) -> Retired:
        """Forget up to `limit` tasks that nobody needs any more. See `base.Store.retire`."""
        return self._transaction(lambda connection: retire_tasks(connection, now, keep, after, limit))

    def forget(self, lost_before: float, now: float) -> None:
        """Remove sessions that were lost long ago, and what was to be known as fresh until now."""

        def work(connection: Connection) -> None:
            connection.execute("DELETE FROM sessions WHERE state = 'lost' AND ended_at <= ?", (lost_before,))
            connection.execute("DELETE FROM fresh WHERE until <= ?", (now,))

        self._transaction(work)
