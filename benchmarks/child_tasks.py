"""The worker of `benchmarks.children`: a function and a file that do nothing."""

from __future__ import annotations

from easyjobs import EasyJobsWorker

worker = EasyJobsWorker("children")


@worker.task(process=True)
def function() -> int:
    """Nothing."""
    return 1


@worker.task(subprocess=True)
def script() -> None:
    """`child_scripts/script.py` runs in its place."""
