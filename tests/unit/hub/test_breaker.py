"""A worker that fails whatever it is given is given nothing for a while."""

from __future__ import annotations

from house import House, Peer, spec, story

from easyjobs.protocol.messages import Ack, Assign

TASKS = [spec(name, retries=0) for name in ("add", "sub", "mul")]


async def fail_many(house: House, worker: Peer, jobs: int, tasks: int = 3) -> None:
    for n in range(jobs):
        await house.submit(TASKS[n % tasks].name)
        worker.fail(await worker.begin())
        await worker.hear(Ack)


async def black_hole(house: House) -> Peer:
    worker = await house.worker(*TASKS, host="node7")
    worker.keep_beating()
    return worker


@story
async def test_after_twenty_failures_of_three_tasks_it_rests_for_half_a_minute(house: House) -> None:
    await house.open()
    worker = await black_hole(house)
    await fail_many(house, worker, 20)
    (alert,) = house.hub.alerts.all()
    assert (alert.kind, alert.subject) == ("worker_fails", "w")
    assert "worker w on node7 failed 20 jobs in a row" in alert.text
    (view,) = await house.hub.queries.workers()
    assert view.state == "failing"
    assert view.barred_until is not None
    assert 29.0 < view.barred_until - house.hub.now() <= 30.0
    waiting = await house.submit()
    await house.settle(29.0)
    assert worker.heard_of(Assign) == []
    assert (await worker.begin()).job == waiting.id
    (view,) = await house.hub.queries.workers()
    assert (view.state, view.barred_until) == ("live", None)
    assert house.hub.alerts.subjects("worker_fails") == ["w"], "tried again, but not proven"


@story
async def test_others_get_its_jobs_meanwhile(house: House) -> None:
    await house.open()
    worker = await black_hole(house)
    await fail_many(house, worker, 20)
    job = await house.submit()
    other = await house.worker(*TASKS, worker_id="healthy")
    assert (await other.begin()).job == job.id


@story
async def test_a_success_ends_the_alert_and_a_new_streak_raises_it_again(house: House) -> None:
    await house.open()
    worker = await black_hole(house)
    await fail_many(house, worker, 20)
    await house.submit()
    worker.finish(await worker.begin())
    await worker.hear(Ack)
    assert house.hub.alerts.all() == []
    await fail_many(house, worker, 19)
    assert house.hub.alerts.all() == []
    await fail_many(house, worker, 1)
    assert house.hub.alerts.subjects("worker_fails") == ["w"]


@story
async def test_a_success_between_begins_the_count_anew(house: House) -> None:
    await house.open()
    worker = await black_hole(house)
    for _ in range(3):
        await fail_many(house, worker, 19)
        await house.submit()
        worker.finish(await worker.begin())
        await worker.hear(Ack)
    assert house.hub.alerts.all() == []


@story
async def test_tasks_that_fail_everywhere_do_not_blame_their_worker(house: House) -> None:
    await house.open()
    worker = await black_hole(house)
    await fail_many(house, worker, 40, tasks=2)
    assert house.hub.alerts.all() == []


@story
async def test_failures_that_are_spread_over_minutes_are_no_black_hole(house: House) -> None:
    await house.open()
    worker = await black_hole(house)
    for _ in range(25):
        await fail_many(house, worker, 1)
        await fail_many(house, worker, 2)
        await house.settle(9.0)
    assert house.hub.alerts.all() == []


@story
async def test_what_it_had_in_hand_when_it_was_barred_neither_adds_nor_acquits(house: House) -> None:
    await house.open()
    worker = await house.worker(*TASKS, slots=23)
    worker.keep_beating()
    jobs = [await house.submit(TASKS[n % 3].name) for n in range(23)]
    await house.settle(1.0)
    assert len(worker.held) == 23
    held = [worker.held[job.id] for job in jobs]
    for a in held[:21]:
        worker.fail(a)
    await house.settle(1.0)
    worker.finish(held[21])
    worker.fail(held[22])
    await house.settle(1.0)
    (view,) = await house.hub.queries.workers()
    assert view.state == "failing"
    assert house.hub.alerts.subjects("worker_fails") == ["w"]


@story
async def test_the_alert_goes_with_its_worker(house: House) -> None:
    await house.open()
    worker = await black_hole(house)
    await fail_many(house, worker, 20)
    worker.drop()
    await house.settle(6.0)
    assert house.hub.alerts.all() == []
