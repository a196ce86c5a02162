"""Workers come, go and come back: what they hold, what they brought along, who speaks for them."""

from __future__ import annotations

import msgspec
import pytest
from house import ANY, House, Peer, held, raw, spec, story

from easyjobs.core.changes import LoseSession, PutSession, Unit
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import TaskSpec
from easyjobs.core.workflow import Graph, Node
from easyjobs.protocol.messages import (
    Ack,
    Assign,
    Cancel,
    Goodbye,
    Heartbeat,
    Hello,
    Outcome,
    Register,
    Verdict,
    Welcome,
)

# -- coming back


@story
async def test_a_worker_that_comes_back_in_time_keeps_what_it_holds(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    assignment = await worker.begin()
    worker.drop()
    await house.settle(4.9)
    worker, welcome = await house.again(worker)
    assert welcome.verdicts == [Verdict(job.id, 1, "keep")]
    assert welcome.epoch == 2
    worker.keep_beating()
    await house.settle(60.0)
    worker.finish(assignment, 1)
    assert (await worker.hear(Ack)).applied == [job.id]


@story
async def test_a_worker_that_comes_back_too_late_abandons_what_is_another_s(house: House) -> None:
    await house.open()
    worker, other = await house.worker(spec()), await house.worker(spec(), worker_id="x")
    worker.keep_beating()
    other.keep_beating()
    job = await house.submit()
    first, second = (worker, other) if worker.heard_of(Assign) else (other, worker)
    await house.settle()
    first, second = (worker, other) if worker.held else (other, worker)
    assignment = next(iter(first.held.values()))
    first.drop()
    await house.settle(6.0)
    assert second.held[job.id].attempt == 2
    first, welcome = await house.again(first)
    assert welcome.verdicts == [Verdict(job.id, 1, "abandon")]
    assert welcome.epoch == 1
    late = first.finish(assignment, "late")
    assert (await first.hear(Ack)).stale == [late.job]
    assert (await house.hub.job(job.id)).crashes == 1


@story
async def test_an_outcome_that_was_recorded_before_its_acknowledgement_was_lost_is_done(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    assignment = await worker.begin()
    worker.finish(assignment, 1)
    await worker.hear(Ack)
    worker.drop()
    worker.held[job.id] = assignment
    worker, welcome = await house.again(worker)
    assert welcome.verdicts == [Verdict(job.id, 1, "done")]


@story
async def test_outcomes_that_come_with_the_greeting_are_recorded(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    assignment = await worker.begin()
    worker.drop()
    worker.held.clear()
    outcome = Outcome(job.id, 1, assignment.token, result=raw("while away"))
    worker, _ = await house.again(worker, unacked=[outcome])
    assert (await worker.hear(Ack)).applied == [job.id]
    assert (await house.row(job.id)).result == '"while away"'


@story
async def test_a_job_given_out_while_no_socket_carried_it_is_given_out_again(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    await worker.begin()
    worker.drop()
    worker, welcome = await house.again(worker, held=[])
    assert welcome.verdicts == []
    again = await worker.begin()
    assert (again.job, again.attempt) == (job.id, 2)
    row = await house.hub.job(job.id)
    assert (row.failures, row.crashes) == (0, 0)


@story
async def test_an_old_outcome_does_not_cover_the_next_attempt_that_never_arrived(house: House) -> None:
    """The first attempt failed and is recorded, the second was on its way when the connection broke."""
    await house.open()
    worker = await house.worker(spec(retry_delay=1.0))
    job = await house.submit()
    outcome = worker.fail(await worker.begin())
    assert (await worker.begin()).attempt == 2  # in truth it never came, nor did the acknowledgement
    worker.drop()
    worker, _ = await house.again(worker, held=[], unacked=[outcome])
    assert (await worker.hear(Ack)).stale == [job.id]
    third = await worker.begin()
    assert third.attempt == 3
    worker.finish(third)
    assert (await worker.hear(Ack)).applied == [job.id]


@story
async def test_nothing_is_assigned_before_the_welcome(house: House) -> None:
    """The greeting names a job that must be looked up; meanwhile there is work."""
    await house.open(spec())
    await house.submit()
    house.store.reading = 0.5
    peer = Peer(house)
    stranger = house.hub.job_id()
    hello = Hello(1, "worker", worker_id="w", tasks=[spec()], slots=1)
    hello.held = [held(Outcome(stranger, 1, "x"))]
    peer.say(hello)
    assignment = (await peer.hear(Assign)).jobs[0]
    kinds = [type(message) for frame in peer.frames for message in frame]
    assert kinds.index(Welcome) < kinds.index(Assign)
    peer.keep_beating()
    await house.settle(30.0)
    assert (await house.row(assignment.job)).attempt == 1


@story
async def test_a_running_job_that_was_to_be_cancelled_is_told_again(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    await worker.begin()
    worker.drop()
    await house.hub.cancel(job.id, "somebody")
    worker, _ = await house.again(worker)
    assert (await worker.hear(Cancel, within=1.0)).jobs[0].job == job.id


# -- one voice


@story
async def test_the_newest_connection_of_a_worker_wins(house: House) -> None:
    await house.open()
    old = await house.worker(spec())
    new, welcome = await house.again(old)
    assert (await old.until_closed(), welcome.epoch) == (4409, 2)
    await house.submit()
    await new.begin()
    assert old.heard_of(Assign) == []
    await house.settle(20.0)
    assert len(house.hub.roster.sessions) == 1


@story
async def test_two_first_connections_at_once_are_one_worker(house: House) -> None:
    await house.open()
    peers = [Peer(house) for _ in range(3)]
    for peer in peers:
        peer.say(Hello(1, "worker", worker_id="w", tasks=[spec()], slots=1))
    await house.settle(1.0)
    assert sorted(peer.closed or 0 for peer in peers) == [0, 4409, 4409]
    assert len(house.hub.roster.sessions) == 1
    assert len(await house.store.sessions()) == 1


@story
async def test_two_later_connections_at_once_are_one_worker(house: House) -> None:
    await house.open()
    first = await house.worker(spec())
    peers = [Peer(house) for _ in range(3)]
    for peer in peers:
        peer.say(first.hello)
    await house.settle(1.0)
    assert sorted(peer.closed or 0 for peer in (first, *peers)) == [0, 4409, 4409, 4409]
    (session,) = await house.store.sessions()
    assert house.hub.roster.sessions[session.id].row.epoch == session.epoch


@story
async def test_a_connection_that_goes_before_its_welcome_leaves_no_ghost(house: House) -> None:
    await house.open()
    peer = Peer(house)
    house.store.gate.clear()
    peer.say(Hello(1, "worker", worker_id="w", tasks=[spec()], slots=1))
    await house.settle()
    peer.drop()
    house.store.gate.set()
    await house.settle(40.0)
    assert house.hub.roster.sessions == {}
    assert await house.store.sessions() == []


@story
async def test_a_greeting_whose_commit_is_of_unknown_outcome_is_answered_and_keeps_the_jobs(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    assignment = await worker.begin()
    worker.drop()
    house.store.faults = ["unknown"]
    worker, welcome = await house.again(worker)
    assert welcome.verdicts == [Verdict(job.id, 1, "keep")]
    worker.finish(assignment)
    assert (await worker.hear(Ack)).applied == [job.id]
    assert len(await house.store.sessions()) == 1


@story
async def test_the_first_greeting_whose_commit_is_of_unknown_outcome_is_answered(house: House) -> None:
    await house.open()
    house.store.faults = ["unknown", "unknown"]
    worker = await house.worker(spec())
    await house.submit()
    await worker.begin()
    assert len(await house.store.sessions()) == 1


@story
async def test_a_session_that_the_store_does_not_know_is_lost_with_its_jobs(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    await worker.begin()
    (session,) = await house.store.sessions()
    await house.store.commit([Unit([LoseSession(session.id, None, house.store.now())])])
    worker.drop()
    worker, welcome = await house.again(worker)
    assert (welcome.epoch, welcome.verdicts) == (1, [Verdict(job.id, 1, "abandon")])
    assert (await worker.begin()).attempt == 2


# -- hellos that come late


@story
async def test_a_hello_that_arrives_after_the_next_one_of_its_process_changes_nothing(house: House) -> None:
    """It was said on a connection that the worker had left, and was under way for as long as it took to come back."""
    await house.open()
    worker = await house.worker(spec(), life="x", number=1)
    worker.drop()
    worker, _ = await house.again(worker, number=3)
    job = await house.submit()
    assignment = await worker.begin()
    late = Peer(house)
    late.say(msgspec.structs.replace(worker.hello, number=2))
    assert await late.until_closed() == 4408
    await house.settle(1.0)
    assert worker.closed is None
    assert (await house.row(job.id)).attempt == 1
    worker.finish(assignment)
    assert (await worker.hear(Ack)).applied == [job.id]


@story
async def test_a_hello_that_arrives_late_at_a_manager_that_was_started_since_changes_nothing(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), life="x", number=5)
    await house.submit()
    await worker.begin()
    await house.restart()
    worker, _ = await house.again(worker, number=7)
    late = Peer(house)
    late.say(msgspec.structs.replace(worker.hello, number=6, held=[]))
    assert await late.until_closed() == 4408
    assert worker.closed is None
    assert len(house.hub.roster.running) == 1


@story
async def test_of_hellos_whose_commits_overlap_the_last_one_said_has_the_session(house: House) -> None:
    await house.open()
    first = await house.worker(spec(), life="x", number=1)
    peers = [Peer(house) for _ in range(3)]
    for peer, number in zip(peers, (3, 4, 2), strict=True):
        peer.say(msgspec.structs.replace(first.hello, number=number))
    await house.settle(1.0)
    assert [peer.closed is None for peer in (first, *peers)] == [False, False, True, False]
    (session,) = await house.store.sessions()
    assert (session.life, session.hellos) == ("x", 4)


@story
async def test_what_a_process_said_before_another_one_came_under_its_worker_id_changes_nothing(house: House) -> None:
    """It died; its last hello was still under way."""
    await house.open()
    old = await house.worker(spec(), life="x", number=1)
    late = Peer(house)
    await house.settle(1.0)
    new, _ = await house.again(old, session="", life="y", number=1)
    await house.submit()
    await new.begin()
    late.say(msgspec.structs.replace(old.hello, session=old.session, number=2))
    assert await late.until_closed() == 4408
    assert new.closed is None
    assert len(house.hub.roster.running) == 1


@story
async def test_a_process_that_was_never_welcomed_and_counts_nothing_is_late_too(house: House) -> None:
    await house.open()
    late = Peer(house)
    await house.settle(9.0)
    worker = await house.worker(spec())
    late.say(worker.hello)
    assert await late.until_closed() == 4408
    assert worker.closed is None


@story
async def test_a_clock_that_was_set_back_keeps_no_worker_out(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), life="x")
    (row,) = await house.store.sessions()
    row = msgspec.structs.replace(row, epoch=row.epoch + 1, opened_at=row.opened_at + 3600.0)
    await house.store.commit([Unit([PutSession(row)])])
    await house.restart()
    _, welcome = await house.again(worker, life="y")
    assert welcome.epoch == 3


@story
async def test_a_process_without_a_life_of_its_own_takes_turns_with_those_that_have_one(house: House) -> None:
    await house.open()
    old = await house.worker(spec(), life="x", number=9)
    older_code, _ = await house.again(old, life="", number=0)
    newer_code, welcome = await house.again(older_code, life="z", number=1)
    assert (older_code.closed, newer_code.closed, welcome.epoch) == (4409, None, 3)


# -- what they offer


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "x" * 129, "nul\0"])
def test_names_that_none_may_have_are_refused(name: str) -> None:
    @story
    async def told(house: House) -> None:
        await house.open()
        peer = Peer(house)
        peer.say(Hello(1, "worker", worker_id="w", tasks=[spec(name)], slots=1))
        assert await peer.until_closed() == 4406
        assert house.hub.queries.tasks() == []
        assert house.hub.roster.sessions == {}

    told()


@story
async def test_parameters_that_are_no_schema_are_refused_and_leave_no_dead_voice(house: House) -> None:
    await house.open()
    await house.worker(spec())
    bad = spec("bad", signature=Signature(parameters=(Parameter("n", {"type": "nonsense"}),)))
    peer = Peer(house)
    peer.say(Hello(1, "worker", worker_id="w", tasks=[spec(), bad], slots=1))
    assert await peer.until_closed() == 4422
    assert all(not live.voice.closed() for live in house.hub.roster.sessions.values())  # type: ignore[union-attr]


@story
async def test_a_worker_s_numbers_are_kept_in_bounds(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), slots=10**30, pid=10**30)
    (session,) = await house.store.sessions()
    assert (session.slots, session.pid) == (100_000, None)
    await house.submit()
    await worker.begin()


@story
async def test_what_a_worker_does_not_offer_any_more_is_not_given_to_it(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(), spec("old"))
    worker.drop()
    worker, _ = await house.again(worker, tasks=[spec()])
    job = await house.submit("old")
    await house.settle(1.0)
    assert worker.heard_of(Assign) == []
    assert (await house.row(job.id)).state == "queued"


@story
async def test_jobs_of_an_old_signature_move_when_the_last_of_its_workers_has_changed(house: House) -> None:
    """Both workers restart under their ids with the new code: neither session is lost."""
    await house.open()
    narrow = Signature(parameters=(Parameter("n", required=False),))
    old = TaskSpec("q", "add", ANY)
    new = TaskSpec("q", "add", narrow)
    one = await house.worker(old, slots=0)
    two = await house.worker(old, worker_id="x", slots=0)
    job = await house.submit(kwargs={"n": 1})
    one, _ = await house.again(one, tasks=[new], slots=1)
    await house.settle(1.0)
    assert one.heard_of(Assign) == []
    await house.again(two, tasks=[new], slots=1)
    await house.settle(1.0)
    assert (await house.row(job.id)).state == "running"


@story
async def test_a_paused_worker_is_told_so_when_it_comes(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    await house.hub.pause("worker", "w", "somebody")
    worker.drop()
    worker, welcome = await house.again(worker)
    assert welcome.paused


@story
async def test_goodbye_ends_the_session_and_hands_back_what_was_on_its_way(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    await worker.begin()
    worker.say(Goodbye())
    assert await worker.until_closed() == 1000
    await house.settle()
    row = await house.row(job.id)
    assert (row.state, row.crashes, row.failures) == ("queued", 0, 0)
    assert await house.store.sessions() == []
    worker.say(Heartbeat())
    assert house.hub.roster.sessions == {}


# -- chains


async def refusal(peer: Peer) -> str:
    assert await peer.until_closed() == 4422
    return peer.reason


@story
async def test_chains_that_come_back_over_two_workers_are_refused_to_the_second(house: House) -> None:
    await house.open()
    first = await house.worker(spec("a", run_after=("r:b",)))
    peer = Peer(house)
    peer.say(Hello(1, "worker", worker_id="v", tasks=[spec("other"), spec("b", "r", on_failure="q:a")], slots=1))
    assert await refusal(peer) == "a chain of tasks may not come back: r:b → q:a → r:b"
    assert house.hub.catalog.get("q", "other") is None, "nothing of it is taken in"
    assert first.closed is None


@story
async def test_workflows_that_contain_each_other_over_two_workers_are_refused_to_the_second(house: House) -> None:
    def flow(name: str, inner: str) -> TaskSpec:
        return TaskSpec("q", name, ANY, kind="workflow", graph=Graph((Node("only", inner),)))

    await house.open()
    first = await house.worker(flow("a", "b"))
    peer = Peer(house)
    peer.say(Hello(1, "worker", worker_id="v", tasks=[spec("other"), flow("b", "a")], slots=1))
    assert await refusal(peer) == "a workflow may not contain itself: b → a → b"
    assert house.hub.catalog.get("q", "other") is None, "nothing of it is taken in"
    assert first.closed is None


@story
async def test_a_chain_that_is_declared_later_is_refused_too(house: House) -> None:
    await house.open()
    peer = await house.worker(spec("a", run_after=("b",)))
    peer.say(Register([spec("b", run_before=("a",))]))
    assert await refusal(peer) == "a chain of tasks may not come back: b → a → b"


@story
async def test_names_that_can_name_no_task_are_refused(house: House) -> None:
    await house.open()
    peer = Peer(house)
    peer.say(Hello(1, "worker", worker_id="w", tasks=[spec("a", run_after=("../b",))], slots=1))
    assert "'../b' cannot name a task" in await refusal(peer)


@story
async def test_a_chain_may_be_turned_round_when_nobody_offers_it_the_old_way_any_more(house: House) -> None:
    await house.open()
    old = await house.worker(spec("a", run_after=("b",)), spec("b"))
    await house.again(old, tasks=[spec("a"), spec("b", run_after=("a",))])
    other = await house.worker(spec("c", run_after=("d",)), worker_id="v")
    other.say(Goodbye())
    await house.settle()
    new = await house.worker(spec("d", run_after=("c",)), worker_id="v2")
    assert new.closed is None
