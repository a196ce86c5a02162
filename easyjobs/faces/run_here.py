"""Running one job of Taskflow in this process, and no other."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

import msgspec

from easyjobs.background import Nursery
from easyjobs.core.changes import Update
from easyjobs.core.job import Job
from easyjobs.core.states import CLAIMABLE, FINAL, RUNNING
from easyjobs.errors import Conflict, NotFound
from easyjobs.hub.embedded import connect
from easyjobs.hub.entries import Chore
from easyjobs.hub.hub import Hub
from easyjobs.hub.submission import HIGHEST_PRIORITY
from easyjobs.ids import is_job_id
from easyjobs.protocol.messages import Submission
from easyjobs.wire.link import Link
from easyjobs.workers.worker import EasyJobsWorker

LOOK: Final = 0.02
"""Seconds between two looks whether the job has begun."""

LONGEST: Final = 1e9
"""Seconds that it may take, as far as we are concerned: it has its own timeout."""


class Application(Protocol):
    """What has tasks."""

    queue: str

    def only(self, name: str, **settings: Any) -> EasyJobsWorker:
        """A worker that runs this task alone. Raises NotFound."""


async def run_here(hub: Hub, application: Application, task: str, params: dict[str, Any]) -> Job:
    """Run one job, new or known by its id, as `Taskflow.run_task_async` says.

    It becomes the most urgent of its lane, and the only worker that is started here takes nothing after it. Should a
    worker elsewhere be quicker, the job is waited for all the same.
    """
    job = await _existing(hub, task) if is_job_id(task) else None
    name = task if job is None else job.task
    nursery = Nursery("run_task")

    async def dial() -> Link:
        return connect(hub, nursery)

    worker = application.only(name, connect=dial, embedded=True, max_tasks_per_worker=1)
    try:
        if job is None:
            kwargs = msgspec.Raw(msgspec.json.encode({"params": params}))
            wanted = Submission(hub.job_id(), application.queue, name, kwargs=kwargs, priority=HIGHEST_PRIORITY)
            (submitted,) = await hub.submit([wanted])
            job = submitted.job
        await worker.start()
        await _begun(hub, job.id)
        await worker.stop(LONGEST)
        return await _rested(hub, job.id)
    finally:
        await worker.stop(0.0)
        await nursery.close()


async def _existing(hub: Hub, id: str) -> Job:
    """The job, made the most urgent there is."""
    for _ in range(5):
        job = await hub.job(id)
        if job.state not in CLAIMABLE or job.turn is not None:
            how = "has ended" if job.state in FINAL else "runs already" if job.state == RUNNING else "waits for others"
            raise Conflict(f"Job {id} {how}: it is {job.state}.")
        urgent = Update(job, {"priority": HIGHEST_PRIORITY, "run_at": min(job.run_at, hub.now())})
        if await hub.committer.chore(Chore([urgent])) is None:
            hub.dispatcher.ready.add(job.lane)
            hub.committer.poke()
            return job
    raise NotFound(f"Job {id} kept changing; try again.")


async def _begun(hub: Hub, id: str) -> None:
    """Return when the job runs, or has ended."""
    while (await hub.job(id)).state in CLAIMABLE:  # noqa: ASYNC110 - another process may take it, which tells nobody
        await asyncio.sleep(LOOK)


async def _rested(hub: Hub, id: str) -> Job:
    """The job when it does not run any more."""
    while (job := await hub.job(id)).state == RUNNING:  # noqa: ASYNC110 - as above
        await asyncio.sleep(LOOK)
    return job
