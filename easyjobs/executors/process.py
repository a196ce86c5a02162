"""Running attempts in child processes: functions that are imported there by name, and files of WORKER_TASK_DIR.

A child reports its outcome to the manager itself, and exits when that is acknowledged; the worker watches over it and
reports only what the child could not. The slot is held from the start of the process to its end.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

import easyjobs
from easyjobs.background import Nursery
from easyjobs.core.signature import ANYTHING
from easyjobs.errors import ConfigurationError
from easyjobs.executors.attempt import ChildAttempt
from easyjobs.executors.child import Child
from easyjobs.executors.memory import MemoryWatch
from easyjobs.executors.pipe import Order
from easyjobs.executors.ran import Ran, failed
from easyjobs.executors.relay import Way
from easyjobs.executors.scripts import script_of
from easyjobs.protocol.messages import Held, Limits
from easyjobs.settings import surroundings_of_children, task_dir
from easyjobs.tasks.children import found_by_name, name_of
from easyjobs.tasks.context import JobContext
from easyjobs.tasks.decorator import BoundTask

log = logging.getLogger("easyjobs")

GRACE: Final = 10.0
BOOT: Final = "import sys; sys.path.insert(0, {!r}); from easyjobs.workers.child import main; main()"


class Home(NamedTuple):
    """What children need to know of their worker.

    `address` gives the manager's websocket, "" where a child cannot know it; then `way`, if there is one, makes the
    child of an attempt a link to the manager through us. `secret` is what must not reach a child; `stored` waits until
    the lines of a job are stored at the manager, for a while at most.
    """

    address: Callable[[], str]
    stored: Callable[[str], Awaitable[None]]
    secret: str = ""
    queues: tuple[str, ...] = ()
    task_dir: str | None = None
    way: Callable[[Held], Way] | None = None


class ProcessExecutor:
    """Runs each attempt in a process of its own, as `executors.base.Executor` says.

    :param limits: what is allowed of results and tracebacks; may be set anew at any time.
    :param grace: seconds between SIGTERM and SIGKILL of a child that is to stop.
    """

    def __init__(self, home: Home, *, limits: Limits | None = None, grace: float = GRACE) -> None:
        self._home = home
        self._grace = grace
        self._nursery = Nursery("child")
        self._memory = MemoryWatch()
        self._attempts: dict[ChildAttempt, None] = {}
        self.limits = limits or Limits()

    async def run(
        self,
        task: BoundTask[Any, Any],
        args: msgspec.Raw | bytes,
        kwargs: msgspec.Raw | bytes,
        context: JobContext,
        timeout: float | None = None,
    ) -> Ran:
        """Run one attempt; see `executors.base.Executor.run`. A task that is not declared for it, too, where its
        function is found by name.
        """
        if context._cancelled:
            return Ran("stopped")
        try:
            order = self._order(task, args, kwargs, context)
            script = script_of(task.name, task_dir(self._home.task_dir)) if task.child == "script" else None
            way = None if self._home.way is None else partial(self._home.way, _held(context))
            attempt = ChildAttempt(
                context, self._grace, self._nursery, self._home.stored, script, task.no_retry_on, way
            )
            environ = surroundings_of_children(self._home.secret, self._home.queues)
            child = Child.start(_command(script), environ, attempt.say)
        except (ConfigurationError, OSError) as error:
            return failed(error, task.no_retry_on)
        self._attempts[attempt] = None
        most = task.declared.max_memory
        if most is not None and self._memory.possible:
            self._memory.watch(child.pid, most, lambda used: attempt.too_large(used, most))
        elif most is not None:
            log.warning("%r: max_memory needs /proc, which is not here; its memory is not watched", context)
        try:
            return await attempt.run(child, order, timeout, 2 * self.limits.result + self.limits.frame)
        finally:
            self._memory.forget(child.pid)
            del self._attempts[attempt]

    @staticmethod
    def possible(task: BoundTask[Any, Any]) -> bool:
        """Whether a task that is not declared for it can run in a child process all the same."""
        return task.child is not None or found_by_name(task.function) is not None

    def kill(self) -> None:
        """End all children at once; their attempts end with that."""
        for attempt in self._attempts:
            attempt.kill()

    async def close(self) -> None:
        """End what still runs. May be called twice."""
        self.kill()
        await self._nursery.close()

    def _order(
        self, task: BoundTask[Any, Any], args: msgspec.Raw | bytes, kwargs: msgspec.Raw | bytes, context: JobContext
    ) -> Order:
        order = Order(
            context.id,
            context.attempt,
            context._token,
            context.queue,
            context.task,
            context.max_attempts,
            msgspec.Raw(args),
            msgspec.Raw(kwargs),
            as_written=task.as_written(args, kwargs),
            address=self._home.address(),
            relayed=self._home.way is not None,
            no_retry_on=task.no_retry_on,
            result_limit=self.limits.result,
            depth_limit=self.limits.depth,
            traceback_limit=self.limits.traceback,
        )
        if task.child != "script":
            name = name_of(task.function)
            if name is None:
                raise ConfigurationError(f"{task!r} cannot run in a child process: its function has no name there")
            order.function = f"{name.module}:{name.qualname}"
            order.main = name.main and str(Path(name.main).absolute())
            order.path = sys.path.copy()
        else:
            order.anything = task.spec.signature is ANYTHING
        return order


def _command(script: Path | None) -> list[str]:
    """What to start; nothing of it is secret, every user of the machine can read it."""
    if not sys.executable:
        raise ConfigurationError("this program does not know its Python (sys.executable), so it can start no other")
    if script is not None:
        return [sys.executable, str(script)]
    root = str(Path(easyjobs.__file__).parent.parent)
    return [sys.executable, "-P", "-c", BOOT.format(root)]


def _held(context: JobContext) -> Held:
    return Held(context.id, context.attempt, context._token)
