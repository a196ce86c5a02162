"""Arguments at the door: names by the signature, types by JSON Schema, and only JSON within its bounds."""

from __future__ import annotations

import pytest

from easyjobs.core.signature import Parameter, Signature
from easyjobs.errors import ArgumentsRefused, BadRequest, RegistrationError, TooLarge
from easyjobs.hub.arguments import Checker, parse

ADD = Checker(
    Signature(
        parameters=(
            Parameter("n", {"type": "integer"}),
            Parameter("s", {"type": "string"}, required=False),
            Parameter("many", {"type": "array", "items": {"type": "integer"}}, required=False),
        )
    )
)


def check(args: bytes = b"[]", kwargs: bytes = b"{}", *, size: int = 1000, depth: int = 8) -> None:
    ADD.check(args, kwargs, size=size, depth=depth)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [(b"[1]", b"{}"), (b"[]", b'{"n":1}'), (b'[1,"x"]', b'{"many":[1,2]}'), (b"[1]", b'{"s":"x"}')],
)
def test_a_call_that_fits_passes(args: bytes, kwargs: bytes) -> None:
    check(args, kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs", "loc"),
    [
        (b"[]", b"{}", ["kwargs", "n"]),
        (b"[1]", b'{"n":1}', ["kwargs", "n"]),
        (b"[1]", b'{"x":1}', ["kwargs", "x"]),
        (b'[1,"x",[],4]', b"{}", ["args", 3]),
        (b'["1"]', b"{}", ["kwargs", "n"]),
        (b"[]", b'{"n":1,"many":[1,"2"]}', ["kwargs", "many", 1]),
        (b"{}", b"{}", ["args"]),
        (b"[1]", b"[]", ["kwargs"]),
    ],
)
def test_a_call_that_does_not_fit_is_refused_with_the_place(args: bytes, kwargs: bytes, loc: list[str | int]) -> None:
    with pytest.raises(ArgumentsRefused) as refused:
        check(args, kwargs)
    assert loc in [error["loc"] for error in refused.value.errors]


@pytest.mark.parametrize(
    ("given", "loc", "said"),
    [
        (b'"x"', [], '"x" is not of type "integer" or "null"'),
        (b"[1.5]", [0], '1.5 is not of type "integer"'),  # a list it may be: what is in it is wrong
        (b'{"kind":"c"}', [], '"c" is not one of "a" or "b"; "size" is a required property'),
        (b"true", [], 'true is not of type "integer" or "null"'),
    ],
)
def test_what_may_be_one_of_several_is_refused_with_what_it_may_be(given: bytes, loc: list[int], said: str) -> None:
    kind = {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}}
    ways: list[dict[str, object]] = [{"type": "integer"}, {"type": "null"}]
    if given.startswith(b"["):
        ways.append({"type": "array", "items": {"anyOf": [{"type": "integer"}]}})
    if given.startswith(b"{"):
        ways = [kind, {"type": "object", "required": ["size"]}]
    several = Checker(Signature((Parameter("n", {"anyOf": ways}),)))
    with pytest.raises(ArgumentsRefused) as refused:
        several.check(b"[%s]" % given, b"{}", size=1000, depth=8)
    assert refused.value.errors == [{"loc": ["kwargs", "n", *loc], "message": said}]


def test_what_only_a_run_gives_passes_where_it_was_stored() -> None:
    hidden = Parameter("run", required=False, hidden=True)
    inside = Checker(Signature((Parameter("n", {"type": "integer"}, required=False), hidden)))
    for args, kwargs in ((b"[]", b'{"run": "r"}'), (b'[1, "r"]', b"{}")):
        with pytest.raises(ArgumentsRefused, match="given by the run that a job is part of") as refused:
            inside.check(args, kwargs, size=1000, depth=8)
        assert [error["loc"] for error in refused.value.errors] == [["kwargs", "run"]]
        inside.check(args, kwargs, size=1000, depth=8, stored=True)
    with pytest.raises(ArgumentsRefused, match=r"kwargs\.n"):
        inside.check(b'["x", "r"]', b"{}", size=1000, depth=8, stored=True)
    inside.check(b"[]", b'{"n": 1}', size=1000, depth=8)


def test_many_faults_are_told_as_twenty_and_long_ones_are_cut() -> None:
    with pytest.raises(ArgumentsRefused) as refused:
        check(b'[1,"s",[%s]]' % b",".join([b'"no"'] * 50))
    assert len(refused.value.errors) == 20
    with pytest.raises(ArgumentsRefused) as refused:
        check(b"[]", b'{"n":"%s"}' % (b"x" * 900))
    assert len(refused.value.errors[0]["message"]) == 301


def test_size_counts_both() -> None:
    check(b"[1]", b'{"s":"x"}', size=12)
    with pytest.raises(TooLarge, match="12 bytes; 11"):
        check(b"[1]", b'{"s":"x"}', size=11)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"NaN", b"[Infinity]", b'"\\ud800"', b'"\xff"', b"[1] 2", b"[" * 200_000, b"'x'", b"01"]
)
def test_what_is_not_json_is_no_argument(text: bytes) -> None:
    with pytest.raises(BadRequest, match="args"):
        parse(text, 64, "args")


def test_depth_is_counted_exactly() -> None:
    assert parse(b"[[[1]]]", 3, "x") == [[[1]]]
    with pytest.raises(BadRequest, match="2 levels"):
        parse(b"[[[1]]]", 2, "x")
    with pytest.raises(BadRequest):
        parse(b'{"a":{"b":[]}}', 2, "x")
    wide = b"[" + b",".join([b"[]"] * 100) + b"]"
    assert len(parse(wide, 2, "x")) == 100
    assert parse(b'"[[[[[["', 1, "x") == "[[[[[["


def test_parameters_that_are_no_schema_cannot_be_registered() -> None:
    with pytest.raises(RegistrationError, match="JSON Schema"):
        Checker(Signature(parameters=(Parameter("n", {"type": "nonsense"}),)))


@pytest.mark.parametrize(
    ("text", "half"),
    [
        (b'"\\ud800"', True),
        (b'{"a": "x\\uD83Dy"}', True),
        (b'"\\ud83d\\ude00', False),
        (b'"\\\\ud800', False),
        (b'"abc', False),
    ],
)
def test_half_a_surrogate_pair_is_called_by_its_name(text: bytes, half: bool) -> None:
    with pytest.raises(BadRequest) as refused:
        parse(text, 64, "args")
    assert ("half a surrogate pair" in str(refused.value)) is half


FORMATTED = Checker(
    Signature(
        parameters=tuple(
            Parameter(name, {"anyOf": [{"type": "string", "format": format}, {"type": "null"}]}, required=False)
            for name, format in [
                *(("day", "date"), ("moment", "date-time"), ("hour", "time"), ("id", "uuid"), ("price", "decimal")),
                *(("span", "duration"), ("mail", "email"), ("own", "of our house")),
            ]
        )
    )
)


@pytest.mark.parametrize(
    "given",
    [
        b'{"day":"2026-02-28","moment":"2026-02-28T10:00:00Z","hour":"10:00:00","price":"1.50","id":null}',
        b'{"moment":"2026-02-28 10:00:00","id":"01a1fef6-034c-7a22-84a6-90cb13c0bcd4","hour":"10:00"}',
        b'{"day":"2026-02-28T00:00:00","moment":"2026-02-28","id":"{01a1fef6-034c-7a22-84a6-90cb13c0bcd4}"}',
        b'{"moment":"1700000000","day":"1700000000.0"}',  # as models of pydantic read them
        b'{"span":"x","mail":"x","own":"x"}',  # annotations, to JSON Schema
    ],
)
def test_text_that_some_reading_makes_a_value_of_passes(given: bytes) -> None:
    FORMATTED.check(b"[]", given, size=1000, depth=8)


@pytest.mark.parametrize(
    ("name", "text", "format"),
    [
        ("day", "x", "date"),
        ("day", "2026-02-30", "date"),
        ("moment", "tomorrow", "date-time"),
        ("hour", "25:00:00", "time"),
        ("id", "01a1fef6", "uuid"),
        ("price", "much", "decimal"),
    ],
)
def test_text_that_no_reading_makes_a_value_of_is_refused_at_the_door(name: str, text: str, format: str) -> None:
    with pytest.raises(ArgumentsRefused) as refused:
        FORMATTED.check(b"[]", f'{{"{name}":"{text}"}}'.encode(), size=1000, depth=8)
    assert refused.value.errors == [{"loc": ["kwargs", name], "message": f'"{text}" is not a "{format}"'}]
