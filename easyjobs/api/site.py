"""All that a manager serves, as one ASGI application behind one gate, and its place among a host's routes."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match, NoMatchFound, Route
from starlette.types import Message, Receive, Scope, Send

from easyjobs.api import openapi, socket
from easyjobs.api.credentials import Cursors
from easyjobs.api.endpoints import routes
from easyjobs.api.gate import Gate
from easyjobs.api.pages import DOCS, LOGIN, login_url, page_routes
from easyjobs.api.problems import answer, problem
from easyjobs.api.routes import check, control, explain, jobs, pictures, runs, schedules, submit
from easyjobs.errors import NotFound, Refused, StoreError, Unauthorized
from easyjobs.hub.hub import Hub

ENDPOINTS: Final = (
    *submit.ENDPOINTS,
    *jobs.ENDPOINTS,
    *runs.ENDPOINTS,
    *pictures.ENDPOINTS,
    *schedules.ENDPOINTS,
    *control.ENDPOINTS,
    *check.ENDPOINTS,
    *explain.ENDPOINTS,
)
HEALTH: Final = frozenset(("/health/live", "/health/ready"))
OPENAPI: Final = "/openapi.json"
SOCKET: Final = "/ws/jobs"
_BEGINNINGS: Final = ("/api/", "/health/", "/docs", "/login", "/logout", OPENAPI)
_GROUNDS: Final = ("/api/", "/health/", "/docs/", "/login/", "/ws/jobs/")

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    # not `no-referrer`: with it a browser hides its origin from our own forms
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def public_paths(*, open_docs: bool) -> frozenset[str]:
    """The paths that need no credential."""
    return HEALTH | LOGIN | (DOCS | {OPENAPI} if open_docs else frozenset())


refused_socket: Final = ContextVar("refused_socket", default=False)
"""Whether the socket that is being served was one of ours and was answered with a refusal."""


class Site:
    """Serves our routes. `hub` is asked at each request and may raise Unavailable before the manager has started.

    `base` gives the OpenAPI document that ours is added to: the host's, or an empty one.
    """

    def __init__(
        self, hub: Callable[[], Hub], gate: Gate, cursors: Cursors, *, prefix: str, base: Callable[[], dict[str, Any]]
    ) -> None:
        self._hub = hub
        self._gate = gate
        self._prefix = prefix
        self._base = base
        self._cached: tuple[object, object, dict[str, Any]] | None = None
        self.routes = [
            *routes(ENDPOINTS, hub, cursors),
            *page_routes(gate),
            Route(OPENAPI, self._openapi, methods=["GET"]),
        ]
        errors = (Exception, Refused, StoreError, HTTPException, ClientDisconnect)
        self._app = Starlette(routes=self.routes, exception_handlers=dict.fromkeys(errors, answer))
        # the gate judges paths exactly: no second spelling of any
        self._app.router.redirect_slashes = False

    # -- its place among the host's routes

    def path(self, scope: Scope) -> str | None:
        """The path of a request below our prefix; None when it is not below it."""
        path: str = scope["path"].removeprefix(_outer_root(scope))
        if not path.startswith(self._prefix):
            return None
        path = path.removeprefix(self._prefix)
        return path if path.startswith("/") else None

    def knows(self, scope: Scope) -> bool:
        """Whether a route of ours has the request's path, or could have it: with a prefix, all below it is ours."""
        path = self.path(scope)
        if path is None:
            return False
        if self._prefix or path == SOCKET:
            return True
        if not path.startswith(_BEGINNINGS):
            return False  # the host's own requests pass at the price of this line
        request = {"type": "http", "method": "GET", "path": path, "root_path": ""}
        return any(route.matches(request)[0] is not Match.NONE for route in self.routes)

    def owns(self, scope: Scope) -> bool:
        """Whether the request's path lies on our grounds, though no route of ours has it."""
        path = self.path(scope)
        return path is not None and (path + "/").startswith(_GROUNDS)

    # -- serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or socket that `knows` or `owns` said yes to."""
        path = self.path(scope) or "/"
        # from here on the path that the gate judged is the path that the router sees
        scope = {**scope, "path": path, "root_path": "", "easyjobs.root": _outer_root(scope) + self._prefix}
        try:
            scope["easyjobs.identity"] = await self._gate.admit(scope, path)
            if scope["type"] == "websocket":
                if path != SOCKET:
                    raise NotFound("There is no websocket at this path.")
                await socket.serve(self._hub(), scope["easyjobs.identity"], receive, send)
                return
        except Refused as error:
            await self._refuse(error, scope, receive, send)
            return
        await self._app(scope, receive, _with_headers(send))

    async def _refuse(self, error: Refused, scope: Scope, receive: Receive, send: Send) -> None:
        response: Response = problem(error, scope)
        if scope["type"] == "websocket":
            await receive()
            if "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": 1008, "reason": error.title})
                return
            if isinstance(error, Unauthorized):
                response.headers["WWW-Authenticate"] = self._gate.challenge()
            refused_socket.set(True)
        elif isinstance(error, Unauthorized) and _is_browser(scope):
            response = RedirectResponse(login_url(scope["easyjobs.root"], scope["easyjobs.root"] + scope["path"]), 303)
        await response(scope, receive, _with_headers(send))

    # -- what it says of itself

    def document(self) -> dict[str, Any]:
        """The OpenAPI document as of now; made anew when a task, its availability or the host's routes changed."""
        base = self._base()
        try:
            hub = self._hub()
        except Refused:
            version, tasks = 0, []
        else:
            version, tasks = hub.catalog.version, hub.queries.tasks()
        state = (version, [view.available for view in tasks])
        if self._cached is None or self._cached[0] is not base or self._cached[1] != state:
            made = openapi.document(
                ENDPOINTS, tasks, public=public_paths(open_docs=False), prefix=self._prefix, base=base
            )
            self._cached = (base, state, made)
        return self._cached[2]

    async def _openapi(self, request: Request) -> Response:
        document = self.document()
        proxy: str = request.scope["easyjobs.root"].removesuffix(self._prefix)
        if proxy:
            document = {**document, "servers": [{"url": proxy}, *document.get("servers", [])]}
        return Response(msgspec.json.encode(document), media_type="application/json")


class Place(BaseRoute):
    """A route of the host's that hands over to a site what `mine` says yes to."""

    def __init__(self, site: Site, mine: Callable[[Scope], bool]) -> None:
        self.site = site
        self._mine = mine

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As Starlette asks each route."""
        if scope["type"] in ("http", "websocket") and self._mine(scope):
            return Match.FULL, {"endpoint": self.site}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As Starlette calls the route that matched."""
        await self.site(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> Any:
        """No route of ours is known to the host by name."""
        raise NoMatchFound(name, path_params)


def _outer_root(scope: Scope) -> str:
    root: str = scope.get("root_path", "").rstrip("/")
    path: str = scope["path"]
    return root if path.startswith(root + "/") else ""


def _is_browser(scope: Scope) -> bool:
    accepted = [value for name, value in scope["headers"] if name == b"accept"]
    return scope["method"] == "GET" and any(b"text/html" in value for value in accepted)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
