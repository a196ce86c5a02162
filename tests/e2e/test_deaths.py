"""Processes that are killed, stopped, or kept busy: no acknowledged job is lost, none ends twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from producing import Producer, reckon
from support import Cluster, until

Make = Callable[..., Cluster]


def test_a_worker_is_killed_in_the_middle_of_a_job(house: Cluster) -> None:
    victim = house.start_worker("killed")
    gate = house.gate()
    ids = [house.submit("killed", task, {"gate": str(gate)}) for task in ("hold", "hold_thread")]
    for id in ids:
        assert house.until_effect(id, "began").pid == victim.pid
    heir = house.start_worker("killed")

    victim.kill()

    children = [house.until_begun(id, heir, attempt=2) for id in ids]
    gate.touch()
    for id, child in zip(ids, children, strict=True):
        job = house.end_of(id)
        assert job["state"] == "completed"
        assert job["result"] == {"attempt": 2, "pid": child}
        assert house.ends(id) == ["crashed", "completed"]
        assert [e.what for e in house.effects(id)] == ["began", "began", "ended"]
    assert house.worker_of(victim) is None


def test_a_job_whose_worker_dies_three_times_fails(house: Cluster) -> None:
    gate = house.gate()
    worker = house.start_worker("doomed")
    id = house.submit("doomed", "hold", {"gate": str(gate)})
    for attempt in (1, 2, 3):
        house.until_effect(id, "began", attempt)
        worker.kill()
        if attempt < 3:
            worker = house.start_worker("doomed")

    job = house.end_of(id)

    assert job["state"] == "failed"
    assert job["error"]["type"] == "WorkerDied"
    assert house.ends(id)[:2] == ["crashed", "crashed"]
    assert len(house.attempts(id)) == 3


def test_the_manager_is_killed_under_load(make: Make) -> None:
    cluster = make()
    manager = cluster.start_manager()
    cluster.start_worker("load", 20)
    cluster.start_worker("load", 20)
    with Producer(cluster, "load") as producer:
        for kills in (1, 2):
            producer.until_acknowledged(150 * kills)
            manager.kill()
            manager = cluster.start_manager()
        producer.until_acknowledged(len(producer.acknowledged) + 100)

    counted = reckon(cluster, producer, "load")

    assert counted["acknowledged"] >= 400
    # they ran on through the outage: a manager's death is no worker's death
    until(lambda: cluster.get("/api/stats")["workers"] == 2, "both workers have come back")


def test_jobs_run_on_while_their_manager_is_dead(make: Make) -> None:
    cluster = make()
    manager = cluster.start_manager()
    worker = cluster.start_worker("home")
    gates = [cluster.gate(), cluster.gate()]
    ids = [cluster.submit("home", "hold", {"gate": str(gate)}) for gate in gates]
    for id in ids:
        cluster.until_effect(id, "began")

    manager.kill()
    gates[0].touch()
    cluster.until_effect(ids[0], "ended")  # while nobody is there to hear of it
    cluster.start_manager()

    gates[1].touch()
    for id in ids:
        assert cluster.end_of(id)["result"] == {"attempt": 1, "pid": worker.pid}
        assert cluster.ends(id) == ["completed"]
        assert [e.what for e in cluster.effects(id)] == ["began", "ended"]


def test_the_late_result_of_a_stopped_worker_changes_nothing(house: Cluster) -> None:
    sleeper = house.start_worker("stopped")
    gate = house.gate()
    id = house.submit("stopped", "hold", {"gate": str(gate)})
    house.until_effect(id, "began")
    heir = house.start_worker("stopped")

    sleeper.send(signal.SIGSTOP)
    child = house.until_begun(id, heir, attempt=2)
    gate.touch()
    first_end = house.end_of(id)
    sleeper.send(signal.SIGCONT)

    assert house.until_effect(id, "ended", attempt=1).pid == sleeper.pid
    (stale,) = until(lambda: [line for line in house.logs(id) if line["level"] == "stale"], "its word is refused")
    assert "attempt 1" in stale["text"]
    assert house.job(id) == first_end
    assert first_end["result"] == {"attempt": 2, "pid": child}
    assert house.ends(id) == ["crashed", "completed"]
    # it is a worker like any other again
    house.until_connected(sleeper)
    heir.terminate()
    assert house.post("/api/queues/stopped/tasks/add", {"a": 1}, wait=60)["result"] == 2


def test_a_blocked_loop_keeps_its_lease_and_gets_nothing_new(house: Cluster) -> None:
    blocked = house.start_worker("blocked")
    gate = house.gate()
    id = house.submit("blocked", "block_until", {"gate": str(gate)})
    house.until_effect(id, "began")
    began = time.monotonic()
    other = house.start_worker("blocked")

    view = until(lambda: (w := house.worker_of(blocked)) and w["blocked"] and w, "it shows as blocked")

    assert view["blocked"] == "blocked:block_until"
    assert view["state"] == "blocked"
    for n in range(20):
        made = house.post("/api/queues/blocked/tasks/add", {"a": n}, wait=60)
        assert (made["state"], made["result"]) == ("completed", n + 1)
        assert {e.pid for e in house.effects(made["id"])} == {other.pid}
    two_leases = 2.2 * float(house.settings["EASYJOBS_LEASE"])
    until(lambda: time.monotonic() > began + two_leases, "it is blocked for longer than its lease")
    assert house.job(id)["state"] == "running"
    gate.touch()
    assert house.end_of(id)["result"] == {"attempt": 1, "pid": blocked.pid}
    assert house.ends(id) == ["completed"]
    until(lambda: house.worker_of(blocked)["state"] == "live", "it is free again")
    assert "the event loop is blocked by blocked:block_until" in blocked.said()
