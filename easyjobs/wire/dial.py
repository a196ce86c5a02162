"""Dialling a manager: the only place that knows the websockets library.

The secret never crosses the wire: a first try without a proof is refused with a nonce, the second carries its HMAC.
"""

from __future__ import annotations

import logging
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.http11 import Response
from websockets.sync.client import ClientConnection as SyncClientConnection
from websockets.sync.client import connect as connect_sync

from easyjobs.errors import ConfigurationError, ConnectionLost, Unauthorized
from easyjobs.protocol.proof import authorization, parse_challenge
from easyjobs.wire.address import Address
from easyjobs.wire.link import Link, LinkClosed

OPEN_TIMEOUT: Final = 10.0
CLOSE_TIMEOUT: Final = 2.0
MOST_BYTES: Final = 64 * 1024 * 1024
"""The largest frame taken from a manager; its own limit is usually far lower."""

# at DEBUG the library writes headers into the log, and a bearer token is a header
_library_log = logging.getLogger("easyjobs.websockets")
_library_log.setLevel(logging.INFO)
_Option = str | int | float | None | logging.Logger


async def dial(where: Address, *, secret: str = "", token: str = "") -> Link:
    """A link to the manager, authenticated: by `secret` (never sent) or by `token` (sent: TLS or loopback only).

    :raises Unauthorized: the manager knows neither. ConnectionLost: it cannot be reached, or is no manager.
        ConfigurationError: a token would cross an open network.
    """
    if token:
        try:
            return _WebSocketLink(await _open(where, _bearer(where, token)))
        except _Challenged:
            raise _refused(where) from None
    try:
        return _WebSocketLink(await _open(where, {}))
    except _Challenged as challenge:
        nonce = challenge.nonce
    try:
        return _WebSocketLink(await _open(where, {"Authorization": authorization(secret, nonce)}))
    except _Challenged:
        raise _refused(where) from None


def dial_sync(where: Address, *, secret: str, timeout: float) -> SyncLink:
    """As `dial`, for a thread that has no event loop; each of its steps takes at most `timeout` seconds."""
    try:
        return SyncLink(_open_sync(where, {}, timeout))
    except _Challenged as challenge:
        nonce = challenge.nonce
    try:
        return SyncLink(_open_sync(where, {"Authorization": authorization(secret, nonce)}, timeout))
    except _Challenged:
        raise _refused(where) from None


class _Challenged(Exception):
    """The manager wants a proof over `nonce`."""

    def __init__(self, nonce: str) -> None:
        super().__init__()
        self.nonce = nonce


def _refused(where: Address) -> Unauthorized:
    return Unauthorized(f"the manager at {where.url} refused our secret or token")


def _bearer(where: Address, token: str) -> dict[str, str]:
    if not (where.secure or where.loopback):
        raise ConfigurationError("a token crosses the wire as it is: use wss:// (or a secret, which does not)")
    return {"Authorization": f"Bearer {token}"}


def _answered(where: Address, response: Response) -> Exception:
    """What an answer that opened no websocket means."""
    if response.status_code == 401:
        for header in response.headers.get_all("WWW-Authenticate"):
            if (nonce := parse_challenge(header)) is not None:
                return _Challenged(nonce)
        return _refused(where)
    if response.status_code == 403:
        return Unauthorized(f"the manager at {where.url} does not let us in (403)")
    return ConnectionLost(f"{where.url} answered {response.status_code}: no manager is there, or its prefix differs")


def _options(where: Address) -> dict[str, _Option]:
    options: dict[str, _Option] = {
        "compression": None,
        "ping_interval": None,  # we have our own heartbeats
        "open_timeout": OPEN_TIMEOUT,
        "close_timeout": CLOSE_TIMEOUT,
        "max_size": MOST_BYTES,
        "user_agent_header": "easyjobs",
        "logger": _library_log,
    }
    if where.loopback:
        options["proxy"] = None
    return options


async def _open(where: Address, headers: dict[str, str]) -> ClientConnection:
    try:
        return await connect(where.url, additional_headers=headers, **_options(where))  # type: ignore[arg-type]
    except InvalidStatus as answer:
        raise _answered(where, answer.response) from None
    except (OSError, WebSocketException, TimeoutError, EOFError) as error:
        raise _unreachable(where, error) from None


def _open_sync(where: Address, headers: dict[str, str], timeout: float) -> SyncClientConnection:
    options = {**_options(where), "open_timeout": timeout}
    try:
        # entered at once, because a connection that is not a context manager is deprecated there
        return connect_sync(where.url, additional_headers=headers, **options).__enter__()  # type: ignore[arg-type]
    except InvalidStatus as answer:
        raise _answered(where, answer.response) from None
    except (OSError, WebSocketException, TimeoutError, EOFError) as error:
        raise _unreachable(where, error) from None


def _unreachable(where: Address, error: Exception) -> ConnectionLost:
    return ConnectionLost(f"no manager can be reached at {where.url}: {error or type(error).__name__}")


class _WebSocketLink:
    """A link over a websocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, frame: bytes) -> None:
        """As `Link.send`."""
        try:
            await self._connection.send(frame)
        except ConnectionClosed as closed:
            raise _closed(closed) from None

    async def receive(self) -> bytes:
        """As `Link.receive`."""
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed as closed:
            raise _closed(closed) from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """As `Link.close`."""
        await self._connection.close(code, reason[:100])


class SyncLink:
    """A link over a websocket, for one thread that blocks. Sending and receiving are as in `Link`."""

    def __init__(self, connection: SyncClientConnection) -> None:
        self._connection = connection

    def send(self, frame: bytes) -> None:
        """Pass a frame on."""
        try:
            self._connection.send(frame)
        except ConnectionClosed as closed:
            raise _closed(closed) from None

    def receive(self, timeout: float) -> bytes | None:
        """The next frame; None when none came in `timeout` seconds."""
        try:
            return self._connection.recv(timeout, decode=False)
        except TimeoutError:
            return None
        except ConnectionClosed as closed:
            raise _closed(closed) from None

    def close(self) -> None:
        """End the link. May be called twice."""
        self._connection.close()


def _closed(closed: ConnectionClosed) -> LinkClosed:
    frame = closed.rcvd or closed.sent
    return LinkClosed(frame.code, frame.reason) if frame is not None else LinkClosed()
