"""A manager with a few tasks, served without a socket: what the tests of the HTTP API share."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from easyjobs import EasyJobsManager, current_job
from easyjobs.api.site import Place, Site

SECRET = "a secret of the tests, long enough"
BEARER = {"Authorization": f"Bearer {SECRET}"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class Play:
    """A manager in memory and its tasks. `gate` is set to let `patient` end."""

    def __init__(self, **options: Any) -> None:
        self.manager = EasyJobsManager(options.pop("server_secret", SECRET), **{"store": "memory:", **options})
        self.app = FastAPI(lifespan=self.manager.lifespan)
        self.gate = asyncio.Event()
        self.ran: list[str] = []

        @self.manager.task(namespace="play", retries=0)
        async def add(a: int, b: int = 1) -> int:
            """Adds.

            Two numbers.
            """
            self.ran.append(f"add {a} {b}")
            return a + b

        @self.manager.task(namespace="play", retries=0)
        async def boom(message: str = "boom") -> None:
            raise ValueError(message)

        @self.manager.task(namespace="play", retries=0)
        async def patient() -> str:
            current_job().log("I wait")
            await self.gate.wait()
            return "done"

        @self.manager.task(namespace="play", retries=0)
        async def talk() -> None:
            for n in range(5):
                current_job().log(f"line {n}", "warning")
            current_job().progress(0.5, "half")

        @self.manager.task(namespace="other")
        async def echo(**anything: Any) -> Any:
            return anything

    @asynccontextmanager
    async def served(self, **client: Any) -> AsyncIterator[httpx.AsyncClient]:
        """The application while it lives, and a client of it that knows the secret."""
        async with self.manager.lifespan(self.app), self.client(**client) as http:
            await self.has_its_worker()
            yield http

    async def has_its_worker(self) -> None:
        """Wait until the embedded worker may be given jobs: it connects once the application runs."""

        async def is_live() -> bool:
            return any(worker.state == "live" for worker in await self.manager.hub.queries.workers())

        await until(is_live)

    @property
    def site(self) -> Site:
        """What the manager serves in the application."""
        return next(route.site for route in self.app.routes if isinstance(route, Place))

    def client(self, **options: Any) -> httpx.AsyncClient:
        """A client of the application."""
        peer = options.pop("client", ("127.0.0.1", 4321))
        transport = httpx.ASGITransport(self.app, client=peer, raise_app_exceptions=False)
        usual = {"transport": transport, "base_url": "http://jobs.test", "headers": BEARER}
        return httpx.AsyncClient(**{**usual, **options})


async def until(true: Any, seconds: float = 10.0) -> Any:
    """Wait until `true()` is something, or the awaitable that it gives is; what it is."""
    async with asyncio.timeout(seconds):
        while True:
            answer = true()
            if inspect.isawaitable(answer):
                answer = await answer
            if answer:
                return answer
            await asyncio.sleep(0.005)


@asynccontextmanager
async def on_a_socket(app: FastAPI, **config: Any) -> AsyncIterator[str]:
    """The application on a real port of this machine; "host:port"."""
    server = uvicorn.Server(
        uvicorn.Config(
            app, **{"host": "127.0.0.1", "port": 0, "log_level": "critical", "timeout_graceful_shutdown": 3, **config}
        )
    )
    serving = asyncio.get_running_loop().create_task(server.serve())
    await until(lambda: server.started or serving.done())
    try:
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
