"""Who gets what: offers for the next claim, and the short way for a job whose lane is empty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from easyjobs.core.changes import Claim, Offer
from easyjobs.core.job import Job, Lane
from easyjobs.core.states import RUNNING, WAITING
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.roster import Live, Roster
from easyjobs.hub.settings import HubSettings
from easyjobs.ids import Ids
from easyjobs.stores.base import Pause

ALL_WORKERS: Final = ("workers", "all")
"""Kind and name of the pause that holds every worker."""


class Dispatcher:
    """Knows in which lanes something may be ready, and what is paused; decides nothing that the store must decide.

    `ready` errs on the side of too many lanes: a claim that finds one empty takes it out.
    """

    def __init__(self, roster: Roster, catalog: Catalog, ids: Ids, settings: HubSettings) -> None:
        self._roster = roster
        self._catalog = catalog
        self._ids = ids
        self._settings = settings
        self.ready: set[Lane] = set()
        self.pauses: dict[tuple[str, str], Pause] = {}
        self.stopped = False
        self._promised: dict[str, int] = {}  # slots that this batch's shortcuts take, by session
        self._everywhere = False

    def paused(self, lane: Lane) -> bool:
        """Whether jobs of this lane wait because their queue or task is paused."""
        pauses = self.pauses
        return bool(pauses) and (("queue", lane.queue) in pauses or ("task", f"{lane.queue}:{lane.task}") in pauses)

    def pause_of(self, worker_id: str) -> Pause | None:
        """What holds a worker: its own pause, or that of all."""
        pauses = self.pauses
        return (pauses.get(("worker", worker_id)) or pauses.get(ALL_WORKERS)) if pauses else None

    def may_work(self, live: Live) -> bool:
        """Whether a session may be given jobs now."""
        return live.able and not self.stopped and self.pause_of(live.row.worker_id) is None

    def look_everywhere(self) -> None:
        """Something will be ready with the next commit, and nobody knows in which lane: its claim looks at all of them,
        so that what is less urgent does not get the slot.
        """
        self._everywhere = True

    def claim(self) -> Claim | None:
        """What the commit is to hand out besides the shortcuts that were just taken; None when nobody is free or
        nothing may be ready.
        """
        wanted, self._everywhere = self._roster.lanes() if self._everywhere else self.ready, False
        if not wanted or self.stopped:
            return None
        if self.pauses:
            wanted = {lane for lane in wanted if not self.paused(lane)}
        offers = []
        slots = 0
        for live in self._roster.sessions.values():
            free = min(live.free - self._promised.get(live.row.id, 0), self._settings.claim)
            if free > 0 and self.may_work(live):
                lanes = live.lanes & wanted
                if lanes:
                    row = live.row
                    offers.append(Offer(row.id, row.epoch, row.name, free, lanes, row.system))
                    slots += free
        if not offers:
            return None
        capacity = {}
        for lane in set().union(*(offer.lanes for offer in offers)):
            concurrency = self._catalog.options(lane).concurrency
            if concurrency is not None:
                capacity[lane] = (f"{lane.queue}:{lane.task}", concurrency)
        return Claim(offers, self._ids.tokens(slots), capacity, self._catalog.units if self._counted else None)

    @property
    def _counted(self) -> bool:
        """Whether the process units of machines bound what runs there."""
        return bool(self._catalog.units) or self._roster.bounded

    def shortcut(self, jobs: list[Job], now: float) -> dict[str, int]:
        """Mark those of `jobs`, which are new, as claimed that a free worker can begin at once; session id -> epoch.

        Only where nothing older or more urgent could have had the slot: nothing is ready in any lane of that worker,
        and all of `jobs` are of one urgency. What is not marked is left to the claim of the same commit. Call it for
        every batch, before `claim`.
        """
        epochs: dict[str, int] = {}
        promised: dict[str, int] = {}
        self._promised = promised
        if not jobs:
            return epochs
        short = not self.stopped and all(job.priority == jobs[0].priority for job in jobs)
        takers: dict[Lane, list[Live]] = {}
        waiting: set[Lane] = set()
        if not short or not any(live.free > 0 for live in self._roster.sessions.values()):
            self.ready.update({Lane(job.queue, job.task, job.signature) for job in jobs if job.run_at <= now})
            return epochs
        for job in jobs:
            if job.run_at > now or job.state == WAITING:
                continue
            lane = Lane(job.queue, job.task, job.signature)
            able = takers.get(lane)
            if able is None:
                able = takers[lane] = self._takers(lane)
            best = able[0] if len(able) == 1 else max(able, key=_free(promised)) if able else None
            if best is None or best.free - promised.get(best.row.id, 0) <= 0 or job.key or job.unique_key:
                waiting.add(lane)
                continue
            session = best.row
            promised[session.id] = promised.get(session.id, 0) + 1
            job.state = RUNNING
            job.attempt = 1
            job.version = 1
            job.started_at = now
            job.session = session.id
            job.worker = session.name
            epochs[session.id] = session.epoch
        self.ready |= waiting
        marked = [job for job in jobs if job.state == RUNNING]
        for job, token in zip(marked, self._ids.tokens(len(marked)), strict=True):
            job.token = token
        return epochs

    def _takers(self, lane: Lane) -> list[Live]:
        entry = self._catalog.by_lane(lane)
        bounded = self._counted or (entry is not None and (entry.turns or entry.options.concurrency is not None))
        if bounded or self.paused(lane):
            return []  # a counter must be charged, or the turn of a job be found: that is the claim's
        return [
            live
            for live in self._roster.sessions.values()
            if lane in live.lanes and live.free > 0 and self.may_work(live) and self.ready.isdisjoint(live.lanes)
        ]


def _free(promised: dict[str, int]) -> Callable[[Live], int]:
    return lambda live: live.free - promised.get(live.row.id, 0)
