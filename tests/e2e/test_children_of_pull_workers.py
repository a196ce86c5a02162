"""Tasks in child processes of a pull worker: they make jobs and hear of their ends, where there is nothing to dial."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pulling import beside, pull_worker
from support import APPS, Cluster, Process

Make = Callable[..., Cluster]


@pytest.fixture
def pulled(make: Make, tmp_path: Path) -> tuple[Cluster, Process]:
    """A manager for HTTP only, and a pull worker of one slot."""
    scripts = tmp_path / "scripts"
    shutil.copytree(APPS / "scripts", scripts)
    cluster = make(WORKER_TASK_DIR=str(scripts))
    cluster.manager = beside(cluster, "api-server", "--port", str(cluster.port))
    cluster.until_ready()
    puller = pull_worker(cluster, "pulled", 1, "children:worker")
    cluster.until_connected(puller)
    return cluster, puller


def run(cluster: Cluster, task: str, arguments: dict[str, Any] | None = None) -> Any:
    job = cluster.end_of(cluster.submit("pulled", task, arguments))
    assert job["state"] == "completed", job
    return job


def test_they_make_jobs_and_their_slot_is_free_meanwhile(pulled: tuple[Cluster, Process]) -> None:
    cluster, puller = pulled
    assert run(cluster, "where", {"n": 1})["result"]["parent"] == puller.pid
    asked = run(cluster, "asks", {"n": 4})
    assert asked["result"] == 9
    many = run(cluster, "asks_many", {"n": 3})
    assert many["result"] == [6, 0, 2, 4]
    made = [job for job in cluster.get("/api/jobs", queue="pulled", task="double")["items"] if job["parent"]]
    assert {job["parent"] for job in made} == {asked["id"], many["id"]}


def test_they_cancel_what_they_made_and_pass_much_on(pulled: tuple[Cluster, Process]) -> None:
    cluster, _ = pulled
    assert run(cluster, "asks_for_much", {"n": 30})["result"] == [100_000] * 30
    (held,) = cluster.get("/api/jobs", queue="pulled", task="hold")["items"]
    assert held["state"] == "cancelled"


def test_what_they_say_is_all_there(pulled: tuple[Cluster, Process]) -> None:
    cluster, _ = pulled
    job = run(cluster, "talks")
    assert job["progress"] == {"value": 0.5, "note": "half"}
    assert ("info", "the last line, without an end") in {
        (line["level"], line["text"]) for line in cluster.logs(job["id"])
    }
    assert run(cluster, "adds", {"a": 1, "b": 2})["result"] == {"sum": 3}


def test_a_file_that_runs_for_its_task_makes_jobs_too(pulled: tuple[Cluster, Process]) -> None:
    cluster, _ = pulled
    job = run(cluster, "calls", {"n": 4})
    assert job["result"] == 8
    (made,) = cluster.get("/api/jobs", queue="pulled", task="double")["items"]
    assert made["parent"] == job["id"]
