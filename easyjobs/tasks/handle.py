"""A job as code sees it: a handle to await, and the `Caller` that can make jobs."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

R = TypeVar("R")


class Call(msgspec.Struct):
    """A job to be made, its arguments not yet encoded. `run_at` is in seconds since 1970, the others in seconds.

    `wait` says that its result will be asked for next, so that it may be sent unasked.
    """

    queue: str
    task: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}
    priority: int | None = None
    delay: float | None = None
    run_at: float | None = None
    timeout: float | None = None
    start_deadline: float | None = None
    retries: int | None = None
    key: str | None = None
    wait: bool = False


class Caller(Protocol):
    """Whoever can make jobs and await them: a worker, a client."""

    async def submit(self, calls: Sequence[Call], *, together: bool = False) -> list[JobHandle[Any]]:
        """Make jobs; returns when all are durable.

        :raises Refused: the manager refused one (the first); with `together` none was made then.
            ConnectionLost: no manager could be reached in time.
        """

    async def result(self, id: str, timeout: float | None = None) -> Any:
        """The result of a job, when it has ended. May be called again.

        :raises JobFailed, JobCancelled: it ended otherwise. WaitTimeout: `timeout` seconds passed. NotFound: no such
            job.
        """

    async def cancel(self, id: str) -> None:
        """Ask that a job stop. May be called again."""


class JobHandle(Generic[R]):
    """One job that was made. Await it for its result."""

    __slots__ = ("_caller", "id", "queue", "task")

    def __init__(self, caller: Caller, id: str, queue: str, task: str) -> None:
        self._caller = caller
        self.id = id
        self.queue = queue
        self.task = task

    async def result(self, timeout: float | None = None) -> R:
        """What the job returned. May be called again, from several places.

        :raises JobFailed: it failed (`JobCancelled`: it was cancelled or skipped). WaitTimeout: after `timeout`
            seconds; the job goes on.
        """
        value: R = await self._caller.result(self.id, timeout)
        return value

    def __await__(self) -> Generator[Any, None, R]:
        return self.result().__await__()

    async def cancel(self) -> None:
        """Ask that the job stop. May be called again."""
        await self._caller.cancel(self.id)

    def __repr__(self) -> str:
        return f"<JobHandle {self.queue}:{self.task} {self.id}>"
