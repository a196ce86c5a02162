"""One application with two workers, each with a queue of its own."""

import os
from typing import Any

from fastapi import FastAPI

from easyjobs import current_job
from easyjobs.workers.worker import EasyJobsWorker

server = FastAPI()


@server.on_event("startup")
async def setup() -> None:
    of_c = await EasyJobsWorker.create(server, jobs_queue="C", max_tasks_per_worker=3)
    of_d = await EasyJobsWorker.create(server, jobs_queue="D", max_tasks_per_worker=4)

    @of_c.task(run_after="D:finish", retries=0)
    async def double(n: int) -> dict[str, int]:
        return {"n": 2 * n}

    @of_d.task(on_failure="B:mourn", run_before="prepare", retries=0)
    async def finish(n: int) -> int:
        if n > 100:
            raise ValueError("too many")
        return n

    @of_d.task(retries=0)
    async def prepare() -> None: ...

    @of_c.task(retries=0)
    @of_d.task(retries=0)
    async def where() -> list[Any]:
        return [current_job().queue, os.getpid()]
