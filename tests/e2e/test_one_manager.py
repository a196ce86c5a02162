"""A SQLite file has one manager; a second one says so in one line, and the first lives on."""

from __future__ import annotations

from collections.abc import Callable

from support import Cluster, Process, free_port

Make = Callable[..., Cluster]

WHY = "is in use by another manager"


def manager(cluster: Cluster, *options: str) -> Process:
    env = {"EASYJOBS_SECRET": cluster.secret, **cluster.settings}
    return cluster.uvicorn("manager:app", free_port(), env, *options)


def assert_one_clear_message(said: str) -> None:
    assert said.count(WHY) == 1
    assert "Traceback" not in said
    assert "PostgreSQL" in said


def test_a_second_manager_on_the_same_file(make: Make) -> None:
    cluster = make()
    first = cluster.start_manager("one_process:app")
    cluster.use_secret("abcd1234")

    second = manager(cluster)

    assert second.wait() != 0
    assert_one_clear_message(second.said())
    assert first.running
    assert cluster.post("/api/queues/general/tasks/hello", wait=60)["result"] == "hello world"


def test_a_manager_with_two_uvicorn_workers(make: Make) -> None:
    cluster = make()
    both = manager(cluster, "--workers", "2")

    both.wait()  # whatever uvicorn makes of it, with its own exit code
    assert_one_clear_message(both.said())
