"""All of it by one command: `python demo.py`. Two pull workers share a run of the workflow; nothing else is needed."""

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path

from main import taskflow

MAIN = [sys.executable, str(Path(__file__).with_name("main.py"))]


@contextlib.contextmanager
def pull_worker():
    worker = subprocess.Popen([*MAIN, "pull_worker", "--log-level", "warning"])
    try:
        yield
    finally:
        worker.terminate()
        worker.wait()


async def run():
    async with taskflow.hub() as hub:
        started = await taskflow.queue_workflow_async("manual", tasks={"longest": {"most": 2}})
        return await hub.wait(started.id, 60)


with pull_worker(), pull_worker():
    ended = asyncio.run(run())

print(f"the run {ended.state}")
print(Path("report.txt").read_text(), end="")
