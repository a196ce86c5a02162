"""Signals for a process that is nothing but a worker."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def until_told_to_stop(hurry: Callable[[], None]) -> asyncio.Future[None]:
    """A future that ends with the first SIGTERM or SIGINT; each further one calls `hurry`. On the loop's thread, which
    must be the main one.
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
    return told
