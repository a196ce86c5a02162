import os

from easyjobs import current_job
from easyjobs.workers.task import subprocess


@subprocess
def work(*args, **kwargs):
    job = current_job()
    return {"args": args, "kwargs": kwargs, "task": job.task, "id": job.id, "pid": os.getpid()}


if __name__ == "__main__":
    work()
