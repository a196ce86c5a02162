"""Functions that are no coroutines run in threads, and make and await jobs from there; a blocked loop is noticed."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from scripted_manager import ScriptedManager, assignment, result_of

from easyjobs.clock import SystemClock
from easyjobs.errors import ConfigurationError, ConnectionLost
from easyjobs.protocol.codec import decode_from_peer, encode
from easyjobs.protocol.messages import (
    Accepted,
    Assign,
    Await,
    Credit,
    Ended,
    Goodbye,
    Heartbeat,
    Held,
    Hello,
    Limits,
    Log,
    Result,
    Submit,
    Welcome,
)
from easyjobs.tasks.context import current_job
from easyjobs.wire.link import LinkClosed
from easyjobs.workers.runner import MOST_UNTOLD
from easyjobs.workers.watchdog import Watchdog
from easyjobs.workers.worker import EasyJobsWorker


async def test_a_function_runs_in_a_thread_with_its_job_around_it() -> None:
    manager = ScriptedManager()
    worker = EasyJobsWorker("Q", connect=manager.connect, watchdog=False)

    @worker.task
    def work(n: int) -> list[Any]:
        current_job().log("from the thread")
        return [n, threading.current_thread() is threading.main_thread(), current_job().id]

    async with worker:
        await manager.welcome()
        await manager.assign(assignment("a", "work", 7))
        assert (await manager.hear(Log)).lines[0][2] == "from the thread"
        assert result_of(await manager.outcome()) == [7, False, "a"]
        leaving = asyncio.ensure_future(worker.stop())
        await manager.pass_over(Goodbye)
        await leaving


async def test_a_thread_that_tells_much_while_the_loop_is_blocked_waits_and_loses_nothing() -> None:
    manager = ScriptedManager()
    worker = EasyJobsWorker("Q", connect=manager.connect, watchdog=False)
    told: list[int] = []
    begun, seen = threading.Event(), threading.Event()

    @worker.task
    def tell(n: int) -> None:
        begun.set()
        for line in range(n):
            current_job().log(f"{line} " + "x" * 20_000)
            told.append(line)
            if line == MOST_UNTOLD:
                seen.set()

    async with worker:
        await manager.welcome(limits=Limits(logs=100_000_000))
        await manager.assign(assignment("a", "tell", 3 * MOST_UNTOLD))
        while not begun.is_set():
            await asyncio.sleep(0)
        assert seen.wait(10)  # the loop stands still meanwhile
        assert MOST_UNTOLD <= len(told) < 2 * MOST_UNTOLD
        lines: list[str] = []
        while len(lines) < 3 * MOST_UNTOLD:
            lines += [text for _, _, text in (await manager.hear(Log)).lines]
        assert [int(text.split()[0]) for text in lines] == list(range(3 * MOST_UNTOLD))
        assert max(map(len, lines)) <= Limits().log_line
        assert result_of(await manager.outcome()) is None
        leaving = asyncio.ensure_future(worker.stop())
        await manager.pass_over(Goodbye)
        await leaving


async def test_a_function_awaits_a_job_of_its_own_queue_with_one_slot_and_one_thread() -> None:
    manager = ScriptedManager()
    worker = EasyJobsWorker("Q", connect=manager.connect, max_tasks_per_worker=1, threads=1, watchdog=False)

    @worker.task
    def parent(n: int) -> int:
        return 1 + worker.wait(child(n))

    @worker.task
    def child(n: int) -> int:
        return 2 * n

    async with worker:
        await manager.welcome()
        await manager.assign(assignment("p", "parent", 5))
        (made,) = (await manager.pass_over(Submit)).jobs
        assert (made.queue, made.task, made.parent) == ("Q", "child", "p")
        await manager.say(Accepted([made.id]))
        assert (await manager.pass_over(Credit)).parked == 1
        await manager.assign(assignment(made.id, "child", 5))
        outcome = await manager.outcome()
        assert (outcome.job, result_of(outcome)) == (made.id, 10)
        await manager.say(Result([Ended(made.id, result=outcome.result)]))
        assert result_of(await manager.outcome()) == 11


async def test_a_handle_can_be_waited_for_from_a_thread() -> None:
    manager = ScriptedManager()
    worker = EasyJobsWorker("Q", connect=manager.connect, watchdog=False)

    @worker.task
    def parent() -> Any:
        handle = worker.wait(parent.enqueue())
        return worker.wait(handle)

    async with worker:
        await manager.welcome()
        await manager.assign(assignment("p", "parent"))
        (made,) = (await manager.pass_over(Submit)).jobs
        await manager.say(Accepted([made.id]))
        assert (await manager.pass_over(Await)).ids == [made.id]
        await manager.say(Result([Ended(made.id)]))
        assert result_of(await manager.outcome()) is None


async def test_on_the_loop_await_is_the_word() -> None:
    manager = ScriptedManager()
    worker = EasyJobsWorker("Q", connect=manager.connect, watchdog=False)

    @worker.task
    async def child() -> None: ...

    with pytest.raises(ConfigurationError, match="await"):
        worker.wait(child())


# -- the watchdog


class Recorded:
    """A connection of the watchdog: says welcome, keeps what it hears, sets `heard` with the first heartbeat."""

    def __init__(self, answers: list[bytes | None] | None = None) -> None:
        self.said: list[Any] = []
        self.heard = threading.Event()
        self.closed = threading.Event()
        self.answers = answers if answers is not None else [encode([Welcome()])]
        self.beats = 0

    def send(self, frame: bytes) -> None:
        for message in decode_from_peer(frame):
            self.said.append(message)
            if isinstance(message, Heartbeat):
                self.beats += 1
                if self.beats == 2:
                    self.heard.set()

    def receive(self, timeout: float) -> bytes | None:
        return self.answers.pop(0) if self.answers else None

    def close(self) -> None:
        self.closed.set()


def watch(dial: Callable[[float], Any] | None, **options: Any) -> Watchdog:
    return Watchdog(
        hello=lambda: Hello(1, "watchdog", worker_id="w"),
        held=lambda: [Held("a", 1, "t")],
        culprit=lambda: "Q:busy",
        dial=dial,
        heartbeat=lambda: 0.02,
        clock=SystemClock(),
        exits=False,
        blocked_after=0.1,
        **options,
    )


async def test_a_blocked_loop_has_a_second_voice_until_it_turns_again(caplog: pytest.LogCaptureFixture) -> None:
    link = Recorded()
    dog = watch(lambda timeout: link)
    dog.start()
    assert link.heard.wait(20)  # this blocks the loop, until the second heartbeat
    assert link.said[0] == Hello(1, "watchdog", worker_id="w")
    assert link.said[1] == Heartbeat([Held("a", 1, "t")], blocked="Q:busy")
    await asyncio.to_thread(link.closed.wait, 20)
    assert link.closed.is_set()
    dog.stop()
    said = [record.getMessage() for record in caplog.records]
    assert any("blocked by Q:busy" in text and "test_threads" in text for text in said)
    assert any("free again" in text for text in said)


async def test_a_loop_that_turns_is_left_alone() -> None:
    dialled: list[float] = []
    dog = watch(lambda timeout: dialled.append(timeout))
    dog.start()
    for _ in range(30):
        await asyncio.sleep(0.01)
    dog.stop()
    assert dialled == []
    assert dog.blocked is None


async def test_the_watchdog_dials_again_when_its_connection_fails(caplog: pytest.LogCaptureFixture) -> None:
    silent = Recorded(answers=[None])
    good = Recorded()
    tries: list[Any] = [ConnectionLost("nobody there"), LinkClosed(1006), silent, good]

    def dial(timeout: float) -> Any:
        found = tries.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    dog = watch(dial)
    dog.start()
    assert good.heard.wait(20)
    dog.stop()
    assert silent.closed.is_set()
    assert sum("could not speak" in record.getMessage() for record in caplog.records) == 3


async def test_after_its_time_the_watchdog_falls_silent(caplog: pytest.LogCaptureFixture) -> None:
    link = Recorded()
    dog = watch(lambda timeout: link, give_up_after=0.1)
    dog.start()
    assert link.closed.wait(20)  # while the loop is still blocked
    dog.stop()
    assert any(record.levelno == logging.CRITICAL for record in caplog.records)


async def test_a_stand_alone_worker_exits_then(monkeypatch: pytest.MonkeyPatch) -> None:
    exited = threading.Event()
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        exited.set()

    monkeypatch.setattr("easyjobs.workers.watchdog.os._exit", leave)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    dog = watch(None, give_up_after=0.05)
    dog._exits = True
    dog.start()
    assert exited.wait(20)
    dog.stop()
    assert codes == [70]


async def test_the_task_that_blocks_is_named_and_what_has_not_begun_is_not_vouched_for() -> None:
    manager = ScriptedManager()
    worker = EasyJobsWorker("Q", connect=manager.connect, max_tasks_per_worker=2, watchdog=False)
    seen: list[Any] = []

    @worker.task
    async def waits() -> None:
        await asyncio.sleep(0.01)

    @worker.task
    async def blocks() -> None:
        assert worker._engine is not None
        runner = worker._engine.runner
        look = threading.Thread(target=lambda: seen.append((runner.on_the_loop(), runner.taken_up())))
        look.start()
        look.join()

    async with worker:
        await manager.welcome()
        await manager.say(
            Assign([assignment("a", "waits"), assignment("b", "blocks"), assignment("c", "waits")]),
        )
        await manager.outcomes(3)
        assert worker._engine is not None
        assert worker._engine.runner.on_the_loop() is None
    assert seen == [("Q:blocks", [Held("a", 1, "a-1"), Held("b", 1, "b-1")])]
