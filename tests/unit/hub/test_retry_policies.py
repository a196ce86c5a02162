"""`retry_once`, `retry_always`, `never`, and the finer options beside them."""

from __future__ import annotations

from typing import Any

import pytest
from house import House, Peer, spec, story

from easyjobs.core.job import Job
from easyjobs.protocol.messages import Assign, Assignment


async def after(house: House, options: dict[str, Any], failures: int) -> tuple[Peer, Job]:
    """A job of a task with these options that has failed so often."""
    await house.open()
    peer = await house.worker(spec(**options))
    peer.keep_beating()
    made = await house.submit()
    for _ in range(failures):
        peer.fail(await peer.begin())
        await house.settle()
    return peer, await house.row(made.id)


@pytest.mark.parametrize(
    ("options", "failures", "state"),
    [
        ({}, 1, "retry"),
        ({}, 2, "failed"),
        ({"retry_policy": "retry_once"}, 2, "failed"),
        ({"retry_policy": "never"}, 1, "failed"),
        ({"retry_policy": "never", "retries": 1}, 1, "retry"),
        ({"retry_policy": "retry_always", "retries": 0}, 1, "failed"),
        ({"retries": 3, "retry_delay": 0.0}, 3, "running"),
        ({"retries": 3, "retry_delay": 0.0}, 4, "failed"),
    ],
)
def test_how_often_a_job_runs_again(options: dict[str, Any], failures: int, state: str) -> None:
    @story
    async def told(house: House) -> None:
        _, row = await after(house, options, failures)
        assert (row.state, row.failures) == (state, failures)

    told()


@story
async def test_always_is_with_backoff_and_until_somebody_cancels(house: House) -> None:
    peer, row = await after(house, {"retry_policy": "retry_always"}, 0)
    waits = []
    for _ in range(20):
        peer.fail(await within_two_hours(peer))
        await house.settle()
        row = await house.row(row.id)
        waits.append(row.run_at - house.store.now())
    assert row.state == "retry"
    assert 1.0 - 0.2 < waits[0] <= 2.0
    assert all(1800.0 - 1.0 < wait <= 3600.0 for wait in waits[12:])
    await house.hub.cancel(row.id, "me")
    assert (await house.row(row.id)).state == "cancelled"


async def within_two_hours(peer: Peer) -> Assignment:
    (assignment,) = (await peer.hear(Assign, within=7200.0)).jobs
    return assignment


@story
async def test_never_means_that_a_worker_s_death_fails_it_too(house: House) -> None:
    peer, row = await after(house, {"retry_policy": "never"}, 0)
    await peer.begin()
    peer.drop()
    await house.settle(10.0)
    assert (await house.row(row.id)).state == "failed"


@story
async def test_a_delay_of_its_own_grows_by_its_factor(house: House) -> None:
    peer, row = await after(house, {"retry_policy": "retry_always", "retry_delay": 10.0, "backoff": 3.0}, 0)
    for wait in (10.0, 30.0, 90.0):
        peer.fail(await within_two_hours(peer))
        await house.settle(0.01)
        row = await house.row(row.id)
        assert row.run_at - house.store.now() == pytest.approx(wait, abs=0.1)
