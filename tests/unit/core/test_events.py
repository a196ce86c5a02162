"""Facts: each is one kind, made of plain values."""

import json
import typing

from easyjobs.core import events


def test_the_union_names_every_event_of_the_module() -> None:
    declared = {kind for kind in vars(events).values() if isinstance(kind, type) and kind.__module__ == events.__name__}
    assert set(typing.get_args(events.Event)) == declared


def test_what_a_worker_says_carries_attempt_and_token() -> None:
    said = (events.Completed(1, "t", "null"), events.Failed(1, "t", "{}"), events.Stopped(1, "t"))
    returned = (events.HandedBack(1, "t", "full"), events.NeverStarted(1, "t"), events.WorkerDied(1, "t", "lost"))
    assert {(e.attempt, e.token) for e in (*said, *returned)} == {(1, "t")}


def test_a_failure_leaves_another_run_open_unless_it_says_otherwise() -> None:
    failure = events.Failed(1, "t", "{}")
    assert (failure.final, failure.delay) == (False, None)


def test_an_error_without_a_traceback_reads_like_any_other() -> None:
    assert json.loads(events.error_text("WorkerDied", 'it said "no"')) == {
        "type": "WorkerDied",
        "message": 'it said "no"',
        "traceback": "",
    }


def test_an_error_has_one_line() -> None:
    assert events.reason_of(events.error_text("ValueError", "no")) == "ValueError: no"
    assert len(events.reason_of(events.error_text("ValueError", "x" * 5000))) == 1000
    assert [events.reason_of(text) for text in (None, "", "{", "3")] == ["", "", "", ""]
