"""A manager's life: it starts on what an earlier one left, it stops, it dies, it starts again."""

from __future__ import annotations

import asyncio

import pytest
from house import House, spec, story

from easyjobs.errors import StoreLocked, StoreUnavailable
from easyjobs.hub.hub import Hub
from easyjobs.protocol.messages import Accepted, Ack, Assign, Await, Cancel, Credit, Drain, Result, Submit, Verdict


@story
async def test_jobs_that_run_while_the_manager_dies_go_on_in_their_workers(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), slots=2)
    kept, done = await house.submit(), await house.submit()
    await house.settle()
    finished = worker.held[done.id]
    await house.crash()
    await house.settle(20.0)
    await house.restart()
    assert house.hub.ready() == (True, "ok")
    client = await house.client()
    client.say(Await([kept.id, done.id]))
    worker, welcome = await house.again(worker)
    assert welcome.verdicts == [Verdict(id, 1, "keep") for id in (kept.id, done.id)]
    worker.keep_beating()
    worker.finish(finished, "second life")
    await worker.hear(Ack)
    await house.settle(60.0)
    worker.finish(worker.held[kept.id], "second life")
    await worker.hear(Ack)
    assert {end.id for _ in range(2) for end in (await client.hear(Result)).jobs} == {kept.id, done.id}
    assert [(await house.row(id)).attempt for id in (kept.id, done.id)] == [1, 1]
    assert house.hub.admission.depth["q"] == 0


@story
async def test_workers_have_a_lease_and_the_grace_to_come_back_to_a_new_manager(house: House) -> None:
    await house.open()
    await house.worker(spec())
    job = await house.submit()
    await house.settle()
    await house.restart()
    await house.settle(34.0)
    assert (await house.row(job.id)).state == "running"
    await house.settle(2.0)
    row = await house.row(job.id)
    assert (row.state, row.crashes) == ("queued", 1)


@story
async def test_embedded_workers_died_with_their_manager(house: House) -> None:
    await house.open()
    await house.worker(spec(), embedded=True)
    job = await house.submit()
    await house.settle()
    await house.restart()
    worker = await house.worker(spec(), worker_id="new", embedded=True)
    a = await worker.hear(Assign, within=1.0)
    assert (a.jobs[0].job, a.jobs[0].attempt) == (job.id, 2)
    assert len(await house.store.sessions()) == 1


@story
async def test_everything_that_waited_goes_on_under_a_new_manager(house: House) -> None:
    await house.open(spec(), spec("bounded", concurrency=1))
    queued = await house.submit()
    delayed = await house.submit(delay=50.0)
    late = await house.submit(start_deadline=15.0, priority=-5)
    worker = await house.worker(spec())
    a = await worker.begin()
    worker.say(Credit(0, 0))
    worker.fail(a, delay=30.0)
    await worker.hear(Ack)
    begun = house.store.now()
    await house.restart()
    assert [task.spec.name for task in house.hub.queries.tasks()] == ["add", "bounded"]
    assert house.hub.admission.depth["q"] == 3
    await house.settle(20.0)
    worker = await house.open_worker()
    order = []
    for _ in range(2):
        a = await worker.begin()
        order.append((a.job, round(house.store.now() - begun)))
        worker.finish(a)
    assert order == [(queued.id, 30), (delayed.id, 50)]
    assert (await house.row(late.id)).state == "skipped"


@story
async def test_a_cancel_that_nobody_was_told_of_is_told_by_the_next_manager(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    await worker.begin()
    worker.drop()
    await house.hub.cancel(job.id, "me")
    await house.restart()
    worker, _ = await house.again(worker)
    worker.keep_beating()
    await worker.hear(Cancel, within=1.0)
    await house.settle(40.0)
    assert (await house.row(job.id)).state == "cancelled"


@story
async def test_a_cancel_whose_worker_stays_silent_is_forced_by_the_next_manager(house: House) -> None:
    await house.open()
    await house.worker(spec())
    job = await house.submit()
    await house.settle()
    await house.hub.cancel(job.id, "me")
    await house.restart()
    await house.settle(31.0)
    assert (await house.row(job.id)).state == "cancelled"


@story
async def test_a_timeout_holds_over_a_restart(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit(timeout=10.0)
    await worker.begin()
    await house.restart()
    worker, _ = await house.again(worker)
    worker.keep_beating()
    await house.settle(45.0)
    assert (await house.row(job.id)).crashes == 1


@story
async def test_a_job_whose_session_was_lost_just_before_the_crash_is_given_out_again(house: House) -> None:
    from easyjobs.core.changes import LoseSession, Unit

    await house.open()
    await house.worker(spec())
    job = await house.submit()
    await house.settle()
    (session,) = await house.store.sessions()
    await house.crash()
    await house.store.open()
    await house.store.commit([Unit([LoseSession(session.id, None, house.store.now())])])
    await house.store.close()
    await house.restart()
    await house.settle()
    assert (await house.row(job.id)).state == "queued"


@story
async def test_a_manager_that_is_killed_again_and_again_loses_nothing(house: House) -> None:
    await house.open(spec())
    acknowledged: set[str] = set()
    worker = await house.worker(spec(), slots=5)
    for life in range(8):
        client = await house.client()
        jobs = [house.job() for _ in range(10)]
        client.say(Submit(jobs))
        acknowledged |= set((await client.hear(Accepted)).ids)
        for a in list(worker.held.values())[: life % 4]:
            worker.finish(a)
        await asyncio.sleep(0.0005 * life)  # at another moment of the commit each time
        await house.restart()
        worker, _ = await house.again(worker)
    worker.keep_beating()
    for _ in range(100):
        for a in list(worker.held.values()):
            worker.finish(a)
        await house.settle(0.2)
    rows = await house.store.jobs(sorted(acknowledged))
    assert {row.state for row in rows.values()} == {"completed"}
    assert (len(rows), len(acknowledged)) == (80, 80)


# -- starting and stopping


@story
async def test_a_second_manager_of_a_store_does_not_start_and_leaves_the_first_alone(house: House) -> None:
    await house.open(spec())
    second = Hub(house.store, clock=house.clock)
    assert second.ready() == (False, "starting")
    with pytest.raises(StoreLocked):
        await second.start()
    await second.stop()
    await house.submit()


@story
async def test_a_start_that_fails_lets_go_of_the_store(house: House) -> None:
    house.store.down = True
    with pytest.raises(StoreUnavailable):
        await house.open()
    house.store.down = False
    await house.open()


@story
async def test_a_manager_stops_when_what_arrived_is_committed(house: House) -> None:
    await house.open()
    worker, client = await house.open_worker(), await house.client()
    await house.submit()
    a = await worker.begin()
    house.store.gate.clear()
    worker.finish(a)
    await house.settle()
    last = house.job()
    client.say(Submit([last]))
    stopping = house.spawn(house.hub.stop())
    await worker.hear(Drain)
    await house.settle(10.0)
    assert house.hub.ready() == (False, "stopping")
    house.store.gate.set()
    await stopping
    assert [ack.applied for ack in worker.heard_of(Ack)] == [[a.job]]
    assert [accepted.ids for accepted in client.heard_of(Accepted)] == [[last.id]]
    assert house.hub.ready() == (False, "stopped")
    await house.hub.stop()
    await house.open()
    assert await house.states() == {"completed": 1, "queued": 1}


@story
async def test_a_manager_whose_store_hangs_stops_in_its_time_all_the_same(house: House) -> None:
    await house.open()
    client = await house.client()
    house.store.gate.clear()
    client.say(Submit([house.job()]))
    await house.settle()
    began = house.store.now()
    await house.hub.stop(10.0)
    assert house.store.now() - began <= 10.0
    assert client.closed == 1012


@story
async def test_a_manager_that_stops_gives_out_nothing_more(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    house.store.gate.clear()
    sent = house.spawn(house.submit())
    await house.settle()
    stopping = house.spawn(house.hub.stop())
    await house.settle()
    more = house.spawn(house.submit())
    house.store.gate.set()
    await asyncio.gather(sent, more, stopping)
    assert len(worker.held) <= 1
    await house.open()
    assert (await house.states()).get("queued", 0) >= 1


@story
async def test_a_crashed_corridor_shows(house: House) -> None:
    await house.open()

    def bug() -> object:
        raise RuntimeError("a bug")

    house.hub.committer._take = bug  # type: ignore[method-assign, assignment]
    house.hub.committer.poke()
    await house.settle()
    assert house.hub.ready() == (False, "the committer crashed; see the log")


@story
async def test_who_waits_for_a_job_when_the_server_stops_is_told_of_it_as_it_is(house: House) -> None:
    await house.open()
    await house.worker(spec(), slots=1)
    job = await house.submit()
    waiting = asyncio.ensure_future(house.hub.wait(job.id, 30.0))
    await house.settle()
    waiting.cancel()
    assert (await waiting).id == job.id
