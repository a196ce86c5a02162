"""`python -m benchmarks.workflows`: how long runs of workflows take, and scripts; manager and worker as deployed, on
SQLite with FULL durability. A figure of a bare shell that does the same stands beside the scripts.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.chains import completed
from benchmarks.cluster import Cluster

RUNS = 1000
TEN = 10
WIDE = 10_000
SCRIPTS = 500
SCRIPT = Path(__file__).parent / "shell_scripts" / "done.sh"


def timed(cluster: Cluster, queue: str, task: str, times: int, jobs_each: int) -> float:
    """Seconds from `times` submissions of a task or workflow until all jobs of that have completed."""
    wanted = completed(cluster) + times * jobs_each
    start = time.perf_counter()
    cluster.http.post("/api/jobs", json=[{"queue": queue, "task": task}] * times).raise_for_status()
    while completed(cluster) < wanted:
        time.sleep(0.005)
    return time.perf_counter() - start


def bare() -> float:
    """Seconds that a shell takes which prints the same."""
    start = time.perf_counter()
    subprocess.run([SCRIPT], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder)) as cluster:
        cluster.start("easyjobs", "worker", "benchmarks.workflow_tasks:worker")
        cluster.start("easyjobs", "worker", "benchmarks.workflow_tasks:scripts")
        cluster.until("the workers are connected", lambda: len(cluster.workers()) == 2)
        timed(cluster, "flows", "ten", 1, TEN + 1)
        figures: dict[str, Callable[[], float]] = {
            f"one run of {TEN} tasks, ms": lambda: 1000 * timed(cluster, "flows", "ten", 1, TEN + 1),
            f"{RUNS:,} runs of {TEN} tasks, s": lambda: timed(cluster, "flows", "ten", RUNS, TEN + 1),
            f"one run, a map of {WIDE:,}, s": lambda: timed(cluster, "flows", "mapped", 1, WIDE + 3),
            f"one run, a graph of {WIDE:,}, s": lambda: timed(cluster, "flows", "wide", 1, WIDE + 1),
            "a bare shell, ms": lambda: 1000 * bare(),
            "one script, ms": lambda: 1000 * timed(cluster, "scripts", "done", 1, 1),
            f"{SCRIPTS} scripts, 4 at once, s": lambda: timed(cluster, "scripts", "done", SCRIPTS, 1),
        }
        print(f"medians of {runs} runs")
        for name, measure in figures.items():
            found = [measure() for _ in range(runs)]
            print(
                f"  {name:<34}{statistics.median(found):>10,.2f}   ({min(found):,.2f} to {max(found):,.2f})", flush=True
            )


if __name__ == "__main__":
    main()
