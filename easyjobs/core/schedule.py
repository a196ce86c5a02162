"""A recurring rule, as code or a request declares it, and the row that a store keeps of it."""

from __future__ import annotations

from typing import Literal

import msgspec

Misfire = Literal["last", "none", "all"]
Overlap = Literal["allow", "skip", "queue_one", "cancel_previous"]


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """When a task is to run by itself. `core.cron.check` judges it.

    `misfire`: of ticks that were missed while no manager was up, run the `last` (if it is under a day old), `none`, or
    `all` (up to 100). `overlap`: what to do when a job of the schedule has not ended at the next tick: `allow` both,
    `skip` the tick, `queue_one` (at most one waits behind the one that runs), or `cancel_previous`.
    `active`: of a rule from code: with False, its schedule begins paused. `every_days`: of the days that it names, by
    the clocks of its zone, only those that lie so many days apart, counted from that of `start_at`, else from
    1970-01-01.
    """

    cron: str
    timezone: str = "UTC"
    seconds: bool = False  # `cron` begins with a field for seconds
    start_at: float | None = None  # no tick before it
    end_at: float | None = None  # no tick after it
    jitter: float = 0.0  # each job is put off by a random part of so many seconds
    misfire: Misfire = "last"
    overlap: Overlap = "allow"
    active: bool = True
    every_days: int = 1


class Schedule(msgspec.Struct):
    """A rule at work. Its `id` is "queue:task" when it comes from code; `version` is the guard of its next change.

    Whether it is paused is a `Pause` of kind "schedule".
    """

    id: str
    queue: str
    task: str
    rule: Rule
    title: str = ""
    args: str = "[]"
    kwargs: str = "{}"
    source: Literal["code", "api"] = "api"
    next_at: float | None = None  # nominal time of the next tick; None: there will be none
    last_at: float | None = None  # nominal time of the last tick that was decided; never lowered
    last_job: str | None = None  # the job of the last tick that made one
    created_at: float = 0.0
    updated_at: float = 0.0  # when its rule was last set: what came before is not asked whether it was missed
    version: int = 0
