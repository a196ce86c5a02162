"""Who is there: each process shows it by a session lock on a connection of its own, which ends with the process.

The server ends the session of a process that died as soon as it reads the end of its connection. A connection may be
lost while its process lives, so who is not seen is away, and may come back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from easyjobs.stores.postgres.channel import Connection
from easyjobs.stores.postgres.failures import DENIED

SETTLED: Final = 10.0
"""Seconds after our own way to the server was cut before others are missed: theirs may have been cut with it."""

_STAY: Final = "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"  # not in 13
_KEY: Final = "hashtextextended('easyjobs.hub.' || current_schema() || '.' || {}, 0)"
_LOCK: Final = f"SELECT pg_advisory_lock({_KEY.format('$1::text')})"
_ENTER: Final = (
    "INSERT INTO hubs (id, server, since) VALUES ($1, pg_postmaster_start_time(), $2)"
    " ON CONFLICT (id) DO UPDATE SET server = excluded.server, since = excluded.since"
)
_WITHDRAW: Final = "DELETE FROM hubs WHERE id = $1"
_LEAVE: Final = f"{_WITHDRAW} AND NOT EXISTS (SELECT FROM sessions WHERE embedded = $1 AND state = 'live')"
# for the moment of the statement the lock is shared by whoever looks; its owner waits for that, and has it alone
_UNLOCKED: Final = f"pg_try_advisory_xact_lock_shared({_KEY.format('id')})"
_AWAY: Final = f"SELECT id FROM hubs WHERE id = ANY($1) AND server = pg_postmaster_start_time() AND {_UNLOCKED}"
_FORGET: Final = f"DELETE FROM hubs WHERE since <= $1 AND {_UNLOCKED}"


class Presence:
    """Ours, as `me` once that is set, and that of others. What takes a `connection` works on that.

    :param now: by the store's clock. `monotonic`: seconds, for patience.
    """

    def __init__(self, now: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._now = now
        self._monotonic = monotonic
        self._there = False
        self._cut = False
        self._trusting_from = 0.0
        self.me = ""
        self.noted = False
        """Whether the rows say that we are there; then a lock that is missing says that we are not."""

    async def enter(self, connection: Connection) -> None:
        """Be there for as long as `connection` is. Again on another one when that was lost: see `lost`."""
        await connection.execute(_STAY)
        await connection.fetchval(_LOCK, self.me)
        noted, self.noted = self.noted, True
        try:
            await connection.execute(_ENTER, self.me, self._now())
        except DENIED:
            self.noted = noted
            raise
        self._there = True
        if self._cut:
            self._trusting_from = self._monotonic() + SETTLED

    def lost(self) -> None:
        """That connection is gone."""
        self._there = False
        self._cut = True

    async def withdraw(self, connection: Connection) -> None:
        """Say that we are here though nothing shows it: our lease decides then."""
        await connection.execute(_WITHDRAW, self.me)
        self.noted = False

    async def leave(self, connection: Connection) -> None:
        """Be gone, unless workers of ours are still said to live: then others see to these."""
        await connection.execute(_LEAVE, self.me)
        self.noted = False

    async def away(self, connection: Connection, hubs: Collection[str]) -> set[str]:
        """Those of some that were there while the server ran as it does now, and are not any more. None where we are
        not there ourselves, or have been for a short time again.
        """
        if not self._there or self._monotonic() < self._trusting_from:
            return set()
        return {id for (id,) in await connection.fetch(_AWAY, list(hubs))}

    async def forget(self, connection: Connection, before: float) -> None:
        """Remove the rows of those who came before that time and are not there; where we are ourselves."""
        if self._there:
            await connection.execute(_FORGET, before)
