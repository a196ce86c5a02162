"""Why a job is where it is: what a reason is, and the words for times and lists in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

Code = Literal[
    "manager_stopping",
    "store_fails",
    "workers_paused",
    "queue_paused",
    "task_paused",
    "task_unknown",
    "no_worker",
    "no_worker_fits",
    "no_destination",
    "prerequisites",
    "members",
    "not_due",
    "backing_off",
    "worker_paused",
    "worker_failing",
    "worker_blocked",
    "worker_disconnected",
    "worker_without_slots",
    "workers_full",
    "concurrency",
    "units",
    "behind",
    "starting",
    "crashed",
    "start_deadline",
    "late",
    "running",
    "not_acknowledged",
    "cancelling",
    "awaiting",
    "completed",
    "failed",
    "cancelled",
    "skipped",
]

NAMED: Final = 3
"""How many names a text has before it says how many there are besides."""


class Reason(msgspec.Struct):
    """One thing that holds a job, or that happens to it. `text` is for people; `jobs` (ids) and `workers` (worker ids)
    are those that it is about; `since` is when it began and `by` who did it, where that is known.
    """

    code: Code
    text: str
    since: float | None = None
    by: str | None = None
    jobs: list[str] = []
    workers: list[str] = []


def span(seconds: float) -> str:
    """A time in words that need no exactness: "5 s", "12 min", "3 h", "2 days"."""
    seconds = max(0, round(seconds))
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172800 else f"{seconds / 86400:.0f} days"


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def several(n: int, what: str) -> str:
    """So many of them: "1 job", "5 jobs"."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
