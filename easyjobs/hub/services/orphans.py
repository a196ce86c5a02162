"""Sessions whose manager is gone, and whose worker came to no other: lost when their lease is over. Those of workers
that live in their manager's process are lost at once where the store knows that it ended, and after the grace where it
only sees that the process is away.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

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


class Absence(NamedTuple):
    """When an absent hub was last seen, and the leases of its sessions then: one that is moved shows life."""

    since: float
    leases: dict[str, float]


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
        self._absences: dict[str, Absence] = {}
        self._looked: float | None = None

    def pardon(self) -> None:
        """Be patient again: the lead was gained."""
        self._patient_until = None

    def doubt(self) -> None:
        """Be patient with all: the store failed."""
        self.pardon()
        self._absences.clear()

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
            await self._lose(row, now, "its lease is over, and it came to no manager", row.expires_at)
        if lost or now >= self._next_sweep:
            self._next_sweep = now + SWEEP
            await self._free()
        return now + LOOK

    async def _lose_with_their_hub(self, now: float) -> None:
        """Whoever sees it does it, once: the leader may be the one who died."""
        rows = [other.row for other in self._roster.elsewhere.values() if other.row.embedded is not None]
        hubs = {row.embedded for row in rows if row.embedded}
        gone = await self._store.gone(hubs) if hubs else set()
        lost = [row for row in rows if row.embedded in gone]
        for row in lost:
            await self._lose(row, now, "its process ended", None)
        lost += await self._miss(hubs, now)
        for row in lost:
            self._roster.elsewhere.pop(row.id, None)
        if lost:
            self._roster.changed()
            await self._free()

    async def _miss(self, hubs: Collection[str], now: float) -> list[Session]:
        """Lose the sessions of those of some hubs that stay away for longer than the grace; which these were."""
        seen, self._looked = self._looked, now
        if seen is None or now - seen > self._settings.stall:
            self._absences.clear()
            seen = now
        away = await self._store.away(hubs) if hubs else set()
        self._absences = {hub: absence for hub, absence in self._absences.items() if hub in away}
        if not away:
            return []
        rows = [row for row in await self._store.sessions() if row.embedded in away]
        lost = []
        for row in rows:
            hub = row.embedded or ""
            if hub not in self._absences:
                self._absences[hub] = Absence(seen, {row.id: row.expires_at for row in rows if row.embedded == hub})
            since, leases = self._absences[hub]
            lease = leases.get(row.id)
            if lease != row.expires_at:
                del self._absences[hub]
            elif now >= since + self._settings.grace:
                await self._lose(row, now, "its process is not seen any more", lease)
                lost.append(row)
        return lost

    async def _lose(self, row: Session, now: float, why: str, lease: float | None) -> None:
        """:param lease: one that was moved since is not lost."""
        if await self._committer.chore(Chore([LoseSession(row.id, row.epoch, now, expires_by=lease)])) is None:
            log.warning("worker %s is lost: %s", row.name, why)

    async def _free(self) -> None:
        """Jobs that run in a session which is lost are free: also where a manager died between the two."""
        running = await self._store.running()
        live = {row.id for row in await self._store.sessions()}  # read later: none of them is new to it
        for job in running:
            if job.session not in live and job.id not in self._roster.running:
                reason = f"worker {job.worker} died: its session is over"
                self._committer.add(Word(job.id, WorkerDied(job.attempt, job.token or "", reason), row=job))
