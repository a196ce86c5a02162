"""The websocket endpoint: frames between an ASGI server and the hub, and nothing else on the way."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Receive, Send

from easyjobs.api.gate import Identity
from easyjobs.errors import ProtocolError
from easyjobs.hub.hub import Hub

FAREWELL: Final = 5.0
TOO_LARGE: Final = 4413
RESTART: Final = 1012
LARGE: Final = 65_536


class SocketTransport:
    """The hub's way to an ASGI websocket. A closed socket is given FAREWELL seconds, then its endpoint ends."""

    def __init__(self, send: Send, deadline: asyncio.Timeout) -> None:
        self._send = send
        self._deadline = deadline
        self._closed = False

    async def send(self, frame: bytes) -> None:
        """Send one frame; waits as long as the peer does not read.

        :raises OSError: the socket is gone.
        """
        if self._closed:
            raise ConnectionResetError("the socket is closed")
        await self._send({"type": "websocket.send", "bytes": frame})

    def over(self) -> None:
        """The endpoint ends: there is nothing left to close."""
        self._closed = True

    async def close(self, code: int, reason: str) -> None:
        """Close the socket. May be called twice."""
        if not self._closed:
            self._closed = True
            # a peer that does not read must not hold the endpoint: saying goodbye to it may take for ever
            self._deadline.reschedule(asyncio.get_running_loop().time() + FAREWELL)
            try:
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
            except OSError:
                return  # it went by itself


async def serve(hub: Hub, who: Identity, receive: Receive, send: Send) -> None:
    """Accept a socket that passed the gate and serve it until it is gone."""
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    try:
        async with asyncio.timeout(None) as deadline:
            await _serve(hub, who, receive, SocketTransport(send, deadline))
    except TimeoutError:
        return


async def _serve(hub: Hub, who: Identity, receive: Receive, transport: SocketTransport) -> None:
    connection = hub.connect(transport, role_allowed=who.roles, by=who.by, attempt=who.attempt)
    limit = hub.limits.frame
    try:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                # a server closes its sockets first, and long after that tells the application that it stops
                connection.restarting = message.get("code") == RESTART
                return
            frame: bytes | str | None = message.get("bytes")
            if frame is None:
                frame = message.get("text") or ""
            if len(frame) > limit:
                connection.close(TOO_LARGE, f"a frame of {len(frame)} bytes; {limit} are allowed")
                continue
            if len(frame) > LARGE:
                await asyncio.sleep(0)  # a queue of large frames must not keep the first of them from being committed
            try:
                connection.receive(frame)
            except ProtocolError:
                continue  # the connection is closing itself, with its code; the disconnect comes next
    finally:
        connection.lost()
        transport.over()
