"""What becomes of a job: cancels, retries, crashes, deadlines, keys, uniqueness, priorities, bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from house import House, held, spec, story

from easyjobs.core.changes import Claim, Committed, Delete, FlagCancel, Insert, LoseSession, Unit, Update
from easyjobs.core.job import Job
from easyjobs.errors import Conflict, Unprocessable
from easyjobs.protocol.messages import (
    Accepted,
    Ack,
    Assign,
    Await,
    Cancel,
    CancelJobs,
    Credit,
    Finished,
    Outcome,
    Refusal,
    Result,
    Started,
    Submit,
    Withdraw,
)
from easyjobs.stores.memory import MemoryStore

# -- cancel


@story
async def test_a_queued_job_is_cancelled_at_once_and_again(house: House) -> None:
    await house.open(spec())
    job = await house.submit()
    assert (await house.hub.cancel(job.id, "me")).state == "cancelled"
    again = await house.hub.cancel(job.id, "you")
    assert (again.state, again.cancel) == ("cancelled", "me")
    worker = await house.worker(spec())
    await house.settle(1.0)
    assert worker.heard_of(Assign) == []


@story
async def test_a_job_that_would_be_tried_again_is_cancelled_at_once(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit()
    worker.fail(await worker.begin())
    await worker.hear(Ack)
    assert (await house.row(job.id)).state == "retry"
    assert (await house.hub.cancel(job.id, "me")).state == "cancelled"
    await house.settle(60.0)
    assert worker.heard_of(Assign) == []


@story
async def test_a_running_job_is_asked_to_stop_and_stops(house: House) -> None:
    await house.open()
    worker, client = await house.open_worker(), await house.client()
    job = await house.submit()
    a = await worker.begin()
    client.say(Await([job.id]), CancelJobs([job.id, house.hub.job_id()]))
    assert (await worker.hear(Cancel)).jobs == [held(a)]
    again = await house.hub.cancel(job.id, "you")
    assert (again.state, again.cancel) == ("running", "tester")
    worker.held.clear()
    worker.say(Finished([Outcome(a.job, 1, a.token, "stopped")]))
    assert (await worker.hear(Ack)).applied == [job.id]
    assert (await client.hear(Result)).jobs[0].state == "cancelled"
    assert worker.heard_of(Cancel) == []
    assert (await house.hub.cancel(job.id, "you")).state == "cancelled"


@story
async def test_a_worker_that_says_nothing_about_a_cancel_is_not_waited_for(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit()
    a = await worker.begin()
    await house.hub.cancel(job.id, "me")
    await house.settle(29.0)
    assert (await house.row(job.id)).state == "running"
    await house.settle(2.0)
    assert (await house.row(job.id)).state == "cancelled"
    assert (await worker.hear(Withdraw)).jobs == [held(a)]
    await house.submit()
    await worker.hear(Assign, within=1.0)


@story
async def test_a_result_that_is_recorded_wins_over_a_cancel(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit()
    a = await worker.begin()
    await house.hub.cancel(job.id, "me")
    worker.finish(a, "done anyway")
    await worker.hear(Ack)
    assert (await house.row(job.id)).state == "completed"
    assert (await house.hub.cancel(job.id, "me")).state == "completed"


@pytest.mark.parametrize("end", ["fail", "return", "die"])
def test_a_pending_cancel_wins_over_all_other_ends(end: str) -> None:
    @story
    async def told(house: House) -> None:
        await house.open()
        worker = await house.open_worker()
        job = await house.submit(retries=9)
        a = await worker.begin()
        await house.hub.cancel(job.id, "me")
        if end == "fail":
            worker.fail(a)
        elif end == "return":
            worker.held.clear()
            worker.say(Finished([Outcome(a.job, 1, a.token, "returned")]))
        else:
            worker.drop()
        await house.settle(6.0)
        assert (await house.row(job.id)).state == "cancelled"

    told()


@story
async def test_a_cancel_and_an_end_at_once_end_the_job_once(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit()
    a = await worker.begin()
    house.store.gate.clear()
    cancelling = house.spawn(house.hub.cancel(job.id, "me"))
    await house.settle()
    worker.fail(a)
    house.store.gate.set()
    await cancelling
    await worker.hear(Ack)
    assert (await house.row(job.id)).state == "cancelled"


# -- again?


@story
async def test_failures_spend_the_budget_and_wait_longer_each_time(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit(retries=2)
    times = []
    for _ in range(3):
        a = await worker.begin()
        times.append(house.store.now())
        worker.fail(a)
        await worker.hear(Ack)
    row = await house.row(job.id)
    assert (row.state, row.failures, row.attempt) == ("failed", 3, 3)
    assert 1.0 <= times[1] - times[0] <= 2.1
    assert 2.0 <= times[2] - times[1] <= 4.1
    assert [a.end for a in await house.hub.queries.attempts(job.id)] == ["failed", "failed", "failed"]


@story
async def test_a_task_may_ask_for_its_own_delay_or_for_no_more(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit(retries=5)
    worker.fail(await worker.begin(), delay=100.0)
    await worker.hear(Ack)
    asked = house.store.now()
    a = await worker.begin()
    assert 100.0 <= house.store.now() - asked <= 101.0
    worker.fail(a, final=True)
    await worker.hear(Ack)
    assert (await house.row(job.id)).state == "failed"


@story
async def test_crashes_are_counted_apart_and_the_third_fails(house: House) -> None:
    await house.open()
    job = None
    for crash in range(3):
        worker = await house.worker(spec(), worker_id=f"w{crash}")
        if job is None:
            job = await house.submit(retries=0)
        a = await worker.begin()
        assert (a.attempt, a.failures) == (crash + 1, 0)
        worker.drop()
        await house.settle(6.0)
    assert job is not None
    row = await house.row(job.id)
    assert (row.state, row.crashes, row.failures) == ("failed", 3, 0)
    assert [a.end for a in await house.hub.queries.attempts(job.id)] == ["crashed", "crashed", "crashed"]


@story
async def test_under_never_a_worker_s_death_fails_the_job(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(retry_policy="never"))
    job = await house.submit()
    await worker.begin()
    worker.drop()
    await house.settle(6.0)
    assert (await house.row(job.id)).state == "failed"


# -- in time?


@story
async def test_a_timeout_that_the_worker_reports_is_a_failure(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit(timeout=5.0, retries=1)
    a = await worker.begin()
    assert a.timeout == 5.0
    await house.settle(5.0)
    worker.fail(a)
    await worker.hear(Ack)
    row = await house.row(job.id)
    assert (row.state, row.failures, row.crashes) == ("retry", 1, 0)


@story
async def test_a_timeout_about_which_the_worker_is_silent_is_owed_by_the_manager(house: House) -> None:
    """It counts as a crash: the retry budget is for what is told."""
    await house.open()
    worker = await house.open_worker()
    job = await house.submit(timeout=5.0, retries=0)
    a = await worker.begin()
    await house.settle(34.0)
    assert (await house.row(job.id)).attempt == 1
    worker.say(Credit(0, 0))
    await house.settle(2.0)
    row = await house.row(job.id)
    assert (row.state, row.crashes, row.failures) == ("queued", 1, 0)
    assert (await worker.hear(Withdraw)).jobs == [held(a)]
    worker.finish(a)
    assert (await worker.hear(Ack)).stale == [job.id]


@story
async def test_a_job_that_did_not_start_in_time_is_skipped(house: House) -> None:
    await house.open(spec())
    client = await house.client()
    job = await house.submit(start_deadline=20.0)
    late = await house.submit(delay=10.0, start_deadline=20.0)
    client.say(Await([job.id]))
    await house.settle(19.0)
    assert (await house.row(job.id)).state == "queued"
    await house.settle(3.0)
    assert (await client.hear(Result)).jobs[0].state == "skipped"
    assert (await house.row(late.id)).state == "queued"
    await house.settle(10.0)
    assert (await house.row(late.id)).state == "skipped"


@story
async def test_a_job_that_started_in_time_is_not_skipped(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit(start_deadline=5.0)
    await worker.begin()
    await house.settle(20.0)
    assert (await house.row(job.id)).state == "running"


@story
async def test_deadlines_do_not_pile_up_while_the_store_is_away(house: House) -> None:
    await house.open(spec())
    job = await house.submit(start_deadline=5.0)
    house.store.gate.clear()
    await house.settle(600.0)
    assert len(house.hub.committer._inbox) < 5
    house.store.gate.set()
    await house.settle()
    assert (await house.row(job.id)).state == "skipped"


@story
async def test_a_delayed_job_starts_in_its_time_and_not_before(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    begun = house.store.now()
    await house.submit(delay=30.0)
    other = await house.submit(run_at=begun + 15.0)
    a = await worker.begin()
    assert a.job == other.id
    assert 15.0 <= house.store.now() - begun < 15.5
    worker.finish(a)
    await worker.begin()
    assert 30.0 <= house.store.now() - begun < 30.5


# -- the same again


@story
async def test_the_same_key_and_body_a_hundred_times_at_once_is_one_job(house: House) -> None:
    await house.open(spec())
    made = await asyncio.gather(*(house.submit(key="order-1", kwargs={"n": 1, "s": "x"}) for _ in range(100)))
    assert len({job.id for job in made}) == 1
    assert await house.states() == {"queued": 1}
    assert house.hub.admission.depth["q"] == 1


@story
async def test_the_same_key_with_another_body_is_refused(house: House) -> None:
    await house.open(spec(), spec("other"))
    first = await house.submit(key="order-1", kwargs={"n": 1, "s": "x"})
    assert (await house.submit(key="order-1", kwargs={"s": "x", "n": 1})).id == first.id
    for other in ({"kwargs": {"n": 2}}, {"task": "other", "kwargs": {"n": 1, "s": "x"}}):
        with pytest.raises(Unprocessable, match="key"):
            await house.submit(key="order-1", **other)  # type: ignore[arg-type]


@story
async def test_a_key_is_remembered_after_its_job_has_ended(house: House) -> None:
    await house.open()
    worker, client = await house.open_worker(), await house.client()
    first = await house.submit(key="k")
    worker.finish(await worker.begin(), 7)
    await worker.hear(Ack)
    again = house.job(key="k", wait=True)
    client.say(Submit([again]))
    assert (await client.hear(Accepted)).instead == [(again.id, first.id)]
    (end,) = (await client.hear(Result)).jobs
    assert (end.id, bytes(end.result)) == (first.id, b"7")


@story
async def test_a_unique_task_has_one_live_job_with_the_same_arguments(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(unique=True), slots=0)
    first = await house.submit(kwargs={"n": 1, "s": None})
    assert (await house.submit(args=[1], kwargs={"s": None})).id == first.id
    assert (await house.submit(kwargs={"n": 2})).id != first.id
    worker.say(Credit(0, 1))
    await worker.begin()
    assert (await house.submit(kwargs={"s": None, "n": 1})).id == first.id
    worker.finish(worker.held[first.id])
    await worker.hear(Ack)
    assert (await house.submit(kwargs={"n": 1, "s": None})).id != first.id


@story
async def test_unique_may_look_at_some_parameters_only(house: House) -> None:
    await house.open(spec(unique=("n",)))
    first = await house.submit(kwargs={"n": 1, "s": "a"})
    assert (await house.submit(kwargs={"n": 1, "s": "b"})).id == first.id


@story
async def test_jobs_sent_together_may_repeat_a_key_an_id_or_unique_arguments(house: House) -> None:
    await house.open(spec(), spec("one", unique=True))
    a, b = house.job(key="k", kwargs={"n": 1}), house.job(key="k", kwargs={"n": 1})
    made = await house.hub.submit([a, b])
    assert [m.job.id for m in made] == [a.id, a.id]
    assert [m.created for m in made] == [True, False]
    c, d = house.job("one", kwargs={"n": 1}), house.job("one", kwargs={"n": 1})
    e = house.job()
    made = await house.hub.submit([c, e, d])
    assert [m.job.id for m in made] == [c.id, e.id, c.id]
    twice = house.job(kwargs={"n": 3})
    assert [m.job.id for m in await house.hub.submit([twice, twice])] == [twice.id] * 2
    assert await house.states() == {"queued": 4}
    assert house.hub.admission.depth["q"] == 4
    assert house.hub.ready() == (True, "ok")


@story
async def test_jobs_sent_together_that_contradict_each_other_are_refused(house: House) -> None:
    await house.open(spec())
    with pytest.raises(Unprocessable):
        await house.hub.submit([house.job(key="k", kwargs={"n": 1}), house.job(key="k", kwargs={"n": 2})])
    one = house.job(kwargs={"n": 1})
    with pytest.raises(Conflict):
        await house.hub.submit([one, house.job(id=one.id, kwargs={"n": 2})])
    assert await house.states() == {}


@story
async def test_jobs_sent_together_may_repeat_a_stranger_s_key(house: House) -> None:
    await house.open(spec())
    first = await house.submit(key="k")
    new = house.job()
    made = await house.hub.submit([house.job(key="k"), new, house.job(key="k")])
    assert [(m.job.id, m.created) for m in made] == [(first.id, False), (new.id, True), (first.id, False)]


@story
async def test_jobs_sent_one_by_one_may_repeat_an_id(house: House) -> None:
    await house.open(spec())
    client = await house.client()
    job = house.job(wait=True)
    client.say(Submit([job, job]), Submit([job]))
    await house.settle()
    assert await house.states() == {"queued": 1}
    worker = await house.open_worker()
    worker.finish(await worker.begin())
    assert [end.id for end in (await client.hear(Result)).jobs] == [job.id]


@story
async def test_together_means_all_or_none(house: House) -> None:
    await house.open(spec())
    client = await house.client()
    good, bad = house.job(wait=True), house.job("nobody knows it")
    client.say(Submit([good, bad], together=True))
    refusal = await client.hear(Refusal)
    assert (refusal.ids, refusal.status) == ([good.id, bad.id], 404)
    assert await house.states() == {}
    assert house.hub.announcer.awaited() == []
    client.say(Submit([good, house.job()], together=True))
    assert len((await client.hear(Accepted)).ids) == 2
    taken = house.job(id=good.id, kwargs={"n": 5})
    client.say(Submit([house.job(), taken], together=True))
    assert {id for _ in range(2) for id in (await client.hear(Refusal)).ids} >= {taken.id}
    assert await house.states() == {"queued": 2}


# -- who is next


@story
async def test_the_more_urgent_go_first_then_the_older(house: House) -> None:
    await house.open(spec(), spec("urgent", priority=5))
    low = await house.submit(priority=-1)
    old = await house.submit()
    new = await house.submit()
    high = await house.submit("urgent")
    worker = await house.worker(spec(), spec("urgent", priority=5))
    order = []
    for _ in range(4):
        a = await worker.begin()
        order.append(a.job)
        worker.finish(a)
    assert order == [high.id, old.id, new.id, low.id]


@story
async def test_a_new_job_does_not_overtake_one_that_waits(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    await house.submit()
    a = await worker.begin()
    waiting = await house.submit()
    house.store.gate.clear()
    worker.finish(a)
    sent = house.spawn(house.submit())
    await house.settle()
    house.store.gate.set()
    await sent
    assert (await worker.begin()).job == waiting.id


@story
async def test_no_more_jobs_of_a_task_run_at_once_than_it_allows(house: House) -> None:
    await house.open()
    task = spec(concurrency=3, retry_delay=0.0)
    workers = [await house.worker(task, worker_id=f"w{n}", slots=4) for n in range(3)]
    for worker in workers:
        worker.keep_beating()
    for _ in range(30):
        await house.submit(retries=1)
    done = 0
    for turn in range(200):
        running = await house.store.running()
        assert len(running) <= 3
        if not running:
            break
        for worker in workers:
            for a in list(worker.held.values()):
                if turn % 7 == 3 and a.failures == 0:
                    worker.fail(a)
                else:
                    worker.finish(a)
                    done += 1
        await house.settle()
    assert await house.states() == {"completed": 30}
    assert done == 30


@story
async def test_jobs_are_spread_over_workers(house: House) -> None:
    await house.open()
    workers = [await house.worker(spec(), worker_id=f"w{n}", slots=5) for n in range(3)]
    for _ in range(9):
        await house.submit()
    await house.settle()
    assert [len(worker.held) for worker in workers] == [3, 3, 3]


@story
async def test_a_worker_that_goes_while_a_job_is_stored_for_it_does_not_keep_it(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    house.store.gate.clear()
    sent = house.spawn(house.submit())
    await house.settle()
    house.hub.rescuer.lose(next(iter(house.hub.roster.sessions.values())), house.store.now(), "a test")
    house.store.gate.set()
    job: Job = await sent
    await house.settle()
    assert (await house.row(job.id)).state == "queued"
    assert worker.held == {}


@story
async def test_a_session_that_the_store_has_lost_gets_no_job(house: House) -> None:
    await house.open()
    await house.worker(spec())
    (session,) = await house.store.sessions()
    await house.store.commit([Unit([LoseSession(session.id, None, house.store.now())])])
    jobs = [house.job() for _ in range(2)]
    await house.hub.submit(jobs)
    assert await house.states() == {"queued": 2}


@story
async def test_nor_does_it_get_one_that_is_alone(house: House) -> None:
    await house.open()
    await house.worker(spec())
    (session,) = await house.store.sessions()
    await house.store.commit([Unit([LoseSession(session.id, None, house.store.now())])])
    await house.hub.submit([house.job()])
    assert await house.states() == {"queued": 1}


# -- rows that somebody else has moved


async def behind_its_back(house: House, id: str, **columns: Any) -> None:
    """The row moves without this manager's knowledge, as where several share a store."""
    await house.store.commit([Unit([Update(await house.row(id), columns)])])


@story
async def test_an_outcome_is_decided_anew_on_the_row_as_it_is(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit()
    a = await worker.begin()
    await behind_its_back(house, job.id, priority=9)
    worker.finish(a, 1)
    assert (await worker.hear(Ack)).applied == [job.id]
    row = await house.row(job.id)
    assert (row.state, row.priority) == ("completed", 9)
    assert house.hub.counters["redecided"] == 1


@story
async def test_a_cancel_that_this_manager_did_not_see_counts(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit()
    a = await worker.begin()
    await house.store.commit([Unit([FlagCancel(job.id, 1, "another manager")])])
    worker.fail(a)
    assert (await worker.hear(Ack)).applied == [job.id]
    row = await house.row(job.id)
    assert (row.state, row.cancel) == ("cancelled", "another manager")


@story
async def test_an_outcome_of_a_job_that_was_ended_elsewhere_is_stale_and_its_slot_free(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit()
    a = await worker.begin()
    await behind_its_back(house, job.id, state="cancelled", token=None)
    assert (await house.hub.cancel(job.id, "me")).state == "cancelled"
    worker.finish(a)
    assert (await worker.hear(Ack)).stale == [job.id]
    assert house.hub.roster.running == {}


@story
async def test_an_outcome_of_a_job_that_is_gone_is_of_no_account(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit()
    a = await worker.begin()
    await house.store.commit([Unit([Delete(await house.row(job.id))])])
    worker.finish(a)
    assert (await worker.hear(Ack)).stale == [job.id]
    assert house.hub.roster.running == {}


@story
async def test_a_job_that_moves_all_the_time_is_decided_alone_in_the_end(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), slots=2)
    worker.keep_beating()
    job, other = await house.submit(), await house.submit()
    await house.settle()
    commit, turn = house.store.commit, 0

    async def restless(units: Sequence[Unit], claim: Claim | None = None) -> Committed:
        nonlocal turn
        if turn < 4 and any(isinstance(write, Update) for unit in units for write in unit.writes):
            turn += 1
            await MemoryStore.commit(house.store, [Unit([Update(await house.row(job.id), {"priority": turn})])])
        return await commit(units, claim)

    house.store.commit = restless  # type: ignore[method-assign]
    for a in list(worker.held.values()):
        worker.finish(a)
    await house.settle(1.0)
    assert await house.states() == {"completed": 2}
    assert (await house.row(job.id)).priority == 4
    assert (await house.row(other.id)).priority == 0


# -- what the store cannot write


def writes_state(state: str) -> Callable[[Unit], bool]:
    return lambda unit: any(isinstance(w, Update) and w.columns.get("state") == state for w in unit.writes)


@story
async def test_a_result_that_cannot_be_stored_fails_its_job(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit()
    house.store.rejects = writes_state("completed")
    worker.finish(await worker.begin(), 1)
    assert (await worker.hear(Ack)).applied == [job.id]
    row = await house.row(job.id)
    assert row.state == "failed"
    assert "Unstorable" in (row.error or "")


@story
async def test_an_error_that_cannot_be_stored_fails_its_job_with_another(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit(retries=3)
    house.store.rejects = writes_state("retry")
    worker.fail(await worker.begin())
    assert (await worker.hear(Ack)).applied == [job.id]
    assert "Unstorable" in ((await house.row(job.id)).error or "")


@story
async def test_what_cannot_be_stored_in_any_way_is_given_up(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit()
    house.store.rejects = lambda unit: any(isinstance(write, Update) for write in unit.writes)
    worker.finish(await worker.begin(), 1)
    assert (await worker.hear(Ack)).stale == [job.id]
    assert (await house.hub.cancel(job.id, "me")).state == "running"


@story
async def test_a_job_that_cannot_be_stored_is_refused_alone(house: House) -> None:
    await house.open(spec())
    client = await house.client()
    good, bad = house.job(), house.job(kwargs={"s": "bad"})
    house.store.rejects = lambda unit: any(isinstance(w, Insert) and w.job.kwargs != "{}" for w in unit.writes)
    client.say(Submit([good, bad]))
    assert (await client.hear(Accepted)).ids == [good.id]
    assert (await client.hear(Refusal)).status == 422


@story
async def test_started_is_enough_to_hold_on_to_a_job(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    await house.submit()
    a = await worker.begin()
    worker.say(Started([held(a)]))
    live = next(iter(house.hub.roster.sessions.values()))
    assert (list(live.held), live.unconfirmed) == ([a.job], {})
