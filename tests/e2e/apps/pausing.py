"""A worker that pauses and resumes itself when it is told to, by jobs of its own."""

from __future__ import annotations

from easyjobs import EasyJobsWorker

worker = EasyJobsWorker()


@worker.task(retries=0)
async def enough() -> str:
    await worker.toggle_workers(pause=True)
    return "enough"


@worker.task(retries=0)
async def work(n: int) -> int:
    return n
