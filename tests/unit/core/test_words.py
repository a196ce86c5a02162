"""Patterns in English."""

from typing import Any

import pytest

from easyjobs.core.pattern import LAST, Pattern
from easyjobs.core.words import of

ALL_MINUTES, ALL_HOURS, ALL_MONTHS = tuple(range(60)), tuple(range(24)), tuple(range(1, 13))


def said(
    minutes: tuple[int, ...] = (0,), hours: tuple[int, ...] = ALL_HOURS, seconds: tuple[int, ...] = (0,), **days: Any
) -> str | None:
    return of(Pattern(seconds, minutes, hours, days.pop("months", ALL_MONTHS), **days))


@pytest.mark.parametrize(
    ("minutes", "hours", "words"),
    [
        (ALL_MINUTES, ALL_HOURS, "every minute"),
        ((0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55), ALL_HOURS, "every 5 minutes"),
        ((0, 30), ALL_HOURS, "every 30 minutes"),
        ((0,), ALL_HOURS, "every hour"),
        ((15,), ALL_HOURS, "at minute 15 of every hour"),
        ((5, 35), ALL_HOURS, "at minutes 5 and 35 of every hour"),
        ((0, 7, 14, 21, 28, 35, 42, 49, 56), ALL_HOURS, "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"),
        ((0,), (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22), "every 2 hours"),
        ((0,), (0, 12), "every 12 hours"),
        ((30,), (0, 12), "at 00:30 and 12:30 every day"),
        ((30,), (2,), "at 02:30 every day"),
        ((0, 30), (2, 14), "at 02:00, 02:30, 14:00 and 14:30 every day"),
        ((0,), tuple(range(8, 19)), "every hour from 08:00 to 18:00 every day"),
        (ALL_MINUTES, (2,), "every minute from 02:00 to 02:59 every day"),
        ((0, 20, 40), (9, 10, 11), "every 20 minutes from 09:00 to 11:40 every day"),
        ((0, 20, 40), (9, 10, 11, 14), "at minutes 0, 20 and 40 of hours 9 to 11 and 14 every day"),
        ((1, 2, 3, 4, 5, 6, 10, 11), (9,), "at minutes 1 to 6, 10 and 11 of hour 9 every day"),
    ],
)
def test_times_of_the_day(minutes: tuple[int, ...], hours: tuple[int, ...], words: str) -> None:
    assert said(minutes, hours) == words


@pytest.mark.parametrize(
    ("seconds", "minutes", "hours", "words"),
    [
        (ALL_MINUTES, ALL_MINUTES, ALL_HOURS, "every second"),
        ((0, 10, 20, 30, 40, 50), ALL_MINUTES, ALL_HOURS, "every 10 seconds"),
        ((5,), ALL_MINUTES, ALL_HOURS, "at second 5 of every minute"),
        ((15,), (30,), (2,), "at 02:30:15 every day"),
        ((0, 30), (30,), (2,), "at 02:30:00 and 02:30:30 every day"),
        (ALL_MINUTES, (0,), ALL_HOURS, None),
        (ALL_MINUTES, ALL_MINUTES, (2,), None),
    ],
)
def test_seconds(seconds: tuple[int, ...], minutes: tuple[int, ...], hours: tuple[int, ...], words: str | None) -> None:
    assert said(minutes, hours, seconds) == words


@pytest.mark.parametrize(
    ("days", "words"),
    [
        ({"weekdays": (1, 2, 3, 4, 5)}, "on Monday to Friday"),
        ({"weekdays": (0, 6)}, "on Saturday and Sunday"),
        ({"weekdays": (0,)}, "on Sunday"),
        ({"weekdays": (1, 3, 5), "months": (1,)}, "on Monday, Wednesday and Friday in January"),
        ({"days": (1,)}, "on the 1st of every month"),
        ({"days": (2, 3, 11, 21, 24)}, "on the 2nd, 3rd, 11th, 21st and 24th of every month"),
        ({"days": (1, 2, 3, 4)}, "on the 1st to 4th of every month"),
        ({"days": (LAST,)}, "on the last day of every month"),
        ({"days": (LAST, 15)}, "on the 15th and the last day of every month"),
        ({"days": (1,), "months": (1, 4, 7, 10)}, "on the 1st of January, April, July and October"),
        ({"nearest": 15}, "on the weekday nearest the 15th of every month"),
        ({"nth": ((1, 1),)}, "on the first Monday of every month"),
        ({"nth": ((0, 2), (5, LAST))}, "on the second Sunday and the last Friday of every month"),
        ({"days": (1,), "weekdays": (1,)}, "on the 1st of every month, or on Monday"),
        ({"days": (1,), "weekdays": (1,), "months": (6,)}, "on the 1st of June, or on Monday in June"),
        ({"months": (6, 7, 8)}, "every day in June to August"),
        ({"months": (6, 8), "years": (2030,)}, "every day in June and August in 2030"),
        ({"years": (2030, 2031, 2032)}, "every day in 2030 to 2032"),
    ],
)
def test_days(days: dict[str, Any], words: str) -> None:
    assert said(hours=(9,), **days) == f"at 09:00 {words}"


def test_what_happens_all_day_long_needs_no_every_day() -> None:
    assert said(weekdays=(1,)) == "every hour on Monday"
    assert said(months=(6,)) == "every hour in June"
    assert said(ALL_MINUTES, years=(2030,)) == "every minute in 2030"
