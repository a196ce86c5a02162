"""A manager with tasks in child processes of its own. `NAMED`: whether it is told where it is, as its examples are."""

import os

from fastapi import FastAPI

from easyjobs import EasyJobsManager

manager = EasyJobsManager()
app = FastAPI(lifespan=manager.lifespan)

if os.environ.get("NAMED"):
    os.environ["MANAGER_HOST"] = "0.0.0.0"
    os.environ["MANAGER_PORT"] = os.environ["NAMED"]


@manager.task(process=True, retries=0)
def where(n: int) -> list[int]:
    return [n, os.getppid()]


@manager.task(retries=0)
async def double(n: int) -> int:
    return 2 * n


@manager.task(process=True, retries=0)
async def asks(n: int) -> int:
    return await double(n) + 1


@manager.task(subprocess=True, retries=0)
async def adds(a, b):
    pass
