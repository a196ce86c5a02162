"""The tasks that a worker can run, and the workflows that it brings."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any, TypeAlias, cast

from easyjobs.core import chain, freshness
from easyjobs.core.task import Options, TaskSpec
from easyjobs.core.workflow import Graph
from easyjobs.errors import RegistrationError
from easyjobs.tasks.decorator import BoundTask, Task, bind, place_of
from easyjobs.tasks.dependencies import Dependency
from easyjobs.tasks.handle import Caller
from easyjobs.tasks.options import TaskOptions
from easyjobs.tasks.shapes import Shape
from easyjobs.tasks.workflows import BoundWorkflow, Workflow, bind_workflow, place_of_workflow

Declared: TypeAlias = BoundTask[Any, Any] | BoundWorkflow[Any, Any]


class Registry:
    """Tasks and workflows by queue and name."""

    def __init__(self) -> None:
        self._declared: dict[tuple[str, str], Declared] = {}

    def add(self, task: Declared) -> None:
        """Keep `task`. The same function again (a module that was loaded anew) takes the place of the first.

        :raises RegistrationError: its queue has another function of that name (names both places), or its chains cannot
            be (says why); then it is not kept.
        """
        known = self._declared.get((task.queue, task.name))
        if known is not None and _identity(known) != _identity(task):
            raise RegistrationError(
                f"the queue {task.queue!r} has two tasks {task.name!r}: {_place(known)} and {_place(task)}; give one "
                "of them another name=..."
            )
        name = chain.TaskName(task.queue, task.name)

        def options_of(other: chain.TaskName) -> Options | None:
            declared = task if other == name else self._declared.get(other)
            return None if declared is None else declared.declared

        def graph_of(other: chain.TaskName) -> Graph | None:
            declared = task if other == name else self._declared.get(other)
            return declared.graph if isinstance(declared, BoundWorkflow) else None

        try:
            chain.check(name, options_of)
            chain.check_graphs(name, graph_of, options_of)
            freshness.check(name, options_of)
        except RegistrationError as error:
            raise RegistrationError(f"{_place(task, task.name)}: {error}") from None
        self._declared[name] = task

    def get(self, queue: str, name: str) -> BoundTask[Any, Any] | None:
        """The task, or None when nobody declared it: a workflow is none, there is nothing in it to run."""
        found = self._declared.get((queue, name))
        return found if isinstance(found, BoundTask) else None

    def tasks(self) -> list[BoundTask[Any, Any]]:
        """All tasks, in the order of their declaration."""
        return [task for task in self._declared.values() if isinstance(task, BoundTask)]

    def specs(self) -> list[TaskSpec]:
        """All that the manager is told of tasks and workflows, in the order of their declaration."""
        return [declared.spec for declared in self._declared.values()]

    def include(self, module: ModuleType, *, caller: Caller | None, queue: str | None) -> list[Declared]:
        """Bind the plain `@task` and `@workflow` functions of a module (those it declared; not those it imported) to
        `queue`, or to the queue that they name themselves; None: each to its type key. What was bound. May be called
        again.

        :raises RegistrationError: as `add`; those before it stay.
        """
        bound: list[Declared] = []
        for plain in vars(module).values():
            if isinstance(plain, (Task, Workflow)) and getattr(plain.function, "__module__", None) == module.__name__:
                one = _bound(plain, caller, queue) if isinstance(plain, Task) else _workflow(plain, caller, queue)
                bound.append(one)
                self.add(one)
        return bound


def _bound(task: Task[Any, Any], caller: Caller | None, queue: str | None) -> BoundTask[Any, Any]:
    if queue is not None:
        return bind(task, caller=caller, queue=task.queue or queue)
    given = task.options.get("dependencies") or []
    needs = [one.need(by_type_key=True) for one in ([given] if isinstance(given, Dependency) else given)]
    return bind(task, caller=caller, queue=task.type_key, **cast("TaskOptions", {"dependencies": needs}))


def _workflow(workflow: Workflow[Any, Any], caller: Caller | None, queue: str | None) -> BoundWorkflow[Any, Any]:
    home = workflow.type_key if queue is None else workflow.queue or queue
    return bind_workflow(workflow, caller=caller, queue=home, by_type_key=queue is None)


def _place(task: Declared, name: str | None = None) -> str:
    return place_of(task.function, name) if isinstance(task, BoundTask) else place_of_workflow(task.source, name)


def _identity(task: Declared) -> Any:
    """What stays the same when a module is loaded again, also once as the program and once by its name."""
    if isinstance(task, BoundTask) and task.program is not None:
        return task.program  # what prepares its arguments may take the place of another
    function = task.function if isinstance(task, BoundTask) else task.source
    if isinstance(task, BoundWorkflow) and isinstance(function, Shape):
        return task.graph
    if not hasattr(function, "__qualname__"):
        function = type(function)
    code = getattr(inspect.unwrap(function), "__code__", None)
    place = getattr(function, "__module__", None) if code is None else code.co_filename
    return place, getattr(function, "__qualname__", None)
