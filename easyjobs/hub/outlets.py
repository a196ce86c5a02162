"""What the committer may set going after a commit."""

from __future__ import annotations

from typing import Protocol

from easyjobs.core.job import Job
from easyjobs.hub.entries import Word


class Outlets(Protocol):
    """Called after the commit that makes each of them true; none waits or raises."""

    def assign(self, jobs: list[Job], *, from_store: bool) -> None:
        """These run now: send each to its worker. `from_store`: their texts were read and not yet judged."""

    def cancel(self, job: Job) -> None:
        """A running job got its cancel flag: tell its worker."""

    def expect_end(self, job: Job, now: float) -> None:
        """A job with a timeout runs: its worker's word about it may become overdue."""

    def withdraw(self, job: Job) -> None:
        """A worker's attempt was ended without its word: tell it to drop it."""

    def abandoned(self, job: Job) -> None:
        """A job was cancelled while it waited for others."""

    def due(self, at: float) -> None:
        """A job becomes ready at `at`, or has become so."""

    def stale(self, word: Word, job: Job) -> None:
        """A word came too late and changed nothing: keep it for the job's history."""

    def doubt(self) -> None:
        """The store failed: what this manager believes may be wrong."""
