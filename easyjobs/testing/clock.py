"""A clock that stands still until a test moves it."""

from __future__ import annotations

NEW_YEAR = 1_767_225_600.0  # 2026-01-01 00:00 UTC


class HandClock:
    """Both clocks of `easyjobs.clock.Clock`, moved by hand."""

    def __init__(self, wall: float = NEW_YEAR) -> None:
        self._wall = wall
        self._monotonic = 1000.0

    def wall(self) -> float:
        """Seconds since 1970 UTC."""
        return self._wall

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass, on both."""
        self._wall += seconds
        self._monotonic += seconds

    def set_wall(self, wall: float) -> None:
        """Somebody sets the machine's date; no time passes."""
        self._wall = wall
