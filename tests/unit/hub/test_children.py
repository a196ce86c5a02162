"""A child process speaks for one attempt: what it may say, and what its word is worth."""

from __future__ import annotations

import asyncio

import pytest
from house import House, Peer, raw, spec, story

from easyjobs.core.task import TaskSpec
from easyjobs.errors import Unavailable
from easyjobs.protocol.messages import (
    Accepted,
    Ack,
    Assignment,
    Await,
    Cancel,
    CancelJobs,
    Finished,
    FromPeer,
    Held,
    Hello,
    Log,
    Logged,
    Outcome,
    Progress,
    Refusal,
    Result,
    Submission,
    Submit,
    Welcome,
    Withdraw,
)

CHILD = frozenset(("child",))


def of(a: Assignment) -> Held:
    return Held(a.job, a.attempt, a.token)


def done(a: Assignment, result: object = 7) -> Outcome:
    return Outcome(a.job, a.attempt, a.token, result=raw(result))


async def child(house: House, a: Assignment, *unacked: Outcome) -> Peer:
    """The child process of an attempt, welcomed."""
    peer = Peer(house, CHILD, of(a))
    peer.say(Hello(1, "child", unacked=list(unacked)))
    await peer.hear(Welcome)
    return peer


async def begun(house: House, *more: TaskSpec, slots: int = 1, **options: object) -> tuple[Peer, Assignment]:
    """A worker that has begun a job."""
    await house.open()
    worker = await house.worker(spec(**options), *more, slots=slots)
    worker.keep_beating()
    await house.submit()
    return worker, await worker.begin()


@story
async def test_a_childs_result_is_recorded_and_its_worker_hears_nothing_of_it(house: House) -> None:
    worker, a = await begun(house)
    peer = await child(house, a, done(a))
    assert (await peer.hear(Ack)).applied == [a.job]
    row = await house.row(a.job)
    assert (row.state, row.result) == ("completed", "7")
    assert worker.heard_of(Withdraw) == []
    worker.finish(a, 8)  # it did not see the mark
    assert (await worker.hear(Ack)).duplicate == [a.job]
    assert (await house.row(a.job)).result == "7"


@story
async def test_the_slot_stays_taken_until_the_childs_result_is_recorded(house: House) -> None:
    worker, a = await begun(house)
    second = await house.submit()
    live = house.hub.roster.of_worker("w")
    assert live is not None
    house.store.gate.clear()
    await child(house, a, done(a))
    await asyncio.sleep(0.1)
    assert a.job in live.held
    house.store.gate.set()
    assert (await worker.begin()).job == second.id


@story
async def test_a_childs_result_survives_its_worker(house: House) -> None:
    worker, a = await begun(house)
    peer = await child(house, a, done(a))
    assert (await peer.hear(Ack)).applied == [a.job]
    worker.drop()
    await asyncio.sleep(120)
    row = await house.row(a.job)
    assert (row.state, row.attempt, row.crashes) == ("completed", 1, 0)


@story
async def test_a_child_whose_answer_was_lost_comes_back_for_it(house: House) -> None:
    _, a = await begun(house)
    first = await child(house, a, done(a))
    assert (await first.hear(Ack)).applied == [a.job]
    assert await house.hub.desk.children.known(of(a))
    second = await child(house, a)
    second.say(Finished([done(a)]))
    assert (await second.hear(Ack)).duplicate == [a.job]


@story
async def test_a_child_of_an_earlier_attempt_is_not_known(house: House) -> None:
    worker, a = await begun(house, retries=1, retry_delay=0.0)
    children = house.hub.desk.children
    assert await children.known(of(a))
    assert not await children.known(Held(a.job, a.attempt, a.token[:-1] + "x"))
    assert not await children.known(Held(a.job, a.attempt + 1, a.token))
    assert not await children.known(Held("nobody", 1, a.token))
    worker.fail(a)
    again = await worker.begin()
    assert again.attempt == 2
    assert not await children.known(of(a))
    assert await children.known(of(again))


@story
async def test_a_failed_store_knows_no_better(house: House) -> None:
    _, a = await begun(house)
    house.store.down = True
    assert await house.hub.desk.children.known(of(a))  # it runs: that is in memory
    with pytest.raises(Unavailable):
        await house.hub.desk.children.known(Held("other", 1, "token"))


@story
async def test_a_child_may_tell_log_and_progress_and_make_jobs(house: House) -> None:
    worker, a = await begun(house)
    peer = await child(house, a)
    peer.say(Log(a.job, 1, a.token, [(1.0, "info", "from the child")], first=1))
    assert (await peer.hear(Logged)).jobs == [(a.job, 1, 1)]
    peer.say(Progress(a.job, 1, a.token, 0.5))
    one = "019a0000-0000-7000-8000-0000000000aa"
    peer.say(Submit([Submission(one, "q", "add", parent=a.job)]), Await([one]))
    assert (await peer.hear(Accepted)).ids == [one]
    assert (await house.row(one)).parent == a.job
    assert [line.text for line in await house.hub.queries.logs(a.job)] == ["from the child"]
    peer.say(Finished([done(a)]))
    await peer.hear(Ack)
    worker.finish(await worker.begin(), 3)
    assert (await peer.hear(Result)).jobs[0].result == raw(3)


@pytest.mark.parametrize(
    "message",
    [
        Finished([Outcome("other", 1, "t")]),
        Log("other", 1, "t", [(1.0, "info", "no")]),
        Progress("other", 1, "t", 0.5),
        Submit([Submission("019a0000-0000-7000-8000-0000000000aa", "q", "add", parent="other")]),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_child_that_speaks_of_another_attempt_is_sent_away(message: FromPeer) -> None:
    @story
    async def told(house: House) -> None:
        _, a = await begun(house)
        peer = await child(house, a)
        peer.say(message)
        assert await peer.until_closed() == 4406
        assert (await house.row(a.job)).state == "running"

    told()


@story
async def test_a_greeting_may_not_bring_anothers_outcome(house: House) -> None:
    _, a = await begun(house)
    peer = Peer(house, CHILD, of(a))
    peer.say(Hello(1, "child", unacked=[Outcome(a.job, a.attempt, "forged", result=raw(1))]))
    assert await peer.until_closed() == 4406


@story
async def test_a_child_is_nothing_but_a_child(house: House) -> None:
    _, a = await begun(house)
    peer = Peer(house, CHILD, of(a))
    peer.say(Hello(1, "worker", worker_id="w", slots=9))
    assert await peer.until_closed() == 4401


@story
async def test_when_the_attempt_is_over_its_child_makes_no_jobs(house: House) -> None:
    worker, a = await begun(house)
    peer = await child(house, a)
    worker.finish(a)
    await worker.hear(Ack)
    peer.say(Submit([Submission("019a0000-0000-7000-8000-0000000000aa", "q", "add")]))
    assert await peer.until_closed() == 4401


MADE = "019a0000-0000-7000-8000-0000000000aa"


@story
async def test_to_a_child_the_jobs_of_others_do_not_exist(house: House) -> None:
    worker, a = await begun(house, slots=2)
    ended, waiting = await house.submit(), await house.submit()
    peer = await child(house, a)
    worker.finish(await worker.begin(), "nobody else's business")
    await house.settle()
    assert (await house.row(ended.id)).state == "completed"

    peer.say(Await([waiting.id, ended.id, a.job]))
    refused = {(await peer.hear(Refusal)).ids[0] for _ in range(3)}
    assert refused == {waiting.id, ended.id, a.job}
    peer.say(CancelJobs([waiting.id, a.job]))
    await house.settle()
    assert worker.heard_of(Cancel) == []
    worker.finish(await worker.begin(), 1)
    await house.settle()
    assert (await house.row(waiting.id)).state == "completed"
    assert peer.heard_of(Result) == []


@story
async def test_a_child_that_sends_the_id_of_anothers_job_does_not_hear_its_end(house: House) -> None:
    worker, a = await begun(house, slots=2)
    other = await house.submit()
    b = await worker.begin()
    peer = await child(house, a)
    house.store.gate.clear()
    worker.finish(b, "nobody else's business")
    peer.say(Submit([Submission(other.id, "q", "add", raw(["not the same"]), wait=True)]))
    house.store.gate.set()
    assert (await peer.hear(Refusal)).ids == [other.id]
    await house.settle()
    assert peer.heard_of(Result) == []


@story
async def test_a_child_hears_the_end_of_what_it_made_and_awaits_at_once(house: House) -> None:
    worker, a = await begun(house, slots=2)
    peer = await child(house, a)
    peer.say(Submit([Submission(MADE, "q", "add", wait=True)]))
    worker.finish(await worker.begin(), 3)
    assert (await peer.hear(Result)).jobs[0].result == raw(3)


@story
async def test_what_a_child_has_made_is_its_own_whichever_attempt_made_it(house: House) -> None:
    worker, a = await begun(house, retries=1, retry_delay=0.0)
    first = await child(house, a)
    first.say(Submit([Submission(MADE, "q", "add", priority=-1)]))  # by a thread, say, that knows no job
    assert (await first.hear(Accepted)).ids == [MADE]
    assert (await house.row(MADE)).parent == a.job
    worker.fail(a)
    again = await worker.begin()
    assert again.job == a.job
    second = await child(house, again)
    second.say(Await([MADE]))
    second.say(CancelJobs([MADE]))
    assert (await second.hear(Result)).jobs[0].state == "cancelled"


@story
async def test_a_child_awaits_a_job_that_it_joined_over_another_connection_too(house: House) -> None:
    worker, a = await begun(house, spec("alone", unique=()), slots=2)
    other = await house.submit(task="alone")
    peer = await child(house, a)
    peer.say(Submit([Submission(MADE, "q", "alone", wait=True)]))
    assert (await peer.hear(Accepted)).instead == [(MADE, other.id)]
    peer.drop()
    back = await child(house, a)
    back.say(Await([other.id]))
    worker.finish(await worker.begin(), 3)
    assert (await back.hear(Result)).jobs[0].result == raw(3)


@pytest.mark.parametrize("message", [Await([MADE]), CancelJobs([MADE])], ids=lambda message: type(message).__name__)
def test_a_child_whose_attempt_is_over_learns_and_cancels_nothing(message: FromPeer) -> None:
    @story
    async def told(house: House) -> None:
        worker, a = await begun(house)
        peer = await child(house, a)
        worker.finish(a)
        await worker.hear(Ack)
        peer.say(message)
        assert await peer.until_closed() == 4401

    told()


@story
async def test_a_child_is_told_when_the_store_fails(house: House) -> None:
    _, a = await begun(house)
    peer = await child(house, a)
    house.store.down = True
    peer.say(Await([MADE]))
    assert (await peer.hear(Refusal)).status == 503


@story
async def test_a_child_whose_job_this_manager_does_not_have_in_memory_makes_jobs_all_the_same(house: House) -> None:
    _, a = await begun(house)
    peer = await child(house, a)
    row = house.hub.roster.running.pop(a.job)  # its worker is connected to another manager
    peer.say(Submit([Submission(MADE, "q", "add")]))
    assert (await peer.hear(Accepted)).ids == [MADE]
    house.hub.roster.running[a.job] = row


@story
async def test_a_completed_child_wins_over_a_cancel(house: House) -> None:
    worker, a = await begun(house)
    peer = await child(house, a)
    await house.hub.cancel(a.job, "tester")
    await worker.hear(Cancel)
    peer.say(Finished([done(a)]))
    assert (await peer.hear(Ack)).applied == [a.job]
    assert (await house.row(a.job)).state == "completed"


@story
async def test_children_that_fail_count_for_their_worker(house: House) -> None:
    worker, a = await begun(house, retries=0)
    error = raw({"type": "ValueError", "message": "no", "traceback": ""})
    await child(house, a, Outcome(a.job, 1, a.token, "failed", error=error))
    await house.settle()
    live = house.hub.roster.of_worker("w")
    assert live is not None
    assert live.streak is not None
    await house.submit()
    b = await worker.begin()
    await child(house, b, done(b))
    await house.settle()
    assert live.streak is None
