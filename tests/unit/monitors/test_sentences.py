"""How a report is said in a line, and how a job becomes one."""

from __future__ import annotations

from typing import Any

import pytest

from easyjobs.core.job import Attempt, Job
from easyjobs.monitors.reports import AlertReport, Heartbeat, hook_of_end, of_end, of_retry
from easyjobs.monitors.telling import sentence


def ended(state: Any = "failed", **columns: Any) -> Job:
    job = Job("id1", "etl", "load", state=state, attempt=3, max_attempts=3, worker="w", created_at=100.0)
    job.started_at, job.finished_at = 110.0, 122.1
    for name, value in columns.items():
        setattr(job, name, value)
    return job


def said(job: Job, workflow: str | None = None) -> str:
    hook = hook_of_end(job)
    assert hook is not None
    return sentence(hook, of_end(job, workflow, 200.0, "here:1"))


ERROR = '{"type":"LookupError","message":"no table","traceback":"…"}'


def test_what_became_of_a_job() -> None:
    assert said(ended(error=ERROR)) == (
        "task etl:load failed on w, attempt 3 of 3, after 12.1 s, job id1: LookupError: no table"
    )
    assert said(ended("completed", error=ERROR, max_attempts=0)) == (
        "task etl:load completed on w, attempt 3, after 12.1 s, job id1"
    )
    crashed = ended(error=ERROR, attempt=4)
    assert "failed on w, attempt 4, after" in said(crashed)  # attempts that follow crashes come on top of those allowed
    never = ended(error=ERROR, attempt=0, worker=None, started_at=None)
    assert said(never) == "task etl:load failed, job id1: LookupError: no table"
    node = ended("completed", run="r", node="fetch[2]")
    assert "task etl:load (node fetch[2] of workflow nightly) completed" in said(node, "nightly")
    assert "(node fetch[2] of workflow r)" in said(node)
    run = ended("completed", turn="close", task="nightly", started_at=None, worker=None)
    assert said(run, "nightly") == "workflow etl:nightly completed, after 22.1 s, job id1"


@pytest.mark.parametrize("state", ["cancelled", "skipped"])
def test_some_ends_are_told_to_nobody(state: Any) -> None:
    assert hook_of_end(ended(state)) is None


def test_a_retry_says_what_failed() -> None:
    job = ended("retry", attempt=1, started_at=None, finished_at=None, run_at=300.0, error=ERROR)
    report = of_retry(job, Attempt("id1", 1, "w", 110.0, 115.0, "failed", ERROR), None, 200.0, "here:1")
    assert (report.run_at, report.duration, report.started_at, report.finished_at) == (300.0, 5.0, 110.0, 115.0)
    assert sentence("task_retry", report) == (
        "task etl:load failed, and is tried again on w, attempt 1 of 3, after 5 s, job id1: LookupError: no table"
    )


def test_alerts_and_heartbeats() -> None:
    alert = AlertReport("late", "id1", "it is late", 100.0, False, 160.0, "here:1")
    assert sentence("alert", alert) == "alert late id1: it is late"
    over = AlertReport("late", "id1", "it is late", 100.0, True, 160.0, "here:1")
    assert sentence("alert", over) == "alert late id1 is over, after 60 s: it is late"
    assert sentence("heartbeat_scheduler", Heartbeat(1.0, "here:1")) == "here:1 schedules"


def test_a_line_stays_one_line_whatever_a_user_wrote() -> None:
    error = '{"type":"E","message":"one\\ntwo \\u001b[31mred\\u202e","traceback":""}'
    assert said(ended(error=error)).endswith("E: one two  [31mred ")
