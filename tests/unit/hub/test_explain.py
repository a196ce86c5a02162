"""Why is this job not running? One story for each thing that may hold it, and for where it is else."""

from __future__ import annotations

import pytest
from house import House, Peer, spec, story

from easyjobs.core.signature import Parameter, Signature
from easyjobs.errors import NotFound
from easyjobs.hub.reasons import Reason, listed, several, span
from easyjobs.protocol.messages import Ack, Credit, Goodbye, Heartbeat


async def why(house: House, id: str) -> list[Reason]:
    explanation = await house.hub.explainer.explain(id)
    assert explanation.id == id
    assert explanation.state == (await house.row(id)).state
    assert explanation.reasons
    return explanation.reasons


async def codes(house: House, id: str) -> list[str]:
    return [reason.code for reason in await why(house, id)]


async def busy(house: House) -> tuple[Peer, str]:
    """A worker whose only slot is taken, and by which job."""
    worker = await house.worker(spec(), spec("other"))
    worker.keep_beating()
    running = await house.submit()
    await worker.begin()
    await house.settle(6.0)
    return worker, running.id


@story
async def test_a_job_that_does_not_exist_has_no_reason(house: House) -> None:
    await house.open()
    with pytest.raises(NotFound):
        await house.hub.explainer.explain(house.hub.job_id())


@story
async def test_pauses_come_first_with_who_and_since_when(house: House) -> None:
    await house.open(spec())
    job = await house.submit()
    paused_at = house.hub.now()
    await house.hub.pause("task", "q:add", "ann")
    await house.hub.pause("queue", "q", "bob")
    await house.hub.pause("workers", "all", "cid")
    await house.settle(600.0)
    reasons = await why(house, job.id)
    assert [(r.code, r.by) for r in reasons] == [
        ("workers_paused", "cid"),
        ("queue_paused", "bob"),
        ("task_paused", "ann"),
        ("no_worker", None),
    ]
    assert all(abs((r.since or 0.0) - paused_at) < 1.0 for r in reasons[:3])
    assert reasons[1].text == "Queue q was paused by bob 10 min ago. To go on: easyjobs resume queue q."
    assert reasons[2].text.endswith("easyjobs resume task q:add.")
    assert reasons[0].text.endswith("easyjobs resume workers.")


@story
async def test_nobody_offers_the_task(house: House) -> None:
    await house.open(spec())
    job = await house.submit()
    (reason,) = await why(house, job.id)
    assert (reason.code, reason.text.startswith("No worker offers task q:add now.")) == ("no_worker", True)
    assert reason.since is not None


@story
async def test_a_job_that_fits_no_worker_is_held_for_one(house: House) -> None:
    await house.open(spec())
    job = await house.submit(kwargs={"s": "x"})
    await house.worker(spec(signature=Signature(parameters=(Parameter("n"),))), worker_id="new")
    await house.settle()
    (reason,) = await why(house, job.id)
    assert (reason.code, reason.workers) == ("no_worker_fits", ["new"])
    assert "kwargs.s: unknown argument" in reason.text
    assert "held for a worker with the old ones" in reason.text


@story
async def test_the_workers_are_full_and_others_are_before_it(house: House) -> None:
    await house.open()
    _, running = await busy(house)
    urgent = await house.submit("other", priority=5)
    first = await house.submit()
    second = await house.submit()
    full, behind = await why(house, second.id)
    assert (full.code, full.jobs, full.workers) == ("workers_full", [running], ["w"])
    assert full.text.startswith("Worker w is full, with 1 job.")
    assert (behind.code, behind.text) == ("behind", "Before it, by priority and age: 2 jobs for the same workers.")
    assert await codes(house, urgent.id) == ["workers_full"]
    assert "age: 1 job for" in (await why(house, first.id))[1].text
    await house.hub.pause("task", "q:other", "me")
    assert await codes(house, first.id) == ["workers_full"], "what is paused stands in nobody's way"


@story
async def test_a_deep_queue_says_at_least(house: House) -> None:
    await house.open()
    await busy(house)
    await house.hub.submit([house.job() for _ in range(2600)])
    last = await house.submit()
    assert (await why(house, last.id))[1].text.startswith("Before it, by priority and age: at least 2000 jobs")


@story
async def test_a_worker_may_be_blocked_paused_failing_stopping_or_away(house: House) -> None:
    await house.open()
    worker, _ = await busy(house)
    job = await house.submit()
    worker.say(Credit(0, 0))
    await house.settle()
    assert await codes(house, job.id) == ["worker_without_slots"]
    await house.hub.pause("worker", "w", "ann")
    worker.say(Credit(0, 5))
    (paused,) = await why(house, job.id)
    assert (paused.code, paused.by, paused.workers) == ("worker_paused", "ann", ["w"])
    assert "easyjobs resume worker w." in paused.text
    watchdog = await house.watchdog()
    watchdog.say(Heartbeat([], "q:loop"))
    (blocked,) = await why(house, job.id)
    assert (blocked.code, "q:loop" in blocked.text) == ("worker_blocked", True)
    watchdog.drop()
    worker.drop()
    await house.settle(2.0)
    (away,) = await why(house, job.id)
    assert (away.code, away.workers) == ("worker_disconnected", ["w"])


@story
async def test_each_worker_is_told_by_what_keeps_it(house: House) -> None:
    await house.open()
    await busy(house)
    second = await house.worker(spec(), worker_id="second")
    second.keep_beating()
    third = await house.worker(spec(), worker_id="third")
    await house.hub.pause("worker", "second", "ann")
    third.say(Credit(0, 0))
    job = await house.submit()
    reasons = await why(house, job.id)
    assert [(r.code, r.workers) for r in reasons] == [
        ("worker_paused", ["second"]),
        ("worker_without_slots", ["third"]),
        ("workers_full", ["w"]),
    ]


@story
async def test_a_worker_that_fails_everything_rests(house: House) -> None:
    await house.open()
    tasks = [spec(name, retries=0) for name in ("add", "sub", "mul")]
    worker = await house.worker(*tasks)
    worker.keep_beating()
    for n in range(20):
        await house.submit(tasks[n % 3].name)
        worker.fail(await worker.begin())
    await worker.hear(Ack)
    job = await house.submit()
    (reason,) = await why(house, job.id)
    assert (reason.code, reason.workers) == ("worker_failing", ["w"])
    assert "given nothing for 30 s" in reason.text


@story
async def test_a_concurrency_limit_names_its_holders(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(concurrency=1), slots=5)
    worker.keep_beating()
    holder = await house.submit()
    await worker.begin()
    job = await house.submit()
    (limit,) = await why(house, job.id)
    assert (limit.code, limit.jobs, limit.workers) == ("concurrency", [holder.id], ["w"])
    assert f"{holder.id} on w" in limit.text


@story
async def test_a_job_that_is_put_off_says_until_when(house: House) -> None:
    await house.open()
    await house.open_worker()
    job = await house.submit(delay=7200.0, start_deadline=9000.0)
    later, deadline = await why(house, job.id)
    assert (later.code, later.text) == ("not_due", "It is not due: it may begin in 2 h, because it was submitted so.")
    assert (deadline.code, "begun in 4 h" in deadline.text) == ("start_deadline", True)


@story
async def test_a_job_that_backs_off_tells_the_error_and_which_it_was(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(retries=4, retry_delay=600.0))
    worker.keep_beating()
    job = await house.submit()
    worker.fail(await worker.begin())
    await worker.hear(Ack)
    failed_at = house.hub.now()
    await house.settle(300.0)
    (reason,) = await why(house, job.id)
    assert reason.code == "backing_off"
    assert reason.text == "Failure 1 of 5, 5 min ago, was ValueError: no. The next attempt begins in 5 min."
    assert abs((reason.since or 0.0) - failed_at) < 1.0


@story
async def test_a_job_of_a_chain_tells_what_it_waits_for(house: House) -> None:
    await house.open(spec(run_before=("first", "second")), spec("first"), spec("second"))
    job = await house.submit()
    worker = await house.worker(spec("first"), spec("second"), slots=1)
    worker.keep_beating()
    worker.finish(await worker.begin())
    running = await worker.begin()
    await house.settle(10.0)
    (reason,) = await why(house, job.id)
    assert (reason.code, reason.jobs) == ("prerequisites", [running.job])
    assert reason.text.startswith(f"1 job of 2 must complete first: q:{running.task} (runs on w for 10 s).")


@story
async def test_a_job_whose_task_was_never_registered(house: House) -> None:
    await house.open(spec(run_before=("other:first",)))
    job = await house.submit()
    (waits,) = await why(house, job.id)
    (unknown,) = await why(house, waits.jobs[0])
    assert unknown.code == "task_unknown"
    assert "No worker ever registered task other:first" in unknown.text


@story
async def test_a_running_job_tells_where_and_what_happens_to_it(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(retries=3), slots=2)
    job = await house.submit(timeout=60.0)
    a = await worker.begin()
    assert await codes(house, job.id) == ["not_acknowledged", "running"]
    worker.say(Heartbeat(worker.named()))
    await house.settle(10.0)
    (runs,) = await why(house, job.id)
    assert runs.text == "It has been running on worker w for 10 s, attempt 1. It may take 60 s."
    assert (runs.workers, runs.since) == (["w"], (await house.row(job.id)).started_at)
    child = await house.submit(parent=job.id, delay=30.0)
    worker.say(Credit(1, 2))
    runs, awaits = await why(house, job.id)
    assert (awaits.code, awaits.jobs) == ("awaiting", [child.id])
    assert "q:add (is due in 30 s)" in awaits.text
    await house.hub.cancel(job.id, "ann")
    stopping = (await why(house, job.id))[0]
    assert (stopping.code, stopping.by) == ("cancelling", "ann")
    worker.drop()
    await house.settle()
    assert "worker_disconnected" in await codes(house, job.id)
    del a


@story
async def test_a_running_job_on_a_blocked_worker(house: House) -> None:
    await house.open()
    worker, running = await busy(house)
    watchdog = await house.watchdog()
    watchdog.say(Heartbeat(worker.named(), "q:loop"))
    assert await codes(house, running) == ["worker_blocked", "running"]


@story
async def test_a_job_that_took_its_worker_with_it(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    await worker.begin()
    worker.drop()
    await house.settle(6.0)
    gone, crashed = await why(house, job.id)
    assert (gone.code, crashed.code) == ("no_worker", "crashed")
    assert crashed.text.startswith("1 worker died with it.")


@story
async def test_nothing_holds_a_job_that_is_about_to_be_given_out(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    house.store.gate.clear()
    waiting = house.spawn(house.submit())
    await house.settle(0.01)
    house.store.gate.set()
    job = await waiting
    assert await codes(house, job.id) in (["not_acknowledged", "running"], ["starting"])
    worker.say(Goodbye())


@story
async def test_how_a_job_ended(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(retries=0), slots=1)
    worker.keep_beating()
    done = await house.submit()
    worker.finish(await worker.begin())
    failed = await house.submit()
    worker.fail(await worker.begin())
    for _ in range(2):
        await worker.hear(Ack)
    cancelled = await house.submit(delay=100.0)
    await house.hub.cancel(cancelled.id, "ann")
    await house.hub.pause("queue", "q", "me")
    skipped = await house.submit(start_deadline=5.0)
    await house.settle(10.0)
    (reason,) = await why(house, done.id)
    assert (reason.code, reason.text) == ("completed", "It completed on worker w, with attempt 1.")
    (reason,) = await why(house, failed.id)
    assert reason.text == (
        f"It failed on worker w with attempt 1: ValueError: no. To run it again: easyjobs jobs retry {failed.id}."
    )
    (reason,) = await why(house, cancelled.id)
    assert (reason.by, reason.text) == ("ann", "It was cancelled by ann.")
    (reason,) = await why(house, skipped.id)
    assert (reason.code, "StartDeadlinePassed" in reason.text) == ("skipped", True)


@story
async def test_a_job_that_failed_before_it_began(house: House) -> None:
    await house.open(spec(run_before=("first",)), spec("first"))
    job = await house.submit()
    (waits,) = await why(house, job.id)
    await house.hub.cancel(waits.jobs[0], "ann")
    await house.settle()
    (reason,) = await why(house, job.id)
    assert (reason.code, reason.text.startswith("It failed before it began: PrerequisiteFailed")) == ("failed", True)


@story
async def test_a_store_that_fails_and_a_manager_that_stops(house: House) -> None:
    await house.open(spec())
    job = await house.submit()
    house.hub.committer.trouble = "the disk is full"
    house.hub.dispatcher.stopped = True
    assert (await codes(house, job.id))[:2] == ["store_fails", "manager_stopping"]
    house.hub.committer.trouble = None


def test_times_and_lists_in_words() -> None:
    assert [span(s) for s in (-1.0, 5.2, 119.0, 600.0, 7200.0, 200_000.0)] == [
        "0 s",
        "5 s",
        "119 s",
        "10 min",
        "2 h",
        "2 days",
    ]
    assert (listed(["a"]), listed(["a", "b", "c", "d", "e"])) == ("a", "a, b, c and 2 more")
    assert (several(1, "job"), several(2, "job")) == ("1 job", "2 jobs")
