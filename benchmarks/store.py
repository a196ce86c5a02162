"""`python -m benchmarks.store`: what a job costs in the SQLite store, by kind of write and size of batch (FULL, fsync).

--old N       put N jobs there first that have long ended
--crowd N     and N ready jobs in lanes nobody offers, and N whose time has not come
--memory      the memory store instead
--chains      units of chains and schedules instead of single jobs
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from easyjobs.core.changes import AddEdge, Claim, Insert, Offer, PutSchedule, PutSession, Release, Unit, Update
from easyjobs.core.job import Edge, Job, Session
from easyjobs.core.schedule import Rule, Schedule
from easyjobs.ids import Ids
from easyjobs.stores.base import Store
from easyjobs.stores.memory import MemoryStore
from easyjobs.stores.sqlite import SQLiteStore

SIZES = (1, 10, 100, 1000)
ids = Ids()


def new_job(now: float, task: str = "noop", **columns: Any) -> Job:
    """A job as the hub makes it, of ordinary size."""
    arguments = '{"n":12345,"s":"%s"}' % ("x" * 64)
    job = Job(ids.job_id(), "general", task, "0123456789abcdef", "[]", arguments, created_at=now, run_at=now)
    job.max_attempts = 2
    for name, value in columns.items():
        setattr(job, name, value)
    return job


def claimed(now: float) -> Job:
    """A job that comes claimed."""
    return new_job(
        now, state="running", attempt=1, version=1, token=ids.token(), session="s1", worker="w1", started_at=now
    )


def end(job: Job, now: float) -> Unit:
    """The end of a job."""
    return Unit([Update(job, {"state": "completed", "finished_at": now, "result": '{"n":12345,"ok":true}'})])


def inserts(jobs: list[Job]) -> list[Unit]:
    return [Unit([Insert(job, 1)]) for job in jobs]


async def fill(store: Store, old: int, crowd: int) -> None:
    """What lies in the table before."""
    now = store.now()
    for start in range(0, old, 2000):
        jobs = [claimed(now) for _ in range(min(2000, old - start))]
        await store.commit(inserts(jobs))
        await store.commit([end(job, now) for job in jobs])
    for start in range(0, crowd, 2000):
        size = min(2000, crowd - start)
        await store.commit(inserts([new_job(now, f"other{n % 7}") for n in range(size)]))
        await store.commit(inserts([new_job(now, run_at=now + 9e6) for _ in range(size)]))


async def measure(store: Store, size: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each commit, by kind."""
    times: dict[str, list[float]] = {"insert": [], "insert claimed": [], "claim": [], "complete": []}
    lane = new_job(0).lane
    tokens = ids.tokens(size)

    async def timed(kind: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        began = time.perf_counter()
        answer = await work()
        times[kind].append(time.perf_counter() - began)
        return answer

    for _ in range(rounds):
        now = store.now()
        direct = [claimed(now) for _ in range(size)]
        units = inserts(direct)
        await timed("insert claimed", lambda units=units: store.commit(units))
        ends = [end(job, now) for job in direct]
        await timed("complete", lambda ends=ends: store.commit(ends))
        units = inserts([new_job(now) for _ in range(size)])
        await timed("insert", lambda units=units: store.commit(units))
        claim = Claim([Offer("s1", 1, "w1", size, frozenset([lane]))], tokens)
        taken = (await timed("claim", lambda claim=claim: store.commit([], claim))).claimed
        assert len(taken) == size
        ends = [end(job, now) for job in taken]
        await timed("complete", lambda ends=ends: store.commit(ends))
    return times


def chain(now: float) -> Unit:
    """A job that waits for another, both new."""
    follower, first = new_job(now, state="waiting", deps_left=1), new_job(now, relation="before", followers=1)
    first.parent = follower.id
    return Unit([Insert(follower), Insert(first), AddEdge(Edge(first.id, follower.id))])


def onward(job: Job, now: float) -> Unit:
    """The end of a job for which another waits, and which makes one more."""
    return Unit([*end(job, now).writes, Release(job.id), Insert(new_job(now, parent=job.id, relation="after"))])


async def measure_chains(store: Store, size: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each commit of `size` units, by kind."""
    times: dict[str, list[float]] = {"job + prerequisite + edge": [], "complete + release + after": [], "tick": []}
    lane = new_job(0).lane

    async def timed(kind: str, units: list[Unit]) -> Any:
        began = time.perf_counter()
        answer = await store.commit(units)
        times[kind].append(time.perf_counter() - began)
        return answer

    async def clear() -> list[Job]:
        offer = Offer("s1", 1, "w1", 2 * size, frozenset([lane]))
        taken: list[Job] = (await store.commit([], Claim([offer], ids.tokens(2 * size)))).claimed
        return taken

    schedules = [Schedule(f"{size} {n}", "general", "noop", Rule("* * * * *")) for n in range(size)]
    await store.commit([Unit([PutSchedule(schedule)]) for schedule in schedules])
    for turn in range(rounds):
        now = store.now()
        await timed("job + prerequisite + edge", [chain(now) for _ in range(size)])
        taken = await clear()
        released = (await timed("complete + release + after", [onward(job, now) for job in taken])).released
        assert len(released) == size
        await store.commit([end(job, now) for job in await clear()])
        jobs = [new_job(now, schedule=schedule.id, tick=float(turn)) for schedule in schedules]
        await timed("tick", [Unit([PutSchedule(s, turn + 1), Insert(j)]) for s, j in zip(schedules, jobs, strict=True)])
        await store.commit([end(job, now) for job in await clear()])
    return times


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=int, default=0)
    parser.add_argument("--crowd", type=int, default=0)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--chains", action="store_true")
    parser.add_argument("--folder", default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        store: Store = MemoryStore() if options.memory else SQLiteStore(str(Path(folder) / "bench.db"))
        await store.open()
        now = store.now()
        await store.commit([Unit([PutSession(Session("s1", "w1", "w1", "h", 1, "live", now, now + 30))])])
        await fill(store, options.old, options.crowd)
        print(f"{'µs a job or unit: median (slowest commit ms)':40}" + "".join(f"{size:>18}" for size in SIZES))
        kinds = measure_chains if options.chains else measure
        columns = [await kinds(store, size, max(12, min(200, 20_000 // size))) for size in SIZES]
        for kind in columns[0]:
            cells = []
            for size, times in zip(SIZES, columns, strict=True):
                cells.append(f"{statistics.median(times[kind]) / size * 1e6:8.1f} ({max(times[kind]) * 1e3:5.1f})")
            print(f"{kind:40}" + "".join(f"{cell:>18}" for cell in cells))
        if options.old or options.crowd:
            await store.close()
            began = time.perf_counter()
            await store.open()
            print(f"opening again took {time.perf_counter() - began:.2f} s")
        await store.close()


if __name__ == "__main__":
    asyncio.run(main())
