"""The SQLite store when rows, disks and neighbours misbehave."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from opening import add, commit, job, opened, session

from easyjobs.core.changes import Applied, Claim, Insert, Offer, Unit, Update
from easyjobs.core.job import Job, Lane
from easyjobs.errors import StoreCorrupt, StoreFull, StoreUnavailable
from easyjobs.stores.base import JobQuery
from easyjobs.stores.sqlite import SQLiteStore, files
from easyjobs.stores.sqlite import store as store_module
from easyjobs.stores.sqlite.failures import translated

LANE = Lane("etl", "load", "")


def _claim(slots: int) -> Claim:
    return Claim([Offer("s1", 1, "w1", slots, frozenset([LANE]))], [f"t{n}" for n in range(slots)])


async def test_a_row_that_is_not_utf_8_harms_no_other_and_is_no_json(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        await commit(store, session(), *(Insert(job(f"j{n}", args='["é"]')) for n in range(3)))
        store._writer.connection.execute("UPDATE jobs SET args = CAST(x'5b22ff225d' AS TEXT) WHERE id = 'j1'")
        assert [j.args for j in (await store.jobs(["j0", "j1", "j2"])).values()] == ['["é"]', '["\\xff"]', '["é"]']
        assert [j.args for j in (await store.find(JobQuery())).items] == ['["é"]', '["\\xff"]', '["é"]']
        claimed = (await store.commit([], _claim(3))).claimed
        assert [(j.id, j.args) for j in claimed] == [("j0", '["é"]'), ("j1", '["\\xff"]'), ("j2", '["é"]')]
        assert [j.args for j in await store.running()] == ['["é"]', '["\\xff"]', '["é"]']
        assert await commit(store, Update(claimed[1], {"state": "failed", "finished_at": 1.0})) == [Applied()]


async def test_a_task_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        store._writer.connection.execute("INSERT INTO tasks VALUES ('etl', 'load', '', '{', 1.0, NULL)")
        assert await store.tasks() == []
        assert (await store.retire(1.0, None, 9)).tasks == []


@pytest.mark.parametrize(
    ("free", "total", "full"),
    [(10**9, 10**12, False), (31 * 2**20, 10**12, True), (10**6, 3 * 10**6, False), (10**5, 3 * 10**6, True)],
)
async def test_a_part_of_the_disk_is_kept_for_results(
    free: int, total: int, full: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SimpleNamespace(f_frsize=1, f_bavail=free, f_blocks=total)
    monkeypatch.setattr("easyjobs.stores.sqlite.files.os.statvfs", lambda path: disk)
    async with opened(tmp_path / "jobs.db") as store:
        assert store.nearly_full() is full
        disk.f_bavail = total
        assert store.nearly_full() is full, "it is not looked at for each job"


async def test_a_disk_that_cannot_be_asked_is_not_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(path: Path) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("easyjobs.stores.sqlite.files.os.statvfs", gone)
    async with opened(tmp_path / "jobs.db") as store:
        assert not store.nearly_full()


async def test_a_full_disk_refuses_the_commit_whole_and_is_survived(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        await add(store, "j1")
        database = store._writer.connection
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages + 2}")
        large = [job(f"large{n}", args=f'"{"x" * 9000}"') for n in range(4)]
        with pytest.raises(StoreFull):
            await store.commit([Unit([Insert(one)]) for one in large])
        with pytest.raises(StoreFull):  # the same, unit by unit: the first of them cannot be applied
            await commit(store, Insert(job("j1")), *(Insert(one) for one in large))
        assert [one.seq for one in large] == [0] * 4
        assert await store.totals() == {"queued": 1}
        assert await commit(store, Update(await _row(store, "j1"), {"priority": 1})) == [Applied()]
        database.execute("PRAGMA max_page_count = 100000")
        assert await commit(store, *(Insert(one) for one in large)) == [Applied()] * 4
        assert [one.seq for one in large] == [2, 3, 4, 5]


async def _row(store: SQLiteStore, id: str) -> Job:
    return (await store.jobs([id]))[id]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (sqlite3.SQLITE_FULL, StoreFull),
        (sqlite3.SQLITE_CORRUPT, StoreCorrupt),
        (sqlite3.SQLITE_CORRUPT_VTAB, StoreCorrupt),
        (sqlite3.SQLITE_NOTADB, StoreCorrupt),
        (sqlite3.SQLITE_BUSY, StoreUnavailable),
        (sqlite3.SQLITE_READONLY, StoreUnavailable),
        (sqlite3.SQLITE_IOERR, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreUnavailable),
        (sqlite3.SQLITE_CANTOPEN, StoreUnavailable),
        (sqlite3.SQLITE_NOMEM, StoreUnavailable),
    ],
)
def test_every_failure_of_sqlite_has_its_error(code: int, error: type[Exception]) -> None:
    failure = sqlite3.OperationalError("words")
    failure.sqlite_errorcode = code
    assert type(translated(failure, "jobs.db")) is error


# -- neighbours


async def test_a_commit_waits_for_another_process_that_holds_the_write_lock(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path) as store:
        other = files.FileLock(f"{path}.lock")
        assert other.acquire()
        pending = asyncio.ensure_future(add(store, "j1"))
        await asyncio.sleep(0.01)
        assert not pending.done()
        other.release()
        await pending
        other.close()
        assert await store.totals() == {"queued": 1}


async def test_a_commit_waits_for_a_stranger_that_holds_sqlites_own_lock(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path) as store:
        stranger = sqlite3.connect(path, isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        pending = asyncio.ensure_future(add(store, "j1"))
        await asyncio.sleep(0.01)
        assert not pending.done()
        stranger.execute("ROLLBACK")
        await pending
        stranger.close()


async def test_a_lock_that_is_never_given_back_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "PATIENCE", 3)
    path = tmp_path / "jobs.db"
    async with opened(path) as store:
        other = files.FileLock(f"{path}.lock")
        assert other.acquire()
        with pytest.raises(StoreUnavailable, match="locked"):
            await add(store, "j1")
        other.close()
        await add(store, "j1")


NEIGHBOUR = """
import fcntl, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
print("ready", flush=True)
with open(sys.argv[1] + ".lock", "r+") as lock:
    for n in range(40):
        fcntl.flock(lock, fcntl.LOCK_EX)
        database.execute("BEGIN IMMEDIATE")
        database.execute(
            "INSERT INTO jobs (id, queue, task, signature, args, kwargs, state, priority, created_at, run_at,"
            " max_attempts, ready) VALUES (?, 'etl', 'clean', '', '[]', '{}', 'queued', 0, 1, 1, 1, 1)", (f"theirs{n}",)
        )
        database.execute("COMMIT")
        fcntl.flock(lock, fcntl.LOCK_UN)
database.close()
"""


async def test_another_process_that_takes_the_lock_may_write_the_file_too(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path) as store:
        neighbour = subprocess.Popen([sys.executable, "-c", NEIGHBOUR, str(path)], stdout=subprocess.PIPE)
        assert neighbour.stdout is not None
        assert neighbour.stdout.readline() == b"ready\n"
        ours = [job(f"ours{n}") for n in range(400)]
        for one in ours:
            assert await commit(store, Insert(one)) == [Applied()]
        assert neighbour.wait(20) == 0
        neighbour.stdout.close()
        assert await store.totals() == {"queued": 440}
        assert [(count.task, count.jobs) for count in await store.counts()] == [("clean", 40), ("load", 400)]
        rows = await store.jobs([one.id for one in ours])
        assert all(rows[one.id].seq == one.seq for one in ours)
        await commit(store, session())
        offer = Offer("s1", 1, "w1", 500, frozenset([LANE, Lane("etl", "clean", "")]))
        assert len((await store.commit([], Claim([offer], ["t"] * 500))).claimed) == 440


KILLED = """
import asyncio, os, signal, sys
from easyjobs.core.changes import *
from easyjobs.core.job import *
from easyjobs.stores.sqlite import SQLiteStore

async def main(path, last):
    store = SQLiteStore(path)
    await store.open()
    (old,) = (await store.jobs(["old"])).values()
    statements = 0
    def count(statement):
        nonlocal statements
        statements += 1
        if statements == last:
            os.kill(os.getpid(), signal.SIGKILL)
    store._writer.connection.set_trace_callback(count)
    jobs = [Job(f"new{n}", "etl", "load", created_at=1.0, run_at=1.0) for n in range(20)]
    lane = Lane("etl", "load", "")
    await store.commit(
        [
            *(Unit([Insert(job)]) for job in jobs),
            Unit([Update(old, {"state": "completed", "finished_at": 1.0}), AppendLogs("old", [(1, 1.0, "info", "x")])]),
        ],
        Claim([Offer("s1", 1, "w1", 5, frozenset([lane]))], ["t"] * 5),
    )
    store._writer.connection.set_trace_callback(None)
    print("committed", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def test_a_manager_killed_between_any_two_statements_leaves_a_whole_commit_or_none(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    for last in range(1, 40):
        path.unlink(missing_ok=True)
        async with opened(path) as store:
            await commit(store, session(), Insert(job("old", task="clean")))
        script = [sys.executable, "-c", KILLED, str(path), str(last)]
        said = subprocess.run(script, stdout=subprocess.PIPE, check=False).stdout
        async with opened(path) as store:
            totals = await store.totals()
            logs = len(await store.logs("old"))
            lanes = await store.lanes()
        if said == b"committed\n":
            assert (totals, logs, lanes) == ({"completed": 1, "queued": 15, "running": 5}, 1, [LANE])
            break
        assert (totals, logs, lanes) == ({"queued": 1}, 0, [Lane("etl", "clean", "")])
    assert last > 8, "the commit has more statements than that: the trace did not see them"
    assert said == b"committed\n"
