"""The tasks that a worker can run."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from easyjobs.core.task import TaskSpec
from easyjobs.errors import RegistrationError
from easyjobs.tasks.decorator import BoundTask, Task, bind, place_of
from easyjobs.tasks.handle import Caller


class Registry:
    """Tasks by queue and name."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, str], BoundTask[Any, Any]] = {}

    def add(self, task: BoundTask[Any, Any]) -> None:
        """Keep `task`. The same function again (a module that was loaded anew) takes the place of the first.

        :raises RegistrationError: its queue has another function of that name; names both places.
        """
        known = self._tasks.get((task.queue, task.name))
        if known is not None and _identity(known) != _identity(task):
            raise RegistrationError(
                f"the queue {task.queue!r} has two tasks {task.name!r}: {place_of(known.function)} and "
                f"{place_of(task.function)}; give one of them another name=..."
            )
        self._tasks[task.queue, task.name] = task

    def get(self, queue: str, name: str) -> BoundTask[Any, Any] | None:
        """The task, or None when nobody declared it."""
        return self._tasks.get((queue, name))

    def tasks(self) -> list[BoundTask[Any, Any]]:
        """All tasks, in the order of their declaration."""
        return list(self._tasks.values())

    def specs(self) -> list[TaskSpec]:
        """All that the manager is told of the tasks, in the order of their declaration."""
        return [task.spec for task in self._tasks.values()]

    def include(self, module: ModuleType, *, caller: Caller | None, queue: str) -> list[BoundTask[Any, Any]]:
        """Bind the plain `@task` functions of a module (those it declared; not those it imported) to `queue`, or to
        the queue that they name themselves; what was bound. May be called again.

        :raises RegistrationError: as `add`; those before it stay.
        """
        bound: list[BoundTask[Any, Any]] = []
        for task in vars(module).values():
            if isinstance(task, Task) and getattr(task.function, "__module__", None) == module.__name__:
                bound.append(bind(task, caller=caller, queue=task.queue or queue))
                self.add(bound[-1])
        return bound


def _identity(task: BoundTask[Any, Any]) -> tuple[str | None, str | None]:
    """What stays the same when a module is loaded again."""
    function = task.function
    if not hasattr(function, "__qualname__"):
        function = type(function)
    return getattr(function, "__module__", None), getattr(function, "__qualname__", None)
