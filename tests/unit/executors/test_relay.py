"""What a child says to the manager through its worker, and what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from easyjobs.background import Nursery
from easyjobs.executors.pipe import Dials, HangsUp, Heard, HungUp, Says
from easyjobs.executors.relay import Relay
from easyjobs.wire.link import Link, LinkClosed, memory_pair


class Manager:
    """The other ends of the links that a relay opens, and what the child was told."""

    def __init__(self) -> None:
        self.ends: list[Link] = []
        self.told: asyncio.Queue[Heard | HungUp] = asyncio.Queue()

    def open(self) -> Link:
        mine, its = memory_pair()
        self.ends.append(mine)
        return its

    async def tell(self, message: Heard | HungUp) -> None:
        self.told.put_nowait(message)


@asynccontextmanager
async def relayed() -> AsyncIterator[tuple[Manager, Relay]]:
    manager, nursery = Manager(), Nursery("relay")
    relay = Relay(manager.open, manager.tell, nursery)
    yield manager, relay
    await relay.close()
    await nursery.close()


def frame(text: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(text))


async def test_frames_pass_both_ways_on_the_link_that_they_are_for() -> None:
    async with relayed() as (manager, relay):
        for n in (1, 2):
            await relay.pass_on(Dials(n))
        await relay.pass_on(Says(2, frame("from the second")))
        await relay.pass_on(Says(1, frame("from the first")))
        assert [await end.receive() for end in manager.ends] == [b'"from the first"', b'"from the second"']
        await manager.ends[1].send(b'"to the second"')
        assert await manager.told.get() == Heard(2, frame("to the second"))


async def test_the_child_hears_how_the_manager_hung_up_and_may_dial_anew() -> None:
    async with relayed() as (manager, relay):
        await relay.pass_on(Dials(1))
        await manager.ends[0].close(4401, "the attempt is over")
        assert await manager.told.get() == HungUp(1, 4401, "the attempt is over")
        await relay.pass_on(Says(1, frame("too late")))
        await relay.pass_on(HangsUp(1))
        await relay.pass_on(Dials(2))
        await relay.pass_on(Says(2, frame("again")))
        assert await manager.ends[1].receive() == b'"again"'


async def test_what_is_said_while_the_manager_hangs_up_is_lost_with_the_link() -> None:
    async with relayed() as (manager, relay):
        await relay.pass_on(Dials(1))
        await manager.ends[0].close(4408, "too slow")
        await relay.pass_on(Says(1, frame("on a link that is just gone")))
        assert await manager.told.get() == HungUp(1, 4408, "too slow")


async def test_a_child_that_hangs_up_or_ends_leaves_no_link_behind() -> None:
    async with relayed() as (manager, relay):
        await relay.pass_on(Dials(1))
        await relay.pass_on(Dials(2))
        await relay.pass_on(HangsUp(1))
        assert await manager.told.get() == HungUp(1, 1000, "goodbye")
        await relay.close()
        assert await manager.told.get() == HungUp(2, 1000, "the child process has ended")
        for end in manager.ends:
            with pytest.raises(LinkClosed, match="closed with 1000"):
                await end.receive()
