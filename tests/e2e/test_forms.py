"""The ways to start: one process, two processes, several workers, a worker ahead of its manager."""

from __future__ import annotations

from collections.abc import Callable

from support import Cluster, free_port, until

Make = Callable[..., Cluster]


def test_ten_lines_are_a_manager_and_a_worker(make: Make) -> None:
    cluster = make()
    cluster.use_secret("abcd1234")
    cluster.start_manager("one_process:app")

    done = cluster.http.post("/api/queues/general/tasks/hello", params={"wait": 60}, json={"name": "you"})

    assert done.status_code == 200
    assert done.json()["result"] == "hello you"
    assert done.json()["state"] == "completed"
    (worker,) = cluster.workers()
    assert worker["pid"] == cluster.manager.pid if cluster.manager else False
    assert cluster.http.get("/docs").status_code == 200
    assert cluster.http.get("/docs", headers={"Authorization": ""}).status_code == 401
    schema = cluster.get("/openapi.json")
    assert "/api/queues/general/tasks/hello" in schema["paths"]


def test_a_restart_of_one_process_runs_what_was_left(make: Make) -> None:
    cluster = make()
    cluster.use_secret("abcd1234")
    manager = cluster.start_manager("one_process:app")
    id = cluster.submit("general", "hello", {"name": "later"}, delay=1)
    manager.kill()

    cluster.start_manager("one_process:app")

    assert cluster.end_of(id)["result"] == "hello later"


def etl_worker(cluster: Cluster, *options: str) -> Cluster:
    cluster.uvicorn("etl_worker:server", free_port(), {"MANAGER_PORT": str(cluster.port)}, *options)
    return cluster


def live(cluster: Cluster, number: int) -> bool:
    return [w["state"] for w in cluster.workers()].count("live") == number


def test_two_processes_as_printed_and_a_manager_that_restarts_under_its_worker(make: Make) -> None:
    cluster = make()
    cluster.use_secret("abcd1234")
    etl_worker(cluster)  # it is there before its manager
    first = cluster.start_manager("etl_manager:server")
    until(lambda: live(cluster, 1), "the worker has found its manager")
    (worker,) = cluster.workers()
    assert (worker["queues"], worker["slots"]) == (["ETL"], 5)
    assert cluster.post("/api/queues/ETL/tasks/both", {"source": "s", "rows": 4}, wait=60)["result"] == [
        {"source": "s"},
        8,
    ]

    assert first.terminate() == 0
    cluster.start_manager("etl_manager:server")

    until(lambda: live(cluster, 1), "the worker has come back")
    assert cluster.post("/api/queues/ETL/tasks/load", {"rows": 21}, wait=60)["result"] == 42
    assert cluster.workers()[0]["pid"] == worker["pid"]


def test_five_uvicorn_workers_are_five_workers(make: Make) -> None:
    cluster = make()
    cluster.use_secret("abcd1234")
    cluster.start_manager("etl_manager:server")

    etl_worker(cluster, "--workers=5")

    until(lambda: live(cluster, 5), "five workers are there")
    assert len({w["pid"] for w in cluster.workers()}) == 5
    assert len({w["id"] for w in cluster.workers()}) == 5
    jobs = [{"queue": "ETL", "task": "load", "kwargs": {"rows": n}} for n in range(200)]
    made = cluster.post("/api/jobs", jobs)["items"]
    results = [cluster.end_of(job["id"])["result"] for job in made]
    assert results == [2 * n for n in range(200)]
