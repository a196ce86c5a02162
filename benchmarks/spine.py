"""The way of a job, measured from outside: a client process, a manager process, one worker process."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.cluster import Cluster, free_port, peak_memory
from easyjobs import EasyJobsClient
from easyjobs.ids import Ids
from easyjobs.tasks.handle import Call

ONE_BY_ONE = 2_000
BULK = 50_000
CALL = 1_000
DRAIN = 10_000
IN_FLIGHT = 200
END_TO_END = 30_000
LATENCIES = 300


def payload(n: int) -> dict[str, Any]:
    """The arguments of the task that does nothing."""
    return {"n": n, "s": "x" * 64}


async def measure(cluster: Cluster) -> dict[str, float]:
    """All figures of one fresh store: jobs a second, milliseconds, megabytes."""
    worker = cluster.worker()  # so that the manager knows the task
    cluster.stop(worker)
    figures: dict[str, float] = {}
    async with EasyJobsClient(cluster.url, cluster.secret) as client:
        figures["enqueue one by one /s"] = await _one_by_one(client)
        figures["enqueue in bulk /s"] = await _in_bulk(client)
    _empty(cluster)
    async with EasyJobsClient(cluster.url, cluster.secret) as client:
        await client.submit_many([Call("bench", "noop", kwargs=payload(n)) for n in range(DRAIN)])
    worker = cluster.worker()
    cluster.until("the queue is drained", lambda: _state(cluster).get("completed") == DRAIN)
    figures["drain /s"] = _drain_rate(cluster)
    async with EasyJobsClient(cluster.url, cluster.secret) as client:
        await client.run("bench", "noop", kwargs=payload(0))
        figures.update(await _latencies(client))
        figures["end to end /s"] = await _end_to_end(client)
        await client.submit_many([Call("bench", "noop", kwargs=payload(n)) for n in range(60_000)])
    cluster.until("100,000 jobs are stored", lambda: _state(cluster).get("completed", 0) >= 100_000)
    figures["manager MB"] = peak_memory(cluster.manager)
    figures["worker MB"] = peak_memory(worker)
    cluster.stop(worker)
    figures["embedded worker MB"] = await _embedded(cluster)
    return figures


async def _one_by_one(client: EasyJobsClient) -> float:
    began = time.perf_counter()
    for n in range(ONE_BY_ONE):
        await client.submit("bench", "noop", kwargs=payload(n))
    return ONE_BY_ONE / (time.perf_counter() - began)


async def _in_bulk(client: EasyJobsClient) -> float:
    began = time.perf_counter()
    calls = (
        client.submit_many([Call("bench", "noop", kwargs=payload(n)) for n in range(first, first + CALL)])
        for first in range(0, BULK, CALL)
    )
    await asyncio.gather(*calls)
    return BULK / (time.perf_counter() - began)


async def _latencies(client: EasyJobsClient) -> dict[str, float]:
    times = []
    for n in range(LATENCIES):
        began = time.perf_counter()
        await client.run("bench", "noop", kwargs=payload(n))
        times.append((time.perf_counter() - began) * 1e3)
    times.sort()
    return {f"p{p} ms": times[min(LATENCIES - 1, LATENCIES * p // 100)] for p in (50, 95, 99)}


async def _end_to_end(client: EasyJobsClient) -> float:
    numbers: Iterator[int] = iter(range(END_TO_END))

    async def one_after_another() -> None:
        for n in numbers:
            answer = await client.run("bench", "noop", kwargs=payload(n))
            if answer != {"n": n, "ok": True}:
                raise SystemExit(f"job {n} answered {answer}")

    began = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(IN_FLIGHT)))
    return END_TO_END / (time.perf_counter() - began)


def _state(cluster: Cluster) -> dict[str, int]:
    jobs: dict[str, int] = cluster.http.get("/api/stats").json()["jobs"]
    return jobs


def _empty(cluster: Cluster) -> None:
    """Let a worker finish what the enqueues left, then forget it all: the drain starts on an empty table."""
    worker = cluster.worker()
    expected = ONE_BY_ONE + BULK
    cluster.until("the enqueued jobs are done", lambda: _state(cluster).get("completed") == expected)
    cluster.stop(worker)
    cluster.end()
    cluster.rows.remove()
    cluster.begin()
    cluster.stop(cluster.worker())


def _drain_rate(cluster: Cluster) -> float:
    """From the first to the last of the finished, by the times on their rows."""
    times = cluster.rows.finished(DRAIN)
    return (DRAIN - times.count(min(times))) / (max(times) - min(times))


async def _embedded(cluster: Cluster) -> float:
    """The peak memory of a FastAPI application with a worker in it, after some thousand jobs."""
    app = cluster.start("uvicorn", "benchmarks.embedded:app", "--port", str(free_port()), "--log-level", "warning")
    cluster.until("the embedded worker is connected", lambda: len(cluster.workers()) == 1)
    async with EasyJobsClient(cluster.url, cluster.secret) as client:
        for handle in await client.submit_many([Call("bench", "noop", kwargs=payload(n)) for n in range(5_000)]):
            await handle
    peak = peak_memory(app)
    cluster.stop(app)
    return peak


def fill(file: Path, rows: int) -> None:
    """Put finished jobs into a store, as if it had worked for a week."""
    ids = Ids(1)
    db = sqlite3.connect(file)
    at = time.time() - 3600
    values = (
        (ids.job_id(at), "bench", "noop", "old", "[]", '{"n":1,"s":"' + "x" * 64 + '"}', "completed", at, at, at, at)
        for _ in range(rows)
    )
    db.executemany(
        "INSERT INTO jobs(id, queue, task, signature, args, kwargs, state, created_at, run_at, started_at, finished_at,"
        " result, attempt, version, priority, max_attempts) VALUES (?,?,?,?,?,?,?,?,?,?,?,'true',1,2,0,2)",
        values,
    )
    db.commit()
    db.close()


async def drain_beside(cluster: Cluster, rows: int) -> tuple[float, float]:
    """The drain of a fresh store, and again with `rows` old jobs in it: jobs a second, each the median of three."""
    rates = []
    for old in (0, rows):
        if old:
            cluster.end()
            fill(cluster.rows.file, old)
            cluster.begin()
        else:
            cluster.stop(cluster.worker())
        runs = [await _one_drain(cluster) for _ in range(3)]
        rates.append(statistics.median(runs))
    return rates[0], rates[1]


async def _one_drain(cluster: Cluster) -> float:
    before = _state(cluster).get("completed", 0)
    async with EasyJobsClient(cluster.url, cluster.secret) as client:
        await client.submit_many([Call("bench", "noop", kwargs=payload(n)) for n in range(DRAIN)])
    began = time.time()
    worker = cluster.worker()
    cluster.until("the queue is drained", lambda: _state(cluster).get("completed") == before + DRAIN)
    cluster.stop(worker)
    times = cluster.rows.finished(DRAIN)
    first, last = min(times), max(times)
    if first < began - 60:
        raise SystemExit("the drain counted jobs that are not its own")
    return (DRAIN - times.count(first)) / (last - first)
