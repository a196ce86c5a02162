"""The faulty network: what each fault does to both ends, and that one seed always strikes the same way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from math import inf
from typing import Any

import pytest

from easyjobs.errors import ConnectionLost
from easyjobs.testing.loop import VirtualLoop, run
from easyjobs.testing.network import WINDOW, Network, Node, Weather
from easyjobs.wire.link import Link, LinkClosed


class Scene:
    """A manager that keeps the links it was given, and a worker that dials it."""

    def __init__(self, loop: VirtualLoop, weather: Weather | None = None) -> None:
        self.loop = loop
        self.network = Network(loop, weather or Weather())
        self.manager = self.network.node("manager")
        self.worker = self.network.node("worker")
        self.accepted: asyncio.Queue[Link] = asyncio.Queue()
        self.manager.listen(self.accept)

    async def accept(self, link: Link) -> None:
        self.accepted.put_nowait(link)
        await self.loop.create_future()

    async def connect(self, node: Node | None = None) -> tuple[Link, Link]:
        here = await (node or self.worker).dialler("manager")()
        return here, await self.accepted.get()


Story = Callable[[Scene], Coroutine[Any, Any, Any]]


def play(story: Story, seed: int = 0, weather: Weather | None = None) -> Any:
    return run(lambda loop: story(Scene(loop, weather)), seed)


async def read_all(link: Link) -> tuple[list[bytes], LinkClosed]:
    frames = []
    while True:
        try:
            frames.append(await link.receive())
        except LinkClosed as closed:
            return frames, closed


async def nothing_within(seconds: float, coroutine: Coroutine[Any, Any, Any]) -> bool:
    """Whether `coroutine` is still waiting after so long. It is cancelled then."""
    waiting = asyncio.ensure_future(coroutine)
    await asyncio.wait([waiting], timeout=seconds)
    return waiting.cancel()


def test_frames_arrive_in_order_and_take_time() -> None:
    async def story(scene: Scene) -> None:
        here, there = await scene.connect()
        began = scene.loop.time()
        for n in range(20):
            await here.send(b"%d" % n)
        assert [await there.receive() for _ in range(20)] == [b"%d" % n for n in range(20)]
        assert 0.0002 <= scene.loop.time() - began <= 0.005
        await there.send(b"back")
        assert await here.receive() == b"back"

    play(story)


def test_a_close_comes_after_the_frames_and_carries_its_code() -> None:
    async def story(scene: Scene) -> None:
        here, there = await scene.connect()
        await here.send(b"last words")
        await here.close(4409, "replaced")
        await here.close()
        frames, closed = await read_all(there)
        assert frames == [b"last words"]
        assert (closed.code, closed.reason) == (4409, "replaced")
        for end in (here, there):
            with pytest.raises(LinkClosed, match="4409"):
                await end.send(b"too late")
        with pytest.raises(LinkClosed, match="4409"):
            await here.receive()

    play(story)


def test_nobody_listens() -> None:
    async def story(scene: Scene) -> None:
        scene.manager.mute()
        with pytest.raises(ConnectionLost, match="manager refused"):
            await scene.connect()

    play(story)


def test_a_server_that_loses_its_link_hangs_up() -> None:
    async def story(scene: Scene) -> None:
        async def echo(link: Link) -> None:
            while True:
                await link.send(await link.receive())

        scene.manager.listen(echo)
        here = await scene.worker.dialler("manager")()
        await here.send(b"hello")
        assert await here.receive() == b"hello"
        await here.close(1000, "done")
        await asyncio.sleep(1)
        assert not [who for who in scene.loop.waiting() if "serves" in who]

    play(story)


def test_who_does_not_read_makes_the_sender_wait() -> None:
    async def story(scene: Scene) -> None:
        here, there = await scene.connect()
        for _ in range(WINDOW):
            await here.send(b"x")
        assert await nothing_within(3600, here.send(b"one too many"))
        await there.receive()
        await here.send(b"now there is room")

    play(story)


def test_a_slow_reader_takes_its_time_for_each_frame_until_it_is_healed() -> None:
    async def story(scene: Scene) -> None:
        here, there = await scene.connect()
        scene.network.slow(scene.manager, 10)
        for _ in range(3):
            await here.send(b"x")
        began = scene.loop.time()
        await there.receive()
        await there.receive()
        assert scene.loop.time() - began == pytest.approx(20)
        scene.network.slow(scene.manager, inf)
        reading = asyncio.ensure_future(there.receive())
        await asyncio.wait([reading], timeout=3600)
        assert not reading.done()
        scene.network.heal()
        assert await reading == b"x"

    play(story)


def test_a_cut_holds_what_is_under_way_and_lets_it_through_afterwards() -> None:
    async def story(scene: Scene) -> None:
        here, there = await scene.connect()
        scene.network.cut("worker", "manager", 30)
        began = scene.loop.time()
        await here.send(b"patience")
        assert await there.receive() == b"patience"
        assert scene.loop.time() - began == pytest.approx(30)

    play(story)


def test_a_cut_one_way_leaves_the_other_open() -> None:
    async def story(scene: Scene) -> None:
        here, there = await scene.connect()
        scene.network.cut("worker", "manager", one_way=True)
        await there.send(b"down")
        assert await here.receive() == b"down"
        await here.send(b"up")
        assert await nothing_within(3600, there.receive())
        scene.network.heal()
        assert await there.receive() == b"up"

    play(story)


def test_a_dial_through_a_cut_waits_and_then_gives_up() -> None:
    async def story(scene: Scene) -> None:
        scene.network.cut("worker", "manager", 5)
        await scene.connect()
        scene.network.cut("worker", "manager")
        began = scene.loop.time()
        with pytest.raises(ConnectionLost, match="did not answer within 10 s"):
            await scene.connect()
        assert scene.loop.time() - began == pytest.approx(10, abs=1)

    play(story)


def test_a_half_open_link_swallows_one_way_and_even_the_goodbye() -> None:
    async def story(scene: Scene) -> None:
        here, there = await scene.connect()
        scene.network.half_open("worker", "manager")
        await here.send(b"lost")
        await there.send(b"heard")
        assert await here.receive() == b"heard"
        await here.close()
        assert await nothing_within(3600, there.receive())
        again, there = await scene.connect()
        await again.send(b"a new link works")
        assert await there.receive() == b"a new link works"

    play(story)


def test_a_half_open_link_blocks_its_sender_in_the_end() -> None:
    async def story(scene: Scene) -> None:
        here, _ = await scene.connect()
        scene.network.half_open("worker", "manager")
        for _ in range(WINDOW):
            await here.send(b"lost")
        assert await nothing_within(3600, here.send(b"lost"))

    play(story)


def test_a_reset_is_known_here_at_once_and_there_later() -> None:
    async def story(scene: Scene) -> tuple[list[bytes], float]:
        here, there = await scene.connect()
        await here.send(b"under way")
        began = scene.loop.time()
        scene.network.reset("worker", "manager")
        with pytest.raises(LinkClosed, match="1006"):
            await here.receive()
        assert scene.loop.time() == began
        frames, closed = await read_all(there)
        assert closed.code == 1006
        return frames, scene.loop.time() - began

    stories = [play(story, seed) for seed in range(40)]
    assert {len(frames) for frames, _ in stories} == {0, 1}, "what was under way is lost in some and arrives in others"
    assert max(late for _, late in stories) > 10


def test_the_old_link_may_speak_after_the_new_one() -> None:
    async def story(scene: Scene) -> list[bytes]:
        heard: list[bytes] = []

        async def listen(link: Link) -> None:
            while True:
                heard.append(await link.receive())

        scene.manager.listen(listen)
        here = await scene.worker.dialler("manager")()
        await here.send(b"old")
        scene.network.reset("worker", "manager")
        again = await scene.worker.dialler("manager")()
        await again.send(b"new")
        await asyncio.sleep(30)
        return heard

    slow = Weather(latency=(0.0, 2.0))
    assert [b"new", b"old"] in [play(story, seed, slow) for seed in range(60)]


def test_what_was_said_on_a_forsaken_link_arrives_after_what_was_said_on_the_next_and_then_its_end() -> None:
    async def story(scene: Scene) -> list[object]:
        heard: list[object] = []

        async def listen(link: Link) -> None:
            try:
                while True:
                    heard.append(await link.receive())
            except LinkClosed as closed:
                heard.append(closed.code)

        scene.manager.listen(listen)
        before = await scene.worker.dialler("manager")()
        await before.send(b"before")
        scene.network.forsake("worker", 5.0)
        await before.send(b"goes on")
        here = await scene.worker.dialler("manager")()
        await here.send(b"late")
        with pytest.raises(LinkClosed):
            await here.send(b"more")
        again = await scene.worker.dialler("manager")()
        await again.send(b"next")
        await asyncio.sleep(30)
        return heard

    assert play(story) == [b"before", b"goes on", b"next", b"late", 1006]


def test_a_killed_nodes_coroutines_stand_still() -> None:
    async def story(scene: Scene) -> None:
        said: list[str] = []
        here, there = await scene.connect()

        async def work() -> None:
            try:
                await here.receive()
            finally:
                said.append("cleaning up")

        async def store() -> None:
            await asyncio.sleep(1)
            await scene.worker.gate()
            said.append("wrote after death")

        running = [asyncio.ensure_future(work()), asyncio.ensure_future(store())]
        await asyncio.sleep(0.5)
        scene.network.kill(scene.worker)
        frames, closed = await read_all(there)
        assert (frames, closed.code) == ([], 1006)
        await asyncio.sleep(3600)
        assert said == []
        assert not any(r.done() for r in running)
        assert await nothing_within(3600, here.send(b"a ghost speaks"))
        assert await nothing_within(3600, here.close())

    play(story)


def test_what_a_node_sent_before_its_death_may_still_arrive() -> None:
    async def story(scene: Scene) -> None:
        here, there = await scene.connect()
        await here.send(b"testament")
        scene.network.kill(scene.worker)
        frames, _ = await read_all(there)
        assert frames == [b"testament"]

    play(story)


def test_a_machine_that_dies_tells_nobody() -> None:
    async def story(scene: Scene) -> None:
        here, _ = await scene.connect()
        scene.network.kill(scene.manager, silent=True)
        assert await nothing_within(3600, here.receive())
        with pytest.raises(ConnectionLost, match="did not answer"):
            await scene.connect()

    play(story)


def test_a_killed_server_refuses_and_its_next_life_answers() -> None:
    async def story(scene: Scene) -> None:
        await scene.connect()
        scene.network.kill(scene.manager)
        with pytest.raises(ConnectionLost, match="refused"):
            await scene.connect()
        scene.network.node("manager").listen(scene.accept)
        here, there = await scene.connect()
        await here.send(b"welcome back")
        assert await there.receive() == b"welcome back"

    play(story)


def _stormy(seed: int) -> tuple[int, list[str]]:
    storm = Weather(reset=0.05, swallow=0.02, stall=0.1)

    async def story(scene: Scene) -> tuple[int, list[str]]:
        seen: list[str] = []

        async def echo(link: Link) -> None:
            while True:
                await link.send(await link.receive())

        scene.manager.listen(echo)
        for life in range(10):
            link = await scene.worker.dialler("manager")()
            try:
                async with asyncio.timeout(120):
                    for n in range(20):
                        await link.send(b"%d" % n)
                        seen.append(f"{life}:{(await link.receive()).decode()}@{scene.loop.time():.9f}")
            except LinkClosed as closed:
                seen.append(f"{life}: closed {closed.code}")
            except TimeoutError:
                seen.append(f"{life}: silence")
        return scene.loop.fingerprint, seen

    result: tuple[int, list[str]] = play(story, seed, storm)
    return result


def test_one_seed_strikes_the_same_way_twice() -> None:
    assert _stormy(7) == _stormy(7)
    assert _stormy(7) != _stormy(8)


def test_a_storm_has_every_kind_of_weather() -> None:
    seen = [line for seed in range(10) for line in _stormy(seed)[1]]
    assert any("closed 1006" in line for line in seen)
    assert any("silence" in line for line in seen)
    assert any(":19@" in line for line in seen), "and some lives are calm to their end"
