"""Submissions, waits and cancels that come over a socket, from clients and from tasks alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import msgspec

from easyjobs.background import Nursery
from easyjobs.core.events import CancelRequested
from easyjobs.core.job import Job
from easyjobs.core.states import FINAL
from easyjobs.errors import NotFound, Refused, StoreError, Unavailable
from easyjobs.hub.announcer import Announcer
from easyjobs.hub.committer import Committer
from easyjobs.hub.connections import Connection
from easyjobs.hub.entries import Arrival, Word
from easyjobs.hub.submission import Admission
from easyjobs.protocol.messages import Accepted, Held, Refusal, Submit
from easyjobs.stores.base import Store


class Requests:
    """Acts on `submit`, `await`, `forget` and `cancel_jobs` of any connection."""

    def __init__(
        self, store: Store, admission: Admission, committer: Committer, announcer: Announcer, nursery: Nursery
    ) -> None:
        self._store = store
        self._admission = admission
        self._committer = committer
        self._announcer = announcer
        self._nursery = nursery
        self.learn: Callable[[], Awaitable[None]] | None = None
        """Where there are other managers: takes in the tasks that were registered there."""
        self.joined: Callable[[Held, Iterable[str]], None] = lambda attempt, ids: None
        """Is told which jobs of others stand in for those that the child process of an attempt wanted to make."""

    def submit(self, connection: Connection, message: Submit) -> None:
        """Judge each job; store what passes; answer after the commit."""
        if self.learn is not None and any(not self._admission.knows(job) for job in message.jobs):
            self._nursery.spawn(self._submit_later(connection, message, self.learn), "submit")
        else:
            self._submit(connection, message)

    async def _submit_later(
        self, connection: Connection, message: Submit, learn: Callable[[], Awaitable[None]]
    ) -> None:
        """A task that is not known here may have been registered at another manager a moment ago."""
        try:
            await learn()
        except StoreError as error:
            self.refuse(connection, [job.id for job in message.jobs], Unavailable(f"The store failed: {error}"))
        else:
            self._submit(connection, message)

    def _submit(self, connection: Connection, message: Submit) -> None:
        now = self._store.now()
        jobs: list[Job] = []
        waits: set[str] = set()
        # the id that a child process sends may be that of another's job, whose end is none of its business
        early = connection.attempt is None
        for submission in message.jobs:
            try:
                job = self._admission.admit(submission, now)
            except Refused as why:
                if message.together:
                    self.forget(connection, waits)
                    self.refuse(connection, [s.id for s in message.jobs], why)
                    return
                self.refuse(connection, [submission.id], why)
                continue
            jobs.append(job)
            if submission.wait:
                waits.add(job.id)
                if early:
                    connection.awaited.add(job.id)
                    self._announcer.wait(job.id, connection.ended)
        if jobs:
            self._committer.add(
                Arrival(jobs, message.together, lambda arrival: self._answer(connection, arrival, waits))
            )

    def _answer(self, connection: Connection, arrival: Arrival, waits: set[str]) -> None:
        if waits and connection.attempt is not None and not connection.closed():
            self.wait(connection, list(waits.difference(arrival.refused, arrival.instead)))
        if not arrival.refused and not arrival.instead:
            connection.send(Accepted([job.id for job in arrival.jobs]), 40 * len(arrival.jobs))
            return
        taken = [job.id for job in arrival.jobs if job.id not in arrival.refused and job.id not in arrival.instead]
        instead = [(id, job.id) for id, job in arrival.instead.items()]
        if taken or instead:
            connection.send(Accepted(taken, instead), 40 * len(taken) + 80 * len(instead))
        if instead and connection.attempt is not None:
            self.joined(connection.attempt, (other for _, other in instead))
        for id, why in arrival.refused.items():
            self.refuse(connection, [id], why)
        if connection.closed():
            return  # its waits are forgotten already
        for id in waits.intersection(arrival.refused):
            self._forget(connection, id)
        elsewhere = [arrival.instead[id].id for id in waits.intersection(arrival.instead)]
        for id in waits.intersection(arrival.instead):
            if arrival.instead[id].id != id:
                self._forget(connection, id)
        if elsewhere:
            self.wait(connection, elsewhere)

    def wait(self, connection: Connection, ids: list[str]) -> None:
        """Tell the connection the end of each job, at once where it has ended."""
        for id in ids:
            connection.awaited.add(id)
            self._announcer.wait(id, connection.ended)
        self._nursery.spawn(self._look(connection, ids), "await")

    async def _look(self, connection: Connection, ids: list[str]) -> None:
        """Those that ended before they were awaited; the announcer has the others."""
        try:
            rows = await self._store.jobs(ids)
        except StoreError as error:
            self.forget(connection, ids)
            self.refuse(connection, ids, Unavailable(f"The store failed: {error}"))
            return
        for id in ids:
            row = rows.get(id)
            if row is None:
                self._forget(connection, id)
                self.refuse(connection, [id], unknown(id))
            elif row.state in FINAL and id in connection.awaited:
                self._announcer.forget(id, connection.ended)
                connection.ended(row)

    def forget(self, connection: Connection, ids: Iterable[str]) -> None:
        """The connection waits for these no more."""
        for id in list(ids):
            self._forget(connection, id)

    def _forget(self, connection: Connection, id: str) -> None:
        connection.awaited.discard(id)
        self._announcer.forget(id, connection.ended)

    def cancel(self, connection: Connection, ids: list[str]) -> None:
        """Ask that jobs stop; unknown ones and those that have ended are passed over."""
        for id in ids:
            self._committer.add(Word(id, CancelRequested(connection.by)))

    def refuse(self, connection: Connection, ids: list[str], why: Refused) -> None:
        """Tell the connection why these were not made, or are not awaited."""
        errors = msgspec.Raw(msgspec.json.encode(why.errors))
        weight = 200 + 40 * len(ids) + len(why.detail) + memoryview(errors).nbytes
        connection.send(Refusal(ids, why.status, why.title, why.detail, errors), weight)


def unknown(id: str) -> NotFound:
    """What is said of a job that is not there, or not there for who asks."""
    return NotFound(f"No job {id[:64]!r}.")
