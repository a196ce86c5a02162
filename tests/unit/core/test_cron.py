"""When rules fire, and which rules are refused. Expected times are written in UTC."""

import itertools
import os
import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from easyjobs.core.cron import check, due, in_words, missed, next_after, upcoming, zone_of
from easyjobs.core.schedule import Rule
from easyjobs.errors import RegistrationError

NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC).timestamp()  # a Monday
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def told(instants: list[float]) -> list[str]:
    return [datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S") for instant in instants]


def first(count: int, cron: str, after: str = "2024-01-01", **rule: Any) -> list[str]:
    return told(upcoming(Rule(cron, **rule), at(after), count))


# -- expressions


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("*/20 * * * *", ["2024-01-01 00:20:00", "2024-01-01 00:40:00", "2024-01-01 01:00:00"]),
        ("  30\t2 * *  * ", ["2024-01-01 02:30:00", "2024-01-02 02:30:00", "2024-01-03 02:30:00"]),
        ("0 12 ? JAN-mar Fri", ["2024-01-05 12:00:00", "2024-01-12 12:00:00", "2024-01-19 12:00:00"]),
        ("0 0 l * *", ["2024-01-31 00:00:00", "2024-02-29 00:00:00", "2024-03-31 00:00:00"]),
        ("0 0 15W * *", ["2024-01-15 00:00:00", "2024-02-15 00:00:00", "2024-03-15 00:00:00"]),
        ("0 0 * * 1#2", ["2024-01-08 00:00:00", "2024-02-12 00:00:00", "2024-03-11 00:00:00"]),
        ("0 0 * * L5", ["2024-01-26 00:00:00", "2024-02-23 00:00:00", "2024-03-29 00:00:00"]),
        ("0 0 10 * 7", ["2024-01-07 00:00:00", "2024-01-10 00:00:00", "2024-01-14 00:00:00"]),
        ("0 0 * nov-jan mon#1", ["2024-11-04 00:00:00", "2024-12-02 00:00:00", "2025-01-06 00:00:00"]),
        ("0 0 29 2 *", ["2024-02-29 00:00:00", "2028-02-29 00:00:00", "2032-02-29 00:00:00"]),
        ("0,* 5,* *,1 * *,1", ["2024-01-01 00:01:00", "2024-01-01 00:02:00", "2024-01-01 00:03:00"]),
        ("@daily", ["2024-01-02 00:00:00", "2024-01-03 00:00:00", "2024-01-04 00:00:00"]),
    ],
)
def test_expressions(cron: str, expected: list[str]) -> None:
    check(Rule(cron))
    assert first(3, cron) == expected


def test_seconds_come_first_and_years_last() -> None:
    assert first(2, "*/30 0 9 * * *", seconds=True) == ["2024-01-01 09:00:00", "2024-01-01 09:00:30"]
    assert first(3, "5 0 9 1 1 * 2025,2030", seconds=True) == ["2025-01-01 09:00:05", "2030-01-01 09:00:05"]
    assert first(1, "5 0 9 2 1 * *", seconds=True) == ["2024-01-02 09:00:05"]
    assert first(1, "@hourly", seconds=True) == ["2024-01-01 01:00:00"]


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("", "it has 0"),
        ("* * * *", "it has 4"),
        ("* * * * * *", "seconds=True"),
        ("* * * * * * *", "it has 7"),
        ("@reboot", "@hourly"),
        ("61 * * * *", "minutes '61'"),
        ("0 24 * * *", "hours '24'"),
        ("0 0 0 * *", "days of the month '0'"),
        ("0 0 1 13 *", "months '13'"),
        ("0 0 * * 8", "days of the week '8'"),
        ("0 0 * * 1#6", "days of the week '1#6'"),
        ("a b c d e", "minutes 'a'"),
        ("*/0 * * * *", "minutes '*/0'"),
        ("*/-5 * * * *", "minutes '*/-5'"),
        ("1-2-3 * * * *", "minutes '1-2-3'"),
        (", * * * *", "minutes ','"),
        ("? * * * *", "minutes '?'"),
        ("٣ * * * *", "minutes '٣'"),
        ("0\x00 * * * *", "minutes"),
        ("h * * * *", "minutes 'h'"),
        ("R/5 * * * *", "minutes 'r/5'"),
        ("h(1-5) * * * *", "minutes 'h(1-5)'"),
        ("*/90 * * * *", "a step of more than 60"),
        ("0 9-9 * * *", "write 9, or * for all"),
        ("0 0 1W,5 * *", "days of the month '1w,5'"),
        ("0 0 * * 1,2#1", "days of the week '1,2#1'"),
        ("0 0 * * 0-6,2#1", "mix"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
        ("* " * 5000, "512 characters"),
        ("1" * 500 + " * * * *", "minutes"),
        ("1," * 250 + " * * *", "it has 4"),
    ],
)
def test_a_bad_expression_is_refused_with_its_place(cron: str, why: str) -> None:
    with pytest.raises(RegistrationError, match=re.escape(why)):
        check(Rule(cron))


def test_years_that_never_have_the_date_are_refused() -> None:
    with pytest.raises(RegistrationError, match="never comes"):
        check(Rule("0 0 0 29 2 * 2025", seconds=True))


FIELD = st.text("0123456789*/,-#?lwhrLW() @\x00jansun", max_size=8)


@settings(max_examples=400, deadline=None)
@given(cron=st.lists(FIELD, min_size=1, max_size=7).map(" ".join), seconds=st.booleans())
def test_whatever_is_written_it_is_followed_or_refused(cron: str, seconds: bool) -> None:
    rule = Rule(cron, seconds=seconds)
    try:
        check(rule)
    except RegistrationError:
        return
    assert in_words(rule)
    assert next_after(rule, 0.0) is not None


def listed(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    spans = st.tuples(number, number).filter(lambda ends: ends[0] < ends[1]).map(lambda ends: f"{ends[0]}-{ends[1]}")
    steps = st.integers(1, high).map(lambda step: f"*/{step}")
    return st.just("*") | steps | st.lists(number.map(str) | spans, min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(listed(0, 59), listed(0, 23), listed(1, 28), listed(1, 12), listed(0, 6)).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(cron=EXPRESSIONS, after=st.integers(0, 4_000_000_000))
def test_in_utc_all_is_as_croniter_has_it(cron: str, after: int) -> None:
    reference = croniter(cron, after)
    assert upcoming(Rule(cron), after, 3) == [reference.get_next(float) for _ in range(3)]


# -- zones and bounds


def test_a_rule_goes_by_the_clocks_of_its_zone() -> None:
    morning = ["2024-03-30 08:00:00", "2024-03-31 07:00:00", "2024-04-01 07:00:00"]
    assert first(3, "0 9 * * *", "2024-03-29 12:00", timezone="Europe/Berlin") == morning
    assert first(1, "0 9 * * *", timezone="Asia/Kolkata") == ["2024-01-01 03:30:00"]
    assert first(1, "0 9 * * *") == ["2024-01-01 09:00:00"]


def test_fixed_times_run_once_on_the_days_when_clocks_are_changed_and_wild_ones_follow_them() -> None:
    berlin = {"timezone": "Europe/Berlin"}
    assert first(2, "30 2 * * *", "2024-03-30 12:00", **berlin) == ["2024-03-31 01:00:00", "2024-04-01 00:30:00"]
    assert first(2, "30 2 * * *", "2024-10-26 12:00", **berlin) == ["2024-10-27 00:30:00", "2024-10-28 01:30:00"]
    assert first(2, "30 * * * *", "2024-03-31 00:00", **berlin) == ["2024-03-31 00:30:00", "2024-03-31 01:30:00"]
    assert first(2, "30 * * * *", "2024-10-27 00:00", **berlin) == ["2024-10-27 00:30:00", "2024-10-27 01:30:00"]
    half_hours = ["2024-10-27 00:00:00", "2024-10-27 00:30:00", "2024-10-27 01:00:00", "2024-10-27 01:30:00"]
    assert first(4, "*/30 2 * * *", "2024-10-26 12:00", **berlin) == half_hours
    assert first(2, "0,30 2 * * *", "2024-10-27 00:00", **berlin) == ["2024-10-27 00:30:00", "2024-10-28 01:00:00"]
    assert first(2, "0 2-3 * * *", "2024-03-30 12:00", **berlin) == ["2024-03-31 01:00:00", "2024-04-01 00:00:00"]
    # all hours are a wildcard, however they are written
    assert first(1, "30 0-23 * * *", "2024-10-27 00:30", **berlin) == ["2024-10-27 01:30:00"]
    # a wildcard for hours passes over what the clocks never show, one for minutes alone does not
    assert first(1, "30 */2 * * *", "2024-03-31 00:00", **berlin) == ["2024-03-31 02:30:00"]
    assert first(1, "*/30 2 * * *", "2024-03-31 00:00", **berlin) == ["2024-03-31 01:00:00"]
    seconds = first(3, "*/30 30 2 * * *", "2024-10-27 00:00", seconds=True, **berlin)
    assert seconds == ["2024-10-27 00:30:00", "2024-10-27 00:30:30", "2024-10-27 01:30:00"]


@pytest.mark.parametrize("machine", ["UTC", "America/New_York", "Australia/Lord_Howe"])
def test_the_zone_of_the_machine_plays_no_part(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "TZ", machine)
    time.tzset()
    try:
        assert first(1, "30 2 * * *", "2024-03-30 12:00") == ["2024-03-31 02:30:00"]
        assert first(1, "30 2 * * *", "2024-03-30 12:00", timezone="Europe/Berlin") == ["2024-03-31 01:00:00"]
        noon = Rule("0 12 * * *", timezone="Europe/Berlin")
        assert told(missed(noon, at("2024-06-01"), at("2024-06-03"), 9)) == [
            "2024-06-01 10:00:00",
            "2024-06-02 10:00:00",
        ]
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Mars/Olympus",
        "../etc/passwd",
        "/etc/passwd",
        "Europe",
        "zone.tab",
        "x" * 5000,
        "a\x00b",
        "\ud800",
        "localtime",
        "right/Europe/Berlin",
    ],
)
def test_a_zone_that_is_not_known_everywhere_is_refused(name: str) -> None:
    with pytest.raises(RegistrationError, match="time zone"):
        check(Rule("* * * * *", timezone=name))


def test_a_zone_by_its_name() -> None:
    assert str(zone_of("Europe/Berlin")) == "Europe/Berlin"


def test_nothing_fires_before_the_start_or_after_the_end_both_count() -> None:
    rule = Rule("0 * * * *", start_at=NEW_YEAR + 2 * HOUR, end_at=NEW_YEAR + 4 * HOUR)
    check(rule)
    fires = [NEW_YEAR + 2 * HOUR, NEW_YEAR + 3 * HOUR, NEW_YEAR + 4 * HOUR]
    assert upcoming(rule, 0.0, 9) == fires
    assert next_after(rule, fires[-1]) is None
    assert missed(rule, 0.0, NEW_YEAR + DAY, 9) == fires
    assert missed(rule, fires[0], NEW_YEAR + DAY, 9) == fires[1:]
    inside = Rule("0 * * * *", start_at=NEW_YEAR + 2 * HOUR + 0.5, end_at=NEW_YEAR + 4 * HOUR - 0.5)
    assert upcoming(inside, 0.0, 9) == missed(inside, 0.0, NEW_YEAR + DAY, 9) == [NEW_YEAR + 3 * HOUR]


def test_times_are_those_of_this_age() -> None:
    assert next_after(Rule("0 0 * * *"), -1e12) == 0.0
    assert next_after(Rule("0 0 * * *"), 1e12) is None
    assert next_after(Rule("0 0 * * *", start_at=9e11), 0.0) is None
    assert missed(Rule("0 0 * * *"), -1e12, DAY, 9) == [0.0, DAY]
    assert missed(Rule("0 0 0 1 1 * 2024", seconds=True), 0.0, 1e12, 9) == [NEW_YEAR]


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"start_at": NEW_YEAR, "end_at": NEW_YEAR - 1}, "before its start"),
        ({"start_at": NEW_YEAR + 1, "end_at": NEW_YEAR + 2}, "no time"),
        ({"end_at": -DAY}, "no time"),
        ({"start_at": float("nan")}, "start_at"),
        ({"end_at": float("inf")}, "end_at"),
        ({"jitter": -1.0}, "jitter"),
        ({"jitter": float("nan")}, "jitter"),
        ({"misfire": "some"}, "last, none, all"),
        ({"overlap": "some"}, "allow, skip, queue_one, cancel_previous"),
    ],
)
def test_other_fields_that_will_not_do_are_refused(rule: dict[str, Any], why: str) -> None:
    with pytest.raises(RegistrationError, match=why):
        check(Rule("0 0 * * *", **rule))


# -- missed and due


def test_the_latest_of_many_years_are_found_at_once() -> None:
    rule = Rule("* * * * * *", seconds=True)
    assert missed(rule, 0.0, NEW_YEAR + 0.5, 3) == [NEW_YEAR - 2, NEW_YEAR - 1, NEW_YEAR]
    assert told(missed(Rule("0 0 1 1 *"), 0.0, NEW_YEAR - 1, 2)) == ["2022-01-01 00:00:00", "2023-01-01 00:00:00"]
    assert missed(rule, NEW_YEAR, NEW_YEAR, 3) == []
    assert missed(rule, NEW_YEAR, NEW_YEAR - 5, 3) == []


ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])


@settings(max_examples=150, deadline=None)
@given(cron=EXPRESSIONS, zone=ZONES, last=st.integers(1_700_000_000, 1_800_000_000), count=st.integers(1, 30))
def test_looking_forward_and_looking_back_agree(cron: str, zone: str, last: int, count: int) -> None:
    rule = Rule(cron, timezone=zone)
    ahead = upcoming(rule, last, count)
    assert all(earlier < later for earlier, later in zip([float(last), *ahead], ahead, strict=False))
    assert all(fire % 60 == 0 for fire in ahead)
    assert missed(rule, last, ahead[-1], count) == ahead
    assert missed(rule, last, ahead[-1] + 0.5, 2) == ahead[-2:]


def every_minute(misfire: Any, minutes: float) -> tuple[list[float], float | None]:
    """What is due so many minutes after new year, of a rule of every minute; in minutes of that year."""
    ticks, following = due(Rule("* * * * *", misfire=misfire), NEW_YEAR, NEW_YEAR + minutes * MINUTE)
    assert following is not None
    return [(tick - NEW_YEAR) / MINUTE for tick in ticks], (following - NEW_YEAR) / MINUTE


@pytest.mark.parametrize("misfire", ["last", "none", "all"])
def test_what_is_on_time_runs_under_each_policy(misfire: str) -> None:
    assert every_minute(misfire, 0.0) == ([], 1)
    assert every_minute(misfire, 0.9) == ([], 1)
    assert every_minute(misfire, 1.0) == ([1], 2)
    assert every_minute(misfire, 1.9) == ([1], 2)
    assert every_minute(misfire, 2.0) == ([1, 2], 3)  # a minute late is not missed


@pytest.mark.parametrize(
    ("misfire", "one", "many"),
    [
        ("last", [1, 2], [150, 151]),
        ("none", [2], [151]),
        ("all", [1, 2], [*range(51, 151), 151]),
    ],
)
def test_1_and_150_missed_ticks_under_each_policy(misfire: str, one: list[float], many: list[float]) -> None:
    assert every_minute(misfire, 2.5) == (one, 3)
    assert every_minute(misfire, 151.5) == (many, 152)


def test_the_last_one_runs_only_if_it_is_less_than_a_day_old() -> None:
    daily = Rule("0 0 * * 1")
    week = NEW_YEAR + 7 * DAY
    assert due(daily, NEW_YEAR, week + DAY - 1) == ([week], week + 7 * DAY)
    assert due(daily, NEW_YEAR, week + DAY) == ([], week + 7 * DAY)


def test_all_has_no_such_limit() -> None:
    daily = Rule("0 0 * * *", misfire="all")
    assert due(daily, NEW_YEAR, NEW_YEAR + 3 * DAY + HOUR)[0] == [NEW_YEAR + DAY * n for n in (1, 2, 3)]


def test_a_clock_that_was_set_back_makes_nothing_due_again() -> None:
    assert due(Rule("* * * * *", misfire="all"), NEW_YEAR, NEW_YEAR - HOUR) == ([], NEW_YEAR - HOUR + MINUTE)


def test_of_every_second_all_of_the_last_minute_are_on_time() -> None:
    ticks, following = due(Rule("* * * * * *", seconds=True, misfire="none"), NEW_YEAR, NEW_YEAR + HOUR)
    assert ticks == [NEW_YEAR + HOUR - MINUTE + n for n in range(61)]
    assert following == NEW_YEAR + HOUR + 1


def test_after_its_end_what_was_missed_is_still_due() -> None:
    rule = Rule("0 * * * *", end_at=NEW_YEAR + 2 * HOUR)
    assert due(rule, NEW_YEAR, NEW_YEAR + 5 * HOUR) == ([NEW_YEAR + 2 * HOUR], None)


# -- in words


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule("*/5 * * * *"), "every 5 minutes"),
        (Rule("30 2 * * *", timezone="Europe/Berlin"), "at 02:30 every day, Europe/Berlin"),
        (Rule("0 9 * * 1-5"), "at 09:00 on Monday to Friday"),
        (Rule("* * * * * *", seconds=True), "every second"),
        (Rule("*/10 0 * * * *", seconds=True), "by the rule '*/10 0 * * * *'"),
    ],
)
def test_in_words(rule: Rule, words: str) -> None:
    assert in_words(rule) == words


# -- every n-th day


def days(instants: list[float], zone: str = "UTC") -> list[str]:
    return [datetime.fromtimestamp(instant, zone_of(zone)).strftime("%m-%d %H:%M") for instant in instants]


def test_every_third_day_goes_on_over_the_ends_of_months_and_years() -> None:
    rule = Rule("0 6 * * *", every_days=3, start_at=at("2024-02-25"))
    check(rule)
    assert days(upcoming(rule, at("2024-02-25"), 4)) == ["02-25 06:00", "02-28 06:00", "03-02 06:00", "03-05 06:00"]
    assert days(upcoming(rule, at("2024-12-25"), 4)) == ["12-27 06:00", "12-30 06:00", "01-02 06:00", "01-05 06:00"]


def test_days_are_those_of_the_zone_also_when_clocks_are_changed() -> None:
    rule = Rule("30 0 * * *", timezone="Europe/Paris", every_days=2, start_at=at("2024-03-28T23:00:00"))
    found = upcoming(rule, at("2024-03-28T22:00:00"), 3)
    assert days(found, "Europe/Paris") == ["03-29 00:30", "03-31 00:30", "04-02 00:30"]
    assert told(found)[-1] == "2024-04-01 22:30:00"
    autumn = Rule("30 0 * * *", timezone="Europe/Paris", every_days=2, start_at=at("2024-10-26T00:00:00"))
    assert days(upcoming(autumn, at("2024-10-26"), 2), "Europe/Paris") == ["10-28 00:30", "10-30 00:30"]


def test_without_a_start_days_are_counted_from_1970() -> None:
    found = upcoming(Rule("0 6 * * *", every_days=10), at("2024-01-01"), 30)
    assert {datetime.fromtimestamp(one, UTC).toordinal() % 10 for one in found} == {
        datetime(1970, 1, 1, tzinfo=UTC).toordinal() % 10
    }


def test_all_times_of_such_a_day_are_meant() -> None:
    rule = Rule("*/30 22-23 * * *", every_days=2, start_at=at("2024-01-01"))
    assert days(upcoming(rule, at("2024-01-01T23:00:00"), 3)) == ["01-01 23:30", "01-03 22:00", "01-03 22:30"]


def test_what_was_missed_of_every_third_day() -> None:
    rule = Rule("0 6 * * *", every_days=3, start_at=at("2024-01-01"), misfire="all")
    last, now = at("2024-01-01T06:00:00"), at("2024-01-12T12:00:00")
    assert days(missed(rule, last, now, 9)) == ["01-04 06:00", "01-07 06:00", "01-10 06:00"]
    assert days(missed(rule, last, now, 1)) == ["01-10 06:00"]
    ticks, following = due(rule, last, at("2024-01-04T06:00:10"))
    assert (days(ticks), days([following or 0.0])) == (["01-04 06:00"], ["01-07 06:00"])


@given(st.integers(1, 40), st.integers(0, 20_000), st.sampled_from(["UTC", "Europe/Paris", "Pacific/Auckland"]))
def test_a_tick_is_due_each_n_th_day_and_what_lies_ahead_is_what_was_missed(n: int, day: int, zone: str) -> None:
    rule = Rule("0 6 * * *", timezone=zone, every_days=n)
    ahead = upcoming(rule, day * DAY, 5)
    ordinals = [datetime.fromtimestamp(one, zone_of(zone)).toordinal() for one in ahead]
    assert {later - sooner for sooner, later in itertools.pairwise(ordinals)} == {n}
    assert missed(rule, day * DAY, ahead[-1], 9) == ahead


@pytest.mark.parametrize("number", [0, -1, 3651])
def test_days_that_cannot_lie_so_far_apart(number: int) -> None:
    with pytest.raises(RegistrationError, match="every_days must be 1 to 3650"):
        check(Rule("0 6 * * *", every_days=number))


def test_days_that_never_come_together() -> None:
    with pytest.raises(RegistrationError, match="names no time"):
        check(Rule("0 6 * * 1", every_days=7))  # 1970 began with a Thursday
    assert first(1, "0 6 * * 4", every_days=7) == ["2024-01-04 06:00:00"]


@pytest.mark.parametrize(
    ("n", "said"), [(2, "2nd"), (3, "3rd"), (7, "7th"), (11, "11th"), (21, "21st"), (112, "112th")]
)
def test_every_n_th_day_in_words(n: int, said: str) -> None:
    assert in_words(Rule("0 6 * * *", every_days=n)) == f"at 06:00 every day, only on each {said} day"
    assert in_words(Rule("0 6 * * *", every_days=1)) == "at 06:00 every day"
