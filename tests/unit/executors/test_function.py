"""Functions as jobs: whatever user code does, an attempt ends, and says how."""

import asyncio
import contextlib
import contextvars
import dataclasses
import functools
import gc
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec
import pytest

from easyjobs.errors import NoRetry, Retry
from easyjobs.executors.base import Executor
from easyjobs.executors.coroutine import CoroutineRun
from easyjobs.executors.function import FunctionExecutor
from easyjobs.executors.ran import Ran
from easyjobs.protocol.messages import Limits
from easyjobs.tasks.context import JobContext, current_job
from easyjobs.tasks.decorator import bind

GRACE = 0.05  # seconds; long enough that three cancellations are three


class Silence:
    def log(self, job_id: str, level: str, text: str) -> None: ...
    def progress(self, job_id: str, value: float | None, note: str) -> None: ...


def new_job() -> JobContext:
    return JobContext("job-1", "q", "task", 1, 2, Silence())


async def run(
    function: Callable[..., Any],
    *args: Any,
    executor: FunctionExecutor | None = None,
    timeout: float | None = None,
    job: JobContext | None = None,
    options: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Ran:
    task = bind(function, caller=None, queue="q", **(options or {}))
    own = FunctionExecutor(2, grace=GRACE)
    try:
        ran = await (executor or own).run(
            task, msgspec.json.encode(args), msgspec.json.encode(kwargs), job or new_job(), timeout
        )
    finally:
        await own.close()
    return ran


def error_of(ran: Ran) -> dict[str, str]:
    assert ran.end == "failed"
    error: dict[str, str] = msgspec.json.decode(ran.error)
    assert set(error) == {"type", "message", "traceback"}
    return error


def asynchronous(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same as a coroutine function."""

    @functools.wraps(function)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapped


def both(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    return [function, asynchronous(function)]


# -- results


async def test_a_result_is_json() -> None:
    def add(a: int, b: int = 2) -> dict[str, int]:
        return {"sum": a + b}

    for function in both(add):
        assert await run(function, 1, b=3) == Ran("completed", msgspec.Raw(b'{"sum":4}'))


@pytest.mark.parametrize(("value", "text"), [(None, b"null"), (0, b"0"), ("", b'""'), (False, b"false"), ([], b"[]")])
async def test_empty_results_are_results(value: Any, text: bytes) -> None:
    for function in both(lambda: value):
        assert await run(function, options={"name": "f"}) == Ran("completed", msgspec.Raw(text))


async def test_arguments_become_what_the_annotations_say() -> None:
    @dataclasses.dataclass
    class Trip:
        on: date

    def f(trip: Trip, /) -> str:
        return f"{type(trip).__name__} {trip.on.year}"

    f.__annotations__["trip"] = Trip
    for function in both(f):
        assert bytes((await run(function, {"on": "2024-01-02"})).result) == b'"Trip 2024"'
        assert bytes((await run(function, trip={"on": "2024-01-02"})).result) == b'"Trip 2024"'


async def test_a_tasks_own_default_args_are_passed_as_they_are_written_where_they_do_not_convert() -> None:
    def f(start: date, end: date) -> str:
        return f"{start.year} {end!r}"

    own = {"default_args": {"args": ["2024-01-02"], "kwargs": {"end": ["never"]}}}
    f.__annotations__ = {"start": date, "end": date}
    for function in both(f):
        ran = await run(function, "2024-01-02", end=["never"], options=own)
        assert bytes(ran.result) == b"\"2024 ['never']\""
        refused = await run(function, "2024-01-03", end=["never"], options=own)
        assert error_of(refused)["type"] == "ArgumentsRefused"
        assert error_of(await run(function, "2024-01-02", end=["never"]))["type"] == "ArgumentsRefused"


async def test_an_awaiting_coroutine_is_stepped_to_its_end() -> None:
    async def work(n: int) -> int:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        inner = await asyncio.gather(asyncio.sleep(0, n), asyncio.sleep(0, 1))
        done = loop.create_future()
        loop.call_soon(done.set_result, 10)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            child = group.create_task(asyncio.sleep(0, 100))
        return sum(inner) + await done + child.result()

    assert bytes((await run(work, 1000)).result) == b"1111"


async def test_timeouts_inside_a_coroutine_are_its_own_affair() -> None:
    async def work() -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(10)
        except TimeoutError:
            await asyncio.sleep(0)
            return "in time"
        return "late"

    assert bytes((await run(work)).result) == b'"in time"'


async def test_the_job_is_current_in_both_kinds_and_nowhere_else() -> None:
    outside = contextvars.ContextVar("outside", default="unset")
    outside.set("set")

    def who() -> list[str]:
        return [current_job().id, outside.get()]

    for function in both(who):
        assert bytes((await run(function)).result) == b'["job-1","set"]'
    with pytest.raises(LookupError):
        current_job()


# -- errors


class Rude(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")

    __repr__ = __str__


def recurse() -> None:
    recurse()


def raiser(error: BaseException) -> Callable[[], None]:
    def f() -> None:
        raise error

    return f


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (raiser(ValueError("no")), "ValueError", "no"),
        (raiser(SystemExit(3)), "SystemExit", "3"),
        (raiser(KeyboardInterrupt()), "KeyboardInterrupt", ""),
        (raiser(GeneratorExit()), "GeneratorExit", ""),
        (raiser(asyncio.CancelledError("own")), "CancelledError", "own"),
        (raiser(ExceptionGroup("two", [ValueError("a"), KeyError("b")])), "ExceptionGroup", "two (2 sub-exceptions)"),
        (raiser(Rude()), "Rude", "<the message cannot be shown: RuntimeError>"),
        (raiser(ValueError("\ud800")), "ValueError", "\\ud800"),
        (recurse, "RecursionError", "maximum recursion depth exceeded"),
    ],
)
async def test_whatever_is_raised_is_a_failed_outcome(function: Any, kind: str, message: str) -> None:
    for form in both(function):
        error = error_of(await run(form))
        assert (error["type"], error["message"]) == (kind, message)
        assert kind in error["traceback"]


async def test_stop_iteration_is_an_error_too() -> None:
    assert error_of(await run(raiser(StopIteration(1))))["type"] == "StopIteration"
    assert error_of(await run(asynchronous(raiser(StopIteration(1)))))["type"] == "RuntimeError"


async def test_the_traceback_starts_in_user_code() -> None:
    def inner() -> None:
        raise ValueError("here")

    def outer() -> None:
        inner()

    async def waiting() -> None:
        await asyncio.sleep(0)
        inner()

    for function in (*both(outer), waiting):
        trace = error_of(await run(function))["traceback"]
        first = trace.splitlines()[1]
        assert "test_function.py" in first
        assert "easyjobs/executors" not in trace
        assert trace.endswith("ValueError: here\n")


async def test_huge_errors_keep_their_head_and_tail() -> None:
    error = error_of(await run(raiser(ValueError("head " + "x" * 10_000_000 + " tail"))))
    assert len(error["message"].encode()) <= 8192
    assert len(error["traceback"].encode()) <= 65536
    assert error["message"].startswith("head ")
    assert error["message"].endswith(" tail")
    assert error["traceback"].startswith("Traceback")
    executor = FunctionExecutor(1, limits=Limits(traceback=300))
    assert len(error_of(await run(recurse, executor=executor))["traceback"].encode()) <= 300
    await executor.close()


async def test_a_task_may_ask_for_another_run_and_when() -> None:
    for delay, expected in (
        (5, 5.0),
        (0, 0.0),
        (None, None),
        (-1, None),
        (float("nan"), None),
        (10**400, None),
        ("soon", None),
    ):
        for form in both(raiser(Retry(delay, "busy"))):  # type: ignore[arg-type]
            ran = await run(form)
            assert error_of(ran)["message"] == "busy"
            assert (ran.delay, ran.final) == (expected, False)


async def test_what_is_never_retried_is_final() -> None:
    class Special(KeyError):
        pass

    for form in both(raiser(NoRetry("stop"))):
        assert (await run(form)).final
    for form in both(raiser(Special())):
        assert not (await run(form)).final
        assert (await run(form, options={"no_retry_on": [LookupError]})).final
        assert (await run(form, options={"no_retry_on": ["Special"]})).final
        assert (await run(form, options={"no_retry_on": [f"{__name__}.{Special.__qualname__}"]})).final
        assert not (await run(form, options={"no_retry_on": [ValueError]})).final


@pytest.mark.parametrize("result", [{1}, float("nan"), b"x", object()])
async def test_a_result_that_is_not_json_is_final(result: Any) -> None:
    for form in both(lambda: result):
        ran = await run(form, options={"name": "f"})
        assert error_of(ran)["type"] == "ResultRefused"
        assert ran.final


async def test_a_result_over_the_limit_is_final() -> None:
    executor = FunctionExecutor(1, limits=Limits(result=10))
    for form in both(lambda: "x" * 20):
        ran = await run(form, executor=executor, options={"name": "f"})
        assert "22 bytes of JSON; 10 are allowed" in error_of(ran)["message"]
        assert ran.final
    await executor.close()


async def test_arguments_that_do_not_fit_are_final() -> None:
    def f(a: date) -> None: ...

    async def g(a: date) -> None: ...

    for form in (f, g):
        for args in ([], ["2024-01-01", 2], ["no date"]):
            ran = await run(form, *args)
            assert error_of(ran)["type"] == "ArgumentsRefused"
            assert ran.final


async def test_a_type_error_of_the_function_itself_is_retried() -> None:
    def f(a: Any) -> Any:
        return a + 1

    for form in both(f):
        ran = await run(form, "x")
        assert error_of(ran)["type"] == "TypeError"
        assert not ran.final


async def test_a_type_error_on_the_way_out_is_not_blamed_on_the_arguments() -> None:
    class Odd:
        model_dump = staticmethod(len)

    for form in both(lambda: Odd()):
        assert error_of(await run(form, options={"name": "f"}))["type"] == "TypeError"


async def test_a_plain_function_that_returns_a_coroutine_is_told_so() -> None:
    async def later() -> None: ...

    def f() -> Any:
        return later()

    ran = await run(f)
    assert "async def" in error_of(ran)["message"]
    assert ran.final


# -- cancel


async def test_a_cancelled_coroutine_stops() -> None:
    story: list[str] = []
    job = new_job()

    async def work() -> None:
        asyncio.get_running_loop().call_soon(job.request_cancel)
        try:
            await asyncio.sleep(100)
        finally:
            story.append("cleaned up")

    assert await run(work, job=job) == Ran("stopped")
    assert story == ["cleaned up"]
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_a_job_cancelled_before_it_starts_never_runs() -> None:
    job = new_job()
    job.request_cancel()
    for form in both(raiser(ValueError())):
        assert await run(form, job=job) == Ran("stopped")


async def test_a_coroutine_that_swallows_its_cancellation_and_returns_has_stopped() -> None:
    job = new_job()

    async def work() -> str:
        asyncio.get_running_loop().call_soon(job.request_cancel)
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "half"

    assert await run(work, job=job) == Ran("stopped")


async def test_callbacks_hear_of_a_cancellation_and_of_a_timeout_alike() -> None:
    def work() -> None:
        told = threading.Event()
        current_job().when_cancelled(told.set)
        assert told.wait(10)
        assert current_job().cancelled

    async def endless_work() -> None:
        current_job().when_cancelled(lambda: told.append(1))
        await asyncio.sleep(100)

    assert error_of(await run(work, timeout=0.01))["type"] == "TimeoutError"
    job, told = new_job(), list[int]()
    asyncio.get_running_loop().call_later(0.01, job.request_cancel)
    assert await run(work, job=job) == Ran("stopped")
    job = new_job()
    assert error_of(await run(endless_work, job=job, timeout=0.01))["type"] == "TimeoutError"
    job.request_cancel()
    for thread in threading.enumerate():
        if thread.name.endswith("is to stop"):
            thread.join()
    assert told == [1], "once"


async def test_an_error_while_stopping_is_told() -> None:
    job = new_job()

    async def work() -> None:
        asyncio.get_running_loop().call_soon(job.request_cancel)
        try:
            await asyncio.sleep(100)
        finally:
            raise ValueError("in cleanup")

    assert error_of(await run(work, job=job))["message"] == "in cleanup"


async def endless(swallow: type[BaseException] = asyncio.CancelledError, counts: list[int] | None = None) -> None:
    while True:
        try:
            await asyncio.sleep(100)
        except swallow:
            if counts is not None:
                counts.append(1)


async def test_a_coroutine_that_swallows_every_cancellation_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    job, counts = new_job(), []

    async def work() -> None:
        asyncio.get_running_loop().call_soon(job.request_cancel)
        await endless(counts=counts)

    with caplog.at_level(logging.WARNING, "easyjobs"):
        assert await run(work, job=job) == Ran("stopped")
    assert len(counts) == 3
    assert "did not end when it was cancelled" in caplog.text


async def test_one_that_refuses_even_to_be_closed_is_kept_out_of_sight() -> None:
    job = new_job()

    async def work() -> None:
        asyncio.get_running_loop().call_soon(job.request_cancel)
        await endless(BaseException)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert await run(work, job=job) == Ran("stopped")
        gc.collect()  # would complain on stderr, which pytest turns into an error


async def test_one_that_awaits_a_stubborn_child_is_dropped_too() -> None:
    children: list[asyncio.Task[None]] = []
    release = asyncio.Event()

    async def child() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async def work() -> None:
        children.append(asyncio.create_task(child()))
        while True:
            try:
                await children[0]
            except asyncio.CancelledError:
                continue

    ran = await run(work, timeout=0.01)
    assert error_of(ran)["type"] == "TimeoutError"
    assert "abandoned" in error_of(ran)["message"]
    release.set()
    await children[0]


async def test_a_child_that_ends_when_cancelled_ends_its_parent_the_usual_way() -> None:
    job, story = new_job(), []

    async def child() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            story.append("child")

    async def work() -> None:
        asyncio.get_running_loop().call_soon(job.request_cancel)
        try:
            await asyncio.gather(asyncio.create_task(child()))
        finally:
            story.append("parent")

    assert await run(work, job=job) == Ran("stopped")
    assert story == ["child", "parent"]


async def test_a_coroutine_that_swallows_what_its_child_passed_on_has_stopped() -> None:
    job = new_job()

    async def work() -> str:
        asyncio.get_running_loop().call_soon(job.request_cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.create_task(asyncio.sleep(100))
        return "half"

    assert await run(work, job=job) == Ran("stopped")


async def test_awaiting_oneself_is_the_users_error() -> None:
    async def work() -> None:
        await asyncio.current_task()  # type: ignore[misc]

    assert "await on itself" in error_of(await run(work))["message"]


async def test_cancelling_ones_own_asyncio_task_fails_the_job() -> None:
    async def work() -> None:
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    async def host() -> Ran:
        return await run(work)

    assert error_of(await asyncio.create_task(host()))["type"] == "CancelledError"


async def test_cancelling_after_the_end_changes_nothing() -> None:
    finished = CoroutineRun(asyncio.sleep(0, 5), new_job(), GRACE)
    assert await finished == 5
    finished.stop()
    await asyncio.sleep(0)
    job = new_job()
    assert (await run(asynchronous(lambda: 1), job=job, options={"name": "f"})).end == "completed"
    job.request_cancel()
    await asyncio.sleep(0)


async def test_a_thread_that_reads_the_flag_stops() -> None:
    job, loop = new_job(), asyncio.get_running_loop()

    def work() -> str:
        loop.call_soon_threadsafe(job.request_cancel)
        while not current_job().cancelled:
            threading.Event().wait(0.001)
        return "half"

    assert await run(work, job=job) == Ran("stopped")


async def test_a_thread_that_ignores_the_flag_and_ends_has_completed() -> None:
    job, loop = new_job(), asyncio.get_running_loop()

    def work() -> str:
        asked = threading.Event()
        loop.call_soon_threadsafe(lambda: (job.request_cancel(), job.request_cancel(), asked.set()))
        asked.wait()
        return "whole"

    assert bytes((await run(work, job=job)).result) == b'"whole"'


async def test_a_stuck_thread_is_left_and_replaced(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()
    executor = FunctionExecutor(1, grace=0.01)
    job, loop = new_job(), asyncio.get_running_loop()

    def stuck() -> None:
        loop.call_soon_threadsafe(job.request_cancel)
        release.wait()

    with caplog.at_level(logging.WARNING, "easyjobs"):
        assert await run(stuck, executor=executor, job=job) == Ran("stopped")
    assert "left to itself" in caplog.text
    assert (executor.stuck, executor.capacity) == (1, 1)
    assert (await run(lambda: 1, executor=executor, options={"name": "f"})).end == "completed"
    release.set()
    while executor.stuck:
        await asyncio.sleep(0.001)
    assert (await run(lambda: 1, executor=executor, options={"name": "f"})).end == "completed"
    await executor.close()


async def test_capacity_shrinks_when_too_many_threads_are_stuck_and_grows_again() -> None:
    release = threading.Event()
    executor = FunctionExecutor(1, grace=0.01)
    for _ in range(2):
        assert error_of(await run(release.wait, executor=executor, timeout=0.01))["type"] == "TimeoutError"
    assert (executor.stuck, executor.capacity) == (2, 0)
    waiting = asyncio.create_task(run(lambda: 1, executor=executor, options={"name": "f"}))
    await asyncio.sleep(0)
    assert not waiting.done()
    release.set()
    assert (await waiting).end == "completed"
    await executor.close()


async def test_a_thread_that_awaits_another_job_lends_its_place() -> None:
    release = threading.Event()
    executor = FunctionExecutor(1, grace=GRACE)
    parent = asyncio.create_task(run(release.wait, executor=executor))
    child = asyncio.create_task(run(lambda: 1, executor=executor, options={"name": "f"}))
    await asyncio.sleep(0)
    executor.lend(+1)
    assert (await child).end == "completed"
    executor.lend(-1)
    job = new_job()
    late = asyncio.create_task(run(release.wait, executor=executor, job=job))
    await asyncio.sleep(0)
    job.request_cancel()
    assert (await late, executor.stuck) == (Ran("stopped"), 0)  # at once: it had not begun
    release.set()
    assert (await parent).end == "completed"
    await executor.close()


async def test_a_call_that_waits_for_a_thread_can_be_cancelled() -> None:
    release = threading.Event()
    executor = FunctionExecutor(1)
    first = asyncio.create_task(run(release.wait, executor=executor))
    job = new_job()
    second = asyncio.create_task(run(lambda: 1, executor=executor, job=job, options={"name": "f"}))
    await asyncio.sleep(0)
    job.request_cancel()
    assert await second == Ran("stopped")
    release.set()
    assert (await first).end == "completed"
    await executor.close()
    await executor.close()


async def test_when_the_asyncio_task_is_cancelled_a_thread_is_told_and_left() -> None:
    job, release = new_job(), threading.Event()
    executor = FunctionExecutor(1)
    running = asyncio.create_task(run(release.wait, executor=executor, job=job))
    await asyncio.sleep(0)
    running.cancel()
    assert (await running).end == "stopped"
    assert job.cancelled
    release.set()
    while executor.stuck:
        await asyncio.sleep(0.001)
    await executor.close()


# -- timeout


@pytest.mark.parametrize("swallow", [False, True])
async def test_a_coroutine_that_takes_too_long_fails_with_where_it_was(swallow: bool) -> None:
    async def work() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            if not swallow:
                raise

    ran = await run(work, timeout=0.01)
    error = error_of(ran)
    assert error["type"] == "TimeoutError"
    assert error["message"] == "the task took longer than its timeout of 0.01 s"
    assert swallow or "await asyncio.sleep(100)" in error["traceback"]
    assert "easyjobs/executors" not in error["traceback"]
    assert not ran.final
    assert (await run(work, timeout=0.01, options={"no_retry_on": [TimeoutError]})).final


async def test_an_error_of_the_cleanup_after_a_timeout_is_still_a_timeout() -> None:
    async def work() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            raise ValueError("in cleanup")

    assert error_of(await run(work, timeout=0.01))["type"] == "TimeoutError"


async def test_a_thread_that_takes_too_long_fails_when_it_stops_and_when_it_does_not() -> None:
    def polite(then_raise: bool) -> None:
        while not current_job().cancelled:
            threading.Event().wait(0.001)
        if then_raise:
            raise ValueError("in cleanup")

    for then_raise in (False, True):
        error = error_of(await run(polite, then_raise, timeout=0.01))
        assert error["message"] == "the task took longer than its timeout of 0.01 s"
    release = threading.Event()
    error = error_of(await run(release.wait, timeout=0.01))
    assert "abandoned" in error["message"]
    release.set()


async def test_a_timeout_then_a_cancel_is_still_a_timeout() -> None:
    job = new_job()

    async def work() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            job.request_cancel()
            raise

    assert error_of(await run(work, timeout=0.01, job=job))["type"] == "TimeoutError"


async def test_a_timeout_that_is_not_reached_leaves_nothing_behind() -> None:
    for form in both(lambda: 1):
        assert (await run(form, timeout=100, options={"name": "f"})).end == "completed"


# -- the process


def test_a_stuck_thread_does_not_hold_the_process() -> None:
    program = """
import asyncio, threading, msgspec
from easyjobs.executors.function import FunctionExecutor
from easyjobs.tasks.context import JobContext
from easyjobs.tasks.decorator import bind
class Silence:
    def log(self, *a): ...
    def progress(self, *a): ...
def stuck(): threading.Event().wait()
async def main():
    executor = FunctionExecutor(1, grace=0.01)
    job = JobContext("j", "q", "t", 1, 1, Silence())
    ran = await executor.run(bind(stuck, caller=None, queue="q"), b"[]", b"{}", job, 0.01)
    print(ran.end)
    await executor.close()
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert ended.stdout == "failed\n"


def test_a_coroutine_that_cannot_be_stopped_does_not_hold_the_process() -> None:
    program = """
import asyncio
from easyjobs.executors.function import FunctionExecutor
from easyjobs.tasks.context import JobContext
from easyjobs.tasks.decorator import bind
class Silence:
    def log(self, *a): ...
    def progress(self, *a): ...
async def endless():
    while True:
        try:
            await asyncio.sleep(100)
        except BaseException:
            pass
async def stubborn():
    await endless()
async def main():
    executor = FunctionExecutor(1, grace=0.01)
    job = JobContext("j", "q", "t", 1, 1, Silence())
    ran = await executor.run(bind(stubborn, caller=None, queue="q"), b"[]", b"{}", job, 0.01)
    print(ran.end)
asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert (ended.stdout, ended.stderr) == (
        "failed\n",
        "<JobContext q:t j attempt 1> did not end when it was cancelled; dropped\n",
    )


def test_a_loop_that_is_gone_ends_its_threads() -> None:
    release, ended = threading.Event(), threading.Event()

    def work() -> None:
        release.wait()

    async def leave_it() -> None:
        asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)  # type: ignore[union-attr]
        await run(work)

    before = set(threading.enumerate())
    asyncio.run(leave_it())
    (thread,) = set(threading.enumerate()) - before
    release.set()
    thread.join(10)
    assert not thread.is_alive()
    ended.set()


def test_a_coroutine_whose_loop_is_gone_is_closed() -> None:
    story: list[str] = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except GeneratorExit:
            story.append("closed")
            raise

    host = run(work)
    loop = asyncio.new_event_loop()
    hosting = loop.create_task(host)
    loop.call_soon(loop.stop)
    loop.run_forever()
    host.close()
    hosting._log_destroy_pending = False  # type: ignore[attr-defined]  # as a crash does not log either
    loop.close()
    assert story == ["closed"]


async def test_it_is_an_executor() -> None:
    executor: Executor = FunctionExecutor(1)
    await executor.close()
