"""Facts that may move a job: what was said or noticed, in the past tense. `lifecycle.advance` decides what follows.

What a worker says carries the attempt and its token; a fact about another attempt than the one that is running is
stale and changes nothing.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec


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
)


def error_text(kind: str, message: str) -> str:
    """An error without a traceback, as jobs keep it: JSON text of `{type, message, traceback}`."""
    return msgspec.json.encode({"type": kind, "message": message, "traceback": ""}).decode()
