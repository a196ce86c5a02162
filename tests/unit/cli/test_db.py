"""`easyjobs db`, on a file and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from easyjobs.cli.commands import commands
from easyjobs.core.changes import Insert, Unit
from easyjobs.core.job import Job
from easyjobs.stores import open_store


def db(*arguments: str, said: str = "") -> Result:
    return CliRunner().invoke(commands, ["db", *arguments], input=said)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    found: str = request.getfixturevalue("store_url")
    return found


def add_jobs(url: str, number: int) -> None:
    async def add() -> None:
        store = open_store(url)
        await store.open()
        await store.commit([Unit([Insert(Job(f"j{n}", "q", "t"))]) for n in range(number)])
        await store.close()

    asyncio.run(add())


def test_tables_are_made_shown_and_removed(url: str) -> None:
    missing = db("status", "--store", url)
    assert (missing.exit_code, "no tables yet" in missing.output) == (1, True)
    made = db("init", "--store", url)
    assert (made.exit_code, made.output.endswith("made\n")) == (0, True)
    for again in ("init", "migrate"):
        assert "nothing to do" in db(again, "--store", url).output
    assert "no jobs" in db("status", "--store", url).output
    add_jobs(url, 3)
    shown = db("status", "--store", url)
    assert shown.exit_code == 0
    assert shown.output.splitlines()[1:] == ["STATE   JOBS", "queued  3"]
    refused = db("reset", "--store", url, said="n\n")
    assert refused.exit_code == 1
    assert "queued  3" in db("status", "--store", url).output
    assert db("reset", "--store", url, "--yes").exit_code == 0
    assert db("status", "--store", url).exit_code == 1


def test_a_store_that_a_manager_uses_is_not_removed(url: str) -> None:
    store = open_store(url)

    async def begin() -> None:
        await store.open()
        await store.lead("a manager", 60.0)

    with asyncio.Runner() as loop:
        loop.run(begin())
        refused = db("reset", "--store", url, "--yes")
        assert refused.exit_code == 1
        assert "anager" in refused.output
        assert re.search("stop (that|them) first", refused.output)
        assert "up to date" in db("status", "--store", url).output
        loop.run(store.close())


def test_a_file_that_is_newer_foreign_or_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    url = f"sqlite:///{path}"
    db("init", "--store", url)
    with sqlite3.connect(path) as connection:
        (newest,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {newest + 1}")
    connection.close()
    refused = db("status", "--store", url)
    assert (refused.exit_code, "install a newer one" in refused.output) == (1, True)
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    assert "not a store of easyjobs" in db("status", "--store", url).output
    path.write_bytes(b"x" * 4096)
    assert "damaged" in db("status", "--store", url).output


def test_memory_has_no_tables() -> None:
    refused = db("status", "--store", "memory:")
    assert (refused.exit_code, "has no tables" in refused.output) == (1, True)
