"""Scripts among other tasks: after one another, on failure, as nodes of workflows; one process, one SQLite file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from easyjobs import EasyJobsManager, map
from easyjobs.errors import ArgumentsRefused
from easyjobs.tasks.decorator import ScriptTask
from easyjobs.tasks.scripts import Command

SECRET = "a secret of the tests, long enough"
ECHOES = """#!/bin/sh
echo "== RESULT START =="
echo "{\\"status\\": \\"success\\", \\"said\\": \\"$*\\"}"
echo "== RESULT END =="
"""


class House:
    """A manager with a folder of scripts, and what its other tasks were given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "scripts"
        self.folder.mkdir()
        (self.folder / "echoes.sh").write_text(ECHOES)
        (self.folder / "fails.sh").write_text("echo no >&2\nexit 7\n")
        self.manager = EasyJobsManager(SECRET, store=f"sqlite:///{folder}/jobs.db")
        self.app = FastAPI(lifespan=self.manager.lifespan)
        self.given: asyncio.Queue[Any] = asyncio.Queue()

        @self.manager.task
        async def keep(what: Any) -> None:
            self.given.put_nowait(what)

    def script(self, path: str, **options: Any) -> ScriptTask:
        options.setdefault("retries", 0)
        return self.manager.script(path, folder=str(self.folder), **options)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with self.manager.lifespan(self.app), asyncio.timeout(20):
            yield


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_call_is_awaited_like_any_other(house: House) -> None:
    echoes = house.script("echoes.sh")

    async def told() -> None:
        async with house.open():
            assert await echoes("a b", 1, True) == {"status": "success", "said": "a b 1 true"}
            with pytest.raises(ArgumentsRefused, match=r"args\.0"):
                await echoes({"a": 1})

    asyncio.run(told())


def test_the_result_of_a_script_goes_to_what_follows_also_to_a_script(house: House) -> None:
    first = house.script("echoes.sh", name="first", run_after="second")

    @house.script("echoes.sh", name="second", run_after="keep")
    def second(before: dict[str, Any]) -> list[str]:
        return ["heard", before["said"]]

    async def told() -> None:
        async with house.open():
            await first.enqueue("x")
            assert await house.given.get() == {"status": "success", "said": "heard x"}

    asyncio.run(told())


def test_a_script_that_nobody_prepares_takes_no_object(house: House) -> None:
    first = house.script("echoes.sh", name="first", run_after="second")
    house.script("echoes.sh", name="second", on_failure="keep")

    async def told() -> None:
        async with house.open():
            await first.enqueue("x")
            failure = await house.given.get()
            assert failure["error"]["type"] == "ArgumentsRefused"
            assert "args.0" in failure["error"]["message"]

    asyncio.run(told())


def test_its_failure_goes_where_failures_go(house: House) -> None:
    fails = house.script("fails.sh", on_failure="keep")

    async def told() -> None:
        async with house.open():
            await fails.enqueue("x")
            failure = await house.given.get()
            assert failure["error"]["message"] == "the script ended with status 7: no"
            assert "The last lines of its output:\nno" in failure["error"]["traceback"]

    asyncio.run(told())


def test_scripts_and_commands_are_nodes_of_workflows(house: House) -> None:
    echoes = house.script("echoes.sh", name="echoes")

    @house.manager.task(script=Command(("sh", "-c", 'test "$1" = "hello again" && test $# = 2', "sh")), retries=0)
    def judge(echoed: dict[str, Any]) -> list[str]:
        return [echoed["said"], "two"]

    @house.manager.task
    async def letters(judged: dict[str, Any], word: str) -> list[str]:
        assert judged == {"returncode": 0}
        return list(word)

    @house.manager.workflow
    def spelled(word: str) -> Any:
        return map(echoes, letters(judge(echoes(word, "again")), word))

    async def told() -> None:
        async with house.open():
            said = await spelled("hello")
            assert said == [{"status": "success", "said": letter} for letter in "hello"]

    asyncio.run(told())
