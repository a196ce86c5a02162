"""The worker of the benchmarks: a task that does nothing, so that what is measured is ours."""

from easyjobs import EasyJobsWorker

worker = EasyJobsWorker(jobs_queue="bench", max_tasks_per_worker=1000)


@worker.task()
async def noop(n: int, s: str) -> dict[str, int | bool]:
    """Take a number and a string, return an object."""
    return {"n": n, "ok": True}
