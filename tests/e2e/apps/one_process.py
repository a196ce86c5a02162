"""One process: manager, worker, API; the ten lines of the README."""

from fastapi import FastAPI

from easyjobs import EasyJobsManager

manager = EasyJobsManager(server_secret="abcd1234")
app = FastAPI(lifespan=manager.lifespan)


@manager.task(namespace="general", retries=3)
async def hello(name: str = "world") -> str:
    return f"hello {name}"
