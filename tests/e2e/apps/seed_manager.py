"""A manager with tasks of its own in the namespace general, and one in a child process."""

import os

from fastapi import FastAPI

from easyjobs.manager import EasyJobsManager

server = FastAPI()


@server.on_event("startup")
async def setup():
    manager = await EasyJobsManager.create(server, server_secret="abcd1234")

    general_results = {"rows": 3}

    @manager.task(namespace="general", run_after=["more_general_work"])
    async def general_work(general_data: dict):
        """
        do general work
        """
        return general_results

    @manager.task(namespace="general")
    async def more_general_work(general_results):
        # extra work on general_results
        return "more_general_results"

    # required env vars
    os.environ["MANAGER_HOST"] = "0.0.0.0"
    os.environ["MANAGER_PORT"] = os.environ["SEED_PORT"]
    os.environ["WORKER_TASK_DIR"] = os.environ["SEED_TASK_DIR"]

    @manager.task(subprocess=True)
    async def advanced_blocking(a, b, c):
        pass

    @manager.scheduler(schedule="* * * * * *", seconds=True)
    def every_second():
        return "a second"
