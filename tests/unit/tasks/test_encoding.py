"""What is JSON, what becomes JSON, and what is refused with its place."""

import dataclasses
import enum
from collections import Counter, OrderedDict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pydantic
import pytest

from easyjobs.errors import ArgumentsRefused, ResultRefused
from easyjobs.tasks.encoding import encode_arguments, encode_result


class Colour(enum.Enum):
    RED = "red"
    BOTH = ("a", "b")
    STRANGE = frozenset()


@dataclasses.dataclass
class Point:
    x: Any
    y: int = 0


class Pair(NamedTuple):
    left: int
    right: Any


class Struct(msgspec.Struct):
    a: Any
    b: Any = msgspec.UNSET


class Model(pydantic.BaseModel):
    n: float
    on: date = date(2024, 1, 2)


class Attrs:
    """As attrs makes them, seen from outside."""

    __attrs_attrs__ = (type("Attribute", (), {"name": "x"})(),)

    def __init__(self, x: Any) -> None:
        self.x = x


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Real(float):
    pass


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, b"null"),
        (0, b"0"),
        ("", b'""'),
        (False, b"false"),
        (1.5, b"1.5"),
        (2**70, b"1180591620717411303424"),
        ({"n": 1, "ok": True}, b'{"n":1,"ok":true}'),
        ([1, {"a": [None]}, (1.0,)], b'[1,{"a":[null]},[1.0]]'),
        (OrderedDict(a=[1]), b'{"a":[1]}'),
        (Counter("aab"), b'{"a":2,"b":1}'),
        ({Text("k"): Text("v")}, b'{"k":"v"}'),
        ([Number(3), Real(0.5)], b"[3,0.5]"),
        (date(2024, 1, 2), b'"2024-01-02"'),
        (datetime(2024, 1, 2, tzinfo=UTC), b'"2024-01-02T00:00:00Z"'),
        (timedelta(1), b'"P1D"'),
        (UUID(int=0), b'"00000000-0000-0000-0000-000000000000"'),
        (Decimal("1.50"), b'"1.50"'),
        ([Colour.RED, Colour.BOTH], b'["red",["a","b"]]'),
        (Point([1]), b'{"x":[1],"y":0}'),
        (Pair(1, {"a": 2}), b'[1,{"a":2}]'),
        (Struct({"x": 1}), b'{"a":{"x":1}}'),
        ({"m": Model(n=1)}, b'{"m":{"n":1.0,"on":"2024-01-02"}}'),
    ],
)
def test_values_become_json(value: Any, text: bytes) -> None:
    assert encode_result(value) == text


CYCLE: list[Any] = []
CYCLE.append(CYCLE)
DOUBLED: Any = []
for _ in range(60):
    DOUBLED = [DOUBLED, DOUBLED]
DEEP: Any = []
for _ in range(64):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "where", "why"),
    [
        ({1, 2}, "result ", "no set"),
        ({"a": [frozenset()]}, r"result\['a'\]\[0\]", "no set"),
        (b"x", "result ", "no bytes"),
        ([bytearray()], r"result\[0\]", "no bytes"),
        (float("nan"), "result ", "nan"),
        ({"a": {"b": [1.0, float("-inf")]}}, r"result\['a'\]\['b'\]\[1\]", "-inf"),
        (Real("nan"), "result ", "nan"),
        (Point(float("nan")), r"result\['x'\]", "nan"),
        (Struct(1, {1}), r"result\['b'\]", "no set"),
        (Pair(1, {1}), r"result\[1\]", "no set"),
        (Model(n=float("nan")), r"result\['n'\]", "nan"),
        (Attrs(b""), r"result\['x'\]", "no bytes"),
        (OrderedDict({"a": b""}), r"result\['a'\]", "no bytes"),
        (Colour.STRANGE, "result ", "no set"),
        ({1: 2}, "result ", "the key 1 is no text"),
        (OrderedDict({None: 2}), "result ", "the key None"),
        ({("x" * 100,): 2}, "result ", "…"),
        ({"a": {Point(1).__class__: 1}}, r"result\['a'\]", "the key type"),
        (CYCLE, "result", "nested too deep, or contains itself"),
        (DEEP, "result", "nested too deep"),
        (DOUBLED, "result", "too large"),
        (msgspec.Raw(b"]"), "result ", "raw JSON"),
        (object(), "result ", r"object of builtins\.object"),
        ([range(3)], r"result\[0\]", r"builtins\.range"),
        (Point, "result ", r"builtins\.type"),
        ("\ud800", "result ", "lone surrogate"),
    ],
)
def test_the_rest_is_refused_with_its_place(value: Any, where: str, why: str) -> None:
    with pytest.raises(ResultRefused, match=rf"(?s){where}.*cannot be stored: .*{why}"):
        encode_result(value)


def test_a_number_of_too_many_digits_is_refused() -> None:
    with pytest.raises(ResultRefused, match="digits"):
        encode_result([10**5000])


def test_sixty_four_levels_are_not_too_deep() -> None:
    assert encode_result(DEEP[0]) == b"[" * 64 + b"]" * 64


def test_a_large_result_is_refused_with_both_numbers() -> None:
    assert len(encode_result("x" * 98, limit=100)) == 100
    with pytest.raises(ResultRefused, match="101 bytes of JSON; 100 are allowed"):
        encode_result("x" * 99, limit=100)


def test_arguments_become_an_array_and_an_object() -> None:
    assert encode_arguments((1, "a"), {"day": date(2024, 1, 2)}) == (b'[1,"a"]', b'{"day":"2024-01-02"}')
    assert encode_arguments((), {}) == (b"[]", b"{}")
    assert encode_arguments([{"n": 1}], OrderedDict(a=1)) == (b'[{"n":1}]', b'{"a":1}')


@pytest.mark.parametrize(
    ("args", "kwargs", "loc"),
    [
        ([1, {"a": {1}}], {}, ["args", 1, "a"]),
        ([], {"b": [0.0, float("inf")]}, ["kwargs", "b", 1]),
        ([], {"b": b""}, ["kwargs", "b"]),
    ],
)
def test_arguments_that_are_not_json_are_refused_with_their_place(args: Any, kwargs: Any, loc: list[Any]) -> None:
    with pytest.raises(ArgumentsRefused) as refusal:
        encode_arguments(args, kwargs)
    assert [error["loc"] for error in refusal.value.errors] == [loc]


def test_arguments_share_one_limit() -> None:
    with pytest.raises(ArgumentsRefused, match="24 bytes of JSON; 20 are allowed"):
        encode_arguments(["x" * 6], {"k": "x" * 6}, limit=20)
