"""Which job came from which: parents, children, prerequisites, and the whole chain that a job is part of."""

from __future__ import annotations

import msgspec

from easyjobs.core.job import Job
from easyjobs.core.states import COMPLETED, WAITING
from easyjobs.errors import NotFound
from easyjobs.stores.base import JobQuery, Store

MOST = 1000
"""Jobs of a chain that are shown at once, and steps that are taken towards its root."""


class Kin(msgspec.Struct):
    """A job with the ids of those it made (the newest thousand, oldest first), and of those that it waits for."""

    job: Job
    children: list[str]
    waits_for: list[str]


class Branch(msgspec.Struct):
    """A job in its chain, `depth` steps below the root, with the ids of its prerequisites, ended or not."""

    job: Job
    depth: int
    prerequisites: list[str]


class Tree(msgspec.Struct):
    """A whole chain, each job before those it made. `cut`: there are more jobs than are shown."""

    root: str
    items: list[Branch]
    cut: bool


class Kinship:
    """Reads; changes nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(self, id: str) -> Kin:
        """One job and its next of kin. Raises NotFound."""
        job = await self._job(id)
        children = [child.id for child in await self._children(id, MOST)]
        waits_for: list[str] = []
        if job.state == WAITING and job.deps_left:
            firsts = [edge.prerequisite for edge in await self._store.edges([id])]
            rows = await self._store.jobs(firsts)
            waits_for = [first for first in firsts if first in rows and rows[first].state != COMPLETED]
        return Kin(job, children, waits_for)

    async def tree(self, id: str) -> Tree:
        """The chain that a job is part of, from its root: the first job that nobody stored made. Raises NotFound."""
        root = await self._root(await self._job(id))
        branches: list[Branch] = []
        todo = [Branch(root, 0, [])]
        while todo and len(branches) < MOST:
            branch = todo.pop()
            branches.append(branch)
            children = await self._children(branch.job.id, MOST + 1 - len(branches))
            todo += [Branch(child, branch.depth + 1, []) for child in reversed(children)]
        by_id = {branch.job.id: branch for branch in branches}
        for edge in await self._store.edges(list(by_id)):
            by_id[edge.follower].prerequisites.append(edge.prerequisite)
        return Tree(root.id, branches, bool(todo))

    async def _root(self, job: Job) -> Job:
        for _ in range(MOST):
            found = await self._store.jobs([job.parent]) if job.parent is not None else {}
            if job.parent not in found:
                break
            job = found[job.parent]
        return job

    async def _children(self, id: str, limit: int) -> list[Job]:
        """Oldest first; of more than `limit` the newest."""
        page = await self._store.find(JobQuery(parent=id, limit=limit))
        return page.items[::-1]

    async def _job(self, id: str) -> Job:
        rows = await self._store.jobs([id])
        if id not in rows:
            raise NotFound(f"No job {id[:64]!r}.")
        return rows[id]
