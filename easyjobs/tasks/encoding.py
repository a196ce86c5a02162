"""Results and arguments as JSON, or a clear word why they are none.

msgspec writes more than JSON can say back: NaN as null, a set as an array, bytes as base64, number keys as text. All
of that is refused here, because the reader would get something else than was given.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

import msgspec

from easyjobs.errors import ArgumentsRefused, ResultRefused

RESULT_LIMIT = 1_048_576
ARGUMENTS_LIMIT = 262_144
DEPTH_LIMIT = 64

_FLAT = frozenset((int, str, bool, type(None)))
_TEXT = frozenset((str,))
_SAID_BY_MSGSPEC = (date, time, timedelta, UUID, Decimal)  # a datetime is a date


class _NotJSON(Exception):
    """Why a value cannot be JSON; `loc` grows from the inside out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.loc: list[str | int] = []


def encode_result(value: Any, limit: int = RESULT_LIMIT, depth: int = DEPTH_LIMIT) -> bytes:
    """The JSON text of what a task returned, of at most `limit` bytes and `depth` levels.

    datetime, date, time, timedelta, UUID, Decimal, Enum, NamedTuple, dataclass, attrs, msgspec Struct and pydantic
    models become what JSON has for them.

    :raises ResultRefused: it is not JSON (a set, bytes, NaN, a key that is no text, a cycle, any other object), or too
        large; says where and why.
    """
    try:
        text = _encoded(value, limit, depth)
    except _NotJSON as refusal:
        where = "result" + "".join(f"[{step!r}]" for step in reversed(refusal.loc))
        raise ResultRefused(f"{where} cannot be stored: {refusal}") from None
    if len(text) > limit:
        raise ResultRefused(f"the result is {len(text)} bytes of JSON; {limit} are allowed")
    return text


def encode_arguments(
    args: Sequence[Any], kwargs: Mapping[str, Any], limit: int = ARGUMENTS_LIMIT, depth: int = DEPTH_LIMIT
) -> tuple[bytes, bytes]:
    """The JSON texts of a call's arguments, an array and an object, of at most `limit` bytes together.

    They become JSON as results do; a set or bytes must be turned into a list or text first.

    :raises ArgumentsRefused: as `encode_result`; `errors` has each place.
    """
    try:
        by_place = _encoded(args if type(args) is list else list(args), limit, depth) if args else b"[]"
    except _NotJSON as refusal:
        raise _arguments_refused("args", refusal) from None
    try:
        by_name = _encoded(kwargs if type(kwargs) is dict else dict(kwargs), limit, depth) if kwargs else b"{}"
    except _NotJSON as refusal:
        raise _arguments_refused("kwargs", refusal) from None
    size = len(by_place) + len(by_name)
    if size > limit:
        raise ArgumentsRefused(f"The arguments are {size} bytes of JSON; {limit} are allowed.")
    return by_place, by_name


def _arguments_refused(where: str, refusal: _NotJSON) -> ArgumentsRefused:
    error = {"loc": [where, *reversed(refusal.loc)], "message": str(refusal)}
    return ArgumentsRefused("The arguments are not JSON.", errors=[error])


def _encoded(value: Any, limit: int, depth: int) -> bytes:
    if not (_flat(value) or (type(value) is list and all(map(_flat, value)))):
        _Judge(limit).pass_(value, depth)
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        raise _NotJSON("it holds a lone surrogate, which no text can") from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _NotJSON(str(error)) from None


def _flat(value: Any) -> bool:
    """Whether one look shows that a value is JSON: most results and arguments are objects of numbers and text."""
    kind = type(value)
    if kind is dict:
        return _FLAT.issuperset(map(type, value.values())) and _TEXT.issuperset(map(type, value))
    return kind in _FLAT


class _Judge:
    """Walks a value once. Containers are counted: each is two bytes of JSON at least, so that a few lists that hold
    each other many times over are refused as too large, not walked for ever; a cycle is too deep.
    """

    __slots__ = ("_room",)

    def __init__(self, limit: int) -> None:
        self._room = limit // 2 + 1

    def pass_(self, value: Any, depth: int) -> None:
        """:raises _NotJSON: at the first thing that is none."""
        kind = type(value)
        if kind in _FLAT:
            return
        if kind is dict:
            self._step_in(depth)
            if not _TEXT.issuperset(map(type, value)):
                self._keys(value)
            if not _FLAT.issuperset(map(type, value.values())):
                self._each(value.items(), depth)
        elif kind is list or kind is tuple:
            self._step_in(depth)
            if not _FLAT.issuperset(map(type, value)):
                self._each(enumerate(value), depth)
        elif kind is float:
            if not isfinite(value):
                raise _NotJSON(f"JSON has no {value!r}")
        else:
            self._rarer(value, depth)

    def _step_in(self, depth: int) -> None:
        if depth <= 0:
            raise _NotJSON("it is nested too deep, or contains itself")
        self._room -= 1
        if self._room <= 0:
            raise _NotJSON("it is too large")

    def _each(self, items: Iterable[tuple[Any, Any]], depth: int) -> None:
        for key, item in items:
            if type(item) in _FLAT:
                continue
            try:
                self.pass_(item, depth - 1)
            except _NotJSON as refusal:
                refusal.loc.append(key)
                raise

    def _keys(self, value: dict[Any, Any]) -> None:
        for key in value:
            if not isinstance(key, str):
                raise _NotJSON(f"the key {_shown(key)} is no text")

    def _rarer(self, value: Any, depth: int) -> None:
        if isinstance(value, enum.Enum):
            self.pass_(value.value, depth)
        elif isinstance(value, float):
            self.pass_(float(value), depth)
        elif isinstance(value, (str, int, *_SAID_BY_MSGSPEC)):
            return
        elif isinstance(value, dict):
            self._step_in(depth)
            self._keys(value)
            self._each(value.items(), depth)
        elif isinstance(value, (list, tuple)):
            self._step_in(depth)
            self._each(enumerate(value), depth)
        elif isinstance(value, (set, frozenset)):
            raise _NotJSON("JSON has no set; make it a list")
        elif isinstance(value, (bytes, bytearray, memoryview)):
            raise _NotJSON("JSON has no bytes; make them text")
        elif isinstance(value, msgspec.Raw):
            raise _NotJSON("raw JSON is not taken unseen; decode it first")
        else:
            self._object(value, depth)

    def _object(self, value: Any, depth: int) -> None:
        kind = type(value)
        if isinstance(value, msgspec.Struct):
            names: Iterable[str] = kind.__struct_fields__
        elif is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in fields(value)]
        elif hasattr(kind, "__attrs_attrs__"):
            names = [attribute.name for attribute in kind.__attrs_attrs__]
        elif hasattr(kind, "model_dump"):
            self.pass_(value.model_dump(mode="json"), depth)
            return
        else:
            raise _NotJSON(f"an object of {kind.__module__}.{kind.__qualname__} is not JSON")
        self._step_in(depth)
        # a field may be unset: msgspec leaves those out
        present = [(name, getattr(value, name)) for name in names if hasattr(value, name)]
        self._each([(name, item) for name, item in present if item is not msgspec.UNSET], depth)


def _hook(value: Any) -> Any:
    """What msgspec itself does not know; only what the judge has passed comes here."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return value.model_dump(mode="json")


def _shown(key: Any) -> str:
    text = ascii(key) if isinstance(key, (int, float, tuple, bytes, type(None))) else type(key).__name__
    return text if len(text) <= 60 else text[:60] + "…"


_encoder = msgspec.json.Encoder(enc_hook=_hook)
