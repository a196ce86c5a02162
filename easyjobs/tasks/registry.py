"""The tasks that a worker can run."""

from __future__ import annotations

from types import ModuleType
from typing import Any, cast

from easyjobs.core import chain, freshness
from easyjobs.core.task import Options, TaskSpec
from easyjobs.errors import RegistrationError
from easyjobs.tasks.decorator import BoundTask, Task, bind, place_of
from easyjobs.tasks.dependencies import Dependency
from easyjobs.tasks.handle import Caller
from easyjobs.tasks.options import TaskOptions


class Registry:
    """Tasks by queue and name."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, str], BoundTask[Any, Any]] = {}

    def add(self, task: BoundTask[Any, Any]) -> None:
        """Keep `task`. The same function again (a module that was loaded anew) takes the place of the first.

        :raises RegistrationError: its queue has another function of that name (names both places), or its chains cannot
            be (says why); then it is not kept.
        """
        known = self._tasks.get((task.queue, task.name))
        if known is not None and _identity(known) != _identity(task):
            raise RegistrationError(
                f"the queue {task.queue!r} has two tasks {task.name!r}: {place_of(known.function)} and "
                f"{place_of(task.function)}; give one of them another name=..."
            )
        name = chain.TaskName(task.queue, task.name)

        def options_of(other: chain.TaskName) -> Options | None:
            declared = task if other == name else self._tasks.get(other)
            return None if declared is None else declared.declared

        try:
            chain.check(name, options_of)
            freshness.check(name, options_of)
        except RegistrationError as error:
            raise RegistrationError(f"{place_of(task.function, task.name)}: {error}") from None
        self._tasks[name] = task

    def get(self, queue: str, name: str) -> BoundTask[Any, Any] | None:
        """The task, or None when nobody declared it."""
        return self._tasks.get((queue, name))

    def tasks(self) -> list[BoundTask[Any, Any]]:
        """All tasks, in the order of their declaration."""
        return list(self._tasks.values())

    def specs(self) -> list[TaskSpec]:
        """All that the manager is told of the tasks, in the order of their declaration."""
        return [task.spec for task in self._tasks.values()]

    def include(self, module: ModuleType, *, caller: Caller | None, queue: str | None) -> list[BoundTask[Any, Any]]:
        """Bind the plain `@task` functions of a module (those it declared; not those it imported) to `queue`, or to
        the queue that they name themselves; None: each to its type key. What was bound. May be called again.

        :raises RegistrationError: as `add`; those before it stay.
        """
        bound: list[BoundTask[Any, Any]] = []
        for task in vars(module).values():
            if isinstance(task, Task) and getattr(task.function, "__module__", None) == module.__name__:
                bound.append(_bound(task, caller, queue))
                self.add(bound[-1])
        return bound


def _bound(task: Task[Any, Any], caller: Caller | None, queue: str | None) -> BoundTask[Any, Any]:
    if queue is not None:
        return bind(task, caller=caller, queue=task.queue or queue)
    given = task.options.get("dependencies") or []
    needs = [one.need(by_type_key=True) for one in ([given] if isinstance(given, Dependency) else given)]
    return bind(task, caller=caller, queue=task.type_key, **cast("TaskOptions", {"dependencies": needs}))


def _identity(task: BoundTask[Any, Any]) -> tuple[str | None, str | None]:
    """What stays the same when a module is loaded again."""
    function = task.function
    if not hasattr(function, "__qualname__"):
        function = type(function)
    return getattr(function, "__module__", None), getattr(function, "__qualname__", None)
