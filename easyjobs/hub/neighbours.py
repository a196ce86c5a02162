"""What other managers on the same rows do, as far as it concerns this one.

A hint says at once that something may have changed; a look at the rows, every second or so, is the truth.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from easyjobs.core.job import Job, Lane, Session
from easyjobs.core.states import FINAL, RUNNING, WAITING
from easyjobs.hub.announcer import Announcer
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.committer import Committer
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.outlets import Outlets
from easyjobs.hub.pausing import Pausing
from easyjobs.hub.retirement import Retirement
from easyjobs.hub.roster import Elsewhere, Roster
from easyjobs.hub.scheduling import Scheduling
from easyjobs.ids import Ids
from easyjobs.protocol.manager_side import SLOW
from easyjobs.stores.base import Count, Hint, Kind, Store
from easyjobs.stores.hints import both

log = logging.getLogger("easyjobs.hub")

OFTEN: Final = 1.0
"""Seconds between two looks at jobs; half of it to one and a half, so that managers do not look in step."""

SELDOM: Final = 5.0
"""Seconds between two looks at all else."""

PAUSE: Final = 0.5
"""Seconds between two looks at what hints speak of, however many there are."""

PAGE: Final = 500
KINDS: Final[tuple[Kind, ...]] = ("tasks", "pauses", "schedules", "sessions")

_decode_offers = msgspec.json.Decoder(list[Lane]).decode


class Neighbours:
    """Hears hints and looks."""

    name = "neighbours"

    def __init__(
        self,
        store: Store,
        instance: str,
        roster: Roster,
        catalog: Catalog,
        dispatcher: Dispatcher,
        committer: Committer,
        announcer: Announcer,
        outlets: Outlets,
        pausing: Pausing,
        scheduling: Scheduling,
        retirement: Retirement,
        ids: Ids,
    ) -> None:
        self._store = store
        self._instance = instance
        self._roster = roster
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._committer = committer
        self._announcer = announcer
        self._outlets = outlets
        self._pausing = pausing
        self._scheduling = scheduling
        self._retirement = retirement
        self._ids = ids
        self._hint = Hint()
        self._often = 0.0
        self._seldom = 0.0
        self._looked: dict[Kind, float] = {}
        self.wake = _nothing

    def refresh(self) -> None:
        """Look at everything, soon."""
        self._seldom = self._often = 0.0
        self.wake()

    def heard(self, hint: Hint) -> None:
        """Another manager has committed something. May be called from callbacks, as often as one likes."""
        self._dispatcher.ready.update(hint.lanes)
        if hint.lanes or hint.ended or hint.more:
            self._committer.poke()  # also where a limit, or a machine, has room again
        if hint.kinds or hint.more or hint.cancels or hint.ended:
            self._hint = both(self._hint, hint)
            self.wake()

    async def run_once(self, now: float) -> float | None:
        """Look at what was hinted at, and at all of it when it is time. At nothing where there are no others."""
        if self._store.single_manager:
            return None
        hint, self._hint = self._hint, Hint()
        if now >= self._often:
            self._often = now + OFTEN * (0.5 + self._ids.jitter())
            hint = Hint(kinds=hint.kinds, more=True)
            self._dispatcher.ready.update(await self._store.lanes())
            self._committer.poke()
            self._outlets.due(0.0)
            await self._stop(await self._store.cancelling())
        elif hint.cancels:
            rows = await self._store.jobs([id for id in hint.cancels if id in self._roster.running])
            await self._stop(rows.values())
        await self._see_ends(hint)
        if now >= self._seldom:
            self._seldom = now + SELDOM
            hint.kinds = list(KINDS)
            self._announcer.load(await self._note_counts())
        for kind in hint.kinds:
            if now < self._looked.get(kind, 0.0) + PAUSE:
                self._hint.kinds = sorted({*self._hint.kinds, kind})
            else:
                self._looked[kind] = now
                await self._follow(kind)
        return min(self._often, now + PAUSE) if self._hint.kinds else self._often

    # -- jobs

    async def _see_ends(self, hint: Hint) -> None:
        """Who is awaited, or believed to run here, and is not running any more."""
        running = self._roster.running
        awaited = self._announcer.awaited()
        if hint.more:
            ids = [id for id in awaited if id not in running]
            for id in self._announcer.listened():
                if id not in running:
                    self._announcer.told(id)
        else:
            interesting = set(awaited)
            ids = [id for id in hint.ended if id in interesting or id in running]
        for start in range(0, len(ids), PAGE):
            rows = await self._store.jobs(ids[start : start + PAGE])
            for job in rows.values():
                self._see(job)

    def _see(self, job: Job) -> None:
        believed = self._roster.running.get(job.id)
        if believed is not None and (job.state != RUNNING or job.attempt != believed.attempt):
            self._roster.released(believed)
            self._outlets.withdraw(believed)
            self._committer.poke()
        if job.state in FINAL:
            self._announcer.tell(job)

    async def _stop(self, rows: Iterable[Job]) -> None:
        """Jobs of workers of this manager that somebody asked another one to stop."""
        for row in rows:
            job = self._roster.running.get(row.id)
            if job is not None and job.cancel is None and row.cancel is not None and job.attempt == row.attempt:
                job.cancel = row.cancel
                self._outlets.cancel(job)

    # -- all else

    async def _note_counts(self) -> Sequence[Count]:
        counts = await self._store.counts()
        self._catalog.awaited.update((count.queue, count.task) for count in counts if count.state == WAITING)
        return counts

    async def _follow(self, kind: Kind) -> None:
        if kind == "tasks":
            await self.learn()
        elif kind == "pauses":
            await self._pausing.follow()
            await self._scheduling.follow()
        elif kind == "schedules":
            await self._scheduling.follow()
        else:
            await self._follow_sessions()

    async def learn(self) -> None:
        """Take in tasks that were registered at another manager, or forgotten there."""
        known = await self._store.tasks()
        if self._catalog.learn(known):
            self._roster.changed()
        await self._retirement.gone(self._catalog.missing(known))

    async def _follow_sessions(self) -> None:
        mine = list(self._roster.holders())
        rows = await self._store.sessions()
        stored = {row.id for row in rows}
        for one in mine:
            if one.row.id not in stored and self._roster.sessions.get(one.row.id) is one:
                log.warning("worker %s was held dead by another manager; it may come back", one.row.name)
                self._roster.forget(one, SLOW, "the session is lost; say hello again")
        elsewhere: dict[str, Elsewhere] = {}
        for row in rows:
            live = self._roster.sessions.get(row.id)
            if live is None:
                elsewhere[row.id] = Elsewhere(row, _lanes(row))
            elif row.manager != self._instance and row.epoch > live.row.epoch:
                log.info("worker %s has gone to another manager", row.name)
                self._roster.forget(live)
                elsewhere[row.id] = Elsewhere(row, _lanes(row))
        before = {other.lanes for other in self._roster.elsewhere.values()}
        self._roster.elsewhere = elsewhere
        if before != {other.lanes for other in elsewhere.values()}:
            self._roster.changed()


def _lanes(row: Session) -> frozenset[Lane]:
    try:
        return frozenset(_decode_offers(row.offers))
    except msgspec.DecodeError:
        return frozenset()


def _nothing() -> None:
    """Nobody runs it yet."""
