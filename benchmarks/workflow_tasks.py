"""The worker of `benchmarks.workflows`: runs of ten tasks, wide ones, and a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.workflows import WIDE
from easyjobs import EasyJobsWorker, map

worker = EasyJobsWorker("flows", max_tasks_per_worker=500)


@worker.task
async def step(x: Any = None) -> int:
    """Nothing."""
    return 1


@worker.task
async def numbers() -> list[int]:
    """A long list."""
    return list(range(WIDE))


# a reference is no number: types are for those who call tasks, not for those who draw them
draw: Any = worker.workflow


@draw
def ten() -> Any:
    """One, eight side by side that take what it gave, and one that takes theirs."""
    first = step()
    return step([step(first) for _ in range(8)])


@draw
def mapped() -> Any:
    """As many jobs as a list has items."""
    map(step, numbers())


@draw
def wide() -> Any:
    """As many tasks, known beforehand."""
    for _ in range(WIDE):
        step()


scripts = EasyJobsWorker("scripts", max_tasks_per_worker=4)
scripts.script("done.sh", folder=Path(__file__).parent / "shell_scripts", name="done")
