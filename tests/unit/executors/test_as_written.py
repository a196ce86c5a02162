"""A task's own default_args in a child process: what no annotation fits is passed as it is written."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from easyjobs.executors.process import Home, ProcessExecutor
from easyjobs.tasks.context import JobContext
from easyjobs.tasks.decorator import bind


def kinds(start: date, end: date) -> list[str]:
    return [type(start).__name__, type(end).__name__]


class Ear:
    """Nobody listens."""

    def log(self, job_id: str, level: str, text: str) -> None: ...

    def progress(self, job_id: str, value: float | None, note: str) -> None: ...


async def stored(job: str) -> None:
    """There is no store."""


async def test_in_a_child_process_too() -> None:
    executor = ProcessExecutor(Home(str, stored))
    task = bind(kinds, caller=None, queue="q", process=True, default_args={"args": ["2024-01-02", 7]})

    async def run(*args: Any) -> Any:
        context = JobContext("job", "q", "kinds", 1, 1, Ear(), token="a token")
        return await executor.run(task, msgspec.json.encode(args), b"{}", context)

    assert bytes((await run("2024-01-02", 7)).result) == b'["date","int"]'
    assert b"ArgumentsRefused" in bytes((await run("2024-01-03", 7)).error)
    await executor.close()
