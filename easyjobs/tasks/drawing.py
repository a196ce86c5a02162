"""Drawing the graph of a workflow: while its function is called, each call of a task becomes a node, and gives a
reference to the result that will be there when the node has run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, NoReturn, Protocol, TypeAlias

import msgspec

from easyjobs.core.signature import Signature
from easyjobs.core.task import is_name
from easyjobs.core.workflow import Graph, Node, Path, Take, order
from easyjobs.errors import ArgumentsRefused, RegistrationError, ResultRefused
from easyjobs.tasks.encoding import encode_arguments, encode_result


class Callee(Protocol):
    """What is known of a task where a graph is drawn: its `queue` (None: that of the workflow) and `name`."""

    @property
    def queue(self) -> str | None:
        """Where its jobs wait."""

    @property
    def name(self) -> str:
        """What it is called there."""

    def names(self) -> Signature | None:
        """Its parameters without their types; None where they are not known."""


class _Step(msgspec.Struct, eq=False):
    """A node while it is drawn: whatever is called later may still name it, or have it wait."""

    task: str
    base: str  # of its name, where none is given
    args: str
    kwargs: str
    takes: list[_Taken]
    over: _Taken | None
    priority: int | None
    name: str | None = None
    title: str = ""
    after: list[_Step] = []


class Reference:
    """What a task of a workflow will return, or what the workflow will be called with; a part of it, by `ref["key"]`
    and `ref[0]`. It may be given to tasks, also inside lists and dicts; nothing else can be done with it, because
    nothing has run when a workflow is drawn.

    Of a task's whole result also the task may be spoken of: `after`, `named`, `options`.
    """

    __slots__ = ("_drawing", "_path", "_step")

    def __init__(self, drawing: Drawing, step: _Step | None, path: Path) -> None:
        self._drawing = drawing
        self._step = step
        self._path = path

    def __getitem__(self, key: str | int) -> Reference:
        if type(key) is not str and type(key) is not int:
            raise RegistrationError(f"{self!r}[{key!r}]: a part of a result is taken by a name or a place")
        return Reference(self._drawing, self._step, (*self._path, key))

    def after(self, *others: Any) -> Reference:
        """Have the task run when these (results, and lists of them) have completed, though it takes nothing of them;
        returns itself.
        """
        step = self._whole("after")
        step.after += [self._drawing.own(one)._whole("after") for one in _flat(others)]
        return self

    def named(self, name: str) -> Reference:
        """Call the node `name`, in place of its task's name; returns itself.

        :raises RegistrationError: it can be no name (1 to 128 of A-Z a-z 0-9 _ . -).
        """
        if not isinstance(name, str) or not is_name(name):
            raise RegistrationError(f"{name!r} cannot name a task of a workflow: 1 to 128 of A-Z a-z 0-9 _ . -")
        self._whole("named").name = name
        return self

    def options(self, *, priority: int | None = None, title: str | None = None) -> Reference:
        """Have the node's job be of this `priority`, and shown by this `title`; returns itself."""
        step = self._whole("options")
        if priority is not None:
            step.priority = priority
        if title is not None:
            step.title = title
        return self

    def _whole(self, word: str) -> _Step:
        if self._step is None or self._path:
            raise RegistrationError(f"{self!r}.{word}(…): this can be said of the whole result of a task only")
        return self._step

    def __repr__(self) -> str:
        what, rest = "all parameters", self._path
        if self._step is not None:
            what = f"the result of {self._step.name or self._step.base}"
        elif self._path:
            what, rest = f"the parameter {self._path[0]}", self._path[1:]
        return f"<{what}{''.join(f'[{step!r}]' for step in rest)}>"

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f'{self!r} has no {name!r}; a part of a result is taken by ["{name}"]')

    def _not_yet(self, *_: Any) -> NoReturn:
        raise RegistrationError(
            f"{self!r} is not there while the workflow is drawn: it can be given to tasks, and parts of it by [...]. "
            "What asks it something (if, for, +, ==, an f-string) belongs in a task that gets it; map(task, list) runs "
            "a task for each item of a list"
        )

    __bool__ = __iter__ = __len__ = __contains__ = __reversed__ = __setitem__ = __delitem__ = _not_yet
    __str__ = __format__ = __int__ = __float__ = __index__ = __await__ = __call__ = __enter__ = _not_yet
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _not_yet
    __neg__ = __pos__ = __invert__ = __abs__ = __round__ = _not_yet
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _not_yet
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = __rdivmod__ = __pow__ = __rpow__ = _not_yet
    __matmul__ = __rmatmul__ = __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = _not_yet
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _not_yet
    __hash__ = object.__hash__


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _flat(value)
        else:
            yield value


class _Taken(NamedTuple):
    """A reference, and where in a call it is given."""

    into: Path
    reference: Reference

    def take(self, names: Mapping[_Step, str]) -> Take:
        """What the node takes, when all nodes have their names."""
        step = self.reference._step
        return Take(self.into, "" if step is None else names[step], self.reference._path)


class Drawing:
    """A graph that grows with the calls of tasks; `graph` makes it at the end.

    :param queue: of the workflow. `by_type_key`: whether tasks that name no queue are in one that is called like their
        module.
    """

    def __init__(self, queue: str, *, by_type_key: bool = False) -> None:
        self._queue = queue
        self._by_type_key = by_type_key
        self._steps: list[_Step] = []
        self.everything = Reference(self, None, ())
        """All arguments of the run, by parameter: a task that is given it alone is called with them."""

    def own(self, reference: Any) -> Reference:
        """`reference`, which must be of this workflow."""
        if not isinstance(reference, Reference):
            raise RegistrationError(f"{reference!r} is no result of a task of this workflow")
        if reference._drawing is not self:
            raise RegistrationError(f"{reference!r} is of another workflow")
        return reference

    def add(
        self,
        task: Callee,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        over: Reference | None = None,
        priority: int | None = None,
    ) -> Reference:
        """A node that calls `task`; with `over`, once for each item of that list, which is its one argument by place.

        :raises RegistrationError: the arguments do not bind, or are no JSON.
        """
        takes: list[_Taken] = []
        try:
            if over is None and len(args) == 1 and not kwargs and args[0] is self.everything:
                takes.append(_Taken(("kwargs",), self.everything))
                args = ()
            elif (signature := task.names()) is not None:
                signature.bind(args if over is None else (None,), kwargs)
            by_place = [self._without(value, ("args", i), takes) for i, value in enumerate(args)]
            by_name = {name: self._without(value, ("kwargs", name), takes) for name, value in kwargs.items()}
            texts = encode_arguments(by_place, by_name)
        except ArgumentsRefused as refused:
            raise RegistrationError(f"task {task.name!r} cannot be called so: {refused}") from None
        mapped = None if over is None else _Taken(("args", 0), self.own(over))
        step = _Step(self._name_of(task), task.name, texts[0].decode(), texts[1].decode(), takes, mapped, priority)
        self._steps.append(step)
        return Reference(self, step, ())

    def _without(self, value: Any, into: Path, takes: list[_Taken]) -> Any:
        """`value` with nothing where it holds references, which `takes` is told of."""
        if isinstance(value, Reference):
            takes.append(_Taken(into, self.own(value)))
            return None
        if type(value) is list or type(value) is tuple:
            return [self._without(item, (*into, i), takes) for i, item in enumerate(value)]
        if type(value) is dict:
            return {key: self._without(item, (*into, key), takes) for key, item in value.items()}
        return value

    def _name_of(self, task: Callee) -> str:
        queue = getattr(task, "type_key", task.queue) if self._by_type_key else task.queue
        return task.name if queue is None or queue == self._queue else f"{queue}:{task.name}"

    def graph(self, returned: Any) -> Graph:
        """All that was drawn. `returned`: the reference to what the run's result will be, a list or dict with such
        references in it, or None.

        :raises RegistrationError: as `core.workflow.order`, or it is something else.
        """
        names = self._names()
        nodes = order(
            Node(
                names[step],
                step.task,
                after=tuple(dict.fromkeys(names[first] for first in step.after)),
                args=step.args,
                kwargs=step.kwargs,
                takes=tuple(taken.take(names) for taken in step.takes),
                over=None if step.over is None else step.over.take(names),
                priority=step.priority,
                title=step.title,
            )
            for step in self._steps
        )
        takes: list[_Taken] = []
        shape = self._without(returned, ("args", 0), takes)
        if returned is None:
            return Graph(nodes)
        if not takes or any(taken.reference._step is None for taken in takes):
            raise RegistrationError(
                f"a workflow returns results of its tasks, also in lists and dicts, or None; not {returned!r}"
            )
        if isinstance(returned, Reference):
            return Graph(nodes, _Taken((), returned).take(names))
        try:
            text = encode_result(shape).decode()
        except ResultRefused as refused:
            raise RegistrationError(f"what the workflow returns is not JSON: {refused}") from None
        return Graph(nodes, gives=tuple(taken.take(names) for taken in takes), shape=text)

    def _names(self) -> dict[_Step, str]:
        """Those that were given; else the task's, with a number behind where it is taken."""
        taken = {step.name for step in self._steps}
        last: dict[str, int] = {}
        names: dict[_Step, str] = {}
        for step in self._steps:
            name = step.name
            while name is None:
                last[step.base] = number = last.get(step.base, 0) + 1
                name = step.base if number == 1 else f"{step.base}-{number}"
                name = None if name in taken else name
            names[step] = name
        return names


_drawing: Final[ContextVar[Drawing | None]] = ContextVar("drawing", default=None)

current: Final[Callable[[], Drawing | None]] = _drawing.get
"""The graph that is being drawn here, if one is: then a call of a task is a node of it."""

Draw: TypeAlias = Callable[[Drawing], Any]


def drawn(draw: Draw, drawing: Drawing) -> Graph:
    """The graph of all that `draw` calls; what it returns is the result.

    :raises RegistrationError: as `Drawing`; and whatever `draw` raises.
    """
    before = _drawing.set(drawing)
    try:
        return drawing.graph(draw(drawing))
    finally:
        _drawing.reset(before)


def parameters(drawing: Drawing, signature: Signature) -> dict[str, Reference]:
    """What stands for each argument of a run while its graph is drawn."""
    return {parameter.name: drawing.everything[parameter.name] for parameter in signature.parameters}
