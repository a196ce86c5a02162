"""The websocket endpoint ends, whatever its peer does or leaves undone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from easyjobs.api import socket
from easyjobs.api.gate import PEERS, Identity
from easyjobs.hub.hub import Hub
from easyjobs.hub.settings import HubSettings
from easyjobs.stores.memory import MemoryStore

WHO = Identity("test", PEERS)


class Peer:
    """The server's side of a socket: what it receives, and what was sent to it."""

    def __init__(self, *frames: bytes | str) -> None:
        self.sent: list[dict[str, Any]] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self._in: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._in.put_nowait({"type": "websocket.connect"})
        for frame in frames:
            self._in.put_nowait({"type": "websocket.receive", "bytes" if isinstance(frame, bytes) else "text": frame})

    async def receive(self) -> dict[str, Any]:
        return await self._in.get()

    async def send(self, message: Any) -> None:
        if message["type"] != "websocket.accept":
            await self.reads.wait()
        self.sent.append(message)
        if message["type"] == "websocket.close":
            self.go()

    def go(self) -> None:
        self._in.put_nowait({"type": "websocket.disconnect", "code": 1005})


async def served(peer: Peer, **settings: Any) -> list[int]:
    """Serve `peer` until the endpoint ends; the codes with which the socket was closed."""
    hub = Hub(MemoryStore(), settings=HubSettings(**settings))
    await hub.start()
    async with asyncio.timeout(5):
        await socket.serve(hub, WHO, peer.receive, peer.send)
    await hub.stop(2.1)
    return [message["code"] for message in peer.sent if message["type"] == "websocket.close"]


async def test_a_peer_that_goes_ends_it() -> None:
    peer = Peer()
    peer.go()
    assert await served(peer) == []


async def test_a_peer_that_says_nothing_is_sent_away() -> None:
    assert await served(Peer(), hello=0.1) == [4408]


@pytest.mark.parametrize("frame", ["garbage", b"\xff", "", "[{}]"])
async def test_garbage_is_sent_away(frame: bytes | str) -> None:
    assert await served(Peer(frame)) == [4406]


async def test_a_frame_over_the_limit_is_not_looked_at() -> None:
    assert await served(Peer(b" " * 1_310_721)) == [4413]


async def test_a_peer_that_does_not_even_read_the_goodbye_cannot_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "FAREWELL", 0.05)
    peer = Peer("garbage")
    peer.reads.clear()
    assert await served(peer) == []
