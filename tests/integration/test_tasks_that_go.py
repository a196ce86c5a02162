"""Tasks that one of several managers forgets are forgotten by all, and nothing that is needed goes with them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from easyjobs import EasyJobsWorker
from easyjobs.hub.hub import Hub
from easyjobs.hub.settings import HubSettings
from easyjobs.testing.loop import VirtualLoop, run
from easyjobs.testing.network import Node
from easyjobs.testing.simulated import SimulatedCluster

ONE, TWO = "manager", "manager2"
HOUR = 3600.0


def story(tell: Callable[[SimulatedCluster, Hub, Hub], Awaitable[None]]) -> None:
    async def main(loop: VirtualLoop) -> None:
        cluster = SimulatedCluster(loop, managers=2, settings=HubSettings(keep_tasks=HOUR))
        one, two = [await cluster.start_manager(name) for name in cluster.names]
        cluster.homes["w"] = TWO
        await cluster.start_worker("w", declare)
        await until(lambda: names(one) == names(two) == ["tick"])
        await tell(cluster, one, two)

    run(main, seed=1)


def declare(worker: EasyJobsWorker, node: Node) -> None:
    @worker.task()
    async def tick() -> None:
        pass


def names(hub: Hub) -> list[str]:
    return [view.spec.name for view in hub.queries.tasks()]


async def until(true: Callable[[], object]) -> None:
    deadline = asyncio.get_running_loop().time() + 30
    while not true():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)


def test_what_the_leader_forgets_all_managers_forget() -> None:
    async def tell(cluster: SimulatedCluster, one: Hub, two: Hub) -> None:
        await asyncio.sleep(2 * HOUR)
        assert names(one) == names(two) == ["tick"], "its worker is at another manager"
        cluster.kill_worker("w")
        await asyncio.sleep(0.8 * HOUR)
        assert names(one) == names(two) == ["tick"]
        await asyncio.sleep(0.8 * HOUR)
        assert names(one) == names(two) == []
        assert await cluster.rows.tasks() == []
        await cluster.start_worker("w", declare)
        await until(lambda: names(one) == names(two) == ["tick"])

    story(tell)


def test_a_worker_that_comes_to_another_manager_in_that_very_moment_keeps_its_tasks() -> None:
    async def tell(cluster: SimulatedCluster, one: Hub, two: Hub) -> None:
        (task,) = await cluster.rows.tasks()
        del cluster.rows._tasks[task.spec.lane]  # as a leader does whose look came before the worker's hello
        await asyncio.sleep(10)
        assert [known.spec for known in await cluster.rows.tasks()] == [task.spec]
        assert names(one) == names(two) == ["tick"]

    story(tell)
