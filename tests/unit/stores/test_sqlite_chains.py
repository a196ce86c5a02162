"""Chains and schedules in the SQLite store: older files, the cost of a commit, the way to the rows, rows gone bad."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from opening import add, commit, job, opened, session

from easyjobs.core.changes import (
    AddEdge,
    Applied,
    Claim,
    Insert,
    Offer,
    PutSchedule,
    Release,
    Unit,
    Update,
    Write,
)
from easyjobs.core.job import Edge, Lane
from easyjobs.core.schedule import Rule, Schedule
from easyjobs.stores.base import JobQuery
from easyjobs.stores.sqlite import SQLiteStore, files, links, reading, texts
from easyjobs.stores.sqlite.reads import page_statement
from easyjobs.stores.sqlite.tally import Tally


def _schedule(id: str) -> Schedule:
    return Schedule(id, "etl", "load", Rule("* * * * *"))


# -- older files


async def test_a_file_of_the_first_schema_opens_with_its_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "jobs.db"
    all_of_them = files.migrations()
    monkeypatch.setattr(files, "migrations", lambda: all_of_them[:1])
    files.open_writer(str(path)).close()
    with sqlite3.connect(path) as old:
        assert old.execute("PRAGMA user_version").fetchone() == (1,)
        columns = "id, queue, task, signature, args, kwargs, state, priority, created_at, run_at, max_attempts, ready"
        row = "'etl', 'load', '', '[1]', '{}', ?, 0, 1.0, 1.0, 2, ?"
        old.execute(f"INSERT INTO jobs ({columns}) VALUES ('queued', {row})", ("queued", 1))
        old.execute(f"INSERT INTO jobs ({columns}) VALUES ('done', {row})", ("completed", None))
    old.close()
    monkeypatch.undo()
    for _ in range(2):
        async with opened(path) as store:
            jobs = await store.jobs(["queued", "done"])
            assert jobs["done"] == job("done", args="[1]", state="completed", max_attempts=2, seq=2)
            assert jobs["queued"] == job("queued", args="[1]", max_attempts=2, seq=1)
    async with opened(path) as store:
        follower = [Insert(job("f", state="waiting", deps_left=1)), AddEdge(Edge("queued", "f"), join=True)]
        await store.commit([Unit([session()]), Unit(follower)])
        offer = Offer("s1", 1, "w", 1, frozenset([Lane("etl", "load", "")]))
        (claimed,) = (await store.commit([], Claim([offer], ["t"]))).claimed
        end = Unit([Update(claimed, {"state": "completed", "finished_at": 2.0}), Release("queued")])
        assert [one.id for one in (await store.commit([end])).released] == ["f"]
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (len(all_of_them),)
    database.close()


# -- the cost of a commit


async def _statements(store: SQLiteStore, units: list[Unit]) -> int:
    """How many statements it takes to apply `units`, all of which are."""
    said: list[str] = []
    store._writer.connection.set_trace_callback(said.append)
    verdicts = (await store.commit(units)).verdicts
    store._writer.connection.set_trace_callback(None)
    assert verdicts == [Applied()] * len(units)
    return len(said)


async def test_a_thousand_chains_are_few_statements(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        units = []
        for n in range(1_000):
            waits, first = job(f"f{n}", state="waiting", deps_left=1), job(f"p{n}", followers=1)
            units.append(Unit([Insert(waits), Insert(first), AddEdge(Edge(first.id, waits.id))]))
        assert await _statements(store, units) < 50
        units = []
        for id, row in (await store.jobs([f"p{n}" for n in range(1_000)])).items():
            end = Update(row, {"state": "completed", "finished_at": 1.0})
            units.append(Unit([end, Release(id), Insert(job(f"after {id}", parent=id, relation="after"))]))
        assert await _statements(store, units) < 100


async def test_a_thousand_who_join_one_job_are_few_statements(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        await add(store, "p")
        units = [
            Unit([Insert(job(f"f{n}", state="waiting")), AddEdge(Edge("p", f"f{n}"), join=True)]) for n in range(1_000)
        ]
        assert await _statements(store, units) < 50


async def test_a_thousand_ticks_are_few_statements(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        schedules = [_schedule(f"s{n}") for n in range(1_000)]
        assert await _statements(store, [Unit([PutSchedule(schedule)]) for schedule in schedules]) < 30
        ticks = [
            Unit([PutSchedule(schedule, 1), Insert(job(f"j{schedule.id}", schedule=schedule.id, tick=60.0))])
            for schedule in schedules
        ]
        assert await _statements(store, ticks) < 50


# -- the way to the rows


@pytest.mark.parametrize("size", [1, 4])
async def test_rows_of_chains_and_schedules_are_reached_by_an_index(tmp_path: Path, size: int) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        tally = Tally([("etl", "load", "queued", 10_000)])
        # the first statement of what is coming goes through all that run, which are few
        statements = {
            **{
                name: texts.select(statement, size)
                for name, statement in (
                    ("followers", reading.WAITING),
                    ("edges", reading.EDGES),
                    ("live_of", reading.LIVE_OF),
                    ("fresh", reading.FRESH),
                    *((f"coming {n}", statement) for n, statement in enumerate(reading.COMING[1:])),
                    ("release: who", links.FOLLOWERS),
                    ("release: count", links.COUNTED),
                    ("forget", links.FORGET),
                )
            },
            "join": texts.join_jobs(size),
            "queue": texts.queue_followers(size),
            "count down": texts.count_down(size),
            "change": texts.change_schedules(size),
            "page": page_statement(JobQuery(schedule="s"), tally)[0],
            "tick": "SELECT id FROM jobs WHERE schedule = ? AND tick = ?",
        }
        for name, statement in statements.items():
            parameters = [None] * (int(max(re.findall(r"[?](\d)", statement), default=0)) or statement.count("?"))
            rows: list[Any] = store._writer.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            plan = [row[3] for row in rows]
            assert any("SEARCH" in step for step in plan), (name, plan)
            assert not any("SCAN" in step and "SCAN v" not in step and "CONSTANT" not in step for step in plan), (
                name,
                plan,
            )


# -- rows gone bad


async def test_a_schedule_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        writes: list[Write] = [PutSchedule(_schedule(id)) for id in ("s1", "s2", "s3")]
        await commit(store, *writes)
        for bad in ("CAST(x'ff7b' AS TEXT)", "'{}'"):
            store._writer.connection.execute(f"UPDATE schedules SET row = {bad} WHERE id = 's2'")
            assert [schedule.id for schedule in await store.schedules()] == ["s1", "s3"]
        assert await commit(store, PutSchedule(_schedule("s2"), 1)) == [Applied()]
        assert [schedule.version for schedule in await store.schedules()] == [1, 2, 1]


async def test_a_follower_that_cannot_be_read_keeps_nobody_from_ending(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        first = job("p", followers=2)
        await commit(store, Insert(first), *(Insert(job(id, state="waiting", deps_left=1)) for id in ("f1", "f2")))
        await commit(store, *(AddEdge(Edge("p", id)) for id in ("f1", "f2")))
        store._writer.connection.execute("UPDATE jobs SET args = CAST(x'ff' AS TEXT), task = args WHERE id = 'f1'")
        end = Unit([Update(first, {"state": "completed", "finished_at": 1.0}), Release("p")])
        committed = await store.commit([end])
        assert committed.verdicts == [Applied()]
        assert [(one.id, one.args) for one in committed.released] == [("f1", r"\xff"), ("f2", "[]")]
