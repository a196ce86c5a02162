"""Every exception of easyjobs, on one page. This module imports nothing of the package.

EasyJobsError
├── ConfigurationError          a setting or an argument of a constructor is wrong; says which and what to do
├── RegistrationError           a task cannot be declared as written
├── Refused                     the manager said no; carries an HTTP status and a reason
│   ├── NotFound                404  no such task, queue, job, worker or schedule
│   ├── BadRequest              400  a request that cannot be read (not JSON, too deep, a mutated cursor)
│   ├── ArgumentsRefused        422  arguments do not bind; `errors` says where and why
│   ├── Unprocessable           422  any other value outside its range
│   ├── Conflict                409  the job's state does not allow it
│   ├── TooLarge                413  over a limit; says the limit
│   ├── TooMany                 429  the queue is full
│   ├── Unauthorized            401  no credential, or a wrong one
│   ├── Forbidden               403  a foreign origin
│   ├── Unavailable             503  the store did not answer, or the outcome of a commit is unknown
│   └── StorageFull             507  the disk is full
├── JobFailed                   a job that was awaited failed; carries its error
│   └── JobCancelled            … or was cancelled or skipped
├── WaitTimeout                 a wait ended before the job did (the job goes on)
├── ResultRefused               what a task returned is not JSON, or too large; never retried
├── ScriptFailed                what a script printed is not the result of a success
├── NoCurrentJob                `current_job()` was asked for where no job runs
├── ConnectionLost              no manager is reachable
├── ProtocolError               the other side broke docs/protocol.md
├── IllegalTransition           a bug: an event that the table in core/states.py does not allow
├── StoreError                  durable state failed
│   ├── StoreLocked             another manager holds this store
│   ├── StoreCorrupt            the store failed its check at start, or a newer version wrote it
│   ├── StoreFull               no space left
│   └── StoreUnavailable        it cannot be reached now
└── Signals, raised by tasks
├── Retry(delay)            run me again, in `delay` seconds (None: by the task's backoff)
└── NoRetry                 do not run me again
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class EasyJobsError(Exception):
    """The root: `except EasyJobsError` catches all that the package raises on purpose."""


class ConfigurationError(EasyJobsError):
    """A setting or an argument of a constructor is wrong."""


class RegistrationError(EasyJobsError):
    """A task cannot be declared as written."""


class Refused(EasyJobsError):
    """The manager said no. `status` is the HTTP status, `title` its short name, `errors` the places and reasons.

    Each error is a mapping with `loc` (a list: where), `message` (why).
    """

    status: ClassVar[int] = 400
    title: ClassVar[str] = "Refused"

    def __init__(self, detail: str, *, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)

    def __str__(self) -> str:
        more = [e for e in self.errors if str(e.get("message")) not in self.detail]
        places = "; ".join(f"{'.'.join(map(str, e.get('loc', ())))}: {e.get('message')}" for e in more)
        return f"{self.detail} ({places})" if places else self.detail


class NotFound(Refused):
    """No such task, queue, job, worker or schedule."""

    status = 404
    title = "Not found"


class BadRequest(Refused):
    """A request that cannot be read."""

    status = 400
    title = "Bad request"


class Unprocessable(Refused):
    """A value outside its range."""

    status = 422
    title = "Unprocessable"


class ArgumentsRefused(Unprocessable):
    """Arguments that do not bind to the task's parameters; `errors` says where and why."""

    title = "Wrong arguments"


class Conflict(Refused):
    """The job's state does not allow it."""

    status = 409
    title = "Conflict"


class TooLarge(Refused):
    """Over a limit; the detail says which and how much is allowed."""

    status = 413
    title = "Too large"


class TooMany(Refused):
    """The queue is full."""

    status = 429
    title = "Too many"


class Unauthorized(Refused):
    """No credential, or a wrong one."""

    status = 401
    title = "Unauthorized"


class Forbidden(Refused):
    """A request from a foreign origin."""

    status = 403
    title = "Forbidden"


class Unavailable(Refused):
    """The store did not answer, or the outcome of a commit is unknown; safe to try again with a key."""

    status = 503
    title = "Unavailable"


class StorageFull(Refused):
    """No space is left for new jobs; results still land."""

    status = 507
    title = "Storage full"


class JobFailed(EasyJobsError):
    """A job that was awaited failed. `error` is `{type, message, traceback}` as the API shows it."""

    def __init__(self, job_id: str, error: Mapping[str, Any] | None = None, state: str = "failed") -> None:
        self.job_id = job_id
        self.error = dict(error or {})
        self.state = state
        kind, message = self.error.get("type", ""), self.error.get("message", "")
        super().__init__(f"job {job_id} {state}" + (f": {kind}: {message}" if kind or message else ""))


class JobCancelled(JobFailed):
    """A job that was awaited was cancelled or skipped."""


class WaitTimeout(EasyJobsError):
    """A wait ended before the job did; the job goes on and may be awaited again."""


class ResultRefused(EasyJobsError):
    """What a task returned cannot be stored: it is not JSON, or too large. Never retried."""


class ScriptFailed(EasyJobsError):
    """A script ended with status 0, but printed no result, several, one that cannot be read, or one of no success."""


class NoCurrentJob(EasyJobsError, LookupError):
    """`current_job()` was asked for where no job runs."""


class ConnectionLost(EasyJobsError):
    """No manager is reachable."""


class ProtocolError(EasyJobsError):
    """The other side broke docs/protocol.md; `code` is the websocket close code that says so."""

    def __init__(self, message: str, code: int = 4406) -> None:
        super().__init__(message)
        self.code = code


class IllegalTransition(EasyJobsError):
    """An event that the transition table does not allow: always a bug of ours, counted and logged."""


class StoreError(EasyJobsError):
    """Durable state failed."""


class StoreLocked(StoreError):
    """Another manager holds this store."""


class StoreCorrupt(StoreError):
    """The store failed its check at start, or was written by a newer version."""


class StoreFull(StoreError):
    """No space is left."""


class StoreUnavailable(StoreError):
    """The store cannot be reached now."""


class Retry(EasyJobsError):
    """Raised by a task: run me again in `delay` seconds (None: by the task's own backoff). Counts as a failure."""

    def __init__(self, delay: float | None = None, message: str = "") -> None:
        super().__init__(message or "the task asked to run again")
        self.delay = delay


class NoRetry(EasyJobsError):
    """Raised by a task: fail now, whatever attempts are left."""
