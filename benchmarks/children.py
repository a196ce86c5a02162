"""`python -m benchmarks.children`: jobs in child processes, manager and worker as deployed.

A figure of a bare Python that starts and ends stands beside them: no child can be faster than that. All runs with a
thousand jobs take some minutes; `--jobs 100 --runs 1` is a first look.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.chains import completed
from benchmarks.cluster import Cluster

FOLDER = Path(__file__).parent / "child_scripts"


def timed(cluster: Cluster, task: str, jobs: int) -> float:
    """Seconds from the submission of so many jobs of a task until all have completed."""
    wanted = completed(cluster) + jobs
    start = time.perf_counter()
    cluster.http.post("/api/jobs", json=[{"queue": "children", "task": task}] * jobs).raise_for_status()
    while completed(cluster) < wanted:
        time.sleep(0.002 * jobs**0.5)  # to ask takes time from the children
    return time.perf_counter() - start


def bare() -> float:
    """Seconds that a Python takes which does nothing."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000, help="of each run with many jobs")
    parser.add_argument("--slots", type=int, default=4, help="children at once")
    parser.add_argument("--runs", type=int, default=3)
    chosen = parser.parse_args()
    os.environ["WORKER_TASK_DIR"] = str(FOLDER)
    os.environ["EASYJOBS_MAX_TASKS_PER_WORKER"] = str(chosen.slots)
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder)) as cluster:
        cluster.start("easyjobs", "worker", "benchmarks.child_tasks:worker")
        cluster.until("the worker is connected", lambda: len(cluster.workers()) == 1)
        timed(cluster, "script", 1)
        jobs, slots = chosen.jobs, chosen.slots
        figures: dict[str, Callable[[], float]] = {
            "a bare Python, ms": lambda: 1000 * bare(),
            "one file (subprocess=True), ms": lambda: 1000 * timed(cluster, "script", 1),
            "one function (process=True), ms": lambda: 1000 * timed(cluster, "function", 1),
            f"{jobs} files, {slots} at once, jobs/s": lambda: jobs / timed(cluster, "script", jobs),
            f"{jobs} functions, {slots} at once, jobs/s": lambda: jobs / timed(cluster, "function", jobs),
        }
        print(f"medians of {chosen.runs} runs")
        for name, measure in figures.items():
            found = [measure() for _ in range(chosen.runs)]
            print(f"  {name:<40}{statistics.median(found):>10,.1f}   ({min(found):,.1f} to {max(found):,.1f})")


if __name__ == "__main__":
    main()
