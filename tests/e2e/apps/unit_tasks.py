"""Tasks that take more or less of their machine, and say in the ledger when they have it."""

import asyncio
import os
import time

from tasks import effect

from easyjobs import task

SYSTEM = os.environ.get("EASYJOBS_SYSTEM_ID", "")


@task(type_key="units", retries=0, process_units=10)
def small(n: int) -> int:
    return _held(10, n)


@task(type_key="units", retries=0, process_units=35)
def middle(n: int) -> int:
    return _held(35, n)


@task(type_key="units", retries=0, process_units=90)
def big(n: int) -> int:
    return _held(90, n)


@task(type_key="units", retries=0)
async def usual(n: int) -> int:
    effect(f"take 1 {SYSTEM}")
    await asyncio.sleep(0.02)
    effect(f"leave 1 {SYSTEM}")
    return n


@task(type_key="units", retries=0, process_limit=3, process_units=2)
def limited(n: int) -> int:
    return _held(2, n)


def _held(units: int, n: int) -> int:
    effect(f"take {units} {SYSTEM}")
    time.sleep(0.05)
    effect(f"leave {units} {SYSTEM}")
    return n
