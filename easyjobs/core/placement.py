"""Which free worker gets which job: the most urgent job first, to the worker with the most free slots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar

from easyjobs.core.changes import Offer
from easyjobs.core.job import Job, Lane

UNITS: Final = 10_000
"""The process units of a system of which nobody says how many it has."""


def urgency(job: Job) -> tuple[int, int]:
    """The order of claims: higher priority first, then older first."""
    return (-job.priority, job.seq)


class Waiting(Protocol):
    """What `place` must know of a job."""

    @property
    def lane(self) -> Lane:
        """The lane in which it waits."""


W = TypeVar("W", bound=Waiting)


class Systems(Generic[W]):
    """The process units of machines while jobs are placed on them.

    A job that does not fit yet is not passed by for ever: jobs that begin after it became due may take, all together,
    only what it leaves of the machine. So it begins, at the latest, when all have ended that ran before.

    :param units: what a job of a lane takes; 1 where it is not named.
    :param capacity: what each system has.
    :param used: what the jobs that run there take.
    :param overtaken: what those of them take that began when this job could have begun, or later.
    """

    def __init__(
        self,
        units: Mapping[Lane, int],
        capacity: Mapping[str, int],
        used: Mapping[str, int],
        overtaken: Callable[[str, W], int],
    ) -> None:
        self._units = units
        self._capacity = capacity
        self._left = {system: capacity.get(system, UNITS) - used.get(system, 0) for system in {*capacity, *used}}
        self._overtaken = overtaken
        self._saving: set[str] = set()

    def fits(self, job: W, system: str) -> bool:
        """Whether the system has enough units left for the job."""
        return self._units.get(job.lane, 1) <= self._free(system)

    def take(self, job: W, system: str) -> None:
        """The job goes there."""
        self._left[system] = self._free(system) - self._units.get(job.lane, 1)

    def save(self, job: W, systems: Iterable[str]) -> None:
        """The job fits into none of `systems` now: the one that is nearest to it leaves room for it, unless it does so
        for a more urgent one already.
        """
        need = self._units.get(job.lane, 1)
        able = [system for system in systems if need <= self._capacity.get(system, UNITS)]
        if able:
            system = max(able, key=lambda system: (self._free(system), system))
            if system not in self._saving:
                self._saving.add(system)
                room = self._capacity.get(system, UNITS) - need - self._overtaken(system, job)
                self._left[system] = min(self._free(system), room)

    def _free(self, system: str) -> int:
        return self._left.get(system, UNITS)


def place(
    jobs: Iterable[W],
    offers: Sequence[Offer],
    room: Mapping[Lane, int] | None = None,
    counters: Mapping[Lane, str] | None = None,
    systems: Systems[W] | None = None,
) -> list[tuple[W, Offer]]:
    """Pairs of a job and the offer that takes it, most urgent first; jobs for which no slot is left stay out.

    :param jobs: in order of `urgency`.
    :param room: how many more of a lane may run; a lane that is not in it has no bound.
    :param counters: the counter that bounds a lane; what one lane takes is missing from the room of all lanes with
        the same counter (two signatures of one task). A lane that is not in it is counted alone.
    :param systems: the units of the offers' systems; None: they have no bound.
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
        if systems is not None:
            able = _fitting(job, [i for i in able if free[i] > 0], offers, systems)
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
        if systems is not None:
            systems.take(job, offers[best].system)
        pairs.append((job, offers[best]))
    return pairs


def _fitting(job: W, able: list[int], offers: Sequence[Offer], systems: Systems[W]) -> list[int]:
    """Those of the offers `able` whose systems have the units for the job."""
    fitting = [i for i in able if systems.fits(job, offers[i].system)]
    if able and not fitting:
        systems.save(job, {offers[i].system for i in able})
    return fitting
