"""Minutes of mixed work: nothing grows with the number of jobs that came and went."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from support import Cluster, Process

SECONDS = float(os.environ.get("EASYJOBS_TEST_SOAK", "180"))
SETTLED = 30.0
MOST_GROWTH = 12.0


def memory(process: Process) -> float:
    """What a process uses now, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def files(process: Process) -> int:
    """How many files a process has open."""
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 120)
def test_memory_and_files_stay_as_they_are_however_many_jobs_there_were(tmp_path: Path) -> None:
    settings = {"EASYJOBS_KEEP_ROWS": "2000", "EASYJOBS_WARN_DEPTH": "100000"}
    with Cluster(tmp_path, **settings) as cluster:
        manager = cluster.start_manager()
        worker = cluster.start_worker("soak")
        began = time.monotonic()
        before: dict[str, float] = {}
        made = 0
        while time.monotonic() - began < SECONDS:
            jobs = [
                {"queue": "soak", "task": "tally", "kwargs": {"n": made + n}, "priority": n % 3} for n in range(100)
            ]
            jobs.append({"queue": "soak", "task": "add", "kwargs": {"a": made}, "delay": 2})
            answer = cluster.http.post("/api/jobs", json=jobs)
            assert answer.status_code == 202, answer.text
            made += len(jobs)
            last = answer.json()["items"][0]["id"]
            assert cluster.get(f"/api/jobs/{last}/result", wait=30)["state"] == "completed"
            if not before and time.monotonic() - began > SETTLED:
                before = {p.name: memory(p) for p in (manager, worker)}
                opened = {p.name: files(p) for p in (manager, worker)}
            time.sleep(0.05)
        grown = {p.name: memory(p) - before[p.name] for p in (manager, worker)}
        more = {p.name: files(p) - opened[p.name] for p in (manager, worker)}
        print(f"{made} jobs in {SECONDS:g} s; grown by {grown} MB, {more} files")  # noqa: T201 - figures
        assert max(grown.values()) < MOST_GROWTH
        assert max(more.values()) <= 3
        assert sum(cluster.get("/api/stats")["jobs"].values()) < made
