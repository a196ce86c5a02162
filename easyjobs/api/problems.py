"""Errors as RFC 9457 problems: the one place where an exception becomes an answer."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from easyjobs.errors import BadRequest, Refused, StorageFull, StoreError, StoreFull, Unauthorized, Unavailable

MEDIA_TYPE: Final = "application/problem+json"
TRY_AGAIN: Final = frozenset((429, 503))
LONGEST: Final = 1_000  # characters of a text; what was sent need not come back whole


class Fault(msgspec.Struct, frozen=True):
    """One place where a request is wrong, and why."""

    loc: Annotated[list[str | int], Meta(description='Where: `["kwargs", "n"]`, `["query", "wait"]`.')]
    message: str


class Problem(msgspec.Struct, frozen=True):
    """Why a request was refused (RFC 9457)."""

    type: Annotated[str, Meta(description="A name for programs: `urn:easyjobs:not-found`.")]
    title: str
    status: int
    detail: str
    errors: list[Fault]
    instance: Annotated[str, Meta(description="The path that was asked for.")]


def problem(error: Refused, scope: Scope) -> Response:
    """The answer that says why `error` refused the request."""
    body = Problem(
        type=f"urn:easyjobs:{error.title.lower().replace(' ', '-')}",
        title=error.title,
        status=error.status,
        detail=_short(error.detail),
        errors=[
            Fault([_place(part) for part in e.get("loc", ())], _short(str(e.get("message", "")))) for e in error.errors
        ],
        instance=_short(scope.get("easyjobs.root", "") + scope["path"]),
    )
    headers = {}
    if error.status in TRY_AGAIN:
        headers["Retry-After"] = "1"
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="easyjobs"'
    return Response(_safe(body), error.status, headers, MEDIA_TYPE)


def refusal(error: BaseException) -> Refused:
    """`error` as a refusal with a status of its own; what is nobody's fault but ours is a bare 500."""
    match error:
        case Refused():
            return error
        case StoreFull():
            return StorageFull("No space is left for new jobs.")
        case StoreError():
            return Unavailable(f"The store does not answer: {error}")
        case HTTPException():
            return _http(error)
        case ClientDisconnect():
            return BadRequest("The connection closed before the request was whole.")
        case _:
            return _Internal("The manager failed; its log says why.")


async def answer(request: Request, error: Exception) -> Response:
    """The handler for every exception of our routes. One of ours (500) is raised further, to the server's log."""
    response = problem(refusal(error), request.scope)
    if isinstance(error, HTTPException):
        response.headers.update(error.headers or {})
    return response


class _Internal(Refused):
    status = 500
    title = "Internal error"


def _http(error: HTTPException) -> Refused:
    """What the router says of itself: no such path, or no such method on it."""
    names: Mapping[int, str] = {404: "There is nothing at this path.", 405: "This path does not take this method."}
    kind: type[Refused] = type("_Http", (Refused,), {"status": error.status_code, "title": _title(error.status_code)})
    return kind(names.get(error.status_code, str(error.detail)))


def _title(status: int) -> str:
    return HTTPStatus(status).phrase.capitalize()


def _place(part: Any) -> str | int:
    return part if isinstance(part, int) else _short(str(part))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _safe(body: Problem) -> bytes:
    """JSON, also of texts that a client made of what UTF-8 cannot say."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        faults = [Fault([_clean(part) for part in f.loc], _clean(f.message)) for f in body.errors]
        clean = {"detail": _clean(body.detail), "instance": _clean(body.instance), "errors": faults}
        return msgspec.json.encode(msgspec.structs.replace(body, **clean))


def _clean(text: Any) -> Any:
    return text.encode("utf-8", "backslashreplace").decode() if isinstance(text, str) else text
