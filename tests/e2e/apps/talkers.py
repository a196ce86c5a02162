"""Tasks that tell much: for the stories about logs. A gate is a file that the story makes when a task may go on."""

import asyncio
import time
from pathlib import Path

from easyjobs import EasyJobsWorker, current_job

worker = EasyJobsWorker()


@worker.task(retries=0)
async def count(folder: str, steps: int) -> str:
    """Says "line n" when the file n is there."""
    for n in range(1, steps + 1):
        while not await asyncio.to_thread(Path(folder, str(n)).exists):
            await asyncio.sleep(0.005)
        current_job().log(f"line {n}")
        if Path(folder, f"end-{n}").exists():
            raise ValueError("asked to")
    return "counted"


@worker.task(retries=0)
def flood(lines: int, size: int, gate: str = "") -> int:
    """Says so many lines as fast as it can, from a thread, then waits for its gate."""
    job = current_job()
    for n in range(1, lines + 1):
        job.log(f"{n} " + "x" * size)
    while gate and not Path(gate).exists():
        job.log("waiting")
        time.sleep(0.05)
    return lines
