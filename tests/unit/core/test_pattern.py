"""Which labels a pattern names, on a clock that nobody changes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from easyjobs.core.pattern import LAST, Pattern

ALL_MONTHS = tuple(range(1, 13))
MIDNIGHT: dict[str, Any] = {"seconds": (0,), "minutes": (0,), "hours": (0,), "months": ALL_MONTHS}


def at(text: str) -> int:
    """What a clock shows."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def shown(label: int | None) -> str | None:
    return None if label is None else datetime.fromtimestamp(label, UTC).strftime("%Y-%m-%d %H:%M:%S")


def days(start: str, count: int, **fields: Any) -> list[str]:
    """The first days after `start` that are named; going back from the last finds them too."""
    pattern = Pattern(**{**MIDNIGHT, **fields})
    found: list[int] = []
    label = pattern.after(at(start))
    while label is not None and len(found) < count:
        found.append(label)
        label = pattern.after(label)
    assert [pattern.before(later) for later in found[1:]] == found[:-1]
    return [datetime.fromtimestamp(label, UTC).strftime("%y-%m-%d") for label in found]


def test_every_minute_of_every_hour() -> None:
    pattern = Pattern(seconds=(0,), minutes=tuple(range(60)), hours=tuple(range(24)), months=ALL_MONTHS)
    assert shown(pattern.after(at("2024-02-29 23:59:00"))) == "2024-03-01 00:00:00"
    assert shown(pattern.after(at("2024-02-29 23:58:59"))) == "2024-02-29 23:59:00"
    assert shown(pattern.before(at("2024-03-01 00:00:00"))) == "2024-02-29 23:59:00"
    assert shown(pattern.before(at("2024-03-01 00:00:01"))) == "2024-03-01 00:00:00"


@pytest.mark.parametrize(
    ("label", "after", "before"),
    [
        ("2024-05-01 00:00:00", "2024-05-01 09:15:10", "2024-04-30 17:45:40"),
        ("2024-05-01 09:15:10", "2024-05-01 09:15:40", "2024-04-30 17:45:40"),
        ("2024-05-01 09:15:11", "2024-05-01 09:15:40", "2024-05-01 09:15:10"),
        ("2024-05-01 09:15:40", "2024-05-01 09:45:10", "2024-05-01 09:15:10"),
        ("2024-05-01 09:15:41", "2024-05-01 09:45:10", "2024-05-01 09:15:40"),
        ("2024-05-01 09:45:10", "2024-05-01 09:45:40", "2024-05-01 09:15:40"),
        ("2024-05-01 12:00:00", "2024-05-01 17:15:10", "2024-05-01 09:45:40"),
        ("2024-05-01 17:45:40", "2024-05-02 09:15:10", "2024-05-01 17:45:10"),
        ("2024-05-01 23:59:59", "2024-05-02 09:15:10", "2024-05-01 17:45:40"),
    ],
)
def test_some_seconds_of_some_minutes_of_some_hours(label: str, after: str, before: str) -> None:
    pattern = Pattern(seconds=(10, 40), minutes=(15, 45), hours=(9, 17), months=ALL_MONTHS)
    assert shown(pattern.after(at(label))) == after
    assert shown(pattern.before(at(label))) == before


def test_dates() -> None:
    assert days("2024-02-27", 3, days=(28, LAST)) == ["24-02-28", "24-02-29", "24-03-28"]
    assert days("2023-02-27", 2, days=(29,)) == ["23-03-29", "23-04-29"]
    assert days("2024-01-31", 3, days=(31,), months=(2, 3, 12)) == ["24-03-31", "24-12-31", "25-03-31"]
    assert days("2023-03-01", 2, days=(29,), months=(2,)) == ["24-02-29", "28-02-29"]


def test_weekdays() -> None:
    assert days("2024-05-03", 3, weekdays=(1, 5)) == ["24-05-06", "24-05-10", "24-05-13"]
    assert days("2024-05-03", 2, weekdays=(0,)) == ["24-05-05", "24-05-12"]


def test_weekdays_by_their_number_in_the_month() -> None:
    assert days("2024-05-01", 3, nth=((1, 2),)) == ["24-05-13", "24-06-10", "24-07-08"]
    assert days("2024-05-01", 3, nth=((5, LAST),)) == ["24-05-31", "24-06-28", "24-07-26"]
    assert days("2024-05-01", 2, nth=((4, 5),)) == ["24-05-30", "24-08-29"]
    assert days("2024-05-01", 3, nth=((1, 1), (5, LAST))) == ["24-05-06", "24-05-31", "24-06-03"]


def test_the_weekday_nearest_to_a_date_is_in_its_month() -> None:
    # a Saturday, a Sunday and a Monday
    assert days("2024-06-02", 3, nearest=15) == ["24-06-14", "24-07-15", "24-08-15"]
    assert days("2024-09-02", 1, nearest=15) == ["24-09-16"]
    # the first is a Saturday in June, the last a Sunday in June and a Saturday in August
    assert days("2024-05-31 12:00", 1, nearest=1) == ["24-06-03"]
    assert days("2024-06-10", 3, nearest=31) == ["24-06-28", "24-07-31", "24-08-30"]


def test_of_a_date_and_a_weekday_either_is_enough() -> None:
    assert days("2024-05-01", 4, days=(13, 15), weekdays=(1,)) == ["24-05-06", "24-05-13", "24-05-15", "24-05-20"]
    assert days("2024-05-10", 3, nearest=15, nth=((1, 3),)) == ["24-05-15", "24-05-20", "24-06-14"]


def test_years_begin_and_end() -> None:
    assert days("2000-01-01", 5, days=(1,), months=(7,), years=(2024, 2026)) == ["24-07-01", "26-07-01"]
    some = Pattern(**MIDNIGHT, days=(1,), years=(2024, 2026))
    assert shown(some.before(at("2026-01-01"))) == "2024-12-01 00:00:00"
    assert some.before(at("2024-01-01")) is None
    assert some.after(at("2026-12-31")) is None
    assert shown(some.after(at("2024-12-31 23:59:59"))) == "2026-01-01 00:00:00"


def test_a_date_that_never_comes_is_not_looked_for_in_vain_for_ever() -> None:
    never = Pattern(**{**MIDNIGHT, "months": (2,)}, days=(30,))
    assert never.after(at("2024-01-01")) is None
    assert never.before(at("2024-01-01")) is None


def test_the_rarest_of_dates_is_found() -> None:
    # a Monday on 29 February, over a year that is no leap year
    rare = Pattern(**{**MIDNIGHT, "months": (2,)}, nth=((1, 5),))
    assert shown(rare.after(at("2072-03-01"))) == "2112-02-29 00:00:00"
    assert shown(rare.before(at("2112-02-29"))) == "2072-02-29 00:00:00"
