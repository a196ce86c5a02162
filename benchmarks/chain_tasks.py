"""The worker of `benchmarks.chains`: a line of ten tasks, a fan of a thousand, and a job with ten prerequisites."""

from __future__ import annotations

from benchmarks.chains import FAN, LINE
from easyjobs import EasyJobsWorker

worker = EasyJobsWorker("chains", max_tasks_per_worker=500)


async def step(data: int = 0) -> int:
    """Nothing."""
    return data + 1


for n in range(LINE):
    worker.task(name=f"line{n}", run_after=[] if n == LINE - 1 else f"line{n + 1}")(step)
    worker.task(name=f"first{n}")(step)
for n in range(FAN):
    worker.task(name=f"leaf{n}")(step)
worker.task(name="fan", run_after=[f"leaf{n}" for n in range(FAN)])(step)
worker.task(name="last", run_before=[f"first{n}" for n in range(LINE)])(step)
