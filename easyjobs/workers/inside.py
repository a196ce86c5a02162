"""What a task finds in a child process: its context, and a way to make jobs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from easyjobs.errors import ConfigurationError
from easyjobs.executors.pipe import Order
from easyjobs.tasks.context import JobContext
from easyjobs.tasks.handle import Call, JobHandle
from easyjobs.workers.channel import Channel

R = TypeVar("R")


class ChildContext(JobContext):
    """The job as its task sees it; what it tells goes to the worker."""

    def __init__(self, order: Order, channel: Channel) -> None:
        super().__init__(
            order.job, order.queue, order.task, order.attempt, order.max_attempts, channel, token=order.token
        )
        self._channel = channel

    def parked(self) -> AbstractAsyncContextManager[None]:
        """As `JobContext.parked`."""
        return _Parked(self._channel)


class _Parked:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._number = 0

    async def __aenter__(self) -> None:
        self._number = self._channel.park()

    async def __aexit__(self, *error: object) -> None:
        loop = asyncio.get_running_loop()
        back = loop.create_future()

        def resumed() -> None:
            if not back.done():
                back.set_result(None)

        self._channel.resume(self._number, lambda: loop.call_soon_threadsafe(resumed))
        await back


class Inside:
    """The way of a child process to the manager, as a `Caller`: a thread with a loop, made when it is first needed."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._making = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: Any = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the connection lives on."""
        return self._open()

    @property
    def calls(self) -> Inside:
        """Who makes jobs here."""
        return self

    async def submit(self, calls: Sequence[Call], *, together: bool = False) -> list[JobHandle[Any]]:
        """As `Caller.submit`."""
        self._open()
        return await self._there(self._calls.submit(calls, together=together))

    async def result(self, id: str, timeout: float | None = None) -> Any:
        """As `Caller.result`."""
        self._open()
        return await self._there(self._calls.result(id, timeout))

    async def cancel(self, id: str) -> None:
        """As `Caller.cancel`."""
        self._open()
        await self._there(self._calls.cancel(id))

    async def toggle(self, pause: bool) -> None:
        """As a worker does; not from here."""
        raise ConfigurationError("a child process cannot pause its worker")

    async def _there(self, what: Awaitable[R]) -> R:
        """Await something on the connection's loop, from whichever loop this is."""
        loop = self._open()
        if asyncio.get_running_loop() is loop:
            return await what
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(what), loop))

    def _open(self) -> asyncio.AbstractEventLoop:
        with self._making:
            if self._loop is None:
                if not self._order.address:
                    raise ConfigurationError(
                        "this child process knows no way to its manager, so it can make no jobs: set MANAGER_HOST and "
                        "MANAGER_PORT for the worker"
                    )
                # most tasks make no jobs, and should not wait for what only this needs
                from easyjobs.workers.calls_of_child import connect

                self._loop, self._calls = connect(self._order, self)
            return self._loop


async def _awaited(what: Awaitable[R]) -> R:
    return await what


_inside: Inside | None = None


def enter_child(order: Order) -> None:
    """This process is the child that got `order`."""
    global _inside
    _inside = Inside(order)


def inside() -> Inside | None:
    """The way to the manager where this process is a child; None where it is none."""
    return _inside
