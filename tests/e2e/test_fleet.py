"""Three managers and their workers on one PostgreSQL: any manager for any word, and whoever dies."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fleet import Fleet
from postgres_server import PostgresServer, own_server
from support import COMMAND, FINAL, LONG, Process, until

STORM = float(os.environ.get("EASYJOBS_TEST_STORM", "20"))
"""Seconds of faults."""

QUEUE = "fleet"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = own_server()
    yield server
    server.close()


@pytest.fixture
def fleet(server: PostgresServer, tmp_path: Path) -> Iterator[Fleet]:
    schema = f"fleet_{os.getpid()}_{time.monotonic_ns()}"
    with Fleet(tmp_path, f"{server.url}?schema={schema}", 3) as fleet:
        yield fleet


@pytest.fixture
def calm(server: PostgresServer, tmp_path: Path) -> Iterator[Fleet]:
    """One that gives up on nobody for being slow."""
    schema = f"calm_{os.getpid()}_{time.monotonic_ns()}"
    with Fleet(tmp_path, f"{server.url}?schema={schema}", 3, **LONG) as fleet:
        yield fleet


def worker_at(fleet: Fleet, port: int | None = None, slots: int = 8) -> Process:
    """A worker; with `port` it comes to that manager, else to any."""
    env = fleet.worker_env(QUEUE, slots, EASYJOBS_MANAGER_URL=f"ws://127.0.0.1:{port or fleet.port}")
    return fleet.start("worker", [COMMAND, "worker", "tasks:worker"], env)


def job_at(client: httpx.Client, id: str) -> Any:
    return client.get(f"/api/jobs/{id}").json()


def test_submitted_to_one_run_at_another_awaited_and_cancelled_elsewhere(fleet: Fleet) -> None:
    for n in range(3):
        fleet.begin(n)
    worker = worker_at(fleet, fleet.ports[0])
    first, second, third = fleet.direct

    def connected() -> bool:
        answers = [client.get("/api/workers").json()["items"] for client in fleet.direct]
        return all(worker.pid in [view["pid"] for view in views] for views in answers)

    until(connected, "all managers show the worker")
    done = second.post(f"/api/queues/{QUEUE}/tasks/add", json={"a": 2, "b": 40}, params={"wait": 60})
    assert (done.status_code, done.json()["result"]) == (200, 42)
    gate = fleet.gate()
    held = second.post(f"/api/queues/{QUEUE}/tasks/hold", json={"gate": str(gate)}).json()["id"]
    fleet.until_effect(held, "began")
    explained = third.get(f"/api/jobs/{held}/explain").json()
    assert [reason["code"] for reason in explained["reasons"]] == ["running"]
    assert third.post(f"/api/jobs/{held}/cancel").status_code in (200, 202)
    ended = first.get(f"/api/jobs/{held}/result", params={"wait": 60}).json()
    assert ended["state"] == "cancelled"


def test_when_a_manager_is_killed_its_workers_go_on_elsewhere(calm: Fleet) -> None:
    for n in range(3):
        calm.begin(n)
    worker = worker_at(calm)
    until(lambda: any(v["pid"] == worker.pid for v in calm.direct[0].get("/api/workers").json()["items"]), "it came")
    gate = calm.gate()
    id = calm.direct[0].post(f"/api/queues/{QUEUE}/tasks/hold", json={"gate": str(gate)}).json()["id"]
    calm.until_effect(id, "began")
    for n in range(2):  # wherever it is, it loses its manager once or twice
        calm.kill(n)
        until(lambda: job_at(calm.direct[2], id)["state"] == "running", "its job still runs")
    fast = calm.direct[2].post(f"/api/queues/{QUEUE}/tasks/add", json={"a": 1}, params={"wait": 60}).json()
    assert fast["state"] == "completed", "the worker takes jobs of the manager that is left"
    gate.touch()
    ended = until(lambda: (j := job_at(calm.direct[2], id))["state"] in FINAL and j, "the job ends")
    assert (ended["state"], ended["attempt"]) == ("completed", 1)


class Producer(threading.Thread):
    """Makes jobs at any manager, and keeps the ids that were acknowledged."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(name="producer")
        self._fleet = fleet
        self._over = threading.Event()
        self.acknowledged: dict[str, int] = {}
        self.refused = 0
        self._n = 0

    def run(self) -> None:
        with httpx.Client(
            base_url=self._fleet.url, headers=self._fleet.http.headers, timeout=10.0, trust_env=False
        ) as http:
            while not self._over.is_set():
                self._n += 1
                self._submit(http, self._n)

    def _submit(self, http: httpx.Client, n: int) -> None:
        key = {"Idempotency-Key": f"job {n}"}
        while not self._over.is_set():
            try:
                answer = http.post(f"/api/queues/{QUEUE}/tasks/tally", json={"n": n}, headers=key)
            except httpx.TransportError:
                self.refused += 1
                time.sleep(0.05)
                continue
            if answer.status_code in (200, 202):
                self.acknowledged[answer.json()["id"]] = n
                time.sleep(0.005)
                return
            assert answer.status_code in (404, 429, 503), answer.text
            self.refused += 1
            time.sleep(0.05)

    def stop(self) -> None:
        self._over.set()
        self.join()


def figures(
    producer: Producer,
    killed: Counter[str],
    lost: list[str],
    twice: list[tuple[str, int]],
    faults: list[float],
    rows: dict[str, Any],
) -> str:
    """What the storm did, for people."""
    made = sorted((moment(row["created_at"]), moment(row["finished_at"])) for row in rows.values())
    after = [[end for begun, end in made if begun > at] for at in faults]
    healed = [min(ends) - at for at, ends in zip(faults, after, strict=True) if ends]
    again = [moment(r["finished_at"]) - moment(r["created_at"]) for r in rows.values() if r["attempt"] > 1]
    return (
        f"\n{len(producer.acknowledged)} acknowledged, {producer.refused} refused, killed {dict(killed)}, "
        f"{len(lost)} lost, {len(twice)} attempts twice\n"
        f"from a fault to the end of a job made after it: {spread(healed)}\n"
        f"{len(again)} jobs took more than one attempt, from their making to their end: {spread(again)}"
    )


def moment(said: str) -> float:
    return datetime.fromisoformat(said).timestamp()


def spread(seconds: list[float]) -> str:
    found = sorted(seconds)
    if not found:
        return "none"
    p50, p99 = (found[min(len(found) - 1, int(share * len(found)))] for share in (0.5, 0.99))
    return f"p50 {p50:.2f} s, p99 {p99:.2f} s, most {found[-1]:.2f} s"


@pytest.mark.timeout(240 + 2 * STORM)
def test_nothing_is_lost_whatever_a_nemesis_kills(fleet: Fleet, server: PostgresServer) -> None:
    """Managers and workers die, PostgreSQL stops and crashes; whoever was told that a job is stored finds it done."""
    chance = random.Random(5)
    for n in range(3):
        fleet.begin(n)
    workers = [worker_at(fleet, slots=4) for _ in range(6)]
    until(lambda: len(fleet.direct[0].get("/api/workers").json()["items"]) == 6, "all workers are there")
    producer = Producer(fleet)
    producer.start()
    killed: Counter[str] = Counter()
    faults: list[float] = []
    over = time.monotonic() + STORM
    try:
        while time.monotonic() < over:
            time.sleep(chance.uniform(0.2, 1.5))
            what = chance.choice(["manager", "manager", "worker", "worker", "postgres"])
            killed[what] += 1
            faults.append(time.time())
            if what == "manager":
                n = chance.randrange(3)
                fleet.kill(n)
                fleet.begin(n, wait=False)
            elif what == "worker":
                at = chance.randrange(len(workers))
                workers[at].kill()
                workers[at] = worker_at(fleet, slots=4)
            else:
                server.restart(chance.choice(["fast", "immediate"]))
    finally:
        producer.stop()
    for n in range(3):
        if not (process := fleet.managers[n]) or not process.running:
            fleet.begin(n, wait=False)
    until(lambda: any(fleet.is_ready(n) for n in range(3)), "a manager is ready")

    def counts() -> Counter[str]:
        totals: dict[str, int] = fleet.get("/api/stats")["jobs"]
        return Counter(totals)

    def settled() -> bool:
        try:
            now = counts()
        except (AssertionError, httpx.TransportError):
            return False
        return not any(now[state] for state in ("queued", "running", "retry", "waiting"))

    until(settled, "all jobs end", 150)
    acknowledged = producer.acknowledged
    assert len(acknowledged) == len(set(acknowledged.values())), "one key, one job"
    rows: dict[str, Any] = {}
    cursor = None
    while True:
        page = fleet.get("/api/jobs", limit=500, **({"cursor": cursor} if cursor else {}))
        rows.update({job["id"]: job for job in page["items"]})
        cursor = page["next"]
        if cursor is None:
            break
    lost = [id for id in acknowledged if id not in rows]
    wrong = {id: rows[id]["state"] for id in acknowledged if id in rows and rows[id]["state"] != "completed"}
    runs = Counter((line.job, line.attempt) for line in fleet.effects())
    twice = [run for run, times in runs.items() if times > 1]
    print(figures(producer, killed, lost, twice, faults, rows))  # noqa: T201
    assert lost == []
    assert twice == [], "one attempt ran twice"
    assert not set(wrong.values()) - {"failed"}, wrong
    crashed = [id for id in wrong if rows[id]["error"]["type"] != "WorkerDied"]
    assert crashed == []
    assert len(wrong) <= len(acknowledged) // 100, "three crashes fail a job, and hardly any has so many"
    for id in acknowledged:
        if id not in wrong:
            assert rows[id]["result"]["n"] == acknowledged[id]
            assert (id, rows[id]["attempt"]) in runs
