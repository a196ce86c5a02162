"""Where the SQLite store does its work: on the loop, in its thread, in a runner given from outside."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from opening import add, commit, job, opened

from easyjobs.core.changes import AppendLogs, Delete, Insert, Unit, Update
from easyjobs.core.job import Attempt
from easyjobs.errors import StoreUnavailable
from easyjobs.stores.base import Retention
from easyjobs.stores.sqlite import SQLiteStore, reads
from easyjobs.testing.clock import HandClock

T = TypeVar("T")


def _watch(store: SQLiteStore) -> set[str]:
    """The names of the threads in which statements run from now on."""
    threads: set[str] = set()
    store._writer.connection.set_trace_callback(lambda _: threads.add(threading.current_thread().name))
    return threads


async def test_a_small_commit_runs_on_the_loop_and_a_large_one_in_the_thread(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        threads = _watch(store)
        await add(store, "j1")
        assert threads == {"MainThread"}
        threads.clear()
        await add(store, *(f"large{n}" for n in range(2_000)))
        assert threads == {"easyjobs-store_0"}
        threads.clear()
        await store.commit([Unit([Insert(job(f"unit{n}")) for n in range(2_000)])])
        assert threads == {"easyjobs-store_0"}


class SlowClock(HandClock):
    """Shows `pace` seconds more at each look."""

    pace = 0.0

    def monotonic(self) -> float:
        self.advance(self.pace)
        return super().monotonic()


async def test_a_slow_disk_gets_a_thread_until_it_is_fast_again(tmp_path: Path) -> None:
    clock = SlowClock()
    async with opened(tmp_path / "jobs.db", clock=clock) as store:
        threads = _watch(store)
        clock.pace = 0.05
        for n in range(4):
            await add(store, f"slow{n}")
        assert threads == {"MainThread", "easyjobs-store_0"}
        clock.pace = 0.0
        for n in range(20):
            await add(store, f"fast{n}")
        threads.clear()
        await add(store, "last")
        assert threads == {"MainThread"}


async def test_a_runner_from_outside_runs_all_of_it(tmp_path: Path) -> None:
    ran = 0

    async def runner(work: Callable[[], T], /) -> T:
        nonlocal ran
        ran += 1
        await asyncio.sleep(0)
        return work()

    async with opened(tmp_path / "jobs.db", runner=runner) as store:
        opening = ran
        assert opening
        await add(store, "j1")
        await store.jobs(["j1"])
        assert ran == opening + 2


async def test_who_stops_waiting_for_the_thread_does_not_free_the_connection_early(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        reached, go_on = threading.Event(), threading.Event()

        def hold(statement: str) -> None:
            if statement.startswith("INSERT"):
                reached.set()
                assert go_on.wait(10)

        store._writer.connection.set_trace_callback(hold)
        large = asyncio.ensure_future(add(store, *(f"large{n}" for n in range(2_000))))
        await asyncio.to_thread(reached.wait, 10)
        small = asyncio.ensure_future(store.totals())
        for _ in range(2):  # nor does asking twice
            large.cancel()
            await asyncio.sleep(0.01)
        assert not large.done()
        assert not small.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await large
        assert await small == {"queued": 2_000}


async def test_calls_at_once_take_turns(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        batches = [[f"b{b}j{n}" for n in range(1 if b % 2 else 2_000)] for b in range(6)]
        await asyncio.gather(*(add(store, *batch) for batch in batches), store.running(), store.counts())
        assert await store.totals() == {"queued": 6_003}


async def test_closing_waits_for_the_commit_under_way(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        writing = asyncio.ensure_future(add(store, *(f"j{n}" for n in range(2_000))))
        await asyncio.sleep(0)
        await store.close()
        await writing
        with pytest.raises(StoreUnavailable):
            await store.totals()


async def test_the_log_of_writes_does_not_grow_without_bound(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path) as store:
        for batch in range(120):
            await add(store, *(f"b{batch}j{n}" for n in range(200)))
        assert Path(f"{path}-wal").stat().st_size < 12 * 2**20
    assert not Path(f"{path}-wal").exists(), "closing tidies up"


async def test_a_removed_job_leaves_nothing_behind(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        jobs = [job("deleted"), job("pruned", state="failed", finished_at=1.0)]
        past = Attempt("", 1, "w", 1.0, 2.0, "returned")
        await commit(store, *(Insert(one) for one in jobs))
        await commit(store, *(AppendLogs(one.id, [(1, 1.0, "info", "x")]) for one in jobs))
        await commit(store, *(Update(one, {"priority": 1}, past=past) for one in jobs))
        await commit(store, Delete((await store.jobs(["deleted"]))["deleted"]))
        assert await store.prune(Retention(), 10) == 1
        for table in ("jobs", "logs", "attempts"):
            assert store._writer.connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


async def test_pruning_takes_turns_with_commits_and_remembers_where_it_was(tmp_path: Path) -> None:
    clock = HandClock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reads, "WINDOW", 100)
        async with opened(tmp_path / "jobs.db", clock=clock) as store:
            now = store.now()
            old = [job(f"j{n}", state="completed", finished_at=now) if n >= 250 else job(f"j{n}") for n in range(500)]
            await store.commit([Unit([Insert(one)]) for one in old])
            clock.advance(10)
            removed = [await store.prune(Retention(1, 1), 1_000) for _ in range(6)]
            assert removed == [0, 0, 50, 100, 100, 0]
            assert await store.totals() == {"queued": 250}
