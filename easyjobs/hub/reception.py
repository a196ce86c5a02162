"""Welcoming workers: their session, their tasks, and what is to become of what they bring along."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from easyjobs.core import freshness
from easyjobs.core.chain import TaskName, check, check_graphs
from easyjobs.core.changes import LoseSession, PutSession, PutTask, Renew, Write
from easyjobs.core.events import NeverStarted, WorkerDied
from easyjobs.core.job import Job, Lane, Session
from easyjobs.core.states import RUNNING
from easyjobs.core.task import Options, TaskSpec, is_name
from easyjobs.core.workflow import Graph
from easyjobs.errors import ProtocolError, StoreError
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.committer import Committer
from easyjobs.hub.connections import Connection
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.entries import Chore, Word
from easyjobs.hub.outlets import Outlets
from easyjobs.hub.roster import Live, Roster
from easyjobs.hub.schedules import judge_declared
from easyjobs.hub.services.rescuer import Rescuer
from easyjobs.hub.settings import HubSettings
from easyjobs.ids import Ids
from easyjobs.protocol.manager_side import BROKEN, REPLACED, SLOW
from easyjobs.protocol.messages import Held, Hello, Verdict, Welcome
from easyjobs.stores.base import Store

MOST_SLOTS = 100_000
MOST_UNITS = 2**53
LONGEST_LIFE = 64
HIGHEST_PID = 2**31 - 1


class Reception:
    """Opens and renews sessions."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        catalog: Catalog,
        dispatcher: Dispatcher,
        committer: Committer,
        outlets: Outlets,
        rescuer: Rescuer,
        ids: Ids,
        settings: HubSettings,
        instance: str,
    ) -> None:
        self._store = store
        self._roster = roster
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._committer = committer
        self._outlets = outlets
        self._rescuer = rescuer
        self._ids = ids
        self._settings = settings
        self._instance = instance
        self.registered: Callable[[Iterable[TaskSpec]], None] = lambda specs: None

    async def welcome(self, connection: Connection, hello: Hello) -> Live | None:
        """Give a worker its session and tell it what to do with each attempt that it holds.

        The newest connection of a worker_id wins; an older one is closed. None when the connection went meanwhile.

        :raises ProtocolError: this one is the older: a hello may arrive after its speaker has left the connection.
        :raises ProtocolError, RegistrationError: a task that it offers cannot be.
        """
        opened_at = connection.opened_at
        known = self._roster.of_worker(hello.worker_id) or await self._elsewhere(hello.worker_id)
        self._refuse_late(hello, opened_at, known)
        came_back = known is not None and known.row.id == hello.session
        self._learn(hello.worker_id, hello.tasks, known.row.started_at if known and came_back else None)
        rows = await self._unknown(hello.held)
        live = await self._session(hello, opened_at)
        brought = {(h.job, h.attempt) for h in hello.held} | {(o.job, o.attempt) for o in hello.unacked}
        if live.held and not came_back:
            await self._bury(live, brought)  # durable before the newcomer has a session, and would seem to come back
        # nothing is awaited from here on: from the moment it has a voice, the worker may be given jobs
        if connection.closed():
            return None
        self._refuse_late(hello, opened_at, live)
        if live.voice is not None:
            live.voice.close(REPLACED, "a newer connection of this worker_id came")
        now = self._store.now()
        connection.session = live.row.id
        live.voice = connection
        live.leaving = False
        live.blocked = None
        live.parked = 0
        live.slots = live.row.slots
        live.grace_until = None
        live.spared_until = 0.0
        live.seen_at = now
        live.lease_until = now + self._settings.lease
        live.unconfirmed.clear()
        self._offer(live, self._lanes(hello.tasks))
        verdicts = self._verdicts(live, hello.held, rows)
        for job in list(live.held.values()):
            if (job.id, job.attempt) not in brought:
                # it was sent, or claimed, while no socket carried it
                del live.held[job.id]
                self._committer.add(Word(job.id, NeverStarted(job.attempt, job.token or "")))
        connection.welcome(
            Welcome(
                session=live.row.id,
                epoch=live.row.epoch,
                limits=self._settings.told(),
                verdicts=verdicts,
                paused=self._dispatcher.pause_of(live.row.worker_id) is not None,
            )
        )
        for job in live.held.values():
            if job.cancel is not None:
                self._outlets.cancel(job)  # nobody knows whether it heard of it before
        return live

    async def _bury(self, live: Live, brought: set[tuple[str, int]]) -> None:
        """Another process comes under the worker_id of one that is dead: what that one held, and this does not bring
        along, is recorded to have died.
        """
        reason = f"worker {live.row.name} died: another process came under its worker_id"
        died = [job for job in live.held.values() if (job.id, job.attempt) not in brought]
        await self._committer.words([Word(job.id, WorkerDied(job.attempt, job.token or "", reason)) for job in died])

    def declare(self, tasks: list[TaskSpec]) -> None:
        """There are these tasks, though whoever says so runs none of them. Raises as `welcome` does."""
        self._learn("", tasks, None)

    def register(self, live: Live, tasks: list[TaskSpec]) -> None:
        """The worker offers these tasks besides. Raises as `welcome` does."""
        self._learn("", tasks, live.row.started_at)
        self._offer(live, live.lanes | self._lanes(tasks))
        offers = offers_of(live.lanes)  # for other managers to see
        self._committer.add(Chore([Renew(live.row.id, live.row.epoch, live.lease_until, offers)]))

    def _learn(self, worker_id: str, tasks: list[TaskSpec], since: float | None) -> None:
        """Take in the tasks of a worker that started at `since` (None: now)."""
        for spec in tasks:
            for name in (spec.queue, spec.name):
                if not is_name(name):
                    raise ProtocolError(f"{name[:40]!r} cannot name a queue or task", BROKEN)
            known = self._catalog.by_lane(spec.lane)
            if spec.schedule is not None and (known is None or known.spec != spec):
                judge_declared(spec, spec.schedule, self._settings.limits.depth)
        self._judge_chains(worker_id, tasks)
        now = self._store.now()
        news: list[Write] = [PutTask(spec, now) for spec in tasks if self._catalog.add(spec, now, since)]
        if news:
            self._committer.add(Chore(news))
        self.registered(self._catalog.find(spec.queue, spec.name).spec for spec in tasks)

    def _judge_chains(self, worker_id: str, tasks: list[TaskSpec]) -> None:
        """Refuse chains and graphs that cannot be, over all that is offered: what nobody offers stands in no way."""
        declared = {TaskName(spec.queue, spec.name): spec for spec in tasks}
        options = {name: spec.options for name, spec in declared.items()}
        chained = [name for name, o in options.items() if o.run_before or o.run_after or o.on_failure or o.needs]
        workflows = [name for name, spec in declared.items() if spec.graph is not None]
        if not chained and not workflows:
            return
        offered = {(lane.queue, lane.task) for lane in self._roster.lanes_beside(worker_id)}

        def spec_of(name: TaskName) -> TaskSpec | None:
            if name in declared:
                return declared[name]
            entry = self._catalog.get(*name)
            return entry.spec if entry is not None and name in offered else None

        def options_of(name: TaskName) -> Options | None:
            spec = spec_of(name)
            return None if spec is None else spec.options

        def graph_of(name: TaskName) -> Graph | None:
            spec = spec_of(name)
            return None if spec is None else spec.graph

        for name in chained:
            check(name, options_of)
            freshness.check(name, options_of)
        for name in dict.fromkeys(chained + workflows):
            check_graphs(name, graph_of, options_of)

    def _lanes(self, tasks: Iterable[TaskSpec]) -> frozenset[Lane]:
        """The lanes that whoever brings these tasks takes jobs of: those that are pushed elsewhere are nobody's."""
        return frozenset(spec.lane for spec in tasks if spec.destination is None or self._settings.takes_pushed)

    def _offer(self, live: Live, lanes: frozenset[Lane]) -> None:
        if lanes != live.lanes:
            live.lanes = lanes
            self._roster.changed()
        self._committer.poke()

    async def _session(self, hello: Hello, opened_at: float) -> Live:
        """The worker's session, durable and of a new epoch. Raises as `welcome` does."""
        ahead = 1
        while True:
            now = self._store.now()
            here = self._roster.of_worker(hello.worker_id)
            live = here or await self._elsewhere(hello.worker_id)
            self._refuse_late(hello, opened_at, live)
            row = Session(
                id=live.row.id if live else self._ids.job_id(now),
                worker_id=hello.worker_id,
                name=hello.name[:128] or hello.worker_id,
                host=hello.host[:255],
                epoch=live.row.epoch + ahead if live else 1,
                state="live",
                started_at=live.row.started_at if live else now,
                expires_at=now + self._settings.lease,
                queues=msgspec.json.encode(hello.queues).decode(),
                slots=max(0, min(MOST_SLOTS, hello.slots)),
                embedded=self._instance if hello.embedded else None,
                pid=hello.pid if 0 <= hello.pid <= HIGHEST_PID else None,
                version=hello.version[:64],
                offers=offers_of(self._lanes(hello.tasks)),
                manager=self._instance,
                system=(hello.system or hello.host)[:255],
                units=hello.units if hello.units is None else max(0, min(MOST_UNITS, hello.units)),
                life=hello.life[:LONGEST_LIFE],
                hellos=max(0, min(MOST_UNITS, hello.number)),
                opened_at=opened_at,
            )
            stale = await self._committer.chore(Chore([PutSession(row)]))
            if live is not here and live is not None:
                live.row = row
                if stale is None and await self._adopt(live, hello):
                    return live
                continue  # it was lost meanwhile, or another connection was faster, here or elsewhere
            if self._roster.of_worker(hello.worker_id) is not live or (live is None and stale is not None):
                # lost while the commit ran, or another connection of a new worker was faster, or this commit was of
                # unknown outcome and is here for the second time: what was put is nobody's
                self._committer.add(Chore([LoseSession(row.id, row.epoch, now)]))
                ahead = 1
            elif live is None:
                live = Live(row, hello.queues, now, self._settings.lease)
                self._roster.add(live)
                return live
            elif stale is None:
                live.row = row
                live.queues = hello.queues
                return live
            elif live.row.epoch + ahead > row.epoch:
                ahead = 1  # another connection was faster
            elif not self._store.single_manager:
                self._roster.forget(live)  # it was at another manager meanwhile, and has jobs from there
            elif ahead == 1:
                ahead = 2  # a commit of unknown outcome may have raised it already
            else:
                self._rescuer.lose(live, now, "the store does not know its session")
                ahead = 1

    def _refuse_late(self, hello: Hello, opened_at: float, live: Live | None) -> None:
        """Raise ProtocolError where the session was given to a later hello: of the same life by its number, of another
        life by when its connection was opened. No hello comes long after that: then the clock was set back.
        """
        if live is None:
            return
        row, life = live.row, hello.life[:LONGEST_LIFE]
        if life and life == row.life:
            late = hello.number < row.hellos
        else:
            late = 0.0 < row.opened_at - opened_at <= self._settings.hello
        if late:
            raise ProtocolError("a later hello of this worker_id was welcomed already", SLOW)

    async def _elsewhere(self, worker_id: str) -> Live | None:
        """The worker's session as another manager has it, or left it."""
        if self._store.single_manager:
            return None
        rows = [row for row in await self._store.sessions() if row.worker_id == worker_id]
        if not rows:
            return None
        return Live(max(rows, key=lambda row: row.started_at), [], self._store.now(), self._settings.lease)

    async def _adopt(self, live: Live, hello: Hello) -> bool:
        """Take in a session that came from another manager, with what runs in it."""
        rows = [job for job in await self._store.running() if job.session == live.row.id]
        if self._roster.of_worker(hello.worker_id) is not None:
            return False
        now = self._store.now()
        live.queues = hello.queues
        self._roster.add(live)
        for job in rows:
            self._roster.hand_out(job, now)
            if job.timeout is not None:
                self._outlets.expect_end(job, now)
        return True

    async def _unknown(self, held: list[Held]) -> dict[str, Job]:
        """The rows of those that this manager does not know to run."""
        unknown = [h.job for h in held if h.job not in self._roster.running]
        try:
            return await self._store.jobs(unknown) if unknown else {}
        except StoreError:
            return {}  # then they are abandoned, which is always safe

    def _verdicts(self, live: Live, held: list[Held], rows: dict[str, Job]) -> list[Verdict]:
        verdicts = []
        for h in held:
            job = self._roster.running.get(h.job) or rows.get(h.job)
            same = job is not None and job.attempt == h.attempt and job.token == h.token
            if job is None or not same:
                verdicts.append(Verdict(h.job, h.attempt, "abandon"))
            elif job.state != RUNNING:
                verdicts.append(Verdict(h.job, h.attempt, "done"))
            elif job.session == live.row.id:
                live.held[job.id] = job
                verdicts.append(Verdict(h.job, h.attempt, "keep"))
            else:
                verdicts.append(Verdict(h.job, h.attempt, "abandon"))
        return verdicts


def offers_of(lanes: Iterable[Lane]) -> str:
    """What a session's row says of the lanes it takes jobs of."""
    return msgspec.json.encode(sorted(lanes)).decode()
