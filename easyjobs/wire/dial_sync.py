"""Dialling a manager from a thread that has no event loop: a watchdog, a child process."""

from __future__ import annotations

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from easyjobs.protocol.messages import Held
from easyjobs.protocol.proof import authorization
from easyjobs.wire.address import Address
from easyjobs.wire.upgrade import Challenged, answered, closed, options, refused, shown, unreachable


def dial_sync(where: Address, *, secret: str, timeout: float) -> SyncLink:
    """As `dial` with a secret; each of its steps takes at most `timeout` seconds."""
    try:
        return SyncLink(_open(where, {}, timeout))
    except Challenged as challenge:
        nonce = challenge.nonce
    try:
        return SyncLink(_open(where, {"Authorization": authorization(secret, nonce)}, timeout))
    except Challenged:
        raise refused(where) from None


def dial_attempt(where: Address, attempt: Held, timeout: float) -> SyncLink:
    """As `dial` for the child process of an attempt; each of its steps takes at most `timeout` seconds."""
    try:
        return SyncLink(_open(where, shown(attempt), timeout))
    except Challenged:
        raise refused(where) from None


def _open(where: Address, headers: dict[str, str], timeout: float) -> ClientConnection:
    settings = options(where, timeout)
    try:
        # entered at once, because a connection that is not a context manager is deprecated there
        return connect(where.url, additional_headers=headers, **settings).__enter__()  # type: ignore[arg-type]
    except InvalidStatus as answer:
        raise answered(where, answer.response) from None
    except (OSError, WebSocketException, TimeoutError, EOFError) as error:
        raise unreachable(where, error, timeout) from None


class SyncLink:
    """A link over a websocket, for one thread that blocks. Sending and receiving are as in `Link`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    def send(self, frame: bytes) -> None:
        """Pass a frame on."""
        try:
            self._connection.send(frame)
        except ConnectionClosed as error:
            raise closed(error) from None

    def receive(self, timeout: float) -> bytes | None:
        """The next frame; None when none came in `timeout` seconds."""
        try:
            return self._connection.recv(timeout, decode=False)
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise closed(error) from None

    def close(self) -> None:
        """End the link. May be called twice."""
        self._connection.close()
