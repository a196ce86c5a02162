"""What is said to one manager about schedules and pauses, before it has heard what was said to another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from easyjobs import EasyJobsWorker
from easyjobs.core.schedule import Rule
from easyjobs.core.task import DefaultArgs
from easyjobs.errors import NotFound
from easyjobs.hub.pausing import PauseKind
from easyjobs.testing.loop import VirtualLoop, run
from easyjobs.testing.network import Node
from easyjobs.testing.simulated import SimulatedCluster

ONE, TWO = "manager", "manager2"


def story(tell: Callable[[SimulatedCluster], Awaitable[None]]) -> None:
    async def main(loop: VirtualLoop) -> None:
        cluster = SimulatedCluster(loop, managers=2)
        for name in cluster.names:
            await cluster.start_manager(name)
        await tell(cluster)

    run(main, seed=1)


def declare(worker: EasyJobsWorker, node: Node) -> None:
    @worker.task(schedule="*/10 * * * * *", seconds=True)
    async def tick() -> None:
        pass


async def with_a_worker_at_one(cluster: SimulatedCluster) -> None:
    cluster.homes["w"] = ONE
    await cluster.start_worker("w", declare)
    await until(lambda: cluster.managers[ONE].hub.roster.of_worker("w") is not None)


async def until(true: Callable[[], object]) -> None:
    deadline = asyncio.get_running_loop().time() + 10
    while not true():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)


def test_a_schedule_made_at_one_manager_is_known_to_all_at_once() -> None:
    async def tell(cluster: SimulatedCluster) -> None:
        await with_a_worker_at_one(cluster)
        made, asked = cluster.managers[ONE].hub.schedules, cluster.managers[TWO].hub.schedules
        await until(lambda: cluster.managers[TWO].hub.catalog.has_queue("play"))

        async def fresh() -> str:
            return (await made.create("play", "tick", Rule("0 0 1 1 *"), DefaultArgs())).row.id

        id = await fresh()
        assert (await asked.find(id)).row.id == id
        await asked.pause(await fresh(), "ann")
        await asked.resume(await fresh())
        assert (await asked.run(id := await fresh())).schedule == id
        assert (await asked.edit(await fresh(), title="other")).row.title == "other"
        await asked.delete(id := await fresh())
        assert id not in {row.id for row in await cluster.managers[ONE].hub.store.schedules()}
        with pytest.raises(NotFound):
            await asked.find("nobody's")

    story(tell)


def test_the_last_word_about_a_pause_counts_also_before_all_have_heard_the_one_before() -> None:
    async def tell(cluster: SimulatedCluster) -> None:
        await with_a_worker_at_one(cluster)
        one, two = cluster.managers[ONE].hub, cluster.managers[TWO].hub
        await until(lambda: two.catalog.has_queue("play") and two.schedules.page()[0])
        schedule = two.schedules.page()[0][0].row.id
        for _ in range(5):
            for pauses, resumes in ((one, two), (two, one)):
                await pauses.pause("queue", "play", "ann")
                await resumes.resume("queue", "play", "ben")
                await pauses.schedules.pause(schedule, "ann")
                await resumes.schedules.resume(schedule)
                assert await one.store.pauses() == []
                await pauses.pause("queue", "play", "ann")
                await pauses.schedules.pause(schedule, "ann")
                kept = {(pause.kind, pause.name) for pause in await one.store.pauses()}
                assert kept == {("queue", "play"), ("schedule", schedule)}
                await resumes.resume("queue", "play", "ben")
                await resumes.schedules.resume(schedule)
        await until(lambda: not one.dispatcher.pauses and not two.dispatcher.pauses)

    story(tell)


@pytest.mark.parametrize(("kind", "name"), [("queue", "play"), ("task", "play:tick")])
def test_what_was_registered_at_one_manager_a_moment_ago_can_be_paused_at_another(kind: PauseKind, name: str) -> None:
    async def tell(cluster: SimulatedCluster) -> None:
        two = cluster.managers[TWO].hub
        cluster.managers[TWO].store.hear = lambda hint: None  # type: ignore[method-assign]
        await with_a_worker_at_one(cluster)
        while not await two.store.tasks():
            await asyncio.sleep(0.001)
        assert not two.catalog.has_queue("play"), "nobody has told it yet"
        await two.pause(kind, name, "ann")
        assert [(pause.kind, pause.name) for pause in await two.store.pauses()] == [(kind, name)]
        with pytest.raises(NotFound):
            await two.pause(kind, f"{name}:nobody", "ann")

    story(tell)
