"""Chains for stories of deaths. Each task says at its end, in the ledger of effects, which task of which chain it was.

first (after ready) → second → third and aside; every fifth second fails, and is mourned
"""

import asyncio
import os
from typing import Any

from easyjobs import EasyJobsWorker, NoRetry, current_job

worker = EasyJobsWorker()
LEDGER = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


async def work(n: int | str) -> None:
    """Takes so long that there is always something under way, and says so when it is done."""
    job = current_job()
    await asyncio.sleep(0.05)
    os.write(LEDGER, f"{job.id} {job.attempt} {os.getpid()} {job.task} {n}\n".encode())


@worker.task(run_before="ready", run_after="second")
async def first(n: int) -> dict[str, int]:
    await work(n)
    return {"n": n}


@worker.task
async def ready() -> None:
    await work("?")


@worker.task(run_after=["third", "aside"], on_failure="mourn")
async def second(n: int) -> dict[str, int]:
    await work(n)
    if n % 5 == 0:
        raise NoRetry(f"the chain {n} ends here")
    return {"n": n}


@worker.task
async def third(n: int) -> int:
    await work(n)
    return n


@worker.task
async def aside(n: int) -> int:
    await work(n)
    return n


@worker.task
async def mourn(failure: dict[str, Any]) -> str:
    await work(failure["kwargs"]["n"])
    message: str = failure["error"]["message"]
    return message
