"""What destinations are told: one struct for each kind of event, with plain values. Times are seconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import msgspec

from easyjobs.core.job import Attempt, Job
from easyjobs.core.states import COMPLETED, FAILED, State
from easyjobs.errors import ConfigurationError

Hook: TypeAlias = Literal[
    "heartbeat_scheduler",
    "task_retry",
    "task_failed",
    "task_success",
    "workflow_failed",
    "workflow_success",
    "alert",
]

HOOKS: Final[tuple[Hook, ...]] = (
    "heartbeat_scheduler",
    "task_retry",
    "task_failed",
    "task_success",
    "workflow_failed",
    "workflow_success",
    "alert",
)
"""The methods that a destination may have, any of them: each is called with one report."""


class JobReport(msgspec.Struct, frozen=True):
    """What became of a job, or of a run of a workflow. `manager` is the process that says so, at the time `at`.

    `error` is {type, message, traceback} of a failure. `duration`: seconds that the last attempt took, of a run all of
    it; None where nothing had begun. `run_at`: of `task_retry`, when the next attempt may begin. `run` and `node`: the
    id of the run that it is part of, and its name in it; `workflow` is that run's, for a run its own. `parent`: id of
    the job that made it. `schedule` and `tick`: what it was made by, and for when.
    """

    id: str
    queue: str
    task: str
    state: State
    attempt: int
    max_attempts: int
    failures: int
    error: dict[str, str] | None
    duration: float | None
    worker: str | None
    workflow: str | None
    run: str | None
    node: str | None
    parent: str | None
    schedule: str | None
    tick: float | None
    created_at: float
    run_at: float
    started_at: float | None
    finished_at: float | None
    at: float
    manager: str


class AlertReport(msgspec.Struct, frozen=True):
    """An alert was raised, or is `over`: of one `kind` with one `subject`, in words, open `since` then."""

    kind: str
    subject: str
    text: str
    since: float
    over: bool
    at: float
    manager: str


class Heartbeat(msgspec.Struct, frozen=True):
    """The `manager` that schedules is there."""

    at: float
    manager: str


Report: TypeAlias = JobReport | AlertReport | Heartbeat


def hook_of_end(job: Job) -> Hook | None:
    """Which hook is told that this job has ended; None where nobody is: it was cancelled or skipped."""
    if job.state == COMPLETED:
        return "workflow_success" if job.is_run else "task_success"
    if job.state == FAILED:
        return "workflow_failed" if job.is_run else "task_failed"
    return None


def of_end(job: Job, workflow: str | None, at: float, manager: str) -> JobReport:
    """The report of a job that has ended."""
    begun = job.created_at if job.is_run else job.started_at
    duration = None if begun is None or job.finished_at is None else max(0.0, job.finished_at - begun)
    error = job.error if job.state == FAILED else None
    return _report(job, job.worker, error, duration, job.started_at, job.finished_at, workflow, at, manager)


def of_retry(job: Job, past: Attempt, workflow: str | None, at: float, manager: str) -> JobReport:
    """The report of a job whose attempt `past` failed or crashed, and which is tried again."""
    ended = past.finished_at
    duration = None if past.started_at is None or ended is None else max(0.0, ended - past.started_at)
    return _report(job, past.worker, past.error, duration, past.started_at, ended, workflow, at, manager)


def chosen(events: Iterable[str]) -> frozenset[Hook]:
    """`events` as names of hooks.

    :raises ConfigurationError: one is none.
    """
    names = [events] if isinstance(events, str) else list(events)
    strangers = sorted(set(names).difference(HOOKS))
    if strangers:
        raise ConfigurationError(f"monitors have no event {strangers[0]!r}; there are: {', '.join(HOOKS)}")
    return frozenset(hook for hook in HOOKS if hook in names)


def _report(
    job: Job,
    worker: str | None,
    error: str | None,
    duration: float | None,
    started_at: float | None,
    finished_at: float | None,
    workflow: str | None,
    at: float,
    manager: str,
) -> JobReport:
    return JobReport(
        id=job.id,
        queue=job.queue,
        task=job.task,
        state=job.state,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        failures=job.failures,
        error=_error(error),
        duration=duration,
        worker=worker,
        workflow=workflow,
        run=job.id if job.is_run else job.run,
        node=job.node,
        parent=job.parent,
        schedule=job.schedule,
        tick=job.tick,
        created_at=job.created_at,
        run_at=job.run_at,
        started_at=started_at,
        finished_at=finished_at,
        at=at,
        manager=manager,
    )


def _error(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeError):
        return {"type": "Unreadable", "message": "the error cannot be read", "traceback": ""}
