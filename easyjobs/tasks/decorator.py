"""Declaring tasks: `@task` for a plain one, `bind` for one whose calls become jobs of a queue."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

import msgspec

from easyjobs.core.signature import ANYTHING, Signature
from easyjobs.core.task import DefaultArgs, Kind, Options, TaskSpec, is_name
from easyjobs.errors import RegistrationError
from easyjobs.tasks import drawing
from easyjobs.tasks.calling import Bound
from easyjobs.tasks.children import child_kind
from easyjobs.tasks.conversion import Converter, converter_of, misfits
from easyjobs.tasks.dependencies import type_key_of
from easyjobs.tasks.handle import Caller
from easyjobs.tasks.introspection import names_of, signature_of
from easyjobs.tasks.options import TaskOptions, task_options
from easyjobs.tasks.schedules import recurrence
from easyjobs.tasks.scripts import program_of, shape_of

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("easyjobs")

_DOC_LIMIT = 8192


class Task(Generic[P, R]):
    """A function that was declared with `@task`: calling it runs it here. A worker takes it by `include(module)`.

    `function` is the function itself; `name`, `queue` (None: the worker's) and `options` are as they were given;
    `type_key` is the queue, or else the last name of the function's module.
    """

    def __init__(self, function: Callable[P, R], name: str | None, queue: str | None, options: TaskOptions) -> None:
        self.function, self.name = _runnable(function, name)
        self.queue = queue
        self.options = options
        where = place_of(self.function, self.name)
        _check_names(task_options(options, where), self.function, where)
        if child_kind(self.function, options, where) == "program":
            shape_of(options["script"], where)
        recurrence(self.function, options, where)
        if queue is not None and not is_name(queue):
            raise RegistrationError(f"{where}: {_name_rule('queue', queue)}")
        functools.update_wrapper(self, self.function, updated=())

    @property
    def type_key(self) -> str:
        """The queue that it is in where each module's tasks are in one of their own."""
        return self.queue or type_key_of(self.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here, now. In the function of a workflow: have it be a task of that."""
        graph = drawing.current()
        if graph is not None:
            return cast("R", graph.add(self, args, kwargs))
        result: R = self.function(*args, **kwargs)
        return result

    def names(self) -> Signature:
        """Its parameters, their annotations unread."""
        return names_of(self.function)

    def __repr__(self) -> str:
        return f"<Task {self.name}>"


class BoundTask(Bound[P, R]):
    """A task of a queue. Calling it makes a job and awaits its result; made by `bind`.

    `function` is the function itself, `name` and `queue` say where its jobs go; `child` how it runs in a child process,
    None where it does not; `program` what it starts there if that is not the function; `default_args` what its ticks
    call it with.
    """

    def __init__(self, function: Callable[P, Any], caller: Caller | None, queue: str, name: str, options: TaskOptions):
        where = place_of(function, name)
        if not is_name(queue):
            raise RegistrationError(f"{where}: {_name_rule('queue', queue)}")
        super().__init__(caller, queue, name)
        self.function = function
        self.is_coroutine = _is_coroutine_function(function)
        self._options = task_options(options, where)
        self.child = child_kind(function, options, where)
        self.program = program_of(options.get("script"), where)
        self._rule, self.default_args = recurrence(function, options, where)
        self.no_retry_on = self._options.no_retry_on
        _check_names(self._options, function, where)
        functools.update_wrapper(self, function, updated=())
        if self._options.write_all:
            self._signature()  # refused here, if it lists no values

    @property
    def declared(self) -> Options:
        """The options that it was declared with; `options` is for calls."""
        return self._options

    @cached_property
    def spec(self) -> TaskSpec:
        """All that the manager is told. Annotations are read when this is first asked for."""
        if self.default_args is not None:
            self._warn_of_misfits(self.default_args)
        return TaskSpec(
            queue=self.queue,
            name=self.name,
            signature=self._signature(),
            options=self._options,
            doc=(inspect.getdoc(self.function) or "")[:_DOC_LIMIT] if _has_own_doc(self.function) else "",
            kind=self._kind(),
            default_args=self.default_args,
            schedule=self._rule,
        )

    def _warn_of_misfits(self, default: DefaultArgs) -> None:
        where = place_of(self.function, self.name)
        for error in misfits(self.function, msgspec.json.decode(default.args), msgspec.json.decode(default.kwargs)):
            if self._options.write_all and error["loc"][1] in self._options.write_all:
                continue  # "ALL" is no value of the function's own, and is judged with the signature
            place = ".".join(map(str, error["loc"]))
            log.warning("%s: default_args %s: %s; passed as it is written", where, place, error["message"])

    def _kind(self) -> Kind:
        if self.child is None:
            return "async" if self.is_coroutine else "thread"
        return "script" if self.child == "program" else self.child

    def _signature(self) -> Signature:
        try:
            signature = signature_of(self.function, self._options.write_all)
        except RegistrationError as error:
            raise RegistrationError(f"{place_of(self.function, self.name)}: {error}") from None
        if self.program is not None:
            return msgspec.structs.replace(signature, returns={"type": "object"})  # the function returns arguments
        # a script's function stands elsewhere: the one declared for it says its parameters, or nothing
        return ANYTHING if self.child == "script" and not signature.parameters else signature

    def names(self) -> Signature:
        """Its parameters, their annotations unread."""
        signature = names_of(self.function)
        return ANYTHING if self.child == "script" and not signature.parameters else signature

    @cached_property
    def converter(self) -> Converter:
        """Turns a job's JSON arguments into what the function's annotations say."""
        return converter_of(self.function)

    def as_written(self, args: bytes | msgspec.Raw, kwargs: bytes | msgspec.Raw) -> bool:
        """Whether the arguments of a job (JSON) are the task's own `default_args`: the author's word stands, and what
        of them no annotation fits is passed as it is written.
        """
        default = self.default_args
        return (
            default is not None
            and msgspec.json.decode(args) == msgspec.json.decode(default.args)
            and msgspec.json.decode(kwargs) == msgspec.json.decode(default.kwargs)
        )

    def local(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run the function here, without a job: its result, or its coroutine to await."""
        return self.function(*args, **kwargs)


class ScriptTask(BoundTask[..., dict[str, Any]]):
    """A task that runs a script. Calling it makes a job as with any task; called with a function (so, as a decorator)
    it gives the task whose arguments are that function's, and those of the script what it returns.
    """

    declare: Callable[[Callable[..., Any]], ScriptTask] | None = None

    @overload
    def __call__(self, function: Callable[..., Any], /) -> ScriptTask: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make a job and await its result; see `Bound`. With a function, which no job could have: declare it."""
        if self.declare is not None and not kwargs and len(args) == 1 and inspect.isroutine(args[0]):
            return self.declare(args[0])
        return super().__call__(*args, **kwargs)


def bind(
    function: Callable[..., Any],
    *,
    caller: Caller | None,
    queue: str,
    name: str | None = None,
    **options: Unpack[TaskOptions],
) -> BoundTask[Any, Any]:
    """A task of `queue` whose jobs are made by `caller` (None: by nobody, it only runs).

    `function` may be a task already: of another queue (decorators stack), then only its function counts; or a plain
    `@task`, then its name and options stand where none are given here.

    :raises RegistrationError: it cannot be declared as written.
    """
    if isinstance(function, BoundTask):
        function = function.function
    elif isinstance(function, Task):
        options = cast("TaskOptions", {**function.options, **options})
        name = function.name if name is None else name
        function = function.function
    function, name = _runnable(function, name)
    kind = BoundTask if options.get("script") is None else ScriptTask
    return kind(function, caller, queue, name, options)


class Declare(Protocol):
    """What `worker.task(...)` returns: a decorator whose result has the function's parameters and result."""

    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> BoundTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> BoundTask[P, R]: ...


class _DeclarePlain(Protocol):
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    name: str | None = None,
    queue: str | None = None,
    type_key: str | None = None,
    **options: Unpack[TaskOptions],
) -> _DeclarePlain: ...
def task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    queue: str | None = None,
    type_key: str | None = None,
    **options: Unpack[TaskOptions],
) -> Any:
    """Declare a function as a task, with or without options: `@task`, `@task(retries=3)`.

    It stays a function: calling it runs it. A worker that includes its module makes jobs of its calls over there.
    `queue` and `type_key` are two names for the same: where its jobs wait, if that is not the worker's to say.

    :raises RegistrationError: it cannot be declared as written.
    """
    if queue is not None and type_key is not None:
        raise RegistrationError("give either queue or type_key: they say the same")

    def declare(function: Callable[P, R]) -> Task[P, R]:
        return Task(function, name, type_key if queue is None else queue, options)

    return declare if function is None else declare(function)


def place_of(function: Callable[..., Any], name: str | None = None) -> str:
    """`task 'name' at file:line`, for errors."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    label = f"task {name!r}" if name else f"task {function!r}"
    return f"{label} at {code.co_filename}:{code.co_firstlineno}" if code is not None else label


def _runnable(function: Any, name: str | None) -> tuple[Callable[..., Any], str]:
    """The function to run and its name; a class becomes an object of it."""
    own_name = _own_name(function)
    if isinstance(function, staticmethod):
        function = function.__func__
    if inspect.isclass(function):
        function = _made(function)
    if not callable(function):
        raise RegistrationError(f"{function!r} cannot be called: a task is a function, or an object with __call__")
    where = place_of(function, name or own_name)
    called = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004 - not a test
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise RegistrationError(f"{where}: a generator cannot be a task; return a list, or enqueue a job for each item")
    if name is None and own_name == "<lambda>":
        raise RegistrationError(f"{where}: a lambda has no name; give name=...")
    name = own_name if name is None else name
    if name is None or not is_name(name):
        raise RegistrationError(f"{where}: {_name_rule('task', name)}")
    return function, name


def _own_name(function: Any) -> str | None:
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, staticmethod):
        function = function.__func__
    name = getattr(function, "__name__", None) or type(function).__name__
    return name if isinstance(name, str) else None


def _made(kind: type) -> Callable[..., Any]:
    if "__call__" not in {attribute for base in kind.__mro__ for attribute in vars(base)}:
        raise RegistrationError(f"the class {kind.__qualname__} has no __call__ method; a task needs one")
    try:
        return cast("Callable[..., Any]", kind())
    except TypeError as error:
        raise RegistrationError(
            f"the class {kind.__qualname__} cannot be made without arguments ({error}); declare an object of it"
        ) from None


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or (
        not inspect.isroutine(function) and inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
    )


def _has_own_doc(function: Callable[..., Any]) -> bool:
    return not isinstance(function, functools.partial)  # which has the doc of `partial`


def _check_names(options: Options, function: Callable[..., Any], where: str) -> None:
    unique = () if isinstance(options.unique, bool) else options.unique
    named = [("unique", name) for name in unique] + [("write_all", name) for name in options.write_all]
    try:
        names = list(inspect.signature(function).parameters) if named else []
    except (ValueError, TypeError):
        return
    for option, name in named:
        if name not in names:
            raise RegistrationError(
                f"{where}: {option} names {name!r}; its parameters are: {', '.join(names) or 'none'}"
            )


def _name_rule(what: str, name: Any) -> str:
    return f"{name!r} cannot name a {what}: 1 to 128 of A-Z a-z 0-9 _ . -"
