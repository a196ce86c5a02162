"""Brings reports to one destination, one after the other: whatever that does, nobody else waits for it."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from easyjobs.background import Nursery
from easyjobs.errors import ConfigurationError
from easyjobs.executors.ran import Ran
from easyjobs.executors.threads import ThreadPool
from easyjobs.monitors.reports import HOOKS, Hook, Report

log = logging.getLogger("easyjobs.monitors")

MOST: Final = 1_000
"""Reports that may wait for a destination; of more, the oldest are dropped."""

LIMIT: Final = 90.0
"""Seconds that a destination may take for one report."""


LEAVE: Final = 0.2
"""Seconds that a destination may take to see that it is over."""


class Undelivered(Exception):
    """A destination could not be told; the message says why. Logged without a traceback."""


class Courier:
    """One destination with its hooks, and the reports that wait for it. `start` it on a loop, `close` it there.

    Coroutine functions run on the loop, all others in a thread of the destination's own. One that raises, or takes
    longer than `LIMIT`, is logged when it begins to fail and when it works again; the report is not repeated.

    :raises ConfigurationError: the destination has no hook.
    """

    def __init__(self, destination: Any, counters: Counter[str], *, most: int = MOST, limit: float = LIMIT) -> None:
        self.name = _name(destination)
        self.hooks = hooks_of(destination)
        self._close_destination = getattr(destination, "aclose", None)
        self._counters = counters
        self._most = most
        self._limit = limit
        self._waiting: deque[tuple[Hook, Report]] = deque()
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._threads: ThreadPool | None = None
        self._nursery = Nursery(f"monitor {self.name}")
        self._delivering = False
        self._lost = 0  # reports in a row that could not be told
        self._dropped = 0  # since its queue was full for the first time

    def start(self) -> None:
        """Begin to deliver."""
        self._threads = ThreadPool(1)
        self._nursery.spawn(self._run(), "courier")

    def post(self, hook: Hook, report: Report) -> None:
        """Deliver `report` when it is its turn, where the destination has that hook. Never waits, never raises."""
        if hook not in self.hooks:
            return
        if len(self._waiting) >= self._most:
            self._waiting.popleft()
            self._counters["monitor_dropped"] += 1
            self._dropped += 1
            if self._dropped == 1:
                log.warning("monitor %s is too slow: the oldest of %d reports is dropped", self.name, self._most)
        self._waiting.append((hook, report))
        self._idle.clear()
        self._news.set()

    async def close(self, patience: float) -> None:
        """Deliver what waits, for at most `patience` seconds; what is left then is dropped. May be called twice."""
        if self._threads is None:
            return
        if patience > 0:
            try:
                async with asyncio.timeout(patience):
                    await self._idle.wait()
            except TimeoutError:
                pass
        left = len(self._waiting) + self._delivering
        if left:
            log.warning("monitor %s: %d reports were not told before the end", self.name, left)
            self._counters["monitor_dropped"] += left
            self._waiting.clear()
        await self._nursery.close(patience=LEAVE)
        if self._close_destination is not None:
            closing = self._nursery.spawn(self._close_destination(), "close")
            await asyncio.wait({closing}, timeout=LEAVE)
        self._threads.close()
        self._threads = None

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                hook, report = self._waiting.popleft()
                self._delivering = True
                await self._deliver(hook, report)
                self._delivering = False
            if self._dropped:
                log.warning("monitor %s has caught up; %d reports were dropped", self.name, self._dropped)
                self._dropped = 0
            self._idle.set()

    async def _deliver(self, hook: Hook, report: Report) -> None:
        try:
            async with asyncio.timeout(self._limit):
                await self._call(self.hooks[hook], report)
        except Undelivered as why:
            self._failed(hook, str(why), None)
        except TimeoutError:
            self._failed(hook, f"it took longer than {self._limit:g} s", None)
        except (Exception, SystemExit) as error:
            if not self._failed(hook, type(error).__name__, error):
                log.debug("monitor %s: %s", self.name, hook, exc_info=error)
        else:
            if self._lost:
                log.warning("monitor %s works again; it was not told %d reports", self.name, self._lost)
                self._lost = 0

    async def _call(self, method: Callable[[Any], Any], report: Report) -> None:
        if inspect.iscoroutinefunction(method):
            await method(report)
            return
        if self._threads is None:
            raise AssertionError("a courier that was not started delivers")
        answers: list[Any] = []
        errors: list[BaseException] = []

        def work() -> Ran:
            try:
                answers.append(method(report))
            except (Exception, SystemExit) as error:
                log.debug("monitor %s raised", self.name, exc_info=error)
                errors.append(error)
            return Ran("completed")

        run = self._threads.submit(work, _nothing)
        try:
            await run.ended
        finally:
            self._threads.abandon(run)
        if errors:
            raise errors[0]
        if answers and inspect.isawaitable(answers[0]):
            await answers[0]

    def _failed(self, hook: Hook, why: str, error: BaseException | None) -> bool:
        """Note that a report is lost; whether that was logged, which only the first one is."""
        self._lost += 1
        self._counters["monitor_failures"] += 1
        if self._lost > 1:
            return False
        log.warning("monitor %s could not be told %s: %s", self.name, hook, why, exc_info=error)
        return True


def hooks_of(destination: Any) -> dict[Hook, Callable[[Any], Any]]:
    """The methods of a destination that are called; where it has `events`, only those.

    :raises ConfigurationError: it has none.
    """
    if isinstance(destination, type):
        name = destination.__name__
        raise ConfigurationError(f"monitor {name} is a class: give an object, {name}(…)")
    wanted = getattr(destination, "events", None)
    hooks: dict[Hook, Callable[[Any], Any]] = {
        hook: method
        for hook in HOOKS
        if callable(method := getattr(destination, hook, None)) and (wanted is None or hook in wanted)
    }
    if not hooks:
        raise ConfigurationError(f"monitor {_name(destination)} is told nothing: it has none of {', '.join(HOOKS)}")
    return hooks


def _name(destination: Any) -> str:
    """What it is called in logs: never more than it shows of itself."""
    shown = getattr(destination, "shown", None)
    return shown if isinstance(shown, str) else type(destination).__name__


def _nothing() -> None:
    """Nobody asks when a thread begins."""
