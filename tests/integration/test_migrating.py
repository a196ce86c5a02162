"""Stores that older versions left, with jobs in them: today's version takes them over and runs all of it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from click.testing import CliRunner

from easyjobs import EasyJobsWorker, JobMaster
from easyjobs.background import Nursery
from easyjobs.cli.commands import commands
from easyjobs.core.job import Job
from easyjobs.core.schedule import Rule, Schedule
from easyjobs.errors import StoreCorrupt
from easyjobs.hub.embedded import connect
from easyjobs.hub.hub import Hub
from easyjobs.hub.settings import HubSettings
from easyjobs.stores import open_store
from easyjobs.stores.postgres import schema as postgres_schema
from easyjobs.stores.postgres.address import address_of
from easyjobs.stores.sqlite import files
from easyjobs.wire.link import Link

LONG_AGO = 1_700_000_000.0
LIVE = ("queued", "due", "retry", "running", "first")


def rows(signature: str) -> list[dict[str, Any]]:
    """Jobs as every version has them, in all states in which a manager may leave one."""
    usual = {
        "queue": "old",
        "task": "load",
        "signature": signature,
        "args": "[]",
        "kwargs": '{"n": 1}',
        "priority": 0,
        "created_at": LONG_AGO,
        "run_at": LONG_AGO,
        "max_attempts": 3,
    }
    return [
        {**usual, "id": "queued", "state": "queued", "ready": 1},
        {**usual, "id": "due", "state": "queued", "ready": 0, "deadline": LONG_AGO + 1e10},
        {**usual, "id": "retry", "state": "retry", "ready": 0, "attempt": 1, "failures": 1, "version": 3},
        {
            **usual,
            "id": "running",
            "state": "running",
            "ready": None,
            "attempt": 1,
            "token": "t",
            "session": "s",
            "worker": "w",
        },
        {**usual, "id": "first", "state": "queued", "ready": 1, "key": "k", "unique_key": "u"},
        {
            **usual,
            "id": "done",
            "state": "completed",
            "ready": None,
            "attempt": 1,
            "finished_at": time.time(),
            "result": '"é"',
        },
    ]


CHAIN = {"id": "follower", "state": "waiting", "ready": 2, "deps_left": 1}
SESSION = {
    "id": "s",
    "worker_id": "w",
    "name": "w",
    "host": "h",
    "epoch": 1,
    "state": "live",
    "started_at": LONG_AGO,
    "expires_at": LONG_AGO + 60,
    "queues": '["old"]',
    "slots": 1,
    "version": "0.1",
    "embedded": "a process that is gone",
}
LATER = {"offers": "[]", "manager": "m", "system": ""}  # columns of sessions that newer versions added
EDGE = {"prerequisite": "first", "follower": "follower", "bad": "skip"}
DOCUMENT = msgspec.json.encode(
    Schedule("nightly", "old", "load", Rule("* * * * *"), next_at=LONG_AGO, source="api")
).decode()


def a_worker(hub: Hub, nursery: Nursery) -> EasyJobsWorker:
    async def dial() -> Link:
        return connect(hub, nursery)

    worker = EasyJobsWorker("old", name="new", connect=dial, embedded=True)

    @worker.task
    def load(n: int = 0) -> int:
        return n + 1

    return worker


def known_task() -> dict[str, Any]:
    """The row of the task, which has not changed meanwhile."""
    (spec,) = a_worker(None, None).specs()  # type: ignore[arg-type]
    document = msgspec.json.encode(spec).decode()
    return {"queue": "old", "name": "load", "signature": spec.lane.signature, "spec": document, "seen_at": LONG_AGO}


async def run_all(url: str, wanted: set[str], ticks: bool) -> dict[str, Job]:
    """The jobs, once those that are `wanted` have ended, and one of the schedule where it `ticks`."""
    hub, nursery = Hub(open_store(url), settings=HubSettings(lease=3.0, heartbeat=0.5)), Nursery("test")
    ended: asyncio.Queue[Job] = asyncio.Queue()
    hub.announcer.watchers.append(ended.put_nowait)
    await hub.start()
    worker = a_worker(hub, nursery)
    await worker.start()
    left = set(wanted)
    try:
        async with asyncio.timeout(20):
            while left or ticks:
                job = await ended.get()
                left.discard(job.id)
                ticks = ticks and job.schedule != "nightly"
        return await hub.store.jobs([*wanted, "done"])
    finally:
        await worker.stop()
        await hub.stop()
        await nursery.close()


def is_well(found: dict[str, Job], wanted: set[str]) -> None:
    assert {id: (job.state, job.result) for id, job in found.items()} == {
        **dict.fromkeys(wanted, ("completed", "2")),
        "done": ("completed", '"é"'),
    }
    assert [(id, found[id].attempt, found[id].crashes) for id in ("queued", "retry", "running")] == [
        ("queued", 1, 0),
        ("retry", 2, 0),
        ("running", 2, 1),
    ]


async def make(url: str) -> None:
    store = open_store(url)
    await store.open()
    await store.close()


def only(number: int, scripts: Callable[[], list[str]]) -> Callable[[], list[str]]:
    return lambda: scripts()[:number]


@pytest.mark.parametrize("version", range(1, len(postgres_schema.scripts())))
async def test_postgresql_of_an_older_version(store_url: str, version: int) -> None:
    with pytest.MonkeyPatch.context() as older:
        older.setattr(postgres_schema, "scripts", only(version, postgres_schema.scripts))
        await make(store_url)
    address = address_of(store_url)
    task = known_task()
    old = rows(task["signature"])
    connection = await asyncpg.connect(address.dsn, server_settings={"search_path": address.schema})
    try:
        follower = {**old[0], **CHAIN}
        old[4]["followers"] = 1
        tables = [*(("jobs", row) for row in [*old, follower]), ("sessions", {**SESSION, **LATER}), ("edges", EDGE)]
        tables += [("tasks", task), ("schedules", {"id": "nightly", "document": DOCUMENT, "version": 4})]
        for table, row in tables:
            columns, places = ", ".join(row), ", ".join(f"${n}" for n in range(1, len(row) + 1))
            await connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", *row.values())
    finally:
        await connection.close()
    wanted = {*LIVE, "follower"}
    is_well(await run_all(store_url, wanted, ticks=True), wanted)


@pytest.mark.parametrize("version", range(1, len(files.migrations())))
async def test_a_file_of_an_older_version(tmp_path: Path, version: int) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    with pytest.MonkeyPatch.context() as older:
        older.setattr(files, "migrations", only(version, files.migrations))
        file = sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)
        files._migrate(file)
    task = known_task()
    old = rows(task["signature"])
    wanted = {*LIVE}
    tables: list[tuple[str, dict[str, Any]]] = [("sessions", SESSION), ("tasks", task)]
    if version >= 2:
        wanted.add("follower")
        old[4]["followers"] = 1
        tables += [("jobs", {**old[0], **CHAIN}), ("edges", EDGE)]
        tables += [("schedules", {"id": "nightly", "row": DOCUMENT, "version": 4})]
    for table, row in [*tables, *(("jobs", row) for row in old)]:
        columns, places = ", ".join(row), ", ".join("?" * len(row))
        file.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", tuple(row.values()))
    file.close()
    is_well(await run_all(url, wanted, ticks=version >= 2), wanted)


async def test_what_a_newer_version_made_is_refused_everywhere_in_one_sentence(store_url: str) -> None:
    await make(store_url)
    address = address_of(store_url)
    connection = await asyncpg.connect(address.dsn)
    await connection.execute(f"INSERT INTO {address.schema}.migrations (number) VALUES (999)")
    await connection.close()
    refusal = "has schema 999, this version of easyjobs knows"
    for command in ("status", "init", "migrate"):
        done = await asyncio.to_thread(CliRunner().invoke, commands, ["db", command, "--store", store_url])
        assert (done.exit_code, done.output.count(refusal)) == (1, 1), done.output
    hub = Hub(open_store(store_url))
    with pytest.raises(StoreCorrupt, match=refusal):
        await hub.start()
    jobmaster = JobMaster(store_url, schema=address.schema, modules=[])
    with pytest.raises(StoreCorrupt, match=refusal):
        await jobmaster.deploy_async()
    with pytest.raises(StoreCorrupt, match=refusal):
        await jobmaster.run_async()
