"""Submitting, waiting and cancelling over a socket."""

from __future__ import annotations

import asyncio

from house import House, spec, story

from easyjobs.protocol.messages import (
    Accepted,
    Ack,
    Assign,
    Await,
    CancelJobs,
    Forget,
    Refusal,
    Result,
    Submit,
)


@story
async def test_each_job_of_a_submission_is_judged_alone(house: House) -> None:
    await house.open(spec())
    client = await house.client()
    good, unknown, wrong = house.job(), house.job("sub"), house.job(kwargs={"x": 1})
    client.say(Submit([good, unknown, wrong]))
    assert (await client.hear(Accepted)).ids == [good.id]
    refusals = {refusal.ids[0]: refusal for refusal in client.heard_of(Refusal)}
    assert refusals[unknown.id].status == 404
    assert refusals[wrong.id].status == 422
    assert b'"x"' in bytes(refusals[wrong.id].errors)


@story
async def test_many_refusals_leave_in_frames_that_the_peer_can_take(house: House) -> None:
    await house.open(spec())
    client = await house.client()
    sizes: list[int] = []
    send = client.send

    async def weigh(frame: bytes) -> None:
        sizes.append(len(frame))
        await send(frame)

    client.send = weigh  # type: ignore[method-assign]
    wrong = {f"surplus argument number {n}": n for n in range(20)}
    client.say(Submit([house.job(kwargs=wrong) for _ in range(1000)]))
    await house.settle(1.0)
    assert len(client.heard_of(Refusal)) == 1000
    assert max(sizes) < house.hub.limits.frame


@story
async def test_a_result_asked_for_with_the_submission_comes_unasked(house: House) -> None:
    await house.open()
    worker, client = await house.open_worker(), await house.client()
    job = house.job(wait=True)
    client.say(Submit([job]))
    worker.finish(await worker.begin(), [1])
    (end,) = (await client.hear(Result)).jobs
    assert (end.id, end.state, bytes(end.result), bytes(end.error)) == (job.id, "completed", b"[1]", b"null")


@story
async def test_a_failure_comes_with_its_error(house: House) -> None:
    await house.open()
    worker, client = await house.open_worker(), await house.client()
    client.say(Submit([house.job(wait=True, retries=0)]))
    worker.fail(await worker.begin())
    (end,) = (await client.hear(Result)).jobs
    assert (end.state, bytes(end.result)) == ("failed", b"null")
    assert b"ValueError" in bytes(end.error)


@story
async def test_jobs_that_have_ended_run_or_never_were_may_be_awaited(house: House) -> None:
    await house.open()
    worker, client = await house.open_worker(), await house.client()
    ended = await house.submit()
    worker.finish(await worker.begin(), "early")
    await worker.hear(Ack)
    running = await house.submit()
    never = house.hub.job_id()
    client.say(Await([ended.id, running.id, never]))
    assert (await client.hear(Result)).jobs[0].id == ended.id
    refusal = await client.hear(Refusal)
    assert (refusal.ids, refusal.status) == ([never], 404)
    client.say(Await([running.id]))
    worker.finish(await worker.begin(), "late")
    assert [end.id for end in (await client.hear(Result)).jobs] == [running.id]
    await house.settle()
    assert client.heard_of(Result) == []
    assert house.hub.announcer.awaited() == []


@story
async def test_whoever_forgets_is_told_nothing(house: House) -> None:
    await house.open()
    worker, client = await house.open_worker(), await house.client()
    job = await house.submit()
    client.say(Await([job.id]), Forget([job.id, house.hub.job_id()]))
    await house.settle()
    worker.finish(await worker.begin())
    await house.settle()
    assert client.heard_of(Result) == []


@story
async def test_an_await_that_the_store_cannot_answer_is_refused_and_forgotten(house: House) -> None:
    await house.open(spec())
    client = await house.client()
    job = await house.submit()
    house.store.down = True
    client.say(Await([job.id]))
    assert (await client.hear(Refusal)).status == 503
    assert house.hub.announcer.awaited() == []
    house.store.down = False


@story
async def test_the_waits_of_a_client_that_went_are_forgotten(house: House) -> None:
    await house.open(spec())
    first = await house.submit(key="k")
    client = await house.client()
    client.say(Await([first.id]), Submit([house.job(wait=True)]))
    house.store.gate.clear()
    client.say(Submit([house.job(key="k", wait=True)]))
    await house.settle()
    client.drop()
    house.store.gate.set()
    await house.settle()
    assert house.hub.announcer.awaited() == []


@story
async def test_a_job_that_ends_while_it_is_looked_up_is_told_once(house: House) -> None:
    await house.open()
    worker, client = await house.open_worker(), await house.client()
    job = await house.submit()
    a = await worker.begin()
    house.store.reading = 1.0
    client.say(Await([job.id]))
    worker.finish(a)
    await house.settle(3.0)
    assert [[end.id for end in result.jobs] for result in client.heard_of(Result)] == [[job.id]]


@story
async def test_cancels_of_anything_are_taken(house: House) -> None:
    await house.open(spec())
    client = await house.client()
    job = await house.submit()
    client.say(CancelJobs([job.id, job.id, house.hub.job_id(), "nonsense"]))
    await house.settle()
    row = await house.row(job.id)
    assert (row.state, row.cancel) == ("cancelled", "tester")
    assert client.closed is None


@story
async def test_a_task_makes_and_awaits_jobs_over_its_worker_s_connection(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), slots=2)
    parent = await house.submit()
    await worker.begin()
    child = house.job(parent=parent.id, wait=True)
    worker.say(Submit([child]))
    await worker.hear(Accepted)
    a = (await worker.hear(Assign)).jobs[0]
    worker.finish(a, 3)
    assert (await worker.hear(Result)).jobs[0].id == child.id
    assert (await house.row(child.id)).parent == parent.id


@story
async def test_waiting_at_the_hub_ends_with_the_job_or_with_the_time(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit()
    a = await worker.begin()
    assert (await house.hub.wait(job.id, 0.0)).state == "running"
    assert (await house.hub.wait(job.id, 5.0)).state == "running"
    waiting = house.spawn(house.hub.wait(job.id, 60.0))
    await asyncio.sleep(1.0)
    worker.finish(a)
    assert (await waiting).state == "completed"
    assert (await house.hub.wait(job.id, 60.0)).state == "completed"
    await house.settle()
    assert house.hub.announcer.awaited() == []
