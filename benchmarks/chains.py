"""`python -m benchmarks.chains`: how long chains take, manager and worker as deployed, SQLite with FULL durability."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.cluster import Cluster

LINE = 10
FAN = 1000


def completed(cluster: Cluster) -> int:
    """How many jobs have completed."""
    jobs: dict[str, int] = cluster.http.get("/api/stats").json()["jobs"]
    return jobs.get("completed", 0)


def timed(cluster: Cluster, task: str, times: int, jobs_each: int) -> float:
    """Seconds from `times` submissions of a task until all jobs that follow have completed."""
    wanted = completed(cluster) + times * jobs_each
    start = time.perf_counter()
    body = [{"queue": "chains", "task": task}] * times
    cluster.http.post("/api/jobs", json=body).raise_for_status()
    while completed(cluster) < wanted:
        time.sleep(0.001)
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder)) as cluster:
        cluster.start("easyjobs", "worker", "benchmarks.chain_tasks:worker")
        cluster.until("the worker is connected", lambda: len(cluster.workers()) == 1)
        timed(cluster, "line0", 1, LINE)
        figures: dict[str, Callable[[], float]] = {
            f"one chain of {LINE}, ms": lambda: 1000 * timed(cluster, "line0", 1, LINE),
            f"100 chains of {LINE}, jobs/s": lambda: 100 * LINE / timed(cluster, "line0", 100, LINE),
            f"one job with {LINE} before it, ms": lambda: 1000 * timed(cluster, "last", 1, LINE + 1),
            "100 such jobs, jobs/s": lambda: 100 * (LINE + 1) / timed(cluster, "last", 100, LINE + 1),
            f"one job with {FAN} after it, ms": lambda: 1000 * timed(cluster, "fan", 1, FAN + 1),
            "10 such jobs, jobs/s": lambda: 10 * (FAN + 1) / timed(cluster, "fan", 10, FAN + 1),
        }
        print(f"medians of {runs} runs")
        for name, measure in figures.items():
            found = [measure() for _ in range(runs)]
            print(f"  {name:<34}{statistics.median(found):>10,.1f}   ({min(found):,.1f} to {max(found):,.1f})")


if __name__ == "__main__":
    main()
