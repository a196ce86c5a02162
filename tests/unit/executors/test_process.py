"""Attempts in child processes that know no manager: their worker gets all they have to say by the pipe."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import errands
import msgspec
import pytest

from easyjobs.executors.base import Executor
from easyjobs.executors.child import Child
from easyjobs.executors.process import Home, ProcessExecutor
from easyjobs.executors.ran import Ran
from easyjobs.protocol.messages import Limits
from easyjobs.tasks.context import JobContext
from easyjobs.tasks.decorator import BoundTask, bind


class Ear:
    """Hears what jobs tell; `until` waits for a line."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.reached: list[tuple[float | None, str]] = []
        self._news = asyncio.Event()

    def log(self, job_id: str, level: str, text: str) -> None:
        self.lines.append((level, text))
        self._news.set()

    def progress(self, job_id: str, value: float | None, note: str) -> None:
        self.reached.append((value, note))

    async def until(self, text: str) -> None:
        while text not in [line for _, line in self.lines]:
            self._news.clear()
            await self._news.wait()


class House:
    """An executor and the jobs it is given."""

    def __init__(self, **options: Any) -> None:
        self.ear = Ear()
        self.asked: list[str] = []
        self.contexts: list[JobContext] = []
        home = {"address": str, "stored": self._stored, **options.pop("home", {})}
        self.executor = ProcessExecutor(Home(**home), **options)

    async def _stored(self, job: str) -> None:
        self.asked.append(job)

    async def run(self, function: Callable[..., Any], *args: Any, timeout: float | None = None, **options: Any) -> Ran:
        options.setdefault("process", not options.get("subprocess"))
        task: BoundTask[Any, Any] = bind(function, caller=None, queue="q", **options)
        context = JobContext("job", "q", task.name, 2, 3, self.ear, token="secret-token")
        self.contexts.append(context)
        return await self.executor.run(task, msgspec.json.encode(args), b"{}", context, timeout)

    def begin(self, function: Callable[..., Any], *args: Any, **options: Any) -> asyncio.Task[Ran]:
        return asyncio.create_task(self.run(function, *args, **options))


def story(tell: Callable[[House], Awaitable[None]]) -> Callable[[], None]:
    def test() -> None:
        async def told() -> None:
            house = House()
            await tell(house)
            await house.executor.close()

        asyncio.run(told())

    test.__name__ = tell.__name__
    return test


def result(ran: Ran) -> Any:
    assert ran.end == "completed", ran
    return msgspec.json.decode(ran.result)


def error(ran: Ran) -> dict[str, str]:
    assert ran.end == "failed", ran
    return msgspec.json.decode(ran.error, type=dict[str, str])


@story
async def test_functions_of_every_kind_run(house: House) -> None:
    fits: Executor = house.executor
    assert fits is house.executor
    assert result(await house.run(errands.adds, 1)) == 2
    assert result(await house.run(errands.waits, 0)) == "waited"
    assert result(await house.run(errands.marked, 1, 2, 3)) == 6
    assert result(await house.run(errands.Shelf.inside, 4)) == 4
    assert result(await house.run(errands.typed, "2026-11-21", {"x": 1, "y": 2})) == [2026, 3, "Point"]
    assert result(await house.run(errands.path)) == sys.path


@story
async def test_what_a_job_tells_comes_by_the_pipe_and_before_its_outcome(house: House) -> None:
    assert result(await house.run(errands.tells)) == "q:tells 2/3"
    assert sorted(house.ear.lines) == [("error", "from the job"), ("info", "printed")]
    assert house.ear.reached == [(0.5, "half")]
    assert house.asked == ["job"]


@story
async def test_errors_carry_what_the_task_wishes(house: House) -> None:
    plain = await house.run(errands.raises, "plain")
    assert error(plain)["message"] == "no"
    first = error(plain)["traceback"].splitlines()[1]
    assert "errands.py" in first  # nothing of ours, nor of asyncio, stands above it
    assert first.endswith("in raises")
    assert (plain.final, plain.delay) == (False, None)
    assert (await house.run(errands.raises, "later")).delay == 7
    assert (await house.run(errands.raises, "never")).final
    assert (await house.run(errands.raises, "listed", no_retry_on=KeyError)).final
    wrong = await house.run(errands.adds)
    assert (error(wrong)["type"], wrong.final) == ("ArgumentsRefused", True)
    wrong = await house.run(errands.typed, "no date", {})
    assert (error(wrong)["type"], wrong.final) == ("ArgumentsRefused", True)


@story
async def test_the_manager_s_limits_hold_there_too(house: House) -> None:
    house.executor.limits = Limits(result=3)
    assert error(await house.run(errands.adds, 9999))["type"] == "ResultRefused"


@story
async def test_a_child_that_ends_without_a_word_is_told_by_its_status_and_last_lines(house: House) -> None:
    for status, says in ((0, "status 0, but without a result: last words"), (3, "ended with status 3: last words")):
        told = error(await house.run(errands.leaves, status))
        assert told["type"] == "ChildProcessError"
        assert says in told["message"]
        assert "The last lines of its output:\nlast words" in told["traceback"]
    assert "killed by SIGSEGV" in error(await house.run(errands.dies, signal.SIGSEGV))["message"]
    assert "no memory left" in error(await house.run(errands.dies, signal.SIGKILL))["message"]
    assert "killed by signal 40" in error(await house.run(errands.dies, 40))["message"]


def test_one_that_becomes_another_program_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easyjobs.executors.attempt.LINGER", 0.2)

    async def told() -> None:
        house = House()
        said = error(await house.run(errands.becomes_another))
        assert (said["type"], "became another program" in said["message"]) == ("ChildProcessError", True)
        await house.executor.close()

    asyncio.run(told())


@story
async def test_one_that_closes_all_its_files_ends_with_a_clear_error(house: House) -> None:
    said = error(await house.run(errands.closes_all))
    assert said["type"] == "ChildProcessError"
    assert "closed the file by which its child process talks with the worker" in said["message"]


@story
async def test_the_timeout_ends_it_and_what_it_undid_is_seen(house: House) -> None:
    ran = await house.run(errands.polite, timeout=1.0)
    assert error(ran)["type"] == "TimeoutError"
    assert error(ran)["message"] == "the task took longer than its timeout of 1 s"
    assert ("info", "tidied up") in house.ear.lines
    assert not ran.final


def test_one_that_will_not_hear_is_killed_after_the_grace() -> None:
    async def told() -> None:
        house = House(grace=0.2)
        running = house.begin(errands.stubborn)
        await house.ear.until("deaf")
        house.contexts[0].request_cancel()
        house.contexts[0].request_cancel()
        assert (await running).end == "stopped"

    asyncio.run(told())


@story
async def test_a_cancel_that_comes_first_starts_nothing(house: House) -> None:
    task = bind(errands.adds, caller=None, queue="q", process=True)
    context = JobContext("job", "q", "adds", 1, 1, house.ear)
    context.request_cancel()
    assert (await house.executor.run(task, b"[1]", b"{}", context)).end == "stopped"


@story
async def test_a_result_that_comes_after_the_cancel_is_dropped(house: House) -> None:
    """A function that catches its end and returns: nobody waits for what it returns any more."""

    async def slow(job: str) -> None:
        house.contexts[0].request_cancel()

    house.executor._home = house.executor._home._replace(stored=slow)
    assert (await house.run(errands.adds, 1)).end == "stopped"


@story
async def test_a_run_that_is_itself_cancelled_ends_its_child(house: House) -> None:
    running = house.begin(errands.polite)
    await house.ear.until("began")
    running.cancel()
    assert error(await running)["type"] == "CancelledError"


@story
async def test_closing_ends_what_still_runs(house: House) -> None:
    running = house.begin(errands.polite)
    await house.ear.until("began")
    await house.executor.close()
    assert "SIGKILL" in error(await running)["message"]


@story
async def test_a_fork_that_comes_back_reports_nothing(house: House) -> None:
    pid = result(await house.run(errands.forks))
    assert pid != os.getpid()
    assert [text for _, text in house.ear.lines].count("the copy goes on") <= 1
    assert house.asked == ["job"]


# -- files


SCRIPT = """
from easyjobs.workers.task import subprocess

@subprocess
def work(*args, **kwargs):
    return [list(args), kwargs]

if __name__ == "__main__":
    print("after", work())
"""


def test_a_file_runs_and_goes_on_after_its_job(tmp_path: Path) -> None:
    (tmp_path / "adds.py").write_text(SCRIPT)

    async def told() -> None:
        house = House(home={"task_dir": str(tmp_path)})
        assert result(await house.run(errands.adds, 1, 2, subprocess=True)) == [[1, 2], {}]
        assert ("info", "after [[1, 2], {}]") in house.ear.lines

    asyncio.run(told())


def test_the_folder_is_looked_up_when_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def told() -> None:
        house = House()
        monkeypatch.delenv("WORKER_TASK_DIR", raising=False)
        assert "WORKER_TASK_DIR is not set" in error(await house.run(errands.adds, subprocess=True))["message"]
        monkeypatch.setenv("WORKER_TASK_DIR", str(tmp_path))
        assert "there is no adds.py" in error(await house.run(errands.adds, subprocess=True))["message"]
        (tmp_path / "adds.py").write_text("print('nothing else')")
        assert "without calling its function" in error(await house.run(errands.adds, subprocess=True))["message"]

    asyncio.run(told())


# -- memory, and what cannot be started


@story
async def test_who_uses_too_much_memory_is_ended(house: House) -> None:
    task = bind(errands.polite, caller=None, queue="q", process=True, max_memory=2**20)
    context = JobContext("job", "q", "polite", 1, 1, house.ear)
    told = error(await house.executor.run(task, b"[]", b"{}", context))
    assert told["type"] == "MemoryError"
    assert "max_memory allows 1 MiB" in told["message"]


def test_where_memory_cannot_be_seen_it_is_not_watched(caplog: pytest.LogCaptureFixture) -> None:
    async def told() -> None:
        house = House()
        house.executor._memory.possible = False
        assert result(await house.run(errands.adds, 1, max_memory=2**20)) == 2

    asyncio.run(told())
    assert "not watched" in caplog.text


def test_a_python_that_does_not_know_itself_or_cannot_start_is_an_error_of_the_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def told() -> None:
        house = House()
        monkeypatch.setattr(sys, "executable", "/no/such/python")
        assert error(await house.run(errands.adds, 1))["type"] == "FileNotFoundError"
        monkeypatch.setattr(sys, "executable", "")
        assert "sys.executable" in error(await house.run(errands.adds, 1))["message"]

    before = len(list(Path("/proc/self/fd").iterdir()))
    asyncio.run(told())
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_without_the_kernels_help_a_thread_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(pid: int) -> int:
        raise OSError("not here")

    monkeypatch.setattr(os, "pidfd_open", nothing)

    async def told() -> None:
        assert result(await House().run(errands.adds, 1)) == 2

    asyncio.run(told())


def test_children_without_a_lifeline_end_with_their_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the kernel kills nobody for us."""
    monkeypatch.setattr("easyjobs.executors.child._die_with_us", lambda lifeline, group: None)

    async def told() -> None:
        house = House()
        children: list[Child] = []
        start = Child.start
        monkeypatch.setattr(Child, "start", lambda *given: children.append(start(*given)) or children[0])
        running = house.begin(errands.sleeps, 600)
        while not house.executor._attempts:
            await asyncio.sleep(0.01)
        (attempt,) = house.executor._attempts
        while attempt._writer is None or not attempt._begun:
            await asyncio.sleep(0.01)
        attempt._writer.close()
        assert "SIGKILL" in error(await running)["message"]

    asyncio.run(told())


@story
async def test_which_functions_can_be_isolated(house: House) -> None:
    def nested() -> None: ...

    assert house.executor.possible(bind(errands.adds, caller=None, queue="q"))
    assert house.executor.possible(bind(errands.marked, caller=None, queue="q"))
    assert house.executor.possible(bind(nested, caller=None, queue="q", subprocess=True))
    assert not house.executor.possible(bind(nested, caller=None, queue="q"))
    assert result(await house.run(errands.adds, 2, process=False)) == 3
    impossible = await house.run(nested, process=False)
    assert "has no name there" in error(impossible)["message"]
