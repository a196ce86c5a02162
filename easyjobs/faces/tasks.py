"""Taskflow's tasks and workflows: classes and objects that say what runs, when, and after what."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Final, Literal, TypeAlias, TypeVar

import msgspec

from easyjobs.core import workflow
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import TaskSpec, is_name
from easyjobs.core.workflow import Graph, Node, Take
from easyjobs.errors import RegistrationError
from easyjobs.faces.instances import TaskInstance
from easyjobs.tasks.options import task_options
from easyjobs.tasks.schedules import recurrence
from easyjobs.tasks.scripts import Command

T = TypeVar("T", bound="Task")

Moment: TypeAlias = datetime | date | str | None
Priority: TypeAlias = Literal["critical", "high", "normal", "low"] | int

PRIORITIES: Final[dict[str, int]] = {"critical": 20, "high": 10, "normal": 0, "low": -10}
"""What the names of priorities mean; any other whole number between is one too."""

_OBJECT: Final = {"type": "object"}
_OF_A_RUN: Final = (  # what only the run that a job is part of gives it
    Parameter("given", _OBJECT, required=False, default={}, description="Those of the run.", hidden=True),
    Parameter("parents", _OBJECT, required=False, default={}, description="Jobs before it, by task.", hidden=True),
    Parameter("run", {"type": ["string", "null"]}, required=False, default=None, hidden=True),
)


class Task:
    """Something that runs: override `execute`, which gets a `TaskInstance` and may be a coroutine function. What it
    returns, which must be JSON, is its result.

    :param name: what it is called; unique in its workflow.
    :param workflow: that it is part of; None: it stands alone, and is added with `Taskflow.add_tasks`.
    :param active: whether its schedule runs from the start; it can be switched at run time.
    :param title: and `description`: for people; else that is the docstring of `execute`, or of the class.
    :param concurrency: how many of it may run at once, over all workers.
    :param sla: seconds within which a job of it should begin; a later one is an alert, once.
    :param schedule: cron expression, in `timezone`; `start_date`, `end_date`: none before, none after. Of a task in a
        workflow that is the workflow's business.
    :param default_priority: critical, high, normal, low, or a number; higher first.
    :param retries: how often it is tried again after a failure, each `retry_delay` seconds later.
    :param timeout: seconds that one try may take.
    :param params: what `execute` finds in `task_instance.params`, where nobody gives others.
    :param push_destination: where its jobs are pushed; no worker takes them.
    :raises RegistrationError: it cannot be as written.
    """

    def __init__(
        self,
        name: str | None = None,
        workflow: Workflow | None = None,
        active: bool = False,
        title: str | None = None,
        description: str | None = None,
        concurrency: int | None = 1,
        sla: float | None = None,
        schedule: str | None = None,
        default_priority: Priority = "normal",
        start_date: Moment = None,
        end_date: Moment = None,
        retries: int = 0,
        timeout: float | None = 300,
        retry_delay: float = 300,
        params: Mapping[str, Any] | None = None,
        push_destination: str | None = None,
        *,
        timezone: str = "UTC",
    ) -> None:
        self.name = _named(name, "task")
        if workflow is not None and not isinstance(workflow, Workflow):
            raise RegistrationError(f"task {self.name!r}: workflow must be a Workflow, not {workflow!r}")
        self.workflow = workflow
        self.active = active
        self.title = title or ""
        self.description = description or _documented(type(self))
        self.concurrency = concurrency
        self.sla = sla
        self.schedule = schedule
        self.priority = priority_of(default_priority, f"task {self.name!r}")
        self.start_date = start_date
        self.end_date = end_date
        self.retries = retries or 0
        self.timeout = timeout
        self.retry_delay = retry_delay
        self.params = _params(params, f"task {self.name!r}")
        self.push_destination = push_destination
        self.timezone = timezone
        self.parents: list[Task] = []
        self.program: Command | None = None  # what runs in place of a function, with what `execute` gives
        if workflow is not None:
            if schedule is not None:
                raise RegistrationError(
                    f"task {self.name!r} is part of workflow {workflow.name!r}: give the schedule to the workflow"
                )
            workflow.add(self)

    def execute(self, task_instance: TaskInstance) -> Any:
        """What it does. Raise to fail; `easyjobs.NoRetry` to fail for good."""
        raise NotImplementedError(
            f"{type(self).__name__} does not say what to do: override execute(self, task_instance)"
        )

    def on_kill(self, task_instance: TaskInstance) -> None:
        """Called when a running `execute` is to stop, because it was cancelled or took too long, or its worker ends: in
        a thread, beside it. Override it to stop what `execute` waits for, which then counts as stopped, whatever it
        returns. Without, one that is no coroutine is waited for, then left.
        """

    def depends_on(self: T, *others: Task | Iterable[Task]) -> T:
        """Run only when these tasks of the same workflow have completed; itself. May be called again.

        :raises RegistrationError: one is no task, of no workflow, or of another.
        """
        given: list[Any] = list(others)
        for other in given:
            for parent in other if isinstance(other, Iterable) and not isinstance(other, str) else [other]:
                if not isinstance(parent, Task):
                    raise RegistrationError(f"task {self.name!r} can depend on tasks, not on {parent!r}")
                if self.workflow is None or parent.workflow is not self.workflow:
                    raise RegistrationError(
                        f"task {self.name!r} cannot depend on {parent.name!r}: both must be part of one workflow"
                    )
                if parent not in self.parents:
                    self.parents.append(parent)
        return self

    @property
    def job_name(self) -> str:
        """What the task is called among all others of its queue."""
        return self.name if self.workflow is None else f"{self.workflow.name}.{self.name}"

    def spec(self, queue: str) -> TaskSpec:
        """The task as managers know it.

        :raises RegistrationError: it cannot be as written.
        """
        where = f"task {self.name!r}"
        about = "Over the task's own, which are shown here."
        signature = Signature(
            (Parameter("params", _OBJECT, required=False, default=self.params, description=about), *_OF_A_RUN)
        )
        rule, call = recurrence(signature, _timing(self), where)
        options = task_options(
            {
                "retries": self.retries,
                "retry_delay": self.retry_delay,
                "backoff": 1,
                "timeout": self.timeout,
                "priority": self.priority,
                "concurrency": self.concurrency,
                "sla": self.sla,
            },
            where,
        )
        return TaskSpec(
            queue,
            self.job_name,
            signature,
            options,
            self.description,
            "script" if self.program else "async" if inspect.iscoroutinefunction(self.execute) else "thread",
            call,
            rule,
            title=self.title,
            destination=self.push_destination,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.job_name}>"


class Workflow:
    """Tasks that depend on each other; they join it by `Task(workflow=...)`. Its runs are what a schedule, the CLI or
    HTTP start. The parameters mean what they mean for a `Task`; `concurrency`: how many runs may go on at once.

    :raises RegistrationError: it cannot be as written.
    """

    def __init__(
        self,
        name: str | None = None,
        active: bool = False,
        title: str | None = None,
        description: str | None = None,
        concurrency: int | None = 1,
        sla: float | None = None,
        schedule: str | None = None,
        default_priority: Priority = "normal",
        start_date: Moment = None,
        end_date: Moment = None,
        *,
        timezone: str = "UTC",
    ) -> None:
        self.name = _named(name, "workflow")
        self.active = active
        self.title = title or ""
        self.description = description or ""
        self.concurrency = concurrency
        self.sla = sla
        self.schedule = schedule
        self.priority = priority_of(default_priority, f"workflow {self.name!r}")
        self.start_date = start_date
        self.end_date = end_date
        self.timezone = timezone
        self.tasks: list[Task] = []

    def add(self, task: Task) -> None:
        """`task` is part of it; called by the task itself.

        :raises RegistrationError: another one has that name.
        """
        if any(other.name == task.name for other in self.tasks):
            raise RegistrationError(f"workflow {self.name!r} has two tasks {task.name!r}")
        self.tasks.append(task)

    def spec(self, queue: str) -> TaskSpec:
        """The workflow as managers know it.

        :raises RegistrationError: it has no tasks, or they depend on themselves (says the path).
        """
        where = f"workflow {self.name!r}"
        try:
            graph = Graph(workflow.order(_node(task) for task in self.tasks))
        except RegistrationError as error:
            raise RegistrationError(f"{where}: {error}") from None
        signature = _of_workflow(self.tasks)
        rule, call = recurrence(signature, _timing(self), where)
        given = {"retries": 0, "priority": self.priority, "concurrency": self.concurrency, "sla": self.sla}
        options = task_options(given, where)
        return TaskSpec(
            queue,
            self.name,
            signature,
            options,
            self.description,
            "workflow",
            call,
            rule,
            graph=graph,
            title=self.title,
        )

    def __repr__(self) -> str:
        return f"<Workflow {self.name}>"


def priority_of(priority: Priority, where: str = "a priority") -> int:
    """The number that a priority is.

    :raises RegistrationError: it is none.
    """
    if isinstance(priority, str) and priority in PRIORITIES:
        return PRIORITIES[priority]
    if isinstance(priority, int) and not isinstance(priority, bool):
        return priority
    raise RegistrationError(f"{where}: {priority!r} is no priority: {', '.join(PRIORITIES)}, or a whole number")


def _named(name: Any, what: str) -> str:
    if not isinstance(name, str) or not is_name(name):
        raise RegistrationError(f"a {what} needs a name=: 1 to 128 of A-Z a-z 0-9 _ . -, not {name!r}")
    return name


def _documented(kind: type[Task]) -> str:
    """What the author of a class has written of it; nothing of what we have."""
    theirs = (one for one in (kind.execute, kind) if not one.__module__.startswith("easyjobs."))
    return next((inspect.cleandoc(one.__doc__) for one in theirs if one.__doc__), "")


def _params(params: Mapping[str, Any] | None, where: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(params or {}), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise RegistrationError(f"{where}: params must be an object of JSON: {error}") from None
    return found


def _timing(what: Task | Workflow) -> dict[str, Any]:
    """What is said of a schedule, where there is one."""
    if what.schedule is None:
        return {}
    return {
        "schedule": what.schedule,
        "timezone": what.timezone,
        "start_date": what.start_date,
        "end_date": what.end_date,
        "active": what.active,
    }


def _node(task: Task) -> Node:
    parents = [parent.name for parent in task.parents]
    takes = (
        Take(("kwargs", "given"), path=("params",), optional=True),
        Take(("kwargs", "params"), path=("tasks", task.name), optional=True),
        Take(("kwargs", "run"), job=True),
        *(Take(("kwargs", "parents", parent), parent, job=True) for parent in parents),
    )
    return Node(task.name, task.job_name, tuple(parents), kwargs='{"parents":{}}', takes=takes, title=task.title)


def _of_workflow(tasks: list[Task]) -> Signature:
    of_tasks = {"type": "object", "properties": {task.name: _OBJECT for task in tasks}, "additionalProperties": False}
    return Signature(
        (
            Parameter("params", _OBJECT, required=False, default={}, description="For all tasks of the run."),
            Parameter("tasks", of_tasks, required=False, default={}, description="For single tasks, by name."),
        )
    )


def merged(task: Task, given: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of one execution: those of the task, over them those of the run, over them its own."""
    own: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(task.params))  # nobody changes the task's
    return {**own, **given, **params}
