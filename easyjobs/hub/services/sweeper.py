"""What was to run only for the sake of a job that was cancelled is cancelled too."""

from __future__ import annotations

from easyjobs.core.events import CancelRequested
from easyjobs.core.job import Edge, Job
from easyjobs.hub.committer import Committer
from easyjobs.hub.entries import Word
from easyjobs.stores.base import Store


class Sweeper:
    """Cancels the unfinished prerequisites of jobs that were cancelled while they waited, if they were made for them
    and nobody else waits for them. They become words of their own, after the commit: a manager that dies in between
    leaves them running, which harms nobody.
    """

    name = "sweeper"

    def __init__(self, store: Store, committer: Committer) -> None:
        self._store = store
        self._committer = committer
        self._abandoned: dict[str, str] = {}  # id -> who cancelled it

    def abandon(self, job: Job) -> None:
        """`job` was cancelled before its prerequisites had completed."""
        self._abandoned[job.id] = job.cancel or ""

    async def run_once(self, now: float) -> float | None:
        """Sweep up after all that were cancelled; called again when woken."""
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


def _for_it_alone(first: Job, edge: Edge) -> bool:
    made = first.relation in ("before", "dependency", "member") and first.parent == edge.follower
    return made and first.followers == 1 and not first.final
