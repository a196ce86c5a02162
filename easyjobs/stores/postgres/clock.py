"""The server's time, told now and then, carried on by our own monotonic clock."""

from __future__ import annotations

from typing import Final

from easyjobs.clock import Clock, SteadyClock

STEP: Final = 1.0
"""Seconds that the server's clock may be behind and still be waited for; one set back further is not followed."""


class ServerClock:
    """Dates of the server that never go backward here. Before it was `told` anything: those of this machine."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.wall() - clock.monotonic()
        self._told = False
        self._last = 0.0

    def monotonic(self) -> float:
        """This machine's, to be measured around a question for `told`."""
        return self._clock.monotonic()

    def told(self, server: float, asked: float, answered: float) -> None:
        """The server said `server` (seconds since 1970) between two moments of `monotonic`."""
        offset = server - (asked + answered) / 2
        behind = self._offset - offset
        if not self._told or behind < STEP:
            self._offset = offset
            self._told = True

    def now(self) -> float:
        """Seconds since 1970 UTC in whole microseconds; where the server is a little behind, it stands still."""
        self._last = max(self._last, round(self._clock.monotonic() + self._offset, 6))
        return self._last


class GivenClock(SteadyClock):
    """Not the server's time but that of a clock which was given, for tests that move it by hand."""

    def monotonic(self) -> float:
        """Of the clock that was given."""
        return self._clock.monotonic()

    def told(self, server: float, asked: float, answered: float) -> None:
        """What the server says is not asked for."""
