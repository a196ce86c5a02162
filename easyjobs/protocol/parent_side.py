"""The worker's side where attempts may run in child processes, which tell the manager their outcomes themselves."""

from __future__ import annotations

from easyjobs.protocol.messages import Held
from easyjobs.protocol.worker_side import WorkerSide


class ParentSide(WorkerSide):
    """A worker that is told of the end of some attempts instead of telling it."""

    def last_lines(self, job: str) -> bool:
        """The outcome of an attempt in hand is about to be told by its child: send all that it has logged. Whether some
        of it is not stored yet; ask again after the next frame.
        """
        book = self._logs.get(job)
        if book is None or not book.size:
            return False
        book.end()
        self._logs_due[job] = None
        return True

    def settled(self, job: str, token: str) -> None:
        """The manager has recorded the outcome of an attempt in hand. Of an attempt that is not, nothing happens."""
        held = self._held.get(job)
        if held is not None and held.token == token:
            self._withdraw([Held(job, held.attempt, token)], [])
