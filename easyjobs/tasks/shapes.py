"""Putting tasks together without a function: `chain`, `group`, `map`; and tasks that are known by name only."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from easyjobs.core import chain as chains
from easyjobs.core.signature import Parameter, Signature
from easyjobs.errors import ConfigurationError, RegistrationError
from easyjobs.tasks import drawing
from easyjobs.tasks.calling import Bound, Prepared
from easyjobs.tasks.decorator import Task
from easyjobs.tasks.drawing import Callee, Drawing, Reference
from easyjobs.tasks.introspection import signature_of


class NamedTask:
    """A task that is declared elsewhere, to be called in a workflow; made by `task_named`."""

    def __init__(self, queue: str | None, name: str) -> None:
        self.queue = queue
        self.name = name

    def names(self) -> Signature | None:
        """Nothing is known of its parameters."""
        return None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Have it be a task of the workflow that is being drawn; gives a reference to its result.

        :raises ConfigurationError: none is being drawn.
        """
        return _here(repr(self)).add(self, args, kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def task_named(name: str) -> Any:
    """A task by its name, for a workflow whose code does not have it: "task" of the workflow's queue, or "queue:task".

    :raises RegistrationError: it can name no task.
    """
    chains.resolve(name, "here")
    queue, _, task = name.rpartition(":")
    return NamedTask(queue or None, task)


class Shape:
    """Tasks put together. In the function of a workflow it is called like a task; a workflow can also be made of it
    alone: `worker.workflow("nightly", chain(fetch, total))`.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Have the tasks be in the workflow that is being drawn; gives what stands for their result."""
        raise NotImplementedError

    def then(self, result: Any) -> Any:
        """As a call with `result`, where that comes before it in a chain."""
        raise NotImplementedError

    def firsts(self) -> Iterator[Any]:
        """Those of its parts that get what it is called with."""
        raise NotImplementedError


Part: TypeAlias = Bound[..., Any] | Prepared[..., Any] | Task[..., Any] | NamedTask | Shape
"""What can be put together."""


class Chain(Shape):
    """One after the other; made by `chain`."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self._parts = _judged("chain", parts)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the first so, and each other with the result of the one before; gives the last's."""
        first, *others = self._parts
        return functools.reduce(_next, others, first(*args, **kwargs))

    def then(self, result: Any) -> Any:
        """The first gets the result, and each other that of the one before."""
        return functools.reduce(_next, self._parts, result)

    def firsts(self) -> Iterator[Any]:
        """Those of the first."""
        return _firsts(self._parts[0])


class Group(Shape):
    """Side by side; made by `group`."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self._parts = _judged("group", parts)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call each of them so; gives the list of their results, for a task that takes them."""
        return [part(*args, **kwargs) for part in self._parts]

    def then(self, result: Any) -> Any:
        """Each of them gets the result."""
        return [_next(result, part) for part in self._parts]

    def firsts(self) -> Iterator[Any]:
        """Those of all."""
        for part in self._parts:
            yield from _firsts(part)


class Map(Shape):
    """Once for each item of a list; made by `map`."""

    def __init__(self, part: Any, same: dict[str, Any]) -> None:
        if not isinstance(part, (Bound, Prepared, Task, NamedTask)):
            raise RegistrationError(f"map runs a task for each item of a list, and {part!r} is none")
        self._task: Callee = part.bound if isinstance(part, Prepared) else part
        self._priority = part.priority if isinstance(part, Prepared) else None
        self._same = same

    def __call__(self, over: Any, /) -> Any:
        """Run the task for each item of `over`: the result of a task, or a parameter, which must be a list then (up to
        10,000 items); or a list of such, whose length is known now.

        :raises RegistrationError: it is neither.
        """
        graph = _here("map")
        if isinstance(over, Reference):
            over = over[ITEMS] if over is graph.everything else over
            return graph.add(self._task, (), self._same, over=over, priority=self._priority)
        if not isinstance(over, (list, tuple, range)):
            raise RegistrationError(f"map goes over the result of a task, a parameter, or a list, not {over!r}")
        return [graph.add(self._task, (item,), self._same, priority=self._priority) for item in over]

    def then(self, result: Any) -> Any:
        """It goes over the result."""
        return self(result)

    def firsts(self) -> Iterator[Any]:
        """Itself."""
        yield self


ITEMS: Final = "items"
"""The parameter of a workflow that begins with a map."""

_LISTED: Final = Signature((Parameter(ITEMS, {"type": "array"}),))
_BY_NAME: Final = Signature((Parameter("arguments", kind="kwargs"),))


def chain(*parts: Part) -> Any:
    """These one after the other, each with the result of the one before as its one argument: `chain(fetch, total)`. One
    that has no parameters only comes after it.

    :raises RegistrationError: there are none, or one is no task and nothing made of tasks.
    """
    return Chain(parts)


def group(*parts: Part) -> Any:
    """These side by side, each called with the same; what follows gets the list of their results.

    :raises RegistrationError: as `chain`.
    """
    return Group(parts)


_NONE: Final[Any] = object()


def map(task: Any, over: Any = _NONE, /, **same_for_all: Any) -> Any:
    """`task` once for each item of `over`, which it gets as its argument, besides those that are the `same_for_all`.
    In the function of a workflow: gives what stands for the list of their results.

    Without `over`: a part of a `chain`, which goes over what comes before it.

    :raises RegistrationError: that is no task, or `over` no list. ConfigurationError: no workflow is being drawn.
    """
    shape = Map(task, same_for_all)
    return shape if over is _NONE else shape(over)


def names_of_shape(shape: Shape) -> Signature:
    """The parameters of a workflow that is made of `shape` alone: those of the task that begins it. No annotation is
    read.

    :raises RegistrationError: several begin it, and they have not the same parameters.
    """
    found = [_names(part) for part in shape.firsts()]
    if any({p.name for p in other.parameters} != {p.name for p in found[0].parameters} for other in found):
        raise RegistrationError("the tasks that begin it are called alike, and have not the same parameters")
    return found[0]


def _names(part: Any) -> Signature:
    if isinstance(part, Map):
        return _LISTED
    return (part.bound if isinstance(part, Prepared) else part).names() or _BY_NAME


def signature_of_shape(shape: Shape) -> Signature:
    """As `names_of_shape`, with their types."""
    part = next(shape.firsts())
    bound = part.bound if isinstance(part, Prepared) else part
    if isinstance(bound, Bound):
        found = bound.spec.signature
    else:
        found = signature_of(part.function) if isinstance(part, Task) else _names(part)
    return Signature(found.parameters, found.defs)


def _judged(word: str, parts: tuple[Any, ...]) -> tuple[Part, ...]:
    if not parts:
        raise RegistrationError(f"{word}() needs tasks")
    for part in parts:
        if isinstance(part, Reference):
            raise RegistrationError(f"{word} takes tasks, and calls them itself; for results write a list: [a, b]")
        if not isinstance(part, (Bound, Prepared, Task, NamedTask, Shape)):
            raise RegistrationError(f"{word} takes tasks and what is made of them, not {part!r}")
    return parts


def _next(result: Any, part: Part) -> Any:
    """What stands for the result of `part`, which comes after that of another in a chain."""
    if isinstance(part, Shape):
        return part.then(result)
    names = (part.bound if isinstance(part, Prepared) else part).names()
    if names is not None and not names.parameters:
        node: Any = part()
        return node.after(result)
    return part(result)


def _firsts(part: Any) -> Iterator[Any]:
    return part.firsts() if isinstance(part, Shape) else iter((part,))


def _here(what: str) -> Drawing:
    graph = drawing.current()
    if graph is None:
        raise ConfigurationError(f"{what} is called in the function of a workflow; here, nothing would run it")
    return graph
