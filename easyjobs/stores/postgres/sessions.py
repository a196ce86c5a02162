"""Which sessions are live, held as they are until the transaction ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from easyjobs.stores.postgres.channel import Connection

_LIVE: Final = "SELECT id, epoch FROM sessions WHERE id = ANY($1::text[]) AND state = 'live' ORDER BY id FOR {}"
KEEP: Final = _LIVE.format("KEY SHARE")  # nobody ends them meanwhile; their leases may be moved
WRITE: Final = _LIVE.format("UPDATE")


class Sessions:
    """Those of `ids`; `look` first, and again when they were written. Before anything else is locked.

    :param ending: whether this transaction itself ends some, or welcomes them again.
    """

    def __init__(self, ids: Iterable[str | None], ending: bool) -> None:
        self._ids = sorted({id for id in ids if id is not None})
        self._text = WRITE if ending else KEEP
        self._epochs: dict[str | None, int] = {}

    async def look(self, connection: Connection) -> None:
        """See which are live, and hold them so."""
        if self._ids:
            self._epochs = dict(await connection.fetch(self._text, self._ids))

    def live(self, id: str | None, epoch: int) -> bool:
        """Whether session `id` is live and of `epoch`."""
        return self._epochs.get(id) == epoch
