"""How an attempt ended, and how a user's error becomes data."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Any, Literal

import msgspec

from easyjobs.errors import ArgumentsRefused, NoRetry, ResultRefused, Retry
from easyjobs.protocol.messages import NULL
from easyjobs.tasks.safely import cut, text_of

MESSAGE_LIMIT = 8192
FAR = 1e12  # seconds; more is no delay but a mistake
NEVER_RETRIED = (NoRetry, ResultRefused, ArgumentsRefused)


class Ran(msgspec.Struct):
    """How an attempt ended, ready to become an `Outcome`.

    `result` is set when it completed, `error` (`{type, message, traceback}`) when it failed. `final` forbids another
    run; `delay` asks for one in so many seconds. `stopped`: it was asked to cancel, and did. `recorded`: the manager
    has it already, from the child process that it ran in.
    """

    end: Literal["completed", "failed", "stopped", "recorded"]
    result: msgspec.Raw = NULL
    error: msgspec.Raw = NULL
    final: bool = False
    delay: float | None = None


def failed(error: BaseException, no_retry_on: tuple[str, ...] = (), traceback_limit: int = 65_536) -> Ran:
    """The end of an attempt that raised `error`."""
    delay = None
    if isinstance(error, Retry):
        delay = _seconds(error.delay)
    final = isinstance(error, NEVER_RETRIED) or any(
        kind.__name__ in no_retry_on or f"{kind.__module__}.{kind.__qualname__}" in no_retry_on
        for kind in type(error).__mro__
        if no_retry_on
    )
    return Ran("failed", error=described(error, traceback_limit), final=final, delay=delay)


def described(error: BaseException, traceback_limit: int = 65_536) -> msgspec.Raw:
    """`error` as JSON of `{type, message, traceback}`, whatever its own methods do; the traceback is of user code."""
    kind = type(error)
    said = text_of(lambda: str(error), "the message cannot be shown")
    trace = text_of(
        lambda: "".join(traceback.format_exception(kind, error, _from_user_code(error.__traceback__))),
        "the traceback cannot be shown",
    )
    return msgspec.Raw(
        msgspec.json.encode(
            {
                "type": text_of(lambda: kind.__name__, "unnamed"),
                "message": cut(said, MESSAGE_LIMIT),
                "traceback": cut(trace, traceback_limit),
            }
        )
    )


def _from_user_code(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback below our own frames; None when no user code took part."""
    while trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).startswith("easyjobs."):
        trace = trace.tb_next
    return trace


def _seconds(delay: Any) -> float | None:
    """A delay that a task asked for; what is none (None, NaN, text, the past) leaves it to the task's backoff."""
    if isinstance(delay, (int, float)) and 0 <= delay < FAR:
        return float(delay)
    return None
