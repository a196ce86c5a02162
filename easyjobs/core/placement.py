"""Which free worker gets which job: the most urgent job first, to the worker with the most free slots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from easyjobs.core.changes import Offer
from easyjobs.core.job import Job, Lane


def urgency(job: Job) -> tuple[int, int]:
    """The order of claims: higher priority first, then older first."""
    return (-job.priority, job.seq)


def place(
    jobs: Iterable[Job], offers: Sequence[Offer], room: Mapping[Lane, int] | None = None
) -> list[tuple[Job, Offer]]:
    """Pairs of a job and the offer that takes it, most urgent first; jobs for which no slot is left stay out.

    :param jobs: in order of `urgency`.
    :param room: how many more of a lane may run; a lane that is not in it has no bound.
    """
    free = [offer.slots for offer in offers]
    left = dict(room or {})
    total = sum(free)
    pairs: list[tuple[Job, Offer]] = []
    takers: dict[Lane, list[int]] = {}
    for job in jobs:
        if total <= 0:
            break
        lane = job.lane
        if left.get(lane, 1) <= 0:
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
        if lane in left:
            left[lane] -= 1
        pairs.append((job, offers[best]))
    return pairs
