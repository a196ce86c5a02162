"""What a task depends on: `Dependency(foo, 2, a=1, b=same)` is a job of another task, completed within two hours."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import PurePath
from typing import Any

import msgspec
from msgspec.structs import replace

from easyjobs.core import chain, freshness
from easyjobs.core.chain import TaskName
from easyjobs.core.freshness import Fault
from easyjobs.core.task import Need, Operator, TaskSpec, Value
from easyjobs.errors import RegistrationError, ResultRefused
from easyjobs.tasks.encoding import encode_result
from easyjobs.tasks.safely import text_of

_HOUR = 3600.0


class Same:
    """Stands, in a `Dependency`, for the argument of the same name that the dependent job has; `same - 1` for one less.

    `+ - * / // %` with a number on either side, one after the other, as Python has them; `+` also joins texts.
    """

    __slots__ = ("steps",)

    def __init__(self, steps: tuple[tuple[Operator, int | float | str, bool], ...] = ()) -> None:
        self.steps = steps

    def _then(self, sign: Operator, other: Any, swapped: bool = False) -> Same:
        if type(other) not in (int, float) and not (sign == "+" and type(other) is str):
            raise RegistrationError(f"same {sign} {other!r} cannot be worked out; write a number")
        return Same((*self.steps, (sign, other, swapped)))

    def __add__(self, other: float | str) -> Same:
        return self._then("+", other)

    def __radd__(self, other: float | str) -> Same:
        return self._then("+", other, True)

    def __sub__(self, other: float) -> Same:
        return self._then("-", other)

    def __rsub__(self, other: float) -> Same:
        return self._then("-", other, True)

    def __mul__(self, other: float) -> Same:
        return self._then("*", other)

    def __rmul__(self, other: float) -> Same:
        return self._then("*", other, True)

    def __truediv__(self, other: float) -> Same:
        return self._then("/", other)

    def __rtruediv__(self, other: float) -> Same:
        return self._then("/", other, True)

    def __floordiv__(self, other: float) -> Same:
        return self._then("//", other)

    def __rfloordiv__(self, other: float) -> Same:
        return self._then("//", other, True)

    def __mod__(self, other: float) -> Same:
        return self._then("%", other)

    def __rmod__(self, other: float) -> Same:
        return self._then("%", other, True)

    def __neg__(self) -> Same:
        return self * -1

    def __repr__(self) -> str:
        text = "same"
        for sign, other, swapped in self.steps:
            inner = text if text == "same" else f"({text})"
            text = f"{other!r} {sign} {inner}" if swapped else f"{inner} {sign} {other!r}"
        return text


same = Same()


class Dependency:
    """A job of `task` must have completed within the last so many `hours` (or a timedelta) before one of the dependent
    task begins; else it runs first.

    :param task: a task, or its name: "type.task", "queue:task", or "task" of the same queue.
    :param arguments: what that job must have been called with: values, or `same`. Of what is left out any value will
        do; a job that must be made gets the dependent's argument of that name, else the default, else the first of the
        values that the parameter may be chosen from.
    :raises RegistrationError: it names no task, no time, or a value that JSON cannot say.
    """

    def __init__(self, task: Any, hours: float | timedelta, /, **arguments: Any) -> None:
        self._task = task
        self._within = _seconds(hours)
        self._given = tuple((name, _value(name, value)) for name, value in arguments.items())
        self._name(by_type_key=False)

    def need(self, *, by_type_key: bool = False) -> Need:
        """The same as the manager is told. `by_type_key`: a task that names no queue is in that of its module."""
        return Need(self._name(by_type_key), self._within, self._given)

    def _name(self, by_type_key: bool) -> str:
        task = self._task
        if isinstance(task, str):
            kind, dot, last = task.rpartition(".")
            return task if ":" in task or not dot else f"{kind}:{last}"
        name: Any = getattr(task, "name", None)
        queue: str | None = getattr(task, "queue", None)
        if not isinstance(name, str) or not hasattr(task, "function"):
            raise RegistrationError(f"a Dependency needs a task, or the name of one; {task!r} is not declared as one")
        if queue is None and by_type_key:
            queue = type_key_of(task.function)
        return name if queue is None else f"{queue}:{name}"

    def __repr__(self) -> str:
        return f"Dependency({self._name(by_type_key=False)})"


def type_key_of(function: Callable[..., Any]) -> str:
    """The last name of the module that a function is of; of the program itself, the one it has where it is imported."""
    name = str(getattr(function, "__module__", None) or "")
    if name == "__main__":
        program = vars(sys.modules[name])
        if program.get("__spec__") is not None:  # python -m package.module
            name = str(program["__spec__"].name).removesuffix(".__main__")
        elif program.get("__file__"):
            name = PurePath(program["__file__"]).stem
    return name.rpartition(".")[2]


def validate_dependencies(specs: Iterable[TaskSpec]) -> list[str]:
    """Judge what tasks depend on, where there are no others than these; the warnings: parameters that nobody fills in
    when a job must be made.

    :raises RegistrationError: says all that is wrong: circles with their path, tasks and parameters that do not exist,
        values that the parameters do not take.
    """
    found = freshness.faults({TaskName(spec.queue, spec.name): spec for spec in specs})
    grave = [_said(fault) for fault in found if fault.grave]
    if grave:
        raise RegistrationError("; ".join(dict.fromkeys(grave)))
    return [_said(fault) for fault in found]


def doubts(specs: Iterable[TaskSpec]) -> list[str]:
    """What may be wrong with what the tasks of one worker depend on; of those that it has not itself others know."""
    known = {TaskName(spec.queue, spec.name): spec for spec in specs}
    own = {
        name: replace(
            spec,
            options=replace(
                spec.options, needs=tuple(n for n in spec.options.needs if chain.resolve(n.task, spec.queue) in known)
            ),
        )
        for name, spec in known.items()
    }
    return [_said(fault) for fault in freshness.faults(own)]


def _said(fault: Fault) -> str:
    return f"task {fault.task!r}: {fault.message}"


def _seconds(hours: Any) -> float:
    if isinstance(hours, timedelta):
        seconds = hours.total_seconds()
    elif isinstance(hours, bool) or not isinstance(hours, (int, float)):
        raise RegistrationError(f"a Dependency needs a number of hours, or a timedelta, not {hours!r}")
    else:
        seconds = hours * _HOUR
    if not 0 < seconds < 1e10:
        raise RegistrationError(f"the hours of a Dependency must be more than 0, not {hours!r}")
    return seconds


def _value(name: str, value: Any) -> Value:
    if isinstance(value, Same):
        return Value(same=name, steps=value.steps)
    try:
        return Value(msgspec.json.decode(encode_result(value)))
    except ResultRefused as error:
        shown = text_of(lambda: repr(value), "a value")
        raise RegistrationError(f"{name}={shown[:200]} of a Dependency is no JSON: {error}") from None
