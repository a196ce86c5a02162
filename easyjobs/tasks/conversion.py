"""Turning the JSON arguments of a call into what a function's annotations say."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from easyjobs.errors import ArgumentsRefused
from easyjobs.tasks.hints import ABSENT, Declared, Shape, plain, read

Convert = Callable[[Any], Any]  # raises msgspec.ValidationError

_PLACE = re.compile(r"(?P<reason>.*) - at `(?:key in )?\$(?P<path>.*)`\Z", re.DOTALL)
_STEP = re.compile(r"[^.\[\]]+|\.\.\.")


class Converter:
    """Converts the arguments of one function's calls. Made by `converter_of`.

    Types that JSON has (and those that no annotation names) are passed as they are, unseen: they were judged at the
    door. Where no parameter needs more than that, a conversion costs nothing. With `all` nothing is unseen.
    """

    def __init__(self, declared: list[Declared], *, all: bool = False) -> None:
        self._places = [p for p in declared if p.kind in ("positional", "either")]
        self._rest = next((p.name for p in declared if p.kind == "args"), None)
        self._movable = {p.name for p in declared if p.kind in ("positional", "args")}
        converts = {p.name: _convert(p.shape, all) for p in declared}
        self._by_name = {name: convert for name, convert in converts.items() if convert is not None}
        more = next((p.name for p in declared if p.kind == "kwargs"), None)
        self._more = self._by_name.pop(more, None) if more is not None else None
        self._known = {p.name for p in declared if p.kind != "kwargs"}
        self._idle = not self._by_name and self._more is None and not self._movable

    def arguments(
        self, args: list[Any], kwargs: dict[str, Any], *, as_written: bool = False
    ) -> tuple[list[Any], dict[str, Any]]:
        """The call as Python wants it; `args` and `kwargs` may be changed and returned.

        A positional-only parameter or a `*args` that was given by name (JSON knows names only) moves to its place.

        :raises ArgumentsRefused: a value is not what its annotation says; `errors` has each place and reason. With
            `as_written` such a value stays as it is.
        """
        if self._idle:
            return args, kwargs
        if self._by_name or self._more is not None:
            errors = self.errors(args, kwargs)
            if errors and not as_written:
                raise ArgumentsRefused("The arguments do not fit the task.", errors=errors)
        if not self._movable.isdisjoint(kwargs):
            self._move(args, kwargs)
        return args, kwargs

    def errors(self, args: list[Any], kwargs: dict[str, Any]) -> list[dict[str, Any]]:
        """Convert the values where they stand; the places and reasons of those that stay because they do not fit."""
        errors: list[dict[str, Any]] = []
        for i, value in enumerate(args):
            name = self._places[i].name if i < len(self._places) else self._rest
            convert = self._by_name.get(name) if name is not None else None
            if convert is not None:
                args[i] = _converted(convert, value, ["args", i], errors)
        for name, value in kwargs.items():
            convert = self._by_name.get(name) if name in self._known else self._more
            if convert is None:
                continue
            if name == self._rest and isinstance(value, list):
                kwargs[name] = [_converted(convert, v, ["kwargs", name, i], errors) for i, v in enumerate(value)]
            else:
                kwargs[name] = _converted(convert, value, ["kwargs", name], errors)
        return errors

    def _move(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        tail = kwargs.pop(self._rest, []) if self._rest is not None else []
        for i in range(len(args), len(self._places)):
            if not tail and self._movable.isdisjoint(kwargs):
                break
            place = self._places[i]
            if place.name not in kwargs and place.default is ABSENT:
                error = {"loc": ["kwargs", place.name], "message": "missing argument"}
                raise ArgumentsRefused("The arguments do not fit the task.", errors=[error])
            args.append(kwargs.pop(place.name, place.default))
        args.extend(tail)


def converter_of(function: Callable[..., Any]) -> Converter:
    """The converter of a function's calls, worked out once from its annotations."""
    found = read(function)
    return Converter(found[0] if found is not None else [])


def misfits(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> list[dict[str, Any]]:
    """The places and reasons of the arguments that are not what the function's annotations say; none is changed."""
    found = read(function)
    return Converter(found[0] if found is not None else [], all=True).errors(args.copy(), kwargs.copy())


def _convert(shape: Shape, every: bool) -> Convert | None:
    if shape.members is None and not every and all(plain(hint) for hint in shape.hints):
        return None

    def convert(value: Any) -> Any:
        if shape.values is not None:
            return _chosen(value, shape.values, shape.members or shape.values)
        *others, last = shape.hints
        for hint in others:
            try:
                return _as(value, hint)
            except msgspec.ValidationError:
                continue
        return _as(value, last)

    return convert


def _chosen(value: Any, values: list[Any], members: list[Any]) -> Any:
    for one, member in zip(values, members, strict=True):
        if one == value and isinstance(one, bool) == isinstance(value, bool):  # to JSON, 1 is not true, but it is 1.0
            return member if member is not one else value
    raise msgspec.ValidationError(f"must be one of {values}")


def _as(value: Any, hint: Any) -> Any:
    return msgspec.convert(value, hint, str_keys=True, dec_hook=_model)


def _model(kind: Any, value: Any) -> Any:
    """A pydantic model of `value`, read as JSON: strict models take text for a datetime only from there.

    `hints` lets no other type come here.
    """
    try:
        return kind.model_validate_json(msgspec.json.encode(value))
    except ValueError as error:
        raise ValueError(_reasons(error)) from None


def _reasons(error: Any) -> str:
    """What pydantic says of a value, on one line."""
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}".removeprefix(": ") for e in error.errors())


def _converted(convert: Convert, value: Any, loc: list[str | int], errors: list[dict[str, Any]]) -> Any:
    try:
        return convert(value)
    except msgspec.ValidationError as error:
        found = _PLACE.match(str(error))
        path = _STEP.findall(found["path"]) if found else []
        errors.append(
            {
                "loc": [*loc, *(int(step) if step.isdigit() else step for step in path)],
                "message": found["reason"] if found else str(error),
            }
        )
        return value
