"""A worker inside a FastAPI application, which is known here by its shape alone: a worker imports no web framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from easyjobs.errors import ConfigurationError

W = TypeVar("W")


class Application(Protocol):
    """A FastAPI or Starlette application."""

    router: Any


_workers: WeakKeyDictionary[Application, dict[Hashable, Any]] = WeakKeyDictionary()


def worker_of(server: Application, queues: Hashable, worker: W) -> W:
    """The first worker that was made for this application and these queues; `worker`, when it is that one."""
    first: W = _workers.setdefault(server, {}).setdefault(queues, worker)
    return first


def stop_with(server: Application, stop: Callable[[], Awaitable[None]], instead: str) -> None:
    """Call `stop` when the application shuts down, ahead of its own shutdown handlers, which may close what jobs use.

    For use inside `on_event('startup')`.

    :raises ConfigurationError: it has a lifespan of its own, and never calls such handlers; says what to use `instead`.
    """
    # an application that calls no startup handlers calls no shutdown handlers either; its lifespan's type does not
    # tell, because every router that it includes wraps it once more
    if not getattr(server.router, "on_startup", None):
        raise ConfigurationError(f"this application has its own lifespan; in it, use {instead}")
    server.router.on_shutdown.insert(0, stop)
