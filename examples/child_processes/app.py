"""Work that blocks, in child processes: a function of this file, and a file of its own.

`python examples/child_processes/app.py` runs four jobs and says how each ended. `uvicorn app:app` serves them, in this
folder and with EASYJOBS_SECRET set.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from easyjobs import EasyJobsManager, JobFailed, JobHandle

HERE = Path(__file__).resolve().parent
os.environ.setdefault("WORKER_TASK_DIR", str(HERE / "tasks"))

manager = EasyJobsManager(store="memory:" if __name__ == "__main__" else None)
app = FastAPI(title="Child processes", lifespan=manager.lifespan)


@manager.task(namespace="heavy", process=True)
def primes(below: int) -> int:
    """This very function runs in a fresh process, which imports this file for it."""
    sieve = bytearray([1]) * below
    for n in range(2, int(below**0.5) + 1):
        if sieve[n]:
            sieve[n * n :: n] = bytes(len(range(n * n, below, n)))
    return max(0, sum(sieve) - 2)


@manager.task(namespace="heavy", subprocess=True)
def checksum(folder: str, pattern: str = "*.py") -> dict[str, object]:
    """In place of this one, tasks/checksum.py runs; the parameters are what callers are judged by."""
    raise NotImplementedError


@manager.task(namespace="heavy", process=True, max_memory="100MB", retries=0)
def hungry() -> int:
    """Takes more memory than it may."""
    pages = []
    while True:
        pages.append(b"x" * 10_000_000)


@manager.task(namespace="heavy", process=True, timeout=1, retries=0)
def endless() -> None:
    """Never returns; its process is ended."""
    while True:
        pass


async def main() -> None:
    """Run all four side by side; this loop stays free meanwhile."""
    async with manager.lifespan(app):
        jobs: list[JobHandle[Any]] = [
            await primes.enqueue(1_000_000),
            await checksum.enqueue(str(HERE)),
            await hungry.enqueue(),
            await endless.enqueue(),
        ]
        for ended in asyncio.as_completed([told(job) for job in jobs]):
            print(await ended)


async def told(job: JobHandle[Any]) -> str:
    """How a job ended, in a line."""
    try:
        return f"{job.task}: {await job}"
    except JobFailed as error:
        return f"{job.task} failed: {error}"


if __name__ == "__main__":
    asyncio.run(main())
