"""Several hubs on one SQLite file, in real time: a manager, and pull workers that come and go beside it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from easyjobs import EasyJobsWorker
from easyjobs.core.changes import LoseSession, Unit
from easyjobs.errors import ConfigurationError
from easyjobs.faces.pulling import pulling
from easyjobs.hub.hub import Hub
from easyjobs.hub.settings import HubSettings
from easyjobs.protocol.messages import Submission
from easyjobs.stores.base import JobQuery
from easyjobs.stores.sqlite import SQLiteStore


@asynccontextmanager
async def managed(path: Path) -> AsyncIterator[Hub]:
    hub = Hub(SQLiteStore(str(path)))
    await hub.start()
    try:
        yield hub
    finally:
        await hub.stop()


@asynccontextmanager
async def pulled(
    store: Path | str, declare: Callable[[EasyJobsWorker], None], settings: HubSettings | None = None
) -> AsyncIterator[Hub]:
    worker = EasyJobsWorker("q", manager_secret="none is needed", max_tasks_per_worker=5)
    declare(worker)
    url = store if isinstance(store, str) else f"sqlite:///{store}"
    async with pulling(worker, url, settings) as hub:
        await worker.start()
        await until(lambda: worker.connected)
        try:
            yield hub
        finally:
            await worker.stop(1.0)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


async def submit(hub: Hub, task: str, *args: object) -> str:
    raw = msgspec.Raw(msgspec.json.encode(args))
    (submitted,) = await hub.submit([Submission(hub.job_id(), "q", task, raw, msgspec.Raw(b"{}"))])
    return submitted.job.id


async def result(hub: Hub, id: str) -> object:
    job = await hub.wait(id, 20)
    assert job.state == "completed", job
    return msgspec.json.decode(job.result or "null")


def adds(worker: EasyJobsWorker) -> None:
    @worker.task
    async def add(a: int, b: int) -> int:
        return a + b


def alone(hub: Hub) -> bool:
    return hub.store.single_manager


def notes(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        (number,) = connection.execute("SELECT count(*) FROM notes").fetchone()
    finally:
        connection.close()
    return int(number)


async def test_a_manager_is_alone_until_a_pull_worker_comes_and_one_of_several_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with managed(path) as manager:
        assert alone(manager)
        assert manager.lead.held
        assert notes(path) == 0, "nobody is there to read any"
        async with pulled(path, adds) as puller:
            assert await result(manager, await submit(manager, "add", 1, 2)) == 3
            assert not alone(manager)
            await until(lambda: manager.lead.held != puller.lead.held)
        assert not alone(manager), "it may have left what only an equal can see to"
        await until(lambda: manager.lead.held)


async def test_a_manager_that_comes_second_takes_nothing_from_who_is_there(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    begun: list[int] = []

    def declare(worker: EasyJobsWorker) -> None:
        @worker.task
        async def slow(n: int) -> int:
            begun.append(n)
            await asyncio.sleep(2)
            return n

    async with pulled(path, declare) as puller:
        id = await submit(puller, "slow", 7)
        await until(lambda: begun)
        async with managed(path) as manager:
            assert not manager.store.single_manager
            assert await result(manager, id) == 7
            assert (await manager.job(id)).attempt == 1
    assert begun == [7]


async def test_a_thousand_jobs_of_two_pull_workers_run_once_each(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    effects: Counter[int] = Counter()
    workers: Counter[str] = Counter()

    def declare_as(name: str) -> Callable[[EasyJobsWorker], None]:
        def declare(worker: EasyJobsWorker) -> None:
            @worker.task
            async def note(n: int) -> None:
                effects[n] += 1
                workers[name] += 1

        return declare

    async with managed(path) as manager, pulled(path, declare_as("one")), pulled(path, declare_as("two")):
        ids = await asyncio.gather(*(submit(manager, "note", n) for n in range(1000)))
        await asyncio.gather(*(result(manager, id) for id in ids))
        assert {n: effects[n] for n in range(1000)} == dict.fromkeys(range(1000), 1)
        assert min(workers["one"], workers["two"]) > 0
        assert await manager.store.counts() == []
        assert await manager.store.totals() == {"completed": 1000}


async def test_what_is_said_to_one_holds_at_the_others(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    stopped = asyncio.Event()

    def declare(worker: EasyJobsWorker) -> None:
        adds(worker)

        @worker.task
        async def endless() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                stopped.set()

    async with managed(path) as manager, pulled(path, declare) as puller:
        id = await submit(manager, "endless")
        await until(lambda: id in puller.roster.running)
        await manager.cancel(id, "me")
        await stopped.wait()
        assert (await manager.wait(id, 10)).state == "cancelled"

        await manager.pause("queue", "q", "me")
        await until(lambda: ("queue", "q") in puller.dispatcher.pauses)
        id = await submit(puller, "add", 1, 1)
        assert (await manager.job(id)).state == "queued"
        await manager.resume("queue", "q", "me")
        assert await result(manager, id) == 2


async def test_a_tick_is_one_job_however_many_there_are(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    ran: list[None] = []

    def declare(worker: EasyJobsWorker) -> None:
        @worker.task(schedule="* * * * * *", seconds=True)
        async def tick() -> None:
            ran.append(None)

    async with managed(path) as manager, pulled(path, declare), pulled(path, declare):
        await until(lambda: len(ran) >= 4)
        ticks = [job.tick for job in (await manager.queries.find(JobQuery(limit=100))).items]
        assert len(ticks) == len(set(ticks)) >= 4


async def test_without_a_leader_of_its_own_a_manager_leaves_schedules_to_a_scheduler(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    hub = Hub(SQLiteStore(str(path)), settings=HubSettings(leads=False))
    await hub.start()
    try:
        assert not hub.lead.held
        async with pulled(path, adds) as scheduler:
            await until(lambda: scheduler.lead.held)
            await until(lambda: not hub.store.single_manager)
            assert not hub.lead.held
    finally:
        await hub.stop()


async def test_a_worker_that_another_hub_held_dead_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with pulled(path, adds) as puller:
        (session,) = await puller.store.sessions()
        other = SQLiteStore(str(path), shared=True)
        await other.open()
        try:
            await other.commit([Unit([LoseSession(session.id, None, other.now())])])
        finally:
            await other.close()
        id = await submit(puller, "add", 3, 4)
        assert await result(puller, id) == 7
        (another,) = await puller.store.sessions()
        assert another.id != session.id


async def test_a_store_in_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="memory"):
        async with pulling(EasyJobsWorker("q", manager_secret="none is needed"), "memory:"):
            pass


async def test_on_postgresql_pull_workers_share_the_jobs_with_each_other_as_well(store_url: str) -> None:
    effects: Counter[int] = Counter()

    def declare(worker: EasyJobsWorker) -> None:
        @worker.task
        async def note(n: int) -> None:
            effects[n] += 1

    async with pulled(store_url, declare) as one, pulled(store_url, declare) as other:
        ids = await asyncio.gather(*(submit(one, "note", n) for n in range(200)))
        await asyncio.gather(*(result(other, id) for id in ids))
    assert effects == dict.fromkeys(range(200), 1)
