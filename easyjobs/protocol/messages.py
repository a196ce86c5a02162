"""What manager, worker, client and child say to each other; docs/protocol.md is generated from these docstrings.

A frame is a JSON array of messages; each message is an object whose `t` names it. `args`, `kwargs` and `result` stay
raw JSON from door to door. Unknown fields are ignored, unknown messages refused.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from easyjobs.core.task import TaskSpec

PROTOCOL = 1

EMPTY_LIST = msgspec.Raw(b"[]")
EMPTY_OBJECT = msgspec.Raw(b"{}")
NULL = msgspec.Raw(b"null")

Role = Literal["worker", "watchdog", "client", "child"]


class Held(msgspec.Struct, array_like=True, frozen=True):
    """An attempt that the speaker has in hand."""

    job: str
    attempt: int
    token: str


class Outcome(msgspec.Struct, omit_defaults=True):
    """How an attempt ended. `end`: completed (with `result`), failed (with `error`), stopped (it was cancelled) or
    returned (unblamed, with `reason`).

    `error` is a raw object `{type, message, traceback}`; `final` forbids another run, `delay` asks for one in so many
    seconds.
    """

    job: str
    attempt: int
    token: str
    end: Literal["completed", "failed", "stopped", "returned"] = "completed"
    result: msgspec.Raw = NULL
    error: msgspec.Raw = NULL
    final: bool = False
    delay: float | None = None
    reason: str = ""


class Submission(msgspec.Struct, omit_defaults=True):
    """A job to be. Its sender chooses the `id` (a UUID, version 7 for choice), so that sending it again is safe.

    `delay` (seconds) or `run_at` (seconds since 1970) put it off; `wait` asks for its result as soon as it ends.
    """

    id: str
    queue: str
    task: str
    args: msgspec.Raw = EMPTY_LIST
    kwargs: msgspec.Raw = EMPTY_OBJECT
    priority: int | None = None
    delay: float | None = None
    run_at: float | None = None
    timeout: float | None = None
    start_deadline: float | None = None
    retries: int | None = None
    key: str | None = None
    parent: str | None = None
    wait: bool = False


class Assignment(msgspec.Struct, omit_defaults=True):
    """An attempt to make. `isolate`: alone in a child process where that is possible; an earlier one took its worker
    with it.
    """

    job: str
    attempt: int
    token: str
    queue: str
    task: str
    args: msgspec.Raw = EMPTY_LIST
    kwargs: msgspec.Raw = EMPTY_OBJECT
    timeout: float | None = None
    max_attempts: int = 1
    failures: int = 0
    isolate: bool = False


class Ended(msgspec.Struct, omit_defaults=True):
    """The end of a job that was awaited."""

    id: str
    state: Literal["completed", "failed", "cancelled", "skipped"] = "completed"
    result: msgspec.Raw = NULL
    error: msgspec.Raw = NULL


class Verdict(msgspec.Struct, array_like=True, frozen=True):
    """What to do with a held attempt after a reconnect: keep it, abandon it (it is another's, or over), or done (its
    outcome is recorded).
    """

    job: str
    attempt: int
    verdict: Literal["keep", "abandon", "done"]


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the manager will take, and its times, in bytes and seconds."""

    frame: int = 1_310_720
    arguments: int = 262_144
    result: int = 1_048_576
    traceback: int = 65_536
    log_line: int = 8_192
    logs: int = 1_048_576
    depth: int = 64
    heartbeat: float = 5.0
    lease: float = 30.0
    silence: float = 30.0


# -- said by workers, watchdogs, children and clients


class Hello(msgspec.Struct, tag_field="t", tag="hello", omit_defaults=True):
    """The first message of every connection. `held` and `unacked` are what a worker brings along from before.

    `session` is the one that the process was welcomed to last; a process that was never welcomed names none, and what
    another one held under its `worker_id` died with that one. `life` is a random word of the process's own, and
    `number` counts its hellos, from 1: one that arrives after a later one of the same life is refused. Among lives, and
    without one, the connection that was opened last counts. A watchdog gives the worker's own `worker_id`; it opens no
    session of its own.
    """

    protocol: int
    role: Role
    worker_id: str = ""
    name: str = ""
    host: str = ""
    pid: int = 0
    system: str = ""
    units: int | None = None
    version: str = ""
    queues: list[str] = []
    tasks: list[TaskSpec] = []
    slots: int = 0
    held: list[Held] = []
    unacked: list[Outcome] = []
    embedded: bool = False
    session: str = ""
    life: str = ""
    number: int = 0


class Register(msgspec.Struct, tag_field="t", tag="register"):
    """Tasks that were declared since."""

    tasks: list[TaskSpec]


class Started(msgspec.Struct, tag_field="t", tag="started"):
    """Assignments that arrived and are not finished yet; `finished`, or a heartbeat that names them, says the same.

    A worker that has not said either after a fifth of a heartbeat says this.
    """

    jobs: list[Held]


class Finished(msgspec.Struct, tag_field="t", tag="finished"):
    """Outcomes; sent again after each reconnect until they are acknowledged."""

    outcomes: list[Outcome]


class Progress(msgspec.Struct, tag_field="t", tag="progress"):
    """How far an attempt is: `value` 0 to 1, or None; `note` for people."""

    job: str
    attempt: int
    token: str
    value: float | None = None
    note: str = ""


class Log(msgspec.Struct, tag_field="t", tag="log", omit_defaults=True):
    """Lines of an attempt, each (time, level, text).

    `first` is the number of the first of them, where the speaker counts its lines of the attempt, from 1, those that it
    leaves out too. Then they are answered by `logged`, and may be said again after a reconnect without being kept
    twice. `drop`: the lines from one number to another, sent before, need not be kept any more.
    """

    job: str
    attempt: int
    token: str
    lines: list[tuple[float, str, str]]
    first: int = 0
    drop: tuple[int, int] | None = None


class Heartbeat(msgspec.Struct, tag_field="t", tag="heartbeat", omit_defaults=True):
    """I live and hold these; `blocked` names the task that blocks the worker's loop. Renews the lease of just those."""

    held: list[Held] = []
    blocked: str | None = None


class Credit(msgspec.Struct, tag_field="t", tag="credit"):
    """How many held attempts await other jobs and leave their slots to others, now; and how many slots there are."""

    parked: int
    slots: int


class Toggle(msgspec.Struct, tag_field="t", tag="toggle"):
    """Pause me: give me nothing new until I say otherwise, through restarts of either side; or undo that. Answered by
    `toggled`; said again after a reconnect until it is.
    """

    pause: bool


class Submit(msgspec.Struct, tag_field="t", tag="submit"):
    """Jobs to be, each judged alone; with `together`, all of them or none. Answered by `accepted` and `refused`."""

    jobs: list[Submission]
    together: bool = False


class Await(msgspec.Struct, tag_field="t", tag="await"):
    """Tell me the end of these jobs; answered by `result`, at once where they have ended."""

    ids: list[str]


class Forget(msgspec.Struct, tag_field="t", tag="forget"):
    """Nobody waits for these any more."""

    ids: list[str]


class CancelJobs(msgspec.Struct, tag_field="t", tag="cancel_jobs"):
    """Cancel these jobs, whoever runs them."""

    ids: list[str]


class Goodbye(msgspec.Struct, tag_field="t", tag="goodbye"):
    """I leave for good and hold nothing."""


# -- said by the manager


class Welcome(msgspec.Struct, tag_field="t", tag="welcome", omit_defaults=True):
    """The answer to `hello`. Attempts without a verdict of `keep` are not the worker's any more."""

    session: str = ""
    epoch: int = 0
    limits: Limits = Limits()
    verdicts: list[Verdict] = []
    paused: bool = False


class Assign(msgspec.Struct, tag_field="t", tag="assign"):
    """Attempts to make; acknowledged by `started` or `finished` within 10 s."""

    jobs: list[Assignment]


class Ack(msgspec.Struct, tag_field="t", tag="ack", omit_defaults=True):
    """Outcomes that need not be sent again: recorded now, recorded before, or of no account."""

    applied: list[str] = []
    duplicate: list[str] = []
    stale: list[str] = []


class Logged(msgspec.Struct, tag_field="t", tag="logged"):
    """Lines that are stored: (job, attempt, number of the last), for each `log` whose lines were numbered."""

    jobs: list[tuple[str, int, int]]


class Accepted(msgspec.Struct, tag_field="t", tag="accepted", omit_defaults=True):
    """Submissions that are durable. `instead`: (id sent, id of the job that its key or uniqueness already has)."""

    ids: list[str] = []
    instead: list[tuple[str, str]] = []


class Refusal(msgspec.Struct, tag_field="t", tag="refused", omit_defaults=True):
    """Submissions (or an `await`) that were refused, with the problem as HTTP would show it."""

    ids: list[str]
    status: int
    title: str
    detail: str
    errors: msgspec.Raw = EMPTY_LIST


class Result(msgspec.Struct, tag_field="t", tag="result"):
    """The ends of awaited jobs."""

    jobs: list[Ended]


class Cancel(msgspec.Struct, tag_field="t", tag="cancel"):
    """Stop these attempts; each is answered by its outcome."""

    jobs: list[Held]


class Withdraw(msgspec.Struct, tag_field="t", tag="withdraw"):
    """Drop these attempts without a word: they are another's, or over."""

    jobs: list[Held]


class PauseWork(msgspec.Struct, tag_field="t", tag="pause"):
    """You will get nothing new until `resume`; go on with what you have."""


class ResumeWork(msgspec.Struct, tag_field="t", tag="resume"):
    """You will get work again."""


class Toggled(msgspec.Struct, tag_field="t", tag="toggled"):
    """The worker's own pause is stored, or removed. It may still be held by another pause."""

    pause: bool


class Drain(msgspec.Struct, tag_field="t", tag="drain"):
    """The manager stops: keep working, expect the connection to close, come back."""


class Ping(msgspec.Struct, tag_field="t", tag="ping"):
    """I live. Sent where nothing else was for a heartbeat's time, by either side; no answer is due."""


FromPeer: TypeAlias = (
    Hello
    | Register
    | Started
    | Finished
    | Progress
    | Log
    | Heartbeat
    | Credit
    | Toggle
    | Submit
    | Await
    | Forget
    | CancelJobs
    | Goodbye
    | Ping
)
FromManager: TypeAlias = (
    Welcome
    | Assign
    | Ack
    | Logged
    | Accepted
    | Refusal
    | Result
    | Cancel
    | Withdraw
    | PauseWork
    | ResumeWork
    | Toggled
    | Drain
    | Ping
)
