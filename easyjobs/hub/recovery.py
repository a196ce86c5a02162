"""After a commit of which nobody knows whether it was written: what this manager believes is set right by the store."""

from __future__ import annotations

from easyjobs.core.events import NeverStarted
from easyjobs.core.states import FINAL
from easyjobs.hub.announcer import Announcer
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.entries import Word
from easyjobs.hub.outlets import Outlets
from easyjobs.hub.roster import Roster
from easyjobs.stores.base import Store


class Recovery:
    """Looks again at all that is kept in memory. Called by the committer, between two commits."""

    def __init__(
        self, store: Store, roster: Roster, dispatcher: Dispatcher, announcer: Announcer, outlets: Outlets
    ) -> None:
        self._store = store
        self._roster = roster
        self._dispatcher = dispatcher
        self._announcer = announcer
        self._outlets = outlets

    async def look(self) -> list[Word]:
        """Take in what the store says; words about jobs that run without any worker's knowledge.

        :raises StoreError: it still fails; nothing was changed.
        """
        rows = await self._store.running()
        mine = self._roster.sessions
        running = {job.id: job for job in rows if self._store.single_manager or job.session in mine}
        counts = await self._store.counts()
        lanes = await self._store.lanes()
        awaited = await self._store.jobs(self._announcer.awaited())
        # they ended, or went back and were handed out again, to nobody's knowledge
        gone = [
            job
            for job in self._roster.running.values()
            if (row := running.get(job.id)) is None or row.attempt != job.attempt
        ]
        ends = await self._store.jobs([job.id for job in gone])
        for job in gone:
            self._roster.released(job)
        self._announcer.load(counts)
        for job in ends.values():
            if job.state in FINAL:
                self._announcer.found(job)
        for job in awaited.values():
            if job.state in FINAL:
                self._announcer.tell(job)
        self._dispatcher.ready.update(lanes)
        self._outlets.due(0.0)
        return [
            Word(job.id, NeverStarted(job.attempt, job.token or ""), row=job)
            for job in running.values()
            if job.id not in self._roster.running
        ]
