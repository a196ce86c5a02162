"""What every way of running a job can do."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from easyjobs.executors.ran import Ran
from easyjobs.tasks.context import JobContext
from easyjobs.tasks.decorator import BoundTask


class Executor(Protocol):
    """A way to run jobs."""

    async def run(
        self,
        task: BoundTask[Any, Any],
        args: msgspec.Raw | bytes,
        kwargs: msgspec.Raw | bytes,
        context: JobContext,
        timeout: float | None = None,
    ) -> Ran:
        """Run one attempt, inside an asyncio task of its own; returns when it has ended, or was abandoned.

        :param args: JSON array, `kwargs`: JSON object. `timeout`: seconds from its start.

        Nothing that the task does makes it raise. To stop it early call `context.request_cancel()`; when the asyncio
        task itself is cancelled, the attempt ends as failed with `CancelledError`.
        """

    async def close(self) -> None:
        """Give up what it holds; runs that go on are left to themselves. May be called twice."""
