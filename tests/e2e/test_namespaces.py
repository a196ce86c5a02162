"""Tasks in several namespaces, workers of several queues, several workers in one program; chains across them all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from support import COMMAND, FINAL, Cluster, Process, free_port, until

PATIENCE = 60.0


class Programs(NamedTuple):
    """Three programs: the manager with tasks of its own, a worker of A and B, an app with one of C and one of D."""

    cluster: Cluster
    manager: Process
    of_a_and_b: Process
    of_c_and_d: Process


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    with Cluster(tmp_path_factory.mktemp("queues")) as cluster:
        manager = cluster.start_manager("queues_manager:app")
        env = cluster.worker_env("unused")
        first = cluster.start("queues_worker", [COMMAND, "worker", "queues_worker:worker"], env)
        second = cluster.uvicorn("two_workers:server", free_port(), env)
        until(lambda: len(live(cluster)) == 4, "four workers are connected", PATIENCE)
        until(lambda: {"A", "B", "C", "D"} <= offered(cluster).keys(), "all tasks are there", PATIENCE)
        yield Programs(cluster, manager, first, second)


def live(cluster: Cluster) -> list[Any]:
    return [worker for worker in cluster.workers() if worker["state"] == "live"]


def offered(cluster: Cluster) -> dict[str, set[str]]:
    """The names of the tasks of each queue."""
    found: dict[str, set[str]] = {}
    for task in cluster.get("/api/tasks")["items"]:
        found.setdefault(task["queue"], set()).add(task["name"])
    return found


def chain_of(cluster: Cluster, id: str, jobs: int) -> list[tuple[int, str, str, str]]:
    """The whole chain of a job when all of its jobs have ended: how deep, why, which task, how it ended."""

    def ended() -> Any:
        tree = cluster.get(f"/api/jobs/{id}/tree")["items"]
        return tree if len(tree) == jobs and all(job["state"] in FINAL for job in tree) else None

    tree = until(ended, f"the {jobs} jobs of a chain have ended", PATIENCE)
    return [(job["depth"], job["relation"] or "first", f"{job['queue']}:{job['task']}", job["state"]) for job in tree]


def run(cluster: Cluster, queue: str, task: str, /, **arguments: Any) -> Any:
    job = cluster.end_of(cluster.submit(queue, task, arguments), PATIENCE)
    assert job["state"] == "completed", job
    return job["result"]


def test_each_queue_has_the_tasks_that_were_declared_in_it(programs: Programs) -> None:
    assert offered(programs.cluster) == {
        "one": {"shared", "tell"},
        "two": {"shared", "tell"},
        "A": {"count", "asks", "mourn", "where"},
        "B": {"count", "asks", "mourn", "where"},
        "C": {"double", "where"},
        "D": {"finish", "prepare", "where"},
    }
    answer = programs.cluster.http.post("/api/queues/C/tasks/finish", json={"n": 1})
    assert answer.status_code == 404
    assert "it has: double, where" in answer.json()["detail"]


def test_a_task_of_two_namespaces_runs_in_each_with_the_options_that_it_has_there(programs: Programs) -> None:
    cluster = programs.cluster
    one = cluster.submit("one", "shared", {"n": 1})
    two = cluster.submit("two", "shared", {"n": 1})
    # a plain name is of the same namespace
    assert chain_of(cluster, one, 2) == [(0, "first", "one:shared", "completed"), (1, "after", "one:tell", "completed")]
    told = next(job for job in cluster.get(f"/api/jobs/{one}/tree")["items"] if job["task"] == "tell")
    assert cluster.job(told["id"])["result"] == "2 in one"
    # "queue:task" is any other's: over three programs, here
    assert chain_of(cluster, two, 5) == [
        (0, "first", "two:shared", "completed"),
        (1, "after", "A:count", "completed"),
        (2, "after", "C:double", "completed"),
        (3, "after", "D:finish", "completed"),
        (4, "before", "D:prepare", "completed"),
    ]
    end = next(job for job in cluster.get(f"/api/jobs/{two}/tree")["items"] if job["task"] == "finish")
    assert cluster.job(end["id"])["result"] == 6


def test_a_failure_is_looked_after_in_another_queue_of_another_program(programs: Programs) -> None:
    cluster = programs.cluster
    id = cluster.submit("B", "count", {"n": 1000})
    assert chain_of(cluster, id, 5) == [
        (0, "first", "B:count", "completed"),
        (1, "after", "C:double", "completed"),
        (2, "after", "D:finish", "failed"),
        (3, "before", "D:prepare", "completed"),
        (3, "failure", "B:mourn", "completed"),
    ]
    mourner = next(job for job in cluster.get(f"/api/jobs/{id}/tree")["items"] if job["task"] == "mourn")
    assert cluster.job(mourner["id"])["result"] == "B mourns D:finish"


def test_one_worker_serves_two_queues_and_two_workers_share_one_program(programs: Programs) -> None:
    cluster = programs.cluster
    assert run(cluster, "A", "where") == ["A", programs.of_a_and_b.pid]
    assert run(cluster, "B", "where") == ["B", programs.of_a_and_b.pid]
    assert run(cluster, "C", "where") == ["C", programs.of_c_and_d.pid]
    assert run(cluster, "D", "where") == ["D", programs.of_c_and_d.pid]
    both = cluster.worker_of(programs.of_a_and_b)
    assert both["queues"] == ["A", "B"]
    apart = [worker for worker in live(cluster) if worker["pid"] == programs.of_c_and_d.pid]
    assert sorted((worker["queues"], worker["slots"]) for worker in apart) == [(["C"], 3), (["D"], 4)]


def test_code_calls_a_task_of_another_program_by_its_queue_and_name(programs: Programs) -> None:
    assert run(programs.cluster, "A", "asks", queue="C", n=21) == {"n": 42}


def test_a_queue_that_is_paused_holds_its_own_jobs_alone(programs: Programs) -> None:
    cluster = programs.cluster
    cluster.post("/api/queues/A/pause")
    held = cluster.submit("A", "where")
    assert run(cluster, "B", "where") == ["B", programs.of_a_and_b.pid]
    assert cluster.job(held)["state"] == "queued"
    cluster.post("/api/queues/A/resume")
    assert cluster.end_of(held, PATIENCE)["result"] == ["A", programs.of_a_and_b.pid]
