"""The corridor: nothing is acknowledged before it is durable; what has happened is not lost when the store fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from house import House, raw, spec, story

from easyjobs.core.job import Job
from easyjobs.errors import StorageFull, Unavailable
from easyjobs.hub.entries import Arrival
from easyjobs.protocol.messages import (
    Accepted,
    Ack,
    Assign,
    Await,
    Finished,
    Outcome,
    Progress,
    Refusal,
    Result,
    Submit,
)

# -- acknowledgements


@story
async def test_a_submission_is_acknowledged_when_it_is_durable_and_not_before(house: House) -> None:
    await house.open(spec())
    client = await house.client()
    house.store.gate.clear()
    job = house.job()
    client.say(Submit([job]))
    await house.settle(20.0)
    assert client.heard_of(Accepted) == []
    house.store.gate.set()
    assert (await client.hear(Accepted)).ids == [job.id]
    assert (await house.row(job.id)).state == "queued"


@story
async def test_an_outcome_is_acknowledged_when_it_is_durable_and_not_before(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    assignment = await worker.begin()
    worker.keep_beating()
    house.store.gate.clear()
    worker.finish(assignment, 3)
    await house.settle(20.0)
    assert worker.heard_of(Ack) == []
    house.store.gate.set()
    assert (await worker.hear(Ack)).applied == [job.id]
    assert (await house.row(job.id)).result == "3"


@story
async def test_the_same_outcome_again_is_a_duplicate(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    outcome = worker.finish(await worker.begin(), 3)
    await worker.hear(Ack)
    worker.say(Finished([outcome]))
    assert (await worker.hear(Ack)).duplicate == [job.id]
    worker.say(Finished([outcome, outcome]))
    assert (await worker.hear(Ack)).duplicate + (await worker.hear(Ack)).duplicate == [job.id, job.id]


@story
async def test_the_outcome_of_an_older_attempt_is_stale_and_kept_for_the_history(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(retry_delay=1.0))
    job = await house.submit()
    first = await worker.begin()
    worker.fail(first)
    await worker.hear(Ack)
    second = await worker.begin()
    assert second.attempt == 2
    worker.say(Finished([Outcome(job.id, 1, first.token, result=raw("late"))]))
    assert (await worker.hear(Ack)).stale == [job.id]
    worker.say(Finished([Outcome(job.id, 2, "forged", result=raw("forged"))]))
    assert (await worker.hear(Ack)).stale == [job.id]
    worker.finish(second, "in time")
    assert (await worker.hear(Ack)).applied == [job.id]
    assert (await house.row(job.id)).result == '"in time"'
    assert [line.attempt for line in await house.hub.queries.logs(job.id) if line.level == "stale"] == [1, 2]


@story
async def test_an_outcome_of_a_job_that_never_was_is_stale(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    worker.say(Finished([Outcome(house.hub.job_id(), 1, "x")]))
    assert len((await worker.hear(Ack)).stale) == 1


# -- the store fails


@story
async def test_nobody_waits_for_a_store_that_was_tried_again_in_vain(house: House) -> None:
    await house.open(spec())
    client = await house.client()
    again = asyncio.Event()
    looks = house.store.running

    async def silent() -> list[Job]:
        await again.wait()
        return await looks()

    house.store.down = True
    with pytest.raises(Unavailable):
        await house.submit()
    await house.settle(1.0)  # it has been tried again, more than once
    house.store.running = silent  # type: ignore[method-assign]
    await house.settle(10.0)  # now it does not even say that it fails
    client.say(Submit([house.job()]))
    assert (await client.hear(Refusal)).status == 503
    with pytest.raises(Unavailable, match="it does not answer"):
        await house.submit()
    house.store.down = False
    again.set()
    await house.settle()
    assert (await house.row((await house.submit()).id)).state == "queued"
    assert house.hub.ready() == (True, "ok")


@story
async def test_who_waits_while_the_store_is_tried_in_vain_is_refused_with_it(house: House) -> None:
    await house.open(spec())
    house.store.down = True
    refused = [asyncio.create_task(house.submit()) for _ in range(3)]
    answers = await asyncio.gather(*refused, return_exceptions=True)
    early = asyncio.create_task(house.submit())  # after the first failure: it may be a short one
    await asyncio.sleep(0)
    assert not early.done()
    answers.append(*await asyncio.gather(early, return_exceptions=True))
    assert all(isinstance(answer, Unavailable) for answer in answers)
    house.store.down = False
    await house.settle(10.0)
    assert (await house.row((await house.submit()).id)).state == "queued"


@story
async def test_new_jobs_are_refused_while_the_store_is_away_and_what_has_happened_is_kept(house: House) -> None:
    await house.open()
    worker, client = await house.worker(spec(), slots=2), await house.client()
    worker.keep_beating()
    job = await house.submit()
    assignment = await worker.begin()
    house.store.down = True
    worker.finish(assignment, 1)
    with pytest.raises(Unavailable):
        await house.submit()
    client.say(Submit([house.job()]))
    assert (await client.hear(Refusal)).status == 503
    assert house.hub.ready() == (False, "the store fails: it does not answer")
    await house.settle(600.0)
    assert worker.closed is None
    assert worker.heard_of(Ack) == []
    house.store.down = False
    assert (await worker.hear(Ack)).applied == [job.id]
    assert house.hub.ready() == (True, "ok")
    assert await house.states() == {"completed": 1}


@story
async def test_a_full_disk_refuses_new_jobs_while_results_land(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), slots=2)
    job = await house.submit()
    assignment = await worker.begin()
    house.store.full = True
    with pytest.raises(StorageFull):
        await house.submit()
    worker.finish(assignment, 1)
    assert (await worker.hear(Ack, within=1.0)).applied == [job.id]
    house.store.full = False
    await house.submit()


@story
async def test_while_what_has_happened_waits_for_room_new_jobs_are_refused_at_once(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(run_after=("next",)), spec("next"), slots=2)
    await house.submit()
    assignment = await worker.begin()
    house.store.full = True
    worker.finish(assignment, 1)  # its follower finds no room, and so it waits
    await house.settle(3.0)
    before = house.loop.time()
    for _ in range(20):
        with pytest.raises(StorageFull):
            await house.submit()
    assert house.loop.time() - before < 0.1
    house.store.full = False
    await house.settle(1.5)
    assert await house.states() == {"completed": 1, "running": 1}
    await house.submit()


@story
async def test_on_a_disk_that_is_nearly_full_results_still_have_room(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), slots=2)
    job = await house.submit()
    assignment = await worker.begin()
    house.store.nearly_full = lambda: True  # type: ignore[method-assign]
    with pytest.raises(StorageFull):
        await house.submit()
    worker.finish(assignment, 1)
    assert (await worker.hear(Ack, within=1.0)).applied == [job.id]


@story
async def test_results_land_on_a_full_disk_however_many_jobs_are_sent(house: House) -> None:
    await house.open()
    worker, client = await house.worker(spec(), slots=2), await house.client()
    job = await house.submit()
    assignment = await worker.begin()
    house.store.full = True

    async def insist() -> None:
        while True:
            client.say(Submit([house.job()]))
            await asyncio.sleep(0.0005)

    insisting = house.spawn(insist())
    worker.finish(assignment, 1)
    await house.settle(1.0)
    insisting.cancel()
    assert [ack.applied for ack in worker.heard_of(Ack)] == [[job.id]]


@story
async def test_many_jobs_with_keys_do_not_put_off_the_store_s_recovery(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), slots=2)
    worker.keep_beating()
    job = await house.submit()
    assignment = await worker.begin()
    house.store.down = True
    worker.finish(assignment, 1)
    sent = [house.spawn(house.submit(key=f"k{n}")) for n in range(100)]
    await house.settle(1.0)
    house.store.down = False
    assert (await worker.hear(Ack, within=10.0)).applied == [job.id]
    assert all(isinstance(error, Unavailable) for error in await asyncio.gather(*sent, return_exceptions=True))


# -- commits that were written although they failed


@story
async def test_a_job_that_was_stored_unknown_to_all_runs_once_when_it_is_sent_again(house: House) -> None:
    await house.open()
    worker, client = await house.worker(spec(), slots=2), await house.client()
    worker.keep_beating()
    job = house.job()
    house.store.faults = ["unknown"]
    client.say(Submit([job]))
    assert (await client.hear(Refusal)).status == 503
    client.say(Submit([job]))
    assert (await client.hear(Accepted)).instead == [(job.id, job.id)]
    client.say(Await([job.id]))
    worker.finish((await worker.hear(Assign)).jobs[0], "once")
    assert [end.state for end in (await client.hear(Result)).jobs] == ["completed"]
    await house.settle(60.0)
    assert worker.heard_of(Assign) == []
    assert await house.states() == {"completed": 1}


@story
async def test_a_job_that_was_stored_unknown_to_all_does_not_stay_running(house: House) -> None:
    """Nobody sends it again: it was stored, so it runs."""
    await house.open()
    worker = await house.worker(spec())
    worker.keep_beating()
    house.store.faults = ["unknown"]
    with pytest.raises(Unavailable):
        await house.submit()
    worker.finish((await worker.hear(Assign, within=5.0)).jobs[0], 1)
    await worker.hear(Ack)
    assert await house.states() == {"completed": 1}
    assert house.hub.admission.depth["q"] == 0


@story
async def test_a_delayed_job_that_was_stored_unknown_to_all_runs_in_time(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    worker.keep_beating()
    house.store.faults = ["unknown"]
    with pytest.raises(Unavailable):
        await house.submit(delay=30.0)
    await worker.hear(Assign, within=32.0)


@story
async def test_jobs_that_were_claimed_unknown_to_all_are_given_out_again(house: House) -> None:
    await house.open(spec())
    job = await house.submit()
    house.store.faults = ["", "unknown"]  # the session, then the claim
    worker = await house.worker(spec())
    worker.keep_beating()
    assignment = (await worker.hear(Assign, within=5.0)).jobs[0]
    assert (assignment.job, assignment.attempt) == (job.id, 2)
    worker.finish(assignment, 1)
    assert (await worker.hear(Ack)).applied == [job.id]


@pytest.mark.parametrize("fault", ["down", "unknown"])
def test_an_outcome_survives_a_failed_commit_and_whoever_waits_hears_of_it(fault: str) -> None:
    @story
    async def told(house: House) -> None:
        await house.open()
        worker, client = await house.worker(spec()), await house.client()
        worker.keep_beating()
        job = await house.submit()
        client.say(Await([job.id]))
        assignment = await worker.begin()
        house.store.faults = [fault]
        worker.finish(assignment, 5)
        ack = await worker.hear(Ack)
        assert ack.applied + ack.duplicate == [job.id]
        (end,) = (await client.hear(Result)).jobs
        assert (end.id, end.state, bytes(end.result)) == (job.id, "completed", b"5")
        assert house.hub.admission.depth["q"] == 0

    told()


@pytest.mark.parametrize("fault", ["down", "unknown"])
def test_a_cancel_survives_a_failed_commit_and_whoever_waits_hears_of_it(fault: str) -> None:
    @story
    async def told(house: House) -> None:
        await house.open(spec())
        client = await house.client()
        job = await house.submit()
        client.say(Await([job.id]))
        await house.settle()
        house.store.faults = [fault]
        assert (await house.hub.cancel(job.id, "somebody")).state == "cancelled"
        assert (await client.hear(Result)).jobs[0].state == "cancelled"
        assert house.hub.admission.depth["q"] == 0

    told()


@pytest.mark.parametrize("fault", ["down", "unknown"])
def test_a_failure_survives_a_failed_commit_and_is_tried_again(fault: str) -> None:
    @story
    async def told(house: House) -> None:
        await house.open()
        worker = await house.worker(spec(retry_delay=20.0))
        worker.keep_beating()
        await house.submit()
        assignment = await worker.begin()
        house.store.faults = [fault]
        worker.fail(assignment)
        again = (await worker.hear(Assign, within=25.0)).jobs[0]
        assert (again.attempt, again.failures) == (2, 1)

    told()


@story
async def test_a_job_under_way_to_its_worker_is_not_taken_for_an_orphan(house: House) -> None:
    """The store comes back; its commit is written and not yet told when the manager looks for what it does not know."""
    await house.open()
    worker = await house.worker(spec(), slots=5)
    worker.keep_beating()
    house.store.faults = ["down"]
    with pytest.raises(Unavailable):
        await house.submit()
    sent = house.spawn(house.submit())
    await worker.hear(Assign)
    await sent
    await house.settle(30.0)
    assert worker.heard_of(Assign) == []
    (row,) = await house.store.running()
    assert row.attempt == 1


@story
async def test_waiting_and_ending_go_on_through_a_store_that_fails_again_and_again(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(retry_delay=1.0), slots=3)
    worker.keep_beating()
    ids = [(await house.submit(retries=5)).id for _ in range(3)]
    outcomes = ["fail", "fail", "finish"] * 3
    while outcomes:
        assignments = (await worker.hear(Assign)).jobs
        for assignment in assignments:
            house.store.faults = ["unknown", "down", "unknown"]
            if assignment.failures < 2:
                worker.fail(assignment)
            else:
                worker.finish(assignment, 1)
            outcomes.pop()
            await worker.hear(Ack)
    for id in ids:
        row = await house.row(id)
        assert (row.state, row.failures) == ("completed", 2)
    assert house.hub.admission.depth["q"] == 0


@story
async def test_what_is_left_over_of_a_failure_is_not_forgotten_on_a_full_disk(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    house.store.faults = ["unknown"]
    with pytest.raises(Unavailable):
        await house.submit()
    house.store.full = True
    with pytest.raises(StorageFull):
        await house.submit()
    worker.finish((await worker.hear(Assign, within=5.0)).jobs[0])
    assert (await worker.hear(Ack)).applied != []


@story
async def test_passing_words_are_dropped_before_they_fill_the_memory(house: House) -> None:
    await house.open(inbox=100)
    worker = await house.open_worker()
    job = await house.submit()
    a = await worker.begin()
    house.store.gate.clear()
    worker.say(*(Progress(a.job, 1, a.token, None, str(n)) for n in range(500)))
    worker.finish(a, 1)
    await house.settle(60.0)
    assert len(house.hub.committer._inbox) < 120
    house.store.gate.set()
    assert (await worker.hear(Ack)).applied == [job.id]
    assert house.hub.counters["dropped"] > 300


# -- what is in one batch


@story
async def test_one_bad_apple_does_not_spoil_its_neighbours(house: House) -> None:
    await house.open(spec())
    taken = house.job()
    client = await house.client()
    client.say(Submit([taken]))
    await client.hear(Accepted)
    good = house.job()
    client.say(Submit([house.job(id=taken.id, kwargs={"n": 9}), good]))
    assert (await client.hear(Accepted)).ids == [good.id]
    assert (await client.hear(Refusal)).status == 409


@story
async def test_more_submissions_than_may_wait_are_refused(house: House) -> None:
    await house.open(spec(), inbox=10)
    client = await house.client()
    house.store.gate.clear()
    client.say(Submit([house.job()]))
    await house.settle()
    client.say(Submit([house.job() for _ in range(8)]))
    client.say(Submit([house.job() for _ in range(8)]))
    assert (await client.hear(Refusal)).status == 503
    house.store.gate.set()
    await house.settle()
    assert await house.states() == {"queued": 9}


@story
async def test_a_worker_with_more_slots_than_one_claim_takes_is_filled(house: House) -> None:
    await house.open(spec(), claim=10)
    for _ in range(25):
        await house.submit()
    worker = await house.worker(spec(), slots=25)
    await house.settle(1.0)
    assert len(worker.held) == 25


@story
async def test_a_job_that_came_back_is_given_out_at_once(house: House) -> None:
    await house.open()
    one, other = await house.worker(spec()), await house.worker(spec(), worker_id="x")
    one.keep_beating()
    await house.submit()
    await house.submit()
    assignment = await one.begin()
    other.finish(await other.begin())
    await other.hear(Ack)
    one.say(Finished([Outcome(assignment.job, 1, assignment.token, "returned", reason="not now")]))
    one.held.clear()
    one.stop_beating()
    await house.settle(1.0)
    assert [a.attempt for a in [*one.held.values(), *other.held.values()]] == [2]


@story
async def test_a_failed_job_with_no_delay_runs_again_at_once(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(retry_delay=0.0))
    await house.submit()
    worker.fail(await worker.begin())
    assert (await worker.hear(Assign, within=1.0)).jobs[0].attempt == 2


@story
async def test_a_job_delayed_by_next_to_nothing_runs(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    house.store.gate.clear()
    sent = house.spawn(house.submit(delay=0.001))
    await house.settle(0.01)  # it is due by the time it is stored
    house.store.gate.set()
    await sent
    await worker.hear(Assign, within=1.0)


@story
async def test_a_mistake_of_ours_costs_the_job_it_concerns_and_nothing_else(house: House) -> None:
    await house.open(spec())
    client = await house.client()
    judge = house.hub.committer._judge
    decide = judge.decide

    def trips(batch: list[Any], *rest: Any) -> list[Any]:
        if any(type(entry) is Arrival and entry.jobs[0].id == bad.id for entry in batch):
            raise RuntimeError("a mistake")
        return decide(batch, *rest)

    judge.decide = trips  # type: ignore[method-assign]
    bad, good, later = house.job(), house.job(), house.job()
    client.say(Submit([bad]), Submit([good]))
    assert (await client.hear(Accepted)).ids == [good.id]
    refused = await client.hear(Refusal)
    assert (refused.ids, refused.status) == ([bad.id], 503)
    client.say(Submit([later]))
    assert (await client.hear(Accepted)).ids == [later.id]
    assert house.hub.ready() == (True, "ok")
    assert house.hub.counters["bugs"] == 1
