"""A manager with tasks in two namespaces: one by decorators that stack, with options of their own, one by a list."""

from fastapi import FastAPI

from easyjobs import EasyJobsManager, current_job

manager = EasyJobsManager()
app = FastAPI(lifespan=manager.lifespan)


@manager.task(namespace="one", run_after="tell", retries=0)
@manager.task(namespace="two", run_after="A:count", retries=0)
async def shared(n: int) -> dict[str, int]:
    return {"n": n + 1}


@manager.task(namespace=["one", "two"], retries=0)
async def tell(n: int) -> str:
    return f"{n} in {current_job().queue}"
