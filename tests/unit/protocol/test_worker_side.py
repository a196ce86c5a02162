"""What a worker holds, what it owes, and what a reconnect makes of both."""

from __future__ import annotations

import msgspec
import pytest
from paper_manager import Conversation, kinds

from easyjobs.core.signature import Signature
from easyjobs.core.task import TaskSpec
from easyjobs.protocol.codec import decode_from_peer, encode
from easyjobs.protocol.messages import (
    Accepted,
    Ack,
    Assign,
    Assignment,
    Cancel,
    Credit,
    Drain,
    Finished,
    FromManager,
    Goodbye,
    Heartbeat,
    Held,
    Hello,
    Limits,
    Log,
    Logged,
    Outcome,
    PauseWork,
    Ping,
    Progress,
    Register,
    ResumeWork,
    Started,
    Submission,
    Toggle,
    Toggled,
    Verdict,
    Welcome,
    Withdraw,
)
from easyjobs.protocol.worker_side import WorkerSide


@pytest.fixture
def worker() -> WorkerSide:
    return WorkerSide(Hello(1, "worker", worker_id="w", queues=["q"]), 10)


@pytest.fixture
def talk(worker: WorkerSide) -> Conversation:
    return Conversation(worker)


def assignment(job: str, attempt: int = 1) -> Assignment:
    return Assignment(job, attempt, f"{job}-{attempt}", "q", "t")


def held(job: str, attempt: int = 1) -> Held:
    return Held(job, attempt, f"{job}-{attempt}")


def outcome(job: str, attempt: int = 1, result: bytes = b"1") -> Outcome:
    return Outcome(job, attempt, f"{job}-{attempt}", result=msgspec.Raw(result))


def begun(orders: list[FromManager]) -> list[str]:
    return [a.job for order in orders if isinstance(order, Assign) for a in order.jobs]


# -- assignments and outcomes


def test_an_assignment_is_run_reported_and_forgotten_when_acknowledged(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    assert begun(talk.say(Assign([assignment("a")]))) == ["a"]
    assert (worker.held, worker.unacked) == (1, 0)
    assert worker.finish(outcome("a"))
    assert (worker.held, worker.unacked) == (0, 1)
    assert talk.hear() == [Finished([outcome("a")])]
    talk.say(Ack(applied=["a"]))
    assert worker.unacked == 0


@pytest.mark.parametrize("ack", [Ack(applied=["a"]), Ack(duplicate=["a"]), Ack(stale=["a"])])
def test_each_acknowledgement_settles_an_outcome(worker: WorkerSide, talk: Conversation, ack: Ack) -> None:
    talk.connect()
    talk.say(Assign([assignment("a")]))
    worker.finish(outcome("a"))
    talk.say(ack)
    assert worker.unacked == 0


def test_outcomes_of_one_turn_leave_in_one_message(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    talk.say(Assign([assignment("a"), assignment("b")]))
    worker.finish(outcome("b"))
    worker.finish(outcome("a"))
    assert [o.job for o in talk.hear_only(Finished).outcomes] == ["b", "a"]


def test_an_attempt_assigned_twice_is_run_once(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    assert begun(talk.say(Assign([assignment("a")]), Assign([assignment("a"), assignment("b")]))) == ["a", "b"]
    worker.finish(outcome("a"))
    assert begun(talk.say(Assign([assignment("a")]))) == []
    assert worker.ignored == 2


def test_a_newer_attempt_takes_the_place_of_one_that_runs(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    talk.say(Assign([assignment("a")]))
    orders = talk.say(Assign([assignment("a", 2)]))
    assert orders == [Withdraw([held("a")]), Assign([assignment("a", 2)])]
    assert not worker.finish(outcome("a"))
    assert worker.dropped == 1
    assert worker.finish(outcome("a", 2))


def test_the_late_word_about_an_older_outcome_does_not_settle_the_newer_one(
    worker: WorkerSide, talk: Conversation
) -> None:
    talk.connect()
    for attempt in (1, 2, 3):
        talk.say(Assign([assignment("a", attempt)]))
        worker.finish(outcome("a", attempt))
    talk.say(Ack(stale=["a"]))
    talk.say(Ack(stale=["a"]))
    assert worker.unacked == 1
    talk.say(Ack(applied=["a"]))
    assert worker.unacked == 0


def test_unknown_jobs_in_ack_cancel_and_withdraw_are_counted(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    talk.say(Assign([assignment("a")]))
    wrong = Held("a", 1, "another token")
    assert talk.say(Ack(applied=["x"]), Cancel([held("x"), wrong]), Withdraw([held("x"), wrong])) == []
    assert worker.ignored == 5
    assert worker.held == 1


def test_a_cancel_is_passed_on_for_what_is_held(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    talk.say(Assign([assignment("a")]))
    assert talk.say(Cancel([held("a"), held("x")])) == [Cancel([held("a")])]
    assert worker.held == 1


def test_what_is_withdrawn_is_dropped_without_a_word(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    talk.say(Assign([assignment("a"), assignment("b")]))
    worker.finish(outcome("b"))
    talk.hear()
    worker.log("a", 1.0, "info", "lost")
    worker.progress("a", 0.5, "")
    assert talk.say(Withdraw([held("a"), held("b")])) == [Withdraw([held("a")])]
    assert (worker.held, worker.unacked) == (0, 0)
    assert not worker.finish(outcome("a"))
    assert talk.hear() == []


def test_an_assignment_that_takes_longer_is_confirmed_with_started(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    talk.say(Assign([assignment("quick"), assignment("slow")]))
    worker.finish(outcome("quick"))
    assert kinds(talk.hear()) == ["Finished"]
    talk.wait(0.9)
    assert talk.hear() == []
    talk.wait(0.2)
    assert talk.hear() == [Started([held("slow")])]
    talk.wait(1.2)
    assert talk.hear() == []


def test_a_worker_that_cannot_speak_has_no_timer_that_is_due_for_ever(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    talk.say(Assign([assignment("a")]))
    talk.now += 1
    worker.handle_timer(talk.now)
    due = worker.timer()
    assert due is not None
    assert due > talk.now
    talk.say(Assign([assignment("b")]))
    worker.handle_timer(talk.now)
    assert talk.hear() == [Started([held("a"), held("b")])]


def test_a_heartbeat_names_what_is_held_or_owed_and_confirms_it(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    talk.say(Assign([assignment("a"), assignment("b")]))
    worker.finish(outcome("b"))
    talk.hear()
    worker.handle_timer(talk.now + 5)
    talk.now += 5
    assert talk.hear() == [Heartbeat([held("a"), held("b")])]
    talk.say(Ping())
    talk.wait(4.9)
    assert talk.hear() == []


def test_what_comes_while_a_heartbeat_waits_to_be_sent_is_not_confirmed_before_it(
    worker: WorkerSide, talk: Conversation
) -> None:
    """To whoever hears first that an attempt has begun, a heartbeat that does not name it says that it never will."""
    talk.connect()
    talk.wait(5)
    talk.say(Assign([assignment("a")]))
    assert talk.hear() == [Heartbeat([])]
    talk.wait(1)
    assert talk.hear() == [Started([held("a")])]
    talk.wait(4)
    talk.say(Assign([assignment("b")]))
    talk.wait(1)  # the socket takes nothing
    assert talk.hear() == [Heartbeat([held("a")]), Started([held("b")])]


def test_heartbeats_come_however_much_else_is_said(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    beats = 0
    for n in range(40):
        talk.say(Assign([assignment(f"j{n}")]))
        worker.finish(outcome(f"j{n}"))
        talk.wait(0.5)
        beats += kinds(talk.hear()).count("Heartbeat")
    assert beats == 4


# -- reconnecting


def test_after_a_reconnect_what_is_held_and_owed_is_brought_along(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    talk.say(Assign([assignment("a"), assignment("b"), assignment("c")]))
    worker.finish(outcome("b"))
    talk.hear()
    worker.disconnected()
    worker.finish(outcome("c"))
    hello = talk.connect(Verdict("a", 1, "keep"))
    assert hello.held == [held("a")]
    assert hello.unacked == [outcome("b"), outcome("c")]
    assert kinds(talk.orders) == ["Welcome"]
    assert talk.hear() == []  # they were in the greeting
    talk.say(Ack(applied=["b", "c"]))
    assert worker.unacked == 0
    assert worker.finish(outcome("a"))


@pytest.mark.parametrize(
    "verdict", [[], [Verdict("a", 1, "abandon")], [Verdict("a", 1, "done")], [Verdict("a", 2, "keep")]]
)
def test_what_is_not_kept_is_withdrawn(worker: WorkerSide, talk: Conversation, verdict: list[Verdict]) -> None:
    talk.connect()
    talk.say(Assign([assignment("a")]))
    talk.connect(*verdict)
    assert Withdraw([held("a")]) in talk.orders
    assert not worker.finish(outcome("a"))
    assert worker.unacked == 0


def test_the_session_of_the_last_welcome_is_named_and_a_process_without_one_names_none(talk: Conversation) -> None:
    assert talk.greet().session == ""
    assert talk.connect().session == ""
    assert talk.connect().session == "session"


def test_greetings_are_numbered_also_those_that_are_never_answered(talk: Conversation) -> None:
    assert [talk.greet().number, talk.connect().number, talk.connect().number] == [1, 2, 3]


def test_what_ends_between_greeting_and_welcome_is_reported_if_it_is_kept(
    worker: WorkerSide, talk: Conversation
) -> None:
    talk.connect()
    talk.say(Assign([assignment("a"), assignment("b")]))
    worker.disconnected()
    worker.connected(talk.now)
    talk.hear()
    worker.finish(outcome("a"))
    worker.finish(outcome("b"))
    assert talk.hear() == []
    talk.say(Welcome("s", 2, verdicts=[Verdict("a", 1, "keep"), Verdict("b", 1, "abandon")]))
    assert talk.hear() == [Finished([outcome("a")])]
    assert worker.unacked == 1


def test_outcomes_that_do_not_fit_into_the_greeting_follow_the_welcome(worker: WorkerSide, talk: Conversation) -> None:
    limits = Limits(frame=10_000)
    talk.connect(limits=limits)
    jobs = [f"j{n}" for n in range(5)]
    big = b'"' + b"x" * 3000 + b'"'
    talk.say(Assign([assignment(job) for job in jobs]))
    worker.disconnected()
    for job in jobs:
        worker.finish(outcome(job, result=big))
    worker.connected(talk.now)
    greeting = worker.frame(talk.now)
    assert greeting is not None
    assert len(greeting) <= limits.frame
    (hello,) = decode_from_peer(greeting)
    assert isinstance(hello, Hello)
    said = [o.job for o in hello.unacked]
    later = [h.job for h in hello.held]
    assert sorted(said + later) == jobs
    assert said
    assert later
    talk.say(Welcome("s", 2, limits, [Verdict(job, 1, "keep") for job in later]))
    resent = [o.job for m in talk.hear() if isinstance(m, Finished) for o in m.outcomes]
    assert resent == later


def test_a_stale_word_of_an_earlier_connection_is_no_debt_of_this_one(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    talk.say(Assign([assignment("a")]))
    worker.finish(outcome("a"))
    talk.say(Assign([assignment("a", 2)]))
    worker.finish(outcome("a", 2))
    talk.connect()
    talk.say(Ack(applied=["a"]))
    assert worker.unacked == 0


# -- tasks, slots, bounds


def test_tasks_are_named_in_the_greeting_and_registered_later(worker: WorkerSide, talk: Conversation) -> None:
    one, two = TaskSpec("q", "one", Signature()), TaskSpec("q", "two", Signature())
    worker.register([one])
    assert talk.connect().tasks == [one]
    worker.register([two])
    assert talk.hear() == [Register([two])]
    assert talk.connect().tasks == [one, two]


def test_tasks_that_come_while_the_greeting_is_not_answered_are_told_with_what_is_said_next(
    worker: WorkerSide, talk: Conversation
) -> None:
    one, two = TaskSpec("q", "one", Signature()), TaskSpec("q", "two", Signature())
    worker.register([one])
    assert talk.greet().tasks == [one]
    worker.register([two])
    worker.submit([Submission("j", "q", "two")])
    assert talk.hear() == []
    talk.say(Welcome("session", 1, Limits()))
    assert kinds(talk.hear()) == ["Register", "Submit"]


def test_tasks_that_do_not_fit_into_the_greeting_follow_it(worker: WorkerSide, talk: Conversation) -> None:
    specs = [TaskSpec("q", f"t{n}", Signature(), doc="d" * 1000) for n in range(20)]
    talk.connect(limits=Limits(frame=10_000))
    talk.hear()
    worker.register(specs)
    hello = talk.connect(limits=Limits(frame=10_000))
    assert len(encode([hello])) <= 10_000
    later = [spec for message in talk.hear() if isinstance(message, Register) for spec in message.tasks]
    assert hello.tasks + later == specs
    assert later


def test_a_change_of_slots_is_told_once(worker: WorkerSide, talk: Conversation) -> None:
    assert talk.connect().slots == 10
    worker.offer(10, 0)
    assert talk.hear() == []
    worker.offer(10, 1)
    worker.offer(10, 2)
    assert talk.hear() == [Credit(2, 10)]
    worker.offer(0, 2)
    assert talk.hear() == [Credit(2, 0)]
    hello = talk.connect()
    assert hello.slots == 0
    assert talk.hear() == [Credit(2, 0)]  # a greeting cannot say how many are parked


@pytest.mark.parametrize("bounds", [{"most_unacked": 4}, {"most_bytes": 4 * 321}])
def test_a_worker_whose_outcomes_pile_up_asks_for_no_more(bounds: dict[str, int]) -> None:
    worker = WorkerSide(Hello(1, "worker", worker_id="w"), 10, **bounds)
    talk = Conversation(worker)
    talk.connect()
    jobs = [f"j{n}" for n in range(5)]
    talk.say(Assign([assignment(job) for job in jobs]))
    for job in jobs[:4]:
        worker.finish(outcome(job))
    assert Credit(0, 0) in talk.hear()
    talk.say(Ack(applied=["j0"]))
    assert talk.hear() == []
    assert worker.finish(outcome("j4"))  # what is in hand is reported all the same
    talk.hear()
    assert talk.connect().slots == 0
    talk.say(Ack(applied=["j1", "j2", "j3"]))
    assert talk.hear() == [Credit(0, 10)]


def test_goodbye_comes_last(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    talk.say(Assign([assignment("a")]))
    worker.finish(outcome("a"))
    worker.goodbye()
    assert talk.hear() == [Finished([outcome("a")]), Goodbye()]


def test_what_concerns_calls_and_the_whole_worker_is_passed_on(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    worker.submit([Submission("s", "q", "t")])
    orders = talk.say(Accepted(["s"]), PauseWork(), ResumeWork(), Drain())
    assert kinds(orders) == ["Accepted", "PauseWork", "ResumeWork", "Drain"]


def test_the_wish_to_be_paused_is_told_until_it_is_answered(worker: WorkerSide, talk: Conversation) -> None:
    worker.toggle(True)
    talk.connect()
    assert talk.hear() == [Toggle(True)]
    talk.connect()
    assert talk.hear() == [Toggle(True)]
    assert kinds(talk.say(Toggled(True))) == ["Toggled"]
    talk.connect()
    assert talk.hear() == []


def test_of_several_wishes_the_last_counts(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    worker.toggle(True)
    worker.toggle(False)
    assert talk.hear() == [Toggle(True), Toggle(False)]
    assert talk.say(Toggled(True)) == []
    assert kinds(talk.say(Toggled(False))) == ["Toggled"]
    assert talk.say(Toggled(False)) == []
    assert worker.ignored == 2


# -- logs and progress


def test_log_lines_leave_before_the_outcome_that_closes_them(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    talk.say(Assign([assignment("a"), assignment("b")]))
    worker.log("a", 1.0, "info", "one")
    worker.log("a", 2.0, "info", "two")
    worker.log("b", 2.5, "info", "other")
    assert talk.hear() == [
        Log("a", 1, "a-1", [(1.0, "info", "one"), (2.0, "info", "two")], 1),
        Log("b", 1, "b-1", [(2.5, "info", "other")], 1),
    ]
    talk.say(Logged([("a", 1, 2), ("b", 1, 1)]))
    worker.log("a", 3.0, "info", "three")
    worker.finish(outcome("a"))
    assert talk.hear() == [Log("a", 1, "a-1", [(3.0, "info", "three")], 3), Finished([outcome("a")])]
    worker.log("a", 4.0, "info", "too late")
    worker.finish(outcome("b"))
    assert kinds(talk.hear()) == ["Finished"]


def test_a_flood_of_lines_goes_by_heartbeats_and_its_tail_at_the_end(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect(limits=Limits(logs=1000))
    talk.say(Assign([assignment("b"), assignment("a")]))
    worker.log("b", 1.0, "info", "no flood")
    talk.hear()
    for n in range(100):
        worker.log("a", 1.0, "info", f"line {n}")
    head = talk.hear_only(Log)
    assert len(head.lines) < 20
    talk.say(Logged([("a", 1, len(head.lines))]))
    worker.log("a", 1.0, "info", "the last line")
    assert talk.hear() == []
    talk.wait(5.0)
    part, _ = talk.hear()
    assert isinstance(part, Log)
    assert part.first > 80
    talk.wait(5.0)
    assert kinds(talk.hear()) == ["Heartbeat"], "it is not stored yet"
    worker.finish(outcome("a"))
    log, _ = talk.hear()
    assert isinstance(log, Log)
    assert log.lines[-1][2] == "the last line"
    assert log.first == part.first + len(part.lines)


def test_lines_that_are_not_stored_are_said_again_on_the_next_connection(
    worker: WorkerSide, talk: Conversation
) -> None:
    talk.connect()
    talk.say(Assign([assignment("a"), assignment("b"), assignment("c")]))
    for job in ("a", "b", "c"):
        worker.log(job, 1.0, "info", "one")
    talk.hear()
    talk.say(Logged([("a", 1, 1), ("b", 2, 1), ("unknown", 1, 1)]))
    assert worker.ignored == 2
    worker.finish(outcome("c"))
    talk.hear()
    hello = talk.connect(Verdict("a", 1, "keep"), Verdict("b", 1, "keep"), Verdict("c", 1, "keep"))
    assert hello.unacked == [], "its lines come first"
    assert talk.hear() == [
        Log("b", 1, "b-1", [(1.0, "info", "one")], 1),
        Log("c", 1, "c-1", [(1.0, "info", "one")], 1),
        Finished([outcome("c")]),
    ]
    talk.say(Logged([("c", 1, 1)]), Ack(applied=["c"]))
    talk.connect(Verdict("a", 1, "keep"), Verdict("b", 1, "keep"))
    assert kinds(talk.hear()) == ["Log"]


def test_a_job_whose_lines_are_stored_owes_nothing_but_its_outcome(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    talk.say(Assign([assignment("a")]))
    worker.log("a", 1.0, "info", "one")
    talk.hear()
    talk.say(Logged([("a", 1, 1)]))
    worker.finish(outcome("a"))
    assert talk.connect().unacked == [outcome("a")]
    assert talk.hear() == []


def test_lines_that_nobody_stores_count_against_taking_more_work() -> None:
    worker = WorkerSide(Hello(1, "worker", worker_id="w"), 10, most_bytes=2000)
    talk = Conversation(worker)
    talk.connect()
    talk.say(Assign([assignment("a")]))
    worker.log("a", 1.0, "info", "x" * 2000)
    worker.finish(outcome("a"))
    assert talk.hear()[-1] == Credit(0, 0)
    talk.say(Ack(applied=["a"]))
    assert talk.hear() == [Credit(0, 10)]


def test_lines_of_a_job_that_ended_without_a_connection_come_before_its_outcome(
    worker: WorkerSide, talk: Conversation
) -> None:
    talk.connect()
    talk.say(Assign([assignment("a")]))
    worker.disconnected()
    worker.log("a", 1.0, "info", "alone")
    worker.finish(outcome("a"))
    hello = talk.connect(Verdict("a", 1, "keep"))
    assert (hello.held, hello.unacked) == ([held("a")], [])
    assert kinds(talk.hear()) == ["Log", "Finished"]


def test_only_the_newest_progress_of_an_attempt_is_sent(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    talk.say(Assign([assignment("a")]))
    worker.progress("a", 0.1, "")
    worker.progress("a", 0.2, "lone \ud800 surrogate")
    worker.progress("unknown", 0.2, "")
    assert talk.hear() == [Progress("a", 1, "a-1", 0.2, "lone \\ud800 surrogate")]


def test_a_silent_job_beside_a_talkative_one_has_no_log(worker: WorkerSide, talk: Conversation) -> None:
    talk.connect()
    talk.say(Assign([assignment("a"), assignment("b")]))
    worker.log("a", 1.0, "info", "one")
    worker.finish(outcome("b"))
    assert kinds(talk.hear()) == ["Log", "Finished"]
