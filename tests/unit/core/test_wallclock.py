"""Clocks that are put forward and back, in the places where that happened. All expected times are written in UTC."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easyjobs.core.pattern import Pattern
from easyjobs.core.wallclock import following, preceding

ALL_MONTHS = tuple(range(1, 13))
ALL_HOURS = tuple(range(24))


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def daily(hours: tuple[int, ...], minutes: tuple[int, ...]) -> Pattern:
    """Fixed times of every day."""
    return Pattern((0,), minutes, hours, ALL_MONTHS)


def wild(hours: tuple[int, ...] | None, minutes: tuple[int, ...]) -> Pattern:
    """A wildcard for hours (None), or else for minutes."""
    return Pattern((0,), minutes, hours or ALL_HOURS, ALL_MONTHS, repeats=True, skips=hours is None)


def between(pattern: Pattern, zone: str, start: str, end: str) -> list[str]:
    """What is named after `start` up to `end`; going back finds the same."""
    place, last = ZoneInfo(zone), at(end)
    onward: list[int] = []
    instant = following(pattern, place, at(start))
    while instant is not None and instant <= last:
        onward.append(instant)
        instant = following(pattern, place, instant)
    back: list[int] = []
    instant = preceding(pattern, place, last)
    while instant is not None and instant > at(start):
        back.append(instant)
        instant = preceding(pattern, place, instant - 1)
    assert back[::-1] == onward
    return [datetime.fromtimestamp(instant, UTC).strftime("%m-%d %H:%M") for instant in onward]


@pytest.mark.parametrize(
    ("zone", "hour", "minute", "day", "expected"),
    [
        # put forward from 02:00 to 03:00 at 01:00 UTC
        ("Europe/Berlin", 2, 30, "2024-03-30", ["03-30 01:30", "03-31 01:00", "04-01 00:30"]),
        # from 01:00 to 02:00 at 01:00 UTC
        ("Europe/London", 1, 30, "2024-03-30", ["03-30 01:30", "03-31 01:00", "04-01 00:30"]),
        # from 02:00 to 03:00 at 07:00 UTC
        ("America/New_York", 2, 30, "2024-03-09", ["03-09 07:30", "03-10 07:00", "03-11 06:30"]),
        # from midnight to 01:00 at 05:00 UTC
        ("America/Havana", 0, 30, "2024-03-09", ["03-09 05:30", "03-10 05:00", "03-11 04:30"]),
        # from midnight to 01:00 at 04:00 UTC
        ("America/Santiago", 0, 30, "2024-09-07", ["09-07 04:30", "09-08 04:00", "09-09 03:30"]),
        # from 02:00 to 02:30 at 15:30 UTC of the day before
        ("Australia/Lord_Howe", 2, 15, "2024-10-04", ["10-04 15:45", "10-05 15:30", "10-06 15:15"]),
        # from midnight to midnight of the next day at 10:00 UTC: there was no 30 December
        ("Pacific/Apia", 9, 0, "2011-12-29", ["12-29 19:00", "12-30 10:00", "12-30 19:00", "12-31 19:00"]),
    ],
)
def test_a_fixed_time_that_does_not_exist_runs_once_at_the_end_of_the_gap(
    zone: str, hour: int, minute: int, day: str, expected: list[str]
) -> None:
    end = (datetime.fromisoformat(day) + timedelta(days=3)).isoformat()
    assert between(daily((hour,), (minute,)), zone, day, end) == expected


@pytest.mark.parametrize(
    ("zone", "hour", "minute", "day", "expected"),
    [
        # put back from 03:00 to 02:00 at 01:00 UTC
        ("Europe/Berlin", 2, 30, "2024-10-26", ["10-26 00:30", "10-27 00:30", "10-28 01:30"]),
        # from 02:00 to 01:00 at 01:00 UTC
        ("Europe/London", 1, 30, "2024-10-26", ["10-26 00:30", "10-27 00:30", "10-28 01:30"]),
        # from 02:00 to 01:00 at 06:00 UTC
        ("America/New_York", 1, 30, "2024-11-02", ["11-02 05:30", "11-03 05:30", "11-04 06:30"]),
        # from 01:00 to midnight at 05:00 UTC
        ("America/Havana", 0, 30, "2024-11-02", ["11-02 04:30", "11-03 04:30", "11-04 05:30"]),
        # from midnight to 23:00 of the day before at 03:00 UTC
        ("America/Santiago", 23, 30, "2024-04-06", ["04-06 02:30", "04-07 02:30", "04-08 03:30"]),
        # from 02:00 to 01:30 at 15:00 UTC of the day before
        ("Australia/Lord_Howe", 1, 45, "2024-04-05", ["04-05 14:45", "04-06 14:45", "04-07 15:15"]),
    ],
)
def test_a_fixed_time_that_exists_twice_runs_once_at_the_first(
    zone: str, hour: int, minute: int, day: str, expected: list[str]
) -> None:
    end = (datetime.fromisoformat(day) + timedelta(days=3)).isoformat()
    assert between(daily((hour,), (minute,)), zone, day, end) == expected


def test_all_that_a_gap_swallows_runs_together_once() -> None:
    gap = ("Europe/Berlin", "2024-03-31 00:30", "2024-03-31 06:00")
    assert between(daily((2,), (0, 20, 40)), *gap) == ["03-31 01:00"]
    assert between(daily((2, 3), (0,)), *gap) == ["03-31 01:00"]
    assert between(daily((2, 3), (15,)), *gap) == ["03-31 01:00", "03-31 01:15"]
    assert between(wild((2,), tuple(range(60))), *gap) == ["03-31 01:00"]


def test_every_five_minutes_is_every_five_minutes_of_real_time() -> None:
    five = wild(None, tuple(range(0, 60, 5)))
    for zone, start in (
        ("Europe/Berlin", "2024-03-31 00:00"),
        ("Europe/Berlin", "2024-10-27 00:00"),
        ("Australia/Lord_Howe", "2024-10-05 14:00"),
        ("Australia/Lord_Howe", "2024-04-06 14:00"),
    ):
        end = (datetime.fromisoformat(start) + timedelta(hours=3)).isoformat()
        expected = [(datetime.fromisoformat(start) + timedelta(minutes=5 * i)) for i in range(1, 37)]
        assert between(five, zone, start, end) == [moment.strftime("%m-%d %H:%M") for moment in expected]


def test_every_hour_follows_the_clocks() -> None:
    half_past, quarter_past = wild(None, (30,)), wild(None, (15,))
    assert between(half_past, "Europe/Berlin", "2024-03-31 00:00", "2024-03-31 02:00") == ["03-31 00:30", "03-31 01:30"]
    assert between(half_past, "Europe/Berlin", "2024-10-27 00:00", "2024-10-27 02:00") == ["10-27 00:30", "10-27 01:30"]
    # at Lord Howe they show 45 past twice within half an hour, and pass over 15 past
    lord_howe = "Australia/Lord_Howe"
    assert between(wild(None, (45,)), lord_howe, "2024-04-06 14:00", "2024-04-06 17:00") == [
        "04-06 14:45",
        "04-06 15:15",
        "04-06 16:15",
    ]
    assert between(quarter_past, lord_howe, "2024-10-05 14:00", "2024-10-05 17:00") == ["10-05 14:45", "10-05 16:15"]


def test_wild_minutes_of_a_fixed_hour_run_in_both_hours_of_that_name() -> None:
    expected = ["10-27 00:00", "10-27 00:30", "10-27 01:00", "10-27 01:30"]
    assert between(wild((2,), (0, 30)), "Europe/Berlin", "2024-10-26 12:00", "2024-10-27 12:00") == expected


def test_utc_has_no_such_days() -> None:
    half_past = daily((2,), (30,))
    assert following(half_past, None, at("2024-03-31 02:29:59")) == at("2024-03-31 02:30")
    assert following(half_past, None, at("2024-03-31 02:30")) == at("2024-04-01 02:30")
    assert preceding(half_past, None, at("2024-03-31 02:30")) == at("2024-03-31 02:30")
    assert preceding(half_past, None, at("2024-03-31 02:29:59")) == at("2024-03-30 02:30")


@pytest.mark.parametrize("instant", ["2024-05-01 12:00", "2024-10-27 00:45", "2024-10-27 01:15"])
def test_what_is_never_named_is_never_found(instant: str) -> None:
    never = Pattern((0,), (0,), (0,), (2,), days=(30,), repeats=True)
    assert following(never, ZoneInfo("Europe/Berlin"), at(instant)) is None
    assert preceding(never, ZoneInfo("Europe/Berlin"), at(instant)) is None


def test_the_last_of_all_is_before_the_clocks_are_put_back() -> None:
    last = Pattern((0,), (30,), (1, 2), (10,), days=(27,), years=(2024,), repeats=True)
    assert between(last, "Europe/Berlin", "2024-10-20", "2025-01-01") == ["10-26 23:30", "10-27 00:30", "10-27 01:30"]
    assert between(last, "Europe/Berlin", "2024-10-27 00:40", "2024-10-27 01:29") == []


TURNS = {
    "Europe/Berlin": ("2024-03-31 01:00", "2024-10-27 01:00"),
    "America/Havana": ("2024-03-10 05:00", "2024-11-03 05:00"),
    "Australia/Lord_Howe": ("2024-10-05 15:30", "2024-04-06 15:00"),
}


def minute_by_minute(pattern: Pattern, place: ZoneInfo, start: int, end: int) -> set[int]:
    """What a man who watches the clock would write down: all labels that he sees, and those he never saw."""
    found: set[int] = set()
    seen = datetime.fromtimestamp(start, place)
    for instant in range(start + 60, end + 60, 60):
        shown = datetime.fromtimestamp(instant, place)
        expected = seen.replace(tzinfo=None) + timedelta(minutes=1)
        while expected < shown.replace(tzinfo=None):
            if not pattern.skips and expected.hour in pattern.hours and expected.minute in pattern.minutes:
                found.add(instant)
            expected += timedelta(minutes=1)
        again = shown.fold == 1 and not pattern.repeats
        if shown.hour in pattern.hours and shown.minute in pattern.minutes and not again:
            found.add(instant)
        seen = shown
    return found


@settings(max_examples=150, deadline=None)
@given(
    zone=st.sampled_from(sorted(TURNS)),
    turn=st.sampled_from([0, 1]),
    start=st.integers(-300, 0),
    minutes=st.sets(st.integers(0, 59), min_size=1),
    hours=st.sets(st.integers(0, 23), min_size=1) | st.just(set(ALL_HOURS)),
    repeats=st.booleans(),
)
def test_near_a_turn_all_is_as_a_man_at_the_clock_would_have_it(
    zone: str, turn: int, start: int, minutes: set[int], hours: set[int], repeats: bool
) -> None:
    skips = repeats and len(hours) == 24
    pattern = Pattern((0,), tuple(sorted(minutes)), tuple(sorted(hours)), ALL_MONTHS, repeats=repeats, skips=skips)
    first = at(TURNS[zone][turn]) + start * 60
    last = first + 300 * 60
    found = between(
        pattern,
        zone,
        datetime.fromtimestamp(first, UTC).strftime("%Y-%m-%d %H:%M"),
        datetime.fromtimestamp(last, UTC).strftime("%Y-%m-%d %H:%M"),
    )
    expected = sorted(minute_by_minute(pattern, ZoneInfo(zone), first, last))
    assert found == [datetime.fromtimestamp(instant, UTC).strftime("%m-%d %H:%M") for instant in expected]
