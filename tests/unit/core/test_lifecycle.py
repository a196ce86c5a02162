"""The one function that moves a job: every event in every state, and each rule as a story."""

from typing import Any

import msgspec
import pytest

from easyjobs.core import lifecycle
from easyjobs.core.events import (
    Bound,
    CancelForced,
    CancelRequested,
    Checked,
    Completed,
    DeadlinePassed,
    Event,
    Failed,
    FoundUnreadable,
    Gathered,
    HandedBack,
    NeverStarted,
    PrerequisiteEnded,
    Spread,
    Stopped,
    TaskKnown,
    WorkerDied,
)
from easyjobs.core.job import Attempt, Job, Turn
from easyjobs.core.lifecycle import Decision, Flag, Ignored, Step, advance
from easyjobs.core.states import FINAL, STATES, TRANSITIONS, State
from easyjobs.core.task import Options
from easyjobs.errors import IllegalTransition

NOW = 1000.0
ERROR = '{"type":"ValueError","message":"no","traceback":""}'


def job(state: State, **columns: Any) -> Job:
    """A job as its state usually looks: attempt 1 with token `t` runs, or has run where the state says so."""
    ran = state not in ("waiting", "queued", "skipped")
    row = Job("1", "q", "t", state=state, max_attempts=3, run_at=10.0, deadline=900.0)
    if ran:
        row.attempt, row.token, row.worker, row.started_at = 1, "t", "w", 500.0
    if state == "running":
        row.session, row.holds, row.progress = "s", "counter", '{"value":0.5}'
    if state in FINAL:
        row.finished_at = 700.0
    return msgspec.structs.replace(row, **columns)


def read(decision: Decision) -> str:
    if isinstance(decision, Step):
        return f"-> {decision.state}"
    return "flag" if isinstance(decision, Flag) else decision.why


EVENTS: dict[str, Event] = {
    "completed": Completed(1, "t", "5"),
    "failed": Failed(1, "t", ERROR),
    "failed for good": Failed(1, "t", ERROR, final=True),
    "stopped": Stopped(1, "t"),
    "handed back": HandedBack(1, "t", "full"),
    "never started": NeverStarted(1, "t"),
    "worker died": WorkerDied(1, "t", "lost"),
    "cancel": CancelRequested("me"),
    "cancel forced": CancelForced("me"),
    "deadline": DeadlinePassed(),
    "unreadable": FoundUnreadable("bad JSON"),
    "unmet": PrerequisiteEnded("2", "first", "failed"),
    "task known": TaskKnown("s", "[]", "{}", prerequisites=2),
    "not fresh": Checked(2),
    "fresh": Checked(),
    "spread": Spread(3, '{"members":3}'),
    "gathered": Gathered('{"jobs":3}'),
    "bound": Bound("[1]", "{}", "check"),
}
TURNS: dict[str, Turn] = {
    "not fresh": "check",
    "fresh": "check",
    "spread": "spread",
    "gathered": "gather",
    "bound": "bind",
}
TABLE = """
                 waiting       queued        running       retry         completed  failed     cancelled  skipped
completed        stale         stale         -> completed  duplicate     duplicate  duplicate  duplicate  stale
failed           stale         stale         -> retry      duplicate     duplicate  duplicate  duplicate  stale
failed for good  stale         stale         -> failed     duplicate     duplicate  duplicate  duplicate  stale
stopped          stale         stale         -> cancelled  duplicate     duplicate  duplicate  duplicate  stale
handed back      stale         stale         -> queued     duplicate     duplicate  duplicate  duplicate  stale
never started    stale         stale         -> queued     duplicate     duplicate  duplicate  duplicate  stale
worker died      stale         stale         -> queued     duplicate     duplicate  duplicate  duplicate  stale
cancel           -> cancelled  -> cancelled  flag          -> cancelled  settled    settled    settled    settled
cancel forced    -> cancelled  -> cancelled  -> cancelled  -> cancelled  settled    settled    settled    settled
deadline         -> skipped    -> skipped    settled       -> skipped    settled    settled    settled    settled
unreadable       -> failed     -> failed     -> failed     -> failed     settled    settled    settled    settled
unmet            -> failed     settled       settled       settled       settled    settled    settled    settled
task known       -> waiting    settled       settled       settled       settled    settled    settled    settled
not fresh        settled       -> waiting    settled       settled       settled    settled    settled    settled
fresh            settled       -> queued     settled       settled       settled    settled    settled    settled
spread           settled       -> waiting    settled       settled       settled    settled    settled    settled
gathered         -> completed  -> completed  settled       settled       settled    settled    settled    settled
bound            settled       -> queued     settled       settled       settled    settled    settled    settled
"""


def cells() -> list[tuple[str, State, str]]:
    head, *rows = TABLE.strip("\n").splitlines()
    columns: list[tuple[State, int]] = [(state, head.index(state)) for state in STATES]
    ends = [start for _, start in columns[1:]] + [200]
    return [
        (row[: columns[0][1]].strip(), state, row[start:end].strip())
        for row in rows
        for (state, start), end in zip(columns, ends, strict=True)
    ]


@pytest.mark.parametrize(("name", "state", "expected"), cells())
def test_every_event_in_every_state(name: str, state: State, expected: str) -> None:
    row = job(state, turn=TURNS.get(name))
    before = msgspec.structs.asdict(row)
    assert read(advance(row, EVENTS[name], NOW)) == expected
    assert msgspec.structs.asdict(row) == before, "advance changes nothing itself"


def test_the_table_above_is_whole() -> None:
    found = cells()
    assert {state for _, state, _ in found} == set(STATES)
    assert {type(EVENTS[name]) for name, _, _ in found} == set(lifecycle._DECIDE)
    assert len(found) == len(EVENTS) * len(STATES)


def test_every_move_of_the_transition_table_that_events_make_is_made() -> None:
    made = {
        (state, decision.state)
        for name, event in EVENTS.items()
        for state in STATES
        if isinstance(decision := advance(job(state, turn=TURNS.get(name)), event, NOW), Step)
    }
    by_others = {  # submission, claims and releases of edges move a job too, elsewhere
        (t.source, t.target) for t in TRANSITIONS if t.source is None or t.target == "running" or t.source == "waiting"
    } - made
    assert made | by_others == {(t.source, t.target) for t in TRANSITIONS}
    assert by_others == {
        (None, "waiting"),
        (None, "queued"),
        (None, "running"),
        (None, "completed"),
        (None, "failed"),
        (None, "skipped"),
        ("waiting", "queued"),
        ("queued", "running"),
        ("retry", "running"),
    }


SPOKEN = ["completed", "failed", "stopped", "handed back", "never started", "worker died"]


@pytest.mark.parametrize("name", SPOKEN)
def test_a_word_of_another_attempt_is_stale(name: str) -> None:
    for columns in ({"attempt": 2, "token": "new"}, {"token": "other"}, {"attempt": 2}, {"token": None}):
        assert advance(job("running", **columns), EVENTS[name], NOW) == Ignored("stale")
    assert advance(job("completed", attempt=2, token="new"), EVENTS[name], NOW) == Ignored("stale")


def test_a_result_is_kept_and_the_limit_given_back() -> None:
    step = advance(job("running"), Completed(1, "t", "5"), NOW)
    assert step == Step({"state": "completed", "finished_at": NOW, "result": "5"}, release=True)
    unlimited = advance(job("running", holds=None), Completed(1, "t", "5"), NOW)
    assert isinstance(unlimited, Step)
    assert not unlimited.release


def test_a_result_that_comes_before_the_cancel_is_obeyed_wins() -> None:
    assert read(advance(job("running", cancel="me"), Completed(1, "t", "5"), NOW)) == "-> completed"


def test_a_failure_with_attempts_left_waits_for_its_next_one() -> None:
    step = advance(job("running", failures=1), Failed(1, "t", ERROR), NOW, Options(retry_delay=7.0))
    assert step == Step(
        {
            "state": "retry",
            "run_at": NOW + 7,
            "failures": 2,
            "error": ERROR,
            "token": "t",  # so that the same word, said again, is known as a duplicate
            "session": None,
            "started_at": None,
            "progress": None,
            "holds": None,
        },
        Attempt("1", 1, "w", 500.0, NOW, "failed", ERROR),
        release=True,
    )


def test_delays_come_from_the_task_unless_the_attempt_asked_for_one() -> None:
    def run_at(event: Failed, **given: Any) -> Any:
        step = advance(job("running"), event, NOW, **given)
        assert isinstance(step, Step)
        return step.columns["run_at"]

    assert run_at(Failed(1, "t", ERROR)) == NOW + 2
    assert run_at(Failed(1, "t", ERROR), jitter=0.0) == NOW + 1
    assert run_at(Failed(1, "t", ERROR, delay=0.0)) == NOW
    assert run_at(Failed(1, "t", ERROR, delay=99.0), options=Options(retry_delay=7.0)) == NOW + 99


def test_the_last_failure_ends_the_job() -> None:
    step = advance(job("running", failures=2), Failed(1, "t", ERROR, delay=5.0), NOW)
    assert step == Step({"state": "failed", "finished_at": NOW, "error": ERROR, "failures": 3}, release=True)
    endless = advance(job("running", failures=10**6, max_attempts=0), Failed(1, "t", ERROR), NOW)
    assert read(endless) == "-> retry"


@pytest.mark.parametrize(
    "name", ["failed", "failed for good", "stopped", "handed back", "never started", "worker died"]
)
def test_a_pending_cancel_wins_over_every_other_run(name: str) -> None:
    step = advance(job("running", cancel="me"), EVENTS[name], NOW, Options(retry_policy="retry_always"))
    assert isinstance(step, Step)
    assert (step.state, step.columns["finished_at"], step.release) == ("cancelled", NOW, True)


def test_an_error_that_ended_a_cancelled_attempt_is_kept() -> None:
    step = advance(job("running", cancel="me"), EVENTS["failed"], NOW)
    assert isinstance(step, Step)
    assert step.columns["error"] == ERROR
    assert "failures" not in step.columns


@pytest.mark.parametrize("name", ["handed back", "never started"])
def test_what_comes_back_blames_nobody_and_keeps_its_place(name: str) -> None:
    step = advance(job("running", failures=1, crashes=1), EVENTS[name], NOW)
    assert isinstance(step, Step)
    assert step.past == Attempt("1", 1, "w", 500.0, NOW, "returned", None)
    assert (step.columns["run_at"], step.columns["token"], step.columns["session"]) == (10.0, None, None)
    assert {"failures", "crashes", "error"}.isdisjoint(step.columns)
    assert step.release


def test_a_crash_is_counted_apart_from_failures() -> None:
    step = advance(job("running", failures=2), WorkerDied(1, "t", "lease lost"), NOW)
    assert isinstance(step, Step)
    assert (step.state, step.columns["crashes"], step.columns["token"]) == ("queued", 1, None)
    assert "failures" not in step.columns
    assert step.past is not None
    assert step.past.end == "crashed"
    assert msgspec.json.decode(step.past.error or "") == {
        "type": "WorkerDied",
        "message": "lease lost",
        "traceback": "",
    }


def test_the_third_crash_fails_the_job_and_under_never_the_first() -> None:
    third = advance(job("running", crashes=2, crashed_at="[900.0,950.0]"), EVENTS["worker died"], NOW)
    assert isinstance(third, Step)
    assert (third.state, third.columns["crashes"], third.columns["token"]) == ("failed", 3, None)
    assert "lost; that was crash 3 within 24 hours" in third.columns["error"]
    never = advance(job("running"), EVENTS["worker died"], NOW, Options(retry_policy="never"))
    assert isinstance(never, Step)
    assert (never.state, never.columns["crashes"]) == ("failed", 1)
    assert '"lost"' in never.columns["error"]


def test_a_crash_counts_for_a_day() -> None:
    row = job("running", crashes=2, crashed_at="[1000.0,1000.5]")
    soon = advance(row, EVENTS["worker died"], 1000.0 + 86399.0)
    assert read(soon) == "-> failed"
    later = advance(row, EVENTS["worker died"], 1000.0 + 86400.0)
    assert isinstance(later, Step)
    assert (later.state, later.columns["crashes"], later.columns["crashed_at"]) == ("queued", 2, "[1000.5,87400.0]")


def test_a_crash_is_counted_though_a_pending_cancel_wins() -> None:
    step = advance(job("running", cancel="me"), EVENTS["worker died"], NOW)
    assert isinstance(step, Step)
    assert (step.state, step.columns["crashes"], step.columns["crashed_at"]) == ("cancelled", 1, "[1000.0]")


def test_a_dead_workers_late_word_is_stale_after_its_job_was_taken_away() -> None:
    for name in ("worker died", "handed back", "cancel forced", "unreadable"):
        step = advance(job("running"), EVENTS[name], NOW)
        assert isinstance(step, Step)
        after = msgspec.structs.replace(job("running"), **step.columns)
        assert advance(after, EVENTS["completed"], NOW) == Ignored("stale")
    cancelled = advance(job("running", cancel="me"), EVENTS["worker died"], NOW)
    assert isinstance(cancelled, Step)
    assert cancelled.columns["token"] is None


def test_only_a_running_job_gives_its_limit_back() -> None:
    for name in ("cancel", "cancel forced", "deadline", "unreadable"):
        step = advance(job("queued", holds="counter"), EVENTS[name], NOW)
        assert isinstance(step, Step)
        assert not step.release


def test_a_running_job_is_flagged_once() -> None:
    assert advance(job("running"), CancelRequested("me"), NOW) == Flag("me")
    assert advance(job("running", cancel="you"), CancelRequested("me"), NOW) == Ignored("settled")


def test_cancel_says_who() -> None:
    for event, by in ((CancelRequested("me"), "me"), (CancelForced("me"), "me")):
        step = advance(job("queued"), event, NOW)
        assert isinstance(step, Step)
        assert step.columns["cancel"] == by
        assert not step.release
    forced = advance(job("running", cancel="first"), CancelForced("me"), NOW)
    assert isinstance(forced, Step)
    assert forced.columns["cancel"] == "first"
    assert forced.release


def test_a_deadline_skips_only_what_is_late_and_has_not_begun() -> None:
    assert advance(job("queued", deadline=None), DeadlinePassed(), NOW) == Ignored("settled")
    assert advance(job("queued", deadline=NOW + 1), DeadlinePassed(), NOW) == Ignored("settled")
    step = advance(job("queued", deadline=NOW), DeadlinePassed(), NOW)
    assert isinstance(step, Step)
    assert "StartDeadlinePassed" in step.columns["error"]


def test_a_row_that_cannot_be_read_says_why() -> None:
    step = advance(job("running"), FoundUnreadable("bad JSON"), NOW)
    assert isinstance(step, Step)
    assert msgspec.json.decode(step.columns["error"])["message"] == "bad JSON"
    assert step.release


def test_a_move_outside_of_the_table_is_a_bug_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "allowed", lambda source, target: False)
    with pytest.raises(IllegalTransition, match="running -> completed by Completed of job 1"):
        advance(job("running"), EVENTS["completed"], NOW)
    assert advance(job("completed"), EVENTS["completed"], NOW) == Ignored("duplicate")


def test_an_unknown_event_is_a_bug_too() -> None:
    with pytest.raises(KeyError):
        advance(job("running"), object(), NOW)  # type: ignore[arg-type]


def error_of(decision: Decision) -> dict[str, Any]:
    assert isinstance(decision, Step)
    error: dict[str, Any] = msgspec.json.decode(decision.columns["error"])
    return error


def test_a_job_whose_prerequisite_ended_badly_fails_and_says_which_and_why() -> None:
    decision = advance(job("waiting"), PrerequisiteEnded("2", "first", "failed", error=ERROR), NOW)
    assert read(decision) == "-> failed"
    assert error_of(decision) == {
        "type": "PrerequisiteFailed",
        "message": "first (job 2) had to complete first, and ended as failed: ValueError: no",
        "traceback": "",
    }


def test_an_edge_may_ask_to_skip_instead() -> None:
    decision = advance(job("waiting"), PrerequisiteEnded("2", "first", "cancelled", "skip"), NOW)
    assert read(decision) == "-> skipped"
    assert error_of(decision)["message"] == "first (job 2) had to complete first, and ended as cancelled"


def test_a_job_that_waited_for_its_task_is_called_as_that_says() -> None:
    event = TaskKnown("s", "[1]", "{}", priority=3, max_attempts=5, timeout=9.0, deadline=99.0, late_at=9.0)
    step = advance(job("waiting"), event, NOW)
    assert step == Step(
        {
            "signature": "s",
            "args": "[1]",
            "kwargs": "{}",
            "priority": 3,
            "max_attempts": 5,
            "timeout": 9.0,
            "deadline": 99.0,
            "late_at": 9.0,
            "turn": None,
            "state": "queued",
            "deps_left": 0,
        }
    )
    event.prerequisites = 2
    again = advance(job("waiting"), event, NOW)
    assert isinstance(again, Step)
    assert (again.state, again.columns["deps_left"]) == ("waiting", 2)


def test_a_task_that_the_arguments_do_not_fit_fails_the_job_that_waited_for_it() -> None:
    step = advance(job("waiting"), TaskKnown("s", "[]", "{}", fault=ERROR), NOW)
    assert step == Step({"state": "failed", "finished_at": NOW, "error": ERROR, "signature": "s"})


def test_a_job_that_waits_for_others_and_not_for_its_task_is_left_alone() -> None:
    assert advance(job("waiting", signature="s"), TaskKnown("s", "[]", "{}"), NOW) == Ignored("settled")


# -- turns


def test_a_job_whose_needs_are_met_is_asked_only_once() -> None:
    step = advance(job("queued", turn="check"), Checked(), NOW)
    assert step == Step({"state": "queued", "deps_left": 0, "turn": None})
    unmet = advance(job("queued", turn="check"), Checked(2), NOW)
    assert unmet == Step({"state": "waiting", "deps_left": 2, "turn": None})


def test_a_job_fails_whose_needs_or_members_cannot_be_called() -> None:
    for turn, event in (("check", Checked(fault=ERROR)), ("spread", Spread(fault=ERROR))):
        step = advance(job("queued", turn=turn), event, NOW)
        assert step == Step({"state": "failed", "finished_at": NOW, "error": ERROR})


def test_a_turn_that_is_another_or_none_moves_nothing() -> None:
    for event in (Checked(1), Spread(1), Gathered("{}")):
        assert advance(job("queued"), event, NOW) == Ignored("settled")
    assert advance(job("queued", turn="check"), Spread(1), NOW) == Ignored("settled")
    assert advance(job("queued", turn="spread"), Checked(1), NOW) == Ignored("settled")


def test_a_large_group_stays_queued_until_its_last_members_are_made() -> None:
    part = advance(job("queued", turn="spread", deps_left=4), Spread(3, "{}", whole=False), NOW)
    assert part == Step({"state": "queued", "deps_left": 7, "progress": "{}", "deadline": None})
    last = advance(job("queued", turn="spread", deps_left=4), Spread(3, "{}"), NOW)
    assert last == Step({"state": "waiting", "deps_left": 7, "progress": "{}", "deadline": None, "turn": "gather"})


def test_a_map_over_nothing_stays_where_its_end_is_found() -> None:
    step = advance(job("queued", turn="map"), Spread(0, "{}"), NOW)
    assert step == Step({"state": "queued", "deps_left": 0, "progress": "{}", "deadline": None, "turn": "gather"})
    end = advance(job("queued", turn="gather"), Gathered("[]"), NOW)
    assert end == Step({"state": "completed", "finished_at": NOW, "result": "[]"})


def test_a_group_ends_when_all_its_members_have() -> None:
    assert advance(job("waiting", turn="gather", deps_left=1), Gathered("{}"), NOW) == Ignored("settled")
    step = advance(job("waiting", turn="gather"), Gathered("{}"), NOW)
    assert step == Step({"state": "completed", "finished_at": NOW, "result": "{}"})
    bad = advance(job("waiting", turn="gather"), Gathered(error=ERROR), NOW)
    assert bad == Step({"state": "failed", "finished_at": NOW, "error": ERROR})


# -- runs


def test_a_run_begins_with_its_first_nodes_and_is_counted_when_it_is_whole() -> None:
    part = advance(job("queued", turn="expand"), Spread(2, "{}", whole=False, holds="c"), NOW)
    assert part == Step({"state": "queued", "deps_left": 2, "progress": "{}", "deadline": None, "started_at": NOW})
    whole = advance(job("queued", turn="expand", started_at=900.0, deps_left=2), Spread(1, "{}", holds="c"), NOW)
    columns = {"state": "waiting", "deps_left": 3, "progress": "{}", "deadline": None, "turn": "close", "holds": "c"}
    assert whole == Step(columns)


def test_a_run_waits_also_for_what_goes_on_when_its_last_nodes_have_ended() -> None:
    step = advance(job("waiting", turn="close"), Gathered(waits=2), NOW)
    assert step == Step({"state": "waiting", "deps_left": 2})


def test_a_run_gives_back_what_it_was_counted_by() -> None:
    step = advance(job("waiting", turn="close", holds="c"), Gathered("{}"), NOW)
    assert step == Step({"state": "completed", "finished_at": NOW, "result": "{}"}, release=True)


def test_a_run_that_goes_on_is_cancelled_when_its_nodes_have_ended() -> None:
    stopping = advance(job("waiting", turn="close", deps_left=1), CancelRequested("me"), NOW)
    assert stopping == Step({"state": "waiting", "turn": "close", "cancel": "me"})
    again = advance(job("waiting", turn="close", deps_left=1, cancel="you"), CancelRequested("me"), NOW)
    assert again == Ignored("settled")
    end = advance(job("waiting", turn="close", cancel="me"), Gathered("{}"), NOW)
    assert end == Step({"state": "cancelled", "finished_at": NOW})


def test_a_run_of_which_some_nodes_are_made_makes_no_more_of_them_when_it_is_cancelled() -> None:
    step = advance(job("queued", turn="expand", progress="{}"), CancelRequested("me"), NOW)
    assert step == Step({"state": "queued", "turn": "close", "cancel": "me"})
    before = advance(job("queued", turn="expand"), CancelRequested("me"), NOW)
    assert before == Step({"state": "cancelled", "finished_at": NOW, "cancel": "me"})


def test_a_node_that_is_bound_has_its_arguments_and_what_comes_next() -> None:
    step = advance(job("queued", turn="bind"), Bound("[1]", '{"a":2}', "check"), NOW)
    assert step == Step({"state": "queued", "args": "[1]", "kwargs": '{"a":2}', "turn": "check"})
    bad = advance(job("queued", turn="bind"), Bound(fault=ERROR), NOW)
    assert bad == Step({"state": "failed", "finished_at": NOW, "error": ERROR})
    assert advance(job("queued", turn="map"), Bound(), NOW) == Ignored("settled")
