"""Facts that may move a job: what was said or noticed, in the past tense. `lifecycle.advance` decides what follows.

What a worker says carries the attempt and its token; a fact about another attempt than the one that is running is
stale and changes nothing.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from easyjobs.core.job import Turn
from easyjobs.core.states import State

LONGEST_REASON: Final = 1000


class Completed(msgspec.Struct):
    """The attempt returned `result` (JSON text)."""

    attempt: int
    token: str
    result: str


class Failed(msgspec.Struct):
    """The attempt ended in an error: `error` is JSON text of `{type, message, traceback}`.

    `final` forbids another run; `delay` is the seconds the task itself asked for (None: by its backoff).
    """

    attempt: int
    token: str
    error: str
    final: bool = False
    delay: float | None = None


class Stopped(msgspec.Struct):
    """The attempt ended because it was asked to cancel."""

    attempt: int
    token: str


class HandedBack(msgspec.Struct):
    """The worker returns the attempt unblamed: it was refused, could not be delivered, or the worker stops."""

    attempt: int
    token: str
    reason: str


class NeverStarted(msgspec.Struct):
    """The manager found that the attempt never reached a worker. Blames nobody."""

    attempt: int
    token: str


class WorkerDied(msgspec.Struct):
    """The session that held the attempt was lost. A crash, not a failure."""

    attempt: int
    token: str
    reason: str


class CancelRequested(msgspec.Struct):
    """Somebody wants the job to stop. A running one only gets the flag; its worker is told."""

    by: str


class CancelForced(msgspec.Struct):
    """A running attempt that was asked to stop is ended without its worker's word."""

    by: str


class DeadlinePassed(msgspec.Struct):
    """The job did not start in time."""


class FoundUnreadable(msgspec.Struct):
    """Its row holds what cannot be read."""

    reason: str


class PrerequisiteEnded(msgspec.Struct):
    """A job that had to complete first ended as `state`. `bad` is what its edge makes of the job that waited: fail or
    skip; `prerequisite` and `task` name it, `error` is JSON text of its own, if it had one.
    """

    prerequisite: str
    task: str
    state: State
    bad: Literal["fail", "skip"] = "fail"
    error: str | None = None


class TaskKnown(msgspec.Struct):
    """The task that a job of a chain waited for is registered now: how the job is to be called and run.

    `prerequisites` are made with this event; `fault` says (JSON text of an error) that the arguments do not bind.
    """

    signature: str
    args: str
    kwargs: str
    priority: int = 0
    max_attempts: int = 1
    timeout: float | None = None
    deadline: float | None = None
    prerequisites: int = 0
    turn: Turn | None = None
    fault: str | None = None
    late_at: float | None = None


class Checked(msgspec.Struct):
    """The turn came of a job that depends on others: so many `prerequisites` were not fresh, and it waits for them.

    `fault` says (JSON text of an error) that one of them cannot be called.
    """

    prerequisites: int = 0
    fault: str | None = None


class Spread(msgspec.Struct):
    """The turn came of a group, a map or a run: so many more `members` were made for which it waits, of which it keeps
    `progress`; `whole`: the last ones, and it charges the counter that it `holds`.

    `fault` says (JSON text of an error) that they cannot be made.
    """

    members: int = 0
    progress: str | None = None
    whole: bool = True
    holds: str | None = None
    fault: str | None = None


class Gathered(msgspec.Struct):
    """All members of a group, or all nodes of a run, have ended: its `result`, or (JSON texts) the `error` of one that
    failed. `waits`: so many go on that it did not wait for, and now does.
    """

    result: str | None = None
    error: str | None = None
    waits: int = 0


class Bound(msgspec.Struct):
    """The turn came of a node that takes results of others: they are in its `args` and `kwargs` now, and `turn` is what
    comes next. `fault` says (JSON text of an error) that it cannot be called like that.
    """

    args: str = "[]"
    kwargs: str = "{}"
    turn: Turn | None = None
    fault: str | None = None


Event: TypeAlias = (
    Completed
    | Failed
    | Stopped
    | HandedBack
    | NeverStarted
    | WorkerDied
    | CancelRequested
    | CancelForced
    | DeadlinePassed
    | FoundUnreadable
    | PrerequisiteEnded
    | TaskKnown
    | Checked
    | Spread
    | Gathered
    | Bound
)


def error_text(kind: str, message: str) -> str:
    """An error without a traceback, as jobs keep it: JSON text of `{type, message, traceback}`."""
    return msgspec.json.encode({"type": kind, "message": message, "traceback": ""}).decode()


def reason_of(error: str | None) -> str:
    """An error in one line, "ValueError: no"; "" where there is none or it cannot be read."""
    try:
        told = msgspec.json.decode(error or "null")
    except (msgspec.DecodeError, UnicodeError):
        return ""
    return f"{told.get('type')}: {told.get('message')}"[:LONGEST_REASON] if type(told) is dict else ""
