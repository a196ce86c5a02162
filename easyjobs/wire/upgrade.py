"""What both ways of dialling a manager share: who we say we are, and what its answers mean.

This file, `dial` and `dial_sync` are the only ones that know the websockets library. They are three because a child
process of one call to the manager is the faster for loading no asyncio.
"""

from __future__ import annotations

import logging
from typing import Final

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

from easyjobs.errors import ConfigurationError, ConnectionLost, Unauthorized
from easyjobs.protocol.messages import Held
from easyjobs.protocol.proof import attempt_authorization, parse_challenge
from easyjobs.wire.address import Address
from easyjobs.wire.closed import LinkClosed

OPEN_TIMEOUT: Final = 10.0
"""Seconds for a manager's answer."""

PATIENCE: Final = (3.0, 3.0, 3.0, 6.0, OPEN_TIMEOUT)
"""Seconds for the answer to each of several tries. A manager that hangs, or is stopped, may have others beside it, and
the lease of who tries runs out; one that has kept us waiting so often is far away, or has much to do.
"""

CLOSE_TIMEOUT: Final = 2.0
MOST_BYTES: Final = 64 * 1024 * 1024
"""The largest frame taken from a manager; its own limit is usually far lower."""

# at DEBUG the library writes headers into the log, and a bearer token is a header
_library_log = logging.getLogger("easyjobs.websockets")
_library_log.setLevel(logging.INFO)
Option = str | int | float | None | logging.Logger


class Unanswered(ConnectionLost):
    """The manager's place took the connection, or did not even refuse it, and nothing came from there in time."""


class Challenged(Exception):
    """The manager wants a proof over `nonce`."""

    def __init__(self, nonce: str) -> None:
        super().__init__()
        self.nonce = nonce


def refused(where: Address) -> Unauthorized:
    """The manager knows us not."""
    return Unauthorized(f"the manager at {where.url} refused our secret or token")


def bearer(where: Address, token: str) -> dict[str, str]:
    """The headers that show a token.

    :raises ConfigurationError: it would cross an open network.
    """
    if not (where.secure or where.loopback):
        raise ConfigurationError("a token crosses the wire as it is: use wss:// (or a secret, which does not)")
    return {"Authorization": f"Bearer {token}"}


def shown(attempt: Held) -> dict[str, str]:
    """The headers that show an attempt's token, which crosses the wire in the frames of its worker too."""
    return {"Authorization": attempt_authorization(attempt)}


def answered(where: Address, response: Response) -> Exception:
    """What an answer that opened no websocket means."""
    if response.status_code == 401:
        for header in response.headers.get_all("WWW-Authenticate"):
            if (nonce := parse_challenge(header)) is not None:
                return Challenged(nonce)
        return refused(where)
    if response.status_code == 403:
        return Unauthorized(
            f"what answers at {where.url} does not let us in (403): it is no manager, or its prefix differs (the URL "
            "ends with it: ws://host:port/prefix), or it was given no secret and so serves its own machine only"
        )
    return ConnectionLost(f"{where.url} answered {response.status_code}: no manager is there, or its prefix differs")


def unreachable(where: Address, error: Exception, timeout: float) -> ConnectionLost:
    """The manager cannot be reached."""
    if isinstance(error, TimeoutError):
        return Unanswered(f"no manager can be reached at {where.url}: nothing came from there for {timeout:g} s")
    return ConnectionLost(f"no manager can be reached at {where.url}: {error or type(error).__name__}")


def options(where: Address, timeout: float) -> dict[str, Option]:
    """What the library is told of every connection."""
    options: dict[str, Option] = {
        "compression": None,
        "ping_interval": None,  # we have our own heartbeats
        "open_timeout": timeout,
        "close_timeout": CLOSE_TIMEOUT,
        "max_size": MOST_BYTES,
        "user_agent_header": "easyjobs",
        "logger": _library_log,
    }
    if where.loopback:
        options["proxy"] = None
    return options


def closed(error: ConnectionClosed) -> LinkClosed:
    """The end of a connection as a link tells it."""
    frame = error.rcvd or error.sent
    return LinkClosed(frame.code, frame.reason) if frame is not None else LinkClosed()
