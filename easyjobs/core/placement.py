"""Which free worker gets which job: the most urgent job first, to the worker with the most free slots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from easyjobs.core.changes import Offer
from easyjobs.core.job import Job, Lane


def urgency(job: Job) -> tuple[int, int]:
    """The order of claims: higher priority first, then older first."""
    return (-job.priority, job.seq)


class Waiting(Protocol):
    """What `place` must know of a job."""

    @property
    def lane(self) -> Lane:
        """The lane in which it waits."""


W = TypeVar("W", bound=Waiting)


def place(
    jobs: Iterable[W],
    offers: Sequence[Offer],
    room: Mapping[Lane, int] | None = None,
    counters: Mapping[Lane, str] | None = None,
) -> list[tuple[W, Offer]]:
    """Pairs of a job and the offer that takes it, most urgent first; jobs for which no slot is left stay out.

    :param jobs: in order of `urgency`.
    :param room: how many more of a lane may run; a lane that is not in it has no bound.
    :param counters: the counter that bounds a lane; what one lane takes is missing from the room of all lanes with
        the same counter (two signatures of one task). A lane that is not in it is counted alone.
    """
    free = [offer.slots for offer in offers]
    room, counters = room or {}, counters or {}
    taken: dict[str | Lane, int] = {}
    total = sum(free)
    pairs: list[tuple[W, Offer]] = []
    takers: dict[Lane, list[int]] = {}
    for job in jobs:
        if total <= 0:
            break
        lane = job.lane
        if lane in room and room[lane] <= taken.get(counters.get(lane, lane), 0):
            continue
        able = takers.get(lane)
        if able is None:
            able = takers[lane] = [i for i, offer in enumerate(offers) if lane in offer.lanes]
        if not able:
            continue
        best = able[0] if len(able) == 1 else max(able, key=free.__getitem__)
        if free[best] <= 0:
            continue
        free[best] -= 1
        total -= 1
        if lane in room:
            counter = counters.get(lane, lane)
            taken[counter] = taken.get(counter, 0) + 1
        pairs.append((job, offers[best]))
    return pairs
