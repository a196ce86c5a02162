"""Scripts and commands: what they are started with, what they print, how they end, and what is left of them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from easyjobs.errors import ArgumentsRefused, RegistrationError
from easyjobs.executors.function import FunctionExecutor
from easyjobs.executors.process import Home
from easyjobs.executors.ran import Ran
from easyjobs.executors.script import ScriptExecutor, words
from easyjobs.protocol.messages import Limits
from easyjobs.tasks.context import JobContext
from easyjobs.tasks.decorator import BoundTask, bind
from easyjobs.tasks.scripts import Command, Script, Vector

PRINTS = """
import json, sys
print("== RESULT START ==")
print(json.dumps({"status": "success", "argv": sys.argv[1:]}))
print("== RESULT END ==")
"""


class Ear:
    """Hears what jobs tell; `until` waits for a line."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._news = asyncio.Event()

    def log(self, job_id: str, level: str, text: str) -> None:
        self.lines.append((level, text))
        self._news.set()

    def progress(self, job_id: str, value: float | None, note: str) -> None: ...

    async def until(self, text: str) -> str:
        while not (found := [line for _, line in self.lines if line.startswith(text)]):
            self._news.clear()
            await self._news.wait()
        return found[0]


class House:
    """A folder of scripts and an executor for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ear = Ear()
        self.functions = FunctionExecutor(1)
        self.executor = ScriptExecutor(Home(str, self._stored, "the-very-secret"), self.functions, grace=0.3)
        self.next_attempt()

    def next_attempt(self) -> None:
        self.context = JobContext("job", "q", "t", 2, 3, self.ear, token="secret-token")

    async def _stored(self, job: str) -> None: ...

    def task(self, text: str, name: str = "script.py", **options: Any) -> BoundTask[Any, Any]:
        """A task of a script with this text."""
        (self.folder / name).write_text(text)
        made = Script(name, str(self.folder), result=options.pop("result", "markers"))
        return bind(options.pop("function", Vector(name)), caller=None, queue="q", name=name, script=made, **options)

    async def run(self, task: BoundTask[Any, Any], *args: Any, timeout: float | None = None, **kwargs: Any) -> Ran:
        encode = msgspec.json.encode
        return await self.executor.run(task, encode(args), encode(kwargs), self.context, timeout)


Tell = Callable[[House], Awaitable[None]]


def story(tell: Tell) -> Callable[[Path], None]:
    def test(tmp_path: Path) -> None:
        async def told() -> None:
            house = House(tmp_path)
            await tell(house)
            await house.executor.close()
            await house.functions.close()

        asyncio.run(told())

    test.__name__ = tell.__name__
    return test


def error(ran: Ran) -> dict[str, str]:
    assert ran.end == "failed", ran
    return msgspec.json.decode(ran.error)  # type: ignore[no-any-return]


def result(ran: Ran) -> Any:
    assert ran.end == "completed", ran
    return msgspec.json.decode(ran.result)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(10):
        while not gone(pid):
            await asyncio.sleep(0.01)


def printing(text: str) -> str:
    return f"print({text!r})\n"


# -- arguments


@story
async def test_arguments_are_entries_of_the_vector_and_nothing_reads_them(house: House) -> None:
    hostile = ["-rf", "--help", "two\nlines", "$(touch x)", "; rm -r *", "'\"", "", "*", "ümläut", 3, -1.5, True]
    ran = await house.run(house.task(PRINTS), *hostile)
    assert result(ran)["argv"] == [*hostile[:9], "3", "-1.5", "true"]
    assert [file.name for file in house.folder.iterdir()] == ["script.py"]


@story
async def test_arguments_by_name_are_the_same_list(house: House) -> None:
    assert result(await house.run(house.task(PRINTS), args=["a", 1]))["argv"] == ["a", "1"]


@pytest.mark.parametrize("wrong", [None, {"a": 1}, ["a"], "nul\0"])
def test_what_is_no_word_of_a_command_line_is_refused_and_not_tried_again(wrong: Any, tmp_path: Path) -> None:
    async def told() -> None:
        house = House(tmp_path)
        ran = await house.run(house.task(PRINTS), "fine", wrong)
        assert (error(ran)["type"], ran.final) == ("ArgumentsRefused", True)
        assert "args.1" in error(ran)["message"]
        assert house.ear.lines == []

    asyncio.run(told())


def test_half_a_character_is_no_word_either() -> None:
    with pytest.raises(ArgumentsRefused, match="no text"):
        words(["half \ud800"])


@story
async def test_a_function_prepares_the_arguments(house: House) -> None:
    def prepare(year: int, loud: bool = False) -> list[str | int]:
        return ["--year", year, *(["--loud"] if loud else [])]

    task = house.task(PRINTS, function=prepare)
    assert result(await house.run(task, 2024, loud=True))["argv"] == ["--year", "2024", "--loud"]
    assert task.spec.kind == "script"
    assert [p.name for p in task.spec.signature.parameters] == ["year", "loud"]
    assert task.spec.signature.returns == {"type": "object"}


@story
async def test_a_function_that_raises_or_returns_no_list_fails_its_job(house: House) -> None:
    def raises() -> list[str]:
        raise KeyError("url")

    def returns() -> Any:
        return {"url": 1}

    assert error(await house.run(house.task(PRINTS, function=raises)))["type"] == "KeyError"
    assert "must be" not in error(await house.run(house.task(PRINTS, function=returns)))["message"]
    assert "a list of text" in error(await house.run(house.task(PRINTS, function=returns)))["message"]


@story
async def test_it_runs_in_its_folder_knows_its_job_and_no_secret(house: House) -> None:
    task = house.task(
        "import json, os, sys\n"
        "seen = {'cwd': os.getcwd(), 'env': dict(os.environ), 'stdin': sys.stdin.read()}\n"
        "print('== RESULT START ==')\n"
        "print(json.dumps({'status': 'success', **seen}))\n"
        "print('== RESULT END ==')\n"
    )
    told = {"SOME_SECRET": "the-very-secret", "EASYJOBS_STORE": "postgresql://a:password@b/c", "OWN": "stays"}
    os.environ.update(told)
    try:
        seen = result(await house.run(task))
    finally:
        for name in told:
            del os.environ[name]
    assert seen["env"]["OWN"] == "stays"
    assert "password" not in json.dumps(seen)
    assert seen["cwd"] == str(house.folder)
    assert seen["stdin"] == ""
    assert (seen["env"]["EASYJOBS_JOB"], seen["env"]["EASYJOBS_ATTEMPT"]) == ("job", "2")
    assert "the-very-secret" not in json.dumps(seen)
    assert "secret-token" not in json.dumps(seen)


# -- what runs them


@story
async def test_a_shell_script_runs_by_its_first_line_or_by_sh(house: House) -> None:
    bash = '#!/usr/bin/env bash\n[[ $1 == a* ]] && echo "$@"\n'
    assert (await house.run(house.task(bash, "b.sh", result="exit"), "abc", "x y")).end == "completed"
    assert house.ear.lines == [("info", "abc x y")]
    assert (await house.run(house.task("test $# = 1", "s.sh", result="exit"), "-c")).end == "completed"


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="Rscript IS NOT INSTALLED: no script in R was run")
def test_r_runs_for_real(tmp_path: Path) -> None:
    async def told() -> None:
        house = House(tmp_path)
        task = house.task(
            'a <- commandArgs(trailingOnly = TRUE)\ncat("== RESULT START ==\\n")\n'
            'cat(sprintf(\'{"status": "success", "n": %d, "all": "%s"}\\n\', length(a), paste(a, collapse = "|")))\n'
            'cat("== RESULT END ==\\n")\nmessage("to stderr")\n',
            "sums.R",
        )
        arguments = ["--year", "2024", "two words", "--version", "-g", "--args"]
        assert result(await house.run(task, *arguments)) == {
            "status": "success",
            "n": len(arguments),
            "all": "|".join(arguments),
        }
        assert ("warning", "to stderr") in house.ear.lines
        told_by_print = house.task('print("== RESULT START ==")\nprint("== RESULT END ==")\n', "prints.R")
        assert "write cat(" in error(await house.run(told_by_print))["message"]
        fails = house.task('stop("no data")', "stops.R")
        assert "ended with status 1" in error(await house.run(fails))["message"]
        assert "no data" in error(await house.run(fails))["traceback"]

    asyncio.run(told())


@story
async def test_one_that_is_gone_when_its_job_comes_fails_with_its_name(house: House) -> None:
    task = house.task(PRINTS)
    (house.folder / "script.py").unlink()
    ran = await house.run(task)
    assert (error(ran)["type"], "there is no script.py" in error(ran)["message"]) == ("ConfigurationError", True)


# -- results


@story
async def test_the_result_may_have_many_lines_and_is_a_part_of_the_log_once(house: House) -> None:
    text = (
        'echo before\necho "  == RESULT START ==  "\necho "{\\"status\\":"\necho "\\"success\\", \\"n\\": [1,\n2]}"\n'
    )
    ran = await house.run(house.task(text + 'printf "== RESULT END =="', "s.sh"))
    assert result(ran) == {"status": "success", "n": [1, 2]}
    assert [line for _, line in house.ear.lines] == [
        "before",
        "  == RESULT START ==  ",
        '{"status":',
        '"success", "n": [1,',
        "2]}",
        "== RESULT END ==",
    ]


START, END = printing("== RESULT START =="), printing("== RESULT END ==")
GOOD = printing('{"status": "success"}')


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (printing("hello"), "ScriptFailed", "printed no result"),
        (printing("x == RESULT START == y"), "ScriptFailed", "stood in a line with something else"),
        ((START + GOOD + END) * 2, "ScriptFailed", "printed 2 results"),
        (START + GOOD, "ScriptFailed", "no RESULT END"),
        (START + START + GOOD + END, "ScriptFailed", "a second RESULT START"),
        (END + START + GOOD + END, "ScriptFailed", "a RESULT END came without"),
        (START + printing("{'status': 'success'}") + END, "ScriptFailed", "is no JSON"),
        (START + END, "ScriptFailed", "is no JSON"),
        (START + printing('{"status": "success", "x": NaN}') + END, "ScriptFailed", "is no JSON"),
        (START + printing("[" * 5000) + END, "ScriptFailed", "is no JSON"),
        (START + printing('["success"]') + END, "ScriptFailed", "must be an object"),
        (START + printing('{"state": "success"}') + END, "ScriptFailed", 'has no "status"'),
        (START + printing('{"status": "Success"}') + END, "ScriptFailed", 'the status "Success", not "success"'),
        (START + printing('{"status": true}') + END, "ScriptFailed", "the status true"),
        (START + GOOD + END + "raise SystemExit(3)", "ChildProcessError", "the script ended with status 3"),
        (START + GOOD + END + "import os; os.kill(os.getpid(), 9)", "ChildProcessError", "killed by SIGKILL"),
        (
            START + printing('{"status": "success", "x": ' + "[" * 90 + "]" * 90 + "}") + END,
            "ResultRefused",
            "too deep",
        ),
        (
            START + 'print(\'{"status": "success", "x": "\' + \'x\' * 1100000 + \'"}\')\n' + END,
            "ResultRefused",
            "bytes",
        ),
        (
            START + 'print(\'{"status": "success", "x": "\' + \'x\' * 9100000 + \'"}\')\n' + END,
            "ResultRefused",
            "bytes",
        ),
    ],
)
def test_what_is_no_success_fails_clearly_and_shows_the_last_lines(
    text: str, kind: str, message: str, tmp_path: Path
) -> None:
    async def told() -> None:
        house = House(tmp_path)
        failure = error(await house.run(house.task("print('the start')\n" + text)))
        assert failure["type"] == kind
        assert message in failure["message"]
        assert "The last lines of its output:\nthe start" in failure["traceback"]

    asyncio.run(told())


@story
async def test_bytes_that_are_no_text_are_no_json(house: House) -> None:
    printed = b'== RESULT START ==\n{"status": "success", "x": "\xff"}\n== RESULT END =='
    text = f"import sys\nsys.stdout.buffer.write({printed!r})"
    assert "is no JSON" in error(await house.run(house.task(text)))["message"]


@story
async def test_without_markers_status_0_is_enough(house: House) -> None:
    assert result(await house.run(house.task("print('done')", result="exit"))) == {"returncode": 0}
    assert error(await house.run(house.task("raise SystemExit('no')", result="exit")))["message"].endswith(
        "status 1: no"
    )


@story
async def test_binary_ansi_and_endless_lines_are_lines_of_the_log(house: House) -> None:
    ran = await house.run(
        house.task(
            "import sys\no = sys.stdout.buffer\no.write(b'\\x00\\xff\\x1b[31mred\\n')\n"
            "o.write(b'x' * 10_000_000 + b'\\n')\no.write(b'after\\n')\n",
            result="exit",
        )
    )
    assert ran.end == "completed"
    (_, first), (_, long), (_, after) = house.ear.lines
    assert (first, after) == ("\ufffd\ufffd\x1b[31mred", "after")
    assert len(long) < 100_000
    assert long.endswith("the rest of the line is left out")


# -- ends


@story
async def test_a_timeout_asks_first_and_kills_after_the_grace(house: House) -> None:
    polite = "trap 'echo bye; exit 0' TERM\necho here\nwhile :; do sleep 0.05; done"
    ran = await house.run(house.task(polite, "polite.sh"), timeout=0.5)
    assert error(ran)["type"] == "TimeoutError"
    assert "timeout of 0.5 s" in error(ran)["message"]
    assert ("info", "bye") in house.ear.lines
    house.next_attempt()
    deaf = "trap '' TERM\necho $$ deaf\nwhile :; do sleep 0.05; done"
    assert error(await house.run(house.task(deaf, "deaf.sh"), timeout=0.5))["type"] == "TimeoutError"


@story
async def test_cancel_ends_it_and_all_in_its_group(house: House) -> None:
    task = house.task("sleep 600 &\necho pid $!\nwait", "s.sh")
    running = asyncio.create_task(house.run(task))
    pid = int((await house.ear.until("pid ")).split()[1])
    house.context.request_cancel()
    assert (await running).end == "stopped"
    await until_gone(pid)


@story
async def test_a_success_that_was_said_stands_against_a_cancel(house: House) -> None:
    leaves = "import signal, time\nsignal.signal(15, lambda *a: exit(0))\n"
    task = house.task(f"{leaves}{START}{GOOD}{END}print('told')\ntime.sleep(600)")
    running = asyncio.create_task(house.run(task))
    await house.ear.until("told")
    house.context.request_cancel()
    assert result(await running) == {"status": "success"}


@story
async def test_a_peaceful_exit_after_a_cancel_is_no_success_where_only_the_status_counts(house: House) -> None:
    task = house.task("trap 'exit 0' TERM\necho here\nwhile :; do sleep 0.05; done", "s.sh", result="exit")
    running = asyncio.create_task(house.run(task))
    await house.ear.until("here")
    house.context.request_cancel()
    assert (await running).end == "stopped"


@story
async def test_a_grandchild_that_keeps_the_output_open_holds_nothing_up(house: House) -> None:
    text = (
        (
            "import subprocess, sys\n"
            "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
            "print('pid', p.pid)\n"
        )
        + START
        + GOOD
        + END
    )
    async with asyncio.timeout(20):
        assert result(await house.run(house.task(text))) == {"status": "success"}
    os.kill(int((await house.ear.until("pid ")).split()[1]), signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc").exists(), reason="there is no /proc here")
def test_one_that_takes_too_much_memory_is_killed(tmp_path: Path) -> None:
    async def told() -> None:
        house = House(tmp_path)
        text = "import time\nx = bytearray(200_000_000)\nx[::4096] = b'x' * len(x[::4096])\ntime.sleep(600)"
        failure = error(await house.run(house.task(text, max_memory="100MB")))
        assert failure["type"] == "MemoryError"

    asyncio.run(told())


@story
async def test_killed_with_its_worker_it_fails(house: House) -> None:
    running = asyncio.create_task(house.run(house.task("echo here; sleep 600", "s.sh")))
    await house.ear.until("here")
    house.executor.kill()
    assert "killed by SIGKILL" in error(await running)["message"]


@story
async def test_given_up_by_the_loop_it_is_ended_too(house: House) -> None:
    running = asyncio.create_task(house.run(house.task("echo pid $$; sleep 600", "s.sh")))
    pid = int((await house.ear.until("pid ")).split()[1])
    running.cancel()
    assert error(await running)["type"] == "CancelledError"
    await until_gone(pid)


@story
async def test_one_that_was_cancelled_before_never_starts(house: House) -> None:
    house.context.request_cancel()
    assert (await house.run(house.task("echo here", "s.sh"))).end == "stopped"
    assert house.ear.lines == []


# -- commands


def command(**how: Any) -> BoundTask[Any, Any]:
    made = Command(tuple(how.pop("argv")), **how)
    return bind(Vector("command"), caller=None, queue="q", name="command", script=made)


@story
async def test_a_command_has_its_environment_its_folder_and_its_files(house: House) -> None:
    (house.folder / "in.txt").write_text("b\na\n")
    (house.folder / "out.txt").write_text("what stood there before, and was longer")
    line = 'echo "$WHO $1" >&2; sort'
    argv = ["bash", "-c", line, "bash"]
    task = command(argv=argv, env={"WHO": "me"}, cwd=str(house.folder), stdin="in.txt", stdout="out.txt")
    assert result(await house.run(task, "$HOME")) == {"returncode": 0}
    assert (house.folder / "out.txt").read_text() == "a\nb\n"
    assert house.ear.lines == [("warning", "me $HOME")]


@story
async def test_a_command_that_cannot_start_fails(house: House) -> None:
    assert error(await house.run(command(argv=["no-such-program"])))["type"] == "FileNotFoundError"
    assert (
        error(await house.run(command(argv=["cat"], stdin=str(house.folder / "none"))))["type"] == "FileNotFoundError"
    )
    os.mkfifo(house.folder / "pipe")
    assert error(await house.run(command(argv=["ls"], stdout=str(house.folder / "pipe"))))["type"] == "OSError"
    huge = await house.run(command(argv=[sys.executable, "-c", ""]), "x" * 900_000)
    assert "Argument list too long" in error(huge)["message"]


@story
async def test_a_command_may_print_its_result(house: House) -> None:
    text = 'echo "== RESULT START =="; echo \'{"status": "success"}\'; echo "== RESULT END =="'
    assert result(await house.run(command(argv=["sh", "-c", text], result="markers"))) == {"status": "success"}


def test_a_command_that_can_print_none_is_refused() -> None:
    with pytest.raises(RegistrationError, match="can print no result"):
        command(argv=["ls"], stdout="x", result="markers")
    with pytest.raises(RegistrationError, match="needs a program"):
        command(argv=[])


@story
async def test_smaller_limits_count_from_the_next_job(house: House) -> None:
    house.executor.limits = Limits(result=20)
    assert error(await house.run(house.task(PRINTS)))["type"] == "ResultRefused"
