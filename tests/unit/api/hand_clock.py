"""A clock that moves by hand."""

from __future__ import annotations


class HandClock:
    """Two clocks that stand still until `now` is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def wall(self) -> float:
        """Seconds since 1970."""
        return self.now

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self.now
