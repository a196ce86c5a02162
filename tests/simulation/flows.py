"""The workflows that are played, and how large they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from easyjobs import EasyJobsWorker, NoRetry, current_job, map, task_named
from easyjobs.core.job import Job
from easyjobs.tasks.workflows import BoundWorkflow

PAGE = 4
"""Nodes or items in a page: what is paged in life has hundreds, and would take a story all its time."""

NARROW = "narrow"
AT_ONCE = 2
"""Runs of `NARROW` that may go on at once."""

WORKFLOWS = (
    "diamond",
    "diamond",
    "line",
    "wide",
    "wide",
    "given",
    "paged",
    "paged",
    "outer",
    "outer",
    "narrow",
    "narrow",
    "lately",
    "mixed",
    "endless",
)


ENDLESS = "endless"
"""Runs of it end when they are cancelled."""


def arguments_for(workflow: str, n: int) -> list[Any]:
    """What a run of it is called with."""
    return [n, list(range(n % 10))] if workflow == "given" else [n]


def declare_parts(
    worker: EasyJobsWorker,
    task: Callable[..., Any],
    said: Callable[[Any], Any],
    row_of: Callable[[str], Job],
    chained: dict[str, Any],
) -> list[BoundWorkflow[Any, Any]]:
    """Give a worker the workflows and their tasks; `chained` are others of its tasks, which are nodes too.

    What fails in a run does not in one that repeats it.
    """

    def repeated() -> bool:
        run = row_of(current_job().id).run
        return run is not None and row_of(run).retry_of is not None

    @task()
    async def step(n: int, x: Any = None) -> Any:
        await asyncio.sleep(0.7 * (n % 3))
        return await said([n, x])

    @task(retries=3, retry_delay=1)
    async def risky(n: int, x: Any = None, more: int = 0) -> Any:
        n += more
        await asyncio.sleep(0.4 * (n % 4))
        if n % 5 == 0 and not repeated():
            raise NoRetry("not in this run")
        if n % 5 == 1 and current_job().attempt % 2:
            raise ValueError("not yet")
        return await said({"n": n, "x": x})

    @task()
    async def listing(n: int) -> Any:
        return await said([[n, i] for i in range(n % 11)])

    @task(retries=1, retry_delay=1)
    async def piece(item: Any, n: int) -> Any:
        await asyncio.sleep(0.3 * (n % 2))
        if n % 6 == 5 and item in ([n, 3], 3) and not repeated():
            raise NoRetry("a bad piece")
        return await said({"piece": item})

    @task()
    async def total(pieces: list[Any]) -> Any:
        return await said(len(pieces))

    @task()
    async def patience(n: int, x: Any = None) -> Any:
        await asyncio.sleep(1e9)

    # a reference is no number: types are for those who call tasks, not for those who draw them
    draw: Any = worker.workflow

    @draw
    def diamond(n: int) -> Any:
        a = step(n)
        b = risky(n, a)
        c = step(n, a).named("c")
        step(n, "aside").named("aside")
        return step(n, [b, c[0]]).named("d")

    @draw
    def line(n: int) -> Any:
        return step(n, risky(n, listing(n))["n"])

    @draw
    def wide(n: int) -> Any:
        return total(map(piece, listing(n), n=n))

    @draw
    def given(n: int, items: list[int]) -> Any:
        pieces = map(piece, items, n=n)
        step(n).after(pieces)
        return pieces

    @draw
    def paged(n: int) -> Any:
        firsts = [step(n, i).named(f"first{i}") for i in range(4)]
        nexts = [risky(n, first, more=i).named(f"next{i}") for i, first in enumerate(firsts)]
        risky(n, "lone").named("lone")
        return step(n, nexts).named("end")

    @draw
    def outer(n: int) -> Any:
        return step(n, [diamond(n)[0], wide(n)])

    @draw(concurrency=AT_ONCE)
    def narrow(n: int) -> Any:
        return step(n, risky(n))

    @draw
    def lately(n: int) -> Any:
        return step(n, task_named("late")(n, step(n).named("before")))

    @draw
    def mixed(n: int) -> Any:
        cover = chained["cover"](n, "ALL")
        fresh = chained["fresh"](n).after(cover)
        return step(n, [chained["first"](n), chained["needing"](n).after(fresh), chained["telling"](n)])

    @draw
    def endless(n: int) -> Any:
        for i in range(3):
            patience(n, step(n, i).named(f"before{i}")).named(f"patience{i}")
        step(n, diamond(n)).after(step(n, "end").named("end"))

    return [diamond, line, wide, given, paged, outer, narrow, lately, mixed, endless]


def declare_late(task: Callable[..., Any], said: Callable[[Any], Any]) -> None:
    """Give a worker the task for which runs of `lately` wait."""

    @task()
    async def late(n: int, x: Any) -> Any:
        return await said([x, n])
