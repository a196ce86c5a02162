"""Tasks that run by themselves: their rule and the arguments they are called with, judged where they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Final, NamedTuple, TypedDict

from easyjobs.core.schedule import Misfire, Overlap, Rule
from easyjobs.core.signature import Signature
from easyjobs.core.task import DefaultArgs
from easyjobs.errors import ArgumentsRefused, RegistrationError
from easyjobs.tasks.encoding import encode_arguments
from easyjobs.tasks.introspection import names_of


class RuleOptions(TypedDict, total=False):
    """What a schedule takes besides its cron expression, and the arguments of the jobs that it makes.

    `default_args`: `{"args": [...], "kwargs": {...}}`, either may be left out; also those of a job that is made for
    another's `run_before`. `timezone`: where it is what time ("UTC"). `seconds`: the expression begins with a field
    for seconds. `start_date`, `end_date`: no tick before, no tick after; a datetime, or one as ISO text; without a
    zone it is meant in `timezone`, and a date alone is its midnight. `jitter`: each job is put off by a random part of
    so many seconds. `misfire`: of the ticks that were missed while no manager was up run the `last` one (default, if
    it is under a day old), `none`, or `all` (the latest 100). `overlap`: when the job before has not ended at a tick,
    `allow` both (default), `skip` the tick, `queue_one`, or `cancel_previous`. `active`: with False it is registered
    paused, until somebody resumes it. `every_days`: of the days that the expression names only those that lie so many
    days apart, counted from that of `start_date`, else from 1970-01-01.
    """

    default_args: Mapping[str, Any] | None
    timezone: str
    seconds: bool
    start_date: datetime | date | str | None
    end_date: datetime | date | str | None
    jitter: float | timedelta
    misfire: Misfire
    overlap: Overlap
    active: bool
    every_days: int


NAMES: Final = frozenset(("schedule", *RuleOptions.__annotations__))


class Recurrence(NamedTuple):
    """When a task runs by itself (None: it does not), and how it is called then."""

    rule: Rule | None = None
    default_args: DefaultArgs | None = None


def recurrence(function: Callable[..., Any] | Signature, options: Mapping[str, Any], where: str) -> Recurrence:
    """What the options of a task say of its schedule. No annotation of the function is read.

    :param function: or its parameters.
    :param where: names the task and its place in the error.
    :raises RegistrationError: a rule that will not do (`core.cron.check`), `default_args` that are no JSON or do not
        bind, required parameters on a schedule that they do not give, or options of a schedule without one.
    """
    if NAMES.isdisjoint(options):
        return Recurrence()
    idle = () if "schedule" in options else sorted(NAMES & options.keys() - {"default_args"})
    if idle:
        raise RegistrationError(f"{where}: {idle[0]} says nothing without schedule=")
    try:
        rule = None if options.get("schedule") is None else _rule(options)
        call = None if options.get("default_args") is None else _default_args(options["default_args"])
        if call is not None:
            return Recurrence(rule, _bound(function, options, *call))
        if rule is not None:
            _bound(function, options, [], {})
    except RegistrationError as error:
        raise RegistrationError(f"{where}: {error}") from None
    return Recurrence(rule)


_KINDS: Final[tuple[tuple[str, type, str], ...]] = (
    ("schedule", str, "text"),
    ("timezone", str, "text"),
    ("seconds", bool, "True or False"),
    ("active", bool, "True or False"),
    ("every_days", int, "a whole number"),
)


def _rule(options: Mapping[str, Any]) -> Rule:
    # here, because croniter takes time and memory that a worker without schedules need not spend
    from easyjobs.core import cron

    for name, kind, what in _KINDS:
        if not isinstance(options.get(name, kind()), kind):
            raise RegistrationError(f"{name} must be {what}, not {options[name]!r}")
    zone = cron.zone_of(options.get("timezone", "UTC"))
    rule = Rule(
        options["schedule"],
        timezone=options.get("timezone", "UTC"),
        seconds=options.get("seconds", False),
        start_at=_moment("start_date", options.get("start_date"), zone),
        end_at=_moment("end_date", options.get("end_date"), zone),
        jitter=_seconds(options.get("jitter", 0.0)),
        misfire=options.get("misfire", "last"),
        overlap=options.get("overlap", "allow"),
        active=options.get("active", True),
        every_days=options.get("every_days", 1),
    )
    cron.check(rule)
    return rule


def _moment(name: str, value: Any, zone: tzinfo) -> float | None:
    if value is None:
        return None
    moment = value
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
        elif isinstance(value, date) and not isinstance(value, datetime):
            moment = datetime.combine(value, time.min)
        if isinstance(moment, datetime):
            return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        pass
    raise RegistrationError(f"{name} must be a datetime, or one as ISO text ('2026-01-31T09:00'), not {value!r}")


def _seconds(value: Any) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RegistrationError(f"jitter must be 0 or more seconds, or a timedelta, not {value!r}")
    return float(value)


def _default_args(given: Any) -> tuple[list[Any], dict[str, Any]]:
    shape = "default_args must be {'args': [...], 'kwargs': {...}}"
    if not isinstance(given, Mapping):
        raise RegistrationError(f"{shape}, not {given!r}")
    surplus = given.keys() - {"args", "kwargs"}
    if surplus:
        raise RegistrationError(f"{shape}: it has no {min(map(str, surplus))!r}")
    args, kwargs = given.get("args", []), given.get("kwargs", {})
    if not isinstance(args, (list, tuple)) or not isinstance(kwargs, Mapping):
        raise RegistrationError(f"{shape}, not {given!r}")
    return list(args), dict(kwargs)


def _bound(
    function: Callable[..., Any] | Signature, options: Mapping[str, Any], args: list[Any], kwargs: dict[str, Any]
) -> DefaultArgs:
    signature = function if isinstance(function, Signature) else names_of(function)
    try:
        by_place, by_name = encode_arguments(args, kwargs)
        # a script may take what the function that stands for it does not say
        if signature.parameters or not options.get("subprocess"):
            signature.bind(args, kwargs)
    except ArgumentsRefused as refused:
        raise RegistrationError(f"default_args must be what it can be called with: {refused}") from None
    return DefaultArgs(by_place.decode(), by_name.decode())
