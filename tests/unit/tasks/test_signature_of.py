"""From annotations to JSON Schema; every schema is judged by a real validator, as the manager does."""

from __future__ import annotations

import dataclasses
import enum
import functools
import logging
import math
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar
from uuid import UUID

import jsonschema_rs
import msgspec
import pydantic
import pytest

from easyjobs.core.signature import ANYTHING, Signature
from easyjobs.tasks.introspection import signature_of

T = TypeVar("T")


class Motley(enum.Enum):
    RED = "red"
    TWO = 2
    NONE = None


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Movie(TypedDict):
    title: str
    year: int


class Pair(NamedTuple):
    left: int
    right: str


class Node(msgspec.Struct):
    value: int
    next: Node | None = None


class Inner(pydantic.BaseModel):
    n: int


class Outer(pydantic.BaseModel):
    inner: Inner
    when: datetime


class Tree(pydantic.BaseModel):
    children: list[Tree] = []


class Box(pydantic.BaseModel, Generic[T]):
    content: T


class Unknown:
    pass


UserId = NewType("UserId", int)
Positive = Annotated[int, msgspec.Meta(gt=0)]


def accepts(signature: Signature, **values: Any) -> bool:
    return bool(jsonschema_rs.validator_for(signature.schema()).is_valid(values))


def takes(annotation: Any, value: Any) -> bool:
    def f(x): ...

    f.__annotations__["x"] = annotation
    return accepts(signature_of(f), x=value)


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (int, [0, -3, 1.0], [1.5, "1", True, None]),
        (float, [0, 1.5], ["1", True]),
        (str, ["", "a"], [1, None]),
        (bool, [True], [1, "true"]),
        (None, [None], [0, ""]),
        (list, [[], [1, "a"]], [{}, "a"]),
        (list[int], [[], [1]], [["a"], 1]),
        (dict, [{}, {"a": 1}], [[]]),
        (dict[str, int], [{"a": 1}], [{"a": "b"}]),
        (tuple[int, str], [[1, "a"]], [[1], [1, 2], [1, "a", 2]]),
        (tuple[int, ...], [[], [1, 2]], [["a"]]),
        (set[int], [[1, 2]], [[1, 1], ["a"]]),
        (Sequence[int], [[1]], [["a"]]),
        (int | None, [1, None], ["a"]),
        (int | str, [1, "a"], [1.5, None]),
        (datetime | str, ["a"], [1]),
        (datetime | Unknown, [1, "a", None], []),
        (Literal["a", 1], ["a", 1], ["b", 2]),
        (Literal[True, "a"], [True, "a"], [False, "b"]),
        (Colour, ["red"], ["green", 1]),
        (date, ["2024-02-29"], [1]),
        (datetime, ["2024-02-29T10:00:00Z"], [1]),
        (time, ["10:00:00"], [1]),
        (timedelta, ["P1D"], [[]]),
        (UUID, ["a" * 32], [1]),
        (Decimal, ["1.5"], [[]]),
        (bytes, ["aGk="], [1]),
        (Point, [{"x": 1}, {"x": 1, "y": 2}], [{}, {"x": "a"}, 1]),
        (Movie, [{"title": "a", "year": 1}], [{"title": "a"}, []]),
        (Pair, [[1, "a"]], [[1], {"left": 1}]),
        (Node, [{"value": 1, "next": {"value": 2}}], [{"next": None}, {"value": 1, "next": {}}]),
        (list[Point], [[{"x": 1}]], [[{}]]),
        (UserId, [1], ["a"]),
        (Positive, [1], [0]),
        (list[Positive], [[1]], [[0]]),
        (Outer, [{"inner": {"n": 1}, "when": "2024-01-01T00:00:00"}], [{"inner": {}}, 1]),
        (Outer | None, [None, {"inner": {"n": 1}, "when": "2024-01-01T00:00:00"}], [{"inner": {}}]),
        (dict[str, list[Inner]], [{"a": [{"n": 1}]}], [{"a": [{}]}]),
        (Tree, [{"children": [{"children": []}]}], [{"children": [1]}]),
        (Box[int], [{"content": 1}], [{"content": "a"}]),
        ([1, 2, 3], [1, 3], [4, "1"]),
        (["a", None], ["a", None], ["b"]),
        ([None, 1, 1.5, True, "1"], [None, 1, 1.0, 1.5, True, "1"], [False, 0, "1.5", 2]),
        ((1, 2), [1, 2], [3]),
        (range(2), [0, 1], [2]),
        ([Colour.RED, 3], ["red", 3], ["RED", "blue"]),
        (Literal[Colour.RED], ["red"], ["blue"]),
        (Motley, ["red", 2, 2.0, None], ["RED", 1, 3]),
    ],
)
def test_a_type_takes_its_values_and_no_others(annotation: Any, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not takes(annotation, value)] == []
    assert [value for value in bad if takes(annotation, value)] == []


@pytest.mark.parametrize(
    "annotation",
    [
        Any,
        object,
        Unknown,
        Iterable[int],
        Callable[[int], int],
        type,
        T,
        list[Unknown],
        [object()],
        [],
        [[1], [2]],
        [math.nan],
        {1, 2},
        list[datetime | str],
    ],
)
def test_what_json_cannot_describe_takes_anything(annotation: Any) -> None:
    assert takes(annotation, [])
    if annotation != list[Unknown]:
        assert takes(annotation, {"any": "thing"})


def test_no_annotation_takes_anything() -> None:
    def f(x): ...

    assert signature_of(f).parameters[0].schema == {}


def test_a_default_of_none_makes_none_a_value() -> None:
    def f(x: int = None, y: [1, 2] = None, z: str | None = None): ...  # noqa: RUF013 - what users write

    signature = signature_of(f)
    assert accepts(signature, x=None, y=None, z=None)
    assert accepts(signature)
    assert not accepts(signature, x="a")
    assert not accepts(signature, y=3)


def test_defaults_are_shown_when_json_can_say_them() -> None:
    def f(
        n: int = 3, day: date = date(2024, 1, 2), colour: Colour = Colour.RED, tags: Any = frozenset(), none: Any = None
    ): ...

    properties = signature_of(f).schema()["properties"]
    assert properties["n"] == {"type": "integer", "default": 3}
    assert properties["day"]["default"] == "2024-01-02"
    assert properties["colour"]["default"] == "red"
    assert "default" not in properties["tags"]
    assert properties["none"] == {"default": None}


def test_kinds_of_parameters_are_told_apart() -> None:
    def f(a, /, b, *rest: int, c, d=1, **more: str): ...

    kinds = [(p.name, p.kind, p.required) for p in signature_of(f).parameters]
    assert kinds == [
        ("a", "positional", True),
        ("b", "either", True),
        ("rest", "args", True),
        ("c", "keyword", True),
        ("d", "keyword", False),
        ("more", "kwargs", True),
    ]
    assert accepts(signature_of(f), a=1, b=2, c=3, rest=[1], other="x")
    assert not accepts(signature_of(f), a=1, b=2, c=3, rest=["x"])
    assert not accepts(signature_of(f), a=1, b=2, c=3, other=1)


def test_a_function_that_takes_anything_has_the_signature_of_anything() -> None:
    def f(*args, **kwargs): ...

    assert signature_of(f).hash == ANYTHING.hash


def test_two_models_of_one_name_stay_apart() -> None:
    first = pydantic.create_model("Point", a=(int, ...))
    second = pydantic.create_model("Point", b=(int, ...))

    def f(ours, one, two): ...

    f.__annotations__.update(ours=Point, one=first, two=second)
    signature = signature_of(f)
    assert sorted(signature.defs) == ["Point", "Point_2", "Point_3"]
    assert accepts(signature, ours={"x": 1}, one={"a": 1}, two={"b": 1})
    assert not accepts(signature, ours={"x": 1}, one={"b": 1}, two={"b": 1})


def test_the_result_is_described_on_its_own_and_is_no_part_of_the_hash() -> None:
    def f(x: Point) -> Movie: ...
    def g(x: Point) -> int: ...

    signature = signature_of(f)
    assert list(signature.defs) == ["Point"]
    assert jsonschema_rs.validator_for(signature.returns).is_valid({"title": "a", "year": 1})
    assert not jsonschema_rs.validator_for(signature.returns).is_valid({})
    assert signature.hash == signature_of(g).hash


def test_names_that_are_local_to_a_function_take_anything_and_warn(caplog: pytest.LogCaptureFixture) -> None:
    class Local(msgspec.Struct):
        x: int

    def f(a: Local, b: int): ...

    with caplog.at_level(logging.WARNING, "easyjobs"):
        signature = signature_of(f)
    assert [p.schema for p in signature.parameters] == [{}, {"type": "integer"}]
    assert "Local" in caplog.text


def test_a_model_without_a_schema_takes_anything_and_warns(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(pydantic.BaseModel):
        model_config = {"arbitrary_types_allowed": True}
        it: Unknown

    with caplog.at_level(logging.WARNING, "easyjobs"):
        assert takes(Odd, 5)
    assert "Odd" in caplog.text


def test_what_wraps_a_function_shows_the_functions_parameters() -> None:
    def add(a: int, b: int = 1) -> int:
        return a + b

    @functools.wraps(add)
    def wrapped(*args, **kwargs):
        return add(*args, **kwargs)

    class Adder:
        def __call__(self, a: int, b: int = 1) -> int:
            return a + b

    expected = signature_of(add).hash
    assert signature_of(wrapped).hash == expected
    assert signature_of(Adder()).hash == expected
    assert signature_of(Adder().__call__).hash == expected
    partial = signature_of(functools.partial(add, 1))
    assert [p.schema for p in partial.parameters] == [{"type": "integer"}]


def test_a_function_without_a_signature_takes_anything() -> None:
    assert signature_of(vars) == ANYTHING


def test_pydantic_is_not_imported_for_its_own_sake() -> None:
    program = (
        "import sys\n"
        "from easyjobs.tasks.introspection import signature_of\n"
        "from easyjobs.tasks.conversion import converter_of\n"
        "def f(x: object, y: list[int]): ...\n"
        "signature_of(f); converter_of(f)\n"
        "sys.exit('pydantic' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# -- what people are told


def test_the_docstring_says_what_parameters_are() -> None:
    def told(a: int, b: str = "x", *rest: int, c: bool = False, d: int = 0, **more: str) -> None:
        """Do it.

        :param a: how many
            of them, at least
        :param str b: which: one
        :param *rest: the others
        :param c:
        :returns: nothing
        :param more: whatever

        And so on.
        """

    signature = signature_of(told)
    assert {p.name: p.description for p in signature.parameters} == {
        "a": "how many of them, at least",
        "b": "which: one",
        "rest": "the others",
        "c": "",
        "d": "",
        "more": "whatever",
    }
    properties = signature.schema()["properties"]
    assert properties["a"] == {"type": "integer", "description": "how many of them, at least"}
    assert "description" not in properties["d"]


def test_a_description_is_no_part_of_the_hash_and_has_an_end() -> None:
    def bare(a: int) -> None:
        """Do it."""

    def told(a: int) -> None:
        """Do it."""

    told.__doc__ = f":param a: {'x' * 5000}"
    assert signature_of(bare).hash == signature_of(told).hash
    assert len(signature_of(told).parameters[0].description) == 1000
