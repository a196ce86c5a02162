"""Writes about sessions, tasks and pauses: few, so each is a statement of its own."""

from __future__ import annotations

from collections.abc import Callable
from sqlite3 import Connection
from typing import Any, Final

import msgspec

from easyjobs.core.changes import DropPause, LoseSession, PutFresh, PutPause, PutSession, PutTask, Renew
from easyjobs.stores.sqlite import texts
from easyjobs.stores.sqlite.failures import GuardFailed

_as_tuple = msgspec.structs.astuple


def expect_one(connection: Connection, statement: str, parameters: tuple[Any, ...]) -> None:
    """Execute what must change one row.

    :raises GuardFailed: it changed none.
    """
    if connection.execute(statement, parameters).rowcount != 1:
        raise GuardFailed


def _put_session(connection: Connection, write: PutSession) -> None:
    columns = write.session.__struct_fields__
    settings = ", ".join(f"{column} = excluded.{column}" for column in columns[1:])
    expect_one(
        connection,
        f"{texts.insert('sessions', texts.SESSION, len(columns), 1)} ON CONFLICT (id) DO UPDATE SET {settings}"
        " WHERE state = 'live' AND epoch = excluded.epoch - 1",
        _as_tuple(write.session),
    )


def _renew(connection: Connection, write: Renew) -> None:
    expect_one(
        connection,
        "UPDATE sessions SET expires_at = ?, offers = coalesce(?, offers)"
        " WHERE id = ? AND state = 'live' AND epoch = ?",
        (write.expires_at, write.offers, write.id, write.epoch),
    )


def _lose_session(connection: Connection, write: LoseSession) -> None:
    expect_one(
        connection,
        "UPDATE sessions SET state = 'lost', ended_at = ?"
        " WHERE id = ? AND state = 'live' AND epoch = coalesce(?, epoch) AND expires_at <= coalesce(?, expires_at)",
        (write.at, write.id, write.epoch, write.expires_by),
    )


def _put_task(connection: Connection, write: PutTask) -> None:
    spec = write.spec
    connection.execute(
        "INSERT INTO tasks (queue, name, signature, spec, seen_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET spec = excluded.spec, seen_at = excluded.seen_at, idle_since = NULL",
        (*spec.lane, msgspec.json.encode(spec).decode(), write.seen_at),
    )


def _put_pause(connection: Connection, write: PutPause) -> None:
    connection.execute(
        "INSERT INTO pauses (kind, name, by, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", _as_tuple(write)
    )


def _drop_pause(connection: Connection, write: DropPause) -> None:
    connection.execute("DELETE FROM pauses WHERE kind = ? AND name = ?", (write.kind, write.name))


def _put_fresh(connection: Connection, write: PutFresh) -> None:
    for key in write.keys:
        connection.execute(
            "INSERT INTO fresh (key, at, until) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET at = max(at, excluded.at), until = max(until, excluded.until)",
            (key, write.at, write.until),
        )


OTHERS: Final[dict[type, Callable[[Connection, Any], None]]] = {
    PutSession: _put_session,
    Renew: _renew,
    LoseSession: _lose_session,
    PutTask: _put_task,
    PutPause: _put_pause,
    DropPause: _drop_pause,
    PutFresh: _put_fresh,
}
