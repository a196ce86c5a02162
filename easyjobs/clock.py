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
    """Dates that never go backward: what the wall said once plus what the monotonic clock added.

    About once a second it looks at the wall again and follows it where that is ahead: a machine that slept, or whose
    date was wrong, catches up. A wall that was set back is not followed; it is waited for.
    """

    LOOK = 1.0
    """Seconds between two looks, and how far the wall must be ahead to be followed: less is only its being slewed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.wall() - clock.monotonic()
        self._next_look = clock.monotonic() + self.LOOK

    def now(self) -> float:
        """Seconds since 1970 UTC, in whole microseconds: what is told of a moment as text finds that moment again."""
        monotonic = self._clock.monotonic()
        if monotonic >= self._next_look:
            self._next_look = monotonic + self.LOOK
            ahead = self._clock.wall() - monotonic
            if ahead - self._offset >= self.LOOK:
                self._offset = ahead
        return round(monotonic + self._offset, 6)
