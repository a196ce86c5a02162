"""The only door to time; tests and simulations put a virtual clock in its place."""

from __future__ import annotations

import time as _time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one for dates, one for durations."""

    def wall(self) -> float:
        """Seconds since 1970 UTC; may jump either way."""

    def monotonic(self) -> float:
        """Seconds since some moment; only grows. The same clock as the event loop's `time()`."""


class SystemClock:
    """The machine's own."""

    def wall(self) -> float:
        """Seconds since 1970 UTC."""
        return _time.time()

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return _time.monotonic()


class SteadyClock:
    """Dates that never go backward and never jump: what the wall said once plus what the monotonic clock added.

    `settle()` takes the wall's word again if it is ahead; call it now and then so that a machine that slept catches up.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.wall() - clock.monotonic()

    def now(self) -> float:
        """Seconds since 1970 UTC, in whole microseconds: what is told of a moment as text finds that moment again."""
        return round(self._clock.monotonic() + self._offset, 6)

    def settle(self) -> float:
        """Catch up with the wall; how many seconds that skipped (0 when the wall is behind)."""
        skipped = max(0.0, self._clock.wall() - self.now())
        self._offset += skipped
        return skipped
