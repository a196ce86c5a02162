"""Pauses outlive the processes that they concern."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support import COMMAND, Cluster, Process, until

Make = Callable[..., Cluster]


def start(cluster: Cluster, name: str) -> Process:
    """A worker with an id of its own."""
    return cluster.start(
        "pausing", [COMMAND, "worker", "pausing:worker"], cluster.worker_env("own", EASYJOBS_WORKER_ID=name)
    )


def shown(cluster: Cluster, name: str, *states: str) -> Any:
    return until(
        lambda: next((w for w in cluster.workers() if w["id"] == name and w["state"] in states), None),
        f"{name} is shown as one of {states}",
    )


def test_a_worker_with_an_id_of_its_own_stays_paused_over_restarts_of_it_and_of_the_manager(make: Make) -> None:
    cluster = make()
    manager = cluster.start_manager()
    worker = start(cluster, "tired")
    shown(cluster, "tired", "live")
    assert cluster.end_of(cluster.submit("own", "enough"))["result"] == "enough"
    assert shown(cluster, "tired", "paused")["paused"]["by"].startswith("the worker ")
    waits = cluster.submit("own", "work", {"n": 7})

    worker.kill()
    assert shown(cluster, "tired", "away")["paused"] is not None
    manager.kill()
    manager = cluster.start_manager()
    assert shown(cluster, "tired", "away")["paused"] is not None
    worker = start(cluster, "tired")
    shown(cluster, "tired", "paused")
    (reason,) = cluster.get(f"/api/jobs/{waits}/explain")["reasons"]
    assert (reason["code"], reason["workers"]) == ("worker_paused", ["tired"])
    explained = cluster.run("jobs", "explain", waits)
    assert "To go on: easyjobs resume worker tired." in explained.stdout

    assert cluster.run("resume", "worker", "tired").stdout == "worker tired resumed\n"
    assert cluster.end_of(waits)["result"] == 7


def test_all_workers_are_paused_by_command_also_those_that_start_afterwards(make: Make) -> None:
    cluster = make()
    manager = cluster.start_manager()
    assert cluster.run("pause", "workers").returncode == 0
    manager.terminate()
    cluster.start_manager()
    start(cluster, "late")
    shown(cluster, "late", "paused")
    waits = cluster.submit("own", "work", {"n": 7})
    (reason,) = cluster.get(f"/api/jobs/{waits}/explain")["reasons"]
    assert reason["code"] == "workers_paused"
    assert cluster.run("resume", "workers").stdout == "all workers resumed\n"
    assert cluster.end_of(waits)["result"] == 7
