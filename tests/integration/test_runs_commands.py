"""`easyjobs workflows` and `easyjobs runs` against a manager on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flows import Flows
from serving import SECRET, on_a_socket, until

from easyjobs.cli.commands import commands

Command = Callable[..., Awaitable[Result]]
UNKNOWN = "01a1fc89-100e-7364-addd-13e540021a88"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYJOBS_SECRET", SECRET)
    for name in ("EASYJOBS_MANAGER_SECRET", "EASYJOBS_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def serving(flows: Flows) -> AsyncIterator[Command]:
    """Runs `easyjobs …` with a manager, and expects it to end with `code`."""
    async with on_a_socket(flows.app) as address:
        await until(lambda: sum(entry.spec.graph is not None for entry in flows.manager.hub.catalog.entries) == 5)

        async def run(*words: str, code: int = 0) -> Result:
            env = {"EASYJOBS_URL": f"http://{address}"}
            result = await asyncio.to_thread(CliRunner().invoke, commands, words, env=env)
            assert result.exit_code == code, result.output
            return result

        try:
            yield run
        finally:
            flows.gate.set()


def shown(result: Result) -> Any:
    return json.loads(result.stdout)


async def test_workflows_are_listed_and_shown() -> None:
    async with serving(Flows()) as easyjobs:
        header, *rows = (await easyjobs("workflows", "list")).stdout.splitlines()
        assert header.split() == ["NAME", "QUEUE", "TASKS", "OPEN", "RUNS", "ACTIVE", "TITLE"]
        assert [row.split()[:3] for row in rows] == [
            ["twin", "left", "1"],
            ["many", "play", "5"],
            ["tens", "play", "2"],
            ["waits", "play", "2"],
            ["twin", "right", "1"],
        ]
        assert rows[2].split() == ["tens", "play", "2", "0", "yes", "Ten", "times"]
        assert len(shown(await easyjobs("workflows", "list", "--json"))["items"]) == 5
        told = (await easyjobs("workflows", "show", "tens")).stdout
        assert told == "play:tens: Ten times\n   1  one\n   2  shaky after one\n"
        assert shown(await easyjobs("workflows", "show", "left:twin", "--json"))["queue"] == "left"
        assert "No workflow 'nope'" in (await easyjobs("workflows", "show", "nope", code=1)).stderr
        assert "say which of" in (await easyjobs("workflows", "show", "twin", code=1)).stderr


async def test_a_run_is_started_and_followed_to_its_end() -> None:
    flows = Flows()
    flows.good = True
    async with serving(flows) as easyjobs:
        lines = (await easyjobs("workflows", "run", "tens", "n=4", "--follow")).stdout.splitlines()
        assert lines[0].startswith("play:tens ")
        assert [line.split()[1:] for line in lines[1:3]] == [["one", "completed"], ["shaky", "completed"]]
        assert lines[3].startswith("completed after ")
        assert lines[3].endswith(": 2 completed")
        id = lines[0].split()[1]
        again_shown = (await easyjobs("runs", "follow", id)).stdout.splitlines()
        assert (again_shown[0], again_shown[-1]) == (
            f"play:tens {id}",
            lines[3],
        )  # how long it took is the run's, not ours
        started = await easyjobs("workflows", "run", "tens", "--kwargs", '{"n": 4}', "--key", "k", "--priority", "7")
        again = shown(await easyjobs("workflows", "run", "tens", "n=4", "--key", "k", "--json"))
        assert (again["id"], again["priority"]) == (started.stdout.strip(), 7)
        later = shown(await easyjobs("workflows", "run", "tens", "n=1", "--delay", "3600", "--json"))
        assert later["state"] == "queued"
        assert "do not fit" in (await easyjobs("workflows", "run", "tens", "n=four", code=1)).stderr
        assert "No workflow" in (await easyjobs("workflows", "run", "nope", code=1)).stderr


async def test_how_a_run_ended_is_the_exit_code() -> None:
    async with serving(Flows()) as easyjobs:
        failed = await easyjobs("workflows", "run", "tens", "n=1", "--follow", code=1)
        assert "shaky" in failed.stdout
        assert "not yet" in failed.stdout
        assert "RunFailed: 1 of 2 jobs did not complete" in failed.stderr
        stopped = (await easyjobs("workflows", "run", "waits")).stdout.strip()
        await easyjobs("runs", "cancel", stopped)
        ended = await easyjobs("runs", "follow", stopped, code=3)
        assert "cancelled after" in ended.stdout


async def test_runs_are_listed_and_shown() -> None:
    flows = Flows()
    async with serving(flows) as easyjobs:
        bad = (await easyjobs("workflows", "run", "tens", "n=1", "--follow", code=1)).stdout.split()[1]
        good = (await easyjobs("workflows", "run", "many", "--follow")).stdout.split()[1]
        header, first, second = (await easyjobs("runs", "list")).stdout.splitlines()
        assert header.split() == ["ID", "WORKFLOW", "STATE", "DONE", "JOBS", "CREATED", "FINISHED"]
        assert first.split()[:6] == [good, "many", "completed", "100%", "5", "completed"]
        assert second.split()[:8] == [bad, "tens", "failed", "100%", "1", "completed,", "1", "failed"]
        for given, ids in (
            (["--workflow", "tens"], [bad]),
            (["--state", "completed"], [good]),
            (["--queue", "right"], []),
            (["--schedule", "play:tens"], []),
            (["--since", "2999-01-01"], []),
            (["--until", "2999-01-01"], [good, bad]),
        ):
            assert [run["id"] for run in shown(await easyjobs("runs", "list", *given, "--json"))["items"]] == ids
        page = await easyjobs("runs", "list", "--limit", "1")
        assert "there are more: --cursor " in page.stderr
        following = await easyjobs("runs", "list", "--limit", "1", "--cursor", page.stderr.split()[-1], "--json")
        assert [run["id"] for run in shown(following)["items"]] == [bad]
        told = (await easyjobs("runs", "show", bad)).stdout.splitlines()
        assert told[0] == f"play:tens {bad} is failed, 1 completed, 1 failed"
        assert told[1].startswith("RunFailed: ")
        assert [line.split()[:3] for line in told[3:]] == [["one", "completed", "1"], ["shaky", "failed", "1"]]
        assert told[4].endswith("ValueError: not yet")
        assert [node["name"] for node in shown(await easyjobs("runs", "show", bad, "--json"))["items"]] == [
            "one",
            "shaky",
        ]
        for command in ("show", "follow", "cancel", "retry", "picture"):
            refused = await easyjobs("runs", command, UNKNOWN, code=1)
            assert "No run" in refused.stderr
            assert "Traceback" not in refused.output


async def test_runs_are_cancelled_and_repeated_several_at_once() -> None:
    flows = Flows()
    async with serving(flows) as easyjobs:
        ids = [(await easyjobs("workflows", "run", "tens", "n=1", "--follow", code=1)).stdout.split()[1] for _ in "ab"]
        flows.good = True
        lines = (await easyjobs("runs", "retry", *ids, UNKNOWN, code=1)).stdout.splitlines()
        assert [line.split()[0] for line in lines] == ids
        repeated = [line.split()[-1] for line in lines]
        for id, before in zip(repeated, ids, strict=True):
            assert f"repeats {before}" in (await easyjobs("runs", "show", id)).stdout
            assert (await easyjobs("runs", "follow", id)).stdout.splitlines()[-1].startswith("completed")
        waits = (await easyjobs("workflows", "run", "waits")).stdout.strip()
        assert shown(await easyjobs("runs", "cancel", waits, "--json"))[0]["state"] in ("stopping", "cancelled")
        await easyjobs("runs", "follow", waits, code=3)
        assert (await easyjobs("runs", "cancel", waits)).stdout == f"{waits} is cancelled\n"
