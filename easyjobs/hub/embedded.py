"""The way between a hub and a worker of the same process: frames through memory, no socket and no credential."""

from __future__ import annotations

from typing import Final

from easyjobs.background import Nursery
from easyjobs.errors import ConnectionLost, ProtocolError
from easyjobs.hub.connections import Connection
from easyjobs.hub.hub import Hub
from easyjobs.wire.link import Link, LinkClosed, memory_pair

ROLES: Final = frozenset(("worker",))


def connect(hub: Hub, nursery: Nursery) -> Link:
    """The worker's end of a fresh link to `hub`."""
    ours, theirs = memory_pair()
    connection = hub.connect(ours, role_allowed=ROLES, by="embedded")
    nursery.spawn(_listen(ours, connection), "embedded link")
    return theirs


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
