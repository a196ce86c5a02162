"""Chains while their manager and their workers are killed: each follower once, every chain to its right end."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from support import COMMAND, Cluster, Line, Process, until

CHAINS = 100
WHOLE = {
    ("first", None, None, "completed"),
    ("ready", "before", "first", "completed"),
    ("second", "after", "first", "completed"),
    ("third", "after", "second", "completed"),
    ("aside", "after", "second", "completed"),
}
BROKEN = {
    ("first", None, None, "completed"),
    ("ready", "before", "first", "completed"),
    ("second", "after", "first", "failed"),
    ("mourn", "failure", "second", "completed"),
}
JOBS = sum(len(BROKEN if n % 5 == 0 else WHOLE) for n in range(CHAINS))

Make = Callable[..., Cluster]


def start_worker(cluster: Cluster) -> Process:
    return cluster.start("chained", [COMMAND, "worker", "chained:worker"], cluster.worker_env("chains", slots=5))


def begin(cluster: Cluster, chains: range) -> dict[int, str]:
    """Begin chains; the acknowledged id of the first job of each."""
    body = [{"queue": "chains", "task": "first", "kwargs": {"n": n}} for n in chains]
    answer = cluster.http.post("/api/jobs", json=body)
    assert answer.status_code == 202, answer.text
    return dict(zip(chains, (item["id"] for item in answer.json()["items"]), strict=True))


def until_done(cluster: Cluster, effects: int) -> None:
    """Wait until so much has been done, and make sure that there is more to do: who is killed now has work in hand."""
    until(lambda: len(cluster.effects()) >= effects, f"{effects} are done")
    assert len(cluster.effects()) < JOBS


def all_ended(cluster: Cluster) -> Any:
    queue = next(queue for queue in cluster.get("/api/queues")["items"] if queue["name"] == "chains")
    return queue["waiting"] + queue["queued"] + queue["running"] + queue["retry"] == 0


@pytest.mark.timeout(240)
def test_each_follower_is_made_once_and_every_chain_ends_rightly_whoever_is_killed(make: Make) -> None:
    cluster = make()
    manager = cluster.start_manager()
    workers = [start_worker(cluster) for _ in range(2)]
    cluster.until_connected(*workers)

    roots = begin(cluster, range(50))
    until_done(cluster, 40)
    manager.kill()
    manager = cluster.start_manager()
    roots |= begin(cluster, range(50, CHAINS))
    until_done(cluster, 120)
    workers[0].kill()
    start_worker(cluster)
    until_done(cluster, 200)
    manager.kill()
    workers[1].kill()
    start_worker(cluster)  # it is there before its manager is
    manager = cluster.start_manager()
    until_done(cluster, 280)
    manager.kill()
    cluster.start_manager()
    until(lambda: all_ended(cluster), "all chains have ended", 120)

    trees = {n: cluster.get(f"/api/jobs/{id}/tree")["items"] for n, id in roots.items()}
    for n, tree in trees.items():
        task = {job["id"]: job["task"] for job in tree}
        found = [(job["task"], job["relation"], task.get(job["parent"]), job["state"]) for job in tree]
        assert Counter(found) == Counter(BROKEN if n % 5 == 0 else WHOLE), f"chain {n}: {tree}"
    assert sum(cluster.get("/api/stats")["jobs"].values()) == JOBS, "there are jobs that belong to no chain"
    check_effects(cluster, trees)


def check_effects(cluster: Cluster, trees: dict[int, Any]) -> None:
    """What was done is what is recorded: each job is the only one of its kind in its chain, what it recorded is of an
    attempt that really ran, and it began when those before it had done their work.
    """
    done: dict[str, list[tuple[int, Line]]] = defaultdict(list)
    for place, line in enumerate(cluster.effects()):
        done[line.job].append((place, line))
    crashed = 0
    for n, tree in trees.items():
        at = {}
        for job in tree:
            ends = cluster.ends(job["id"])
            assert ends[-1] == job["state"], ends
            assert set(ends[:-1]) <= {"crashed", "returned"}, ends
            crashed += "crashed" in ends
            lines = done.pop(job["id"])
            assert len({line.attempt for _, line in lines}) == len(lines), "an attempt ran twice"
            about = "?" if job["task"] == "ready" else n
            assert {line.what for _, line in lines} == {f"{job['task']} {about}"}
            recorded = [place for place, line in lines if line.attempt == len(ends)]
            assert len(recorded) == 1
            at[job["task"]] = (lines[0][0], recorded[0])
        for earlier, later in [("ready", "first"), ("first", "second"), ("second", "third"), ("second", "mourn")]:
            assert later not in at or at[earlier][1] < at[later][0], f"chain {n}: {later} came before {earlier}"
    assert not done, "something was done by jobs that are in no chain"
    assert crashed, "nobody was killed with work in hand"
