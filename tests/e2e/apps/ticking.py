"""A manager's engine on a SQLite file, with schedules of every second; says how many jobs there are whenever it grows.

python ticking.py FILE SCHEDULES
"""

from __future__ import annotations

import asyncio
import sys

from easyjobs.core.schedule import Rule
from easyjobs.core.signature import Signature
from easyjobs.core.task import DefaultArgs, TaskSpec
from easyjobs.hub.hub import Hub
from easyjobs.stores.sqlite import SQLiteStore

EVERY_SECOND = Rule("* * * * * *", seconds=True, misfire="all")


async def main(file: str, schedules: int) -> None:
    """Until it is killed."""
    hub = Hub(SQLiteStore(file))
    await hub.start()
    hub.catalog.add(TaskSpec("q", "noop", Signature()), hub.now())
    for _ in range(schedules - len(hub.schedules.page()[0])):
        await hub.schedules.create("q", "noop", EVERY_SECOND, DefaultArgs())
    jobs = 0
    while True:
        now = sum((await hub.store.totals()).values())
        if now > jobs:
            jobs = now
            sys.stdout.write(f"{jobs}\n")
            sys.stdout.flush()
        await asyncio.sleep(0.001)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
