"""Reading the annotations of a function: which values each parameter takes, in hints that msgspec knows."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import logging
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum, EnumMeta
from typing import Annotated, Any, Literal, Optional, Union, get_args, get_origin

import msgspec

from easyjobs.core.signature import Kind

log = logging.getLogger("easyjobs")

REF = "#/$defs/{name}"

KINDS: Mapping[Any, Kind] = {
    inspect.Parameter.POSITIONAL_ONLY: "positional",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "either",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_POSITIONAL: "args",
    inspect.Parameter.VAR_KEYWORD: "kwargs",
}
_LISTS = (list, collections.abc.Sequence, collections.abc.MutableSequence, collections.abc.Collection)
_DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_CONTAINERS = (*_LISTS, *_DICTS, tuple, set, frozenset, collections.abc.Set, collections.abc.MutableSet)
# what evaluating an annotation that a user wrote as text may end in
_UNRESOLVED = (NameError, AttributeError, TypeError, SyntaxError, ValueError, LookupError, ImportError)

ABSENT: Any = inspect.Parameter.empty


class Shape(typing.NamedTuple):
    """The values a parameter takes: of one of the hints, tried in order; or, if there are `values`, one of those, for
    which the function gets the `member` at the same place where that is another: of an Enum.
    """

    hints: tuple[Any, ...] = (Any,)
    values: list[Any] | None = None
    members: list[Any] | None = None


class Declared(typing.NamedTuple):
    """One parameter as the function has it; `default` is `ABSENT` where there is none."""

    name: str
    kind: Kind
    default: Any
    shape: Shape


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """The parameters of a function, their annotations unread; None where Python does not know them."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return None


def read(function: Callable[..., Any]) -> tuple[list[Declared], Shape] | None:
    """The parameters of a function and the shape of what it returns; None where Python does not know them.

    An annotation that cannot be resolved (it names what is local to another function) takes anything, with a warning.
    """
    found = parameters(function)
    if found is None:
        return None
    hints = _hints(function)
    declared = [Declared(p.name, KINDS[p.kind], p.default, _shape(hints.get(p.name, Any), p.default)) for p in found]
    return declared, _shape(hints.get("return", Any), ABSENT)


def pydantic_model(kind: Any) -> bool:
    """Whether `kind` is a pydantic model. Never imports pydantic: where nobody did, nothing is one."""
    pydantic = sys.modules.get("pydantic.main")
    return pydantic is not None and isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)


def plain(hint: Any) -> bool:
    """Whether JSON alone says values of `hint`, so that they need no conversion."""
    if hint in (Any, int, float, str, bool, None, type(None), list, dict):
        return True
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return plain(inner[0])
    if origin is Literal:
        return True
    if origin in (Union, types.UnionType) or origin in _LISTS:
        return all(plain(h) for h in inner)
    if origin in _DICTS:
        return inner[0] in (str, Any) and plain(inner[1])
    if typing.is_typeddict(hint):
        return all(plain(_known(h)) for h in typing.get_type_hints(hint).values())
    return False


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target: Any = function
    while isinstance(target, functools.partial):
        target = target.func
    if not hasattr(target, "__annotations__") or isinstance(target, type):
        target = type(target).__call__
    try:
        return typing.get_type_hints(target, include_extras=True)
    except _UNRESOLVED:
        pass
    known: dict[str, Any] = {}
    names = getattr(inspect.unwrap(target), "__globals__", {})
    for name, annotation in getattr(target, "__annotations__", {}).items():
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            known.update(typing.get_type_hints(holder, names, include_extras=True))
        except _UNRESOLVED as error:
            place = f"{getattr(target, '__qualname__', target)}({name}: {annotation})"
            log.warning("%s: the annotation means nothing here (%s); any value is taken", place, error)
    return known


def _shape(hint: Any, default: Any) -> Shape:
    members = _listed(hint)
    if members is not None:
        values = [member.value if isinstance(member, Enum) else member for member in members]
        if default is None and None not in values:
            values, members = [*values, None], [*members, None]
        return Shape(values=values, members=members if any(isinstance(m, Enum) for m in members) else None)
    hint = _known(hint)
    if default is None and hint is not Any:
        hint = Optional[hint]  # noqa: UP045 - a hint that is a value has no `|`
    if _familiar(hint):
        return Shape((hint,))
    if get_origin(hint) in (Union, types.UnionType):
        return Shape(tuple(arm if _familiar(arm) else Any for arm in get_args(hint)))
    return Shape()


def _listed(hint: Any) -> list[Any] | None:
    """The values of an annotation that lists them: `[1, 2, 3]`, a `Literal`, or an Enum of values that msgspec would
    not have in one. None where there are none, or where JSON cannot say one.
    """
    if isinstance(hint, (list, tuple, range)):
        values = list(hint)
    elif get_origin(hint) is Literal:
        values = list(get_args(hint))
    elif isinstance(hint, EnumMeta) and not _familiar(hint):
        values = list(hint)
    else:
        return None
    if values and all(_scalar(value.value if isinstance(value, Enum) else value) for value in values):
        return values
    log.warning("%.200r lists no values that JSON could say; any value is taken", hint)
    return None


def _scalar(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int, str))


def _known(hint: Any) -> Any:
    """`hint` with everything that msgspec does not know taken as Any."""
    if hint is None or hint is Any:
        return hint
    if isinstance(hint, typing.NewType):
        return _known(hint.__supertype__)
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        known = _known(inner[0])
        return hint if known is inner[0] and _familiar(hint) else known
    if origin in (Union, types.UnionType):
        return Union[tuple(_known(h) for h in inner)]  # noqa: UP007 - made from what is known only at run time
    if origin in _CONTAINERS and inner:
        known = tuple(h if h is Ellipsis else _known(h) for h in inner)
        return hint if known == inner else origin[known]
    return hint if _familiar(hint) else Any


def _familiar(hint: Any) -> bool:
    """Whether msgspec, helped by pydantic, can describe and convert `hint`."""
    try:
        msgspec.json.schema_components([hint], schema_hook=_described, ref_template=REF)
    except (*_UNRESOLVED, NotImplementedError):
        return False
    return True


def _described(kind: Any) -> dict[str, Any]:
    if pydantic_model(kind):
        return {"title": kind.__name__}
    raise NotImplementedError
