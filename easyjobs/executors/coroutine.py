"""Running a user's coroutine so that it can be stopped, and left, whatever it does with its cancellation.

It is stepped by hand on the asyncio task that awaits the run: an asyncio task more for each job would cost as much as
all the rest, and one that swallows its cancellation could never be left.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Coroutine, Generator
from typing import Any

from easyjobs.tasks.context import JobContext


class Abandoned(Exception):
    """The coroutine did not end although it was asked three times."""


class CoroutineRun:
    """Await it, once, for what the coroutine returns or raises; `stop` may be called meanwhile.

    A cancellation that reaches the coroutine is noted on its job's context as heard: what it returns after that is not
    its full result.

    :raises Abandoned: it was still awaiting after the last of three cancellations, `grace` seconds after the first.
    """

    __slots__ = ("_asked", "_context", "_coroutine", "_grace", "_host", "_last", "_loop", "_timer")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], context: JobContext, grace: float) -> None:
        self._coroutine = coroutine
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._grace = grace
        self._host: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._asked = 0
        self._last = False

    def stop(self) -> None:
        """Cancel the coroutine now, again after half the grace and after all of it. Further calls change nothing."""
        if self._asked == 0:
            self._ask()

    def _ask(self) -> None:
        if self._host is None:
            return
        self._asked += 1
        self._last = self._asked == 3
        self._host.cancel()
        if not self._last:
            self._timer = self._loop.call_later(self._grace / 2, self._ask)

    def __await__(self) -> Generator[Any, None, Any]:
        self._host = host = asyncio.current_task()
        try:
            return (yield from self._steps())
        finally:
            self._host = None
            if self._timer is not None:
                self._timer.cancel()
            if host is not None:
                for _ in range(self._asked):
                    host.uncancel()

    def _steps(self) -> Generator[Any, None, Any]:
        coroutine = self._coroutine
        thrown: BaseException | None = None
        while True:
            try:
                awaited = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
            except StopIteration as end:
                return end.value
            if self._last:
                self._bury(awaited)
                raise Abandoned
            try:
                if self._may_hang(awaited):
                    yield from self._until_done(awaited)
                else:
                    yield awaited
                thrown = None
            except asyncio.CancelledError as cancelled:
                thrown = cancelled.with_traceback(None)  # ours is no part of the user's traceback
                if self._asked:
                    self._context._heard = True
            except BaseException as other:  # noqa: BLE001 - GeneratorExit: the loop is gone
                thrown = other
                self._last = True

    def _may_hang(self, awaited: Any) -> bool:
        """Whether cancelling what is awaited may not end the wait: an inner task that swallows it, a gather."""
        return (
            isinstance(awaited, asyncio.Future)
            and type(awaited) is not asyncio.Future
            and awaited is not self._host  # asyncio has its own words for this mistake, and for another loop's future
            and awaited.get_loop() is self._loop
        )

    def _until_done(self, awaited: asyncio.Future[Any]) -> Generator[Any, None, None]:
        """Wait for `awaited` through a future of our own, which always ends when it is cancelled.

        As asyncio does, a cancellation goes to what is awaited and reaches the coroutine by its end; the last one does
        not wait for that.
        """
        awaited._asyncio_future_blocking = False  # as asyncio.Task does when a future is handed to it
        while not awaited.done():
            ended = self._loop.create_future()
            wake = _Wake(ended)
            awaited.add_done_callback(wake)
            try:
                yield from ended
            except asyncio.CancelledError:
                if not awaited.cancel() or self._last:
                    raise
            finally:
                awaited.remove_done_callback(wake)
        if self._asked and awaited.cancelled():
            self._context._heard = True

    def _bury(self, awaited: Any) -> None:
        if asyncio.isfuture(awaited):
            awaited._asyncio_future_blocking = False  # or the next one who awaits it would be refused
        chain: list[Any] = []
        inner: Any = self._coroutine
        while inner is not None:
            chain.append(inner)
            inner = getattr(inner, "cr_await", None)
        try:
            self._coroutine.close()
        except BaseException:  # noqa: BLE001 - its `finally` may raise anything, or await once more; nobody asks any longer
            # One that refuses even GeneratorExit must never be freed: that would ask it once more, wherever the garbage
            # collector happens to be; at the interpreter's end, with no loop to await, it would turn for ever.
            for part in chain:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(part))


class _Wake:
    """A callback that ends a future, if it is not over yet."""

    __slots__ = ("_future",)

    def __init__(self, future: asyncio.Future[None]) -> None:
        self._future = future

    def __call__(self, _: asyncio.Future[Any]) -> None:
        if not self._future.done():
            self._future.set_result(None)
