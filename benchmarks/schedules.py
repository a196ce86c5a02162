"""`python -m benchmarks.schedules`: many schedules that are due at one moment; how long until all have their jobs.

--schedules N   how many (10,000)
--zone NAME     in which zone their rules are read
--memory        the memory store instead of SQLite (FULL, fsync)
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from easyjobs.core.schedule import Rule
from easyjobs.core.signature import Signature
from easyjobs.core.task import DefaultArgs, TaskSpec
from easyjobs.hub.hub import Hub
from easyjobs.stores.base import Store
from easyjobs.stores.memory import MemoryStore
from easyjobs.stores.sqlite import SQLiteStore

AHEAD = 30.0  # seconds in which the schedules must have been made
TASK = TaskSpec("bench", "noop", Signature())


async def worst_pause(until: asyncio.Event) -> float:
    """The longest that the loop kept somebody waiting who wanted to run every two milliseconds; in seconds."""
    worst = 0.0
    while not until.is_set():
        began = time.perf_counter()
        await asyncio.sleep(0.002)
        worst = max(worst, time.perf_counter() - began - 0.002)
    return worst


async def measure(hub: Hub, schedules: int, zone: str) -> dict[str, float]:
    """Make the schedules, wait for the minute, watch their jobs come."""
    hub.catalog.add(TASK, hub.now())
    minute = (hub.now() + AHEAD) // 60 * 60 + 60
    rule = Rule("* * * * *", timezone=zone, start_at=minute, end_at=minute)
    began = time.perf_counter()
    await asyncio.gather(
        *(hub.schedules.create("bench", "noop", rule, DefaultArgs("[]", "{}"), str(n)) for n in range(schedules))
    )
    made = time.perf_counter() - began
    print(f"made {schedules} schedules in {made:.1f} s; {minute - hub.now():.0f} s to go")
    if minute < hub.now():
        raise SystemExit("that took too long")
    await asyncio.sleep(minute - hub.now() - 0.1)
    done = asyncio.Event()
    watching = asyncio.create_task(worst_pause(done))
    while (await hub.store.totals()).get("queued", 0) < schedules:
        await asyncio.sleep(0.01)
    took = hub.now() - minute
    done.set()
    return {"seconds": took, "ticks /s": schedules / took, "worst pause ms": await watching * 1000}


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--zone", default="UTC")
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store: Store = MemoryStore() if options.memory else SQLiteStore(str(Path(folder) / "bench.db"))
        hub = Hub(store)
        await hub.start()
        for name, value in (await measure(hub, options.schedules, options.zone)).items():
            print(f"  {name:<16}{value:>12,.1f}")
        await hub.stop()


if __name__ == "__main__":
    asyncio.run(main())
