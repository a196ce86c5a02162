"""Running scripts and commands: anything that can be started, with arguments, and judged by what it prints and by how
it ends. No shell reads anything of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import Any, Final

import msgspec

from easyjobs.errors import ArgumentsRefused, ConfigurationError, ResultRefused, ScriptFailed
from easyjobs.executors.base import Executor
from easyjobs.executors.child import Child, Files
from easyjobs.executors.memory import MemoryWatch
from easyjobs.executors.printed import Printed
from easyjobs.executors.process import GRACE, Home
from easyjobs.executors.ran import Ran, failed
from easyjobs.executors.watching import Watching
from easyjobs.protocol.messages import Limits
from easyjobs.settings import surroundings_of_scripts
from easyjobs.tasks.context import JobContext
from easyjobs.tasks.decorator import BoundTask
from easyjobs.tasks.scripts import Command, Program, Start

log = logging.getLogger("easyjobs")

ENDED_WELL: Final = msgspec.Raw(b'{"returncode":0}')


class ScriptExecutor:
    """Runs each attempt as a process of its own, as `executors.base.Executor` says: first the task's function, by
    `functions`, for the arguments; then the script with these.

    :param limits: what is allowed of results; may be set anew at any time.
    :param grace: seconds between SIGTERM and SIGKILL of one that is to stop.
    """

    def __init__(self, home: Home, functions: Executor, *, limits: Limits | None = None, grace: float = GRACE) -> None:
        self._home = home
        self._functions = functions
        self._grace = grace
        self._memory = MemoryWatch()
        self._attempts: dict[ScriptAttempt, None] = {}
        self.limits = limits or Limits()

    async def run(
        self,
        task: BoundTask[Any, Any],
        args: msgspec.Raw | bytes,
        kwargs: msgspec.Raw | bytes,
        context: JobContext,
        timeout: float | None = None,
    ) -> Ran:
        """Run one attempt; see `executors.base.Executor.run`."""
        began = asyncio.get_running_loop().time()
        prepared = await self._functions.run(task, args, kwargs, context, timeout)
        if prepared.end != "completed" or task.program is None:
            return prepared
        if context._cancelled:
            return Ran("stopped")
        try:
            start = task.program.start()
            command = [*start.argv, *words(msgspec.json.decode(prepared.result))]
            return await self._run(task, task.program, Start(command, start.cwd), context, timeout, began)
        except (ConfigurationError, ArgumentsRefused, ResultRefused, OSError) as error:
            return failed(error, task.no_retry_on)

    def kill(self) -> None:
        """End all that run at once; their attempts end with that."""
        for attempt in self._attempts:
            attempt.kill()

    async def close(self) -> None:
        """End what still runs. May be called twice."""
        self.kill()

    async def _run(
        self,
        task: BoundTask[Any, Any],
        program: Program,
        start: Start,
        context: JobContext,
        timeout: float | None,
        began: float,
    ) -> Ran:
        printed = Printed(2 * self.limits.result) if program.result == "markers" else None
        attempt = ScriptAttempt(context, self._grace, task.no_retry_on, printed, self.limits)
        env = {**surroundings_of_scripts(self._home.secret, self._home.queues), "PYTHONUNBUFFERED": "1"}
        env |= {"EASYJOBS_JOB": context.id, "EASYJOBS_ATTEMPT": str(context.attempt)}
        with contextlib.ExitStack() as opened:
            files = Files(start.cwd)
            if printed is not None:
                files = files._replace(seen=printed.line, longest=2 * self.limits.result + 1)
            if isinstance(program, Command):
                env |= program.env
                files = files._replace(
                    stdin=_opened(opened, start.cwd, program.stdin, os.O_RDONLY),
                    stdout=_opened(opened, start.cwd, program.stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
                )
            child = Child.start_stranger(start.argv, env, attempt.say, files)
        self._attempts[attempt] = None
        most = task.declared.max_memory
        if most is not None and self._memory.possible:
            self._memory.watch(child.pid, most, lambda used: attempt.too_large(used, most))
        elif most is not None:
            log.warning("%r: max_memory needs /proc, which is not here; its memory is not watched", context)
        try:
            return await attempt.run(child, timeout, asyncio.get_running_loop().time() - began)
        finally:
            self._memory.forget(child.pid)
            del self._attempts[attempt]


class ScriptAttempt(Watching):
    """Watches over one script. Make it, give `say` to `Child.start_stranger`, then `run` it, once.

    :param printed: has seen its output when it has ended; None where its exit status is its result.
    """

    def __init__(
        self,
        context: JobContext,
        grace: float,
        no_retry_on: tuple[str, ...],
        printed: Printed | None,
        limits: Limits,
    ) -> None:
        super().__init__(context, grace, no_retry_on)
        self._printed = printed
        self._limits = limits

    async def run(self, child: Child, timeout: float | None, spent: float) -> Ran:
        """Wait for its end. `timeout`: the seconds that it has, of which some are `spent`."""
        try:
            status = await self._exit(child, timeout, spent=spent)
        except asyncio.CancelledError as error:
            return failed(error, self._no_retry_on)
        ran = self._judged(status)
        # told to stop while it ended: what it has said of its success counts, that it ended in peace does not
        if not self._stopping or (ran.end == "completed" and self._printed is not None):
            return ran if self._over is None or ran.end == "completed" else self._failed(self._over)
        return Ran("stopped") if self._over is None else self._failed(self._over)

    def _judged(self, status: int) -> Ran:
        if status != 0:
            return self._failed(ChildProcessError(f"the script {self._ended_with(status)}"))
        if self._printed is None:
            return Ran("completed", ENDED_WELL)
        try:
            return Ran("completed", msgspec.Raw(self._printed.result(self._limits.result, self._limits.depth)))
        except (ScriptFailed, ResultRefused) as error:
            return self._failed(error)


def words(values: Any) -> list[str]:
    """The arguments of a command line: text as it is, numbers and booleans as JSON has them. None is an empty list.

    :raises ArgumentsRefused: they are no list of such, or one holds NUL; `errors` has each place.
    """
    if values is None:
        return []
    if not isinstance(values, list):
        raise ArgumentsRefused(f"A script's arguments are a list of text, numbers and booleans, not {_kind(values)}.")
    errors = [{"loc": ["args", i], "message": reason} for i, value in enumerate(values) if (reason := _unfit(value))]
    if errors:
        raise ArgumentsRefused("The arguments do not fit a command line.", errors=errors)
    return [value if isinstance(value, str) else msgspec.json.encode(value).decode() for value in values]


def _unfit(value: Any) -> str:
    if not isinstance(value, (str, int, float)):
        return f"must be text, a number or a boolean, not {_kind(value)}"
    if isinstance(value, str):
        if "\0" in value:
            return "holds NUL, which no command line can"
        try:
            value.encode()
        except UnicodeEncodeError:
            return "is no text (it holds half a character)"
    return ""


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", type(None): "null", str: "text"}.get(type(value), type(value).__name__)


def _opened(opened: contextlib.ExitStack, cwd: str | None, path: str | None, flags: int) -> int | None:
    """An open file, closed with `opened`; of a pipe that nobody holds the other end of, an error, not a wait.

    :raises OSError: it cannot be opened.
    """
    if path is None:
        return None
    file = os.open(os.path.join(cwd or "", path), flags | os.O_NONBLOCK, 0o666)  # noqa: PTH118 - one call for both
    opened.callback(os.close, file)
    os.set_blocking(file, True)
    return file
