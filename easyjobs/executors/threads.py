"""A small pool of daemon threads, any of which can be given up: the standard library's pools wait for every thread at
exit, so that one stuck function would hold the whole process.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

from easyjobs.executors.ran import Ran


class ThreadRun:
    """One call in the pool. Await `ended`: its `Ran`, or None when it was taken back before a thread began it."""

    __slots__ = ("began", "ended", "thread", "work")

    def __init__(self, work: Callable[[], Ran], began: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.began = began
        self.ended: asyncio.Future[Ran | None] = loop.create_future()
        self.thread: _Thread | None = None


class ThreadPool:
    """At most `size` threads that take work; a thread that is abandoned is replaced, up to `size` times at once.

    All methods are called on the loop's thread. `work` must not raise.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._threads = 0  # that take work
        self._idle: list[_Thread] = []
        self._waiting: deque[ThreadRun] = deque()
        self._closed = False
        self.stuck = 0

    @property
    def capacity(self) -> int:
        """How many calls can run at once: `size`, less when more than `size` threads are stuck."""
        return min(self._size, 2 * self._size - self.stuck)

    def grow(self, n: int) -> None:
        """Let `n` more threads (fewer, where it is negative) take work, until that is taken back."""
        self._size += n
        while self._idle and self._threads > self.capacity:
            self._threads -= 1
            self._idle.pop().inbox.put(None)
        self._feed()

    def submit(self, work: Callable[[], Ran], began: Callable[[], None]) -> ThreadRun:
        """Run `work` in a thread as soon as one is free; `began` is called here, on the loop, when it starts."""
        run = ThreadRun(work, began, asyncio.get_running_loop())
        self._waiting.append(run)
        self._feed()
        return run

    def abandon(self, run: ThreadRun) -> None:
        """Stop waiting for `run`. One that has not begun never will; the thread of one that runs is given up."""
        if run.thread is not None and not run.thread.abandoned:
            run.thread.abandoned = True
            self.stuck += 1
            self._threads -= 1
        elif run.thread is None and run in self._waiting:
            self._waiting.remove(run)
        if not run.ended.done():
            run.ended.set_result(None)
        self._feed()

    def close(self) -> None:
        """Let idle threads end. Threads that work end after their work, or with the process. May be called twice."""
        self._closed = True
        for thread in self._idle:
            thread.inbox.put(None)
        self._idle.clear()

    def _feed(self) -> None:
        while self._waiting and not self._closed:
            if self._idle:
                thread = self._idle.pop()
            elif self._threads < self.capacity:
                self._threads += 1
                thread = _Thread(self, asyncio.get_running_loop())
            else:
                return
            run = self._waiting.popleft()
            run.thread = thread
            run.began()
            thread.inbox.put(run)

    def _finished(self, thread: _Thread, run: ThreadRun, ran: Ran) -> None:
        run.thread = None
        if thread.abandoned:
            thread.abandoned = False
            self.stuck -= 1
            self._threads += 1
        if not run.ended.done():
            run.ended.set_result(ran)
        if self._closed or self._threads > self.capacity:
            self._threads -= 1
            thread.inbox.put(None)
        else:
            self._idle.append(thread)
            self._feed()


class _Thread:
    """One daemon thread that does what its inbox brings, until that is None."""

    def __init__(self, pool: ThreadPool, loop: asyncio.AbstractEventLoop) -> None:
        self.inbox: SimpleQueue[ThreadRun | None] = SimpleQueue()
        self.abandoned = False
        self._pool = pool
        self._loop = loop
        threading.Thread(target=self._serve, name="easyjobs-task", daemon=True).start()

    def _serve(self) -> None:
        while (run := self.inbox.get()) is not None:
            ran = run.work()
            try:
                self._loop.call_soon_threadsafe(self._pool._finished, self, run, ran)
            except RuntimeError:
                return  # the loop is closed: the worker has stopped without us
