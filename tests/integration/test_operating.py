"""Explanations, alerts and pauses: over HTTP, and as commands against a manager on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from click.testing import CliRunner, Result
from msgspec import Raw
from serving import SECRET, Play, on_a_socket, until

from easyjobs.cli.commands import commands
from easyjobs.protocol.messages import Submission

Command = Callable[..., Awaitable[Result]]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYJOBS_SECRET", SECRET)
    for name in ("EASYJOBS_URL", "EASYJOBS_MANAGER_SECRET", "EASYJOBS_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def command(play: Play) -> AsyncIterator[Command]:
    """Runs `easyjobs …` with a manager, and expects it to end with `code`."""
    async with on_a_socket(play.app) as address:
        await play.has_its_worker()

        async def run(*words: str, code: int = 0) -> Result:
            group = 1 if words[0] == "jobs" else len(words)
            given = [*words[:group], "--url", f"http://{address}", *words[group:]]
            result = await asyncio.to_thread(CliRunner().invoke, commands, given)
            assert result.exit_code == code, result.output
            return result

        yield run


async def test_a_job_is_explained_over_http() -> None:
    play = Play()
    async with play.served() as http:
        await http.post("/api/queues/play/pause")
        url = (await http.post("/api/queues/play/tasks/add", json={"a": 1})).headers["location"]
        told = (await http.get(f"{url}/explain")).json()
        assert (told["id"], told["state"]) == (url.rpartition("/")[2], "queued")
        (reason,) = told["reasons"]
        assert (reason["code"], reason["by"], reason["jobs"], reason["workers"]) == (
            "queue_paused",
            "api@127.0.0.1",
            [],
            [],
        )
        assert reason["since"].endswith("Z")
        assert reason["text"].endswith("To go on: easyjobs resume queue play.")
        await http.post("/api/queues/play/resume")
        await http.get(f"{url}/result?wait=10")
        (reason,) = (await http.get(f"{url}/explain")).json()["reasons"]
        assert (reason["code"], reason["text"]) == ("completed", "It completed on worker manager, with attempt 1.")
        for unknown in (play.manager.hub.job_id(), "nonsense"):
            assert (await http.get(f"/api/jobs/{unknown}/explain")).status_code == 404


async def test_alerts_over_http() -> None:
    play = Play()
    async with play.served() as http:
        assert (await http.get("/api/alerts")).json() == {"items": [], "next": None}
        play.manager.hub.alerts.open("queue_depth", "etl", "too many")
        (alert,) = (await http.get("/api/alerts")).json()["items"]
        assert (alert["kind"], alert["subject"], alert["text"]) == ("queue_depth", "etl", "too many")
        assert alert["since"].endswith("Z")


async def test_the_command_that_explains() -> None:
    play = Play()
    async with command(play) as easyjobs:
        await easyjobs("pause", "task", "play:add", "play:boom")
        made = await submit(play, "add", {"a": 1})
        told = (await easyjobs("jobs", "explain", made)).stdout.splitlines()
        assert told[0] == f"{made} is queued"
        assert told[1].startswith("- Task play:add was paused by api@127.0.0.1 ")
        as_json = json.loads((await easyjobs("jobs", "explain", made, "--json")).stdout)
        assert [reason["code"] for reason in as_json["reasons"]] == ["task_paused"]
        waits = await submit(play, "patient", {})
        await until(lambda: waits in play.manager.hub.roster.running)
        told = (await easyjobs("jobs", "explain", waits)).stdout.splitlines()
        assert told[1].startswith("- ")
        (worker,) = await play.manager.hub.queries.workers()
        assert f"  workers: {worker.id}" in told
        play.gate.set()


async def test_pausing_and_resuming_by_command() -> None:
    play = Play()
    async with command(play) as easyjobs:
        (worker,) = await play.manager.hub.queries.workers()
        assert (await easyjobs("pause", "workers")).stdout == "all workers paused\n"
        assert (await easyjobs("pause", "queue", "play", "other")).stdout == "queue play paused\nqueue other paused\n"
        assert (await easyjobs("pause", "worker", worker.id)).stdout == f"worker {worker.id} paused\n"
        answer = json.loads((await easyjobs("pause", "task", "play:add", "--json")).stdout)
        assert answer == [{"kind": "task", "name": "play:add", "paused": True}]
        assert {(p.kind, p.name) for p in await play.manager.store.pauses()} == {
            ("workers", "all"),
            ("queue", "play"),
            ("queue", "other"),
            ("worker", worker.id),
            ("task", "play:add"),
        }
        heads, line = (await easyjobs("workers")).stdout.splitlines()
        assert heads.split() == ["ID", "NAME", "HOST", "STATE", "QUEUES", "JOBS", "SLOTS", "NOTE"]
        assert line.startswith(f"{worker.id}  manager  ")
        assert "  paused  " in line
        assert "paused by api@127.0.0.1 at 20" in line
        assert (await easyjobs("resume", "workers")).stdout == "all workers resumed\n"
        await easyjobs("resume", "queue", "play", "other")
        await easyjobs("resume", "worker", worker.id)
        await easyjobs("resume", "task", "play:add")
        assert await play.manager.store.pauses() == []
        assert json.loads((await easyjobs("workers", "--json")).stdout)[0]["state"] == "live"


async def test_what_cannot_be_paused_is_said() -> None:
    async with command(Play()) as easyjobs:
        refused = await easyjobs("pause", "queue", "none", "play", code=1)
        assert "none" in refused.stderr
        assert refused.stdout == "queue play paused\n", "the others are paused all the same"
        assert "QUEUE:NAME" in (await easyjobs("pause", "task", "add", code=2)).stderr
        assert "which worker?" in (await easyjobs("resume", "worker", code=2)).stderr
        assert "easyjobs pause worker ID" in (await easyjobs("pause", "workers", "w", code=2)).stderr


async def test_alerts_by_command() -> None:
    play = Play()
    async with command(play) as easyjobs:
        calm = await easyjobs("alerts")
        assert (calm.stdout, "all is well" in calm.stderr) == ("", True)
        assert json.loads((await easyjobs("alerts", "--json")).stdout) == []
        play.manager.hub.alerts.open("worker_fails", "w\x1b", "it fails")
        head, text = (await easyjobs("alerts", code=1)).stdout.splitlines()
        assert head.endswith("worker_fails  w\\x1b")
        assert text == "    it fails"
        (alert,) = json.loads((await easyjobs("alerts", "--json", code=1)).stdout)
        assert alert["kind"] == "worker_fails"


async def submit(play: Play, task: str, kwargs: dict[str, int]) -> str:
    (submitted,) = await play.manager.hub.submit(
        [Submission(play.manager.hub.job_id(), "play", task, kwargs=Raw(json.dumps(kwargs).encode()))]
    )
    return submitted.job.id
