"""A link in memory: in order, bounded, and closed for both ends at once."""

from __future__ import annotations

import asyncio

import pytest

from easyjobs.testing.loop import run
from easyjobs.wire.link import LinkClosed, memory_pair


def test_frames_arrive_in_order_both_ways() -> None:
    async def story() -> None:
        one, other = memory_pair()
        await one.send(b"1")
        await one.send(b"2")
        await other.send(b"3")
        assert [await other.receive(), await other.receive(), await one.receive()] == [b"1", b"2", b"3"]

    run(story())


def test_whoever_sends_to_one_that_does_not_read_waits() -> None:
    async def story() -> None:
        one, other = memory_pair(most=2)
        await one.send(b"1")
        await one.send(b"2")
        third = asyncio.ensure_future(one.send(b"3"))
        await asyncio.sleep(60)
        assert not third.done()
        assert await other.receive() == b"1"
        await third
        assert [await other.receive(), await other.receive()] == [b"2", b"3"]

    run(story())


def test_a_closed_link_is_closed_for_both_after_the_last_frame() -> None:
    async def story() -> None:
        one, other = memory_pair(most=1)
        await one.send(b"last")
        blocked = asyncio.ensure_future(one.send(b"too late"))
        waiting = asyncio.ensure_future(one.receive())
        await asyncio.sleep(1)
        await other.close(4409, "replaced")
        await one.close(1000, "a second word")
        assert await other.receive() == b"last"
        for ended in (blocked, waiting, asyncio.ensure_future(other.receive()), asyncio.ensure_future(one.send(b"x"))):
            with pytest.raises(LinkClosed, match="replaced") as closed:
                await ended
            assert closed.value.code == 4409

    run(story())
