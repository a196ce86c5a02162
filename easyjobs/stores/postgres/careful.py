"""Why a write was refused; and a unit write by write, to find out which one was."""

from __future__ import annotations

import contextlib
from typing import Any, TypeAlias

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
from easyjobs.stores.postgres import texts
from easyjobs.stores.postgres.channel import Connection
from easyjobs.stores.postgres.counters import held
from easyjobs.stores.postgres.failures import UNWRITABLE
from easyjobs.stores.postgres.numbers import Numbers
from easyjobs.stores.postgres.reading import jobs_by_id
from easyjobs.stores.postgres.refusal import Refused
from easyjobs.stores.postgres.segment import Segment
from easyjobs.stores.postgres.sessions import Sessions

Reason: TypeAlias = tuple[Why, str | None]  # the guard, and the id of the job that is in the way


async def apply_alone(
    connection: Connection, sessions: Sessions, numbers: Numbers, unit: Unit, now: float
) -> tuple[Verdict, list[Segment]]:
    """Apply one unit wholly or not at all; what was written of it."""
    done: list[Segment] = []
    await connection.execute("SAVEPOINT unit")
    for write in unit.writes:
        await connection.execute("SAVEPOINT word")
        segment = Segment(now)
        try:
            segment.add(0, write)
            refused = await segment.write(connection, sessions, numbers)
        except (Refused, *UNWRITABLE) as error:
            reason: Reason | str = str(error) or type(error).__name__
        else:
            done.append(segment)
            if not refused:
                continue
            reason = ""
        await connection.execute("ROLLBACK TO word")
        with contextlib.suppress(*UNWRITABLE):  # its guards may be what cannot be asked for
            reason = await _reason_of(connection, write) or reason
        await connection.execute("ROLLBACK TO unit")
        await sessions.look(connection)
        numbers.unused([seq for segment in done for _, seq in segment.inserted])
        if isinstance(reason, str):
            return Broken(reason or "it was refused"), []
        return await _stale(connection, reason), []
    await connection.execute("RELEASE unit")
    return APPLIED, done


async def why_stale(connection: Connection, unit: Unit) -> Stale:
    """The verdict on a unit of one write that was refused.

    :raises Refused: it has more, or nothing stands in its way any more.
    """
    reason = await _reason_of(connection, unit.writes[0]) if len(unit.writes) == 1 else None
    if reason is None:
        raise Refused
    return await _stale(connection, reason)


async def _stale(connection: Connection, reason: Reason) -> Stale:
    why, id = reason
    return Stale(why, [] if id is None else list((await jobs_by_id(connection, [id])).values()))


async def _reason_of(connection: Connection, write: Write) -> Reason | None:
    """The first guard of `write` that fails, in the order of the contract; None: it is not for a guard."""
    match write:
        case Insert():
            return await _reason_of_insert(connection, write)
        case Update() | Delete():
            job = write.job
            row = await connection.fetchrow("SELECT version, cancel, seq FROM jobs WHERE id = $1", job.id)
            if row is None or row[0] != job.version or job.seq not in (0, row[2]):
                return "version", job.id
            leaves = isinstance(write, Update) and job.state == "running" and write.columns.get("state", "completed")
            return ("cancel", job.id) if leaves and leaves != "completed" and row[1] != job.cancel else None
        case FlagCancel():
            runs = "SELECT true FROM jobs WHERE id = $1 AND state = 'running' AND attempt = $2"
            return None if await connection.fetchval(runs, write.id, write.attempt) else ("version", write.id)
        case Charge():
            holders = await held(connection, [write.counter])
            return ("room", None) if holders.jobs[write.counter] >= write.most else None
        case AddEdge():
            prerequisite = write.edge.prerequisite
            live = f"SELECT true FROM jobs WHERE id = $1 AND {texts.LIVE}"
            joins = write.join and await connection.fetchval(live, prerequisite) is None
            return ("ended", prerequisite) if joins else None
        case PutSchedule() | DropSchedule():
            id = write.schedule.id if isinstance(write, PutSchedule) else write.id
            version = await connection.fetchval("SELECT version FROM schedules WHERE id = $1", id)
            return ("schedule", None) if version != write.was else None
        case PutSession() | Renew() | LoseSession():
            return None if await _session_is_free(connection, write) else ("session", None)
    return None


async def _session_is_free(connection: Connection, write: PutSession | Renew | LoseSession) -> bool:
    id = write.session.id if isinstance(write, PutSession) else write.id
    row = await connection.fetchrow("SELECT state, epoch, expires_at FROM sessions WHERE id = $1", id)
    if row is None:
        return isinstance(write, PutSession)
    state, epoch, expires_at = row
    expected = write.session.epoch - 1 if isinstance(write, PutSession) else write.epoch
    moved = isinstance(write, LoseSession) and write.expires_by is not None and expires_at > write.expires_by
    return state == "live" and expected in (None, epoch) and not moved


async def _reason_of_insert(connection: Connection, write: Insert) -> Reason | None:
    job = write.job
    guards: list[tuple[Why, str, list[Any]]] = [
        ("id", "id = $1", [job.id]),
        ("key", "key = $1", [job.key]),
        ("unique", f"unique_key = $1 AND {texts.LIVE}", [None if job.state in FINAL else job.unique_key]),
        ("tick", "schedule = $1 AND tick = $2", [job.schedule, job.tick]),
    ]
    for why, condition, values in guards:
        if None not in values:
            id = await connection.fetchval(f"SELECT id FROM jobs WHERE {condition}", *values)
            if id is not None:
                return why, id
    if job.state == "running":
        live = "SELECT true FROM sessions WHERE id = $1 AND state = 'live' AND epoch = $2"
        if not await connection.fetchval(live, job.session, write.epoch):
            return "session", None
    return None
