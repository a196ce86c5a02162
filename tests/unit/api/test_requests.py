"""Faults in what was sent are found at their place."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta
from starlette.requests import Request

from easyjobs.api.requests import parse_body, read_body, read_query
from easyjobs.errors import BadRequest, TooLarge, Unprocessable


class Part(msgspec.Struct, forbid_unknown_fields=True):
    size: int


class Whole(msgspec.Struct, forbid_unknown_fields=True):
    parts: list[Part] = []
    name: Annotated[str, Meta(max_length=3)] = ""


def request(query: str = "", chunks: list[bytes] | None = None, **headers: str) -> Request:
    left = list(chunks or [])

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "query_string": query.encode(), "headers": sent}, receive)


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        (b'{"parts": [{"size": 1}, {"size": "x"}]}', ["parts", 1, "size"]),
        (b'{"parts": [{}]}', ["parts", 0]),
        (b'{"name": "long"}', ["name"]),
        (b'{"odd": 1}', []),
        (b"[]", []),
    ],
)
def test_the_place_of_a_wrong_value_is_told(body: bytes, loc: list[Any]) -> None:
    with pytest.raises(Unprocessable) as refused:
        parse_body(body, msgspec.json.Decoder(Whole))
    assert refused.value.errors[0]["loc"] == loc


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"name": "\xff"}', b'{"name": "\\ud800"}', b"nul"])
def test_what_is_no_json_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_body(body, msgspec.json.Decoder(Whole))


def test_what_is_too_deep_is_a_bad_request() -> None:
    with pytest.raises(BadRequest, match="too deep"):
        parse_body(b"[" * 200_000 + b"]" * 200_000, msgspec.json.Decoder(Any))


def test_a_query_is_read_by_its_shape() -> None:
    assert read_query(request("name=a%20b"), Whole).name == "a b"
    for query, loc in (("nam=a", "nam"), ("name=a&name=b", "name"), ("name=long", "name")):
        with pytest.raises(Unprocessable) as refused:
            read_query(request(query), Whole)
        assert refused.value.errors[0]["loc"] == ["query", loc]


def test_of_a_word_that_is_none_of_some_these_are_told() -> None:
    class Kinds(msgspec.Struct):
        state: Literal["queued", "running"] | None = None

    with pytest.raises(Unprocessable) as refused:
        read_query(request("state=bogus"), Kinds)
    (fault,) = refused.value.errors
    assert fault["loc"] == ["query", "state"]
    assert fault["message"] == "Invalid enum value 'bogus'; it is one of queued, running"


async def test_a_body_is_read_up_to_its_limit_and_no_further() -> None:
    assert await read_body(request(chunks=[b"12", b"34"]), 4) == b"1234"
    with pytest.raises(TooLarge):
        await read_body(request(chunks=[b"123", b"45", b"never asked for"]), 4)
    with pytest.raises(TooLarge):
        await read_body(request(chunks=[], content_length="5"), 4)
    assert await read_body(request(chunks=[b"x"], content_length="²"), 4) == b"x"
