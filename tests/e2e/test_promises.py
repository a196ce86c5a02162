"""What a task's options and people's orders promise, seen from outside."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from support import Cluster, until


def seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


# -- again, or not


def test_retries_come_after_their_delay(home: Cluster) -> None:
    id = home.submit("home", "third_time", {"n": 7})

    job = home.end_of(id)

    assert (job["state"], job["result"], job["attempt"]) == ("completed", 7, 3)
    first, second, third = home.attempts(id)
    assert [a["end"] for a in (first, second, third)] == ["failed", "failed", "completed"]
    assert first["error"]["type"] == "ValueError"
    assert first["error"]["message"] == "not yet 7"
    assert "tasks.py" in first["error"]["traceback"]
    for before, after in ((first, second), (second, third)):
        assert seconds(before["finished_at"], after["started_at"]) >= 0.2


def test_a_task_may_ask_for_another_run_and_refuse_one(home: Cluster) -> None:
    again, never = home.submit("home", "asks_again"), home.submit("home", "gives_up")

    assert home.end_of(again)["result"] == 2
    job = home.end_of(never)
    assert (job["state"], job["attempt"], job["error"]["type"]) == ("failed", 1, "NoRetry")
    assert [e.what for e in home.effects(never)] == ["try"]


def test_timeouts_stop_coroutines_and_tell_threads(home: Cluster) -> None:
    ids = [home.submit("home", task) for task in ("too_slow", "too_slow_thread")]

    for id in ids:
        job = home.end_of(id)
        assert job["state"] == "failed"
        assert job["error"]["type"] == "TimeoutError"
        assert seconds(job["started_at"], job["finished_at"]) >= 0.3
    assert [e.what for e in home.effects(ids[1])] == ["heard"]


@pytest.mark.parametrize(
    ("kind", "wanted"), [("none", None), ("zero", 0), ("empty", ""), ("false", False)], ids=lambda v: repr(v)
)
def test_nothing_is_a_result(home: Cluster, kind: str, wanted: Any) -> None:
    job = home.post("/api/queues/home/tasks/odd", {"kind": kind}, wait=60)

    assert job["state"] == "completed"
    assert job["result"] == wanted
    assert type(job["result"]) is type(wanted)


@pytest.mark.parametrize(
    ("kind", "type_of_error"),
    [("set", "ResultRefused"), ("nan", "ResultRefused"), ("unspeakable", "Unspeakable"), ("exit", "SystemExit")],
)
def test_what_cannot_be_a_result_fails_the_job_and_nothing_else(home: Cluster, kind: str, type_of_error: str) -> None:
    job = home.post("/api/queues/home/tasks/odd", {"kind": kind}, wait=60)

    assert job["state"] == "failed"
    assert job["error"]["type"] == type_of_error
    assert home.post("/api/queues/home/tasks/add", {"a": 1}, wait=60)["result"] == 2


# -- cancel


def test_cancel_of_what_waits_is_immediate(home: Cluster) -> None:
    id = home.submit("home", "add", {"a": 1}, delay=3600)

    for _ in range(2):
        answer = home.http.post(f"/api/jobs/{id}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")

    assert home.effects(id) == []


def test_cancel_of_a_coroutine_and_of_a_thread_that_listens(home: Cluster) -> None:
    gate = str(home.gate())
    coroutine, thread = (home.submit("home", task, {"gate": gate}) for task in ("hold", "polite_thread"))
    for id in (coroutine, thread):
        home.until_effect(id, "began")
        assert home.http.post(f"/api/jobs/{id}/cancel").status_code == 202

    for id in (coroutine, thread):
        assert home.end_of(id)["state"] == "cancelled"
        assert home.ends(id) == ["cancelled"]
    assert [e.what for e in home.effects(coroutine)] == ["began"]
    assert [e.what for e in home.effects(thread)] == ["began", "heard"]


def test_a_thread_that_does_not_listen_may_still_complete(home: Cluster) -> None:
    gate = home.gate()
    id = home.submit("home", "hold_thread", {"gate": str(gate)})
    home.until_effect(id, "began")
    home.http.post(f"/api/jobs/{id}/cancel")

    gate.touch()

    # its result was there before anybody gave it up
    assert home.end_of(id)["state"] == "completed"


# -- how many, and which first


def test_concurrency_of_one_holds_over_two_workers(home: Cluster) -> None:
    jobs = [{"queue": "home", "task": "alone", "kwargs": {"n": n}} for n in range(30)]
    ids = {job["id"] for job in home.post("/api/jobs", jobs)["items"]}

    for id in ids:
        home.end_of(id)

    lines = [e for e in home.effects() if e.job in ids]
    assert len(lines) == 60
    for enter, leave in zip(lines[::2], lines[1::2], strict=True):
        assert (enter.what, leave.what) == ("enter", "leave")
        assert enter.job == leave.job


def test_the_more_urgent_goes_first_then_the_older(house: Cluster) -> None:
    worker = house.start_worker("urgency", 1)
    gate = house.gate()
    first = house.submit("urgency", "hold", {"gate": str(gate)})
    house.until_effect(first, "began")
    ids = [
        house.submit("urgency", "mark", {"label": label}, priority=priority)
        for label, priority in (("low", -5), ("b", 0), ("c", 0), ("high", 9))
    ]
    gate.touch()
    for id in ids:
        house.end_of(id)

    assert [e.what for e in house.effects() if e.job in ids] == ["high", "b", "c", "low"]
    assert worker.running


def test_a_delayed_job_waits_and_lets_others_pass(home: Cluster) -> None:
    late = home.submit("home", "mark", {"label": "late"}, delay=0.7)
    soon = home.submit("home", "mark", {"label": "soon"})

    home.end_of(soon)
    job = home.end_of(late)

    assert seconds(job["created_at"], job["started_at"]) >= 0.7
    assert [e.job for e in home.effects() if e.job in (late, soon)] == [soon, late]


def test_unique_jobs_join_the_one_that_is_there(home: Cluster) -> None:
    gate = home.gate()
    body = {"gate": str(gate)}
    first = home.http.post("/api/queues/home/tasks/only_one", json=body)
    second = home.http.post("/api/queues/home/tasks/only_one", json=body)
    other = home.http.post("/api/queues/home/tasks/only_one", json={**body, "key": "b"})

    assert (first.status_code, second.status_code, other.status_code) == (202, 200, 202)
    assert first.json()["id"] == second.json()["id"] != other.json()["id"]
    gate.touch()
    home.end_of(first.json()["id"])
    home.end_of(other.json()["id"])
    after = home.http.post("/api/queues/home/tasks/only_one", json=body)
    assert after.status_code == 202
    assert after.json()["id"] != first.json()["id"]


def test_one_key_a_hundred_times_at_once_is_one_job(home: Cluster) -> None:
    def ask(n: int) -> tuple[int, str]:
        answer = home.http.post(
            "/api/queues/home/tasks/add", json={"a": 40, "b": 2}, headers={"Idempotency-Key": "the only one"}
        )
        return answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(100)))

    assert len({id for _, id in answers}) == 1
    assert sorted(status for status, _ in answers) == [200] * 99 + [202]
    id = answers[0][1]
    assert home.end_of(id)["result"] == 42
    assert len(home.effects(id)) == 1
    other = home.http.post(
        "/api/queues/home/tasks/add", json={"a": 41, "b": 1}, headers={"Idempotency-Key": "the only one"}
    )
    assert other.status_code == 422


# -- pause


def test_a_paused_queue_task_and_worker_get_nothing(home: Cluster) -> None:
    worker = home.start_worker("paused")
    gate = home.gate()
    running = home.submit("paused", "hold", {"gate": str(gate)})
    home.until_effect(running, "began")
    worker_id = home.worker_of(worker)["id"]
    others = {
        "/api/queues/paused": "/api/queues/home/tasks/add",
        "/api/queues/paused/tasks/add": "/api/queues/paused/tasks/add_too",
        f"/api/workers/{worker_id}": "/api/queues/home/tasks/add",
    }
    for path, other in others.items():
        for _ in range(2):
            assert home.post(f"{path}/pause")["paused"] is True
        id = home.submit("paused", "add", {"a": 1})
        # whatever is given out after it, it stays
        assert home.post(other, {"a": 1}, wait=60)["state"] == "completed"
        assert home.job(id)["state"] == "queued"
        assert home.effects(id) == []
        for _ in range(2):
            assert home.post(f"{path}/resume")["paused"] is False
        assert home.end_of(id)["state"] == "completed"
    gate.touch()
    assert home.end_of(running)["state"] == "completed"  # what ran went on


# -- again by hand, and away


def test_retry_makes_a_new_job_and_delete_removes_the_old(home: Cluster) -> None:
    id = home.submit("home", "add", {"a": 20, "b": 22})
    home.end_of(id)

    again = home.post(f"/api/jobs/{id}/retry")

    assert again["id"] != id
    assert home.end_of(again["id"])["result"] == 42
    assert home.http.delete(f"/api/jobs/{id}").status_code == 204
    assert home.http.get(f"/api/jobs/{id}").status_code == 404


def test_tasks_of_gone_workers_are_known_and_marked(house: Cluster) -> None:
    worker = house.start_worker("gone")

    def task() -> Any:
        return next(t for t in house.get("/api/tasks")["items"] if (t["queue"], t["name"]) == ("gone", "add"))

    assert task()["available"] is True
    assert worker.terminate() == 0
    until(lambda: not task()["available"], "its task is marked")
    waiting = house.submit("gone", "add", {"a": 1})
    assert house.job(waiting)["state"] == "queued"
    house.start_worker("gone")
    assert house.end_of(waiting)["result"] == 2
