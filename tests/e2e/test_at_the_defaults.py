"""The guarantees as they are written, in the times that they are written in: nothing is shortened here."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from datetime import datetime

import pytest
from support import Cluster, until

Make = Callable[..., Cluster]

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]


@pytest.fixture
def plain(make: Make) -> Cluster:
    """A manager with no setting but its store."""
    cluster = make()
    for name in ("LEASE", "HEARTBEAT", "GRACE"):
        del cluster.settings[f"EASYJOBS_{name}"]
    cluster.start_manager()
    return cluster


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_killed_workers_job_runs_again_within_six_seconds(plain: Cluster) -> None:
    victim = plain.start_worker("home")
    gate = plain.gate()
    id = plain.submit("home", "hold", {"gate": str(gate)})
    plain.until_effect(id, "began")
    heir = plain.start_worker("home")

    killed_at = time.time()
    victim.kill()

    plain.until_begun(id, heir, attempt=2)  # alone, in a child process
    gate.touch()
    plain.end_of(id)
    first, second = plain.attempts(id)
    assert (first["end"], second["end"]) == ("crashed", "completed")
    assert 0 < at(second["started_at"]) - killed_at < 6


def test_a_worker_that_is_stopped_for_forty_seconds(plain: Cluster) -> None:
    sleeper = plain.start_worker("home")
    gate = plain.gate()
    id = plain.submit("home", "hold", {"gate": str(gate)})
    plain.until_effect(id, "began")
    heir = plain.start_worker("home")

    stopped_at = time.time()
    sleeper.send(signal.SIGSTOP)
    plain.until_effect(id, "began", attempt=2, timeout=45)
    child = plain.until_begun(id, heir, attempt=2)
    gate.touch()
    end = plain.end_of(id)
    assert at(end["started_at"]) - stopped_at < 36  # a lease, and the second in which it is noticed
    until(lambda: time.time() - stopped_at > 40, "forty seconds are over", 60)
    sleeper.send(signal.SIGCONT)

    until(lambda: [line for line in plain.logs(id) if line["level"] == "stale"], "its late word is refused")
    assert plain.job(id) == end
    assert end["result"] == {"attempt": 2, "pid": child}


def test_a_task_that_blocks_its_loop_for_a_minute(plain: Cluster) -> None:
    blocked = plain.start_worker("home")
    id = plain.submit("home", "block", {"seconds": 60})
    plain.until_effect(id, "began")
    other = plain.start_worker("home")

    until(lambda: (w := plain.worker_of(blocked)) and w["state"] == "blocked", "it shows as blocked")
    while plain.job(id)["state"] == "running":
        view = plain.worker_of(blocked)
        assert view is not None
        assert view["blocked"] in ("home:block", None)  # None: it has just ended
        made = plain.post("/api/queues/home/tasks/add", {"a": 1}, wait=10)
        assert made["state"] == "completed"
        if view["blocked"]:
            assert plain.effects(made["id"])[0].pid == other.pid
        time.sleep(1)

    job = plain.end_of(id)
    assert job["result"] == {"attempt": 1, "pid": blocked.pid}
    assert plain.ends(id) == ["completed"]
    assert at(job["finished_at"]) - at(job["started_at"]) >= 60


def test_a_manager_that_is_away_for_longer_than_a_lease(plain: Cluster) -> None:
    worker = plain.start_worker("home")
    gate = plain.gate()
    ids = [plain.submit("home", "hold", {"gate": str(gate)}) for _ in range(5)]
    for id in ids:
        plain.until_effect(id, "began")
    assert plain.manager is not None

    plain.manager.kill()
    away_since = time.time()
    until(lambda: time.time() - away_since > 35, "a lease is over", 60)
    gate.touch()
    plain.start_manager()

    for id in ids:
        assert plain.end_of(id, 30)["result"] == {"attempt": 1, "pid": worker.pid}
        assert plain.ends(id) == ["completed"]
