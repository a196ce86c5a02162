import asyncio

from easyjobs.workers.task import subprocess


@subprocess
async def work(data: dict):
    await asyncio.sleep(0.1)
    return {"computed": data}


if __name__ == "__main__":
    work()
