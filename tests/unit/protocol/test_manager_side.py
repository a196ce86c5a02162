"""The manager's rules of a connection: who may say what, when; what leaves in which frame; who is gone."""

from __future__ import annotations

import msgspec
import pytest

from easyjobs.errors import ProtocolError
from easyjobs.protocol.codec import decode_from_manager, encode
from easyjobs.protocol.manager_side import AUTH, BROKEN, SLOW, TOO_LARGE, ManagerSide, parts, weight_of_assignment
from easyjobs.protocol.messages import (
    Ack,
    Assign,
    Assignment,
    Credit,
    Ended,
    Finished,
    FromManager,
    FromPeer,
    Heartbeat,
    Hello,
    Limits,
    Ping,
    Register,
    Result,
    Submit,
    Welcome,
)

LIMITS = Limits(frame=10_000)


def side(limits: Limits = LIMITS, *, outbox: int = 5_000) -> ManagerSide:
    roles = frozenset(("worker", "watchdog", "client", "child"))
    return ManagerSide(limits, 0.0, roles=roles, hello=10.0, send=10.0, outbox=outbox)


def welcomed(role: str = "worker", limits: Limits = LIMITS, *, outbox: int = 5_000) -> ManagerSide:
    manager = side(limits, outbox=outbox)
    hear(manager, Hello(1, role, worker_id="w"))  # type: ignore[arg-type]
    manager.welcomed = True
    return manager


def hear(manager: ManagerSide, *messages: FromPeer, now: float = 0.0) -> list[FromPeer]:
    return manager.receive(encode(messages), now)


def said(frames: list[bytes]) -> list[list[FromManager]]:
    return [decode_from_manager(frame) for frame in frames]


# -- hearing


def test_hello_comes_first_and_then_what_the_role_may_say() -> None:
    manager = side()
    (hello,) = hear(manager, Hello(1, "worker", worker_id="w"))
    assert isinstance(hello, Hello)
    assert manager.role == "worker"
    manager.welcomed = True
    assert len(hear(manager, Register([]), Finished([]), Heartbeat(), Credit(0, 1), Submit([]), Ping())) == 6


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([Ping()], BROKEN),
        ([Hello(1, "client"), Ping()], BROKEN),
        ([Hello(1, "client"), Hello(1, "client")], BROKEN),
        ([Hello(2, "client")], BROKEN),
        ([Hello(1, "worker")], BROKEN),
        ([Hello(1, "watchdog", worker_id="w" * 129)], BROKEN),
    ],
)
def test_words_out_of_order_break_the_protocol(messages: list[FromPeer], code: int) -> None:
    with pytest.raises(ProtocolError) as broken:
        hear(side(), *messages)
    assert broken.value.code == code


def test_a_credential_may_not_speak_as_everybody() -> None:
    manager = ManagerSide(LIMITS, 0.0, roles=frozenset(("client",)), hello=10.0, send=10.0, outbox=1000)
    with pytest.raises(ProtocolError) as broken:
        hear(manager, Hello(1, "worker", worker_id="w"))
    assert broken.value.code == AUTH


@pytest.mark.parametrize(
    ("role", "message"),
    [("client", Finished([])), ("watchdog", Submit([])), ("child", Heartbeat()), ("client", Credit(0, 1))],
)
def test_each_role_has_its_own_words(role: str, message: FromPeer) -> None:
    with pytest.raises(ProtocolError, match=role):
        hear(welcomed(role), message)


def test_a_frame_over_the_limit_is_not_even_read() -> None:
    with pytest.raises(ProtocolError) as broken:
        side().receive(b"x" * 10_001, 0.0)
    assert broken.value.code == TOO_LARGE


# -- saying


def test_what_is_said_in_one_turn_leaves_in_one_frame() -> None:
    manager = welcomed()
    assert manager.frames(1.0) == []
    manager.say(Ping())
    manager.judged("a", "applied")
    manager.judged("b", "stale")
    manager.ended(Ended("c"))
    assert said(manager.frames(1.0)) == [[Ping(), Ack(applied=["a"], stale=["b"]), Result([Ended("c")])]]
    assert manager.frames(1.0) == []


def test_much_leaves_in_several_frames_under_the_limit() -> None:
    manager = welcomed(outbox=1_000_000)
    raw = msgspec.Raw(b'"' + b"x" * 1000 + b'"')
    for n in range(20):
        manager.ended(Ended(f"job-{n}", result=raw))
        manager.say(Assign([Assignment(f"job-{n}", 1, "t", "q", "n", args=raw)]), 1300)
    frames = manager.frames(1.0)
    assert len(frames) > 1
    assert all(len(frame) <= LIMITS.frame for frame in frames)
    heard = [message for frame in said(frames) for message in frame]
    assert [e.id for m in heard if isinstance(m, Result) for e in m.jobs] == [f"job-{n}" for n in range(20)]
    assert [a.job for m in heard if isinstance(m, Assign) for a in m.jobs] == [f"job-{n}" for n in range(20)]


def test_long_lists_are_cut_into_parts() -> None:
    jobs = [Assignment(str(n), 1, "t", "q", "n") for n in range(5)]
    weight = weight_of_assignment(jobs[0])
    assert [len(part) for part, _ in parts(jobs, weight_of_assignment, 2 * weight)] == [2, 2, 1]
    assert [len(part) for part, _ in parts(jobs, weight_of_assignment, 1)] == [1] * 5
    assert parts([], weight_of_assignment, 1) == []


def test_a_peer_that_reads_too_slowly_is_left() -> None:
    manager = welcomed()
    manager.say(Ping(), 6_000)  # nothing is being sent yet: it may leave at once
    manager.frames(1.0)
    with pytest.raises(ProtocolError) as broken:
        manager.say(Ping(), 6_000)
    assert broken.value.code == SLOW


def test_once_it_has_read_there_is_room_again() -> None:
    manager = welcomed()
    manager.say(Ping(), 6_000)
    manager.frames(1.0)
    manager.sent()
    manager.say(Ping(), 6_000)
    assert len(manager.frames(1.0)) == 1


# -- time


def test_whoever_says_no_hello_is_left() -> None:
    manager = side()
    assert manager.timer() == 10.0
    manager.tick(9.9)
    with pytest.raises(ProtocolError, match="hello"):
        manager.tick(10.0)


def test_it_pings_where_nothing_else_was_said_for_a_heartbeat() -> None:
    manager = welcomed()
    manager.say(Welcome())
    manager.frames(1.0)
    manager.sent()
    assert manager.timer() == 6.0
    manager.tick(5.9)
    assert manager.frames(5.9) == []
    manager.tick(6.0)
    assert said(manager.frames(6.0)) == [[Ping()]]


def test_a_silent_peer_is_left_unless_another_voice_vouches_for_it() -> None:
    manager = welcomed()
    manager.say(Ping())
    manager.frames(0.0)
    manager.tick(30.0, patient=True)
    manager.sent()
    manager.tick(59.0, patient=True)
    hear(manager, Ping(), now=60.0)
    manager.tick(89.0)
    with pytest.raises(ProtocolError, match="nothing was heard"):
        manager.tick(90.0)


def test_a_frame_that_cannot_leave_ends_the_connection() -> None:
    manager = welcomed()
    manager.say(Ping())
    manager.frames(1.0)
    assert manager.timer() == 6.0
    manager.tick(10.9)
    with pytest.raises(ProtocolError, match="could not be sent"):
        manager.tick(11.0)
