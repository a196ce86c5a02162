"""Reading what a client sent: queries and bodies into typed structs, with the place of each fault."""

from __future__ import annotations

import difflib
import re
from typing import Any, Final, TypeVar, get_args

import msgspec
from starlette.requests import Request

from easyjobs.errors import BadRequest, TooLarge, Unprocessable
from easyjobs.hub.arguments import fault_of

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")

_PLACE: Final = re.compile(r"(?P<why>.*?)(?: - at `\$(?P<path>.*)`)?\Z", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


def root(request: Request) -> str:
    """What stands before our paths in the client's URL: the proxy's path and our prefix."""
    path: str = request.scope["easyjobs.root"]
    return path


def read_query(request: Request, shape: type[S]) -> S:
    """The query of a URL as a `shape`.

    A parameter that is not known is refused: a misspelt `delay` must not run a job at once.

    :raises Unprocessable: unknown, repeated or out of range; names the parameter.
    """
    known = [field.encode_name for field in msgspec.structs.fields(shape)]
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known ones: {', '.join(known) or 'none'}"
            raise unprocessable(["query", name], f"unknown parameter; {hint}")
        if name in values:
            raise unprocessable(["query", name], "given twice")
        values[name] = value
    try:
        return msgspec.convert(values, shape, strict=False)
    except msgspec.ValidationError as error:
        refused = _invalid(error, ["query"])
        if str(error).startswith("Invalid enum value"):
            loc, message = (refused.errors[0][part] for part in ("loc", "message"))
            kind = next((field.type for field in msgspec.structs.fields(shape) if field.encode_name == loc[-1]), None)
            refused = unprocessable(loc, f"{message}; it is one of {', '.join(_choices(kind))}")
        raise refused from None


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body; one that is too long is not read to its end.

    :raises TooLarge: more than `limit` bytes.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise TooLarge(f"The body is {declared} bytes; {limit} are allowed.")
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"The body is longer than {limit} bytes, which are allowed.")
        chunks.append(chunk)
    return b"".join(chunks)


def parse_body(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """`body` as the decoder's type. Of a name that stands twice in an object, the last one counts.

    :raises BadRequest: it is not JSON. Unprocessable: it has another shape; names the place.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(error, []) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadRequest(f"The body is not JSON: {fault_of(body, error)}.") from None
    except RecursionError:
        raise BadRequest("The body is nested too deep.") from None


def _choices(kind: Any) -> list[str]:
    """The values of a Literal, also where something else may stand in its place."""
    found = []
    for part in get_args(kind):
        found += [part] if isinstance(part, str) else _choices(part)
    return found


def _invalid(error: msgspec.ValidationError, base: list[Any]) -> Unprocessable:
    match = _PLACE.match(str(error))
    why, path = (match["why"], match["path"] or "") if match else (str(error), "")
    steps: list[Any] = [name or (int(at) if at.isdecimal() else at) for name, at in _STEP.findall(path)]
    return unprocessable([*base, *steps], why)


def unprocessable(loc: list[Any], message: str) -> Unprocessable:
    """A refusal of what stands at `loc`."""
    where = ".".join(map(str, loc)) or "body"
    return Unprocessable(f"{where}: {message}", errors=[{"loc": loc, "message": message}])
