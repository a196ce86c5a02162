"""Signals for a process that is nothing but a worker."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
