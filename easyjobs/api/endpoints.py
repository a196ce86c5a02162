"""What a route is: the table that both the router and the OpenAPI page are made from."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from easyjobs.api.credentials import Cursors
from easyjobs.api.gate import Identity
from easyjobs.api.requests import root
from easyjobs.errors import Unavailable
from easyjobs.hub.hub import Hub

Handler: TypeAlias = Callable[["Call"], Awaitable[Response]]


class Call(msgspec.Struct):
    """One request that passed the gate."""

    hub: Hub
    cursors: Cursors
    request: Request
    who: Identity

    def path(self, name: str) -> str:
        """A part of the path."""
        value: str = self.request.path_params[name]
        return value

    def url(self, path: str) -> str:
        """A path of ours as the client sees it, behind prefix and proxy."""
        return root(self.request) + path


class Endpoint(msgspec.Struct, frozen=True):
    """One method of one path. `answers` has the shape of the body for each status that is no problem (None: no body; a
    tuple: one of these), `body` that of the request's, `query` that of its parameters. `key` says that it reads
    Idempotency-Key, `stream` that its 200 may also be a stream of events, `problems` which refusals it has besides 401
    and 403. `media` is the type of its answers.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    handler: Handler
    tag: str
    answers: Mapping[int, Any]
    query: type[msgspec.Struct] | None = None
    body: Any = None
    key: bool = False
    stream: bool = False
    problems: tuple[int, ...] = ()
    media: str = "application/json"

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (self.handler.__doc__ or "").strip().partition("\n")[0].rstrip(".")

    @property
    def description(self) -> str:
        """The rest of it."""
        rest = (self.handler.__doc__ or "").strip().partition("\n")[2]
        return "\n".join(line.strip() for line in rest.strip().splitlines())


def routes(endpoints: Sequence[Endpoint], hub: Callable[[], Hub], cursors: Cursors) -> list[Route]:
    """The routes that serve `endpoints`, one for each path. `hub` is asked at each request."""
    paths: dict[str, dict[str, Handler]] = {}
    for one in endpoints:
        paths.setdefault(one.path, {})[one.method] = one.handler
    return [_route(path, handlers, hub, cursors) for path, handlers in paths.items()]


def _route(path: str, handlers: Mapping[str, Handler], hub: Callable[[], Hub], cursors: Cursors) -> Route:
    async def endpoint(request: Request) -> Response:
        handler = handlers["GET" if request.method == "HEAD" else request.method]
        try:
            return await handler(Call(hub(), cursors, request, request.scope["easyjobs.identity"]))
        except asyncio.CancelledError:
            # a server that stops cancels what it is still answering when its patience is over
            raise Unavailable("The manager stops.") from None

    return Route(path, endpoint, methods=list(handlers))


def reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(body), status, headers, "application/json")
