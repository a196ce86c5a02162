"""From JSON to what annotations say, and only where JSON cannot say it."""

import dataclasses
import enum
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest

from easyjobs.errors import ArgumentsRefused
from easyjobs.tasks.conversion import converter_of


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    when: datetime


class Pair(NamedTuple):
    left: int
    right: int


class Plain(TypedDict):
    x: int


class Dated(TypedDict):
    on: date


class Model(pydantic.BaseModel):
    model_config = {"strict": True}
    n: int
    when: datetime


class Motley(enum.Enum):
    RED = "red"
    TWO = 2
    NONE = None


class Unknown:
    pass


@pytest.mark.parametrize(
    ("annotation", "value", "member"),
    [
        (Motley, "red", Motley.RED),
        (Motley, 2, Motley.TWO),
        (Motley, 2.0, Motley.TWO),
        (Motley, None, Motley.NONE),
        ([Motley.RED, True, 1], "red", Motley.RED),
        ([Motley.RED, 1, True], True, True),
        ([Motley.RED, True, 1], 1, 1),
        (Literal[Colour.RED], "red", Colour.RED),
    ],
)
def test_members_of_an_enum_that_are_listed_arrive_as_such(annotation: Any, value: Any, member: Any) -> None:
    found = converted(annotation, value)
    assert (found, type(found)) == (member, type(member))


def test_a_value_that_is_not_listed_is_refused() -> None:
    with pytest.raises(ArgumentsRefused, match="must be one of"):
        converted(Motley, "RED")


NOON = "2024-01-02T12:00:00Z"
AT_NOON = datetime(2024, 1, 2, 12, tzinfo=UTC)


def converted(annotation: Any, value: Any) -> Any:
    def f(x): ...

    f.__annotations__["x"] = annotation
    args, kwargs = converter_of(f).arguments([value], {})
    by_name = converter_of(f).arguments([], {"x": value})
    assert by_name == ([], {"x": args[0]})
    assert kwargs == {}
    return args[0]


@pytest.mark.parametrize(
    ("annotation", "value", "result"),
    [
        (datetime, NOON, AT_NOON),
        (date, "2024-01-02", date(2024, 1, 2)),
        (timedelta, "P1D", timedelta(1)),
        (UUID, "0" * 32, UUID(int=0)),
        (Colour, "red", Colour.RED),
        (bytes, "aGk=", b"hi"),
        (set[int], [1, 2], {1, 2}),
        (tuple[int, str], [1, "a"], (1, "a")),
        (dict[int, str], {"1": "a"}, {1: "a"}),
        (list[date], ["2024-01-02"], [date(2024, 1, 2)]),
        (Point, {"x": 1, "when": NOON}, Point(1, AT_NOON)),
        (Pair, [1, 2], Pair(1, 2)),
        (Dated, {"on": "2024-01-02"}, {"on": date(2024, 1, 2)}),
        (Model, {"n": 1, "when": NOON}, Model(n=1, when=AT_NOON)),
        (list[Model], [{"n": 1, "when": NOON}], [Model(n=1, when=AT_NOON)]),
        (Model | None, None, None),
        (datetime | None, None, None),
        (datetime | str, NOON, AT_NOON),
        (datetime | str, "not a date", "not a date"),
        (str | datetime, NOON, NOON),
        (tuple[Unknown, date], [1, "2024-01-02"], (1, date(2024, 1, 2))),
    ],
)
def test_what_json_cannot_say_is_made_from_it(annotation: Any, value: Any, result: Any) -> None:
    found = converted(annotation, value)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 1.0),
        (list[int], [1]),
        (dict[str, Any], {"a": 1}),
        (Plain, {"x": 1}),
        (Unknown, {"a": 1}),
        ([1, 2], 2),
        (Any, 1),
        (Literal["a"], "a"),
        (Annotated[int, msgspec.Meta(gt=0)], 5),
        (list[Literal[1]] | None, [1]),
    ],
)
def test_what_json_says_is_passed_untouched(annotation: Any, value: Any) -> None:
    assert converted(annotation, value) is value


def test_plain_parameters_cost_nothing() -> None:
    def f(a: int, b: list[dict[str, float]] = [], *, c: str | None = None): ...  # noqa: B006

    args, kwargs = [1], {"b": []}
    result = converter_of(f).arguments(args, kwargs)
    assert result[0] is args
    assert result[1] is kwargs


def test_a_value_that_does_not_fit_is_refused_with_its_place() -> None:
    def f(a: Point, b: list[date], m: Model, *rest: date, **more: UUID): ...

    with pytest.raises(ArgumentsRefused) as refusal:
        converter_of(f).arguments(
            [{"x": "a", "when": NOON}, ["2024-01-02", "no"], {"n": "1", "when": NOON}, "2024-01-02", "no"], {"k": "no"}
        )
    assert [error["loc"] for error in refusal.value.errors] == [
        ["args", 0, "x"],
        ["args", 1, 1],
        ["args", 2],
        ["args", 4],
        ["kwargs", "k"],
    ]
    assert "n: Input should be a valid integer" in refusal.value.errors[2]["message"]


def test_positional_only_parameters_given_by_name_move_to_their_place() -> None:
    def f(a, b=2, /, c=3, *, d=4): ...

    convert = converter_of(f).arguments
    assert convert([], {"b": 20, "a": 10, "d": 1}) == ([10, 20], {"d": 1})
    assert convert([10], {"c": 30}) == ([10], {"c": 30})
    assert convert([], {"a": 10}) == ([10], {})


def test_surplus_places_given_by_name_move_behind_the_others() -> None:
    def f(a: date, b=date(2024, 1, 1), *rest: date): ...

    convert = converter_of(f).arguments
    day = date(2024, 1, 2)
    assert convert([], {"a": "2024-01-02", "rest": ["2024-01-02"]}) == ([day, date(2024, 1, 1), day], {})
    assert convert([], {"a": "2024-01-02", "rest": []}) == ([], {"a": day})
    assert convert(["2024-01-02"], {"rest": ["2024-01-02"]}) == ([day, date(2024, 1, 1), day], {})
    with pytest.raises(ArgumentsRefused, match=r"rest\.0"):
        convert([], {"a": "2024-01-02", "rest": ["no"]})
    with pytest.raises(ArgumentsRefused, match=r"kwargs\.rest: Expected"):
        convert([], {"a": "2024-01-02", "rest": 5})
    with pytest.raises(ArgumentsRefused, match="a: missing argument"):
        convert([], {"rest": ["2024-01-02"]})


def test_a_function_without_a_signature_gets_its_arguments_as_they_are() -> None:
    assert converter_of(vars).arguments([1], {"a": 2}) == ([1], {"a": 2})
