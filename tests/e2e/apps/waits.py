"""A workflow that goes on until a gate opens."""

from __future__ import annotations

from typing import Any

from tasks import effect, opened

from easyjobs import EasyJobsWorker

worker = EasyJobsWorker()


@worker.task(retries=0)
async def first() -> int:
    return 1


@worker.task(retries=0)
async def second(n: int, gate: str) -> int:
    effect("second")
    await opened(gate)
    return n + 1


@worker.workflow
def waits(gate: str) -> Any:
    return second(first(), gate)
