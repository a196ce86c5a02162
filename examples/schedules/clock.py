"""Schedules without a server: a manager in memory, three of them, and six seconds to watch.

python examples/schedules/clock.py [SECONDS]
"""

from __future__ import annotations

import asyncio
import sys

from fastapi import FastAPI

from easyjobs import EasyJobsManager, current_job

manager = EasyJobsManager("only for this example", store="memory:")


@manager.scheduler(schedule="* * * * * *", seconds=True)
async def tick() -> None:
    """Every second."""
    print("tick", current_job().id, flush=True)


@manager.task(
    namespace="reports", schedule="*/2 * * * * *", seconds=True, default_args={"args": ["Ada"]}, overlap="skip"
)
async def report(name: str) -> str:
    """Every two seconds; takes three, so that every other tick is skipped."""
    print("report for", name, flush=True)
    await asyncio.sleep(3)
    return name


@manager.task(namespace="reports", schedule="0 7 * * 1-5", timezone="Europe/Paris", run_after="report_done")
async def daily() -> str:
    """On weekday mornings in Paris. Here it is only looked at, and run by hand."""
    return "the daily report"


@manager.task(namespace="reports")
async def report_done(result: str) -> None:
    """Gets the result of `daily`."""
    print("done:", result, flush=True)


async def main(seconds: float) -> None:
    """Run the manager for a while."""
    async with manager.lifespan(FastAPI()):
        await asyncio.sleep(0.5)  # the manager's own worker registers what is declared above
        schedules = manager.hub.schedules
        for view in schedules.page()[0]:
            print(f"{view.row.id}: {view.words}")
        await schedules.run("reports:daily")
        await asyncio.sleep(seconds)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 6.0))
