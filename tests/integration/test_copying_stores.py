"""`easyjobs db copy`: a SQLite file with all that may be in one, taken over into PostgreSQL, live state included."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sysconfig
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner, Result

from easyjobs.cli.commands import commands
from easyjobs.core.changes import (
    APPLIED,
    AddEdge,
    AppendLogs,
    Charge,
    Claim,
    Delete,
    Insert,
    Offer,
    PutFresh,
    PutPause,
    PutSchedule,
    PutSession,
    PutTask,
    Release,
    Stale,
    Unit,
    Update,
    Write,
)
from easyjobs.core.job import Attempt, Edge, Job, Lane, Session
from easyjobs.core.schedule import Rule, Schedule
from easyjobs.core.signature import Signature
from easyjobs.core.task import TaskSpec
from easyjobs.stores import open_store
from easyjobs.stores.base import JobQuery, Store
from easyjobs.stores.postgres.address import address_of

COMMAND = str(Path(sysconfig.get_path("scripts")) / "easyjobs")
LANE = Lane("etl", "load", "")
IDS = ["done", "running", "follower", "first", "retry", "later", "run", "node", *(f"j{n}" for n in range(3_000))]


def copy(source: str, target: str) -> Result:
    return CliRunner().invoke(commands, ["db", "copy", source, target])


async def commit(store: Store, *writes: Write) -> None:
    assert (await store.commit([Unit([write]) for write in writes])).verdicts == [APPLIED] * len(writes)


async def fill(store: Store) -> None:
    """A bit of everything."""
    now = store.now()
    await commit(
        store,
        PutSession(Session("s", "w", "w", "h", 1, "live", now, now + 60, units=5)),
        PutTask(TaskSpec("etl", "load", Signature()), now),
        PutPause("queue", "mail", "ann", now),
        PutSchedule(Schedule("etl:load", "etl", "load", Rule("0 7 * * *", "Europe/Paris"), "ü", next_at=now + 9)),
        PutSchedule(Schedule("etl:load", "etl", "load", Rule("0 8 * * *")), 1),
        PutFresh(["k"], now, now + 100),
        Insert(Job("done", "etl", "load", created_at=now, run_at=now, key="k", body="b", priority=2)),
        Insert(Job("running", "etl", "load", created_at=now, run_at=now, priority=1, kwargs='{"é":"\\u0000"}')),
    )
    done, _ = (await store.commit([], Claim([Offer("s", 1, "w", 2, frozenset([LANE]))], ["t1", "t2"]))).claimed
    gone = Job("gone", "etl", "load", created_at=now, run_at=now)
    await commit(
        store,
        Update(done, {"state": "completed", "finished_at": now, "result": '"é"'}),
        AppendLogs("running", [(1, now, "info", "a line"), (1, now, "error", "\0 and \x1b")], "child", 3),
        Insert(Job("follower", "etl", "load", state="waiting", created_at=now, run_at=now, deps_left=2)),
        Insert(Job("first", "etl", "clean", created_at=now, run_at=now, followers=1)),
        AddEdge(Edge("first", "follower", "skip")),
        AddEdge(Edge("running", "follower"), join=True),
        Insert(Job("retry", "etl", "load", state="retry", created_at=now, run_at=now + 60, failures=1)),
        Insert(Job("later", "etl", "load", created_at=now, run_at=now + 3600, deadline=now + 7200)),
        Insert(Job("run", "etl", "flow", state="waiting", turn="close", deps_left=1, holds="etl:flow", run_at=now)),
        Insert(Job("node", "etl", "load", run="run", node="first", followers=1, late_at=now, priority=-1, run_at=now)),
        AddEdge(Edge("node", "run", "count")),
        *(Insert(Job(f"j{n}", "etl", "many", created_at=now, run_at=now)) for n in range(3_000)),
        Insert(gone),
        Delete(gone),
    )
    retry = (await store.jobs(["retry"]))["retry"]
    await commit(store, Update(retry, {"priority": 3}, Attempt("retry", 1, "w", now, now, "failed", "{}")))


async def everything(store: Store) -> list[object]:
    """All that can be asked of a store, but for the lead."""
    return [
        await store.find(JobQuery(limit=10_000)),
        await store.running(),
        await store.lanes(),
        await store.counts(),
        await store.totals(),
        await store.next_due(),
        await store.tasks(),
        await store.pauses(),
        await store.schedules(),
        await store.sessions(0.0),
        await store.edges(IDS),
        await store.followers(IDS),
        await store.fresh(["k"]),
        await store.by_run(["run"]),
        [job.id for job in await store.late(10)],
        await store.attempts("retry"),
    ]


def test_everything_is_taken_over_and_goes_on(tmp_path: Path, store_url: str) -> None:
    source = f"sqlite:///{tmp_path}/jobs.db"

    async def before() -> list[object]:
        store = open_store(source)
        await store.open()
        await fill(store)
        found = await everything(store)
        await store.close()
        return found

    async def after() -> list[object]:
        store = open_store(store_url)
        await store.open()
        found = await everything(store)
        lines = await store.logs("running")
        assert [(line.n, line.level, line.text) for line in lines] == [
            (3, "info", "a line"),
            (4, "error", "\ufffd and \x1b"),
        ]
        assert found[-3:-1] == [{"run": {"queued": 1}}, ["node"]]
        charged = await store.commit([Unit([Charge("etl:flow", most)]) for most in (1, 2)])
        assert charged.verdicts == [Stale("room"), APPLIED]
        # the worker that was at it goes on, and its job's follower with it
        job = (await store.jobs(["running"]))["running"]
        end = Update(job, {"state": "completed", "finished_at": store.now()})
        assert (await store.commit([Unit([end, Release("running")])])).verdicts == [APPLIED]
        assert (await store.jobs(["follower"]))["follower"].deps_left == 1
        new = Job("new", "etl", "load", created_at=store.now(), run_at=store.now())
        await commit(store, AppendLogs("running", [(1, 1.0, "info", "again")], "child", 4), Insert(new))
        assert new.seq == len(IDS) + 2, "no job gets the number of another, not of one that was deleted"
        assert len(await store.logs("running")) == 2
        await store.close()
        return found

    expected = asyncio.run(before())
    copied = copy(source, store_url)
    assert copied.exit_code == 0, copied.output
    assert copied.output.splitlines()[1].split() == ["jobs", str(len(IDS))]
    assert asyncio.run(after()) == expected
    again = copy(source, store_url)
    assert (again.exit_code, "is not empty" in again.output) == (1, True)


def test_nothing_is_kept_of_a_copy_that_cannot_be_made_whole(tmp_path: Path, store_url: str) -> None:
    source = f"sqlite:///{tmp_path}/jobs.db"

    async def fill_in() -> None:
        store = open_store(source)
        await store.open()
        await fill(store)
        await store.close()

    async def jobs() -> object:
        store = open_store(store_url)
        await store.open()
        found = await store.totals()
        await store.close()
        return found

    asyncio.run(fill_in())
    with sqlite3.connect(tmp_path / "jobs.db") as connection:
        connection.execute("INSERT INTO edges (prerequisite, follower, bad) VALUES (?, 'f', 'fail')", ("x" * 99_999,))
        connection.execute("UPDATE jobs SET id = ? WHERE id = 'j7'", ("".join(map(chr, range(1_000, 9_000))),))
    connection.close()
    refused = copy(source, store_url)
    assert (refused.exit_code, "cannot be written" in refused.output) == (1, True), refused.output
    assert asyncio.run(jobs()) == {}


async def test_a_copy_that_is_killed_half_way_is_made_anew(tmp_path: Path, store_url: str) -> None:
    source, store = open_store(f"sqlite:///{tmp_path}/jobs.db"), open_store(store_url)
    await source.open()
    await fill(source)
    await source.close()
    await store.open()
    await store.close()
    address = address_of(store_url)
    here = await asyncpg.connect(address.dsn, server_settings={"search_path": address.schema})
    try:
        lock = os.getpid()
        # the jobs are written, and it waits for us before it writes the sessions
        await here.execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$BEGIN PERFORM pg_advisory_xact_lock({lock}); RETURN new; END$$;"
            "CREATE TRIGGER wait BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION wait()"
        )
        await here.execute("SELECT pg_advisory_lock($1)", lock)
        command = (COMMAND, "db", "copy", f"sqlite:///{tmp_path}/jobs.db", store_url)
        copying = await asyncio.create_subprocess_exec(*command)
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted"
        async with asyncio.timeout(20):
            while not await here.fetchval(waiting, lock):
                await asyncio.sleep(0.01)
        copying.kill()
        await copying.wait()
        await here.execute("SELECT pg_advisory_unlock_all()")
        async with asyncio.timeout(20):
            while await here.fetchval("SELECT count(*) FROM pg_locks WHERE relation = 'jobs'::regclass"):
                await asyncio.sleep(0.01)  # the server notices that nobody is there
        assert not await here.fetchval("SELECT count(*) FROM jobs")
        await here.execute("DROP TRIGGER wait ON sessions")
    finally:
        await here.close()
    again = await asyncio.to_thread(copy, f"sqlite:///{tmp_path}/jobs.db", store_url)
    assert again.output.splitlines()[1].split() == ["jobs", str(len(IDS))], again.output


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        ("memory:", "postgresql://db/jobs", "A SQLite file is copied"),
        ("sqlite:///{}/jobs.db", "memory:", "A SQLite file is copied"),
        ("sqlite:///{}/jobs.db", "sqlite:///{}/other.db", "A SQLite file is copied"),
        ("sqlite:///{}/none.db", "postgresql://db/jobs", "There is no store"),
    ],
)
def test_only_a_file_is_copied_and_only_into_postgresql(tmp_path: Path, source: str, target: str, why: str) -> None:
    refused = copy(source.format(tmp_path), target.format(tmp_path))
    assert (refused.exit_code, why in refused.output) == (1, True)


def test_nothing_is_copied_while_a_manager_is_at_work(tmp_path: Path, store_url: str) -> None:
    source = f"sqlite:///{tmp_path}/jobs.db"
    old, new = open_store(source), open_store(store_url)
    with asyncio.Runner() as loop:
        loop.run(old.open())
        assert "in use by another manager" in copy(source, store_url).output
        loop.run(old.close())
        loop.run(new.open())
        loop.run(new.lead("m", 60.0))
        assert "A manager uses" in copy(source, store_url).output
        loop.run(new.close())
