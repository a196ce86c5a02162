"""A deploy that changes a task's parameters, with real processes: asked before, side by side, held, let go."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest
from support import COMMAND, Cluster, Process, until

Make = Callable[..., Cluster]


@pytest.fixture
def house(make: Make) -> Cluster:
    cluster = make()
    cluster.start_manager()
    return cluster


def start(house: Cluster, version: str, **settings: str) -> Process:
    env = {**house.worker_env("shop", 2), "EASYJOBS_NAME": version, **settings}
    process = house.start(version, [COMMAND, "worker", f"version_{version}:worker"], env)
    house.until_connected(process)
    return process


def check(house: Cluster, *arguments: str) -> CompletedProcess[str]:
    return house.run("check", *arguments)


def test_a_rolling_deploy_asks_first_runs_both_and_holds_what_fits_nobody(house: Cluster) -> None:
    one = start(house, "one")
    house.post("/api/queues/shop/pause")
    old = house.submit("shop", "greet", {"name": "ann", "shout": True})
    both = house.submit("shop", "greet", {"name": "bob"})

    # before: the new code is asked about, and not deployed
    asked = check(house, "version_two", "--queue", "shop")
    assert asked.returncode == 1, asked
    assert "shop:greet  1 of 2 jobs do not fit" in asked.stdout
    assert f"job {old}: The arguments do not fit the task. (kwargs.shout: unknown argument" in asked.stdout
    assert check(house, "version_one", "--queue", "shop").returncode == 0
    assert check(house).returncode == 0, "nothing has changed yet"

    # during: both are there, and each job goes where it fits
    two = start(house, "two")
    new = house.submit("shop", "greet", {"name": "cyd", "greeting": "hi"})
    now = check(house)
    assert now.returncode == 1
    assert "one; 2 jobs, 1 do not fit the newest" in now.stdout
    house.post("/api/queues/shop/resume")
    assert house.end_of(old)["result"] == "one: ANN"
    assert house.end_of(new)["result"] == "two: hi cyd"
    assert house.end_of(both)["state"] == "completed"

    # undone: the old code is deployed anew, and its parameters are the newest again
    assert two.terminate() == 0
    assert one.terminate() == 0
    one = start(house, "one")
    house.post("/api/queues/shop/pause")
    fits = house.submit("shop", "greet", {"name": "dan"})
    held = house.submit("shop", "greet", {"name": "eve", "shout": True})

    # after: the last old worker goes; what fits moves over, what does not is held, and comes to no harm
    two = start(house, "two")
    assert one.terminate() == 0
    house.post("/api/queues/shop/resume")
    assert house.end_of(fits)["result"] == "two: hello dan"
    manager = house.manager
    assert manager is not None
    until(lambda: "fit the parameters of no worker and are held" in manager.said(), "the log says so")
    assert house.job(held)["state"] == "queued"
    shown = check(house)
    assert (shown.returncode, held in shown.stdout) == (1, True)
    assert "no worker; 1 jobs, 1 do not fit the newest" in shown.stdout

    # a worker of the old version comes back for it
    start(house, "one")
    assert house.end_of(held)["result"] == "one: EVE"
    assert {line["text"] for line in house.logs(held)} == {"version one"}
    assert two.running
