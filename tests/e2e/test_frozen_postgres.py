"""PostgreSQL hangs: its processes are there, take connections, and say nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from fleet import Fleet
from postgres_server import PostgresServer, own_server
from support import COMMAND, FINAL, until


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = own_server()
    yield server
    server.close()


@pytest.fixture
def fleet(server: PostgresServer, tmp_path: Path) -> Iterator[Fleet]:
    schema = f"frozen_{os.getpid()}_{time.monotonic_ns()}"
    with Fleet(tmp_path, f"{server.url}?schema={schema}&patience=2", 2) as fleet:
        yield fleet


def tree(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


@contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    assert server._process is not None
    stopped = tree(server._process.pid)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(stopped):
            os.kill(pid, signal.SIGCONT)


def test_while_postgresql_hangs_new_jobs_are_refused_and_then_all_goes_on(fleet: Fleet, server: PostgresServer) -> None:
    for n in range(2):
        fleet.begin(n)
    env = fleet.worker_env("frozen", 8)
    worker = fleet.start("worker", [COMMAND, "worker", "tasks:worker"], env)
    for client in fleet.direct:
        until(lambda at=client: worker.pid in [w["pid"] for w in at.get("/api/workers").json()["items"]], "it came")
    gate = fleet.gate()
    held = [fleet.submit("frozen", "hold", {"gate": str(gate)}) for _ in range(3)]
    for id in held:
        fleet.until_effect(id, "began")
    acknowledged = list(held)
    with frozen(server):
        gate.touch()  # they end, and nobody can write it down
        refused = [_submit(client) for client in fleet.direct for _ in range(4)]
        assert {answer.status_code for answer in refused} == {503}
        assert {client.get(f"/api/jobs/{held[0]}").status_code for client in fleet.direct} == {503}
        assert {client.get("/health/ready").status_code for client in fleet.direct} == {503}
    for client in fleet.direct:
        answer = until(lambda at=client: (a := _submit(at)).status_code == 202 and a, "new jobs are taken again")
        acknowledged.append(answer.json()["id"])
    for id in acknowledged:
        job = until(lambda id=id: (j := _job(fleet, id)).get("state") in FINAL and j, "all jobs end")
        assert (job["state"], job["attempt"]) == ("completed", 1)


def _submit(client: httpx.Client) -> httpx.Response:
    return client.post("/api/queues/frozen/tasks/add", json={"a": 1}, timeout=60.0)


def _job(fleet: Fleet, id: str) -> dict[str, object]:
    answer = fleet.direct[0].get(f"/api/jobs/{id}")
    return answer.json() if answer.status_code == 200 else {}
