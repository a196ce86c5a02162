"""A websocket to a manager that obeys nobody: for saying what no worker of ours would say."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import msgspec
import pytest
from support import PATIENCE, Cluster
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from easyjobs.protocol.proof import authorization, parse_challenge

_numbers = itertools.count(1)


async def dial(cluster: Cluster, headers: Mapping[str, str] | None = None, query: str = "") -> ClientConnection:
    """A socket, if those headers open one; raises InvalidStatus."""
    url = f"ws://127.0.0.1:{cluster.port}/ws/jobs{query}"
    return await connect(url, additional_headers=dict(headers or {}), proxy=None, compression=None, max_size=None)


async def status_of(cluster: Cluster, headers: Mapping[str, str] | None = None, query: str = "") -> int:
    """The HTTP status with which the manager answers; 101 when it opens."""
    try:
        socket = await dial(cluster, headers, query)
    except InvalidStatus as answer:
        return answer.response.status_code
    await socket.close()
    return 101


async def nonce_of(cluster: Cluster) -> str:
    """A fresh challenge."""
    with pytest.raises(InvalidStatus) as refused:
        await dial(cluster)
    assert refused.value.response.status_code == 401
    nonce = parse_challenge(refused.value.response.headers["WWW-Authenticate"])
    assert nonce is not None
    return nonce


class Stranger:
    """Somebody who knows the secret, and then says what he likes. Use with `async with`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._heard: deque[dict[str, Any]] = deque()

    async def __aenter__(self) -> Stranger:
        nonce = await nonce_of(self._cluster)
        self.socket = await dial(self._cluster, {"Authorization": authorization(self._cluster.secret, nonce)})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()

    async def hello(self, role: str = "worker", **more: Any) -> dict[str, Any]:
        """Say hello; the welcome."""
        await self.say({"t": "hello", "protocol": 1, "role": role, "worker_id": stranger_id(), "slots": 1, **more})
        return await self.hear("welcome")

    async def say(self, *messages: dict[str, Any]) -> None:
        await self.socket.send(msgspec.json.encode(list(messages)))

    async def hear(self, kind: str) -> dict[str, Any]:
        """The next message of that kind; others are passed over."""
        async with asyncio.timeout(PATIENCE):
            while True:
                while self._heard:
                    message = self._heard.popleft()
                    if message["t"] == kind:
                        return message
                self._heard.extend(msgspec.json.decode(await self.socket.recv()))

    async def until_closed(self) -> int:
        """The code with which the manager closes."""
        async with asyncio.timeout(PATIENCE):
            try:
                while True:
                    await self.socket.recv()
            except ConnectionClosed:
                assert self.socket.close_code is not None
                return self.socket.close_code


def stranger_id() -> str:
    return f"stranger-{os.getpid()}-{next(_numbers)}"
