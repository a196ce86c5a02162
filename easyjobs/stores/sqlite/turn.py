"""Who removes a store's file and makes it anew does so alone; others who want the same wait their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from easyjobs.errors import StoreLocked
from easyjobs.stores.sqlite.failures import translated
from easyjobs.stores.sqlite.files import FileLock

POLL: Final = 0.02
PATIENCE: Final = 30.0


@asynccontextmanager
async def turn_to_reset(path: str) -> AsyncIterator[None]:
    """Inside, nobody else is.

    :raises StoreLocked: that did not come about in half a minute. StoreUnavailable: no file can be made.
    """
    lock = FileLock(f"{path}.hubs/.reset")
    try:
        for _ in range(round(PATIENCE / POLL)):
            if _taken(path, lock):
                break
            await asyncio.sleep(POLL)
        else:
            raise StoreLocked(f"The store {path} is being removed by others all the time.")
        yield
    finally:
        lock.close()


def _taken(path: str, lock: FileLock) -> bool:
    try:
        Path(f"{path}.hubs").mkdir(mode=0o700, exist_ok=True)
        return lock.acquire()
    except OSError as error:
        raise translated(error, path) from error
