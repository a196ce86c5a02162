"""The tasks that the stories are told with. Queue, slots and manager come from EASYJOBS_* variables.

Every task writes what it does into the ledger of effects, which outlives its process: one line "job attempt pid what",
appended by one write, so that lines of several processes never mix. A gate is a file that the story makes when a task
may go on.
"""

import asyncio
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from easyjobs import EasyJobsWorker, NoRetry, Retry, current_job

worker = EasyJobsWorker()
log = logging.getLogger("stories")
LEDGER = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def effect(what: str) -> None:
    job = current_job()
    os.write(LEDGER, f"{job.id} {job.attempt} {os.getpid()} {what}\n".encode())


def told() -> dict[str, int]:
    return {"attempt": current_job().attempt, "pid": os.getpid()}


async def opened(gate: str) -> None:
    while not await asyncio.to_thread(Path(gate).exists):
        await asyncio.sleep(0.005)


@worker.task(retries=0)
async def add(a: int, b: int = 1) -> int:
    effect("add")
    return a + b


@worker.task(name="add_too", retries=0)
async def add_again(a: int, b: int = 1) -> int:
    effect("add")
    return a + b


@worker.task(retries=0)
async def mark(label: str) -> str:
    effect(label)
    return label


@worker.task(retries=0)
async def tally(n: int) -> dict[str, int]:
    effect(f"tally-{n}")
    await asyncio.sleep(0)
    return {"n": n, **told()}


@worker.task(retries=0)
async def hold(gate: str) -> dict[str, int]:
    """Ends when the gate is opened."""
    effect("began")
    while not Path(gate).exists():
        await asyncio.sleep(0.005)
    effect("ended")
    return told()


@worker.task(retries=0)
def hold_thread(gate: str) -> dict[str, int]:
    """Ends when the gate is opened, whoever asks it to stop."""
    effect("began")
    while not Path(gate).exists():
        time.sleep(0.005)
    effect("ended")
    return told()


@worker.task(retries=0)
def polite_thread(gate: str) -> str:
    """Ends when the gate is opened, or when it sees that it should."""
    effect("began")
    job = current_job()
    while not Path(gate).exists():
        if job.cancelled:
            effect("heard")
            return "stopped early"
        time.sleep(0.005)
    return "to the end"


@worker.task(retries=0)
async def block(seconds: float) -> dict[str, int]:
    """Blocks the loop of its worker, as no coroutine should."""
    effect("began")
    time.sleep(seconds)
    effect("ended")
    return told()


@worker.task(retries=0)
async def block_until(gate: str) -> dict[str, int]:
    """Blocks the loop of its worker until the gate is opened."""
    effect("began")
    while not Path(gate).exists():
        time.sleep(0.005)
    effect("ended")
    return told()


@worker.task(retries=0, concurrency=1)
async def alone(n: int) -> int:
    effect("enter")
    await asyncio.sleep(0.01)
    effect("leave")
    return n


@worker.task(retries=2, retry_delay=0.2)
async def third_time(n: int) -> int:
    effect("try")
    if current_job().attempt < 3:
        raise ValueError(f"not yet {n}")
    return n


@worker.task(retries=1, retry_delay=3600)
async def asks_again() -> int:
    effect("try")
    if current_job().attempt == 1:
        raise Retry(0.1)
    return current_job().attempt


@worker.task(retries=5, retry_delay=0.1)
async def gives_up() -> None:
    effect("try")
    raise NoRetry("there is no point")


@worker.task(retries=0, timeout=0.3)
async def too_slow() -> None:
    await asyncio.sleep(3600)


@worker.task(retries=0, timeout=0.3)
def too_slow_thread() -> str:
    job = current_job()
    while not job.cancelled:
        time.sleep(0.005)
    effect("heard")
    return "late"


@worker.task(retries=0, unique=True)
async def only_one(gate: str, key: str = "a") -> str:
    effect("began")
    await opened(gate)
    return key


@worker.task(retries=0)
async def double(n: int) -> int:
    effect("double")
    return 2 * n


@worker.task(retries=0)
async def family(n: int) -> int:
    """Awaits a job of its own queue."""
    effect("asks")
    return await double(n) + 1


@worker.task(retries=0)
def family_in_thread(n: int) -> int:
    return worker.wait(double(n)) + 1


@worker.task(retries=0)
async def chatty(gate: str) -> str:
    """Talks, reports how far it is, and waits."""
    job = current_job()
    job.log("from the job")
    log.warning("from %s", "logging")
    logging.getLogger("a.library").info("from a library")
    job.progress(0.4, "two of five")
    await opened(gate)
    job.progress(1.0, "all")
    job.log("the end", "error")
    return "said"


@worker.task(retries=0)
def chatty_thread() -> str:
    log.info("from a thread")
    return "said"


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@worker.task(retries=0)
async def odd(kind: str) -> Any:
    """Returns or raises what nobody should."""
    if kind == "set":
        return {1, 2}
    if kind == "nan":
        return float("nan")
    if kind == "unspeakable":
        raise Unspeakable
    if kind == "exit":
        sys.exit(3)
    return {"none": None, "zero": 0, "empty": "", "false": False}[kind]
