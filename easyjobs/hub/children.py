"""What a child process may say: it speaks for one attempt, and about no other."""

from __future__ import annotations

import hmac

from easyjobs.core.job import Job
from easyjobs.errors import ProtocolError, StoreError, Unavailable
from easyjobs.hub.roster import Roster
from easyjobs.protocol.manager_side import AUTH, BROKEN
from easyjobs.protocol.messages import Finished, FromPeer, Held, Hello, Log, Outcome, Progress, Submit
from easyjobs.stores.base import Store


class Children:
    """The rules for those whose credential is the token of an attempt."""

    def __init__(self, store: Store, roster: Roster) -> None:
        self._store = store
        self._roster = roster

    async def known(self, attempt: Held) -> bool:
        """Whether its token is that of the attempt that runs, or that ended last by its own word: a child whose answer
        was lost comes back for it.

        :raises Unavailable: the store failed.
        """
        row = self._roster.running.get(attempt.job)
        if row is None or not is_of(row, attempt):
            try:
                row = (await self._store.jobs([attempt.job])).get(attempt.job)
            except StoreError as error:
                raise Unavailable(f"The store failed: {error}") from None
        return row is not None and is_of(row, attempt)

    def check(self, attempt: Held, message: FromPeer) -> None:
        """Judge a message of the child of `attempt`.

        :raises ProtocolError: it is about another attempt, or makes jobs when its own is over.
        """
        if isinstance(message, (Progress, Log)):
            self._its_own(attempt, message)
        elif isinstance(message, Finished):
            for outcome in message.outcomes:
                self._its_own(attempt, outcome)
        elif isinstance(message, Hello):
            for outcome in message.unacked:
                self._its_own(attempt, outcome)
        elif isinstance(message, Submit):
            self._may_make_jobs(attempt, message)

    def _its_own(self, attempt: Held, said: Progress | Log | Outcome) -> None:
        if (said.job, said.attempt) != (attempt.job, attempt.attempt) or not _same(said.token, attempt.token):
            raise ProtocolError("a child process may speak of its own attempt only", BROKEN)

    def _may_make_jobs(self, attempt: Held, message: Submit) -> None:
        row = self._roster.running.get(attempt.job)
        if row is None or not is_of(row, attempt):
            raise ProtocolError("the attempt of this child process is over", AUTH)
        if any(job.parent not in (None, attempt.job) for job in message.jobs):
            raise ProtocolError("the jobs that a child process makes are its own job's", BROKEN)


def is_of(row: Job, attempt: Held) -> bool:
    """Whether `attempt` is the row's newest one and has its token, compared in constant time."""
    return row.attempt == attempt.attempt and row.token is not None and _same(row.token, attempt.token)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
