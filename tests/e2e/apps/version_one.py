"""A task before a deploy: for the stories about deploying."""

from easyjobs import EasyJobsWorker, current_job

worker = EasyJobsWorker()


@worker.task(retries=0)
async def greet(name: str, shout: bool = False) -> str:
    current_job().log("version one")
    return f"one: {name.upper() if shout else name}"
