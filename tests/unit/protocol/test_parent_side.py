"""A worker whose child processes tell their outcomes themselves."""

from __future__ import annotations

from paper_manager import LIMITS, Conversation

from easyjobs.protocol.messages import Assign, Assignment, Hello, Limits, Log, Logged, Outcome
from easyjobs.protocol.parent_side import ParentSide


def parent(limits: Limits = LIMITS) -> tuple[ParentSide, Conversation]:
    side = ParentSide(Hello(1, "worker", worker_id="w"), 4)
    talk = Conversation(side)
    talk.connect(limits=limits)
    talk.say(Assign([Assignment("a", 1, "t", "q", "f")]))
    return side, talk


def test_an_attempt_that_its_child_has_reported_is_in_hand_no_more() -> None:
    side, _ = parent()
    side.settled("a", "another")
    side.settled("b", "t")
    assert [h.job for h in side.named()] == ["a"]
    side.settled("a", "t")
    assert side.named() == []
    assert not side.finish(Outcome("a", 1, "t"))


def test_the_last_lines_are_told_and_awaited_before_the_child_may_report() -> None:
    side, talk = parent()
    assert not side.last_lines("a")
    assert not side.last_lines("b")
    side.log("a", 1.0, "info", "one")
    assert side.last_lines("a")
    log = talk.hear_only(Log)
    assert side.last_lines("a")
    talk.say(Logged([("a", 1, log.first)]))
    assert not side.last_lines("a")
    side.settled("a", "t")
    assert talk.hear() == []


def test_lines_that_waited_for_their_turn_go_at_once_when_the_end_is_near() -> None:
    side, talk = parent(Limits(logs=2_000))
    for n in range(100):
        side.log("a", float(n), "info", "x" * 50)
    assert not any(isinstance(m, Log) and m.lines[-1][0] == 99.0 for m in talk.hear())
    assert side.last_lines("a")
    assert any(isinstance(m, Log) and m.lines[-1][0] == 99.0 for m in talk.hear())
