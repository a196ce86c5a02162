"""What the children of test_process.py are sent for; a module that they can import, and load fast."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sys
import time
from datetime import date
from typing import Any

from easyjobs.errors import NoRetry, Retry
from easyjobs.tasks.context import current_job
from easyjobs.tasks.decorator import task


def adds(a: int, b: int = 1) -> int:
    return a + b


@task
def marked(*numbers: int) -> int:
    return sum(numbers)


class Shelf:
    @staticmethod
    def inside(n: int) -> int:
        return n


@dataclasses.dataclass
class Point:
    x: int
    y: int


def typed(when: date, point: Point) -> list[Any]:
    return [when.year, point.x + point.y, type(point).__name__]


async def waits(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "waited"


def sleeps(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


def stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("deaf")
    while True:
        time.sleep(0.01)


def polite() -> str:
    print("began")
    try:
        time.sleep(600)
    finally:
        print("tidied up")
    return "never"


def raises(how: str) -> None:
    print("line one")
    errors = {"plain": ValueError("no"), "later": Retry(7), "never": NoRetry("enough"), "listed": KeyError("k")}
    raise errors[how]


def leaves(status: int) -> None:
    print("last words", flush=True)
    os._exit(status)


def closes_all() -> None:
    os.closerange(0, 256)


def becomes_another() -> None:
    os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(3600)"])


def dies(number: int) -> None:
    os.kill(os.getpid(), number)


def tells() -> str:
    job = current_job()
    job.log("from the job", "error")
    job.progress(0.5, "half")
    print("printed")
    return f"{job.queue}:{job.task} {job.attempt}/{job.max_attempts}"


def forks() -> int:
    if os.fork() == 0:
        print("the copy goes on")
    return os.getpid()


def path() -> list[str]:
    return sys.path
