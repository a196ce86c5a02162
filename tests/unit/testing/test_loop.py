"""Virtual time: jumps to the next timer, tells one story a seed, and says so when a story cannot go on."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import pytest

from easyjobs.testing.loop import EPOCH, Deadlock, Livelock, Stuck, VirtualClock, VirtualLoop, run


def test_a_day_passes_at_once() -> None:
    async def day(loop: VirtualLoop) -> float:
        before = loop.time()
        await asyncio.sleep(86_400)
        return loop.time() - before

    began = time.monotonic()
    assert run(day) == 86_400
    assert time.monotonic() - began < 20


def test_timers_fire_in_the_order_of_their_times() -> None:
    async def story() -> list[str]:
        said: list[str] = []

        async def say(word: str, after: float) -> None:
            await asyncio.sleep(after)
            said.append(word)

        await asyncio.gather(say("three", 3), say("one", 1), say("two", 2))
        return said

    assert run(story()) == ["one", "two", "three"]


def test_a_timeout_is_exact() -> None:
    async def story(loop: VirtualLoop) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await asyncio.Event().wait()
        return loop.time()

    assert run(story) == 1002.5


def test_time_stands_still_while_anything_is_ready() -> None:
    async def story(loop: VirtualLoop) -> None:
        before = loop.time()
        for _ in range(1000):
            await asyncio.sleep(0)
        assert loop.time() == before

    run(story)


def _tale(loop: VirtualLoop) -> Any:
    async def story() -> tuple[int, list[float]]:
        times = []
        for _ in range(50):
            await asyncio.sleep(loop.random.random())
            times.append(loop.time())
        return loop.fingerprint, times

    return story()


def test_one_seed_tells_one_story_and_another_seed_another() -> None:
    assert run(_tale, 1) == run(_tale, 1)
    assert run(_tale, 1) != run(_tale, 2)


def test_a_note_changes_the_fingerprint() -> None:
    loop = VirtualLoop()
    before = loop.fingerprint
    loop.note("job 1 completed")
    assert loop.fingerprint != before
    loop.close()


def test_a_deadlock_is_said_with_the_place_where_everyone_waits() -> None:
    async def for_godot() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match=r"(?s)seed 3.*in .*for_godot|in Event.wait"):
        run(for_godot(), 3)


def test_callbacks_that_never_let_time_pass_are_noticed() -> None:
    async def story() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Livelock, match=r"500 turns.*seed 0"):
        run(story(), turns=500)


def test_what_was_left_running_is_cancelled_oldest_first() -> None:
    ended: list[int] = []

    async def linger(n: int) -> None:
        try:
            await asyncio.sleep(1e6)
        finally:
            ended.append(n)

    async def story() -> None:
        loop = asyncio.get_running_loop()
        kept = [loop.create_task(linger(n)) for n in range(5)]
        await asyncio.sleep(1)
        assert len(kept) == 5

    run(story())
    assert ended == [0, 1, 2, 3, 4]


def test_a_coroutine_that_swallows_one_cancellation_still_ends() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(1e6)
        except asyncio.CancelledError:
            await asyncio.sleep(30)

    async def story() -> asyncio.Task[None]:
        left = asyncio.get_running_loop().create_task(stubborn())
        await asyncio.sleep(1)
        return left

    assert run(story()).done()


def test_a_coroutine_that_swallows_every_cancellation_is_named() -> None:
    release = asyncio.Event()

    async def immortal() -> None:
        while not release.is_set():
            try:
                await asyncio.sleep(1e6)
            except asyncio.CancelledError:
                continue

    loop = VirtualLoop()
    left = loop.create_task(immortal(), name="the immortal")
    loop.run_until_complete(asyncio.sleep(1))
    with pytest.raises(Stuck, match="the immortal"):
        loop.finish(rounds=3)
    release.set()
    loop.finish()
    assert left.done()
    loop.close()


def test_errors_of_the_story_reach_its_caller() -> None:
    async def story() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        run(story())


def test_threads_and_sockets_are_refused() -> None:
    async def thread() -> None:
        await asyncio.to_thread(print)

    async def socket() -> None:
        asyncio.get_running_loop().add_reader(0, print)

    with pytest.raises(NotImplementedError, match="no threads"):
        run(thread())
    with pytest.raises(NotImplementedError, match="no sockets"):
        run(socket())


def test_the_loop_wakes_itself_without_its_pipe() -> None:
    async def story() -> str:
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        loop.call_soon_threadsafe(woken.set_result, "woken")
        return await woken

    assert run(story()) == "woken"


def test_garbage_is_not_collected_during_a_story_and_is_afterwards() -> None:
    async def story() -> bool:
        return gc.isenabled()

    assert run(story()) is False
    assert gc.isenabled()


def test_a_clock_shows_the_loops_time_and_its_own_errors() -> None:
    async def story(loop: VirtualLoop) -> None:
        right, ahead, fast = VirtualClock(loop), VirtualClock(loop, offset=3600), VirtualClock(loop, drift=0.5)
        assert (right.wall(), ahead.wall(), fast.wall()) == (EPOCH, EPOCH + 3600, EPOCH)
        await asyncio.sleep(10)
        assert (right.wall(), ahead.wall(), fast.wall()) == (EPOCH + 10, EPOCH + 3610, EPOCH + 15)
        right.jump(-100)
        assert right.wall() == EPOCH - 90
        assert right.monotonic() == ahead.monotonic() == loop.time()

    run(story)
