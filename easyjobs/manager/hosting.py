"""A manager's place in an application: its routes among the host's, its errors in the server's log."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route

from easyjobs import __version__
from easyjobs.api.events import gave_up
from easyjobs.api.site import Place, Site, refused_socket

HOSTS_PAGES = ("openapi_url", "docs_url", "redoc_url", "swagger_ui_oauth2_redirect_url")
"""Where a FastAPI application says that it documents itself."""


def own_base() -> Callable[[], dict[str, Any]]:
    """An OpenAPI document with nothing in it, for a manager below a prefix."""
    base = {"openapi": "3.1.0", "info": {"title": "easyjobs", "version": __version__}, "paths": {}}
    return lambda: base


def take_place(app: Starlette, site: Site, *, prefix: str) -> None:
    """Put `site` among the routes of `app`; also when the application has begun to start.

    It comes first with the paths that it has, so that no catch-all of the host's hides them, and last with all else on
    its grounds. Without a prefix its documentation takes the place of the host's, which would be open to everybody.
    """
    routes: list[BaseRoute] = app.router.routes
    if not prefix:
        pages = {getattr(app, url, None) for url in HOSTS_PAGES}
        routes[:] = [route for route in routes if not (type(route) is Route and route.path in pages)]
        if hasattr(app, "openapi"):
            app.openapi = site.document
        routes.append(Place(site, site.owns))
    routes.insert(0, Place(site, site.knows))


def hurry_server(seconds: float) -> None:
    """Have uvicorn wait at most so long for requests that are still being answered when it is told to stop.

    By itself it waits for ever, so that one slow client keeps the whole process; it tells an application nothing before
    that. What was set with `--timeout-graceful-shutdown` stays.
    """
    server = _server()
    if server is not None and server.config.timeout_graceful_shutdown is None:
        server.config.timeout_graceful_shutdown = max(1, int(seconds))


def server_leaves() -> bool:
    """Whether the server that runs us was told to stop. It tells an application only when all its answers are given."""
    server = _server()
    return server is not None and server.should_exit


def listens_on(prefix: str) -> str | None:
    """The URL of the manager below `prefix` in the server that runs us, for this machine; None where nothing tells."""
    server = _server()
    if server is None:
        return None
    places = [socket.getsockname() for one in getattr(server, "servers", ()) for socket in one.sockets]
    for host, port in (place[:2] for place in places if isinstance(place, tuple)):
        scheme = "wss" if server.config.is_ssl else "ws"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{prefix}"
    return None


def _server() -> uvicorn.Server | None:
    """The server that runs us, if it is one that we know."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return server if isinstance(server, uvicorn.Server) else None


def quiet_refusals() -> None:
    """Keep uvicorn from logging as its own error that we refused a socket, or gave up a reader of a stream. May be
    called twice.

    It does so for every socket that is answered with a status, and the first try of each worker is. Sockets and answers
    of the host are logged as ever.
    """
    logging.getLogger("uvicorn.error").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    # uvicorn logs in the context in which the application was called
    if record.msg == "ASGI callable returned without completing response.":
        return not gave_up.get()
    return record.msg != "ASGI callable returned without completing handshake." or not refused_socket.get()


class OneLine(logging.Filter):
    """Makes one line of the traceback with which a server logs that `error` stopped the start."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def filter(self, record: logging.LogRecord) -> bool:
        """As logging asks for each record."""
        text = str(record.msg)
        if text.startswith("Traceback") and f"{type(self._error).__name__}: {self._error}" in text:
            record.msg, record.args = "easyjobs: %s", (str(self._error),)
        return True


def log_in_one_line(error: Exception) -> None:
    """`error` says all that there is to say: keep the server from burying it in a traceback."""
    logging.getLogger("uvicorn.error").addFilter(OneLine(error))


def application(lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]]) -> Starlette:
    """An application that holds nothing but a manager: `application(manager.lifespan)`."""
    return Starlette(lifespan=lifespan)
