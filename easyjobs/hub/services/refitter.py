"""Moves waiting jobs to the signature that workers offer now.

A job waits in the lane of the signature it was judged by. When a deploy changes a task's parameters and the last worker
of the old signature is gone, its jobs are judged anew: those that fit move to the new lane, the others are held until a
worker comes that fits them.
"""

from __future__ import annotations

import logging

from easyjobs.core.changes import Update
from easyjobs.core.job import Job
from easyjobs.core.states import CLAIMABLE, WAITING, State
from easyjobs.errors import Refused
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.committer import Committer
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.entries import Chore
from easyjobs.hub.roster import Roster
from easyjobs.hub.settings import HubSettings
from easyjobs.stores.base import JobQuery, Store

log = logging.getLogger("easyjobs.hub")

PAGE = 500
STATES: tuple[State, ...] = (*sorted(CLAIMABLE), WAITING)


class Refitter:
    """Looks through the waiting jobs of tasks that have more than one signature, when workers came or went."""

    name = "refitter"

    def __init__(
        self,
        store: Store,
        roster: Roster,
        catalog: Catalog,
        dispatcher: Dispatcher,
        committer: Committer,
        settings: HubSettings,
    ) -> None:
        self._store = store
        self._roster = roster
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._committer = committer
        self._limits = settings.limits

    async def run_once(self, now: float) -> float | None:
        """Judge all such jobs once; called again when woken."""
        for queue, name in self._catalog.ambiguous:
            if self._roster.offering(self._catalog.find(queue, name).lane):
                for state in STATES:
                    await self._refit(queue, name, state)
        return None

    async def _refit(self, queue: str, name: str, state: State) -> None:
        entry = self._catalog.find(queue, name)
        before: int | None = None
        held = 0
        while True:
            page = await self._store.find(JobQuery(queue=queue, task=name, state=state, before=before, limit=PAGE))
            for job in page.items:
                if job.signature == entry.lane.signature or self._roster.offering(job.lane):
                    continue
                try:
                    entry.checker.check(
                        job.args.encode(), job.kwargs.encode(), size=self._limits.arguments, depth=self._limits.depth
                    )
                except Refused:
                    held += 1
                else:
                    await self._move(job, entry.lane.signature)
            before = page.next
            if before is None:
                break
        if held:
            log.warning("%d %s jobs of %s:%s do not fit its new parameters and are held", held, state, queue, name)

    async def _move(self, job: Job, signature: str) -> None:
        stale = await self._committer.chore(Chore([Update(job, {"signature": signature})]))
        if stale is None:
            self._dispatcher.ready.add(job.lane._replace(signature=signature))
            self._committer.poke()
