"""One attempt in a worker's hands: the job as its task sees it, and what the runner notes of it."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from easyjobs.protocol.messages import Assignment
from easyjobs.tasks.context import JobContext, Reporter
from easyjobs.tasks.decorator import BoundTask


class Keeper(Reporter, Protocol):
    """Who has the slots."""

    def park(self, run: Run) -> None:
        """`run` awaits a job; its slot is free for others until `unpark`. May be nested."""

    async def unpark(self, run: Run) -> None:
        """`run` awaits one job less; with the last one, wait for a slot."""


class Run(JobContext):
    """One attempt in hand, as its task sees it and as the runner keeps it. `_waits` counts the jobs it awaits now."""

    __slots__ = (
        "_alone",
        "_assignment",
        "_begun",
        "_bound",
        "_child",
        "_handed_back",
        "_over",
        "_runner",
        "_started",
        "_waits",
    )

    def __init__(self, assignment: Assignment, bound: BoundTask[Any, Any], runner: Keeper) -> None:
        super().__init__(
            assignment.job,
            assignment.queue,
            assignment.task,
            assignment.attempt,
            assignment.max_attempts,
            runner,
            token=assignment.token,
        )
        self._assignment = assignment
        self._bound = bound
        self._runner = runner
        self._begun = False
        self._child = bound.child is not None  # it runs in a process of its own
        self._alone = False  # it runs here, with no other job beside it
        self._waits = 0
        self._handed_back = False
        self._over = False
        self._started: asyncio.Task[None] | None = None

    def parked(self) -> AbstractAsyncContextManager[None]:
        """As `JobContext.parked`; may be nested."""
        return _Parked(self)


class _Parked:
    __slots__ = ("_run",)

    def __init__(self, run: Run) -> None:
        self._run = run

    async def __aenter__(self) -> None:
        self._run._runner.park(self._run)

    async def __aexit__(self, *error: object) -> None:
        await self._run._runner.unpark(self._run)
