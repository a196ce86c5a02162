"""Running functions: coroutine functions on the loop, others in threads. The boundary where user code's errors end."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
from typing import Any

import msgspec

from easyjobs.errors import ArgumentsRefused, ResultRefused
from easyjobs.executors.coroutine import Abandoned, CoroutineRun
from easyjobs.executors.ran import Ran, failed
from easyjobs.executors.threads import ThreadPool
from easyjobs.protocol.messages import Limits
from easyjobs.tasks.context import JobContext, enter, leave
from easyjobs.tasks.decorator import BoundTask
from easyjobs.tasks.encoding import encode_result

log = logging.getLogger("easyjobs")

GRACE = 10.0
_decode = msgspec.json.Decoder().decode


class FunctionExecutor:
    """Runs tasks that are functions, as `executors.base.Executor` says.

    :param threads: how many functions that are no coroutines run at once.
    :param limits: what is allowed of results and tracebacks; may be set anew at any time.
    :param grace: seconds from the first cancellation to the last; then the run is abandoned. A coroutine is cancelled
        three times meanwhile and then dropped. A thread sees `cancelled`, and is then left to itself.
    """

    def __init__(self, threads: int, *, limits: Limits | None = None, grace: float = GRACE) -> None:
        self._pool = ThreadPool(threads)
        self._grace = grace
        self.limits = limits or Limits()

    @property
    def capacity(self) -> int:
        """How many thread functions can run at once; below `threads`, down to 0, when many are stuck for good."""
        return self._pool.capacity

    @property
    def stuck(self) -> int:
        """How many threads were abandoned and have not come back."""
        return self._pool.stuck

    def lend(self, n: int) -> None:
        """A function in a thread began (+1) or ceased (-1) to await another job: that one may need a thread too."""
        self._pool.grow(n)

    async def run(
        self,
        task: BoundTask[Any, Any],
        args: msgspec.Raw | bytes,
        kwargs: msgspec.Raw | bytes,
        context: JobContext,
        timeout: float | None = None,
    ) -> Ran:
        """Run one attempt; see `executors.base.Executor.run`."""
        if context._cancelled:
            return Ran("stopped")
        entered = enter(context)
        try:
            if task.is_coroutine:
                return await self._on_the_loop(task, args, kwargs, context, timeout)
            return await self._in_a_thread(task, args, kwargs, context, timeout)
        finally:
            context._stop = None
            leave(entered)

    async def close(self) -> None:
        """Let idle threads end; stuck ones end with the process. May be called twice."""
        self._pool.close()

    async def _on_the_loop(
        self,
        task: BoundTask[Any, Any],
        args: msgspec.Raw | bytes,
        kwargs: msgspec.Raw | bytes,
        context: JobContext,
        timeout: float | None,
    ) -> Ran:
        timer: asyncio.TimerHandle | None = None
        stopping = _Stopping(context, timeout)
        try:
            run = CoroutineRun(_called(task, args, kwargs), context, self._grace)
            stopping.stop = context._stop = run.stop
            if timeout is not None:
                timer = asyncio.get_running_loop().call_later(timeout, stopping.time_over)
            value = await run
            if context._heard:
                return self._interrupted(task, stopping, None)
            return Ran("completed", msgspec.Raw(encode_result(value, self.limits.result, self.limits.depth)))
        except Abandoned:
            log.warning("%r did not end when it was cancelled; dropped", context)
            return self._interrupted(task, stopping, None, abandoned=True)
        except BaseException as error:  # noqa: BLE001 - the boundary: whatever user code raises is an outcome
            return self._raised(task, stopping, error)
        finally:
            if timer is not None:
                timer.cancel()

    async def _in_a_thread(
        self,
        task: BoundTask[Any, Any],
        args: msgspec.Raw | bytes,
        kwargs: msgspec.Raw | bytes,
        context: JobContext,
        timeout: float | None,
    ) -> Ran:
        loop = asyncio.get_running_loop()
        stopping = _Stopping(context, timeout)
        timers: list[asyncio.TimerHandle] = []

        def work() -> Ran:
            try:
                value = _called(task, args, kwargs)
                if context._heard:
                    return self._interrupted(task, stopping, None)
                return Ran("completed", msgspec.Raw(encode_result(value, self.limits.result, self.limits.depth)))
            except BaseException as error:  # noqa: BLE001 - the boundary, as above
                return self._raised(task, stopping, error)

        def began() -> None:
            if timeout is not None:
                timers.append(loop.call_later(timeout, stopping.time_over))

        def stop() -> None:
            if run.thread is None:
                self._pool.abandon(run)
            elif not stopping.begun:
                stopping.begun = True
                timers.append(loop.call_later(self._grace, self._pool.abandon, run))

        surroundings = contextvars.copy_context()
        run = self._pool.submit(lambda: surroundings.run(work), began)
        stopping.stop = context._stop = stop
        try:
            ran = await run.ended
        except asyncio.CancelledError as error:
            context.tell_to_stop()
            self._pool.abandon(run)
            return self._raised(task, stopping, error)
        finally:
            for timer in timers:
                timer.cancel()
        if ran is None:
            abandoned = run.thread is not None
            if abandoned:
                log.warning("%r did not end when it was asked to; its thread is left to itself", context)
            return self._interrupted(task, stopping, None, abandoned=abandoned)
        return ran

    def _raised(self, task: BoundTask[Any, Any], stopping: _Stopping, error: BaseException) -> Ran:
        """The end of a run that raised `error`."""
        told = isinstance(error, asyncio.CancelledError) and stopping.context._cancelled
        if told or (stopping.timed_out and stopping.context._heard):
            return self._interrupted(task, stopping, error)
        if isinstance(error, TypeError) and _does_not_bind(error):
            error = ArgumentsRefused(f"The arguments do not fit the task: {error}")
        return failed(error, task.no_retry_on, self.limits.traceback)

    def _interrupted(
        self, task: BoundTask[Any, Any], stopping: _Stopping, error: BaseException | None, *, abandoned: bool = False
    ) -> Ran:
        """The end of a run that was cut short: by its timeout a failure, else it was cancelled."""
        if not stopping.timed_out:
            return Ran("stopped")
        message = f"the task took longer than its timeout of {stopping.timeout:g} s"
        if abandoned:
            message += ", did not stop when it was asked to, and was abandoned"
        over = TimeoutError(message)
        if error is not None:
            over.__traceback__ = error.__traceback__
        return failed(over, task.no_retry_on, self.limits.traceback)


class _Stopping:
    """Why a run is being stopped, if it is."""

    __slots__ = ("begun", "context", "stop", "timed_out", "timeout")

    def __init__(self, context: JobContext, timeout: float | None) -> None:
        self.context = context
        self.timeout = timeout
        self.timed_out = False
        self.begun = False
        self.stop = _nothing

    def time_over(self) -> None:
        """The timeout has passed: as a cancellation, but it counts as a failure."""
        if not self.context._cancelled:
            self.timed_out = True
            self.context.tell_to_stop()
        self.stop()


def _nothing() -> None:
    """There is nothing to stop yet."""


def _called(task: BoundTask[Any, Any], args: msgspec.Raw | bytes, kwargs: msgspec.Raw | bytes) -> Any:
    """Call the function with arguments as its annotations say."""
    as_written = task.default_args is not None and task.as_written(args, kwargs)
    by_place, by_name = task.converter.arguments(_decode(args), _decode(kwargs), as_written=as_written)
    value = task.function(*by_place, **by_name)
    if not task.is_coroutine and inspect.iscoroutine(value):
        value.close()
        raise ResultRefused("the function returned a coroutine; declare it, and what wraps it, with `async def`")
    return value


def _does_not_bind(error: TypeError) -> bool:
    """Whether a call was refused by Python itself: no frame of the function was entered."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("easyjobs."):
        if trace.tb_next is None:
            return trace.tb_frame.f_code is _called.__code__
        trace = trace.tb_next
    return False
