"""The steady clock: it follows a wall that runs ahead, and never one that was set back."""

from __future__ import annotations

from easyjobs.clock import SteadyClock
from easyjobs.testing.clock import NEW_YEAR, HandClock


def test_it_tells_what_the_wall_told_and_the_time_since() -> None:
    hand = HandClock()
    clock = SteadyClock(hand)
    hand.advance(0.25)
    assert clock.now() == NEW_YEAR + 0.25


def test_a_wall_that_was_set_back_is_waited_for() -> None:
    hand = HandClock()
    clock = SteadyClock(hand)
    hand.set_wall(NEW_YEAR - 3600.0)
    hand.advance(10.0)
    assert clock.now() == NEW_YEAR + 10.0


def test_a_machine_that_slept_catches_up_within_a_look() -> None:
    hand = HandClock()
    clock = SteadyClock(hand)
    hand.set_wall(NEW_YEAR + 7200.0)  # the monotonic clock stood still meanwhile
    assert clock.now() == NEW_YEAR
    hand.advance(SteadyClock.LOOK)
    assert clock.now() == NEW_YEAR + 7200.0 + SteadyClock.LOOK


def test_a_wall_that_is_slewed_is_not_followed() -> None:
    hand = HandClock()
    clock = SteadyClock(hand)
    hand.set_wall(NEW_YEAR + 0.5)
    hand.advance(5.0)
    assert clock.now() == NEW_YEAR + 5.0


def test_it_follows_again_after_it_has_waited() -> None:
    hand = HandClock()
    clock = SteadyClock(hand)
    hand.set_wall(NEW_YEAR + 100.0)
    hand.advance(2.0)
    clock.now()
    hand.set_wall(NEW_YEAR)
    hand.advance(2.0)
    assert clock.now() == NEW_YEAR + 104.0
    hand.set_wall(NEW_YEAR + 500.0)
    hand.advance(2.0)
    assert clock.now() == NEW_YEAR + 502.0
