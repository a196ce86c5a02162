"""The engine room: the parts of a manager, put together, started and stopped in order. Knows nothing of HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from easyjobs.background import Nursery
from easyjobs.clock import Clock, SystemClock
from easyjobs.core.job import Job
from easyjobs.core.states import FINAL, WAITING
from easyjobs.core.task import TaskSpec
from easyjobs.hub.alerts import Alerts
from easyjobs.hub.announcer import Announcer
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.chains import Chains
from easyjobs.hub.committer import Committer
from easyjobs.hub.connections import Connection, Transport
from easyjobs.hub.control import Control, Submitted
from easyjobs.hub.delivery import Delivery
from easyjobs.hub.desk import Desk
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.explain import Explainer
from easyjobs.hub.fitting import Fitting
from easyjobs.hub.following import Following
from easyjobs.hub.judge import Judge
from easyjobs.hub.kin import Kin, Kinship, Tree
from easyjobs.hub.lead import Duty, Lead
from easyjobs.hub.outlook import Outlook
from easyjobs.hub.pausing import PauseKind, Pausing
from easyjobs.hub.queries import Queries
from easyjobs.hub.reception import Reception
from easyjobs.hub.recovery import Recovery
from easyjobs.hub.requests import Requests
from easyjobs.hub.retirement import Retirement
from easyjobs.hub.roster import Roster
from easyjobs.hub.runs import Runs
from easyjobs.hub.scheduling import Scheduling
from easyjobs.hub.services.periodic import Periodic
from easyjobs.hub.services.planner import Planner
from easyjobs.hub.services.promoter import Deadlines, Promoter
from easyjobs.hub.services.pruner import Pruner
from easyjobs.hub.services.rescuer import Overdue, Rescuer
from easyjobs.hub.services.sweeper import Sweeper
from easyjobs.hub.services.turns import Turns
from easyjobs.hub.settings import HubSettings
from easyjobs.hub.sharing import Sharing
from easyjobs.hub.submission import Admission
from easyjobs.hub.takeover import take_over
from easyjobs.hub.telling import Telling
from easyjobs.hub.turning import Turning
from easyjobs.ids import Ids
from easyjobs.protocol.messages import Drain, Held, Submission
from easyjobs.stores.base import Store

log = logging.getLogger("easyjobs.hub")

SHUT = 1012
FAREWELL = 2.0  # seconds for what monitors were not told yet


class Hub:
    """One manager's engine. Make it inside the event loop, `start` it once, `stop` it once."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock | None = None,
        ids: Ids | None = None,
        settings: HubSettings | None = None,
        monitors: Sequence[Any] = (),
    ) -> None:
        self.store = store
        self.settings = settings or HubSettings()
        self.limits = self.settings.limits
        self.counters: Counter[str] = Counter()
        self._clock = clock or SystemClock()
        self._ids = ids or Ids()
        self._instance = self._ids.job_id(self._clock.wall())
        self._nursery = Nursery("hub")
        self._state = "new"
        self._corridor: asyncio.Task[None] | None = None
        self.alerts = Alerts(store.now)
        self.leaving: Callable[[], bool] = lambda: False  # the server was told to stop, which it tells us later
        self.catalog = Catalog()
        self.roster = Roster()
        self.dispatcher = Dispatcher(self.roster, self.catalog, self._ids, self.settings)
        self.admission = Admission(self.catalog, self.settings)
        self.announcer = Announcer(self.admission.depth, self.counters, self.settings.warn_depth)
        self.delivery = Delivery(self.roster, self.settings, store.now)
        chains = Chains(self.catalog, self._ids, self.limits)
        turning = Turning(self.catalog, chains, self.limits)
        judge = Judge(
            self.roster,
            self.catalog,
            chains,
            self.dispatcher,
            self.announcer,
            self.delivery,
            self._ids,
            self.counters,
            turning,
        )
        recovery = Recovery(store, self.roster, self.dispatcher, self.announcer, self.delivery)
        self.committer = Committer(store, judge, self.delivery, recovery, self.settings, self.counters)
        self.queries = Queries(store, self.roster, self.catalog, self.dispatcher, self.counters)
        self.following = Following(store, self.announcer, self._leaves)
        self.fitting = Fitting(store, self.roster, self.catalog, self.settings)
        self.kinship = Kinship(store)
        self.runs = Runs(store, self.catalog)
        self.explainer = Explainer(store, self.roster, self.catalog, self.dispatcher, self._trouble, self.settings)
        self.control = Control(store, self.catalog, self.admission, self.committer, self.queries)
        self.lead = Lead(store, self._instance, self.settings.leads)
        self.scheduling = Scheduling(
            store,
            self.catalog,
            self.admission,
            self.committer,
            self.control,
            self.dispatcher,
            self.announcer,
            self.alerts,
            self._ids,
            self.settings,
            self.lead,
        )
        self.schedules = self.scheduling.schedules
        self.pausing = Pausing(store, self.committer, self.dispatcher, self.roster, self.catalog)
        self.rescuer = Rescuer(store, self.roster, self.committer, self.settings, self._leaves)
        self._reception = reception = Reception(
            store,
            self.roster,
            self.catalog,
            self.dispatcher,
            self.committer,
            self.delivery,
            self.rescuer,
            self._ids,
            self.settings,
            self._instance,
        )
        reception.registered = self.scheduling.registered
        self._retirement = Retirement(store, self.roster, self.catalog, self.committer)
        requests = Requests(store, self.admission, self.committer, self.announcer, self._nursery)
        telling = Telling(self.roster, self.committer, self.announcer, self.settings, self.counters)
        self.outlook = Outlook(
            store,
            self.roster,
            self.catalog,
            self.dispatcher,
            self.committer,
            self.announcer,
            self.alerts,
            self.lead,
            self.admission.depth,
            self._trouble,
            self.counters,
            self.settings,
            monitors,
        )
        self.desk = Desk(
            store,
            self.roster,
            self.committer,
            reception,
            requests,
            telling,
            self.outlook.breaker,
            self.pausing,
            self._nursery,
            self.settings,
            self.counters,
        )
        self._overdue = Overdue(self.roster, self.committer, self.settings)
        self._rescue = Periodic(self.rescuer, store.now)
        self._promote = Periodic(Promoter(store, self.dispatcher, self.committer), store.now)
        self._expire = Periodic(self._overdue, store.now)
        self._plan = Periodic(Planner(store, self.catalog, self.committer), store.now)
        self.sharing = Sharing(
            store,
            self._instance,
            self.lead,
            self.roster,
            self.catalog,
            self.dispatcher,
            self.committer,
            self.announcer,
            self.delivery,
            self.pausing,
            self.scheduling,
            self._retirement,
            self.control,
            requests,
            self._ids,
            self.settings,
        )
        self.runs.learn = self.control.learn
        self._sweeper = Sweeper(store, self.committer)
        self._sweep = Periodic(self._sweeper, store.now)
        self._sweeper.wake = self._sweep.wake
        self.lead.gained.append(self._sweeper.look)
        turns = Turns(store, turning, self.committer)
        self._turn = Periodic(turns, store.now)
        turns.wake, judge.turned = self._turn.wake, turns.come
        self._sweeper.turned = turns.come
        self._others = [
            Periodic(Duty(Pruner(store, self.settings, self._retirement), self.lead), store.now),
            Periodic(Duty(Deadlines(store, self.committer), self.lead), store.now),
        ]
        self.lead.gained += [service.wake for service in self._others]  # a short life may be all that there is
        self._tie()

    def _tie(self) -> None:
        """The ends that could not be given to a constructor, because two parts know each other."""
        self.delivery.add = self.committer.add
        self.delivery.due = self._promote.wake
        self.delivery.abandoned = self._abandoned
        self.delivery.doubt = self._doubt
        self.delivery.expect_end = lambda job, now: self._expire.wake(self._overdue.expect_end(job, now))
        self.delivery.expect_stop = lambda job, now: self._expire.wake(self._overdue.expect_stop(job, now))
        self.desk.rescue = self._rescue.wake
        self.announcer.deep = self.outlook.look
        self.roster.changed = self._changed

    # -- start and stop

    async def start(self) -> None:
        """Open the store, take up what was going on, begin to work.

        :raises StoreLocked, StoreCorrupt, StoreUnavailable: as `Store.open` does.
        """
        await self.store.open()
        try:
            await self._load()
        except BaseException:
            await self.store.close()
            raise
        self._corridor = self._nursery.spawn(self.committer.run(), "committer")
        woken = [self._rescue, self._promote, self._expire, self._plan, self._sweep, self._turn]
        parts = (self.outlook, self.scheduling, self.sharing)
        for service in (*woken, *self._others, *(service for part in parts for service in part.services)):
            self._nursery.spawn(service.run(), "service")
        self.outlook.monitors.start()
        self._state = "running"
        self.committer.poke()

    async def _load(self) -> None:
        self.catalog.load(await self.store.tasks())
        counts = await self.store.counts()
        self.announcer.load(counts)
        self.catalog.awaited.update((count.queue, count.task) for count in counts if count.state == WAITING)
        pauses = await self.store.pauses()
        self.dispatcher.pauses.update({(p.kind, p.name): p for p in pauses if p.kind != "schedule"})
        await self.scheduling.load(pauses)
        self.dispatcher.ready.update(await self.store.lanes())
        await take_over(self.store, self.roster, self.committer, self.delivery, self.rescuer, self.settings)

    async def stop(self, grace: float = 25.0) -> None:
        """Give out nothing more, tell the workers, commit what has arrived, close. Takes at most `grace` seconds.

        Jobs go on in their workers, which come back to the next manager with what they hold. May be called twice.
        """
        if self._state != "running":
            self._state = "stopped"
            return
        self._state = "stopping"
        self.dispatcher.stopped = True
        self.following.stop()
        for connection in list(self.desk.connections):
            connection.send(Drain())
        drained = self._nursery.spawn(self.committer.drained(), "drain")
        until = asyncio.get_running_loop().time() + max(0.0, grace - 2.0)
        await asyncio.wait({drained}, timeout=max(0.0, grace - 2.0))
        await self.outlook.monitors.close(min(FAREWELL, until - asyncio.get_running_loop().time()))
        for connection in list(self.desk.connections):
            connection.close(SHUT, "the manager stops")
        await asyncio.sleep(0)
        await self._nursery.close(patience=1.0)
        await self.lead.resign()
        await self.store.close()
        self._state = "stopped"

    def ready(self) -> tuple[bool, str]:
        """Whether it works; if not, why."""
        if self._state != "running":
            return False, {"new": "starting", "stopping": "stopping", "stopped": "stopped"}[self._state]
        if self._corridor is not None and self._corridor.done():
            return False, "the committer crashed; see the log"
        if self.committer.trouble is not None:
            return False, f"the store fails: {self.committer.trouble}"
        return True, "ok"

    def now(self) -> float:
        """Seconds since 1970 by the store's clock."""
        return self.store.now()

    def job_id(self) -> str:
        """A fresh id for a submission that came without one."""
        return self._ids.job_id(self.store.now())

    def connect(
        self, transport: Transport, *, role_allowed: frozenset[str], by: str, attempt: Held | None = None
    ) -> Connection:
        """A socket that passed the gate; feed the connection its frames. `by` names who it is, for people; `attempt` is
        a child process's own.
        """
        connection = Connection(
            transport, self.desk, self._clock, self._nursery, self.settings, roles=role_allowed, by=by, attempt=attempt
        )
        self.desk.connections[connection] = None
        return connection

    # -- trouble

    def _doubt(self) -> None:
        """The store failed: nobody may be held dead for that."""
        self.rescuer.pardon(self.store.now())
        self.sharing.doubt()
        self.outlook.look()

    def _trouble(self) -> str | None:
        return self.committer.trouble

    def _leaves(self) -> bool:
        return self._state == "stopping" or self.leaving()

    def _changed(self) -> None:
        """Which tasks are offered may be other than before."""
        self._plan.wake()
        self.outlook.changed()

    def _abandoned(self, job: Job) -> None:
        self._sweeper.abandon(job)
        self._sweep.wake()

    # -- doors

    async def submit(self, submissions: Sequence[Submission]) -> list[Submitted]:
        """Store all submissions or none; returns when they are durable. Raises the Refused of the first bad one."""
        return await self.control.submit(list(submissions))

    async def declare(self, tasks: Sequence[TaskSpec]) -> None:
        """Make tasks known that no worker offers yet; returns when that is durable. Raises RegistrationError."""
        self._reception.declare(list(tasks))
        self._retirement.declared.update(spec.lane for spec in tasks)
        self._changed()
        await self.committer.drained()

    async def wait(self, id: str, seconds: float) -> Job:
        """The job when it has ended, or as it is after `seconds`, or when the server cancels us. Raises NotFound."""
        waiting = self._nursery.spawn(self.announcer.end_of(id, seconds), "wait")
        try:
            await asyncio.sleep(0)  # let it listen before the row is read: what ends between is then not missed
            job = await self.queries.job(id)
            if job.state in FINAL or seconds <= 0:
                return job
            try:
                return await asyncio.shield(waiting) or await self.queries.job(id)
            except asyncio.CancelledError:
                return await self.queries.job(id)  # it is stored, whatever becomes of us: that is the answer
        finally:
            waiting.cancel()

    async def cancel(self, id: str, by: str) -> Job:
        """Cancel a job; may be called again. Raises NotFound."""
        return await self.control.cancel(id, by)

    async def retry(self, id: str, by: str) -> Job:
        """Run a job that has ended again, as a new one; asked again, that same one. Raises NotFound, Conflict,
        ArgumentsRefused.
        """
        return await self.control.retry(id)

    async def delete(self, id: str) -> None:
        """Remove a job. Raises NotFound, Conflict."""
        await self.control.delete(id)

    async def pause(self, kind: PauseKind, name: str, by: str) -> None:
        """Give out nothing of a queue or task, or to one or all workers; may be called again. Raises NotFound."""
        await self.pausing.pause(kind, name, by)

    async def resume(self, kind: PauseKind, name: str, by: str) -> None:
        """Undo `pause`; may be called again. Raises NotFound."""
        await self.pausing.resume(kind, name)

    async def job(self, id: str) -> Job:
        """One job. Raises NotFound."""
        return await self.queries.job(id)

    async def kin(self, id: str) -> Kin:
        """One job with its children and what it waits for. Raises NotFound."""
        return await self.kinship.of(id)

    async def tree(self, id: str) -> Tree:
        """The whole chain that a job is part of. Raises NotFound."""
        return await self.kinship.tree(id)
