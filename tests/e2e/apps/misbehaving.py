"""Tasks that do what no task should, each as a coroutine on the loop, in a thread, and in a child process.

`MODE` says which: every function below is registered once, under its own name.
"""

import asyncio
import contextlib
import ctypes
import functools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from easyjobs import EasyJobsWorker, current_job

MODE = os.environ.get("MODE", "loop")
worker = EasyJobsWorker()
log = logging.getLogger("misbehaving")


def on_the_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args, **kwargs)

    return coroutine


def misbehaves(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a plain function in the way that `MODE` says."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        options.setdefault("retries", 0)
        if MODE == "child":
            worker.task(process=True, **options)(function)
        else:
            worker.task(**options)(on_the_loop(function) if MODE == "loop" else function)
        return function

    return register


@misbehaves()
def fine(n: int) -> int:
    return n + 1


# -- results


@misbehaves()
def returns_none() -> None:
    return None


@misbehaves()
def returns_zero() -> int:
    return 0


@misbehaves()
def returns_nothing_much() -> str:
    return ""


@misbehaves()
def returns_false() -> bool:
    return False


@misbehaves(retries=3)
def returns_a_function() -> Any:
    return lambda: 1


@misbehaves(retries=3)
def returns_nan() -> Any:
    return float("nan")


@misbehaves(retries=3)
def returns_a_cycle() -> Any:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


@misbehaves(retries=3)
def returns_a_lone_surrogate() -> Any:
    return "\ud800"


@misbehaves(retries=3)
def returns_too_much() -> str:
    return "x" * 2_000_000


@misbehaves(retries=3)
def returns_a_deep_list() -> Any:
    deep: list[Any] = []
    for _ in range(1_000):
        deep = [deep]
    return deep


# -- errors


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")

    __repr__ = __str__


class Base(BaseException):
    pass


@misbehaves()
def raises_what_cannot_be_shown() -> None:
    raise Mute


@misbehaves()
def raises_a_group() -> None:
    raise ExceptionGroup("two", [ValueError("one"), TypeError("other")])


@misbehaves()
def recurses() -> None:
    recurses()


@misbehaves()
def exits() -> None:
    sys.exit(3)


@misbehaves()
def interrupts() -> None:
    raise KeyboardInterrupt


@misbehaves()
def raises_a_base_exception() -> None:
    raise Base("from below")


@misbehaves()
def cancels_itself() -> None:
    raise asyncio.CancelledError("of its own")


@misbehaves()
def stops_an_iteration() -> None:
    raise StopIteration(1)


@misbehaves()
def raises_ten_megabytes() -> None:
    raise ValueError("x" * 10_000_000)


@misbehaves()
def raises_surrogates() -> None:
    raise ValueError("half \ud800 a pair")


@misbehaves()
def raises_with_a_bad_name() -> None:
    raise type("\u202egnihton\x1b[31m", (Exception,), {})("named badly")


# -- output


@misbehaves()
def prints_ten_megabytes() -> str:
    print("x" * 10_000_000)
    return "printed"


@misbehaves()
def logs_without_end() -> str:
    for n in range(20_000):
        log.warning("line %d %s", n, "x" * 100)
    return "logged"


@misbehaves()
def logs_what_cannot_be_formatted() -> str:
    with contextlib.redirect_stderr(open(os.devnull, "w")):  # noqa: PTH123
        log.warning("%d", "no number")
    current_job().log("\x1b[31mred\x07 and \x00 and half \ud800 a pair")
    return "logged"


@misbehaves()
def prints_binary() -> str:
    os.write(1, bytes(range(256)) * 10)
    return "printed"


@misbehaves()
def closes_its_output() -> str:
    if MODE == "child":
        os.close(1)
        os.close(2)
    return "closed"


# -- time


@misbehaves(timeout=0.5)
def never_returns() -> None:
    while True:
        time.sleep(0.05 if MODE != "loop" else 3600)


@misbehaves()
def blocks_for_a_while() -> str:
    time.sleep(1.5)
    return "woke"


@misbehaves(timeout=0.5)
def swallows_every_error() -> str:
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        try:
            time.sleep(0.05)
        except BaseException:
            continue
    return "nothing happened"


# -- the process


@misbehaves()
def leaves_a_thread() -> str:
    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
    return "left"


@misbehaves()
def leaves_a_child_that_holds_the_output() -> str:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], start_new_session=MODE == "child")
    return "left"


@misbehaves()
def changes_the_folder() -> str:
    os.chdir("/")
    return os.getcwd()  # noqa: PTH109


@misbehaves()
def ignores_signals() -> str:
    if MODE != "loop" and threading.current_thread() is not threading.main_thread():
        return "it cannot, in a thread"
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if MODE != "child":
        signal.signal(signal.SIGTERM, before)
    return "ignored"


@misbehaves()
def raises_when_collected() -> str:
    class Sore:
        def __del__(self) -> None:
            raise ValueError("in a finalizer")

    sys.unraisablehook = lambda _: None
    Sore()
    return "collected"


# -- the end of the process (its worker's too, where it runs there)


@misbehaves()
def exits_at_once() -> None:
    os._exit(0)


@misbehaves()
def crashes() -> None:
    ctypes.string_at(0)


@misbehaves()
def kills_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if MODE == "child":

    @misbehaves(max_memory=300 * 1024 * 1024)
    def takes_all_memory() -> int:
        return len(b"x" * (2 * 1024 * 1024 * 1024))

    @misbehaves(timeout=0.5)
    def ignores_being_told_to_stop() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(0.05)

    @misbehaves()
    def forks() -> str:
        if os.fork() == 0:
            os._exit(0)
        os.wait()
        return "forked"

    @misbehaves()
    def forks_and_both_go_on() -> str:
        os.fork()
        return "forked"
else:

    @worker.task(timeout=0.5, retries=0)
    async def swallows_cancellation() -> str:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.05)
        return "nothing happened"

    @worker.task(retries=0)
    async def leaves_a_task_behind() -> str:
        worker.left = asyncio.ensure_future(asyncio.sleep(30))  # type: ignore[attr-defined]
        return "left"
