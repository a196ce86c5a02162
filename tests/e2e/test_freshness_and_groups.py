"""The examples of tasks that depend on others and of tasks performed for all values, as they were printed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres_server import fresh_schema, with_options
from support import COMMAND, Cluster


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    store = {}
    if request.param == "postgresql":
        store = {"EASYJOBS_STORE": with_options(request.getfixturevalue("postgres_url"), schema=fresh_schema())}
    with Cluster(tmp_path_factory.mktemp("groups"), **store) as cluster:
        cluster.start_manager()
        worker = cluster.start("worker", [COMMAND, "worker", "nice_worker"], cluster.worker_env("unused"))
        cluster.until_connected(worker)
        yield cluster


def made(cluster: Cluster, task: str, file: Path) -> list[Any]:
    """The jobs of a task that have to do with a file, oldest first."""
    jobs = reversed(cluster.get("/api/jobs", queue="nice_tasks", task=task)["items"])
    return [job for job in jobs if job["kwargs"]["file_path"] == str(file)]


def test_what_is_not_fresh_runs_first(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "sum.txt"
    bar = cluster.submit("nice_tasks", "bar", {"file_path": str(file), "number": 5, "letter": "B"})
    assert cluster.end_of(bar)["state"] == "completed"
    assert file.read_text() == "10B", "foo wrote 5 before, its number being that of bar"
    (foo,) = made(cluster, "foo", file)
    assert (foo["kwargs"], foo["priority"], foo["parent"]) == ({"file_path": str(file), "number": 5}, 1, bar)

    baz = cluster.submit("nice_tasks", "baz", {"file_path": str(file)})
    assert cluster.end_of(baz)["state"] == "completed"
    assert file.read_text() == "10", "bar was fresh; a foo of number 10 was not"
    assert [job["kwargs"]["number"] for job in made(cluster, "foo", file)] == [5, 10]
    assert len(made(cluster, "bar", file)) == 1

    again = cluster.submit("nice_tasks", "bar", {"file_path": str(file), "number": 7})
    assert cluster.end_of(again)["state"] == "completed"
    assert file.read_text() == "17A"
    assert len(made(cluster, "foo", file)) == 2

    lone = cluster.end_of(cluster.submit("nice_tasks", "baz", {"file_path": str(tmp_path / "other.txt")}))
    assert lone["state"] == "failed"
    assert "number: has no value" in lone["error"]["message"]


def test_freshness_survives_a_manager_that_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "sum.txt"
    foo = cluster.submit("nice_tasks", "foo", {"file_path": str(file), "number": 1})
    assert cluster.end_of(foo)["state"] == "completed"
    assert cluster.manager is not None
    cluster.manager.kill()
    cluster.start_manager()
    bar = cluster.submit("nice_tasks", "bar", {"file_path": str(file), "number": 2})
    assert cluster.end_of(bar)["state"] == "completed"
    assert len(made(cluster, "foo", file)) == 1


def test_all_is_a_job_for_each_value_each_after_what_it_depends_on(cluster: Cluster) -> None:
    group = cluster.submit("cool_tasks", "bar", {"a": 5, "b": "ALL", "c": "x"})
    ended = cluster.end_of(group)
    assert (ended["state"], ended["result"], ended["progress"]["note"]) == (
        "completed",
        {"jobs": 3},
        "3 of 3 jobs have ended",
    )
    done = [line.what for line in cluster.effects()]
    assert sorted(done) == [f"bar 5 {b} x" for b in (1, 2, 3)] + [f"foo 1 {b}" for b in (1, 2, 3)]
    assert all(done.index(f"foo 1 {b}") < done.index(f"bar 5 {b} x") for b in (1, 2, 3))
    tree = cluster.get(f"/api/jobs/{group}/tree")["items"]
    assert sorted((branch["depth"], branch["relation"]) for branch in tree) == [
        (0, None),
        *[(1, "member")] * 3,
        *[(2, "dependency")] * 3,
    ]


def test_values_that_are_not_listed_are_refused_with_those_that_are(cluster: Cluster, tmp_path: Path) -> None:
    arguments = {"file_path": str(tmp_path / "f"), "number": 1, "letter": "D"}
    answer = cluster.http.post("/api/queues/nice_tasks/tasks/bar", json=arguments)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["loc"], error["message"]) == (["body", "letter"], '"D" is not one of "A", "B" or "C"')
    for task, arguments in (("foo", {"a": "ALL", "b": 1}), ("foo", {"a": 1, "b": "all"})):
        answer = cluster.http.post(f"/api/queues/cool_tasks/tasks/{task}", json=arguments)
        assert answer.status_code == 422


def test_the_page_of_the_api_shows_what_the_docstring_says(cluster: Cluster) -> None:
    page = cluster.get("/openapi.json")
    operation = page["paths"]["/api/queues/cool_tasks/tasks/foo"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"] == {
        "a": {"type": "integer", "description": "how much of it"},
        "b": {"enum": [1, 2, 3, "ALL"], "description": "which of them"},
    }
