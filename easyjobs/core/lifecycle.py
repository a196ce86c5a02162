"""The one function that moves a job: `advance(job, event, ...)` says what an event does to a row, and changes nothing.

The caller turns the `Step` into a `changes.Update` (guarded by the version that was read), commits it, and only then
tells anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

import msgspec

from easyjobs.core import retry
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
    error_text,
    reason_of,
)
from easyjobs.core.job import Attempt, AttemptEnd, Job
from easyjobs.core.states import (
    CANCELLED,
    COMPLETED,
    FAILED,
    FINAL,
    QUEUED,
    RETRY,
    RUNNING,
    SKIPPED,
    WAITING,
    State,
    allowed,
)
from easyjobs.core.task import Options
from easyjobs.errors import IllegalTransition

DEFAULT_OPTIONS: Final = Options()


class Step(msgspec.Struct):
    """A move: the columns that change (always with `state`), and the attempt that it ends, if it is not on the row
    any more. `release` says that the counter the job held gets one back.
    """

    columns: dict[str, Any]
    past: Attempt | None = None
    release: bool = False

    @property
    def state(self) -> State:
        """Where the job goes."""
        state: State = self.columns["state"]
        return state


class Flag(msgspec.Struct):
    """No move: a running job gets the cancel flag, and its worker is told."""

    by: str


class Ignored(msgspec.Struct):
    """No move. `duplicate`: this very outcome is recorded already. `stale`: it speaks of another attempt.
    `settled`: the job has ended, or needs nothing.
    """

    why: Literal["duplicate", "stale", "settled"]


Decision: TypeAlias = Step | Flag | Ignored


def advance(job: Job, event: Event, now: float, options: Options = DEFAULT_OPTIONS, jitter: float = 1.0) -> Decision:
    """What `event` does to `job` at `now`.

    :param options: of the job's task, for its retries; `jitter`: 0 to 1, where in its spread a delay falls.
    :raises IllegalTransition: the rules below and the table disagree: a bug.
    """
    decision = _DECIDE[type(event)](job, event, now, options, jitter)
    if type(decision) is Step and not allowed(job.state, decision.state):
        raise IllegalTransition(f"{job.state} -> {decision.state} by {type(event).__name__} of job {job.id}")
    return decision


def _spoken(job: Job, attempt: int, token: str) -> Ignored | None:
    """None when the word is of the attempt that runs now: same attempt, same token."""
    if job.state == RUNNING and job.attempt == attempt and job.token == token:
        return None
    if job.attempt == attempt and job.token == token:
        return Ignored("duplicate")  # the token stays on the row only where the worker's own word was recorded
    return Ignored("stale")


def _completed(job: Job, event: Completed, now: float, options: Options, jitter: float) -> Decision:
    refusal = _spoken(job, event.attempt, event.token)
    if refusal is not None:
        return refusal
    columns = {"state": COMPLETED, "finished_at": now, "result": event.result}
    return Step(columns, release=job.holds is not None)


def _failed(job: Job, event: Failed, now: float, options: Options, jitter: float) -> Decision:
    refusal = _spoken(job, event.attempt, event.token)
    if refusal is not None:
        return refusal
    if job.cancel is not None:
        return _ended(job, CANCELLED, now, error=event.error)
    failures = job.failures + 1
    if event.final or not retry.may_retry(failures, job.max_attempts):
        return _ended(job, FAILED, now, error=event.error, failures=failures)
    wait = event.delay if event.delay is not None else retry.delay(failures, options, jitter)
    return _again(
        job, RETRY, now, "failed", event.error, run_at=now + wait, failures=failures, error=event.error, token=job.token
    )


def _stopped(job: Job, event: Stopped, now: float, options: Options, jitter: float) -> Decision:
    return _spoken(job, event.attempt, event.token) or _ended(job, CANCELLED, now)


def _handed_back(job: Job, event: HandedBack | NeverStarted, now: float, options: Options, jitter: float) -> Decision:
    refusal = _spoken(job, event.attempt, event.token)
    if refusal is not None:
        return refusal
    if job.cancel is not None:
        return _ended(job, CANCELLED, now)
    return _again(job, QUEUED, now, "returned", None, token=None)


def _worker_died(job: Job, event: WorkerDied, now: float, options: Options, jitter: float) -> Decision:
    refusal = _spoken(job, event.attempt, event.token)
    if refusal is not None:
        return refusal
    times = retry.crashes(job.crashed_at, now)
    columns: dict[str, Any] = {"crashes": len(times), "crashed_at": msgspec.json.encode(times).decode(), "token": None}
    if job.cancel is not None:
        return _ended(job, CANCELLED, now, **columns)
    if options.retry_policy == "never" or len(times) >= retry.MAX_CRASHES:
        often = f"; that was crash {len(times)} within 24 hours" if len(times) > 1 else ""
        return _ended(job, FAILED, now, error=error_text("WorkerDied", event.reason + often), **columns)
    return _again(job, QUEUED, now, "crashed", error_text("WorkerDied", event.reason), **columns)


def _cancel_requested(job: Job, event: CancelRequested, now: float, options: Options, jitter: float) -> Decision:
    if job.state in FINAL:
        return Ignored("settled")
    if job.state == RUNNING:
        return Flag(event.by) if job.cancel is None else Ignored("settled")
    if job.turn == "close" or (job.turn == "expand" and job.progress is not None):
        return _closing(job, event.by)
    return _ended(job, CANCELLED, now, cancel=event.by)


def _closing(job: Job, by: str) -> Decision:
    """A run that is to stop ends when its nodes have."""
    if job.cancel is not None:
        return Ignored("settled")
    return Step({"state": WAITING if job.deps_left else QUEUED, "turn": "close", "cancel": by})


def _cancel_forced(job: Job, event: CancelForced, now: float, options: Options, jitter: float) -> Decision:
    if job.state in FINAL:
        return Ignored("settled")
    return _ended(job, CANCELLED, now, cancel=job.cancel or event.by, token=None)


def _deadline_passed(job: Job, event: DeadlinePassed, now: float, options: Options, jitter: float) -> Decision:
    if job.state in FINAL or job.state == RUNNING or job.deadline is None or now < job.deadline:
        return Ignored("settled")
    return _ended(job, SKIPPED, now, error=error_text("StartDeadlinePassed", "no worker began it in time"))


def _found_unreadable(job: Job, event: FoundUnreadable, now: float, options: Options, jitter: float) -> Decision:
    if job.state in FINAL:
        return Ignored("settled")
    return _ended(job, FAILED, now, error=error_text("Unreadable", event.reason), token=None)


def _prerequisite_ended(job: Job, event: PrerequisiteEnded, now: float, options: Options, jitter: float) -> Decision:
    if job.state != WAITING:
        return Ignored("settled")
    if event.bad == "skip":
        return _ended(job, SKIPPED, now, error=_unmet(event))
    return _ended(job, FAILED, now, error=_unmet(event))


def _unmet(event: PrerequisiteEnded) -> str:
    why = reason_of(event.error)
    about = f"{event.task} (job {event.prerequisite}) had to complete first, and ended as {event.state}"
    return error_text("PrerequisiteFailed", f"{about}: {why}" if why else about)


def _task_known(job: Job, event: TaskKnown, now: float, options: Options, jitter: float) -> Decision:
    if job.state != WAITING or job.signature:
        return Ignored("settled")
    if event.fault is not None:
        return _ended(job, FAILED, now, error=event.fault, signature=event.signature)
    columns: dict[str, Any] = {field: getattr(event, field) for field in _PLANNED}
    columns.update(state=WAITING if event.prerequisites else QUEUED, deps_left=event.prerequisites)
    return Step(columns)


_PLANNED: Final = ("signature", "args", "kwargs", "priority", "max_attempts", "timeout", "deadline", "late_at", "turn")


def _checked(job: Job, event: Checked, now: float, options: Options, jitter: float) -> Decision:
    if job.state != QUEUED or job.turn != "check":
        return Ignored("settled")
    if event.fault is not None:
        return _ended(job, FAILED, now, error=event.fault)
    state = WAITING if event.prerequisites else QUEUED
    return Step({"state": state, "deps_left": event.prerequisites, "turn": None})


def _spread(job: Job, event: Spread, now: float, options: Options, jitter: float) -> Decision:
    if job.state != QUEUED or job.turn not in ("spread", "map", "expand"):
        return Ignored("settled")
    if event.fault is not None:
        return _ended(job, FAILED, now, error=event.fault)
    # a deadline is for the beginning, and this is it
    left = job.deps_left + event.members
    columns: dict[str, Any] = {"deps_left": left, "progress": event.progress, "deadline": None}
    if job.turn == "expand" and job.started_at is None:
        columns["started_at"] = now
    if not event.whole:
        return Step({"state": QUEUED, **columns})
    # with nothing to wait for it stays where a claim finds it
    columns["turn"] = "close" if job.turn == "expand" else "gather"
    if left and event.holds is not None:
        columns["holds"] = event.holds
    return Step({"state": WAITING if left else QUEUED, **columns})


def _gathered(job: Job, event: Gathered, now: float, options: Options, jitter: float) -> Decision:
    if job.state not in (WAITING, QUEUED) or job.turn not in ("gather", "close") or job.deps_left:
        return Ignored("settled")
    if event.waits:
        return Step({"state": WAITING, "deps_left": event.waits})
    if job.cancel is not None:
        return _ended(job, CANCELLED, now)
    if event.error is not None:
        return _ended(job, FAILED, now, error=event.error)
    return _ended(job, COMPLETED, now, result=event.result)


def _bound(job: Job, event: Bound, now: float, options: Options, jitter: float) -> Decision:
    if job.state != QUEUED or job.turn != "bind":
        return Ignored("settled")
    if event.fault is not None:
        return _ended(job, FAILED, now, error=event.fault)
    return Step({"state": QUEUED, "args": event.args, "kwargs": event.kwargs, "turn": event.turn})


def _ended(job: Job, state: State, now: float, **columns: Any) -> Step:
    """The job is over; its last attempt stays on the row."""
    columns.update(state=state, finished_at=now)
    return Step(columns, release=job.holds is not None and job.state in (RUNNING, WAITING))


def _again(
    job: Job,
    state: State,
    now: float,
    end: AttemptEnd,
    attempt_error: str | None,
    run_at: float | None = None,
    **columns: Any,
) -> Step:
    """The job goes back among those that wait for a worker, and the attempt into the history."""
    past = Attempt(job.id, job.attempt, job.worker, job.started_at, now, end, attempt_error)
    columns.update(
        state=state,
        # its time had come, whatever a clock that was set back says now
        run_at=min(job.run_at, now) if run_at is None else run_at,
        session=None,
        started_at=None,
        progress=None,
        holds=None,
    )
    return Step(columns, past, release=job.holds is not None)


_DECIDE: Final[dict[type[Event], Callable[..., Decision]]] = {
    Completed: _completed,
    Failed: _failed,
    Stopped: _stopped,
    HandedBack: _handed_back,
    NeverStarted: _handed_back,
    WorkerDied: _worker_died,
    CancelRequested: _cancel_requested,
    CancelForced: _cancel_forced,
    DeadlinePassed: _deadline_passed,
    FoundUnreadable: _found_unreadable,
    PrerequisiteEnded: _prerequisite_ended,
    TaskKnown: _task_known,
    Checked: _checked,
    Spread: _spread,
    Gathered: _gathered,
    Bound: _bound,
}
