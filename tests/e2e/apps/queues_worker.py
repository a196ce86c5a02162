"""One worker for two queues; each of its tasks is in both."""

import os
from typing import Any

from easyjobs import EasyJobsWorker, current_job
from easyjobs.tasks.handle import Call

worker = EasyJobsWorker(jobs_queue=["A", "B"])


@worker.task(run_after="C:double", retries=0)
async def count(n: int) -> dict[str, int]:
    return {"n": n + 1}


@worker.task(retries=0)
async def asks(queue: str, n: int) -> Any:
    """Calls a task that some other program has."""
    (job,) = await worker.submit([Call(queue, "double", kwargs={"n": n})])
    return await job


@worker.task(retries=0)
async def mourn(failure: dict[str, Any]) -> str:
    return f"{current_job().queue} mourns {failure['queue']}:{failure['task']}"


@worker.task(retries=0)
async def where() -> list[Any]:
    return [current_job().queue, os.getpid()]
