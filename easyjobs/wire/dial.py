"""Dialling a manager from an event loop.

The secret never crosses the wire: a first try without a proof is refused with a nonce, the second carries its HMAC.
"""

from __future__ import annotations

import functools

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from easyjobs.protocol.messages import Held
from easyjobs.protocol.proof import authorization
from easyjobs.wire.address import Address
from easyjobs.wire.link import Link
from easyjobs.wire.upgrade import (
    OPEN_TIMEOUT,
    PATIENCE,
    Challenged,
    Unanswered,
    answered,
    bearer,
    closed,
    options,
    refused,
    shown,
    unreachable,
)


class Redial:
    """Dials one place again and again, as `dial` does. What says nothing is left soon, because
    the next try may come to another manager there; after several such tries it is given longer, until one has answered.
    """

    def __init__(self, where: Address, *, secret: str = "", token: str = "", attempt: Held | None = None) -> None:
        self._dial = functools.partial(dial, where, secret=secret, token=token, attempt=attempt)
        self._silent = 0  # tries since the last answer

    async def __call__(self) -> Link:
        """A link. Raises as `dial` does."""
        try:
            link = await self._dial(timeout=PATIENCE[min(self._silent, len(PATIENCE) - 1)])
        except Unanswered:
            self._silent += 1
            raise
        self._silent = 0
        return link


async def dial(
    where: Address,
    *,
    secret: str = "",
    token: str = "",
    attempt: Held | None = None,
    timeout: float = OPEN_TIMEOUT,
) -> Link:
    """A link to the manager, authenticated: by `secret` (never sent), by `token` (sent: TLS or loopback only), or as
    the child process of an `attempt`. Each answer may take `timeout` seconds.

    :raises Unauthorized: the manager knows none of these. ConnectionLost: it cannot be reached, or is no manager.
        ConfigurationError: a token would cross an open network.
    """
    if token or attempt is not None:
        headers = bearer(where, token) if attempt is None else shown(attempt)
        try:
            return _WebSocketLink(await _open(where, headers, timeout))
        except Challenged:
            raise refused(where) from None
    try:
        return _WebSocketLink(await _open(where, {}, timeout))
    except Challenged as challenge:
        nonce = challenge.nonce
    try:
        proof = {"Authorization": authorization(secret, nonce)}
        return _WebSocketLink(await _open(where, proof, timeout))
    except Challenged:
        raise refused(where) from None


async def _open(where: Address, headers: dict[str, str], timeout: float) -> ClientConnection:
    try:
        return await connect(where.url, additional_headers=headers, **options(where, timeout))  # type: ignore[arg-type]
    except InvalidStatus as answer:
        raise answered(where, answer.response) from None
    except (OSError, WebSocketException, TimeoutError, EOFError) as error:
        raise unreachable(where, error, timeout) from None


class _WebSocketLink:
    """A link over a websocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, frame: bytes) -> None:
        """As `Link.send`."""
        try:
            await self._connection.send(frame)
        except ConnectionClosed as error:
            raise closed(error) from None

    async def receive(self) -> bytes:
        """As `Link.receive`."""
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed as error:
            raise closed(error) from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """As `Link.close`."""
        await self._connection.close(code, reason[:100])
