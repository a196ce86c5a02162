"""What the API says, as data: the shapes of its answers, and how rows of the hub become them.

The OpenAPI page is made from these very classes. Arguments, results and errors stay raw JSON from the store to the
wire.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw

from easyjobs.core.groups import shown_progress
from easyjobs.core.job import Attempt, AttemptEnd, Job, LogLine
from easyjobs.core.states import State
from easyjobs.hub.queries import QueueView, Stats, TaskView, WorkerState, WorkerView
from easyjobs.stores.base import Pause

Time = Annotated[datetime.datetime, Meta(tz=True, description="RFC 3339, UTC.")]
Json = Annotated[Raw, Meta(description="Any JSON value.")]
Cursor = Annotated[str, Meta(description="Give it back as `cursor` for the page that follows.")]

NULL = Raw(b"null")


class JobOut(msgspec.Struct, frozen=True):
    """A job. `attempt` counts its runs; `error` is that of the last run that failed, `{type, message, traceback}`."""

    id: str
    queue: str
    task: str
    state: State
    priority: int
    args: Json
    kwargs: Json
    attempt: int
    max_attempts: Annotated[int, Meta(description="Failures that end it; 0: no number does.")]
    run_at: Time
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    worker: str | None
    result: Json
    error: Json
    parent: str | None
    run: Annotated[str, Meta(description="The run of a workflow that it is part of.")] | None
    key: str | None
    progress: Annotated[Raw, Meta(description="`{value, note}` or null.")]
    schedule: Annotated[str, Meta(description="The schedule that made it.")] | None
    tick: Annotated[Time, Meta(description="The time at which that was due.")] | None
    node: Annotated[str, Meta(description="What it is called in its `run`.")] | None


class JobPage(msgspec.Struct, frozen=True):
    """Jobs, newest first."""

    items: list[JobOut]
    next: Cursor | None


class JobList(msgspec.Struct, frozen=True):
    """The jobs that were made, in the order of the request."""

    items: list[JobOut]


class ResultOut(msgspec.Struct, frozen=True):
    """How far a job is, and its result or error when it has ended."""

    id: str
    state: State
    result: Json
    error: Json


class AttemptOut(msgspec.Struct, frozen=True):
    """One run of a job; `end` is null while it lasts."""

    attempt: int
    worker: str | None
    started_at: Time | None
    finished_at: Time | None
    end: AttemptEnd | None
    error: Json


class AttemptList(msgspec.Struct, frozen=True):
    """The runs of a job, oldest first."""

    items: list[AttemptOut]


class LogOut(msgspec.Struct, frozen=True):
    """One line that a job wrote; `n` grows. A line of level `gap` says that some were left out, and how many."""

    n: int
    attempt: int
    time: Time
    level: str
    text: str


class LogPage(msgspec.Struct, frozen=True):
    """Lines of a job, oldest first; `next` is the `after` of the page that follows."""

    items: list[LogOut]
    next: int | None


class EndOut(msgspec.Struct, frozen=True):
    """How a job that was followed has ended."""

    id: str
    state: State
    error: Json


class PausedOut(msgspec.Struct, frozen=True):
    """By whom and since when something is paused."""

    by: str
    at: Time


class TaskOut(msgspec.Struct, frozen=True):
    """A task that some worker offers or once offered. `parameters` is the JSON Schema of its arguments."""

    queue: str
    name: str
    doc: str
    kind: Literal["async", "thread", "process", "script", "workflow"]
    parameters: dict[str, Any]
    returns: dict[str, Any]
    options: dict[str, Any]
    available: Annotated[bool, Meta(description="Whether a worker offers it now.")]
    workers: int
    seen_at: Time
    paused: PausedOut | None


class TaskList(msgspec.Struct, frozen=True):
    """All known tasks."""

    items: list[TaskOut]
    next: None = None


class QueueOut(msgspec.Struct, frozen=True):
    """A queue and how many of its jobs are in each live state."""

    name: str
    paused: PausedOut | None
    waiting: int
    queued: int
    running: int
    retry: int
    workers: int
    tasks: int


class QueueList(msgspec.Struct, frozen=True):
    """All known queues."""

    items: list[QueueOut]
    next: None = None


class WorkerOut(msgspec.Struct, frozen=True):
    """A worker process. `blocked` names the task that keeps its loop from turning."""

    id: str
    name: str
    host: str
    pid: int | None
    version: str
    state: WorkerState
    queues: list[str]
    slots: int
    running: int
    parked: Annotated[int, Meta(description="Jobs that await other jobs and have given their slots away.")]
    blocked: str | None
    barred_until: Annotated[Time, Meta(description="All it did lately failed: until then it gets nothing.")] | None
    started_at: Time
    seen_at: Time
    paused: PausedOut | None


class WorkerList(msgspec.Struct, frozen=True):
    """The workers that are connected, that went a moment ago, or that are away and paused."""

    items: list[WorkerOut]
    next: None = None


class StatsOut(msgspec.Struct, frozen=True):
    """The manager in numbers. `uptime` is in seconds; `counters` count since it started."""

    jobs: Annotated[dict[str, int], Meta(description="How many jobs of each state are stored.")]
    workers: int
    slots: int
    running: int
    uptime: float
    counters: dict[str, int]
    store: str
    paused: Annotated[PausedOut, Meta(description="All workers are paused.")] | None


class PauseOut(msgspec.Struct, frozen=True):
    """What was paused or resumed. The name of a task is `queue:task`."""

    kind: Literal["queue", "task", "worker", "workers", "schedule"]
    name: str
    paused: bool


class HealthOut(msgspec.Struct, frozen=True):
    """The manager lives, or is ready."""

    status: str


def job_out(job: Job) -> JobOut:
    """A job as the API shows it."""
    return JobOut(
        job.id,
        job.queue,
        job.task,
        job.state,
        job.priority,
        raw(job.args),
        raw(job.kwargs),
        job.attempt,
        job.max_attempts,
        time(job.run_at),
        time(job.created_at),
        maybe_time(job.started_at),
        maybe_time(job.finished_at),
        job.worker,
        raw(job.result),
        raw(job.error),
        job.parent,
        job.run,
        job.key,
        raw(shown_progress(job)),
        job.schedule,
        maybe_time(job.tick),
        job.node,
    )


def result_out(job: Job) -> ResultOut:
    """The end of a job, as far as it has come."""
    return ResultOut(job.id, job.state, raw(job.result), raw(job.error))


def attempt_out(attempt: Attempt) -> AttemptOut:
    """One run of a job."""
    begun, ended = maybe_time(attempt.started_at), maybe_time(attempt.finished_at)
    return AttemptOut(attempt.attempt, attempt.worker, begun, ended, attempt.end, raw(attempt.error))


def log_out(line: LogLine) -> LogOut:
    """One line of a job."""
    return LogOut(line.n, line.attempt, time(line.at), line.level, line.text)


def task_out(view: TaskView) -> TaskOut:
    """A task."""
    spec = view.spec
    return TaskOut(
        spec.queue,
        spec.name,
        spec.doc,
        spec.kind,
        spec.signature.schema(),
        spec.signature.returns,
        msgspec.structs.asdict(spec.options),
        view.available,
        view.workers,
        time(view.seen_at),
        paused_out(view.paused),
    )


def queue_out(view: QueueView) -> QueueOut:
    """A queue."""
    return QueueOut(
        view.name,
        paused_out(view.paused),
        view.waiting,
        view.queued,
        view.running,
        view.retry,
        view.workers,
        view.tasks,
    )


def worker_out(view: WorkerView) -> WorkerOut:
    """A worker."""
    return WorkerOut(
        view.id,
        view.name,
        view.host,
        view.pid,
        view.version,
        view.state,
        view.queues,
        view.slots,
        view.running,
        view.parked,
        view.blocked,
        maybe_time(view.barred_until),
        time(view.started_at),
        time(view.seen_at),
        paused_out(view.paused),
    )


def stats_out(stats: Stats) -> StatsOut:
    """The manager in numbers."""
    jobs = {str(state): n for state, n in stats.jobs.items()}
    return StatsOut(
        jobs,
        stats.workers,
        stats.slots,
        stats.running,
        stats.uptime,
        dict(stats.counters),
        stats.store,
        paused_out(stats.paused),
    )


def paused_out(pause: Pause | None) -> PausedOut | None:
    """By whom and since when."""
    return None if pause is None else PausedOut(pause.by, time(pause.at))


def time(seconds: float) -> datetime.datetime:
    """Seconds since 1970 as a date; what lies beyond the year 9999 is shown as its end."""
    return datetime.datetime.fromtimestamp(min(max(seconds, 0.0), 253_402_300_799.0), datetime.UTC)


def maybe_time(seconds: float | None) -> datetime.datetime | None:
    """As `time`, for what may not have happened."""
    return None if seconds is None else time(seconds)


def raw(text: str | None) -> Raw:
    """JSON text that goes out as it stands."""
    return NULL if text is None else Raw(text.encode())
