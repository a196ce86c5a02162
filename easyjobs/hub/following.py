"""Readers who follow a job: what it has told so far, then what it tells, until it has ended.

A reader pulls, page by page, and is only told that there is something to read: however slow it is, nothing gathers
for it here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Final, TypeAlias

import msgspec

from easyjobs.core.groups import shown_progress
from easyjobs.core.job import Job, LogLine
from easyjobs.errors import TooMany, Unavailable
from easyjobs.hub.announcer import Announcer
from easyjobs.stores.base import Store

PAGE: Final = 100
PACE: Final = 0.1
"""Seconds between two looks at a job that tells much."""

KEEP_ALIVE: Final = 15.0
"""Seconds after which a reader to whom nothing was said hears a beat."""

LOOK: Final = 0.5
"""Seconds between two looks whether the server stops, while anybody reads."""

MOST_READERS: Final = 1_000


class ProgressNote(msgspec.Struct, frozen=True):
    """How far the job is: JSON text of `{value, note}`."""

    text: str


class Beat(msgspec.Struct, frozen=True):
    """Nothing to say; the reader may see that we are there."""


BEAT: Final = Beat()

News: TypeAlias = list[LogLine] | ProgressNote | Job | Beat
"""`Job`: it has ended, and this was the last."""


def marked(lines: list[LogLine], after: int, limit: int) -> list[LogLine]:
    """Up to `limit` of `lines`, which follow line `after`, with a line of level "gap" wherever some were left out."""
    shown: list[LogLine] = []
    last = after
    for line in lines:
        missing = line.n - last - 1
        if missing > 0:
            text = f"… {missing} {'line was' if missing == 1 else 'lines were'} left out here …"
            shown.append(LogLine(line.n - 1, line.attempt, line.at, "gap", text))
        shown.append(line)
        last = line.n
    return shown[:limit]


class Reader:
    """One reader. `leave` ends it, also from a callback."""

    def __init__(self) -> None:
        self._gone = False
        self._news = asyncio.Event()

    def gone(self) -> bool:
        """Whether it has left."""
        return self._gone

    def leave(self) -> None:
        """Nobody reads any more. May be called twice."""
        self._gone = True
        self._news.set()

    def told(self) -> None:
        """There is something to read."""
        self._news.set()

    def ended(self, job: Job) -> None:
        """The job has ended."""
        self._news.set()

    async def rest(self, seconds: float) -> bool:
        """Wait for news, at most so long; whether some came."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True


class Following:
    """All readers. `leaving` says whether the server has been told to stop, which asks nobody else before it waits."""

    def __init__(self, store: Store, announcer: Announcer, leaving: Callable[[], bool]) -> None:
        self._store = store
        self._announcer = announcer
        self._readers: dict[Reader, None] = {}
        self._closed = False
        self._looking: asyncio.TimerHandle | None = None
        self._leaving = leaving

    def open(self) -> Reader:
        """A place for a reader; give it to `news` and then to `close`.

        :raises TooMany: there are too many. Unavailable: the manager stops.
        """
        if self._closed:
            raise Unavailable("The manager stops.")
        if len(self._readers) >= MOST_READERS:
            raise TooMany(f"{MOST_READERS} readers follow jobs now, which are allowed.")
        reader = Reader()
        self._readers[reader] = None
        if self._looking is None:
            self._look()
        return reader

    def close(self, reader: Reader) -> None:
        """A reader is through. May be called twice."""
        reader.leave()
        self._readers.pop(reader, None)
        if not self._readers and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def stop(self) -> None:
        """Let all readers go, for good. May be called twice."""
        self._closed = True
        for reader in list(self._readers):
            reader.leave()

    async def news(self, reader: Reader, id: str, after: int) -> AsyncGenerator[News, None]:
        """What job `id` tells after line `after`, until it has ended (then the last is a `Job`), is gone, or `reader`
        left. Close the iterator when it is not read to its end.
        """
        announcer = self._announcer
        shown: str | None = None
        announcer.listen(id, reader.told)
        announcer.wait(id, reader.ended)
        try:
            while not reader.gone():
                # the job first: when it has ended, all that it told is stored
                job = (await self._store.jobs([id])).get(id)
                while lines := marked(await self._store.logs(id, after, PAGE), after, PAGE):
                    yield lines
                    after = lines[-1].n
                    if reader.gone():
                        return
                if job is None:
                    return
                progress = shown_progress(job)
                if progress is not None and progress != shown:
                    shown = progress
                    yield ProgressNote(shown)
                if job.final:
                    yield job
                    return
                while not await reader.rest(KEEP_ALIVE):
                    yield BEAT
                await asyncio.sleep(PACE)
        finally:
            announcer.ignore(id, reader.told)
            announcer.forget(id, reader.ended)

    def _look(self) -> None:
        self._looking = None
        if self._leaving():
            self.stop()
        else:
            self._looking = asyncio.get_running_loop().call_later(LOOK, self._look)
