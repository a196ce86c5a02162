"""Tasks that run by themselves, as they are declared."""

import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from easyjobs.core.schedule import Rule
from easyjobs.core.task import DefaultArgs
from easyjobs.errors import ArgumentsRefused, RegistrationError
from easyjobs.tasks.conversion import misfits
from easyjobs.tasks.decorator import BoundTask, bind, task

MINUTELY = "* * * * *"
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def tick() -> None:
    """Nothing to give."""


def digest(to: str, days: int = 1, *names: str, on: date | None = None, **more: int) -> None:
    """One thing to give, and more that may be."""


def bound(function: Any = tick, **options: Any) -> BoundTask[Any, Any]:
    return bind(function, caller=None, queue="q", **options)


def rule(**options: Any) -> Rule:
    found = bound(schedule=MINUTELY, **options).spec.schedule
    assert found is not None
    return found


def test_without_a_schedule_there_is_none() -> None:
    for spec in (bound().spec, bound(schedule=None, timezone="Europe/Berlin", default_args=None).spec):
        assert (spec.schedule, spec.default_args) == (None, None)


def test_a_schedule_is_part_of_what_the_manager_is_told() -> None:
    spec = bound(digest, schedule="0 7 * * 1-5", default_args={"kwargs": {"to": "ada"}}).spec
    assert spec.schedule == Rule("0 7 * * 1-5")
    assert spec.default_args == DefaultArgs("[]", '{"to":"ada"}')


def test_all_options_of_a_schedule() -> None:
    expected = Rule(
        "*/10 * * * * *", "Asia/Tokyo", True, NOON.timestamp(), NOON.timestamp() + 60, 2.5, "all", "cancel_previous"
    )
    spec = bound(
        schedule="*/10 * * * * *",
        timezone="Asia/Tokyo",
        seconds=True,
        start_date=NOON,
        end_date=NOON + timedelta(minutes=1),
        jitter=2.5,
        misfire="all",
        overlap="cancel_previous",
    ).spec
    assert spec.schedule == expected


def test_default_args_may_be_there_without_a_schedule() -> None:
    spec = bound(digest, default_args={"args": ("ada", 2), "kwargs": {"on": date(2024, 5, 1)}}).spec
    assert (spec.schedule, spec.default_args) == (None, DefaultArgs('["ada",2]', '{"on":"2024-05-01"}'))


def test_a_plain_task_keeps_its_schedule_for_the_worker_that_includes_it() -> None:
    plain = task(schedule=MINUTELY, jitter=5)(tick)
    assert bound(plain).spec.schedule == Rule(MINUTELY, jitter=5.0)
    assert bound(plain, schedule="@daily").spec.schedule == Rule("@daily", jitter=5.0)


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        (NOON, NOON),
        (datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2))), NOON),
        (NOON.replace(tzinfo=None), NOON - timedelta(hours=9)),
        ("2024-05-01T12:00:00Z", NOON),
        ("2024-05-01T14:00+02:00", NOON),
        ("2024-05-01 12:00", NOON - timedelta(hours=9)),
        ("2024-05-01", NOON - timedelta(hours=21)),
        (date(2024, 5, 1), NOON - timedelta(hours=21)),
    ],
)
def test_dates_without_a_zone_are_meant_in_that_of_the_schedule(given: Any, moment: datetime) -> None:
    assert rule(start_date=given, timezone="Asia/Tokyo").start_at == moment.timestamp()
    assert rule(end_date=given, timezone="Asia/Tokyo").end_at == moment.timestamp()


def test_a_jitter_may_be_a_timedelta() -> None:
    assert rule(jitter=timedelta(minutes=1)).jitter == 60.0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"schedule": "61 * * * *"}, "minutes '61'"),
        ({"schedule": "0 0 30 2 *"}, "never comes"),
        ({"schedule": ""}, "it has 0"),
        ({"schedule": 5}, "schedule must be text, not 5"),
        ({"schedule": ["* * * * *"]}, "schedule must be text"),
        ({"timezone": "Mars/Olympus"}, "there is no time zone 'Mars/Olympus'"),
        ({"timezone": None}, "timezone must be text"),
        ({"seconds": "yes"}, "seconds must be True or False"),
        ({"start_date": "tomorrow"}, "start_date must be a datetime"),
        ({"end_date": 1714560000}, "end_date must be a datetime"),
        ({"start_date": NOON, "end_date": NOON - timedelta(1)}, "before its start"),
        ({"start_date": "9999-12-31T23:59", "timezone": "America/New_York"}, "no time"),
        ({"jitter": -1}, "jitter must be 0 or more"),
        ({"jitter": True}, "jitter must be 0 or more"),
        ({"jitter": "5"}, "jitter must be 0 or more"),
        ({"misfire": "some"}, "misfire must be one of last, none, all"),
        ({"overlap": ["skip"]}, "overlap must be one of"),
    ],
)
def test_a_schedule_that_will_not_do_is_refused_with_its_place(options: Mapping[str, Any], why: str) -> None:
    for declare in (
        lambda: bound(**{"schedule": MINUTELY, **options}),
        lambda: task(**{"schedule": MINUTELY, **options})(tick),
    ):
        with pytest.raises(RegistrationError, match=r"test_recurrence\.py:") as refusal:
            declare()
        assert why in str(refusal.value)


@pytest.mark.parametrize(
    ("default_args", "why"),
    [
        (None, "kwargs.to: missing argument"),
        ({}, "kwargs.to: missing argument"),
        ({"args": ["ada"], "kwargs": {"to": "ada"}}, "kwargs.to: given twice"),
        ({"to": "ada"}, "it has no 'to'"),
        ({7: "ada"}, "it has no '7'"),
        (["ada"], "default_args must be {'args': [...], 'kwargs': {...}}, not ['ada']"),
        ({"args": "ada"}, "default_args must be"),
        ({"kwargs": ["ada"]}, "default_args must be"),
        ({"args": [{"ada"}]}, "args.0: JSON has no set"),
        ({"kwargs": {"to": float("nan")}}, "kwargs.to"),
        ({"args": ["ada"], "kwargs": {7: 7}}, "kwargs"),
    ],
)
def test_default_args_that_no_call_can_have_are_refused(default_args: Any, why: str) -> None:
    with pytest.raises(RegistrationError, match=r"test_recurrence\.py:") as refusal:
        bound(digest, schedule=MINUTELY, default_args=default_args)
    assert why in str(refusal.value)


def test_they_are_refused_without_a_schedule_too() -> None:
    with pytest.raises(RegistrationError, match="unknown argument"):
        bound(tick, default_args={"kwargs": {"to": "ada"}})


def test_options_of_a_schedule_without_one_are_refused() -> None:
    with pytest.raises(RegistrationError, match="timezone says nothing without schedule="):
        bound(timezone="Europe/Berlin")


def test_a_script_takes_what_the_function_that_stands_for_it_does_not_say() -> None:
    spec = bound(tick, subprocess=True, schedule=MINUTELY, default_args={"args": [1, 2]}).spec
    assert spec.default_args == DefaultArgs("[1,2]")
    with pytest.raises(RegistrationError, match="missing argument"):
        bound(digest, subprocess=True, schedule=MINUTELY)


def test_what_python_cannot_tell_the_parameters_of_takes_anything() -> None:
    assert bound(max, name="max", schedule=MINUTELY, default_args={"args": [1, 2]}).spec.default_args is not None


def test_annotations_are_not_read_before_they_can_be() -> None:
    def later(x: "Later") -> None: ...  # noqa: F821 - that is the point

    scheduled = bound(later, schedule=MINUTELY, default_args={"args": [1]})
    later.__annotations__["x"] = date
    assert scheduled.spec.signature.parameters[0].schema == {"type": "string", "format": "date"}


# -- what fits by name but not by its type is the author's own


def test_default_args_of_another_type_are_taken_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    scheduled = bound(digest, schedule=MINUTELY, default_args={"args": [["ada"]], "kwargs": {"on": 7}})
    with caplog.at_level(logging.WARNING, "easyjobs"):
        assert scheduled.spec.default_args == DefaultArgs('[["ada"]]', '{"on":7}')
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "default_args args.0: Expected `str`, got `array`; passed as it is written",
        "default_args kwargs.on: Expected `date | null`, got `int`; passed as it is written",
    ]
    assert bound(digest, default_args={"args": ["ada"]}).spec.default_args is not None
    assert len(caplog.records) == 2


def test_misfits_are_found_in_every_kind_of_parameter() -> None:
    def f(a: [1, 2], b: int, /, *rest: date, k: float = 0.0, **more: bool) -> None: ...  # type: ignore[valid-type]

    assert misfits(f, [1, 2, "2024-05-01"], {"k": 1, "x": True}) == []
    given: tuple[list[Any], dict[str, Any]] = ([3, "2", "never"], {"k": "1", "x": 1})
    assert [error["loc"] for error in misfits(f, *given)] == [
        ["args", 0],
        ["args", 1],
        ["args", 2],
        ["kwargs", "k"],
        ["kwargs", "x"],
    ]
    assert given == ([3, "2", "never"], {"k": "1", "x": 1})
    assert misfits(max, [1], {}) == []


def test_only_the_tasks_own_arguments_are_passed_as_they_are_written() -> None:
    scheduled = bound(digest, default_args={"args": ["ada"], "kwargs": {"on": 7}})
    assert scheduled.as_written(b'["ada"]', b'{ "on": 7 }')
    assert not scheduled.as_written(b'["ada"]', b'{"on":8}')
    assert not scheduled.as_written(b'["bob"]', b'{"on":7}')
    assert not bound(digest).as_written(b"[]", b"{}")
    given: Any = (["ada"], {"on": 7})
    assert scheduled.converter.arguments(*given, as_written=True) == (["ada"], {"on": 7})
    with pytest.raises(ArgumentsRefused):
        scheduled.converter.arguments(*given)


def test_what_of_them_does_convert_is_converted() -> None:
    def f(a: date, b: date, /) -> None: ...

    given: Any = (["2024-05-01"], {"b": "never"})
    assert bound(f).converter.arguments(*given, as_written=True) == ([date(2024, 5, 1), "never"], {})


def test_only_every_third_of_its_days() -> None:
    assert rule(every_days=3).every_days == 3


@pytest.mark.parametrize("wrong", ["3", 0, 3651])
def test_days_that_cannot_lie_so_far_apart(wrong: Any) -> None:
    with pytest.raises(RegistrationError, match="every_days must be"):
        rule(every_days=wrong)
