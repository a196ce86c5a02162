"""A worker of the queue ETL: nine tasks in chains, one on a schedule, one in a child process; and two besides."""

import asyncio
import os

from fastapi import FastAPI

from easyjobs.workers.worker import EasyJobsWorker

server = FastAPI()


@server.on_event("startup")
async def setup():
    worker = await EasyJobsWorker.create(
        server,
        server_secret="abcd1234",
        manager_host="0.0.0.0",
        manager_port=int(os.environ["MANAGER_PORT"]),
        manager_secret="abcd1234",
        jobs_queue="ETL",
        max_tasks_per_worker=5,
    )

    every_minute = "* * * * *"
    default_args = {"kwargs": {"url": ["http://stats"]}}

    async def get_data(url):
        print(f"get_data: {url}")
        return {"a": 1, "b": 2, "c": 3}

    async def load_db(data: dict):
        # await db.tables['transformed'].insert(**data)
        return f"data {data} loaded to db"

    async def send_email(address: str, message: str):
        return f"email sent to {address}"

    @worker.task(run_after=["transform"], schedule=every_minute, default_args=default_args)
    async def extract(url: str):
        print("extract started")
        data = await get_data(url)
        print("extract finished")
        return {"data": data}

    @worker.task(run_after=["load"])
    async def transform(data: dict):
        print("transform started")
        for k in data.copy():
            data[k] = int(data[k]) + 2
        print("transform finished")
        return {"data": data}

    @worker.task(on_failure="failure_notify", run_after=["compute"])
    async def load(data):
        print("load started")
        await load_db(data)
        print("load finished")
        return {"data": data}

    @worker.task()
    async def failure_notify(job_failed):
        await send_email("admin@company.io", job_failed)
        return job_failed

    @worker.task()
    async def deploy_environment():
        print("deploy_environment - started")
        await asyncio.sleep(5)
        print("deploy_environment - completed")
        return "deploy_environment - completed"

    @worker.task()
    async def prepare_db():
        print("prepare_db - started")
        await asyncio.sleep(5)
        print("prepare_db - completed")
        return "prepare_db - completed"

    @worker.task(run_before=["deploy_environment", "prepare_db"])
    async def configure_environment():
        print("configure_environment - starting")
        await asyncio.sleep(5)
        print("configure_environment - finished")
        return "configure_environment - finished"

    os.environ["WORKER_TASK_DIR"] = os.environ["SEED_TASK_DIR"]

    @worker.task(subprocess=True, run_before=["configure_environment"])
    async def compute(data: dict):
        pass

    @worker.task()
    async def pipeline():
        print("pipline started")
        result = await compute(data={"test": "data"})
        print(f"pipline - result is {result} - finished")
        return result

    # -- "Task register arguments"

    finance_results = {"profit": 1}

    @worker.task(on_failure="send_failure_email")
    async def finance_work(employee_id: str, employee_data: dict):
        """
        do finance work
        """
        if not employee_data:
            raise ValueError(f"no data of {employee_id}")
        return finance_results

    @worker.task(retry_policy="always")
    async def send_failure_email(reason):
        # send email with reason
        return f"email sent for {reason}"

    # -- "Subprocess Usage", on a worker

    @worker.task(subprocess=True)
    async def basic_blocking(a, b, c):
        pass
