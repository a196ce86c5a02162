"""Eight workers at three managers: what runs on one machine never takes more than it has, whoever is killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet import Fleet
from postgres_server import own_server
from support import COMMAND, Line, Process, until

HAS = {"one": 100, "two": 92}
JOBS = {"small": 60, "middle": 30, "big": 6, "usual": 60, "limited": 24}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    server = own_server()
    try:
        with Fleet(tmp_path, f"{server.url}?schema=units_{os.getpid()}", 3, EASYJOBS_LEASE="20") as fleet:
            yield fleet
    finally:
        server.close()


def start_worker(fleet: Fleet, n: int) -> Process:
    """Worker `n`: every other is on the other machine."""
    machine = sorted(HAS)[n % 2]
    env = fleet.worker_env(
        "units",
        6,
        EASYJOBS_MANAGER_URL=f"ws://127.0.0.1:{fleet.port}",
        EASYJOBS_SYSTEM_ID=machine,
        JOBMASTER_SYSTEM_PROCESS_UNITS=str(HAS[machine]),
    )
    return fleet.start("worker", [COMMAND, "worker", "--by-type-key", "unit_tasks"], env)


def kill(fleet: Fleet, worker: Process) -> None:
    """kill -9; the ledger knows that what it and its child processes had begun has ended. It is told before anybody
    else can notice, and when they can say nothing more.
    """
    worker.send(signal.SIGSTOP)
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGSTOP)
    with fleet.effects_file.open("a") as ledger:
        ledger.writelines(f"- 0 {pid} killed\n" for pid in (worker.pid, *children))
    worker.kill()


class Measured:
    """What ran at the same time, by the ledger: its lines are in the order in which they were written, and stand
    between the claim of a job and its end.
    """

    def __init__(self, lines: list[Line], tasks: dict[str, str]) -> None:
        self.most: Counter[str] = Counter()
        self.most_of: Counter[str] = Counter()
        running: dict[tuple[str, int], tuple[int, str, int]] = {}
        for line in lines:
            if line.what == "killed":
                running = {key: of for key, of in running.items() if of[2] != line.pid}
                continue
            what, units, system = line.what.split(" ")
            if what == "take":
                running[line.job, line.attempt] = (int(units), system, line.pid)
            else:
                running.pop((line.job, line.attempt), None)
            now: Counter[str] = Counter()
            for taken, machine, _ in running.values():
                now[machine] += taken
            of_task = Counter(tasks[job] for job, _ in running)
            self.most |= now
            self.most_of |= of_task


@pytest.mark.timeout(180)
def test_units_and_limits_hold_over_all_workers_of_a_machine(fleet: Fleet) -> None:
    for n in range(3):
        fleet.begin(n)
    workers = [start_worker(fleet, n) for n in range(8)]
    fleet.until_connected(*workers)
    calls = [(task, n) for task, times in JOBS.items() for n in range(times)]
    random.Random(3).shuffle(calls)
    tasks = {}
    half = len(calls) // 2
    body = [{"queue": "units", "task": task, "kwargs": {"n": n}} for task, n in calls]
    for part in (body[:half], body[half:]):
        made = fleet.direct[0 if part is body[:half] else 1].post("/api/jobs", json=part).json()["items"]
        tasks.update({job["id"]: job["task"] for job in made})
    until(lambda: len(fleet.effects()) > 40, "work goes on")
    kill(fleet, workers[0])
    fleet.kill(2)
    until(lambda: len(fleet.effects()) > 100, "work goes on")
    kill(fleet, workers[1])
    workers[:2] = [start_worker(fleet, n) for n in range(2)]
    fleet.begin(2, wait=False)

    def open_jobs() -> int:
        totals = fleet.direct[0].get("/api/stats").json()["jobs"]
        return sum(totals.get(state, 0) for state in ("queued", "running", "retry", "waiting"))

    until(lambda: open_jobs() == 0, "all jobs end", 120)
    totals = fleet.direct[0].get("/api/stats").json()["jobs"]
    assert totals["completed"] == len(calls)
    measured = Measured(fleet.effects(), tasks)
    for machine, units in HAS.items():
        assert units // 2 < measured.most[machine] <= units, (machine, measured.most)
    assert 1 < measured.most_of["limited"] <= 3
    assert measured.most_of["big"] in (1, 2), "one on each machine at most"
    began = {line.job: at for at, line in reversed(list(enumerate(fleet.effects()))) if line.job in tasks}
    bigs = sorted(at for job, at in began.items() if tasks[job] == "big")
    others = max(at for job, at in began.items() if tasks[job] != "big")
    assert bigs[len(bigs) // 2] < others, "big jobs do not wait until all others are done; one may, by chance"
