"""Reports by region that need prices not older than an hour; `python examples/fresh_reports.py` makes all twice.

The second time the prices are fresh, so only the reports run.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import FastAPI

from easyjobs import Dependency, EasyJobsManager, same

manager = EasyJobsManager(store="memory:")
app = FastAPI(title="Reports", lifespan=manager.lifespan)

Region = Literal["north", "south"]


@manager.task(namespace="reports")
async def prices(region: Region, day: int) -> dict[str, int]:
    return {"apples": day, "pears": 2 * day}


@manager.task(
    namespace="reports",
    write_all="region",
    dependencies=[Dependency(prices, 1, region=same, day=same), Dependency(prices, 24, region=same, day=same - 1)],
)
async def report(region: Region, day: int) -> str:
    return f"{region} on day {day}"


async def main() -> None:
    """Make the reports of all regions, twice, and draw what that took."""
    async with manager.lifespan(app):
        for _ in range(2):
            group = await report.enqueue("ALL", 7)  # type: ignore[arg-type]
            done = await group
            for branch in (await manager.hub.tree(group.id)).items:
                said = branch.job.kwargs if branch.job.relation else done
                print(f"{'    ' * branch.depth}{branch.job.relation or 'group'} {branch.job.task} {said}")


if __name__ == "__main__":
    asyncio.run(main())
