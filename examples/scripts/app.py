"""Scripts as tasks: one in Python and one for the shell, in a workflow where one reads what the other wrote.

`python examples/scripts/app.py` runs it for two years. `uvicorn app:app` serves it, in this folder and with
EASYJOBS_SECRET set. `easyjobs worker --scripts weather --queue weather` runs the same scripts as they are.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from easyjobs import EasyJobsManager, JobFailed

WEATHER = str(Path(__file__).resolve().parent / "weather")

manager = EasyJobsManager(store="memory:" if __name__ == "__main__" else None)
app = FastAPI(title="Scripts", lifespan=manager.lifespan)

grab = manager.script("grab.py", folder=WEATHER, name="grab", namespace="weather", timeout=60)


@manager.script("stations/warmest.sh", folder=WEATHER, name="warmest", namespace="weather", timeout=60)
def warmest(grabbed: dict[str, Any], months: int = 1) -> list[str | int]:
    """The parameters are the task's; what is returned stands on the script's command line."""
    return [grabbed["file"], months]


@manager.workflow(namespace="weather")
def yearly(year: int) -> Any:
    """The result of `grab` is an argument of `warmest`, which so runs after it."""
    return warmest(grab("--year", year), months=2)


async def main() -> None:
    """Two runs side by side; the script refuses the second year."""
    async with manager.lifespan(app):
        for year, run in [(2024, await yearly.enqueue(2024)), (1800, await yearly.enqueue(1800))]:
            try:
                print(f"{year}: {(await run)['warmest']}")
            except JobFailed as error:
                print(f"{year}: {error.error['message']}")


if __name__ == "__main__":
    asyncio.run(main())
