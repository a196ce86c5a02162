"""Watches for other hubs on the file: looks who is there every second, and at what they write while there are any."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from easyjobs.background import Nursery
from easyjobs.errors import StoreError
from easyjobs.stores.base import Hint
from easyjobs.stores.sqlite.notes import ALL
from easyjobs.stores.sqlite.presence import Presence
from easyjobs.stores.sqlite.writer import Writer

log = logging.getLogger("easyjobs.stores")

OFTEN: Final = 0.02
"""Seconds between two looks at what others wrote."""

SELDOM: Final = 1.0
"""Seconds between two looks at who is there."""


class Company:
    """`start` once the file is open, `close` before it is closed.

    :param run: does a piece of work on the writer, alone.
    """

    def __init__(self, presence: Presence, writer: Writer, run: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        self._presence = presence
        self._writer = writer
        self._run = run
        self._nursery = Nursery("company")
        self._noticed = asyncio.Event()
        self._several = False
        self.heard: Callable[[Hint], None] | None = None

    def start(self) -> None:
        """Begin, in the background; where nobody wants to hear of others, there is nothing to do."""
        self._several = self._writer.several
        if self.heard is not None:
            self._nursery.spawn(self._watch(self.heard), "watch")

    async def close(self) -> None:
        """End. May be called twice."""
        await self._nursery.close()

    def look(self) -> None:
        """The writer may have found others: then whoever listens is told at once."""
        if self._writer.several and not self._several:
            self._noticed.set()

    async def _watch(self, heard: Callable[[Hint], None]) -> None:
        clock = asyncio.get_running_loop().time
        round = clock()
        accompanied = False
        while True:
            try:
                if clock() >= round:
                    round = clock() + SELDOM
                    accompanied = await self._look_round(heard)
                    news = self._writer.several
                else:
                    news = accompanied
                if self._writer.several and not self._several:
                    self._several = True
                    log.info("other processes use the store too")
                    heard(ALL)
                if news:
                    hint = await self._run(self._writer.news)
                    if hint is not None:
                        heard(hint)
            except (StoreError, OSError) as error:
                log.warning("what others write to the store is heard late: %s", error)
                await asyncio.sleep(SELDOM)
            await self._pause(OFTEN if accompanied else SELDOM)

    async def _look_round(self, heard: Callable[[Hint], None]) -> bool:
        """See who is there, and bury who died; whether anybody is there."""
        accompanied = False
        for name in sorted(self._presence.names()):
            if self._presence.there(name):
                accompanied = True
            else:
                log.warning("a process that used the store died")
                await self._run(partial(self._writer.bury, name))
                heard(Hint(kinds=["sessions"]))
        if accompanied:
            self._writer.several = True
        return accompanied

    async def _pause(self, seconds: float) -> None:
        timer = asyncio.get_running_loop().call_later(seconds, self._noticed.set)
        try:
            await self._noticed.wait()
        finally:
            timer.cancel()
        self._noticed.clear()
