"""Two processes, the worker's: made when the server starts, its tasks declared after it."""

import asyncio
import os

from fastapi import FastAPI

from easyjobs.workers.worker import EasyJobsWorker

server = FastAPI()


@server.on_event("startup")
async def setup() -> None:
    worker = await EasyJobsWorker.create(
        server,
        server_secret="abcd1234",
        manager_host="127.0.0.1",
        manager_port=int(os.environ["MANAGER_PORT"]),
        manager_secret="abcd1234",
        jobs_queue="ETL",
        max_tasks_per_worker=5,
    )

    @worker.task()
    async def extract(source: str) -> dict[str, str]:
        await asyncio.sleep(0)
        return {"source": source}

    @worker.task()
    def load(rows: int) -> int:
        return rows * 2

    @worker.task()
    async def both(source: str, rows: int) -> list[object]:
        return [await extract(source), await load(rows)]
