"""Makes jobs ready whose time has come, and ends those that did not start in time."""

from __future__ import annotations

from easyjobs.core.events import DeadlinePassed
from easyjobs.core.job import Job
from easyjobs.hub.committer import Committer
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.entries import Judgement, Word
from easyjobs.stores.base import Store

PAGE = 1000


class Promoter:
    """Sleeps until the next job is due."""

    name = "promoter"

    def __init__(self, store: Store, dispatcher: Dispatcher, committer: Committer) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._committer = committer

    async def run_once(self, now: float) -> float | None:
        """Promote one page; at once again while there is more."""
        lanes = await self._store.promote(PAGE)
        self._dispatcher.ready.update(lanes)
        self._committer.poke()  # also for jobs that were ready when they were stored
        return now if len(lanes) == PAGE else await self._store.next_due()


class Deadlines:
    """Skips jobs whose start deadline has passed. Looks every second, when what it found last is dealt with."""

    name = "deadlines"
    EVERY = 1.0

    def __init__(self, store: Store, committer: Committer) -> None:
        self._store = store
        self._committer = committer
        self._waiting = 0

    async def run_once(self, now: float) -> float | None:
        """Skip one page of them."""
        if not self._waiting:
            late = await self._store.overdue(PAGE)
            self._waiting = len(late)
            for job in late:
                self._committer.add(Word(job.id, DeadlinePassed(), self._done, row=job))
        return now + self.EVERY

    def _done(self, word: Word, judgement: Judgement, row: Job | None) -> None:
        self._waiting -= 1
