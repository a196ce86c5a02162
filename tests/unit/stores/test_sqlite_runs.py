"""What runs need of the SQLite store: all of it is reached by an index, whatever else there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from opening import commit, job, opened, session

from easyjobs.core.changes import AddEdge, Applied, Charge, Insert, Release, Unit, Update, Write
from easyjobs.core.job import Edge
from easyjobs.stores.base import JobQuery
from easyjobs.stores.sqlite import SQLiteStore, reading, texts
from easyjobs.stores.sqlite.reads import page_statement
from easyjobs.stores.sqlite.tally import Tally

TALLY = Tally([("etl", "load", "waiting", 10_000), ("etl", "load", "queued", 10_000), ("etl", "load", "failed", 9)])


def plan_of(store: SQLiteStore, statement: str) -> str:
    rows = store._writer.connection.execute(f"EXPLAIN QUERY PLAN {statement}", [None] * statement.count("?"))
    return "; ".join(row[3] for row in rows.fetchall())


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (JobQuery(runs=True), "jobs_runs"),
        (JobQuery(runs=True, queue="etl", task="load"), "jobs_runs"),
        (JobQuery(runs=True, state="queued"), "jobs_runs"),
        (JobQuery(runs=True, state="failed"), "jobs_runs"),
        (JobQuery(runs=True, state="waiting"), "jobs_running"),
        (JobQuery(run="r", state="waiting"), "jobs_run"),
        (JobQuery(run="r", queue="etl", task="load"), "jobs_run"),
    ],
    ids=str,
)
async def test_pages_of_runs_and_of_their_jobs_go_by_their_own_indexes(
    tmp_path: Path, query: JobQuery, index: str
) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        assert re.search(rf"INDEX {index}\b", plan_of(store, page_statement(query, TALLY)[0]))


async def test_counters_are_counted_in_one_index(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        assert plan_of(store, reading.HELD) == "SEARCH jobs USING INDEX jobs_running (holds=?)"


async def test_a_job_that_is_no_run_and_holds_nothing_is_in_no_index_of_runs(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        await commit(store, session(), *(Insert(job(f"j{n}", state="waiting", deps_left=1)) for n in range(3)))
        for where in (texts.UNDER_WAY, texts.RUN, "run IS NOT NULL", "late_at IS NOT NULL AND ready IS NOT NULL"):
            (number,) = store._writer.connection.execute(f"SELECT count(*) FROM jobs WHERE {where}").fetchone()
            assert number == 0


async def test_runs_that_become_their_nodes_are_written_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the last page of a long one, which lets go those that it brings."""

    def alone(*_: object) -> None:
        raise AssertionError("the batch was written unit by unit")

    monkeypatch.setattr("easyjobs.stores.sqlite.writer.apply_each", alone)
    async with opened(tmp_path / "jobs.db") as store:
        await commit(store, *(Insert(job(f"r{n}", turn="expand")) for n in range(3)))
        units = []
        for run in (await store.jobs(["r0", "r1", "r2"])).values():
            begins = {"state": "waiting", "turn": "close", "deps_left": 1, "holds": "etl:load"}
            node = job(f"node of {run.id}", run=run.id, state="waiting", deps_left=1, followers=1)
            writes: list[Write] = [Charge("etl:load", 3), Update(run, begins), Insert(node)]
            writes += [AddEdge(Edge(node.id, run.id, "count")), AddEdge(Edge(run.id, node.id), join=True)]
            units.append(Unit([*writes, Release(run.id)]))
        committed = await store.commit(units)
        assert committed.verdicts == [Applied()] * 3
        assert [row.id for row in committed.released] == [f"node of r{n}" for n in range(3)]
