"""Tasks that run in child processes. Queue, slots and manager come from EASYJOBS_* variables."""

import asyncio
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from easyjobs import EasyJobsWorker, current_job

worker = EasyJobsWorker()
log = logging.getLogger("children")
WORKER = os.getpid()


def effect(what: str) -> None:
    job = current_job()
    with open(os.environ["EFFECTS"], "a") as ledger:  # noqa: PTH123
        ledger.write(f"{job.id} {job.attempt} {os.getpid()} {what}\n")


def opened(gate: str) -> None:
    while not Path(gate).exists():
        time.sleep(0.005)


@worker.task(process=True, retries=0)
def where(n: int) -> dict[str, Any]:
    job = current_job()
    return {"n": n, "pid": os.getpid(), "parent": os.getppid(), "attempt": job.attempt, "task": job.task}


@worker.task(process=True, retries=0)
async def where_too(n: int) -> dict[str, Any]:
    await asyncio.sleep(0)
    return {"n": n, "pid": os.getpid(), "parent": os.getppid()}


@worker.task(process=True, retries=0)
def talks() -> str:
    job = current_job()
    print("printed")
    log.warning("from %s", "logging")
    job.log("from the job", "error")
    job.progress(0.5, "half")
    print("to stderr", file=sys.stderr)
    os.write(1, b"the last line, without an end")
    return "said"


@worker.task(process=True, retries=0)
def holds(gate: str) -> int:
    """Runs until the gate is opened, with a process of its own beside it; tidies up when it is told to stop."""
    beside = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    effect(f"beside {beside.pid}")
    effect("began")
    try:
        opened(gate)
    finally:
        effect("tidied up")
    return os.getpid()


@worker.task(process=True, retries=0)
async def tidies(gate: str) -> None:
    effect("began")
    try:
        await asyncio.sleep(600)
    finally:
        effect("tidied up")


@worker.task(retries=0)
async def double(n: int) -> int:
    return 2 * n


@worker.task(process=True, retries=0)
def asks(n: int) -> int:
    return worker.wait(double(n)) + 1


@worker.task(process=True, retries=0)
async def asks_many(n: int) -> list[int]:
    handle = await double.enqueue(n)
    return [await handle, *await asyncio.gather(*(double(m) for m in range(n)))]


@worker.task(process=True, retries=0)
async def asks_for_much(n: int) -> list[int]:
    """Of 100 kB each, there and back."""
    handles = [await echo.enqueue("x" * 100_000) for _ in range(n)]
    handle = await hold.enqueue()
    await handle.cancel()
    return [len(await one) for one in handles]


@worker.task(retries=0)
async def echo(text: str) -> str:
    return text


@worker.task(retries=0)
async def hold() -> None:
    await asyncio.sleep(600)


@worker.task(process=True, retries=0)
def looks_around() -> dict[str, Any]:
    return {
        "argv": Path("/proc/self/cmdline").read_bytes().decode(),
        "environ": Path("/proc/self/environ").read_bytes().decode(),
        "now": dict(os.environ),
        "files": sorted(str(f.readlink()) for f in Path("/proc/self/fd").iterdir() if f.is_symlink()),
    }


@worker.task(process=True, retries=0, max_memory="200MB")
def has_a_hungry_child() -> None:
    code = "x = b'x' * (600 * 1024 * 1024); import time; time.sleep(60)"
    subprocess.run([sys.executable, "-c", code], check=True)


@worker.task(retries=0)
def crashes_once(flag: str) -> dict[str, Any]:
    if not Path(flag).exists():
        Path(flag).touch()
        os._exit(9)
    return {"pid": os.getpid(), "parent": os.getppid()}


@worker.task(subprocess=True, retries=0)
def adds(a: int, b: int) -> None: ...


@worker.task(subprocess=True, retries=0)
def calls(n: int) -> None: ...


SCRIPTS = "anything missing leads_out leads_nowhere is_a_folder never_calls is_broken lingers fails"
for name in SCRIPTS.split():
    worker.task(subprocess=True, retries=0, name=name)(lambda: None)
