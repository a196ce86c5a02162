"""Sessions whose manager is gone, and whose worker came to no other: lost when their lease is over. Those of workers
that ended with their manager's process are lost at once, where the store knows of that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from easyjobs.core.changes import LoseSession
from easyjobs.core.events import WorkerDied
from easyjobs.core.job import Session
from easyjobs.hub.committer import Committer
from easyjobs.hub.entries import Chore, Word
from easyjobs.hub.roster import Roster
from easyjobs.hub.settings import HubSettings
from easyjobs.stores.base import Store

log = logging.getLogger("easyjobs.hub")

LOOK: Final = 1.0
SWEEP: Final = 10.0
"""Seconds between two looks for jobs that run in a session which is lost."""


class Orphans:
    """Looks at the sessions of all managers, at their leases where this one leads. Whoever begins to look at those is
    patient first, for a lease and the grace: it may have been the store, or this manager itself, that was away.
    """

    name = "orphans"

    def __init__(
        self,
        store: Store,
        roster: Roster,
        committer: Committer,
        settings: HubSettings,
        leads: Callable[[], bool],
    ) -> None:
        self._store = store
        self._leads = leads
        self._roster = roster
        self._committer = committer
        self._settings = settings
        self._patient_until: float | None = None
        self._expected: float | None = None
        self._next_sweep = 0.0

    def pardon(self) -> None:
        """Be patient again: the lead was gained, or the store failed."""
        self._patient_until = None

    async def run_once(self, now: float) -> float | None:
        """Lose those that are over, and then, or now and then, free what ran there. Nothing where nobody else is."""
        if self._store.single_manager:
            return None
        await self._lose_with_their_hub(now)
        if not self._leads():
            self._expected = None
            return now + LOOK
        if self._patient_until is None or (self._expected is not None and now - self._expected > self._settings.stall):
            self._patient_until = now + self._settings.lease + self._settings.grace
        self._expected = now + LOOK
        if now < self._patient_until:
            return now + LOOK
        rows = await self._store.sessions()
        lost = [row for row in rows if row.expires_at <= now and row.id not in self._roster.sessions]
        for row in lost:
            await self._lose(row, now)
        if lost or now >= self._next_sweep:
            self._next_sweep = now + SWEEP
            await self._free()
        return now + LOOK

    async def _lose_with_their_hub(self, now: float) -> None:
        """Whoever sees it does it, once: the leader may be the one who died."""
        rows = [other.row for other in self._roster.elsewhere.values() if other.row.embedded is not None]
        gone = await self._store.gone({row.embedded for row in rows if row.embedded}) if rows else set()
        dead = [row for row in rows if row.embedded in gone]
        for row in dead:
            self._roster.elsewhere.pop(row.id, None)
            if await self._committer.chore(Chore([LoseSession(row.id, row.epoch, now)])) is None:
                log.warning("worker %s is lost: its process ended", row.name)
        if dead:
            self._roster.changed()
            await self._free()

    async def _lose(self, row: Session, now: float) -> None:
        chore = Chore([LoseSession(row.id, row.epoch, now, expires_by=row.expires_at)])
        if await self._committer.chore(chore) is None:
            log.warning("worker %s is lost: its lease is over, and it came to no manager", row.name)

    async def _free(self) -> None:
        """Jobs that run in a session which is lost are free: also where a manager died between the two."""
        running = await self._store.running()
        live = {row.id for row in await self._store.sessions()}  # read later: none of them is new to it
        for job in running:
            if job.session not in live and job.id not in self._roster.running:
                reason = f"worker {job.worker} died: its session is over"
                self._committer.add(Word(job.id, WorkerDied(job.attempt, job.token or "", reason), row=job))
