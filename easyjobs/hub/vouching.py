"""Watchdogs that came to another manager than their worker: they keep its lease, whoever has its session."""

from __future__ import annotations

from easyjobs.core.changes import Renew, Stale
from easyjobs.core.job import Session
from easyjobs.errors import StoreError
from easyjobs.hub.committer import Committer
from easyjobs.hub.connections import Connection
from easyjobs.hub.entries import Chore
from easyjobs.hub.settings import HubSettings
from easyjobs.protocol.manager_side import BROKEN, SLOW
from easyjobs.protocol.messages import Hello, Welcome
from easyjobs.stores.base import Store


class Vouching:
    """Knows them until they have left."""

    def __init__(self, store: Store, committer: Committer, settings: HubSettings) -> None:
        self._store = store
        self._committer = committer
        self._settings = settings
        self._sessions: dict[Connection, Session] = {}

    async def welcome(self, connection: Connection, hello: Hello) -> None:
        """Look whose watchdog it is."""
        try:
            rows = [row for row in await self._store.sessions() if row.worker_id == hello.worker_id]
        except StoreError as error:
            connection.close(SLOW, f"the store failed: {error}")
            return
        if not rows:
            connection.close(BROKEN, "a watchdog without a session")
        elif not connection.closed():
            self._sessions[connection] = max(rows, key=lambda row: row.started_at)
            connection.welcome(Welcome(limits=self._settings.told()))

    def heartbeat(self, connection: Connection) -> bool:
        """Move the lease that it vouches for; whether it is one of these.

        Where its worker has come back meanwhile, under a newer epoch, it is to ask anew.
        """
        row = self._sessions.get(connection)
        if row is None:
            return False

        def done(stale: Stale | None) -> None:
            if stale is not None:
                connection.close(SLOW, "the session is another now; say hello again")

        until = self._store.now() + self._settings.lease
        self._committer.add(Chore([Renew(row.id, row.epoch, until)], done))
        return True

    def left(self, connection: Connection) -> None:
        """It is gone. May be called for any connection."""
        self._sessions.pop(connection, None)
