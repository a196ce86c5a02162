"""`easyjobs schedules` against a manager on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from click.testing import CliRunner, Result
from serving import SECRET, Play, on_a_socket, until

from easyjobs.cli.commands import commands

Command = Callable[..., Awaitable[Result]]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYJOBS_SECRET", SECRET)
    for name in ("EASYJOBS_URL", "EASYJOBS_MANAGER_SECRET", "EASYJOBS_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def command() -> AsyncIterator[Command]:
    """Runs `easyjobs schedules …` with a manager, and expects it to end with `code`."""
    play = Play()
    async with on_a_socket(play.app) as address:
        await until(lambda: len(play.manager.hub.catalog.entries) >= 5)

        async def run(*words: str, code: int = 0) -> Result:
            given = ["schedules", "--url", f"http://{address}", *words]
            result = await asyncio.to_thread(CliRunner().invoke, commands, given)
            assert result.exit_code == code, result.output
            return result

        yield run


async def added(schedules: Command, *words: str) -> dict[str, Any]:
    given = ("add", "play", "add", "0 7 * * *", "--kwargs", '{"a": 1}', *words, "--json")
    schedule: dict[str, Any] = json.loads((await schedules(*given)).stdout)
    return schedule


async def test_one_is_added_listed_and_shown() -> None:
    async with command() as schedules:
        made = await added(
            schedules,
            *("--timezone", "Europe/Paris", "--start", "2030-01-01T00:00:00Z", "--end", "2031-01-01T00:00:00Z"),
            *("--jitter", "2.5", "--misfire", "all", "--overlap", "skip", "--title", "mornings", "--args", "[]"),
        )
        assert (made["timezone"], made["jitter"], made["misfire"], made["overlap"]) == (
            "Europe/Paris",
            2.5,
            "all",
            "skip",
        )
        heads, line = (await schedules("list", "--queue", "play")).stdout.splitlines()
        assert heads.split() == ["ID", "QUEUE", "TASK", "RULE", "NEXT", "LAST", "NOTE"]
        assert line.startswith(f"{made['id']}  play   add   ")
        assert "2030-01-01 06:00:00" in line
        shown = (await schedules("show", made["id"])).stdout
        for words in ("title     mornings", 'kwargs    {"a": 1}', "cron      0 7 * * *", "timezone  Europe/Paris"):
            assert words in shown
        assert "next      2030-01-01 06:00:00, 2030-01-02 06:00:00" in shown
        assert json.loads((await schedules("show", made["id"], "--json")).stdout) == made
        assert json.loads((await schedules("list", "--task", "talk", "--json")).stdout) == {"items": [], "next": None}


async def test_pages_go_on_where_they_ended() -> None:
    async with command() as schedules:
        ids = {(await added(schedules))["id"] for _ in range(3)}
        first = await schedules("list", "--limit", "2")
        assert first.stderr.startswith("there are more: --cursor ")
        rest = await schedules("list", "--limit", "2", "--cursor", first.stderr.split()[-1])
        assert {line.split()[0] for line in (first.stdout + rest.stdout).splitlines()} == {*ids, "ID"}


async def test_what_is_named_is_edited() -> None:
    async with command() as schedules:
        made = await added(schedules, "--end", "2031-01-01T00:00:00Z", "--title", "old")
        words = ("--cron", "*/10 * * * * *", "--seconds", "--end", "none", "--kwargs", '{"a": 5}', "--title", "")
        edited = json.loads((await schedules("edit", made["id"], *words, "--json")).stdout)
        assert (edited["cron"], edited["seconds"], edited["end_at"]) == ("*/10 * * * * *", True, None)
        assert (edited["kwargs"], edited["title"], edited["timezone"]) == ({"a": 5}, "", "UTC")
        assert "(with seconds)" in (await schedules("show", made["id"])).stdout
        assert "name what is to change" in (await schedules("edit", made["id"], code=2)).stderr


async def test_several_are_paused_run_resumed_and_deleted() -> None:
    async with command() as schedules:
        ids = [(await added(schedules))["id"] for _ in range(2)]
        assert (await schedules("pause", *ids)).stdout.splitlines() == [f"{id} is paused" for id in ids]
        assert "paused by api@127.0.0.1" in (await schedules("list")).stdout
        run = (await schedules("run", *ids)).stdout.splitlines()
        assert [line.rpartition(" runs as ")[0] for line in run] == ids
        assert (await schedules("resume", *ids)).stdout.splitlines() == [f"{id} goes on" for id in ids]
        deleted = await schedules("delete", ids[0], "nobody", ids[1], code=1)
        assert deleted.stdout.splitlines() == [f"{id} is deleted" for id in ids]
        assert deleted.stderr.startswith("Error: nobody: No schedule")
        assert len((await schedules("list")).stdout.splitlines()) == 1


async def test_what_is_wrong_is_said_in_one_line() -> None:
    async with command() as schedules:
        for words, said in (
            (("add", "play", "add", "0 7 * * *"), "kwargs.a"),
            (("add", "play", "nothing", "0 7 * * *"), "No task 'nothing'"),
            (("add", "play", "add", "0 77 * * *", "--args", "[1]"), "cron"),
            (("show", "nobody"), "No schedule 'nobody'"),
        ):
            refused = await schedules(*words, code=1)
            assert refused.stderr.startswith("Error: ")
            assert refused.stderr.count("\n") == 1
            assert said in refused.stderr
        wrong = await schedules("add", "play", "add", "0 7 * * *", "--kwargs", "[1]", code=2)
        assert "'[1]' is not a JSON object" in wrong.stderr
