"""The second voice of a pull worker whose loop is blocked by user code: its watchdog renews the lease in the store."""

from __future__ import annotations

import asyncio

from easyjobs.core.changes import Renew, Unit
from easyjobs.errors import ConnectionLost, StoreError
from easyjobs.protocol.codec import decode_from_peer, encode
from easyjobs.protocol.messages import Heartbeat, Hello, Welcome
from easyjobs.stores import open_store
from easyjobs.wire.dial_sync import SyncLink


class StoreLink(SyncLink):
    """What a watchdog takes for its way to a manager. In the watchdog's thread; the store is opened anew each time."""

    def __init__(self, url: str, lease: float) -> None:
        self._url = url
        self._lease = lease
        self._worker = ""
        self._answers: list[bytes] = []

    def send(self, frame: bytes) -> None:
        """Do what a manager does with a watchdog's word.

        :raises ConnectionLost: the store failed.
        """
        for message in decode_from_peer(frame):
            if isinstance(message, Hello):
                self._worker = message.worker_id
                self._answers.append(encode([Welcome()]))
            elif isinstance(message, Heartbeat):
                try:
                    asyncio.run(self._renew())
                except StoreError as error:
                    raise ConnectionLost(str(error)) from error

    def receive(self, timeout: float) -> bytes | None:
        """The welcome, once."""
        return self._answers.pop() if self._answers else None

    def close(self) -> None:
        """Nothing is left open."""

    async def _renew(self) -> None:
        store = open_store(self._url, shared=True)
        await store.open()
        try:
            until = store.now() + self._lease
            rows = [row for row in await store.sessions() if row.worker_id == self._worker]
            await store.commit([Unit([Renew(row.id, row.epoch, until)]) for row in rows])
        finally:
            await store.close()
