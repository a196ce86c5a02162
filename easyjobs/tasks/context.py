"""What a task knows of the job it runs in: `current_job()`, and its logging captured with the job."""

from __future__ import annotations

import logging
import math
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import ContextVar, Token
from typing import Literal, Protocol, get_args

from easyjobs.errors import NoCurrentJob
from easyjobs.tasks.safely import text_of

Level = Literal["debug", "info", "warning", "error", "critical"]
LEVELS: frozenset[str] = frozenset(get_args(Level))

# Our own words, and those of the libraries that carry them, would come back as lines about lines.
NOT_CAPTURED = ("easyjobs", "websockets", "asyncio")


class Reporter(Protocol):
    """Where a job's log lines and progress go: the worker. Both are called from task threads too, and hold these up for
    a moment where the loop cannot keep pace; on the loop itself they never wait.
    """

    def log(self, job_id: str, level: str, text: str) -> None:
        """Keep a line of a running job. May hold several lines of text; the receiver cuts it to its limits."""

    def progress(self, job_id: str, value: float | None, note: str) -> None:
        """Show how far a running job is: `value` from 0 to 1, or None."""


class JobContext:
    """The job that is running here, as its task sees it. Made by the worker, one for each attempt.

    `park` gives the job's slot to others for as long as its context manager is open. `token` is the attempt's secret.
    """

    __slots__ = (
        "_callbacks",
        "_cancelled",
        "_heard",
        "_park",
        "_reporter",
        "_stop",
        "_token",
        "attempt",
        "id",
        "max_attempts",
        "queue",
        "task",
    )

    def __init__(
        self,
        id: str,
        queue: str,
        task: str,
        attempt: int,
        max_attempts: int,
        reporter: Reporter,
        *,
        token: str = "",
        park: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> None:
        self.id = id
        self.queue = queue
        self.task = task
        self.attempt = attempt
        self.max_attempts = max_attempts
        self._reporter = reporter
        self._token = token
        self._park = park
        self._cancelled = False
        self._heard = False
        self._stop: Callable[[], None] | None = None
        self._callbacks: list[Callable[[], object]] = []

    @property
    def cancelled(self) -> bool:
        """Whether the job should stop: somebody cancelled it, or its time is over. May be read from any thread.

        A function that has read True here is taken at its word when it returns: the job ends as cancelled (or as
        timed out), whatever it returns.
        """
        if self._cancelled:
            self._heard = True
        return self._cancelled

    def log(self, text: str, level: Level = "info") -> None:
        """Add a line to the job's log, readable while it runs. From any thread.

        :raises ValueError: an unknown level.
        """
        if level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(get_args(Level))}, not {level!r}")
        self._reporter.log(self.id, level, str(text))

    def progress(self, value: float | None, note: str = "") -> None:
        """Show how far the job is: `value` from 0 to 1 (None: unknown), `note` for people. From any thread.

        :raises ValueError: `value` is outside 0 to 1, or not a number.
        """
        if value is not None:
            try:
                value = float(value)
            except (TypeError, ValueError, OverflowError):
                value = math.nan
            if not 0.0 <= value <= 1.0:
                raise ValueError("progress must be a number from 0 to 1, or None")
        self._reporter.progress(self.id, value, str(note))

    def when_cancelled(self, callback: Callable[[], object]) -> None:
        """Have `callback` called once, in a thread of its own, when the job is asked to stop; at once, if it has been.
        From any thread. What it raises is logged.
        """
        self._callbacks.append(callback)
        if self._cancelled:
            self._call_back()

    def _call_back(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            threading.Thread(target=callback, name=f"{self.task} is to stop", daemon=True).start()

    def parked(self) -> AbstractAsyncContextManager[None]:
        """`async with job.parked():` gives the job's slot to others inside; leaving waits until it has one again.

        Whoever awaits another job on behalf of this one uses it. May be nested and repeated as the worker allows.
        """
        return self._park()

    def tell_to_stop(self) -> None:
        """Let the running function know that it is to stop. On the loop's thread; may be repeated."""
        self._cancelled = True
        self._call_back()

    def request_cancel(self) -> None:
        """Ask the running function to stop (the executor sees to the rest). On the loop's thread; may be repeated."""
        self.tell_to_stop()
        if self._stop is not None:
            self._stop()

    def __repr__(self) -> str:
        return f"<JobContext {self.queue}:{self.task} {self.id} attempt {self.attempt}>"


_current: ContextVar[JobContext | None] = ContextVar("easyjobs_current_job", default=None)


def current_job() -> JobContext:
    """The job in which this code runs, in coroutines and in task threads alike.

    :raises NoCurrentJob: it runs in none (a LookupError too).
    """
    job = _current.get()
    if job is None:
        raise NoCurrentJob("current_job() was called outside of a job; a task run by .local() or directly has none")
    return job


def current_job_or_none() -> JobContext | None:
    """The job in which this code runs, or None."""
    return _current.get()


def enter(job: JobContext) -> Token[JobContext | None]:
    """Make `job` the current one of this context. For executors; undo with `leave`."""
    return _current.set(job)


def leave(token: Token[JobContext | None]) -> None:
    """Undo `enter`, once."""
    try:
        _current.reset(token)
    except ValueError:
        return  # the garbage collector closes a forgotten run from within another's context, which must stay as it is


class CaptureHandler(logging.Handler):
    """Sends what the stdlib's logging says inside a job to that job's log too. Other handlers get all they got before.

    One handler serves the process: `install` puts it on the root logger, the last `remove` takes it off. While it is
    there, a root logger that nobody configured (no handlers, level WARNING) lets INFO through, so that
    `log.info(...)` in a task is seen in the job's log.

    `beside_output` is for a process whose output becomes lines of the job too: then nothing is taken that another
    handler writes there, and nothing written there that is taken.
    """

    _installed: CaptureHandler | None = None
    _users = 0
    _raised = False
    beside_output = False

    @classmethod
    def install(cls) -> None:
        """Begin to capture. Each call wants its own `remove`."""
        cls._users += 1
        if cls._installed is None:
            root = logging.getLogger()
            cls._raised = not root.handlers and root.level == logging.WARNING
            if cls._raised:
                root.setLevel(logging.INFO)
            cls._installed = cls()
            root.addHandler(cls._installed)

    @classmethod
    def remove(cls) -> None:
        """End what one `install` began; surplus calls do nothing."""
        cls._users = max(0, cls._users - 1)
        if cls._users == 0 and cls._installed is not None:
            root = logging.getLogger()
            root.removeHandler(cls._installed)
            cls._installed = None
            if cls._raised and root.level == logging.INFO:
                root.setLevel(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Route one record. Never raises."""
        job = _current.get()
        if job is None or record.name.partition(".")[0] in NOT_CAPTURED:
            self._speak_for_the_silent(record)
            return
        if not self.beside_output:
            self._speak_for_the_silent(record)
        elif any(_is_output(handler, record) for handler in self._others(record)):
            return
        level = record.levelname.lower()
        text = text_of(lambda: self.format(record), "a log record that cannot be formatted")
        job._reporter.log(job.id, level if level in LEVELS else "info", text)

    def _speak_for_the_silent(self, record: logging.LogRecord) -> None:
        """Print warnings of a process that configured no logging, as the stdlib does where no handler is."""
        last_resort = logging.lastResort
        if last_resort is None or record.levelno < last_resort.level:
            return
        if not any(True for _ in self._others(record)):
            last_resort.handle(record)

    def _others(self, record: logging.LogRecord) -> Iterator[logging.Handler]:
        """The other handlers that get a record."""
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None:
            yield from (handler for handler in logger.handlers if handler is not self)
            logger = logger.parent if logger.propagate else None


def _is_output(handler: logging.Handler, record: logging.LogRecord) -> bool:
    """Whether a handler writes a record to the standard output or error of this process."""
    stream = handler.stream if isinstance(handler, logging.StreamHandler) else None
    return record.levelno >= handler.level and stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
