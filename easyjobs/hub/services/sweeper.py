"""What was to run only for the sake of a job that was cancelled is cancelled too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from easyjobs.core.events import CancelRequested
from easyjobs.core.job import Edge, Job
from easyjobs.core.states import QUEUED, RETRY, RUNNING, WAITING, State
from easyjobs.hub.committer import Committer
from easyjobs.hub.entries import Word
from easyjobs.stores.base import JobQuery, Store

PAGE: Final = 1000
LIVE: Final[tuple[State, ...]] = (WAITING, RETRY, QUEUED, RUNNING)
"""Those that wait first, so that none begins meanwhile."""


class Sweeper:
    """Cancels the unfinished prerequisites of jobs that were cancelled while they waited, if they were made for them
    and nobody else waits for them; and the nodes of runs that are to stop. They become words of their own, after the
    commit: a manager that dies in between leaves prerequisites running, which harms nobody, and runs to be found when
    it, or who leads after it, begins.
    """

    name = "sweeper"

    def __init__(self, store: Store, committer: Committer) -> None:
        self._store = store
        self._committer = committer
        self._abandoned: dict[str, str] = {}  # id -> who cancelled it
        self._runs: dict[str, str] = {}
        self._look = True
        self.wake: Callable[[], object] = lambda: None
        self.turned: Callable[[list[Job]], object] = lambda jobs: None

    def abandon(self, job: Job) -> None:
        """`job` was cancelled before its prerequisites had completed, or is a run that is to stop."""
        (self._runs if job.is_run else self._abandoned)[job.id] = job.cancel or ""

    def look(self) -> None:
        """Find the runs that somebody else may have left half stopped."""
        self._look = True
        self.wake()

    async def run_once(self, now: float) -> float | None:
        """Sweep up after all that were cancelled; called again when woken."""
        if self._look:
            await self._look_at_runs()
            self._look = False
        while self._runs:
            id, by = next(iter(self._runs.items()))
            for state in LIVE:
                for job in await self._all(JobQuery(run=id, state=state)):
                    self._committer.add(Word(job.id, CancelRequested(by)))
            del self._runs[id]
        abandoned, self._abandoned = self._abandoned, {}
        if not abandoned:
            return None
        edges = await self._store.edges(list(abandoned))
        firsts = await self._store.jobs([edge.prerequisite for edge in edges])
        for edge in edges:
            first = firsts.get(edge.prerequisite)
            if first is not None and _for_it_alone(first, edge):
                self._committer.add(Word(first.id, CancelRequested(abandoned[edge.follower])))
        return None

    async def _look_at_runs(self) -> None:
        """Runs that a manager left: half stopped, half made, or with nothing left to wait for."""
        waiting = await self._all(JobQuery(runs=True, state=WAITING))
        for run in waiting:
            if run.cancel is not None:
                self.abandon(run)
        begun = [run for run in await self._all(JobQuery(runs=True, state=QUEUED)) if run.progress is not None]
        # no worker may be left that has their graph, so that no claim would find them
        self.turned([*(run for run in waiting if not run.deps_left), *begun])

    async def _all(self, query: JobQuery) -> list[Job]:
        found: list[Job] = []
        page = await self._store.find(msgspec.structs.replace(query, limit=PAGE))
        while page.items:
            found += page.items
            if page.next is None:
                break
            page = await self._store.find(msgspec.structs.replace(query, before=page.next, limit=PAGE))
        return found


def _for_it_alone(first: Job, edge: Edge) -> bool:
    made = first.relation in ("before", "dependency", "member") and first.parent == edge.follower
    return made and first.followers == 1 and not first.final
