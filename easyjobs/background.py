"""The one place where coroutines are started to run beside others.

An asyncio task that nothing holds is collected while it runs, and a task group cancels in the order of a set; a nursery
holds its tasks, in order, and tells who crashed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger("easyjobs")


class Nursery:
    """Keeps background coroutines alive until they end or `close` stops them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: dict[asyncio.Task[Any], None] = {}  # a dict for its order

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start `coroutine` now; an exception that ends it is logged with `name`."""
        running = asyncio.get_running_loop().create_task(coroutine, name=f"{self._name}:{name}")
        self._running[running] = None
        running.add_done_callback(self._ended)
        return running

    def _ended(self, done: asyncio.Task[Any]) -> None:
        self._running.pop(done, None)
        if not done.cancelled() and done.exception() is not None:
            log.error("%s crashed", done.get_name(), exc_info=done.exception())

    async def close(self, patience: float = 5.0) -> None:
        """Cancel what still runs, oldest first, and wait up to `patience` seconds for it. May be called twice."""
        current = asyncio.current_task()
        running = [t for t in self._running if t is not current]
        for t in running:
            t.cancel()
        if running:
            # asyncio.wait and not wait_for: a coroutine that swallows its cancellation must not hold us
            await asyncio.wait(running, timeout=patience)
