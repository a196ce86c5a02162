"""The same task after the deploy: `shout` is gone, `greeting` is new."""

from easyjobs import EasyJobsWorker, current_job

worker = EasyJobsWorker()


@worker.task(retries=0)
async def greet(name: str, greeting: str = "hello") -> str:
    current_job().log("version two")
    return f"two: {greeting} {name}"
