"""`from easyjobs.workers.task import subprocess`: for the files that `subprocess=True` tasks run."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

from easyjobs.tasks.context import JobContext, enter
from easyjobs.workers.channel import Channel
from easyjobs.workers.child import serve, take_pipe

P = ParamSpec("P")
R = TypeVar("R")

# taken as soon as this is loaded: what the file itself starts before it calls its function must not inherit it
_pipe = take_pipe()


class Work(Generic[P, R]):
    """A function that a file of WORKER_TASK_DIR runs. `function` is the function itself, for tests."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Without arguments, under `if __name__ == '__main__':`: run the job that a worker started this file for, and
        return its result when it is recorded. Started by hand, with JSON arguments on the command line, run the
        function with these and print what it returns. With arguments: call the function.

        :raises SystemExit: the job failed, or the command line will not do.
        """
        if args or kwargs:
            return self.function(*args, **kwargs)
        return self._by_hand() if _pipe is None else self._by_order(_pipe)

    def _by_order(self, pipe: int) -> Any:
        global _pipe
        _pipe = None
        ran = serve(Channel(pipe), lambda: self.function)
        if ran.end != "completed":
            sys.exit(1)
        return json.loads(bytes(ran.result))

    def _by_hand(self) -> Any:
        try:
            (text,) = sys.argv[1:]
            given = json.loads(text)
            args, kwargs = (given, {}) if isinstance(given, list) else ([], dict(given.items()))
        except (ValueError, AttributeError):
            sys.exit(
                f"usage: python {Path(sys.argv[0]).name} '{_example(self.function)}'\n"
                "Runs the function with these arguments, a JSON object or array, and prints what it returns.\n"
                "A worker runs it for each job of the task of this name."
            )
        enter(JobContext("by hand", "", Path(sys.argv[0]).stem, 1, 1, _ByHand()))
        value: Any = self.function(*args, **kwargs)
        if inspect.iscoroutine(value):
            import asyncio

            value = asyncio.run(value)
        sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
        return value


def subprocess(function: Callable[P, R]) -> Work[P, R]:
    """Mark the function of a file in WORKER_TASK_DIR; call it, without arguments, under `if __name__ == '__main__':`.

    It may be a coroutine function. Its name does not matter, the file's does: `<task>.py`.
    """
    return Work(function)


class _ByHand:
    """Where a function that is run by hand tells its log and progress: to who looks on, apart from what it returns."""

    def log(self, job_id: str, level: str, text: str) -> None:
        """As `Reporter.log`."""
        sys.stderr.write(f"{level}: {text}\n")

    def progress(self, job_id: str, value: float | None, note: str) -> None:
        """As `Reporter.progress`."""
        sys.stderr.write(f"progress: {'' if value is None else f'{value:.0%} '}{note}".rstrip() + "\n")


def _example(function: Callable[..., Any]) -> str:
    return json.dumps(dict.fromkeys(inspect.signature(function).parameters, "…"), ensure_ascii=False)
