"""A courier brings reports to one destination, in order, and lets nothing out of it."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections import Counter
from typing import Any

import pytest

from easyjobs.errors import ConfigurationError
from easyjobs.monitors.courier import Courier, Undelivered, hooks_of
from easyjobs.monitors.reports import Heartbeat
from easyjobs.testing.loop import run


def beat(n: int) -> Heartbeat:
    return Heartbeat(float(n), "m")


class Log:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[float] = []

    async def heartbeat_scheduler(self, report: Heartbeat) -> None:
        self.heard.append(report.at)


def test_what_is_posted_comes_in_order_and_only_what_is_wanted() -> None:
    async def story() -> None:
        log = Log()
        courier = Courier(log, Counter())
        courier.start()
        for n in range(3):
            courier.post("heartbeat_scheduler", beat(n))
            courier.post("task_failed", beat(n))
        await courier.close(1.0)
        assert log.heard == [0.0, 1.0, 2.0]
        await courier.close(1.0)

    run(lambda loop: story())


def test_a_destination_may_name_its_events() -> None:
    class Narrow:
        events = ("alert",)

        def alert(self, report: Any) -> None: ...
        def task_failed(self, report: Any) -> None: ...

    assert list(hooks_of(Narrow())) == ["alert"]
    with pytest.raises(ConfigurationError, match=r"Narrow is a class: give an object, Narrow\(…\)"):
        hooks_of(Narrow)
    Narrow.events = ("nothing",)
    with pytest.raises(ConfigurationError, match="Narrow is told nothing"):
        hooks_of(Narrow())


def test_the_oldest_is_dropped_and_that_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        counters: Counter[str] = Counter()
        log = Log()
        courier = Courier(log, counters, most=2)
        for n in range(5):
            courier.post("heartbeat_scheduler", beat(n))
        courier.start()
        await courier.close(1.0)
        assert log.heard == [3.0, 4.0]
        assert counters["monitor_dropped"] == 3

    run(lambda loop: story())
    assert [record.getMessage() for record in caplog.records] == [
        "monitor Log is too slow: the oldest of 2 reports is dropped",
        "monitor Log has caught up; 3 reports were dropped",
    ]


def test_failures_are_logged_when_they_begin_and_when_they_are_over(caplog: pytest.LogCaptureFixture) -> None:
    class Moody(Log):
        async def heartbeat_scheduler(self, report: Heartbeat) -> None:
            if report.at < 2:
                raise Undelivered("nobody is there")
            if report.at < 3:
                raise ValueError("no")
            if report.at < 4:
                sys.exit("a library wants to leave")
            await super().heartbeat_scheduler(report)

    async def story() -> None:
        counters: Counter[str] = Counter()
        moody = Moody()
        courier = Courier(moody, counters)
        courier.start()
        for n in range(6):
            courier.post("heartbeat_scheduler", beat(n))
        await courier.close(1.0)
        assert moody.heard == [4.0, 5.0]
        assert counters["monitor_failures"] == 4

    with caplog.at_level(logging.INFO):
        run(lambda loop: story())
    assert [record.getMessage() for record in caplog.records] == [
        "monitor Moody could not be told heartbeat_scheduler: nobody is there",
        "monitor Moody works again; it was not told 4 reports",
    ]


def test_one_that_hangs_is_given_up_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(Log):
        async def heartbeat_scheduler(self, report: Heartbeat) -> None:
            if report.at == 0:
                await asyncio.sleep(1e6)
            await super().heartbeat_scheduler(report)

    async def story() -> None:
        stuck = Stuck()
        courier = Courier(stuck, Counter(), limit=5.0)
        courier.start()
        courier.post("heartbeat_scheduler", beat(0))
        courier.post("heartbeat_scheduler", beat(1))
        await asyncio.sleep(6.0)
        assert stuck.heard == [1.0]
        await courier.close(1.0)

    run(lambda loop: story())
    assert "it took longer than 5 s" in caplog.text


def test_the_end_does_not_wait_for_one_that_hangs_and_says_what_was_lost(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck:
        async def heartbeat_scheduler(self, report: Heartbeat) -> None:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                await asyncio.sleep(60)  # it does not hear

    async def story(loop: Any) -> None:
        counters: Counter[str] = Counter()
        courier = Courier(Stuck(), counters)
        courier.start()
        for n in range(3):
            courier.post("heartbeat_scheduler", beat(n))
        began = loop.time()
        await courier.close(2.0)
        assert loop.time() - began < 3.0
        assert counters["monitor_dropped"] == 3

    run(story)
    assert "monitor Stuck: 3 reports were not told before the end" in caplog.text


def test_plain_functions_run_in_a_thread_of_their_own() -> None:
    heard: list[tuple[float, str]] = []
    release = threading.Event()

    class Plain:
        def heartbeat_scheduler(self, report: Heartbeat) -> Any:
            heard.append((report.at, threading.current_thread().name))
            if report.at == 0:
                release.wait(10)
            if report.at == 1:
                raise ValueError("no")
            return self._later() if report.at == 2 else None

        async def _later(self) -> None:
            heard.append((2.5, threading.current_thread().name))

    async def story() -> None:
        counters: Counter[str] = Counter()
        courier = Courier(Plain(), counters, limit=0.2)
        courier.start()
        for n in range(4):
            courier.post("heartbeat_scheduler", beat(n))
        await courier.close(10.0)
        assert counters["monitor_failures"] == 2, "one hung and one raised"

    asyncio.run(story())
    release.set()
    assert [at for at, _ in heard] == [0.0, 1.0, 2.0, 2.5, 3.0]
    assert [name for at, name in heard if at != 2.5] == ["easyjobs-task"] * 4


def test_a_destination_is_closed_at_the_end() -> None:
    class Open(Log):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    async def story() -> None:
        destination = Open()
        courier = Courier(destination, Counter())
        courier.start()
        await courier.close(0.0)
        assert destination.closed

    run(lambda loop: story())
