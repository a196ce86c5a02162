"""Judging calls by their names, and describing them as one object."""

from typing import Any

import jsonschema_rs
import msgspec
import pytest

from easyjobs.core.signature import ANYTHING, Parameter, Signature
from easyjobs.errors import ArgumentsRefused

INTEGER = {"type": "integer"}
# def f(a, /, b, c=1, *rest, d, e=2, **more)
FULL = Signature(
    (
        Parameter("a", kind="positional"),
        Parameter("b"),
        Parameter("c", INTEGER, required=False, default=1),
        Parameter("rest", INTEGER, kind="args"),
        Parameter("d", kind="keyword"),
        Parameter("e", kind="keyword", required=False),
        Parameter("more", INTEGER, kind="kwargs"),
    )
)
# def g(a, b=None)
PLAIN = Signature((Parameter("a"), Parameter("b", required=False, default=None)))
# def h(a, /, *rest, k)
REST = Signature((Parameter("a", kind="positional"), Parameter("rest", kind="args"), Parameter("k", kind="keyword")))


@pytest.mark.parametrize(
    ("signature", "args", "kwargs", "bound"),
    [
        (PLAIN, [1], {}, {"a": 1}),
        (PLAIN, (1, 2), {}, {"a": 1, "b": 2}),
        (PLAIN, [1], {"b": 2}, {"a": 1, "b": 2}),
        (PLAIN, [], {"b": 2, "a": 1}, {"a": 1, "b": 2}),
        (Signature(), [], {}, {}),
        (FULL, [1, 2], {"d": 4}, {"a": 1, "b": 2, "d": 4}),
        (FULL, [1, 2, 3, 7, 8], {"d": 4, "x": 9}, {"a": 1, "b": 2, "c": 3, "rest": [7, 8], "d": 4, "x": 9}),
        (FULL, [], {"a": 1, "b": 2, "d": 4, "rest": [7]}, {"a": 1, "b": 2, "d": 4, "rest": [7]}),
        (FULL, [1], {"b": 2, "d": 4, "more": 3}, {"a": 1, "b": 2, "d": 4, "more": 3}),
        (REST, [], {"a": 1, "rest": [2], "k": 3}, {"a": 1, "rest": [2], "k": 3}),
        (ANYTHING, [1, 2], {"x": 3}, {"args": [1, 2], "x": 3}),
        (ANYTHING, [], {}, {}),
    ],
)
def test_a_call_that_fits_becomes_one_object(
    signature: Signature, args: Any, kwargs: dict[str, Any], bound: dict[str, Any]
) -> None:
    before = dict(kwargs)
    assert signature.bind(args, kwargs) == bound
    assert kwargs == before
    assert signature.bind([], bound) == bound  # JSON has names only: the object is a call as well
    assert jsonschema_rs.validator_for(signature.schema()).is_valid(bound)


@pytest.mark.parametrize(
    ("signature", "args", "kwargs", "errors"),
    [
        (PLAIN, [], {}, [(["kwargs", "a"], "missing argument")]),
        (PLAIN, [1, 2, 3, 4], {}, [(["args", 2], "takes 2 by place"), (["args", 3], "takes 2 by place")]),
        (PLAIN, [1], {"a": 1}, [(["kwargs", "a"], "given twice")]),
        (PLAIN, [1], {"c": 1}, [(["kwargs", "c"], "the task has: a, b")]),
        (Signature(), [1], {"c": 1}, [(["args", 0], "takes none"), (["kwargs", "c"], "the task has: none")]),
        (FULL, [1, 2, 3, 4], {"d": 1, "rest": [5]}, [(["kwargs", "rest"], "given twice")]),
        (FULL, [1], {"a": 1}, [(["kwargs", "a"], "twice"), (["kwargs", "b"], "missing"), (["kwargs", "d"], "missing")]),
    ],
)
def test_a_call_that_does_not_fit_is_refused_with_every_place(
    signature: Signature, args: Any, kwargs: dict[str, Any], errors: list[tuple[list[Any], str]]
) -> None:
    with pytest.raises(ArgumentsRefused) as refusal:
        signature.bind(args, kwargs)
    assert [error["loc"] for error in refusal.value.errors] == [loc for loc, _ in errors]
    for error, (_, reason) in zip(refusal.value.errors, errors, strict=True):
        assert reason in error["message"]


def test_the_schema_is_that_of_one_object() -> None:
    assert FULL.schema() == {
        "type": "object",
        "properties": {
            "a": {},
            "b": {},
            "c": {"type": "integer", "default": 1},
            "rest": {"type": "array", "items": INTEGER},
            "d": {},
            "e": {},
        },
        "additionalProperties": INTEGER,
        "required": ["a", "b", "d"],
    }
    assert PLAIN.schema()["properties"]["b"] == {"default": None}
    assert PLAIN.schema()["additionalProperties"] is False
    assert "required" not in Signature().schema()
    assert ANYTHING.schema()["additionalProperties"] is True
    assert ANYTHING.schema()["properties"] == {"args": {"type": "array", "items": True}}


def test_definitions_are_where_references_look_for_them() -> None:
    signature = Signature((Parameter("p", {"$ref": "#/$defs/P"}),), {"P": INTEGER})
    validator = jsonschema_rs.validator_for(signature.schema())
    assert validator.is_valid({"p": 1})
    assert not validator.is_valid({"p": "x"})


def test_the_hash_is_that_of_the_parameters_and_their_types() -> None:
    base = Signature((Parameter("a", INTEGER),))
    assert base.hash == Signature((Parameter("a", INTEGER, default=3),), returns={"type": "string"}).hash
    assert len(base.hash) == 16
    others = [
        Signature(),
        Signature((Parameter("b", INTEGER),)),
        Signature((Parameter("a", {"type": "string"}),)),
        Signature((Parameter("a", INTEGER, kind="keyword"),)),
        Signature((Parameter("a", INTEGER, required=False),)),
        Signature((Parameter("a", INTEGER),), {"P": INTEGER}),
    ]
    assert len({base.hash, *(other.hash for other in others)}) == 7


def test_the_hash_does_not_depend_on_the_order_of_keys() -> None:
    one = Signature((Parameter("a", {"type": "integer", "minimum": 1}),))
    two = Signature((Parameter("a", {"minimum": 1, "type": "integer"}),))
    assert one.hash == two.hash


def test_a_signature_survives_a_journey_as_json() -> None:
    for signature in (FULL, PLAIN, ANYTHING, Signature()):
        again = msgspec.json.decode(msgspec.json.encode(signature), type=Signature)
        assert again == signature
        assert again.hash == signature.hash
        assert again.schema() == signature.schema()


def test_what_was_left_out_is_completed_as_far_as_json_can_say_it() -> None:
    assert PLAIN.complete([1], {}) == {"a": 1, "b": None}
    assert FULL.complete([1, 2], {"d": 4}) == {"a": 1, "b": 2, "d": 4, "c": 1}
    assert PLAIN.complete([1, 2], {}) == {"a": 1, "b": 2}
    with pytest.raises(ArgumentsRefused):
        PLAIN.complete([], {})


def test_people_are_told_of_a_parameter_and_the_hash_is_not() -> None:
    told = Signature(
        (Parameter("a", INTEGER, description="how many"), Parameter("r", INTEGER, kind="args", description="more"))
    )
    assert told.schema()["properties"] == {
        "a": {"type": "integer", "description": "how many"},
        "r": {"type": "array", "items": INTEGER, "description": "more"},
    }
    assert told.hash == Signature((Parameter("a", INTEGER), Parameter("r", INTEGER, kind="args"))).hash


INSIDE = Signature(
    (Parameter("a", required=False), Parameter("parents", required=False, hidden=True), Parameter("run", hidden=True))
)


def test_what_only_a_run_gives_is_not_shown_and_no_caller_may_give_it() -> None:
    assert INSIDE.schema() == {"type": "object", "properties": {"a": {}}, "additionalProperties": False}
    whole = INSIDE.bind([1], {"parents": {}, "run": "r"})
    assert whole == {"a": 1, "parents": {}, "run": "r"}
    assert INSIDE.shown(whole, stored=True) == {"a": 1}
    with pytest.raises(ArgumentsRefused) as refused:
        INSIDE.shown(whole, stored=False)
    why = "given by the run that a job is part of, not by callers"
    assert refused.value.errors == [{"loc": ["kwargs", name], "message": why} for name in ("parents", "run")]
    assert INSIDE.shown({"a": 1}, stored=False) == {"a": 1}
    assert PLAIN.shown({"a": 1}, stored=False) == {"a": 1}
    with pytest.raises(ArgumentsRefused) as refused:
        INSIDE.bind([], {"run": "r", "other": 1})
    assert refused.value.errors == [
        {"loc": ["kwargs", "other"], "message": "unknown argument; the task has: a"},
    ]


def test_the_hash_does_not_depend_on_what_is_hidden() -> None:
    seen = Signature(tuple(msgspec.structs.replace(parameter, hidden=False) for parameter in INSIDE.parameters))
    assert seen.hash == INSIDE.hash


CHOOSING = Signature(
    (
        Parameter("a", {"enum": [3, 1, "ALL"]}),
        Parameter("color", {"$ref": "#/$defs/Color"}),
        Parameter("gone", {"$ref": "#/$defs/Gone"}),
        Parameter("n", INTEGER),
        Parameter("x", {"type": "number"}),
        Parameter("maybe", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        Parameter("any"),
        Parameter("odd", {"enum": "no list"}),
    ),
    {"Color": {"enum": ["blue", "red"]}},
)


def test_the_values_to_choose_from_are_those_that_the_author_listed() -> None:
    assert CHOOSING.choices("a") == [3, 1, "ALL"]
    assert CHOOSING.choices("color") == ["blue", "red"]
    assert [CHOOSING.choices(name) for name in ("n", "gone", "any", "none", "odd")] == [None] * 5


@pytest.mark.parametrize(
    ("name", "fitting", "others"),
    [
        ("a", [1, "ALL"], [2, 1.0, True, "1"]),
        ("color", ["red"], ["green", None]),
        ("n", [1], [1.5, "1", True]),
        ("x", [1, 1.5], ["1", False]),
        ("maybe", ["x", None], [1]),
        ("any", [1, "x", None, [1], {}], []),
        ("none", [1], []),
    ],
)
def test_a_value_may_be_judged_without_a_validator(name: str, fitting: list[Any], others: list[Any]) -> None:
    assert [value for value in [*fitting, *others] if CHOOSING.takes(name, value)] == fitting
