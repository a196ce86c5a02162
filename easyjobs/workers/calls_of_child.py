"""How a child process makes jobs and awaits them: over a connection of its own, made when the first is made, or through
its worker where there is nothing to connect to.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Sequence
from typing import Any, Final, TypeVar

from easyjobs import __version__
from easyjobs.background import Nursery
from easyjobs.clock import SystemClock
from easyjobs.errors import ConfigurationError
from easyjobs.executors.pipe import Order
from easyjobs.ids import Ids
from easyjobs.protocol.client_side import ClientSide
from easyjobs.protocol.messages import FromManager, Held
from easyjobs.tasks.handle import Call, Caller, JobHandle
from easyjobs.wire.address import address_of
from easyjobs.wire.calls import Calls
from easyjobs.wire.dial import Redial
from easyjobs.wire.line import Dialler, Line
from easyjobs.workers.channel import Channel
from easyjobs.workers.inside import entered
from easyjobs.workers.link_of_child import Through

R = TypeVar("R")

PATIENCE: Final = 30.0
"""Seconds that a call waits for a manager that is away."""


class Inside:
    """The way of a child process to the manager, as a `Caller`: a thread with a loop, made when it is first needed."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._making = threading.Lock()
        self._line: tuple[asyncio.AbstractEventLoop, Calls] | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the connection lives on."""
        return self._open()[0]

    @property
    def calls(self) -> Inside:
        """Who makes jobs here."""
        return self

    async def submit(self, calls: Sequence[Call], *, together: bool = False) -> list[JobHandle[Any]]:
        """As `Caller.submit`."""
        return await self._there(self._open()[1].submit(calls, together=together))

    async def result(self, id: str, timeout: float | None = None) -> Any:
        """As `Caller.result`."""
        return await self._there(self._open()[1].result(id, timeout))

    async def cancel(self, id: str) -> None:
        """As `Caller.cancel`."""
        await self._there(self._open()[1].cancel(id))

    async def toggle(self, pause: bool) -> None:
        """As a worker does; not from here."""
        raise ConfigurationError("a child process cannot pause its worker")

    async def _there(self, what: Awaitable[R]) -> R:
        """Await something on the connection's loop, from whichever loop this is."""
        loop, _ = self._open()
        if asyncio.get_running_loop() is loop:
            return await what
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(what), loop))

    def _open(self) -> tuple[asyncio.AbstractEventLoop, Calls]:
        with self._making:
            if self._line is None:
                order = self._channel.order
                if not order.address and not order.relayed:
                    raise ConfigurationError(
                        "this child process knows no way to its manager, so it can make no jobs: set MANAGER_HOST and "
                        "MANAGER_PORT for the worker"
                    )
                self._line = _connect(order, self._dialler(order), self)
            return self._line

    def _dialler(self, order: Order) -> Dialler:
        if not order.address:
            return Through(self._channel)
        return Redial(address_of(order.address), attempt=Held(order.job, order.attempt, order.token))


async def _awaited(what: Awaitable[R]) -> R:
    return await what


def _connect(order: Order, dial: Dialler, owner: Caller) -> tuple[asyncio.AbstractEventLoop, Calls]:
    """Start a thread that keeps a connection, until the process ends: its loop, and who makes jobs on it.

    :param owner: whom the handles of jobs ask.
    """
    loop = asyncio.new_event_loop()
    made: list[Calls] = []
    ready = threading.Event()

    def heard(messages: Sequence[FromManager]) -> None:
        for message in messages:
            made[0].heard(message)

    def begin() -> None:
        side = ClientSide(order.task, __version__, "child")
        line = Line(
            side,
            dial,
            heard,
            name=f"the child process of job {order.job}",
            clock=SystemClock(),
            ids=Ids(),
            nursery=Nursery("child"),
            changed=lambda up: made[0].line_changed(up),
        )
        made.append(Calls(side, line, owner, clock=SystemClock(), ids=Ids(), patience=PATIENCE))
        line.start()
        ready.set()

    loop.call_soon(begin)
    threading.Thread(target=loop.run_forever, name="easyjobs-child", daemon=True).start()
    ready.wait()
    return loop, made[0]


_inside: Inside | None = None


def inside() -> Inside | None:
    """The way to the manager where this process is a child; None where it is none."""
    global _inside
    channel = entered()
    if _inside is None and channel is not None:
        _inside = Inside(channel)
    return _inside
