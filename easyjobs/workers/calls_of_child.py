"""The connection over which a child process makes jobs and awaits them."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Sequence
from typing import Final

from easyjobs import __version__
from easyjobs.background import Nursery
from easyjobs.clock import SystemClock
from easyjobs.executors.pipe import Order
from easyjobs.ids import Ids
from easyjobs.protocol.client_side import ClientSide
from easyjobs.protocol.messages import FromManager, Held
from easyjobs.tasks.handle import Caller
from easyjobs.wire.address import address_of
from easyjobs.wire.calls import Calls
from easyjobs.wire.dial import dial
from easyjobs.wire.line import Line

PATIENCE: Final = 30.0
"""Seconds that a call waits for a manager that is away."""


def connect(order: Order, owner: Caller) -> tuple[asyncio.AbstractEventLoop, Calls]:
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
            functools.partial(dial, address_of(order.address), attempt=Held(order.job, order.attempt, order.token)),
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
