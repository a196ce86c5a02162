"""Units one by one, each under a savepoint: what a batch falls back to when something in it is refused, to say what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any, TypeAlias

import msgspec

from easyjobs.core.changes import (
    APPLIED,
    AddEdge,
    Broken,
    Charge,
    Delete,
    DropSchedule,
    FlagCancel,
    Insert,
    LoseSession,
    PutSchedule,
    PutSession,
    Renew,
    Stale,
    Unit,
    Update,
    Verdict,
    Why,
    Write,
)
from easyjobs.core.states import FINAL
from easyjobs.stores.sqlite import texts
from easyjobs.stores.sqlite.failures import UNWRITABLE, GuardFailed
from easyjobs.stores.sqlite.reading import jobs_by_id
from easyjobs.stores.sqlite.segment import Effects, Segment, Sessions

Reason: TypeAlias = tuple[Why, str | None]  # the guard, and the id of the job that is in the way


def apply_each(connection: Connection, sessions: Sessions, units: Sequence[Unit], now: float, next_seq: int) -> Effects:
    """Apply units in order, each wholly or not at all."""
    effects = Effects([], [], Counter(), [])
    for unit in units:
        connection.execute("SAVEPOINT unit")
        done: list[Segment] = []
        verdict: Verdict = APPLIED
        seq = next_seq + len(effects.inserted)
        for write in unit.writes:
            try:
                segment = _apply(connection, sessions, write, now, seq)
            except (GuardFailed, *UNWRITABLE) as error:
                verdict = _judge(connection, sessions, write, error)
                break
            seq += len(segment.inserted)
            done.append(segment)
        connection.execute("RELEASE unit")
        if verdict is APPLIED:
            for segment in done:
                effects.inserted.extend(segment.inserted)
                effects.moves.update(segment.moves)
                effects.queued.extend(segment.queued)
        effects.verdicts.append(verdict)
    return effects


def _apply(connection: Connection, sessions: Sessions, write: Write, now: float, seq: int) -> Segment:
    if isinstance(write, (Update, Delete)):
        # the caller may not know the row's number yet, when an earlier unit of the batch inserted it
        row = connection.execute("SELECT seq FROM jobs WHERE id = ?", (write.job.id,)).fetchone()
        if row is None or write.job.seq not in (0, row[0]):
            raise GuardFailed
        write = msgspec.structs.replace(write, job=msgspec.structs.replace(write.job, seq=row[0]))
    segment = Segment(now, seq)
    segment.add(write)
    segment.write(connection, sessions)
    return segment


def _judge(connection: Connection, sessions: Sessions, write: Write, error: Exception) -> Verdict:
    """Why `write` failed, with the rows as they are without its unit, which is undone here."""
    try:
        reason = _reason(connection, sessions, write)
    except UNWRITABLE:
        reason = None
    connection.execute("ROLLBACK TO unit")
    sessions.forget()
    if reason is None:
        return Broken(str(error))
    why, id = reason
    return Stale(why, [] if id is None else list(jobs_by_id(connection, [id]).values()))


def _reason(connection: Connection, sessions: Sessions, write: Write) -> Reason | None:
    """The first guard of `write` that fails, in the order of the contract; None: it is not for a guard."""
    if isinstance(write, Insert):
        return _reason_of_insert(connection, sessions, write)
    if isinstance(write, (Update, Delete)):
        job = write.job
        row = connection.execute("SELECT version, cancel, seq FROM jobs WHERE id = ?", (job.id,)).fetchone()
        if row is None or row[0] != job.version or job.seq not in (0, row[2]):
            return "version", job.id
        leaves = isinstance(write, Update) and job.state == "running" and write.columns.get("state", "completed")
        return ("cancel", job.id) if leaves and leaves != "completed" and row[1] != job.cancel else None
    if isinstance(write, FlagCancel):
        return "version", write.id
    if isinstance(write, Charge):
        return "room", None
    if isinstance(write, AddEdge):
        prerequisite = write.edge.prerequisite
        live = f"SELECT 1 FROM jobs WHERE id = ? AND {texts.LIVE}"
        joins = write.join and connection.execute(live, (prerequisite,)).fetchone() is None
        return ("ended", prerequisite) if joins else None
    if isinstance(write, (PutSchedule, DropSchedule)):
        id = write.schedule.id if isinstance(write, PutSchedule) else write.id
        row = connection.execute("SELECT version FROM schedules WHERE id = ?", (id,)).fetchone()
        return ("schedule", None) if (None if row is None else row[0]) != write.was else None
    return ("session", None) if isinstance(write, (PutSession, Renew, LoseSession)) else None


def _reason_of_insert(connection: Connection, sessions: Sessions, write: Insert) -> Reason | None:
    job = write.job
    guards: list[tuple[Why, str, list[Any]]] = [
        ("id", "id = ?", [job.id]),
        ("key", "key = ?", [job.key]),
        ("unique", f"unique_key = ? AND {texts.LIVE}", [None if job.state in FINAL else job.unique_key]),
        ("tick", "schedule = ? AND tick = ?", [job.schedule, job.tick]),
    ]
    for why, condition, values in guards:
        row = connection.execute(f"SELECT id FROM jobs WHERE {condition}", values).fetchone()
        if row is not None:
            return why, row[0]
    if job.state == "running" and not sessions.live(connection, job.session, write.epoch):
        return "session", None
    return None
