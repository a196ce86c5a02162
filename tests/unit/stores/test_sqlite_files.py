"""The SQLite store and its file: who may open it, and what is refused at the door."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from opening import add, commit, job, opened

from easyjobs.core.changes import Insert
from easyjobs.errors import StoreCorrupt, StoreLocked, StoreUnavailable
from easyjobs.stores.sqlite import SQLiteStore, files


async def test_a_second_manager_is_told_which_file_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path):
        with pytest.raises(StoreLocked) as refusal:
            await SQLiteStore(str(path)).open()
        assert str(path) in str(refusal.value)
        assert "PostgreSQL" in str(refusal.value)
    async with opened(path):
        pass


async def test_a_second_manager_in_another_process_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    script = (
        "import asyncio, sys\nfrom easyjobs.errors import StoreLocked\nfrom easyjobs.stores.sqlite import SQLiteStore\n"
        "try: asyncio.run(SQLiteStore(sys.argv[1]).open())\nexcept StoreLocked: sys.exit(7)"
    )
    async with opened(path):
        assert subprocess.run([sys.executable, "-c", script, str(path)]).returncode == 7


async def test_a_store_cannot_be_opened_twice(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as store:
        with pytest.raises(StoreLocked):
            await store.open()
        await add(store, "j1")


async def test_a_refused_manager_leaves_the_file_to_others(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path) as store:
        with pytest.raises(StoreLocked):
            await SQLiteStore(str(path)).open()
        await add(store, "j1")


async def test_a_schema_of_a_newer_version_is_refused_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path):
        pass
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreCorrupt, match="schema 99"):
        await SQLiteStore(str(path)).open()


async def test_another_programs_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE jobs (mine)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match="not a store of easyjobs"):
        await SQLiteStore(str(path)).open()
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("not a database, but a text that is longer than a header of a hundred bytes. " * 3)
    with pytest.raises(StoreCorrupt):
        await SQLiteStore(str(path)).open()


async def test_a_damaged_page_is_found_at_the_door(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path) as store:
        await add(store, *(f"j{n}" for n in range(300)))
    content = bytearray(path.read_bytes())
    with sqlite3.connect(path) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'jobs_id'").fetchone()
    database.close()
    content[(page - 1) * 4096 : (page - 1) * 4096 + 200] = b"\xee" * 200
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="damaged"):
        await SQLiteStore(str(path)).open()
    with pytest.raises(StoreCorrupt, match="damaged"):  # and nothing is left locked
        await SQLiteStore(str(path)).open()


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = Path("/sys")  # where not even root may make a file
    if os.geteuid() != 0:
        folder = tmp_path / "closed"
        folder.mkdir(mode=0o500)
    with pytest.raises(StoreUnavailable, match=str(folder)):
        await SQLiteStore(str(folder / "jobs.db")).open()


async def test_a_folder_that_is_missing_or_stands_in_the_way_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="does not exist"):
        await SQLiteStore(str(tmp_path / "none" / "jobs.db")).open()
    with pytest.raises(StoreUnavailable, match="is a folder"):
        await SQLiteStore(str(tmp_path)).open()


async def test_the_schema_is_made_in_one_piece_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "jobs.db"
    good = files.migrations()
    monkeypatch.setattr(files, "migrations", lambda: [*good, "CREATE TABLE one (x); CREATE TABLE jobs (x);"])
    with pytest.raises(StoreUnavailable, match="already exists"):
        await SQLiteStore(str(path)).open()
    monkeypatch.setattr(files, "migrations", lambda: [*good, "CREATE TABLE one (x);"])
    for _ in range(2):
        async with opened(path) as store:
            await commit(store, Insert(job("j1")))
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (len(good) + 1,)
    database.close()


async def test_the_locks_are_free_when_the_store_is_closed_and_only_then(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path):
        assert _is_locked(f"{path}.manager.lock")
        assert not _is_locked(f"{path}.lock"), "the write lock is held in transactions only"
    assert not _is_locked(f"{path}.manager.lock")


def _is_locked(path: str) -> bool:
    with Path(path).open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
