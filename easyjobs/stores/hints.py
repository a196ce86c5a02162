"""What a commit has for other managers on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from easyjobs.core.changes import (
    APPLIED,
    Committed,
    DropPause,
    DropSchedule,
    FlagCancel,
    Insert,
    LoseSession,
    PutPause,
    PutSchedule,
    PutSession,
    PutTask,
    Renew,
    Unit,
    Update,
)
from easyjobs.core.job import Lane
from easyjobs.core.states import CLAIMABLE, FINAL
from easyjobs.stores.base import Hint, Kind

KINDS: Final[dict[type, Kind]] = {
    PutTask: "tasks",
    PutPause: "pauses",
    DropPause: "pauses",
    PutSchedule: "schedules",
    DropSchedule: "schedules",
    PutSession: "sessions",
    LoseSession: "sessions",
}


def hint_of(units: Sequence[Unit], committed: Committed) -> Hint | None:
    """The hint of a commit; None where it has nothing for anybody else."""
    lanes: set[Lane] = {job.lane for job in committed.released}
    ended: list[str] = []
    cancels: list[str] = []
    kinds: set[Kind] = set()
    for unit, verdict in zip(units, committed.verdicts, strict=True):
        if verdict != APPLIED:
            continue
        for write in unit.writes:
            match write:
                case Insert():
                    if write.job.state in CLAIMABLE:
                        lanes.add(write.job.lane)
                case Update():
                    state = write.columns.get("state")
                    if state in FINAL:
                        ended.append(write.job.id)
                    elif state in CLAIMABLE:
                        lanes.add(
                            Lane(write.job.queue, write.job.task, write.columns.get("signature", write.job.signature))
                        )
                    elif "signature" in write.columns:
                        lanes.add(Lane(write.job.queue, write.job.task, write.columns["signature"]))
                case FlagCancel():
                    cancels.append(write.id)
                case Renew():
                    if write.offers is not None:
                        kinds.add("sessions")
                case _:
                    kind = KINDS.get(type(write))
                    if kind is not None:
                        kinds.add(kind)
    lanes.difference_update(committed.emptied)
    if not (lanes or ended or cancels or kinds):
        return None
    return Hint(sorted(lanes), ended, cancels, sorted(kinds))


def both(first: Hint, second: Hint) -> Hint:
    """What two hints say together."""
    return Hint(
        sorted({*first.lanes, *second.lanes}),
        [*first.ended, *second.ended],
        [*first.cancels, *second.cancels],
        sorted({*first.kinds, *second.kinds}),
        first.more or second.more,
    )
