"""A child's link to the manager that goes through its worker."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from easyjobs.executors.pipe import HEAD, Heard, HungUp, Order, word
from easyjobs.wire.link import LinkClosed
from easyjobs.workers.channel import Channel
from easyjobs.workers.link_of_child import Through


class Worker:
    """The worker's end of the pipe."""

    def __init__(self, pipe: socket.socket) -> None:
        self.pipe = pipe

    def hears(self) -> dict[str, Any]:
        """The next word of the child."""
        head = self.pipe.recv(HEAD, socket.MSG_WAITALL)
        text = self.pipe.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
        heard: dict[str, Any] = msgspec.json.decode(text)
        return heard

    def says(self, message: Heard | HungUp) -> None:
        self.pipe.sendall(word(message))


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Worker, Channel]]:
    ended = threading.Event()
    # the end of the pipe would kill the group, which is that of the tests
    monkeypatch.setattr("os.killpg", lambda group, number: ended.set())
    mine, its = socket.socketpair()
    mine.sendall(word(Order("job", 1, "token", "q", "t", relayed=True)))
    channel = Channel(its.detach())
    yield Worker(mine), channel
    mine.close()
    assert ended.wait(10)
    channel._socket.close()


async def test_it_passes_frames_both_ways(pair: tuple[Worker, Channel]) -> None:
    worker, channel = pair
    link = await Through(channel)()
    assert worker.hears() == {"t": "dials", "n": 1}
    await link.send(b'["hello"]')
    assert worker.hears() == {"t": "says", "n": 1, "frame": ["hello"]}
    worker.says(Heard(7, msgspec.Raw(b"0")))  # of a link that nobody knows any more
    worker.says(Heard(1, msgspec.Raw(b'["welcome"]')))
    assert await link.receive() == b'["welcome"]'


async def test_its_end_is_told_with_its_code_and_the_next_link_is_another(pair: tuple[Worker, Channel]) -> None:
    worker, channel = pair
    through = Through(channel)
    link = await through()
    assert worker.hears() == {"t": "dials", "n": 1}
    worker.says(HungUp(1, 4401, "over"))
    for _ in range(2):
        with pytest.raises(LinkClosed, match="4401: over"):
            await link.receive()
    with pytest.raises(LinkClosed):
        await link.send(b"[]")
    await link.close()
    await through()
    assert worker.hears() == {"t": "dials", "n": 2}


async def test_to_close_it_is_to_hang_up_and_the_answer_ends_it(pair: tuple[Worker, Channel]) -> None:
    worker, channel = pair
    link = await Through(channel)()
    await link.close()
    assert [worker.hears()["t"] for _ in range(2)] == ["dials", "hangs_up"]
    receiving = asyncio.ensure_future(link.receive())
    worker.says(HungUp(1, 1000, "goodbye"))
    with pytest.raises(LinkClosed):
        await receiving
