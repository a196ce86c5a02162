"""Runs of workflows on every store, in real time: in one manager, and over two hubs that share one store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from easyjobs import EasyJobsManager, EasyJobsWorker, JobCancelled, JobFailed, map
from easyjobs.core.job import Job
from easyjobs.faces.pulling import pulling
from easyjobs.hub.hub import Hub
from easyjobs.hub.running import PAGE, node_id
from easyjobs.protocol.messages import Submission
from easyjobs.stores.base import JobQuery

SECRET = "a secret of the tests, long enough"


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh store for one manager."""
    if request.param == "postgres":
        return str(request.getfixturevalue("store_url"))
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture(params=["sqlite", "postgres"])
def shared_store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh store for several hubs."""
    return str(request.getfixturevalue("store_url") if request.param == "postgres" else f"sqlite:///{tmp_path}/jobs.db")


class Steps:
    """The tasks of these runs. While `shut`, `held` does not end; while not `good`, `risky` fails."""

    def __init__(self, worker: Any) -> None:
        self.good = True
        self.gate = asyncio.Event()
        self.gate.set()
        self.ran: list[str] = []
        self.held_now = 0
        self.held_most = 0

        @worker.task(retries=0)
        async def step(name: str, x: Any = None) -> Any:
            self.ran.append(name)
            return [name, x]

        @worker.task(retries=0)
        async def risky(name: str, x: Any = None) -> Any:
            self.ran.append(name)
            if not self.good:
                raise ValueError("not now")
            return [name, x]

        @worker.task(retries=0)
        async def held(x: Any = None) -> Any:
            self.held_now += 1
            self.held_most = max(self.held_most, self.held_now)
            try:
                await self.gate.wait()
            finally:
                self.held_now -= 1

        @worker.task
        async def numbers(many: int) -> list[int]:
            return list(range(many))

        @worker.task
        async def double(n: int) -> int:
            return 2 * n

        @worker.task
        async def total(numbers: list[int]) -> int:
            return sum(numbers)

        # a reference is no number: types are for those who call tasks, not for those who draw them
        draw: Any = worker.workflow

        @draw
        def diamond() -> Any:
            a: Any = step("a")
            return step("d", [risky("b", a), step("c", a)])

        @draw
        def mapped(many: int) -> Any:
            return total(map(double, numbers(many)))

        @draw
        def wide() -> Any:
            firsts: list[Any] = [step(f"first{i}").named(f"first{i}") for i in range(PAGE + 5)]
            return step("end", firsts[0][0]).after(firsts)

        @draw(concurrency=2)
        def narrow(n: int = 0) -> Any:
            return step("after", held(n))

        @draw
        def outer() -> Any:
            return step("after", wide()[0])

        self.flows: dict[str, Any] = {flow.name: flow for flow in (diamond, mapped, wide, narrow, outer)}


@asynccontextmanager
async def managed(url: str) -> AsyncIterator[tuple[Steps, Hub]]:
    manager = EasyJobsManager(SECRET, store=url, max_tasks_per_worker=50)
    steps = Steps(manager)
    app = FastAPI(lifespan=manager.lifespan)
    async with manager.lifespan(app):
        yield steps, manager.hub


async def nodes(hub: Hub, run: str) -> dict[str, Job]:
    found: dict[str, Job] = {}
    page = await hub.store.find(JobQuery(run=run, limit=500))
    while page.items:
        found.update((job.node or job.task, job) for job in page.items)
        if page.next is None:
            break
        page = await hub.store.find(JobQuery(run=run, limit=500, before=page.next))
    return found


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_diamond_and_maps(any_store: str) -> None:
    async with managed(any_store) as (steps, hub):
        run = await steps.flows["diamond"].enqueue()
        a = ["a", None]
        assert await run == ["d", [["b", a], ["c", a]]]
        assert (steps.ran[0], sorted(steps.ran[1:3]), steps.ran[3:]) == ("a", ["b", "c"], ["d"])
        assert {name: job.state for name, job in (await nodes(hub, run.id)).items()} == {
            "step": "completed",
            "risky": "completed",
            "step-2": "completed",
            "step-3": "completed",
        }
        for many in (0, 7, PAGE + 3):
            assert await steps.flows["mapped"](many) == sum(2 * n for n in range(many))


async def test_a_graph_of_several_pages_and_who_waits_for_it(any_store: str) -> None:
    async with managed(any_store) as (steps, hub):
        run = await steps.flows["outer"].enqueue()
        assert await run == ["after", "end"]
        assert steps.ran[-2:] == ["end", "after"]
        assert len(steps.ran) == len(set(steps.ran)) == PAGE + 7
        assert len(await nodes(hub, node_id(run.id, "wide"))) == PAGE + 6


async def test_a_run_is_cancelled(any_store: str) -> None:
    async with managed(any_store) as (steps, hub):
        steps.gate.clear()
        run = await steps.flows["narrow"].enqueue(1)
        await until(lambda: steps.held_now)
        await run.cancel()
        with pytest.raises(JobCancelled):
            await run
        assert {name: job.state for name, job in (await nodes(hub, run.id)).items()} == {
            "held": "cancelled",
            "step": "cancelled",
        }
        assert "after" not in steps.ran


async def test_a_run_is_repeated_from_what_failed(any_store: str) -> None:
    async with managed(any_store) as (steps, hub):
        steps.good = False
        run = await steps.flows["diamond"].enqueue()
        with pytest.raises(JobFailed, match="2 of 4 jobs did not complete"):
            await run
        assert sorted(steps.ran) == ["a", "b", "c"]
        steps.good = True
        again = await hub.retry(run.id, "me")
        job = await hub.wait(again.id, 20)
        assert (job.state, steps.ran[3:]) == ("completed", ["b", "d"])
        assert job.result == '["d",[["b",["a",null]],["c",["a",null]]]]'


async def test_so_many_runs_as_may_go_on_do(any_store: str) -> None:
    async with managed(any_store) as (steps, _):
        steps.gate.clear()
        runs = [await steps.flows["narrow"].enqueue(n) for n in range(7)]
        await until(lambda: steps.held_now == 2)
        steps.gate.set()
        assert [await run for run in runs] == [["after", None]] * 7
        assert steps.held_most <= 2


# -- two hubs on one store


@asynccontextmanager
async def pulled(url: str) -> AsyncIterator[tuple[Steps, Hub]]:
    worker = EasyJobsWorker("q", manager_secret="none is needed", max_tasks_per_worker=20)
    steps = Steps(worker)
    async with pulling(worker, url) as hub:
        await worker.start()
        await until(lambda: worker.connected)
        try:
            yield steps, hub
        finally:
            await worker.stop(1.0)


async def submit(hub: Hub, *flows: str) -> list[str]:
    submitted = await hub.submit([Submission(hub.job_id(), "q", flow) for flow in flows])
    return [one.job.id for one in submitted]


async def ended(hub: Hub, id: str) -> Job:
    """The job when it has ended, whichever hub ended it."""
    return await hub.wait(id, 30)


async def test_two_hubs_share_the_nodes_of_runs(shared_store: str) -> None:
    async with pulled(shared_store) as (steps, hub), pulled(shared_store) as (others, other):
        ids = await submit(hub, *["diamond"] * 10, "wide")
        for id in ids:
            assert (await ended(other, id)).state == "completed"
        ran = steps.ran + others.ran
        assert len(ran) == 4 * 10 + PAGE + 6, "each once, here or there"
        assert steps.ran
        assert others.ran


async def test_two_hubs_have_no_more_runs_go_on_than_may(shared_store: str) -> None:
    async with pulled(shared_store) as (steps, hub), pulled(shared_store) as (others, other):
        for one in (steps, others):
            one.gate.clear()
        mine, theirs = await submit(hub, *["narrow"] * 4), await submit(other, *["narrow"] * 4)
        await until(lambda: steps.held_now + others.held_now == 2)
        going = await hub.store.find(JobQuery(runs=True, state="waiting"))
        assert len(going.items) == 2
        cancelled = going.items[0].id
        await other.cancel(cancelled, "me")
        assert (await ended(hub, cancelled)).state == "cancelled"
        await until(lambda: steps.held_now + others.held_now == 2)
        for one in (steps, others):
            one.gate.set()
        states = [(await ended(hub, id)).state for id in mine + theirs if id != cancelled]
        assert states == ["completed"] * 7


async def test_a_run_that_failed_at_one_hub_is_repeated_at_another(shared_store: str) -> None:
    async with pulled(shared_store) as (steps, hub), pulled(shared_store) as (others, other):
        steps.good = others.good = False
        (id,) = await submit(hub, "diamond")
        assert (await ended(other, id)).state == "failed"
        steps.good = others.good = True
        again = await other.retry(id, "me")
        assert (await ended(hub, again.id)).state == "completed"
        assert sorted(steps.ran + others.ran) == ["a", "b", "b", "c", "d"]
