"""What a job needs to be fresh: jobs of other tasks, with certain arguments, that completed not too long ago.

A `Need` is declared with the task, by parameter names; `wanted` works out what one job of it looks for. A left-out
parameter may have any value then, and `filled` says which it gets where a job must be made.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from easyjobs.core import chain
from easyjobs.core.chain import TaskName
from easyjobs.core.signature import Signature
from easyjobs.core.task import Need, Operator, Options, TaskSpec, Value
from easyjobs.errors import ArgumentsRefused, RegistrationError

_OPERATORS: Final[dict[Operator, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
LARGEST: Final = 2**63
"""Whole numbers beyond that, either way, are refused: not every reader of JSON can hold them."""


def wanted(need: Need, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What the job with these `arguments` (all of them, defaults too) looks for: values by parameter of the other task.

    :raises ArgumentsRefused: `same` stands for an argument that it has not, or that cannot be reckoned with.
    """
    try:
        return {name: _value(name, value, arguments) for name, value in need.given}
    except ArgumentsRefused as why:
        raise ArgumentsRefused(f"It depends on {need.task}, which cannot be called so.", errors=why.errors) from None


def _value(name: str, value: Value, arguments: Mapping[str, Any]) -> Any:
    if value.same is None:
        return value.constant
    if value.same not in arguments:
        raise _refusal(name, f"there is no argument {value.same!r} that it could be the same as")
    result = arguments[value.same]
    for sign, other, swapped in value.steps:
        left, right = (other, result) if swapped else (result, other)
        texts = sign == "+" and isinstance(left, str) and isinstance(right, str)
        if not texts and not (_is_number(left) and _is_number(right)):
            raise _refusal(name, f"{left!r} {sign} {right!r} cannot be worked out")
        try:
            result = _OPERATORS[sign](left, right)
        except ArithmeticError as error:
            raise _refusal(name, f"{left!r} {sign} {right!r} cannot be worked out: {error}") from None
        if not texts and not -LARGEST <= result < LARGEST:
            raise _refusal(name, f"{left!r} {sign} {right!r} is no number that can be passed on")
    return result


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def filled(signature: Signature, wanted: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """How the other task, with `signature`, is called when none of its jobs will do: by name, with what is `wanted`.
    What that leaves out is the argument of the same name that the job itself has, else the parameter's own default,
    else the first of the values that it may be chosen from.

    :raises ArgumentsRefused: a parameter remains without a value.
    """
    call = dict(wanted)
    for parameter in signature.parameters:
        name = parameter.name
        if name in call or parameter.kind in ("args", "kwargs"):
            continue
        choices = signature.choices(name)
        if name in arguments:
            call[name] = arguments[name]
        elif parameter.required:
            if not choices:
                raise _refusal(name, "has no value: say which in the Dependency, or give the parameter a default")
            call[name] = choices[0]
    return call


def key(task: TaskName, values: Mapping[str, Any]) -> str:
    """Equal for jobs of `task` whose arguments of these names are equal."""
    plain = {name: _plain(value) for name, value in values.items()}
    text = msgspec.json.encode([task.queue, task.task, plain], order="sorted")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def serves(arguments: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a job with these `arguments` (all of them, defaults too) is one that is `wanted`."""
    return all(name in arguments and _same(arguments[name], value) for name, value in wanted.items())


def _same(one: Any, other: Any) -> bool:
    if type(one) is str or type(other) is str:
        return bool(one == other)  # the usual case, at no cost
    return msgspec.json.encode(_plain(one), order="sorted") == msgspec.json.encode(_plain(other), order="sorted")


def _plain(value: Any) -> Any:
    """`value` with whole numbers as integers, however they were written: to JSON 1 and 1.0 are one number."""
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is list:
        return [_plain(item) for item in value]
    if type(value) is dict:
        return {name: _plain(item) for name, item in value.items()}
    return value


Sought: TypeAlias = dict[tuple[str, ...], float]
"""By which parameters some task is looked for, and for how many seconds that may have been completed before."""


def sought(specs: Iterable[TaskSpec]) -> dict[TaskName, Sought]:
    """By task, how others look for its jobs."""
    found: dict[TaskName, Sought] = {}
    for spec in specs:
        for need in spec.options.needs:
            names = tuple(name for name, _ in need.given)
            ways = found.setdefault(chain.resolve(need.task, spec.queue), {})
            ways[names] = max(ways.get(names, 0.0), need.within)
    return found


def keys(task: TaskName, ways: Sought, arguments: Mapping[str, Any]) -> dict[float, list[str]]:
    """The keys by which a job of `task` with these `arguments` is looked for, by the seconds for which they count."""
    found: dict[float, list[str]] = {}
    for names, within in ways.items():
        if all(name in arguments for name in names):
            found.setdefault(within, []).append(key(task, {name: arguments[name] for name in names}))
    return found


# -- judging what is declared


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with what `task` declares; where it is not `grave`, it may still do."""

    task: str
    message: str
    grave: bool = True


def faults(specs: Mapping[TaskName, TaskSpec]) -> list[Fault]:
    """What is wrong with what these tasks depend on, where there are no others: circles (with the path), tasks and
    parameters that do not exist, values that the parameters do not take; and, not `grave`, parameters that nobody fills
    in. In the order of the tasks.
    """
    found: list[Fault] = []
    for name, spec in specs.items():
        for need in spec.options.needs:
            found += (Fault(spec.name, message, grave) for message, grave in _faults_of(need, spec, specs))
        try:
            check(name, lambda other: specs[other].options if other in specs else None)
        except RegistrationError as error:
            found.append(Fault(spec.name, str(error)))
    return found


def _faults_of(need: Need, spec: TaskSpec, specs: Mapping[TaskName, TaskSpec]) -> Iterator[tuple[str, bool]]:
    where = f"Dependency({need.task})"
    other = specs.get(chain.resolve(need.task, spec.queue))
    if other is None:
        yield f"{where}: there is no such task", True
        return
    own = {parameter.name for parameter in spec.signature.parameters}
    theirs = {parameter.name: parameter for parameter in other.signature.parameters}
    given = dict(need.given)
    open_ended = any(parameter.kind == "kwargs" for parameter in other.signature.parameters)
    for name, value in given.items():
        if name not in theirs and not open_ended:
            yield f"{where}: {other.name} has no parameter {name!r}; it has: {', '.join(theirs) or 'none'}", True
        elif value.same is not None and value.same not in own:
            yield f"{where}: {name}=same, but {spec.name} has no parameter {value.same!r}", True
        elif value.same is None and name in theirs and not other.signature.takes(name, value.constant):
            yield f"{where}: {name}={value.constant!r} is no value of {other.name}'s parameter", True
    for name, parameter in theirs.items():
        filled_in = name in given or name in own or not parameter.required or other.signature.choices(name)
        if parameter.kind not in ("args", "kwargs") and not filled_in:
            yield f"{where}: nobody says what {name!r} is when a job of {other.name} must be made", False


def check(task: TaskName, options_of: Callable[[TaskName], Options | None]) -> None:
    """Refuse a task that waits for itself, by what it depends on and what runs before. `options_of` knows the tasks
    there are, and says None for others.

    :raises RegistrationError: says the path.
    """
    seen = {task}
    path = {task: _waits_for(task, options_of)}
    while path:
        for following in path[next(reversed(path))]:
            if following == task:
                names = " → ".join(name.task if name.queue == task.queue else ":".join(name) for name in (*path, task))
                raise RegistrationError(f"a task may not depend on itself: {names}")
            if following not in seen:
                seen.add(following)
                path[following] = _waits_for(following, options_of)
                break
        else:
            path.popitem()


def _waits_for(task: TaskName, options_of: Callable[[TaskName], Options | None]) -> Iterator[TaskName]:
    options = options_of(task) or Options()
    for name in (*(need.task for need in options.needs), *options.run_before):
        yield chain.resolve(name, task.queue)


def _refusal(name: str, message: str) -> ArgumentsRefused:
    return ArgumentsRefused("What it depends on cannot be called.", errors=[{"loc": [name], "message": message}])
