"""Running one job of Taskflow in this process, and no other."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, Protocol

import msgspec

from easyjobs.background import Nursery
from easyjobs.core.changes import Update
from easyjobs.core.job import Job, Lane
from easyjobs.core.states import CLAIMABLE, FINAL, RUNNING
from easyjobs.errors import Conflict, NotFound
from easyjobs.hub.embedded import Inlet, nowhere
from easyjobs.hub.entries import Chore
from easyjobs.hub.hub import Hub
from easyjobs.hub.submission import HIGHEST_PRIORITY
from easyjobs.ids import is_job_id
from easyjobs.protocol.messages import Submission
from easyjobs.tasks.encoding import encode_arguments
from easyjobs.workers.worker import EasyJobsWorker

log = logging.getLogger("easyjobs")

LOOK: Final = 0.02
"""Seconds between two looks."""

LONGEST_LOOK: Final = 1.0
"""The same, for a job that has to wait."""

OURS: Final = 60.0
"""Seconds until others may take a job that was made to be run here."""

LONGEST: Final = 1e9
"""Seconds that it may take, as far as we are concerned: it has its own timeout."""


class Application(Protocol):
    """What has tasks."""

    queue: str

    def only(self, name: str, **settings: Any) -> EasyJobsWorker:
        """A worker that runs this task alone. Raises NotFound."""


async def run_here(hub: Hub, application: Application, task: str, params: dict[str, Any]) -> Job:
    """Run one job, new or known by its id, as `Taskflow.run_task_async` says.

    Nothing is given out by `hub`, which is ours alone, but in the commit that makes this job the most urgent one: so
    the worker here begins it, and none of the others that wait. Should the job have to wait for a limit, a worker
    elsewhere may be quicker; then its end is waited for. When we are cancelled, a new job is too, and one that was
    there before is handed back.
    """
    existing = await _claimable(hub, task) if is_job_id(task) else None
    if existing is not None and existing.queue != application.queue:
        raise NotFound(f"Job {task} is of queue {existing.queue!r}, not of {application.queue!r}.")
    name = task if existing is None else existing.task
    if hub.dispatcher.paused(Lane(application.queue, name, "")):
        raise Conflict(f"Task {application.queue}:{name}, or its queue, is paused.")
    nursery = Nursery("run_task")
    inlet = Inlet(hub, nursery)
    worker = application.only(name, connect=nowhere, embedded=True, max_tasks_per_worker=1)
    worker.embed(inlet.dial, inlet.of_child)
    hub.dispatcher.stopped = True
    try:
        await worker.start()
        while not worker.connected:  # noqa: ASYNC110 - a few milliseconds, once
            await asyncio.sleep(LOOK)
        id = existing.id if existing is not None else await _made(hub, application.queue, name, params)
        try:
            await _begin(hub, id)
            await worker.stop(LONGEST)
            return await _rested(hub, id)
        except asyncio.CancelledError:
            if existing is None:
                await hub.cancel(id, "whoever ran it")
            raise
    finally:
        worker.hurry()
        await worker.stop(0.0)
        await nursery.close()


async def _made(hub: Hub, queue: str, task: str, params: dict[str, Any]) -> str:
    """A new job, which nobody else takes meanwhile."""
    _, text = encode_arguments([], {"params": params})
    (submitted,) = await hub.submit(
        [
            Submission(
                hub.job_id(), queue, task, kwargs=msgspec.Raw(text), run_at=hub.now() + OURS, priority=HIGHEST_PRIORITY
            )
        ]
    )
    return submitted.job.id


async def _claimable(hub: Hub, id: str) -> Job:
    job = await hub.job(id)
    if job.state not in CLAIMABLE or job.turn is not None:
        how = "has ended" if job.state in FINAL else "runs already" if job.state == RUNNING else "waits for others"
        raise Conflict(f"Job {id} {how}: it is {job.state}.")
    return job


async def _begin(hub: Hub, id: str) -> None:
    """Return when the job runs, and the worker here has taken it up if it is ours; or when it has ended."""
    job = await _claimable(hub, id)
    wait = LOOK
    while job.state in CLAIMABLE:
        urgent = Update(job, {"priority": HIGHEST_PRIORITY, "run_at": min(job.run_at, hub.now())})
        hub.dispatcher.ready.add(job.lane)
        hub.dispatcher.stopped = False
        try:
            await hub.committer.chore(Chore([urgent]))
        finally:
            hub.dispatcher.stopped = True
        job = await hub.job(id)
        if job.state in CLAIMABLE:
            if wait == LOOK:
                log.info("job %s waits; why, says: easyjobs jobs explain %s", id, id)
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_LOOK)
    # a worker that is told to stop hands back what it has not taken up
    while any(id in live.unconfirmed for live in hub.roster.sessions.values()):  # noqa: ASYNC110 - milliseconds
        await asyncio.sleep(LOOK)


async def _rested(hub: Hub, id: str) -> Job:
    """The job when it does not run any more."""
    while (job := await hub.job(id)).state == RUNNING:  # noqa: ASYNC110 - as above
        await asyncio.sleep(LOOK)
    return job
