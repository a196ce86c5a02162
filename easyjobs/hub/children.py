"""What a child process may say: it speaks for one attempt, and about no other."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Final

from easyjobs.background import Nursery
from easyjobs.core.job import Job
from easyjobs.core.states import RUNNING
from easyjobs.errors import ProtocolError, StoreError, Unavailable
from easyjobs.hub.connections import Connection
from easyjobs.hub.requests import Requests, unknown
from easyjobs.hub.roster import Roster
from easyjobs.protocol.manager_side import AUTH, BROKEN
from easyjobs.protocol.messages import (
    Await,
    CancelJobs,
    Finished,
    FromPeer,
    Held,
    Hello,
    Log,
    Outcome,
    Progress,
    Submit,
)
from easyjobs.stores.base import Store

Asking = Submit | Await | CancelJobs
"""What a child may say of other jobs than its own: those that it makes."""

MOST_JOINED: Final = 1000
"""Attempts that joined others' jobs, after which those that are over are looked for and forgotten."""


class Children:
    """The rules for those whose credential is the token of an attempt."""

    def __init__(self, store: Store, roster: Roster, requests: Requests, nursery: Nursery) -> None:
        self._store = store
        self._roster = roster
        self._requests = requests
        self._nursery = nursery
        self._joined: dict[str, set[str]] = {}
        requests.joined = self._join

    async def known(self, attempt: Held) -> bool:
        """Whether its token is that of the attempt that runs, or that ended last by its own word: a child whose answer
        was lost comes back for it.

        :raises Unavailable: the store failed.
        """
        row = await self._row(attempt)
        return row is not None and is_of(row, attempt)

    def check(self, attempt: Held, message: FromPeer) -> None:
        """Judge a message of the child of `attempt`.

        :raises ProtocolError: it is about another attempt.
        """
        if isinstance(message, (Progress, Log)):
            self._its_own(attempt, message)
        elif isinstance(message, Finished):
            for outcome in message.outcomes:
                self._its_own(attempt, outcome)
        elif isinstance(message, Hello):
            for outcome in message.unacked:
                self._its_own(attempt, outcome)
        elif isinstance(message, Submit) and any(job.parent not in (None, attempt.job) for job in message.jobs):
            raise ProtocolError("the jobs that a child process makes are its own job's", BROKEN)

    def ask(self, connection: Connection, attempt: Held, message: Asking) -> None:
        """Do what the child of `attempt` asks, while that runs. To it no other jobs exist than those it has made, in
        this attempt or an earlier one, and those of others that it joined instead.
        """
        row = self._roster.running.get(attempt.job)
        if isinstance(message, Submit) and row is not None and is_of(row, attempt):
            self._submit(connection, attempt, message)  # at once, so that it is stored before it is awaited
        else:
            self._nursery.spawn(self._ask(connection, attempt, message), "ask")

    async def _ask(self, connection: Connection, attempt: Held, message: Asking) -> None:
        ids = [job.id for job in message.jobs] if isinstance(message, Submit) else message.ids
        try:
            row = await self._row(attempt)
            if row is None or row.state != RUNNING or not is_of(row, attempt):
                connection.close(AUTH, "the attempt of this child process is over")
                return
            if isinstance(message, Submit):
                self._submit(connection, attempt, message)
                return
            foreign = await self._foreign(attempt, ids)
        except Unavailable as error:
            self._requests.refuse(connection, ids, error)
            return
        own = [id for id in ids if id not in foreign]
        if isinstance(message, CancelJobs):
            self._requests.cancel(connection, own)
            return
        self._requests.wait(connection, own)
        for id in foreign:
            self._requests.refuse(connection, [id], unknown(id))

    def _submit(self, connection: Connection, attempt: Held, message: Submit) -> None:
        for job in message.jobs:
            job.parent = attempt.job  # where code that knows no job, such as a thread of its own, has made it
        self._requests.submit(connection, message)

    async def _foreign(self, attempt: Held, ids: list[str]) -> set[str]:
        """Which jobs have nothing to do with the attempt's. One that is not there yet is nobody's."""
        joined = self._joined.get(attempt.job, ())
        try:
            rows = await self._store.jobs(ids)
        except StoreError as error:
            raise Unavailable(f"The store failed: {error}") from None
        return {id for id, row in rows.items() if row.parent != attempt.job and id not in joined}

    def _join(self, attempt: Held, ids: Iterable[str]) -> None:
        if len(self._joined) >= MOST_JOINED:
            self._joined = {job: ids for job, ids in self._joined.items() if job in self._roster.running}
        self._joined.setdefault(attempt.job, set()).update(ids)

    async def _row(self, attempt: Held) -> Job | None:
        """The job of an attempt: from memory where it runs there, else from the store."""
        row = self._roster.running.get(attempt.job)
        if row is None or not is_of(row, attempt):
            try:
                row = (await self._store.jobs([attempt.job])).get(attempt.job)
            except StoreError as error:
                raise Unavailable(f"The store failed: {error}") from None
        return row

    def _its_own(self, attempt: Held, said: Progress | Log | Outcome) -> None:
        if (said.job, said.attempt) != (attempt.job, attempt.attempt) or not _same(said.token, attempt.token):
            raise ProtocolError("a child process may speak of its own attempt only", BROKEN)


def is_of(row: Job, attempt: Held) -> bool:
    """Whether `attempt` is the row's newest one and has its token, compared in constant time."""
    return row.attempt == attempt.attempt and row.token is not None and _same(row.token, attempt.token)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
