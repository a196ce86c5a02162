"""Signals for a process that is nothing but a worker."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_signals(hurry: Callable[[], None]) -> Iterator[asyncio.Future[None]]:
    """Inside, SIGTERM and SIGINT end the future that it gives; each further one calls `hurry`.

    On the event loop of the main thread.
    """
    loop = asyncio.get_running_loop()
    told: asyncio.Future[None] = loop.create_future()

    def heard() -> None:
        if told.done():
            hurry()
        else:
            told.set_result(None)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, heard)
    try:
        yield told
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


async def until_told(work: Awaitable[T]) -> T:
    """What `work` gives; SIGTERM and SIGINT cancel it, each once more. On the event loop of the main thread.

    :raises asyncio.CancelledError: such a signal came.
    """
    running = asyncio.current_task()

    def stop(told: object = None) -> None:
        if running is not None:
            running.cancel()

    with stop_signals(stop) as told:
        told.add_done_callback(stop)
        try:
            return await work
        finally:
            told.remove_done_callback(stop)
