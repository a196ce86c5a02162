"""Schedules as the API takes and shows them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from easyjobs.api.shapes import Cursor, Json, PausedOut, Time, maybe_time, paused_out, raw, time
from easyjobs.core.schedule import Misfire, Overlap, Rule
from easyjobs.hub.schedules import ScheduleView

Moment = Annotated[Time, Meta(description="RFC 3339, with its offset.")]
Cron = Annotated[
    str,
    Meta(min_length=1, max_length=512, description="Minute, hour, day of month, month, day of week: `0 7 * * *`."),
]
Zone = Annotated[str, Meta(min_length=1, max_length=64, description="A name of the time zone database.")]
Seconds = Annotated[bool, Meta(description="Whether `cron` begins with a field for seconds.")]
Jitter = Annotated[float, Meta(ge=0, le=86_400, description="Each job is put off by up to so many seconds.")]
EveryDays = Annotated[
    int,
    Meta(
        ge=1,
        le=3650,
        description="Of the days that `cron` names only those that lie so many days apart, counted from that of "
        "`start_at`, else from 1970-01-01.",
    ),
]
Title = Annotated[str, Meta(max_length=200)]
Args = Annotated[Raw, Meta(extra_json_schema={"type": "array"})]
Kwargs = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]
MisfireText = Annotated[
    Misfire, Meta(description="Of ticks missed while no manager was up, run the last (of a day), none, or all (100).")
]
OverlapText = Annotated[Overlap, Meta(description="What to do when the job before has not ended at a tick.")]


class ScheduleIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A schedule to be made. `args` is an array, `kwargs` an object: what each job of it is called with."""

    queue: str
    task: str
    cron: Cron
    timezone: Zone = "UTC"
    seconds: Seconds = False
    args: Args = msgspec.field(default_factory=lambda: Raw(b"[]"))
    kwargs: Kwargs = msgspec.field(default_factory=lambda: Raw(b"{}"))
    start_at: Annotated[Moment, Meta(description="It does not fire before.")] | None = None
    end_at: Annotated[Moment, Meta(description="It does not fire after.")] | None = None
    jitter: Jitter = 0.0
    misfire: MisfireText = "last"
    overlap: OverlapText = "allow"
    every_days: EveryDays = 1
    title: Title = ""


class ScheduleChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be other than it was; what is left out stays."""

    cron: Cron | UnsetType = UNSET
    timezone: Zone | UnsetType = UNSET
    seconds: Seconds | UnsetType = UNSET
    args: Args | UnsetType = UNSET
    kwargs: Kwargs | UnsetType = UNSET
    start_at: Moment | UnsetType | None = UNSET
    end_at: Moment | UnsetType | None = UNSET
    jitter: Jitter | UnsetType = UNSET
    misfire: MisfireText | UnsetType = UNSET
    overlap: OverlapText | UnsetType = UNSET
    every_days: EveryDays | UnsetType = UNSET
    title: Title | UnsetType = UNSET


class ScheduleOut(msgspec.Struct, frozen=True):
    """A schedule. One from `code` follows the code: it can be paused, resumed and run, not edited or deleted."""

    id: str
    title: str
    queue: str
    task: str
    args: Json
    kwargs: Json
    cron: str
    timezone: str
    seconds: bool
    start_at: Time | None
    end_at: Time | None
    jitter: float
    misfire: Misfire
    overlap: Overlap
    every_days: int
    words: Annotated[str, Meta(description="The rule in English.")]
    source: Literal["code", "api"]
    paused: PausedOut | None
    upcoming: Annotated[
        list[Time], Meta(description="The next five times; while it is paused they pass without a job.")
    ]
    last_at: Annotated[Time, Meta(description="The time of the last tick.")] | None
    last_job: Annotated[str, Meta(description="The last job that a tick made.")] | None
    held: Annotated[bool, Meta(description="Whether a tick has come and waits for the job before to end.")]
    error: Annotated[str, Meta(description="Why the last tick made no job.")] | None
    created_at: Time
    updated_at: Annotated[Time, Meta(description="When its rule was last set.")]


class SchedulePage(msgspec.Struct, frozen=True):
    """Schedules by queue, task and id."""

    items: list[ScheduleOut]
    next: Cursor | None


def schedule_out(view: ScheduleView) -> ScheduleOut:
    """A schedule as the API shows it."""
    row = view.row
    rule = row.rule
    return ScheduleOut(
        row.id,
        row.title,
        row.queue,
        row.task,
        raw(row.args),
        raw(row.kwargs),
        rule.cron,
        rule.timezone,
        rule.seconds,
        maybe_time(rule.start_at),
        maybe_time(rule.end_at),
        rule.jitter,
        rule.misfire,
        rule.overlap,
        rule.every_days,
        view.words,
        row.source,
        paused_out(view.paused),
        [time(at) for at in view.upcoming],
        maybe_time(row.last_at),
        row.last_job,
        view.held,
        view.error,
        time(row.created_at),
        time(row.updated_at),
    )


_RULE: Final = ("cron", "timezone", "seconds", "start_at", "end_at", "jitter", "misfire", "overlap", "every_days")


def rule_of(body: ScheduleIn) -> Rule:
    """The rule of a schedule to be made."""
    return Rule(**rule_changes(body))


def rule_changes(body: ScheduleIn | ScheduleChange) -> dict[str, Any]:
    """The fields of a rule that `body` sets."""
    values = {name: getattr(body, name) for name in _RULE}
    moments = {name: values[name].timestamp() for name in ("start_at", "end_at") if values[name] not in (None, UNSET)}
    return {name: value for name, value in {**values, **moments}.items() if value is not UNSET}
