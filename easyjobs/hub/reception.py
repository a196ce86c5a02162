"""Welcoming workers: their session, their tasks, and what is to become of what they bring along."""

from __future__ import annotations

import msgspec

from easyjobs.core.changes import PutSession, PutTask, Write
from easyjobs.core.events import NeverStarted
from easyjobs.core.job import Session
from easyjobs.core.task import TaskSpec, is_name
from easyjobs.errors import ProtocolError, StoreError
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.committer import Committer
from easyjobs.hub.connections import Connection
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.entries import Chore, Word
from easyjobs.hub.roster import Live, Roster
from easyjobs.hub.settings import HubSettings
from easyjobs.ids import Ids
from easyjobs.protocol.manager_side import BROKEN, REPLACED
from easyjobs.protocol.messages import Held, Hello, Verdict, Welcome
from easyjobs.stores.base import Store

MOST_SLOTS = 100_000


class Reception:
    """Opens and renews sessions."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        catalog: Catalog,
        dispatcher: Dispatcher,
        committer: Committer,
        ids: Ids,
        settings: HubSettings,
        instance: str,
    ) -> None:
        self._store = store
        self._roster = roster
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._committer = committer
        self._ids = ids
        self._settings = settings
        self._instance = instance

    async def welcome(self, connection: Connection, hello: Hello) -> Live | None:
        """Give a worker its session and tell it what to do with each attempt that it holds.

        The newest connection of a worker_id wins; an older one is closed. None when the connection went meanwhile.
        """
        check_tasks(hello.tasks)
        live = await self._session(hello)
        if connection.closed():
            return None
        if live.voice is not None and live.voice is not connection:
            live.voice.close(REPLACED, "a newer connection of this worker_id came")
        now = self._store.now()
        live.voice = connection
        live.leaving = False
        live.blocked = None
        live.parked = 0
        live.slots = live.row.slots
        live.grace_until = None
        live.seen_at = now
        live.lease_until = now + self._settings.lease
        live.unconfirmed.clear()
        self.register(live, hello.tasks, fresh=True)
        verdicts = await self._verdicts(live, hello.held)
        if connection.closed():
            return None
        brought = {held.job for held in hello.held} | {outcome.job for outcome in hello.unacked}
        for job in list(live.held.values()):
            if job.id not in brought:
                # it was sent, or claimed, while no socket carried it
                self._committer.add(Word(job.id, NeverStarted(job.attempt, job.token or "")))
        connection.welcome(
            Welcome(
                session=live.row.id,
                epoch=live.row.epoch,
                limits=self._settings.told(),
                verdicts=verdicts,
                paused=("worker", live.row.worker_id) in self._dispatcher.pauses,
            )
        )
        self._committer.poke()
        return live

    def register(self, live: Live, tasks: list[TaskSpec], *, fresh: bool = False) -> None:
        """The worker offers these tasks; `fresh`: and no others."""
        now = self._store.now()
        news: list[Write] = [PutTask(spec, now) for spec in tasks if self._catalog.add(spec, now)]
        if news:
            self._committer.add(Chore(news))
        lanes = frozenset(spec.lane for spec in tasks)
        live.lanes = lanes if fresh else live.lanes | lanes
        if news:
            self._roster.changed()
        self._committer.poke()

    async def _session(self, hello: Hello) -> Live:
        """The worker's session, durable and of a new epoch."""
        while True:
            now = self._store.now()
            live = self._roster.of_worker(hello.worker_id)
            row = Session(
                id=live.row.id if live else self._ids.job_id(now),
                worker_id=hello.worker_id,
                name=hello.name[:128] or hello.worker_id,
                host=hello.host[:255],
                epoch=live.row.epoch + 1 if live else 1,
                state="live",
                started_at=live.row.started_at if live else now,
                expires_at=now + self._settings.lease,
                queues=msgspec.json.encode(hello.queues).decode(),
                slots=max(0, min(MOST_SLOTS, hello.slots)),
                embedded=self._instance if hello.embedded else None,
                pid=hello.pid,
                version=hello.version[:64],
            )
            stale = await self._committer.chore(Chore([PutSession(row)]))
            if stale is None:
                current = self._roster.of_worker(hello.worker_id)
                if current is not None and current.row.id == row.id:
                    current.row = row
                    current.queues = hello.queues
                    return current
                if live is None:
                    live = Live(row, hello.queues, now, self._settings.lease)
                    self._roster.add(live)
                    return live
                continue  # it was lost while the commit ran: its jobs went elsewhere, it begins anew
            if live is not None and self._roster.of_worker(hello.worker_id) is live and live.row.epoch < row.epoch:
                self._roster.remove(live)

    async def _verdicts(self, live: Live, held: list[Held]) -> list[Verdict]:
        unknown = [h.job for h in held if h.job not in self._roster.running]
        try:
            rows = await self._store.jobs(unknown) if unknown else {}
        except StoreError:
            rows = {}  # then nothing is known of them: a worker that goes on with what is not its own harms nothing
        verdicts = []
        for h in held:
            job = self._roster.running.get(h.job) or rows.get(h.job)
            same = job is not None and job.attempt == h.attempt and job.token == h.token
            if same and job is not None and job.state == "running" and job.session == live.row.id:
                live.held[job.id] = job
                verdicts.append(Verdict(h.job, h.attempt, "keep"))
            else:
                verdicts.append(Verdict(h.job, h.attempt, "done" if same else "abandon"))
        return verdicts


def check_tasks(tasks: list[TaskSpec]) -> None:
    """:raises ProtocolError: a task or queue has a name that none may have."""
    for spec in tasks:
        for name in (spec.queue, spec.name):
            if not is_name(name):
                raise ProtocolError(f"{name[:40]!r} cannot name a queue or task", BROKEN)
