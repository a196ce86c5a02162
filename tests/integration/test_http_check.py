"""The deploy check over HTTP and at the command line, against a real manager on a socket."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from click.testing import CliRunner, Result
from serving import BEARER, SECRET, Play, on_a_socket, until

from easyjobs import EasyJobsWorker
from easyjobs.cli.commands import commands
from easyjobs.core.task import TaskSpec


def specs_of(*functions: Any) -> list[TaskSpec]:
    worker = EasyJobsWorker("play", manager_secret=SECRET)
    for function in functions:
        worker.task(function)
    return worker.specs()


def as_json(*functions: Any) -> dict[str, Any]:
    return {"tasks": [msgspec.to_builtins(spec) for spec in specs_of(*functions)]}


def changed() -> Any:
    """The task `add` after a deploy that gave it another parameter."""

    async def add(a: int, c: str) -> int:
        return a

    return add


@asynccontextmanager
async def opened(play: Play) -> AsyncIterator[httpx.AsyncClient]:
    async with on_a_socket(play.app) as where, httpx.AsyncClient(base_url=f"http://{where}", headers=BEARER) as http:
        await play.manager.submit([])
        await until(lambda: len(play.manager.hub.catalog.entries) >= 5)
        yield http


async def test_before_a_deploy_the_jobs_that_would_not_fit_are_named() -> None:
    async with opened(Play()) as http:
        job = (await http.post("/api/queues/play/tasks/add?delay=1000", json={"a": 1, "b": 2})).json()
        answer = (await http.post("/api/check", json=as_json(changed()))).json()
        (fit,) = answer["items"]
        assert (answer["fits"], fit["fits"], fit["misfits"], fit["whole"]) == (False, False, 1, True)
        assert (fit["queue"], fit["task"], fit["schedules"]) == ("play", "add", [])
        (example,) = fit["examples"]
        assert example["id"] == job["id"]
        assert "kwargs.b: unknown argument" in example["reason"]
        newest, older = fit["signatures"]
        assert (newest["newest"], newest["workers"], newest["jobs"]) == (True, [], 0)
        assert (older["newest"], older["workers"], older["jobs"], older["misfits"]) == (False, ["manager"], 1, 1)

        async def add(a: int, b: int = 1, *, c: str = "") -> int:
            return a

        assert (await http.post("/api/check", json=as_json(add))).json()["fits"]
        assert (await http.get("/api/check")).json() == {"fits": True, "items": []}


async def test_now_it_shows_what_is_held() -> None:
    play = Play()
    async with opened(play) as http:
        job = (await http.post("/api/queues/play/tasks/add?delay=1000", json={"a": 1})).json()
        fits = (await http.post("/api/queues/play/tasks/add?delay=1000", json={"a": 1})).json()
        assert fits["state"] == "queued"
        worker = EasyJobsWorker("play", manager_url=str(http.base_url).replace("http", "ws"), manager_secret=SECRET)
        worker.task(changed())
        async with worker:
            answer = await until(lambda: _misfits(http))
        (fit,) = answer["items"]
        assert fit["misfits"] == 2
        assert {one["newest"]: len(one["workers"]) for one in fit["signatures"]} == {True: 1, False: 1}
        assert job["id"] in {example["id"] for example in fit["examples"]}


async def _misfits(http: httpx.AsyncClient) -> Any:
    answer = (await http.get("/api/check")).json()
    return None if answer["fits"] else answer


def a_task(name: str = "x", **schema: Any) -> dict[str, Any]:
    return {"queue": "q", "name": name, "signature": {"parameters": [{"name": "n", "schema": schema}]}}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"{}", 422),
        ({"tasks": [], "more": 1}, 422),
        ({"tasks": [a_task("a b")]}, 422),
        ({"tasks": [a_task(type=7)]}, 422),
        ({"tasks": [a_task(**{"$ref": "file:///etc/passwd"})]}, 422),
        ({"tasks": [a_task()] * 1001}, 422),
        (b" " * 5_000_000, 413),
    ],
    ids=["no json", "no tasks", "more", "name", "type", "reference", "too many", "too long"],
)
async def test_what_cannot_be_tasks_is_refused(body: Any, status: int) -> None:
    play = Play()
    async with play.served() as http:
        refused = await http.post("/api/check", content=body if isinstance(body, bytes) else json.dumps(body))
        assert refused.status_code == status, refused.text
        assert "root:" not in refused.text


# -- the command


def call(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(commands, ["check", "--url", url, *arguments], env={"EASYJOBS_SECRET": SECRET})


async def run(http: httpx.AsyncClient, *arguments: str) -> Result:
    return await asyncio.to_thread(call, str(http.base_url), *arguments)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with plain tasks in the folder where the command is called."""
    name = f"deployed_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(
        "from easyjobs import task\n\n@task\nasync def add(a: int, c: str) -> int:\n    return a\n\n"
        "@task\nasync def fresh() -> None: ...\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


async def test_the_command_names_what_would_not_fit_and_ends_with_1(module: str) -> None:
    async with opened(Play()) as http:
        job = (await http.post("/api/queues/play/tasks/add?delay=1000", json={"a": 1, "b": 2})).json()
        result = await run(http, module, "--queue", "play")
        assert result.exit_code == 1, result.output
        said = result.stdout.splitlines()
        assert said[0] == "play:add  1 of 1 jobs do not fit"
        assert said[1].startswith("  newest parameters ")
        assert said[2].endswith(": manager; 1 jobs, 1 do not fit the newest")
        assert said[3].startswith(f"  job {job['id']}: The arguments do not fit the task. (kwargs.b: unknown argument")
        assert said[4:] == ["play:fresh  fits"]
        assert json.loads((await run(http, module, "--queue", "play", "--json")).stdout)["fits"] is False
        now = await run(http)
        assert (now.exit_code, now.stdout) == (0, "all jobs and schedules that wait fit their tasks\n")
        assert (await run(http, module, "--queue", "elsewhere")).exit_code == 0


async def test_the_command_says_what_is_wrong_with_the_call(module: str) -> None:
    async with opened(Play()) as http:
        assert (await run(http, "--queue", "play")).exit_code == 2
        missing = await run(http, "no_such_module")
        assert missing.exit_code == 1
        assert "there is no module" in missing.stderr
    nobody = await asyncio.to_thread(call, "http://127.0.0.1:9", module)
    assert (nobody.exit_code, "no manager answers" in nobody.stderr) == (1, True)
