"""SIGTERM: whoever is told to leave finishes what it can, hands back the rest, and goes."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable

import httpx
import pytest
from producing import Producer, reckon
from support import LONG, Cluster

from easyjobs import EasyJobsClient

Make = Callable[..., Cluster]


def test_a_worker_finishes_what_it_has_and_takes_nothing_more(house: Cluster) -> None:
    leaving = house.start_worker("leaving", 3)
    gate = house.gate()
    running = [house.submit("leaving", task, {"gate": str(gate)}) for task in ("hold", "hold_thread")]
    for id in running:
        house.until_effect(id, "began")
    heir = house.start_worker("leaving", 3)

    leaving.send(signal.SIGTERM)

    # whichever of the two it would have gone to, after the signal only one takes it
    after = [house.submit("leaving", "add", {"a": n}) for n in range(3)]
    for id in after:
        house.end_of(id)
    assert leaving.running
    gate.touch()
    assert leaving.wait() == 0
    for id in running:
        assert house.end_of(id)["result"] == {"attempt": 1, "pid": leaving.pid}
        assert house.ends(id) == ["completed"]
    assert house.worker_of(leaving) is None
    late = house.submit("leaving", "add", {"a": 1})
    house.end_of(late)
    assert {e.pid for e in house.effects(late)} == {heir.pid}


def test_what_does_not_end_in_time_runs_elsewhere_unblamed(house: Cluster) -> None:
    leaving = house.start_worker("hurried", 4, EASYJOBS_DRAIN_GRACE="0.3")
    gate = house.gate()
    ids = [house.submit("hurried", task, {"gate": str(gate)}) for task in ("hold", "hold_thread", "polite_thread")]
    for id in ids:
        house.until_effect(id, "began")

    assert leaving.terminate() == 0

    for id in ids:
        (first,) = house.attempts(id)
        assert first["end"] == "returned"
        assert house.job(id)["state"] == "queued"
        assert house.job(id)["error"] is None
    heir = house.start_worker("hurried", 4)
    for id in ids:
        assert house.until_effect(id, "began", attempt=2).pid == heir.pid
    gate.touch()
    for id in ids:
        assert house.end_of(id)["state"] == "completed"
        assert house.ends(id) == ["returned", "completed"]


def test_jobs_that_go_back_do_not_wait_for_anybodys_heartbeat(make: Make) -> None:
    cluster = make(EASYJOBS_LEASE="300", EASYJOBS_HEARTBEAT="100")
    cluster.start_manager()
    gate = cluster.gate()
    first = cluster.start_worker("home", EASYJOBS_DRAIN_GRACE="0.1")
    id = cluster.submit("home", "hold", {"gate": str(gate)})
    cluster.until_effect(id, "began")

    second = cluster.start_worker("home")
    assert first.terminate() == 0
    assert cluster.until_effect(id, "began", attempt=2).pid == second.pid
    third = cluster.start_worker("home")
    second.kill()
    cluster.until_begun(id, third, attempt=3)

    gate.touch()
    assert cluster.end_of(id)["state"] == "completed"
    assert cluster.ends(id) == ["returned", "crashed", "completed"]


def test_a_second_signal_ends_the_grace(house: Cluster) -> None:
    leaving = house.start_worker("urgent")
    id = house.submit("urgent", "hold", {"gate": str(house.gate())})
    house.until_effect(id, "began")

    leaving.send(signal.SIGTERM)
    leaving.send(signal.SIGINT)

    assert leaving.wait() == 0
    assert house.ends(id) == ["returned"]
    house.post(f"/api/jobs/{id}/cancel")


@pytest.mark.parametrize("app", [None, "manager:app"], ids=["command", "uvicorn"])
def test_the_manager_leaves_under_load_whatever_its_clients_do(make: Make, app: str | None) -> None:
    # a lease that is longer than the server is patient with the client that waits
    cluster = make(EASYJOBS_STOP_GRACE="6", **LONG)
    manager = cluster.start_manager(app)
    cluster.start_worker("load", 20)
    cluster.start_worker("load", 20)
    gate = cluster.gate()
    held = cluster.submit("load", "hold", {"gate": str(gate)})
    cluster.until_effect(held, "began")
    took = 0.0

    async def with_clients_that_stay(producer: Producer) -> None:
        nonlocal took, manager
        async with (
            EasyJobsClient(cluster.url, cluster.secret, connect_timeout=60) as watcher,
            httpx.AsyncClient(trust_env=False, timeout=60, headers=cluster.http.headers) as http,
        ):
            assert (await http.get(f"{cluster.url}/health/live")).status_code == 200
            idle = asyncio.create_task(http.get(f"{cluster.url}/api/jobs/{held}/result", params={"wait": 60}))
            waiting = asyncio.create_task(watcher.result(held))
            await asyncio.to_thread(producer.until_acknowledged, 150)
            began = time.monotonic()
            assert await asyncio.to_thread(manager.terminate) == 0
            took = time.monotonic() - began
            await asyncio.wait([idle])
            assert idle.exception() is not None or idle.result().status_code in (202, 503)
            gate.touch()
            manager = await asyncio.to_thread(cluster.start_manager, app)
            assert (await waiting)["attempt"] == 1

    with Producer(cluster, "load") as producer:
        asyncio.run(with_clients_that_stay(producer))
        producer.until_acknowledged(len(producer.acknowledged) + 50)

    assert took < 25
    for process in cluster.processes:
        assert "Traceback" not in process.said()
    counted = reckon(cluster, producer, "load")
    assert counted["acknowledged"] >= 200
    assert counted["twice"] == 0  # nobody died: nothing had a reason to run again
