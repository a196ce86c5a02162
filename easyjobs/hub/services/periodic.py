"""The one loop of all services: run, sleep until the time that was named or until woken, back off on failure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from easyjobs.errors import StoreError

log = logging.getLogger("easyjobs.hub")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
LONGEST_SLEEP = 60.0  # the timer does not see a machine sleep, or its date being set


class Service(Protocol):
    """Something to be done now and then."""

    name: str

    async def run_once(self, now: float) -> float | None:
        """Do what is due at `now`; when to be called next, None: when woken."""


class Periodic:
    """Runs one service for ever. `wake(at)` makes it run at `at` if it would have slept longer."""

    def __init__(self, service: Service, now: Callable[[], float]) -> None:
        self._service = service
        self._now = now
        self._woken = asyncio.Event()
        self._next: float | None = None

    def wake(self, at: float | None = None) -> None:
        """Run again at `at`, or now. May be called from callbacks, as often as one likes."""
        if at is None:
            at = 0.0
        if self._next is None or at < self._next:
            self._next = at
            self._woken.set()

    async def run(self) -> None:
        """The loop; ends by cancellation."""
        failures = 0
        while True:
            self._next = None
            try:
                due = await self._service.run_once(self._now())
                failures = 0
            except Exception as error:
                bug = None if isinstance(error, StoreError) else error
                log.warning("%s: %s", self._service.name, error, exc_info=bug)
                due = self._now() + min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**failures)
                failures = min(failures + 1, 10)
            if due is not None:
                self.wake(due)
            await self._sleep()

    async def _sleep(self) -> None:
        """Until the time that was named last."""
        while True:
            self._woken.clear()
            wait = LONGEST_SLEEP if self._next is None else min(LONGEST_SLEEP, self._next - self._now())
            if wait <= 0:
                return
            loop = asyncio.get_running_loop()
            timer = loop.call_later(wait, self._woken.set)
            try:
                await self._woken.wait()
            finally:
                timer.cancel()
