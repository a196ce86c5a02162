"""`easyjobs jobs add` and `delete`, against an application that is served on a socket."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from click.testing import CliRunner, Result
from fastapi import FastAPI

from easyjobs import EasyJobsManager
from easyjobs.cli.commands import commands

SECRET = "a secret of many characters"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    manager = EasyJobsManager(SECRET, store="memory:")

    @manager.task(namespace="play", retries=0)
    async def add(a: int, b: int = 1, note: str = "") -> str:
        return f"{a + b}{note}"

    @manager.task(namespace="play", retries=0)
    async def fail() -> None:
        raise ValueError("on purpose")

    @manager.task(namespace="play")
    async def wait() -> None:
        await asyncio.sleep(3600)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(FastAPI(lifespan=manager.lifespan), port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def call(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(
        commands, ["jobs", "--url", url, *arguments], env={"EASYJOBS_SECRET": SECRET, "EASYJOBS_MANAGER_SECRET": None}
    )


@pytest.fixture(autouse=True)
def ready(url: str) -> None:
    for _ in range(200):
        if call(url, "list").exit_code == 0 and call(url, "add", "play", "add", "a=0", "--wait", "5").exit_code == 0:
            return
    pytest.fail("no manager came")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("a=2",), "3"),
        (("a=2", "b=3"), "5"),
        (("a=2", "note=!"), "3!"),
        (("a=2", 'note="7"'), "37"),
        (("a=2", "note=NaN"), "3NaN"),  # what is no JSON is text
        (("--args", "[2, 4]"), "6"),
        (("--kwargs", '{"a": 1}', "b=9"), "10"),
    ],
)
def test_a_job_is_made_waited_for_and_its_result_printed(url: str, arguments: tuple[str, ...], says: str) -> None:
    result = call(url, "add", "play", "add", *arguments, "--wait", "10")
    assert (result.exit_code, result.stdout) == (0, json.dumps(says) + "\n"), result.output


def test_without_waiting_its_id_is_printed(url: str) -> None:
    result = call(url, "add", "play", "add", "a=1", "--priority", "3", "--delay", "60", "--key", "one of them")
    id = result.stdout.strip()
    again = call(url, "add", "play", "add", "a=1", "--delay", "60", "--key", "one of them", "--json")
    job = json.loads(again.stdout)
    assert (job["id"], job["priority"], job["state"]) == (id, 3, "queued")
    assert call(url, "delete", id).stdout == f"{id} is deleted\n"
    assert call(url, "show", id).exit_code == 1
    gone = call(url, "delete", id)
    assert (gone.exit_code, "No job" in gone.stderr) == (1, True)


def test_the_exit_code_says_how_it_ended(url: str) -> None:
    failed = call(url, "add", "play", "fail", "--wait", "10")
    assert failed.exit_code == 1
    assert "is failed: ValueError: on purpose" in failed.stderr
    waiting = call(url, "add", "play", "wait", "--wait", "0.05", "--json")
    assert waiting.exit_code == 4
    id = json.loads(waiting.stdout)["id"]
    assert call(url, "delete", id).exit_code == 1, "it runs"
    assert call(url, "cancel", id).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("add", "play", "add", "--kwargs", '{"a": NaN}'), 2, "--kwargs is no JSON: NaN is no JSON"),
        (("add", "play", "add", "a"), 2, "no NAME=VALUE"),
        (("add", "play", "add", "9=a"), 2, "no NAME=VALUE"),
        (("add", "play", "add", "--args", "{}"), 2, "--args must be an array"),
        (("add", "play", "add", "--kwargs", "[]"), 2, "--kwargs must be an object"),
        (("add", "play", "add", "--args", "["), 2, "--args is no JSON"),
        (("add", "play", "add", "a=two"), 1, "a"),
        (("add", "play", "nope"), 1, "No task 'nope'"),
        (("add", "nowhere", "nope"), 1, "No queue 'nowhere'"),
    ],
)
def test_what_is_wrong_is_said(url: str, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = call(url, *arguments)
    assert (result.exit_code, says in result.stderr) == (code, True), result.output
