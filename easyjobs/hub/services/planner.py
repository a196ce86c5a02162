"""Jobs of chains whose task nobody knew when they were made: bound and let go when it is registered."""

from __future__ import annotations

from easyjobs.core.events import TaskKnown
from easyjobs.core.job import Job
from easyjobs.core.states import WAITING
from easyjobs.errors import StoreError
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.committer import Committer
from easyjobs.hub.entries import Word
from easyjobs.stores.base import JobQuery, Store

PAGE = 500


class Planner:
    """Looks for the jobs that wait for a task which has become known; each is decided by the committer."""

    name = "planner"

    def __init__(self, store: Store, catalog: Catalog, committer: Committer) -> None:
        self._store = store
        self._catalog = catalog
        self._committer = committer

    async def run_once(self, now: float) -> float | None:
        """Plan all of them; called again when woken."""
        for queue, name in sorted(self._catalog.awaited):
            if self._catalog.get(queue, name) is None:
                continue
            self._catalog.awaited.discard((queue, name))  # one that is stored while we look puts it there again
            try:
                await self._plan(queue, name)
            except StoreError:
                self._catalog.awaited.add((queue, name))
                raise
        return None

    async def _plan(self, queue: str, name: str) -> None:
        before: int | None = None
        while True:
            page = await self._store.find(JobQuery(queue=queue, task=name, state=WAITING, before=before, limit=PAGE))
            for job in page.items:
                if not job.signature:
                    self._committer.add(Word(job.id, _known(job), row=job))
            before = page.next
            if before is None:
                return


def _known(job: Job) -> TaskKnown:
    """What is known of the task is looked up again when this is decided."""
    return TaskKnown("", job.args, job.kwargs)
