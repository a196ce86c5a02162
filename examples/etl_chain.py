"""An ETL chain: extract → transform → load → compute, which needs an environment first; a failure is reported.

`python examples/etl_chain.py` runs it once and draws what came of it; `python examples/etl_chain.py bad` lets it fail.
`uvicorn etl_chain:app` serves it, with EASYJOBS_SECRET set.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from fastapi import FastAPI

from easyjobs import EasyJobsManager
from easyjobs.core.states import FINAL

manager = EasyJobsManager(store="memory:" if __name__ == "__main__" else None)
app = FastAPI(title="ETL", lifespan=manager.lifespan)


@manager.task(namespace="ETL", run_after=["transform"])
async def extract(url: str) -> dict[str, Any]:
    return {"data": {"a": 1, "b": 2, "c": "three" if url == "bad" else 3}}


@manager.task(namespace="ETL", run_after=["load"], on_failure="failure_notify", retry_policy="never")
async def transform(data: dict[str, Any]) -> dict[str, Any]:
    return {"data": {name: int(value) + 2 for name, value in data.items()}}


@manager.task(namespace="ETL", on_failure="failure_notify", run_after=["compute"])
async def load(data: dict[str, int]) -> dict[str, Any]:
    return {"data": data}


@manager.task(namespace="ETL")
async def failure_notify(job_failed: dict[str, Any]) -> str:
    return f"told everybody that {job_failed['task']} failed: {job_failed['error']['message']}"


@manager.task(namespace="ETL")
async def deploy_environment() -> str:
    await asyncio.sleep(0.2)
    return "deployed"


@manager.task(namespace="ETL")
async def prepare_db() -> str:
    await asyncio.sleep(0.2)
    return "prepared"


@manager.task(namespace="ETL", run_before=["deploy_environment", "prepare_db"])
async def configure_environment() -> str:
    return "configured"


@manager.task(namespace="ETL", run_before=["configure_environment"])
async def compute(data: dict[str, int]) -> int:
    return sum(data.values())


async def main(url: str) -> None:
    """Run the chain once, and draw it when all of it has ended."""
    async with manager.lifespan(app):
        job = await extract.enqueue(url)
        while True:
            tree = await manager.hub.tree(job.id)
            if all(branch.job.state in FINAL for branch in tree.items):
                break
            await asyncio.sleep(0.05)
        for branch in tree.items:
            shown = branch.job.result if branch.job.error is None else "failed"
            print(f"{'    ' * branch.depth}{branch.job.relation or 'begin'} {branch.job.task}: {shown}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://stats"))
