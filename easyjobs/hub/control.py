"""What people may do to jobs. All of it may be asked twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from easyjobs.core.changes import Delete
from easyjobs.core.events import CancelRequested
from easyjobs.core.groups import progress_of
from easyjobs.core.job import Job
from easyjobs.core.states import FINAL, RUNNING
from easyjobs.errors import Conflict, NotFound, Refused, Unavailable
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.committer import Committer
from easyjobs.hub.entries import Arrival, Chore, Judgement, Word
from easyjobs.hub.queries import Queries
from easyjobs.hub.submission import Admission
from easyjobs.ids import derived_id
from easyjobs.protocol.messages import Submission
from easyjobs.stores.base import Store

PATIENCE: Final = 10.0
"""Seconds that people wait for what a store does which fails."""


class Submitted(msgspec.Struct):
    """A job that is stored. `created` is False when its id, key or uniqueness already belonged to it."""

    job: Job
    created: bool


class Control:
    """Submits, cancels, repeats, deletes."""

    def __init__(
        self, store: Store, catalog: Catalog, admission: Admission, committer: Committer, queries: Queries
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._admission = admission
        self._committer = committer
        self._queries = queries
        self.learn: Callable[[], Awaitable[None]] = _nothing

    async def find(self, queue: str, task: str) -> None:
        """Look whether a task is known, here or at another manager. Raises NotFound."""
        if self._catalog.get(queue, task) is None:
            await self.learn()
        self._catalog.find(queue, task)

    async def submit(self, submissions: list[Submission]) -> list[Submitted]:
        """Store all of them or none; returns when they are durable.

        :raises Refused: the first that may not be; where there are several its errors begin with its index.
        """
        now = self._store.now()
        jobs: list[Job] = []
        if any(self._catalog.get(submission.queue, submission.task) is None for submission in submissions):
            await self.learn()  # it may have been registered at another manager a moment ago
        for index, submission in enumerate(submissions):
            try:
                jobs.append(self._admission.admit(submission, now))
            except Refused as why:
                raise _placed(why, index, len(submissions)) from None
        return await self.store(jobs)

    async def store(self, jobs: list[Job]) -> list[Submitted]:
        """Store admitted jobs, all or none."""
        if not jobs:
            return []
        answer: asyncio.Future[Arrival] = asyncio.get_running_loop().create_future()

        def done(arrival: Arrival) -> None:
            if not answer.done():
                answer.set_result(arrival)

        self._committer.add(Arrival(jobs, True, done))
        arrival = await answer
        if arrival.refused:
            why = next(iter(arrival.refused.values()))
            if arrival.blamed is None:
                raise why
            raise _placed(why, next(i for i, job in enumerate(jobs) if job.id == arrival.blamed), len(jobs))
        return [Submitted(arrival.instead.get(job.id, job), job.id not in arrival.instead) for job in jobs]

    async def _word(self, word: Word) -> tuple[Judgement, Job | None]:
        answer: asyncio.Future[tuple[Judgement, Job | None]] = asyncio.get_running_loop().create_future()

        def done(word: Word, judgement: Judgement, row: Job | None) -> None:
            if not answer.done():
                answer.set_result((judgement, row))

        word.done = done
        self._committer.add(word)
        try:
            async with asyncio.timeout(PATIENCE):
                return await answer
        except TimeoutError:
            raise Unavailable("The store does not answer. What was asked is done as soon as it works.") from None

    async def cancel(self, id: str, by: str) -> Job:
        """Cancel a job: at once where it does not run, else its worker is asked. Raises NotFound, Unavailable."""
        _, row = await self._word(Word(id, CancelRequested(by)))
        if row is None:
            raise NotFound(f"No job {id[:64]!r}.")
        return row

    async def retry(self, id: str) -> Job:
        """A new job with the same task and arguments, which points at the old one and has its place in the chain; asked
        again, that same job, or when that has ended too, the next one.

        :raises NotFound: no such job, or its task is not known any more. Conflict: it has not ended, or never had
            arguments of its own. ArgumentsRefused: the task has changed and the old arguments do not fit it.
        """
        old = await self._queries.job(id)
        if old.state not in FINAL:
            raise Conflict(f"Job {id} is {old.state}; only a job that has ended can be run again.")
        if _keeps_a_plan(old):
            whose = f"run {old.run}" if old.run is not None else f"job {old.parent}"
            raise Conflict(f"Job {id} can be called only with what others give it; repeat {whose} in its place.")
        last, id = old.id, derived_id(old.id, "retry")
        while (known := (await self._store.jobs([id])).get(id)) is not None:
            if known.state not in FINAL:
                return known
            last, id = id, derived_id(id, "retry")
        submission = Submission(
            id,
            old.queue,
            old.task,
            msgspec.Raw(old.args.encode()),
            msgspec.Raw(old.kwargs.encode()),
            old.priority,
        )
        if not self._admission.knows(submission):
            await self.learn()  # as above
        job = self._admission.admit(submission, self._store.now(), stored=True)
        job.timeout = old.timeout
        job.max_attempts = old.max_attempts
        job.retry_of, job.parent, job.relation = last, old.parent, old.relation
        (submitted,) = await self.store([job])
        return submitted.job

    async def delete(self, id: str) -> None:
        """Remove a job that does not run, with its attempts and logs.

        :raises NotFound: no such job (any more). Conflict: it runs, or is or is part of a run that goes on; cancel
            that first.
        """
        for _ in range(5):
            job = await self._queries.job(id)
            if job.run is not None and job.run != id:
                run = (await self._store.jobs([job.run])).get(job.run)
                if run is not None and run.state not in FINAL:
                    raise Conflict(f"Job {id} is part of run {run.id}, which goes on; cancel that first.")
            if job.state not in FINAL:
                if job.is_run and job.started_at is not None:
                    raise Conflict(f"Run {id} goes on; cancel it first, and remove it when its jobs have ended.")
                if job.state == RUNNING:
                    raise Conflict(f"Job {id} is running; cancel it first.")
                await self.cancel(id, "delete")
                continue
            if await self._committer.chore(Chore([Delete(job)])) is None:
                return
        raise Conflict(f"Job {id} kept changing; try again.")


async def _nothing() -> None:
    """This manager is alone: it knows all tasks."""


def _keeps_a_plan(job: Job) -> bool:
    """Whether it has, in the place of arguments, what says how they are to be had."""
    if job.turn in ("bind", "map") or (job.turn == "gather" and progress_of(job).mapped):
        return True
    return not job.signature and job.relation in ("node", "dependency")


def _placed(why: Refused, index: int, count: int) -> Refused:
    """`why`, which is about one job of `count`, with its place among them; a single job needs none."""
    if count == 1:
        return why
    return type(why)(
        f"Job {index} of {count}: {why.detail}",
        errors=[{**e, "loc": [index, *e.get("loc", [])]} for e in why.errors]
        or [{"loc": [index], "message": why.detail}],
    )
