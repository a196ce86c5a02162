"""One seed's story: workers that play, clients that submit, faults that strike; then healing, and everything ends."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack, suppress
from typing import Any
from unittest.mock import patch

from easyjobs.background import Nursery
from easyjobs.client import EasyJobsClient
from easyjobs.core.states import FINAL
from easyjobs.errors import ConnectionLost, JobFailed, Refused, StoreError, WaitTimeout
from easyjobs.faces import conducting
from easyjobs.hub import running
from easyjobs.tasks.handle import Call
from easyjobs.testing.loop import VirtualLoop
from easyjobs.testing.network import CALM, Node, Weather
from easyjobs.testing.simulated import SimulatedCluster
from tests.simulation.crashes import Violation
from tests.simulation.flows import AT_ONCE, ENDLESS, NARROW, PAGE, WORKFLOWS, arguments_for
from tests.simulation.ledger import Ledger
from tests.simulation.plans import EVERY, Conducted
from tests.simulation.players import CHAINS, CRAFTS, ONCE, TASKS, Players
from tests.simulation.ticks import SCHEDULES
from tests.simulation.turns import COVERED

ROUGH = Weather(reset=0.004, swallow=0.002, stall=0.002, stall_for=(0.5, 20.0))
WORKERS = ("w1", "w2", "w3")
HEAP = 10  # jobs of each craft
RUNS = 6  # of workflows
STORM = 60.0  # virtual seconds of faults
CALM_AFTER = 400.0  # and of peace, in which everything must end: two leases, the backoffs, a hung job's cancel
PATIENCE = 60.0  # until a schedule ticks: a lease, if its last job went to a worker that is silent, and what it takes


class Story:
    """A cluster, its ledger, and what happens to them."""

    def __init__(self, loop: VirtualLoop, managers: int = 1) -> None:
        self.loop = loop
        self.chance = loop.random
        self.ledger = Ledger(CHAINS, managers)
        self.players = Players(self.ledger, self.die)
        self.cluster = SimulatedCluster(loop, managers=managers, committed=self.ledger.check)
        self.nursery = Nursery("story")
        self.handed: list[str] = []

    # -- who submits

    async def produce(self, client: EasyJobsClient, jobs: int) -> None:
        """A client at work: it submits, notes what was acknowledged, awaits some, cancels some."""
        for _ in range(jobs):
            await asyncio.sleep(self.chance.expovariate(1.0))
            task, n = self.chance.choice(TASKS), self.chance.randrange(20)
            options: dict[str, Any] = {}
            if self.chance.random() < 0.15:
                options["delay"] = self.chance.uniform(0.1, 20.0)
            if self.chance.random() < 0.15:
                options["priority"] = self.chance.randrange(3)
            if self.chance.random() < 0.1:
                options["key"] = f"{task}-{n}"
            try:
                arguments: list[Any] = {"shared": [], "cover": [n, "ALL"]}.get(task, [n])
                handle = await client.submit("play", task, arguments, **options)
            except (Refused, ConnectionLost) as refusal:
                self.ledger.tell(f"not taken: {refusal}")
                continue
            self.ledger.acknowledged.add(handle.id)
            self.handed.append(handle.id)
            if handle.id not in self.cluster.rows._jobs:
                raise Violation(f"{handle.id} was acknowledged and is not stored")
            if self.chance.random() < 0.5:
                self.nursery.spawn(self.guarded(self.await_end(handle)), "await")
            if self.chance.random() < 0.1:
                await client.cancel(handle.id)

    async def run_workflows(self, client: EasyJobsClient) -> None:
        """A client that has workflows run; some runs, or jobs of them, are cancelled, and some runs are repeated."""
        for _ in range(RUNS):
            await asyncio.sleep(self.chance.expovariate(1 / 4.0))
            workflow, n = self.chance.choice(WORKFLOWS), self.chance.randrange(20)
            try:
                handle = await client.submit("play", workflow, arguments_for(workflow, n))
                if workflow == NARROW:
                    await client.submit_many([Call("play", workflow, [n]) for n in range(AT_ONCE)])
            except (Refused, ConnectionLost) as refusal:
                self.ledger.tell(f"not taken: {refusal}")
                continue
            self.ledger.acknowledged.add(handle.id)
            self.nursery.spawn(self.guarded(self.await_end(handle)), "await")
            if workflow != ENDLESS and self.chance.random() < 0.6:
                self.nursery.spawn(self.meddle(client, handle.id), "meddle")

    async def stop_the_endless(self, client: EasyJobsClient) -> None:
        """Cancel all runs that do not end otherwise, whoever was told that there are any."""
        while True:
            await asyncio.sleep(self.chance.expovariate(1 / 3.0))
            for id, job in list(self.cluster.rows._jobs.items()):
                if job.task == ENDLESS and job.cancel is None and job.state not in FINAL:
                    with suppress(Refused, ConnectionLost):
                        await client.cancel(id)

    async def meddle(self, client: EasyJobsClient, run: str) -> None:
        """Cancel a run, or one of its jobs, or repeat it when it has ended."""
        await asyncio.sleep(self.chance.expovariate(1 / 3.0))
        what = self.chance.choice(("cancel", "cancel one", "repeat", "repeat"))
        rows = self.cluster.rows._jobs
        try:
            if what == "cancel":
                await client.cancel(run)
            elif what == "cancel one":
                jobs = [id for id, job in rows.items() if job.run == run and job.state not in FINAL]
                if jobs:
                    await client.cancel(self.chance.choice(jobs))
            else:
                while rows[run].state not in FINAL:
                    await asyncio.sleep(1.0)
                manager = self.chance.choice([name for name in self.cluster.names if self.cluster.managed(name)])
                await self.cluster.managers[manager].hub.retry(run, "story")
        except (IndexError, Refused, ConnectionLost, StoreError) as refusal:
            self.ledger.tell(f"{what} of {run}: {refusal}")

    async def come_late(self) -> None:
        """After a while workers have one more task, those that work already too."""
        await asyncio.sleep(self.chance.uniform(0.0, STORM))
        self.players.late = True
        for node, worker in list(self.cluster.workers.values()):
            if node.alive:
                self.players.declare_late(worker, node)

    async def heap(self, tasks: tuple[str, ...], each: int) -> None:
        """A client that submits many jobs of some tasks at once."""
        client = self.cluster.client("heaps")
        try:
            handles = await client.submit_many([Call("play", task, [n]) for n in range(each) for task in tasks])
        except (Refused, ConnectionLost):
            return
        self.ledger.acknowledged.update(handle.id for handle in handles)

    async def await_end(self, handle: Any) -> None:
        """Await a job; what one is told must be what is stored."""
        try:
            value = await handle.result(timeout=STORM + CALM_AFTER)
        except JobFailed as failed:
            if self.cluster.rows._jobs[handle.id].state != failed.state:
                raise Violation(f"{handle.id} was told as {failed.state} before it was") from None
        except (ConnectionLost, Refused, WaitTimeout):
            return
        else:
            row = self.cluster.rows._jobs[handle.id]
            returned = self.ledger.returned.get((row.id, row.attempt)) if row.turn is None else {"jobs": len(COVERED)}
            if row.is_run:
                returned = json.loads(row.result or "")
            if row.state != "completed" or returned != value:
                raise Violation(f"{handle.id} was told as completed with {value!r} while it is {row.state}")

    # -- the faults

    def die(self, node: Node) -> None:
        """A job ends its worker's process; somebody starts another one."""
        if self.cluster.workers.get(node.name, (None,))[0] is node:
            self.cluster.kill_worker(node.name)
            self.revive_later(self.chance.uniform(0.1, 12.0), node.name)

    async def strike(self) -> None:
        """Faults, at random moments, until the storm is over."""
        until = self.loop.time() + STORM
        while self.loop.time() < until:
            await asyncio.sleep(self.chance.expovariate(1 / 6.0))
            self.judge()
            fault = self.chance.choice(
                (
                    "kill worker",
                    "kill worker",
                    "kill manager",
                    "crash in commit",
                    "cut",
                    "half open",
                    "store",
                    "clock",
                    "reset",
                    "forsake",
                    "no disk",
                )
            )
            self.ledger.tell(f"{self.loop.time():.2f} {fault}")
            worker = self.chance.choice(WORKERS)
            manager = self.chance.choice(self.cluster.names)
            store = self.cluster.managers[manager].store
            if fault == "kill worker":
                if worker in self.cluster.workers:
                    self.cluster.kill_worker(worker, silent=self.chance.random() < 0.3)
                self.revive_later(self.chance.uniform(0.1, 12.0), worker)
            elif fault == "kill manager":
                self.cluster.kill_manager(manager, silent=self.chance.random() < 0.3)
            elif fault == "crash in commit":
                store.crash_in = self.chance.randrange(1, 6)
            elif fault == "cut":
                one_way = self.chance.random() < 0.3
                self.cluster.network.cut(worker, manager, self.chance.choice((1.0, 5.0, 30.0, 45.0)), one_way=one_way)
            elif fault == "half open":
                ends = (worker, manager) if self.chance.random() < 0.5 else (manager, worker)
                self.cluster.network.half_open(*ends)
            elif fault == "store":
                store.chance = self.chance.choice((0.0, 0.0, 0.05, 0.3))
            elif fault == "clock":
                seconds = self.chance.choice((-30.0, -5.0, 5.0, 3600.0))
                self.ledger.set_back += max(0.0, -seconds)
                self.ledger.turns.leaps += max(0.0, seconds)
                self.cluster.clock.jump(seconds)
            elif fault == "reset":
                self.cluster.network.reset(worker, manager)
            elif fault == "forsake":
                for name in self.cluster.names:
                    self.cluster.network.reset(worker, name)
                self.cluster.network.forsake(worker, self.chance.uniform(0.5, 9.0))
            elif fault == "no disk":
                self.players.failing.add(worker)
                self.loop.call_later(self.chance.uniform(5.0, 25.0), self.players.failing.discard, worker)
                self.nursery.spawn(self.guarded(self.heap(CRAFTS, HEAP)), "heap")

    async def keep_managed(self, name: str) -> None:
        """Whoever restarts a manager that died."""
        while True:
            if not self.cluster.managed(name):
                await asyncio.sleep(self.chance.uniform(0.05, 4.0))
                self.ledger.crashes.new_manager()
                await self.cluster.start_manager(name)
            await asyncio.sleep(0.5)

    async def revive(self, worker: str) -> None:
        """Start a worker again under its old worker_id."""
        if worker not in self.cluster.workers:
            await self.cluster.start_worker(worker, self.players.declare, slots=self.chance.randrange(1, 5))

    def revive_later(self, seconds: float, worker: str) -> None:
        """Somebody starts a worker again after a while."""

        async def wait() -> None:
            await asyncio.sleep(seconds)
            await self.revive(worker)

        self.nursery.spawn(wait(), "revive")

    async def guarded(self, coroutine: Any) -> None:
        """Remember a violation that a background coroutine found."""
        try:
            await coroutine
        except Violation as violation:
            self.ledger.broken.append(violation)

    # -- the whole

    async def play(self) -> None:
        """The story. Raises Violation where something did not hold."""
        with ExitStack() as patches:
            for where, what in ONCE.items():
                patches.enter_context(patch(where, what))
            patches.enter_context(patch.object(running, "PAGE", PAGE))
            patches.enter_context(patch.object(running, "LIVE_AT_ONCE", PAGE))
            patches.enter_context(patch.object(conducting, "EVERY", EVERY))
            await self._play()

    async def _play(self) -> None:
        for name in self.cluster.names:
            await self.cluster.start_manager(name)
            self.nursery.spawn(self.keep_managed(name), "keeper")
        for worker in WORKERS:
            await self.cluster.start_worker(worker, self.players.declare, slots=self.chance.randrange(1, 5))
        clients = [self.cluster.client("c1"), self.cluster.client("c2")]
        await asyncio.sleep(1.0)
        self.cluster.network.weather = ROUGH if self.chance.random() < 0.5 else CALM
        work = [self.nursery.spawn(self.guarded(self.produce(client, 20)), "client") for client in clients]
        work.append(self.nursery.spawn(self.guarded(self.run_workflows(self.cluster.client("c3"))), "client"))
        self.nursery.spawn(self.stop_the_endless(self.cluster.client("c4")), "stop")
        self.nursery.spawn(self.come_late(), "late")
        plan = Conducted("plan", self.cluster, self.ledger, self.chance)
        if self.chance.random() < 0.5:
            work.append(self.nursery.spawn(self.guarded(plan.play()), "plan"))
        await self.heap(("limited",), 2 * self.ledger.limit)
        await self.strike()
        self.heal()
        plan.in_peace = True
        await asyncio.wait(work, timeout=CALM_AFTER)
        self.judge()
        await self.converge()
        await self.tick_on()
        self.judge()

    def heal(self) -> None:
        """End all faults; whoever is dead comes back."""
        self.ledger.tell(f"{self.loop.time():.2f} heal")
        self.cluster.network.heal()
        self.players.failing.clear()
        self.mend_stores()
        for worker in WORKERS:
            self.revive_later(1.0, worker)

    def mend_stores(self) -> None:
        """They fail no more, of whichever manager."""
        for manager in self.cluster.managers.values():
            manager.store.chance, manager.store.crash_in = 0.0, None

    async def converge(self) -> None:
        """In peace every job must end; those that schedules make meanwhile need not have.

        :raises Violation: some did not.
        """
        rows = self.cluster.rows._jobs
        ticking = {id for id, job in rows.items() if job.schedule is not None}
        until = self.loop.time() + CALM_AFTER
        while self.loop.time() < until:
            self.mend_stores()
            if all(job.state in FINAL for id, job in rows.items() if job.schedule is None or id in ticking):
                return
            await asyncio.sleep(2.0)
        raise Violation(f"in peace these did not end: {self.ledger.unfinished()}")

    async def tick_on(self) -> None:
        """In peace schedules go on, whatever there was before: when a clock that was set back is where it had been.

        :raises Violation: one does not.
        """
        ticks = self.ledger.ticks.last
        before = dict(ticks)
        until = self.loop.time() + PATIENCE + self.ledger.set_back
        silent = set(SCHEDULES)
        while silent:
            if self.loop.time() >= until:
                raise Violation(f"in peace these do not tick: {sorted(silent)}")
            await asyncio.sleep(2.0)
            silent = {name for name in silent if ticks.get(name, 0.0) <= before.get(name, 0.0)}

    def judge(self) -> None:
        """What background coroutines found, and what no counter may have counted.

        :raises Violation: the first of it.
        """
        if self.ledger.broken:
            raise self.ledger.broken[0]
        for name, (node, worker) in self.cluster.workers.items():
            if node.alive and worker.replaced:
                raise Violation(f"{name} lives, and was told that another one came")
        for manager in self.cluster.managers.values():
            if manager.hub.counters["illegal"]:
                raise Violation("an illegal transition was asked for")
            if manager.hub.counters["bugs"]:
                raise Violation("the committer tripped over a mistake")
