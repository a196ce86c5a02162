"""How long the manager keeps what it knows of a task that nobody offers any more."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple, TypeAlias

from easyjobs.core.job import Lane
from easyjobs.core.task import TaskSpec

Fate: TypeAlias = Literal["stays", "needed", "idle", "goes"]
"""`stays` as it is; is `needed` again; is `idle` from now on; `goes`."""


class Known(NamedTuple):
    """A task in one signature, and who needs it.

    `idle_since`: when it was found that nobody does; None: somebody did. `passing`: it was made for one run. `newer`:
    the same task was registered later with other parameters. `offered`: a live worker has it. `named`: a schedule or a
    pause is for the task, in whatever signature; `used`: a job is of it.
    """

    lane: Lane
    idle_since: float | None
    passing: bool
    newer: bool
    offered: bool
    named: bool
    used: bool


def fate(task: Known, now: float, keep: float) -> Fate:
    """What becomes of a task; `keep` are the seconds for which one that nobody needs stays; one that was made for one
    run goes at the next look. Of one that `goes` there may be jobs nevertheless, where another is `newer`: those that
    were made with these very parameters keep it.
    """
    if task.offered or ((task.named or task.used) and not task.newer):
        return "stays" if task.idle_since is None else "needed"
    if task.idle_since is None:
        return "idle"
    return "goes" if task.passing or task.idle_since <= now - keep else "stays"


def is_offered(task: TaskSpec, offers: AbstractSet[Lane]) -> bool:
    """Whether somebody who `offers` these lanes brings the task along. One that is pushed elsewhere nobody offers: who
    serves its queue may have brought it.
    """
    lane = task.lane
    return lane in offers or (task.destination is not None and any(one.queue == lane.queue for one in offers))
