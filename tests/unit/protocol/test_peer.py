"""What workers and clients have in common: greeting, heartbeats, silence, submissions and waits through reconnects."""

from __future__ import annotations

import msgspec
import pytest
from paper_manager import Conversation, kinds

from easyjobs.errors import ProtocolError
from easyjobs.protocol.client_side import ClientSide
from easyjobs.protocol.messages import (
    Accepted,
    Ack,
    Await,
    CancelJobs,
    Ended,
    Forget,
    FromManager,
    Limits,
    Ping,
    Refusal,
    Result,
    Submission,
    Submit,
    Welcome,
)


@pytest.fixture
def client() -> ClientSide:
    return ClientSide("me", "1.0")


@pytest.fixture
def talk(client: ClientSide) -> Conversation:
    return Conversation(client)


def job(id: str, *, wait: bool = False) -> Submission:
    return Submission(id, "q", "t", wait=wait)


# -- greeting


def test_the_first_word_is_hello_and_nothing_follows_before_the_welcome(client: ClientSide, talk: Conversation) -> None:
    client.submit([job("a")])
    hello = talk.greet()
    assert (hello.role, hello.name, hello.version, hello.protocol) == ("client", "me", "1.0", 1)
    client.submit([job("b")])
    assert talk.hear() == []
    assert not client.welcomed
    assert kinds(talk.say(Welcome("s", 1))) == ["Welcome"]
    assert client.welcomed
    assert [j.id for j in talk.hear_only(Submit).jobs] == ["a", "b"]


def test_without_a_connection_there_is_nothing_to_say_and_no_time_to_keep(client: ClientSide) -> None:
    client.submit([job("a")])
    assert client.frame(1.0) is None
    assert client.timer() is None
    assert client.handle_timer(10_000.0) is None


def test_the_welcome_tells_the_limits(client: ClientSide, talk: Conversation) -> None:
    talk.connect(limits=Limits(frame=777, heartbeat=1.0))
    assert client.limits.frame == 777
    assert client.timer() == talk.now + 1.0


@pytest.mark.parametrize("too_early", [Accepted(["a"]), Result([]), Ack(["a"])])
def test_words_before_the_welcome_are_counted_and_passed_over(
    client: ClientSide, talk: Conversation, too_early: FromManager
) -> None:
    talk.greet()
    assert talk.say(too_early) == []
    assert client.ignored == 1


def test_a_second_welcome_and_a_welcome_without_hello_are_passed_over(client: ClientSide, talk: Conversation) -> None:
    talk.connect()
    assert talk.say(Welcome("again", 2)) == []
    client.disconnected()
    client.connected(talk.now)
    assert talk.say(Welcome("too early", 3)) == []
    assert client.ignored == 2
    client.disconnected()
    assert talk.say(Accepted(["a"])) == []
    assert client.ignored == 3


def test_a_frame_that_cannot_be_read_breaks_the_protocol(client: ClientSide, talk: Conversation) -> None:
    talk.connect()
    with pytest.raises(ProtocolError):
        client.receive(b"nonsense", talk.now)


def test_a_client_has_no_use_for_what_is_said_to_workers(client: ClientSide, talk: Conversation) -> None:
    talk.connect()
    assert talk.say(Ack(applied=["a"])) == []
    assert client.ignored == 1


# -- time


def test_it_pings_where_nothing_else_was_said_for_a_heartbeat(client: ClientSide, talk: Conversation) -> None:
    talk.connect()
    talk.wait(3)
    client.expect("a")
    assert kinds(talk.hear()) == ["Await"]
    talk.say(Ping())
    talk.wait(4.9)
    assert talk.hear() == []
    talk.wait(0.2)
    assert talk.hear() == [Ping()]


def test_a_manager_that_is_silent_for_twelve_seconds_is_left(talk: Conversation) -> None:
    talk.connect()
    assert talk.wait(11.9) is None
    reason = talk.wait(0.2)
    assert reason is not None
    assert "silent" in reason


def test_one_that_never_welcomes_is_left_too(talk: Conversation) -> None:
    talk.greet()
    assert talk.wait(11.9) is None
    assert talk.wait(0.2) is not None


def test_any_word_shows_that_the_manager_lives(talk: Conversation) -> None:
    talk.connect()
    for _ in range(10):
        assert talk.wait(10) is None
        talk.say(Ping())


def test_whoever_slept_himself_first_reads_what_came_meanwhile(client: ClientSide, talk: Conversation) -> None:
    talk.connect()
    talk.now += 60  # the loop was blocked: the timer is handled long after it was due
    assert client.handle_timer(talk.now) is None
    assert talk.hear() == [Ping()]
    assert talk.wait(4.9) is None
    reason = talk.wait(0.2)  # nothing had come
    assert reason is not None


def test_whoever_slept_through_the_greeting_waits_a_little_for_the_welcome(
    client: ClientSide, talk: Conversation
) -> None:
    talk.greet()
    talk.now += 60
    assert client.handle_timer(talk.now) is None
    assert talk.hear() == [], "no heartbeat before the welcome"
    assert talk.wait(4.9) is None
    assert talk.wait(0.2) is not None


def test_a_timer_that_is_handled_too_early_does_nothing(client: ClientSide, talk: Conversation) -> None:
    talk.connect()
    assert client.handle_timer(talk.now + 1) is None
    assert talk.hear() == []


# -- submitting


def test_what_is_submitted_in_one_turn_leaves_in_one_message(client: ClientSide, talk: Conversation) -> None:
    talk.connect()
    client.submit([job("a"), job("b")])
    client.submit([job("c")])
    assert [j.id for j in talk.hear_only(Submit).jobs] == ["a", "b", "c"]
    assert client.outstanding == 3
    assert kinds(talk.say(Accepted(["a", "b"]), Accepted([], [("c", "other")]))) == ["Accepted", "Accepted"]
    assert client.outstanding == 0


def test_what_was_not_answered_is_said_again_after_a_reconnect(client: ClientSide, talk: Conversation) -> None:
    talk.connect()
    client.submit([job("a"), job("b"), job("c")])
    talk.hear()
    talk.say(Accepted(["b"]))
    talk.say(Refusal(["c"], 404, "Not found", "no"))
    talk.connect()
    assert [j.id for j in talk.hear_only(Submit).jobs] == ["a"]


def test_a_submission_that_waits_becomes_a_wait_once_it_is_accepted(client: ClientSide, talk: Conversation) -> None:
    talk.connect()
    client.submit([job("a", wait=True), job("b", wait=True), job("c", wait=True)])
    talk.hear()
    talk.say(Accepted(["a"], [("b", "other")]))
    talk.connect()
    submit, wait = talk.hear()
    assert isinstance(submit, Submit)
    assert isinstance(wait, Await)
    assert [j.id for j in submit.jobs] == ["c"]
    assert wait.ids == ["a", "other"]


def test_an_end_says_that_the_submission_was_accepted(client: ClientSide, talk: Conversation) -> None:
    talk.connect()
    client.submit([job("a", wait=True)])
    talk.hear()
    (result,) = talk.say(Result([Ended("a")]))
    assert isinstance(result, Result)
    talk.connect()
    assert talk.hear() == []


def test_answers_to_what_was_never_asked_are_counted(client: ClientSide, talk: Conversation) -> None:
    talk.connect()
    talk.say(Accepted(["x"], [("y", "z")]))
    (result,) = talk.say(Result([Ended("x")]))
    assert isinstance(result, Result)
    assert result.jobs == []
    talk.say(Refusal(["x"], 404, "Not found", "no"))
    assert client.ignored == 4


def test_jobs_made_together_are_said_again_together(client: ClientSide, talk: Conversation) -> None:
    client.submit_together([job("a"), job("b")])
    client.submit([job("c")])
    talk.connect()
    together, single = talk.hear()
    assert isinstance(together, Submit)
    assert together.together
    assert isinstance(single, Submit)
    assert [j.id for j in single.jobs] == ["c"]
    talk.connect()
    assert len(talk.hear()) == 2
    client.submit_together([job("d")])
    assert talk.hear_only(Submit).together
    talk.say(Accepted(["a", "b"], [("d", "e")]))
    talk.say(Accepted(["c"]))
    talk.connect()
    assert talk.hear() == []
    client.submit_together([job("f")])
    talk.hear()
    talk.say(Refusal(["f"], 422, "No", "no"))
    talk.connect()
    assert talk.hear() == []


def test_a_flood_leaves_in_frames_under_the_limit(client: ClientSide, talk: Conversation) -> None:
    talk.connect(limits=Limits(frame=10_000))
    args = msgspec.Raw(b'["' + b"x" * 2000 + b'"]')
    client.submit([Submission(f"job-{n}", "q", "t", args) for n in range(50)])
    ids = []
    while (frame := client.frame(talk.now)) is not None:
        assert len(frame) <= 10_000
        ids += [j.id for m in msgspec.json.decode(frame, type=list[Submit]) for j in m.jobs]
    assert ids == [f"job-{n}" for n in range(50)]


# -- waiting and cancelling


def test_a_wait_is_said_once_and_again_after_a_reconnect_until_the_end_comes(
    client: ClientSide, talk: Conversation
) -> None:
    talk.connect()
    client.expect("a")
    client.expect("a")
    assert talk.hear_only(Await).ids == ["a"]
    talk.connect()
    assert talk.hear_only(Await).ids == ["a"]
    talk.say(Result([Ended("a")]))
    talk.connect()
    assert talk.hear() == []
    client.disconnected()
    client.expect("b")
    talk.connect()
    assert talk.hear_only(Await).ids == ["b"]
    talk.say(Refusal(["b"], 404, "Not found", "no such job"))
    talk.connect()
    assert talk.hear() == []


def test_what_nobody_waits_for_is_forgotten(client: ClientSide, talk: Conversation) -> None:
    talk.connect()
    client.expect("a")
    client.submit([job("b", wait=True), job("c")])
    talk.hear()
    for id in ("a", "b", "c", "unknown"):
        client.forget(id)
    assert talk.hear_only(Forget).ids == ["a", "b"]
    talk.connect()
    assert talk.hear() == []
    client.expect("d")
    client.disconnected()
    client.forget("d")
    talk.connect()
    assert talk.hear() == []


def test_what_is_forgotten_and_asked_for_again_in_one_turn_is_asked_for(client: ClientSide, talk: Conversation) -> None:
    talk.connect()
    client.expect("a")
    talk.hear()
    client.forget("a")
    client.expect("a")
    assert talk.hear() == [Forget(["a"]), Await(["a"])]


def test_a_cancel_is_said_again_when_the_connection_is_lost_soon_after(client: ClientSide, talk: Conversation) -> None:
    talk.connect()
    client.cancel("a", talk.now)
    assert talk.hear_only(CancelJobs).ids == ["a"]
    client.disconnected()
    talk.now += 20
    client.cancel("b", talk.now)
    talk.connect()
    assert talk.hear_only(CancelJobs).ids == ["a", "b"]
    talk.now += 15
    talk.connect()
    assert talk.hear_only(CancelJobs).ids == ["b"]
    talk.now += 60
    client.cancel("c", talk.now)
    talk.connect()
    assert talk.hear_only(CancelJobs).ids == ["c"]
