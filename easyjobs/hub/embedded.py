"""The way between a hub and a worker of the same process: frames through memory, no socket and no credential."""

from __future__ import annotations

from typing import Final

from easyjobs.background import Nursery
from easyjobs.errors import ConnectionLost, ProtocolError
from easyjobs.hub.connections import Connection
from easyjobs.hub.hub import Hub
from easyjobs.protocol.messages import Held
from easyjobs.wire.link import Link, LinkClosed, memory_pair

WORKER: Final = frozenset(("worker",))
CHILD: Final = frozenset(("child",))


def connect(hub: Hub, nursery: Nursery, attempt: Held | None = None) -> Link:
    """The worker's end of a fresh link to `hub`; or that of the child process of an `attempt` of its."""
    ours, theirs = memory_pair()
    roles = WORKER if attempt is None else CHILD
    connection = hub.connect(ours, role_allowed=roles, by="embedded", attempt=attempt)
    nursery.spawn(_listen(ours, connection), "embedded link")
    return theirs


class Inlet:
    """The ways into `hub` for a worker of the same process, and its children: `worker.embed(way.dial, way.of_child)`.

    :param nursery: of whoever closes it once the worker has stopped.
    """

    def __init__(self, hub: Hub, nursery: Nursery) -> None:
        self._hub = hub
        self._nursery = nursery

    async def dial(self) -> Link:
        """A link for the worker."""
        return connect(self._hub, self._nursery)

    def of_child(self, attempt: Held) -> Link:
        """A link for the child process of an attempt."""
        return connect(self._hub, self._nursery, attempt)


async def nowhere() -> Link:
    """How a worker dials that was not given a hub yet, or only says which tasks it has."""
    raise ConnectionLost("this worker was not given a hub")


async def _listen(link: Link, connection: Connection) -> None:
    try:
        while True:
            frame = await link.receive()
            try:
                connection.receive(frame)
            except ProtocolError:
                continue  # the connection is closing the link, with its code
    except LinkClosed:
        return
    finally:
        connection.lost()
