"""All that runs outside of the worker's own process: functions and files of Python, scripts and commands."""

from __future__ import annotations

from typing import Any

import msgspec

from easyjobs.executors.base import Executor
from easyjobs.executors.process import Home, ProcessExecutor
from easyjobs.executors.ran import Ran
from easyjobs.executors.script import ScriptExecutor
from easyjobs.protocol.messages import Limits
from easyjobs.tasks.context import JobContext
from easyjobs.tasks.decorator import BoundTask


class Children:
    """Runs each attempt with what its task is for, as `executors.base.Executor` says.

    :param functions: runs what prepares a script's arguments.
    """

    def __init__(self, home: Home, functions: Executor) -> None:
        self._processes = ProcessExecutor(home)
        self._scripts = ScriptExecutor(home, functions)

    def allow(self, limits: Limits) -> None:
        """What is allowed of results and tracebacks from now on."""
        self._processes.limits = self._scripts.limits = limits

    async def run(
        self,
        task: BoundTask[Any, Any],
        args: msgspec.Raw | bytes,
        kwargs: msgspec.Raw | bytes,
        context: JobContext,
        timeout: float | None = None,
    ) -> Ran:
        """Run one attempt; see `executors.base.Executor.run`."""
        executor = self._processes if task.program is None else self._scripts
        return await executor.run(task, args, kwargs, context, timeout)

    def possible(self, task: BoundTask[Any, Any]) -> bool:
        """Whether a task that is not declared for it can run in a child process all the same."""
        return self._processes.possible(task)

    def kill(self) -> None:
        """End all children at once; their attempts end with that."""
        self._processes.kill()
        self._scripts.kill()

    async def close(self) -> None:
        """End what still runs. May be called twice."""
        await self._processes.close()
        await self._scripts.close()
