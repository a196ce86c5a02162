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


def stop_with(server: Application, stop: Callable[[], Awaitable[None]]) -> None:
    """Call `stop` when the application shuts down, ahead of its own shutdown handlers, which may close what jobs use.

    :raises ConfigurationError: it has a lifespan of its own, and never calls such handlers.
    """
    handlers = getattr(server.router, "on_shutdown", None)
    if handlers is None or "Default" not in type(server.router.lifespan_context).__name__:
        raise ConfigurationError("this application has its own lifespan; in it, use `async with EasyJobsWorker(...):`")
    handlers.insert(0, stop)
