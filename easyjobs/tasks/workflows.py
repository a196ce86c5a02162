"""Declaring workflows: a function whose calls of tasks are drawn as a graph, or tasks put together without one.
Calling a workflow makes a run.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from easyjobs.core.signature import Signature
from easyjobs.core.task import Options, TaskSpec, is_name
from easyjobs.errors import RegistrationError, ResultRefused
from easyjobs.tasks.calling import Bound
from easyjobs.tasks.decorator import BoundTask, Task, place_of
from easyjobs.tasks.dependencies import type_key_of
from easyjobs.tasks.drawing import Drawing, drawn, parameters
from easyjobs.tasks.encoding import encode_result
from easyjobs.tasks.handle import Caller
from easyjobs.tasks.introspection import names_of, signature_of
from easyjobs.tasks.options import WorkflowOptions, workflow_options
from easyjobs.tasks.schedules import recurrence
from easyjobs.tasks.shapes import NamedTask, Shape, names_of_shape, signature_of_shape

P = ParamSpec("P")
R = TypeVar("R")

_DOC_LIMIT = 8192


class BoundWorkflow(Bound[P, R]):
    """A workflow of a queue. Calling it makes a run and awaits its result; made by `bind_workflow`.

    `source` is its function, or the `Shape` that it was made of; `graph` what each run of it becomes.
    """

    def __init__(
        self,
        source: Callable[P, Any] | Shape,
        caller: Caller | None,
        queue: str,
        name: str,
        options: WorkflowOptions,
        *,
        by_type_key: bool = False,
    ) -> None:
        super().__init__(caller, queue, name)
        self.source = source
        where = place_of_workflow(source, name)
        for what, text in (("queue", queue), ("workflow", name)):
            if not is_name(text):
                raise RegistrationError(f"{where}: {text!r} cannot name a {what}: 1 to 128 of A-Z a-z 0-9 _ . -")
        self._names, draw = _drawer(source, where)
        self._options, self._title = workflow_options(options, where)
        self._rule, self._default_args = recurrence(self._names, options, where)
        try:
            self.graph = drawn(draw, Drawing(queue, by_type_key=by_type_key))
        except RegistrationError as error:
            raise RegistrationError(f"{where}: {error}") from error
        if not isinstance(source, Shape):
            functools.update_wrapper(self, source, updated=())

    @property
    def declared(self) -> Options:
        """The options that it was declared with; `options` is for calls."""
        return self._options

    @cached_property
    def spec(self) -> TaskSpec:
        """All that the manager is told. Annotations are read when this is first asked for."""
        source = self.source
        shaped = isinstance(source, Shape)
        signature = signature_of_shape(source) if isinstance(source, Shape) else signature_of(source)
        return TaskSpec(
            self.queue,
            self.name,
            signature,
            self._options,
            doc="" if shaped else (inspect.getdoc(source) or "")[:_DOC_LIMIT],
            kind="workflow",
            default_args=self._default_args,
            schedule=self._rule,
            graph=self.graph,
            title=self._title,
        )

    def names(self) -> Signature:
        """Its parameters, their annotations unread."""
        return self._names


class Workflow(NamedTask, Generic[P, R]):
    """A workflow that was declared with a plain `@workflow`: a worker takes it by `include(module)`, and what that
    gives makes runs. This one can be called in the function of another workflow, and is a task of that.

    `function`, `name`, `queue` (None: the worker's) and `options` are as they were given.
    """

    def __init__(self, function: Callable[P, R], name: str | None, queue: str | None, options: WorkflowOptions) -> None:
        super().__init__(queue, name or str(getattr(function, "__name__", function)))
        self.function = function
        self.options = options
        where = place_of_workflow(function, self.name)
        _drawer(function, where)
        workflow_options(options, where)
        functools.update_wrapper(self, function, updated=())

    @property
    def type_key(self) -> str:
        """The queue that it is in where each module's tasks are in one of their own."""
        return self.queue or type_key_of(self.function)

    def names(self) -> Signature:
        """Its parameters, their annotations unread."""
        return names_of(self.function)


def bind_workflow(
    source: Any,
    *,
    caller: Caller | None,
    queue: str,
    name: str | None = None,
    by_type_key: bool = False,
    **options: Unpack[WorkflowOptions],
) -> BoundWorkflow[Any, Any]:
    """A workflow of `queue` whose runs are made by `caller` (None: by nobody). Its graph is drawn here and now, so that
    the tasks it calls must be there.

    :param source: a function; a plain `@workflow`, whose name and options stand where none are given here; a workflow
        that is bound already, then only its function counts; or what `chain`, `group` or `map` made, with a `name`.
    :param by_type_key: whether plain tasks that name no queue are in one that is called like their module.
    :raises RegistrationError: it cannot be declared as written.
    """
    if isinstance(source, BoundWorkflow):
        name, source = name or source.name, source.source
    elif isinstance(source, Workflow):
        options = cast("WorkflowOptions", {**source.options, **options})
        name, source = name or source.name, source.function
    if name is None:
        name = getattr(source, "__name__", None)
    if name is None:
        raise RegistrationError(f"{place_of_workflow(source)}: it needs a name=...")
    return BoundWorkflow(source, caller, queue, name, options, by_type_key=by_type_key)


class _Declare(Protocol):
    """What `worker.workflow(...)` returns: a decorator whose result has the function's parameters."""

    def __call__(self, function: Callable[P, Any], /) -> BoundWorkflow[P, Any]: ...


class _DeclarePlain(Protocol):
    def __call__(self, function: Callable[P, R], /) -> Workflow[P, R]: ...


class DeclaresWorkflows:
    """What workers and managers have in common: workflows are declared with them."""

    @overload
    def workflow(self, function: Callable[P, Any], /) -> BoundWorkflow[P, Any]: ...
    @overload
    def workflow(
        self,
        name: str,
        tasks: Any,
        /,
        *,
        namespace: str | Sequence[str] | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> BoundWorkflow[..., Any]: ...
    @overload
    def workflow(
        self,
        /,
        *,
        namespace: str | Sequence[str] | None = None,
        name: str | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> _Declare: ...
    def workflow(
        self,
        function: Any = None,
        tasks: Any = None,
        /,
        *,
        namespace: str | Sequence[str] | None = None,
        name: str | None = None,
        **options: Unpack[WorkflowOptions],
    ) -> Any:
        """Declare a workflow: `@worker.workflow`, `@worker.workflow(schedule="0 6 * * *")` over a function, or
        `worker.workflow("nightly", chain(fetch, total))` without one. Before or after `start`.

        The function is called once, here, with what stands for its arguments; each call of a task in it is a task of
        the workflow, and gives what stands for its result: something to give to others (`drawing.Reference`). What the
        function returns is the result of the runs. `namespace`: the queue of the workflow, or several.

        :raises RegistrationError: it cannot be declared as written, or drawn.
        """
        if isinstance(function, str):
            name, function = function, tasks
            if not isinstance(tasks, Shape):
                tasks = "chain(...), group(...) or map(...)"
                raise RegistrationError(f"workflow({name!r}, …) is made of {tasks}, not of {function!r}")
        queues = [namespace] if isinstance(namespace, str) else None if namespace is None else list(namespace)

        def declare(source: Any) -> BoundWorkflow[Any, Any]:
            return self._declare_workflow(source, name, queues, options)

        return declare if function is None else declare(function)

    def _declare_workflow(
        self, source: Any, name: str | None, queues: list[str] | None, options: WorkflowOptions
    ) -> BoundWorkflow[Any, Any]:
        """Bind it to these queues (None: the own ones) and keep it; that of the first."""
        raise NotImplementedError


@overload
def workflow(function: Callable[P, R], /) -> Workflow[P, R]: ...
@overload
def workflow(
    *, name: str | None = None, queue: str | None = None, **options: Unpack[WorkflowOptions]
) -> _DeclarePlain: ...
def workflow(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    queue: str | None = None,
    **options: Unpack[WorkflowOptions],
) -> Any:
    """Declare a function of a module as a workflow, with or without options; a worker that includes the module has it.

    It calls the plain `@task` functions of modules that the worker includes too, and those of `task_named`.

    :raises RegistrationError: it cannot be declared as written.
    """

    def declare(function: Callable[P, R]) -> Workflow[P, R]:
        return Workflow(function, name, queue, options)

    return declare if function is None else declare(function)


def place_of_workflow(source: Any, name: str | None = None) -> str:
    """`workflow 'name' at file:line`, for errors; without the place where there is no function."""
    if isinstance(source, Shape) or not callable(source):
        return f"workflow {name!r}" if name else "a workflow"
    return place_of(source, name).replace("task ", "workflow ", 1)


def _drawer(source: Any, where: str) -> tuple[Signature, Callable[[Drawing], Any]]:
    """The parameters of a workflow, their types unread, and what draws it."""
    if isinstance(source, Shape):
        try:
            return names_of_shape(source), lambda graph: source(graph.everything)
        except RegistrationError as error:
            raise RegistrationError(f"{where}: {error}") from None
    if isinstance(source, (BoundTask, Task)) or not inspect.isroutine(source):
        raise RegistrationError(f"{where}: a workflow is a function that calls tasks, not {source!r}")
    if inspect.iscoroutinefunction(source) or inspect.isgeneratorfunction(source) or inspect.isasyncgenfunction(source):
        raise RegistrationError(
            f"{where}: the function of a workflow is a plain `def`: it draws the graph, and awaits and yields nothing. "
            "A @task that awaits others is one way where the next step depends on what came"
        )
    names = names_of(source)
    for parameter in names.parameters:
        if parameter.kind in ("args", "kwargs"):
            raise RegistrationError(f"{where}: the parameters of a workflow have names: *{parameter.name} cannot be")
        if not parameter.required:
            try:
                encode_result(inspect.signature(source).parameters[parameter.name].default)
            except ResultRefused as why:
                raise RegistrationError(f"{where}: the default of {parameter.name} is not JSON: {why}") from None
    return names, lambda graph: _called(source, names, graph)


def _called(function: Callable[..., Any], names: Signature, graph: Drawing) -> Any:
    given: Mapping[str, Any] = parameters(graph, names)
    by_place = [given[p.name] for p in names.parameters if p.kind == "positional"]
    return function(*by_place, **{p.name: given[p.name] for p in names.parameters if p.kind != "positional"})
