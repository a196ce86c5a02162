"""What follows a commit: whoever waits for a job is told, and the numbers that the doors and the dispatcher go by move.

Nothing here is called before the commit that makes it true.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeAlias

from easyjobs.core.job import Attempt, Job
from easyjobs.stores.base import Count

Waiter: TypeAlias = Callable[[Job], None]
Listener: TypeAlias = Callable[[], None]


class Announcer:
    """Waiters and listeners by job, and how many live jobs each queue has.

    A waiter is called once, with the row that ended; a listener each time the job has told something (lines,
    progress). They must return at once and raise nothing.
    """

    def __init__(self, depth: dict[str, int], counters: Counter[str], warn_depth: int) -> None:
        self._depth = depth
        self._warn_depth = warn_depth
        self._waiters: dict[str, list[Waiter]] = {}
        self._listeners: dict[str, list[Listener]] = {}
        self.counters = counters
        self.watchers: list[Waiter] = []
        """Called with each job that ended by what this manager decided; they return at once and raise nothing."""
        self.again: Callable[[Job, Attempt], None] = lambda job, past: None
        """Called with each job that is to run again, and its attempt that failed or crashed."""
        self.deep: Callable[[], None] = lambda: None  # a queue has become so deep that somebody must be warned

    def load(self, counts: Iterable[Count]) -> None:
        """Begin, or begin anew, with what the store holds."""
        for queue in self._depth:
            self._depth[queue] = 0
        for count in counts:
            self._depth[count.queue] = self._depth.get(count.queue, 0) + count.jobs

    def wait(self, id: str, waiter: Waiter) -> None:
        """Tell `waiter` when the job ends. Ask first, then read the row: what ends between is then not missed."""
        waiters = self._waiters.get(id)
        if waiters is None:
            self._waiters[id] = [waiter]
        elif waiter not in waiters:
            waiters.append(waiter)

    def forget(self, id: str, waiter: Waiter) -> None:
        """Nobody waits any more. May be called twice."""
        waiters = self._waiters.get(id)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[id]

    def inserted(self, job: Job) -> None:
        """A job was stored."""
        depth = self._depth[job.queue] = self._depth.get(job.queue, 0) + 1
        if depth == self._warn_depth:
            self.deep()

    def ended(self, job: Job) -> None:
        """A job reached its final state."""
        self._depth[job.queue] = self._depth.get(job.queue, 0) - 1
        self.found(job)

    def found(self, job: Job) -> None:
        """As `ended`, of a job that `load` does not count any more."""
        self.counters[job.state] += 1
        for watcher in self.watchers:
            watcher(job)
        self.tell(job)

    def awaited(self) -> list[str]:
        """The jobs that anybody waits for."""
        return list(self._waiters)

    def listened(self) -> list[str]:
        """The jobs to which anybody listens."""
        return list(self._listeners)

    def tell(self, job: Job) -> None:
        """Whoever waits for a job that has ended hears of it."""
        waiters = self._waiters.pop(job.id, None)
        if waiters is not None:
            for waiter in waiters:
                waiter(job)

    def listen(self, id: str, listener: Listener) -> None:
        """Call `listener` after each commit of what the job tells. Ask first, then read."""
        self._listeners.setdefault(id, []).append(listener)

    def ignore(self, id: str, listener: Listener) -> None:
        """Undo `listen`, once."""
        listeners = self._listeners[id]
        listeners.remove(listener)
        if not listeners:
            del self._listeners[id]

    def told(self, id: str) -> None:
        """What a job told was stored."""
        for listener in self._listeners.get(id, ()):
            listener()

    async def end_of(self, id: str, seconds: float) -> Job | None:
        """The job when it ends within `seconds`, else None. Starts to listen at once, before its first await."""
        found: asyncio.Future[Job] = asyncio.get_running_loop().create_future()

        def waiter(job: Job) -> None:
            if not found.done():
                found.set_result(job)

        self.wait(id, waiter)
        try:
            done, _ = await asyncio.wait({found}, timeout=seconds)
            return found.result() if done else None
        finally:
            self.forget(id, waiter)
