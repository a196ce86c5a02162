"""The examples that the project grew from, as they were printed: an ETL worker, a manager, child processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support import APPS, Cluster, free_port, until

FOLDER = {"SEED_TASK_DIR": str(APPS / "blocking_funcs")}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The manager and the ETL worker."""
    with Cluster(tmp_path_factory.mktemp("first"), **FOLDER) as cluster:
        cluster.use_secret("abcd1234")
        cluster.settings["SEED_PORT"] = str(cluster.port)
        cluster.start_manager("seed_manager:server")
        cluster.uvicorn("seed_worker:server", free_port(), {"MANAGER_PORT": str(cluster.port), **FOLDER})
        until(lambda: any(w["queues"] == ["ETL"] for w in cluster.workers()), "the worker is there")
        yield cluster


def of(cluster: Cluster, task: str, **query: Any) -> list[Any]:
    """The jobs of a task, oldest first."""
    return list(reversed(cluster.get("/api/jobs", task=task, **query)["items"]))


def child(cluster: Cluster, parent: str, task: str, relation: str) -> Any:
    """The one job of `task` that `parent` made."""
    (id,) = [job["id"] for job in of(cluster, task) if job["parent"] == parent]
    job = cluster.job(id)
    assert job["relation"] == relation
    return job


def test_the_etl_chain_runs_from_its_schedule_to_the_child_process(cluster: Cluster) -> None:
    (schedule,) = [s for s in cluster.get("/api/schedules")["items"] if s["task"] == "extract"]
    assert schedule["id"] == "ETL:extract"
    assert len(schedule["upcoming"]) == 5
    tick = cluster.post(f"/api/schedules/{schedule['id']}/run")
    pipeline = cluster.submit("ETL", "pipeline")

    extract = cluster.end_of(tick["id"])
    assert extract["result"] == {"data": {"a": 1, "b": 2, "c": 3}}
    transform = cluster.end_of(child(cluster, extract["id"], "transform", "after")["id"])
    assert transform["result"] == {"data": {"a": 3, "b": 4, "c": 5}}
    load = cluster.end_of(child(cluster, transform["id"], "load", "after")["id"])
    compute = child(cluster, load["id"], "compute", "after")
    assert compute["state"] == "waiting"
    configure = child(cluster, compute["id"], "configure_environment", "before")
    for task in ("deploy_environment", "prepare_db"):
        first = child(cluster, configure["id"], task, "before")["id"]
        until(lambda id=first: cluster.job(id)["state"] in ("running", "completed"), f"{task} begins")

    assert cluster.end_of(compute["id"])["result"] == {"computed": {"a": 3, "b": 4, "c": 5}}
    done = cluster.end_of(pipeline)
    assert done["result"] == {"computed": {"test": "data"}}
    tree = cluster.get(f"/api/jobs/{load['id']}/tree")
    assert "prepare_db" in str(tree)
    assert of(cluster, "failure_notify") == []


def test_a_failure_is_notified_and_the_notice_gets_the_failure(cluster: Cluster) -> None:
    id = cluster.submit("ETL", "finance_work", {"employee_id": "7", "employee_data": {}})
    failed = cluster.end_of(id)
    assert failed["state"] == "failed"
    assert failed["attempt"] == 2  # retry_once

    notice = cluster.end_of(child(cluster, id, "send_failure_email", "failure")["id"])

    assert notice["state"] == "completed"
    assert "no data of 7" in notice["result"]
    assert id in notice["result"]
    fine = cluster.submit("ETL", "finance_work", {"employee_id": "7", "employee_data": {"a": 1}})
    assert cluster.end_of(fine)["result"] == {"profit": 1}


def test_child_processes_of_a_worker_and_of_the_manager(cluster: Cluster) -> None:
    basic = cluster.submit("ETL", "basic_blocking", {"a": 1, "b": 2, "c": 3})
    advanced = cluster.submit("DEFAULT", "advanced_blocking", {"a": 4, "b": 5, "c": 6})

    said = "I slept for 5 seconds - blocking with"
    assert cluster.end_of(basic)["result"] == {"result": f"{said} 1 2 3"}
    assert cluster.end_of(advanced)["result"] == {"result": f"{said} 4 5 6"}


def test_general_work_and_a_function_on_a_schedule(cluster: Cluster) -> None:
    id = cluster.submit("general", "general_work", {"general_data": {}})

    assert cluster.end_of(id)["result"] == {"rows": 3}
    more = child(cluster, id, "more_general_work", "after")
    assert cluster.end_of(more["id"])["result"] == "more_general_results"
    assert more["args"] == [{"rows": 3}] or more["kwargs"] == {"general_results": {"rows": 3}}
    ticks = until(lambda: of(cluster, "every_second", state="completed"), "the scheduled function runs")
    assert ticks[0]["result"] == "a second"
