"""Workers straight on the store, as processes: beside a manager and its workers, killed, and without any manager."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from pulling import beside, pull_worker
from support import LONG, Cluster, until

Make = Callable[..., Cluster]


def rows(cluster: Cluster, statement: str) -> list[Any]:
    """What the file holds, read beside everybody."""
    with closing(sqlite3.connect(cluster.folder / "jobs.db", timeout=10)) as database:
        return database.execute(statement).fetchall()


def submit_many(cluster: Cluster, start: int, end: int) -> None:
    bodies = [{"queue": "pulled", "task": "mark", "args": [str(n)]} for n in range(start, end)]
    assert len(cluster.post("/api/jobs", bodies)["items"]) == len(bodies)


def test_beside_websocket_workers_on_one_queue_each_job_runs_once(make: Make) -> None:
    cluster = make(**LONG)
    cluster.start_manager()
    workers = [cluster.start_worker("pulled", 4), pull_worker(cluster), pull_worker(cluster)]
    cluster.until_connected(*workers)
    submit_many(cluster, 0, 1000)
    until(lambda: rows(cluster, "SELECT count(*) FROM jobs WHERE state = 'completed'") == [(1000,)], "all have run")
    assert Counter(line.what for line in cluster.effects()) == dict.fromkeys(map(str, range(1000)), 1)
    assert {line.pid for line in cluster.effects()} == {worker.pid for worker in workers}


def test_a_pull_worker_that_is_killed_loses_its_jobs_to_others_before_its_lease_is_over(make: Make) -> None:
    cluster = make(**LONG)
    cluster.start_manager()
    first = pull_worker(cluster)
    cluster.until_connected(first)
    gate = cluster.gate()
    id = cluster.submit("pulled", "hold", {"gate": str(gate)})
    cluster.until_effect(id, "began")
    second = pull_worker(cluster)
    first.kill()
    cluster.until_begun(id, second, 2)
    gate.touch()
    assert cluster.end_of(id)["state"] == "completed"
    assert cluster.ends(id) == ["crashed", "completed"]


def test_a_killed_leader_is_followed_at_once_also_by_a_manager(make: Make) -> None:
    cluster = make(**LONG)
    first = pull_worker(cluster)
    until(lambda: "this manager leads" in first.said(), "the pull worker leads")
    cluster.start_manager()
    cluster.until_connected(first)
    gate = cluster.gate()
    id = cluster.submit("pulled", "hold", {"gate": str(gate)})
    cluster.until_effect(id, "began")
    first.kill()
    assert cluster.until_state(id, "queued")["attempt"] == 1
    last = cluster.start_worker("pulled")
    cluster.until_begun(id, last, 2)
    gate.touch()
    assert cluster.end_of(id)["state"] == "completed"


def test_a_pull_worker_whose_loop_is_blocked_keeps_its_jobs(make: Make) -> None:
    cluster = make()
    cluster.start_manager()
    puller = pull_worker(cluster)
    pull_worker(cluster)
    cluster.until_connected(puller)
    id = cluster.submit("pulled", "block", {"seconds": 12})  # its lease is of five
    assert cluster.end_of(id, 40)["attempt"] == 1
    assert [line.what for line in cluster.effects(id)] == ["began", "ended"]
    assert cluster.ends(id) == ["completed"]


def test_where_nobody_is_left_the_next_one_who_comes_takes_over(make: Make) -> None:
    cluster = make(**LONG)
    manager = cluster.start_manager()
    first = pull_worker(cluster)
    cluster.until_connected(first)
    gate = cluster.gate()
    id = cluster.submit("pulled", "hold", {"gate": str(gate)})
    cluster.until_effect(id, "began")
    assert manager.terminate() == 0
    first.kill()
    gate.touch()
    pull_worker(cluster)
    until(lambda: rows(cluster, "SELECT state, attempt FROM jobs") == [("completed", 2)], "the job has run again")


def test_a_pull_worker_that_is_told_to_stop_ends_its_jobs_and_goes(make: Make) -> None:
    cluster = make()
    cluster.start_manager()
    puller = pull_worker(cluster)
    cluster.until_connected(puller)
    gate = cluster.gate()
    id = cluster.submit("pulled", "hold", {"gate": str(gate)})
    cluster.until_effect(id, "began")
    puller.popen.terminate()
    gate.touch()
    assert puller.wait() == 0
    assert cluster.end_of(id)["state"] == "completed"
    until(lambda: cluster.workers() == [], "it has said goodbye")


def test_schedules_go_on_with_another_scheduler_and_no_tick_comes_twice(make: Make) -> None:
    cluster = make()
    schedulers = [beside(cluster, "scheduler"), beside(cluster, "scheduler")]
    leads = until(lambda: [s for s in schedulers if "this manager leads" in s.said()], "one of them leads")
    cluster.manager = beside(cluster, "api-server", "--port", str(cluster.port))
    cluster.until_ready()
    puller = pull_worker(cluster)
    cluster.until_connected(puller)
    body = {"queue": "pulled", "task": "mark", "cron": "* * * * * *", "seconds": True, "args": ["tick"]}
    assert cluster.http.post("/api/schedules", json=body).status_code == 201

    def ticks() -> list[float]:
        return [tick for (tick,) in rows(cluster, "SELECT tick FROM jobs WHERE tick IS NOT NULL")]

    until(lambda: len(ticks()) >= 2, "it ticks")
    (leader,) = leads
    leader.kill()
    puller.kill()  # it may lead next
    before = len(ticks())
    until(lambda: len(ticks()) >= before + 2, "it goes on ticking")
    assert len(ticks()) == len(set(ticks()))


@pytest.mark.timeout(180)
def test_killed_again_and_again_they_lose_nothing_and_harm_no_page(make: Make) -> None:
    """A job that three of them died with has failed, as is promised; hardly any has so bad luck."""
    cluster = make()
    cluster.start_manager()
    pullers = [pull_worker(cluster), pull_worker(cluster)]
    cluster.until_connected(*pullers)
    for number in range(6):
        submit_many(cluster, number * 300, number * 300 + 300)
        pullers[number % 2].kill()
        pullers[number % 2] = pull_worker(cluster)
    unfinished = "SELECT count(*) FROM jobs WHERE state NOT IN ('completed', 'failed')"
    until(lambda: rows(cluster, unfinished) == [(0,)], "all have ended", 100)
    jobs = {id: (state, attempt) for id, state, attempt in rows(cluster, "SELECT id, state, attempt FROM jobs")}
    assert len(jobs) == 1800
    ran = Counter((line.job, line.attempt) for line in cluster.effects())
    assert set(ran.values()) == {1}, "one attempt ran twice"
    assert all((id, attempt) in ran for id, (state, attempt) in jobs.items() if state == "completed")
    unlucky = [id for id, (state, _) in jobs.items() if state == "failed"]
    assert len(unlucky) < 18
    for id in unlucky:
        assert (cluster.job(id)["error"]["type"], cluster.ends(id).count("crashed")) == ("WorkerDied", 3)
    assert rows(cluster, "PRAGMA integrity_check") == [("ok",)]
