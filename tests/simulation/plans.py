"""Plans of jobs, steps and scripts (`easyjobs run`), whose processes die, and which others resume."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from random import Random
from typing import Any, Final, NamedTuple, TypeVar, cast
from unittest.mock import patch

from easyjobs import EasyJobsWorker, NoRetry, current_job
from easyjobs.background import Nursery
from easyjobs.core.job import Job
from easyjobs.core.states import FINAL
from easyjobs.core.task import TaskSpec
from easyjobs.core.workflow import Graph
from easyjobs.errors import ConnectionLost, Refused, StoreError
from easyjobs.faces import taskmaster
from easyjobs.faces.conducting import Conductor, Here, Json, Progress
from easyjobs.faces.jobs_file import plan_of
from easyjobs.faces.script_events import Events, ScriptTask
from easyjobs.faces.taskmaster import FAIL, Order, host
from easyjobs.hub.hub import Hub
from easyjobs.testing.network import Node
from easyjobs.testing.simulated import SimulatedCluster
from tests.simulation.crashes import Violation
from tests.simulation.ledger import Ledger

T = TypeVar("T")

PLANS: Final = (
    [{"name": "a", "steps": ["good.py", ["good.py", "deadly.py"], "good.py"]}, {"name": "b", "steps": ["good.py"]}],
    [{"name": "a", "steps": ["good.py", ["bad.py", "good.py"], ["good.py", "good.py"], "bad.py"], "priority": 2}],
    [{"name": "a", "steps": [["deadly.py", "bad.py"], "good.py"]}, {"name": "a", "steps": ["good.py", "good.py"]}],
)
QUEUE: Final = "run-"
EVERY: Final = 4.0
"""Seconds between two looks at a run: each costs as much as some of its jobs."""

BEGUN: Final = 30.0
"""Seconds until a plan has begun, at most."""

LIVES: Final = 3
"""Runs of one plan: the first, and those that repeat it."""


class Drawn(NamedTuple):
    """A workflow that no function is the source of, as the ledger knows workflows."""

    name: str
    spec: TaskSpec
    graph: Graph


def declare_scripts(
    task: Callable[..., Any],
    said: Callable[[Any], Awaitable[Any]],
    row_of: Callable[[str], Job],
    die: Callable[[], Awaitable[None]],
) -> None:
    """Give a worker what stands for scripts. What fails in a run does not in one that repeats it."""

    @task(name="good.py", retries=0)
    async def good(*args: Any) -> Any:
        await asyncio.sleep(int(current_job().id[-1], 16) % 4)
        return await said({"said": list(args)})

    @task(name="bad.py", retries=0)
    async def bad(*args: Any) -> Any:
        run = row_of(current_job().id).run
        if run is None or row_of(run).retry_of is None:
            raise NoRetry("a bad script")
        return await said({"said": "better"})

    @task(name="deadly.py", retries=0)
    async def deadly(*args: Any) -> Any:
        if current_job().attempt == 1:
            await die()
        return await said({})


class Told:
    """The events of a run, in one process."""

    node: Node

    async def on_task_ready(self, script: ScriptTask) -> None:
        """Gives a script its arguments."""
        await self.node.gate()
        script["args"] = [script.script, len(script["parents"])]

    async def on_task_complete(self, script: ScriptTask) -> None:
        """Notes something for the children."""
        await self.node.gate()
        script["children_then"] = len(script["children"])

    async def on_task_fail(self, script: ScriptTask) -> None:
        """Takes note."""
        await self.node.gate()


class Conducted:
    """A plan and those who conduct its runs, one process after the other; they die until `in_peace`."""

    def __init__(self, name: str, cluster: SimulatedCluster, ledger: Ledger, chance: Random) -> None:
        self.name = name
        self.cluster = cluster
        self.ledger = ledger
        self.chance = chance
        self.in_peace = False
        self.nursery = Nursery("plan")

    async def play(self) -> None:
        """Conduct a run, and perhaps others that repeat it, to the end, whoever dies meanwhile. Raises Violation."""
        order = Order.fresh(plan_of(self.chance.choice(PLANS)), self.name, QUEUE + self.name, "/", "events", "play")
        spec = order.spec()
        assert spec.graph is not None
        self.ledger.runs.know([Drawn(spec.name, spec, spec.graph)])
        await asyncio.sleep(self.chance.uniform(0.0, BEGUN))
        run: str | None = None
        life = 0
        runs = 1
        while True:
            life += 1
            node, worker = self._process(f"{self.name}-{life}", order)
            conductor = Conductor(order, worker, functools.partial(self._look, node))
            conducting_it = self.nursery.spawn(self._conduct(node, worker, conductor, run), "conduct")
            dies = self.chance.random() < 0.5 and not self.in_peace
            patience = self.chance.uniform(0.5, 12.0) if dies else None
            await asyncio.wait({conducting_it}, timeout=patience)
            if not conducting_it.done():
                run = run or self._begun(order)
                self.ledger.tell(f"{node.name} dies while it conducts {run}")
                self.cluster.kill_worker(node.name, silent=self.chance.random() < 0.3)
                await asyncio.sleep(self.chance.uniform(0.5, 8.0))
                continue
            if (mistake := conducting_it.exception()) is not None:
                raise Violation(f"who conducts {run} trips: {mistake!r}") from mistake
            run, scripts = conducting_it.result()
            self._judge(order, run, scripts)
            if runs == LIVES or self.cluster.rows._jobs[run].state == "completed":
                await self._sweep(order)
                return
            self.cluster.kill_worker(node.name)
            runs += 1
            run = (await self._ask(functools.partial(Hub.retry, id=run, by="story"), 1.0)).id

    def _begun(self, order: Order) -> str | None:
        """The run that a process began, if it came so far."""
        return next(
            (id for id, job in self.cluster.rows._jobs.items() if job.queue == order.queue and job.is_run), None
        )

    async def _conduct(
        self, node: Node, worker: EasyJobsWorker, conductor: Conductor, run: str | None
    ) -> tuple[str, list[Progress]]:
        await worker.start()
        while run is None:
            try:
                run = await conductor.begin()
            except (Refused, ConnectionLost) as refusal:
                self.ledger.tell(f"not begun: {refusal}")
                await asyncio.sleep(1.0)
                run = self._begun(conductor.order)  # a person would look
        if self.chance.random() < 0.25:
            self.nursery.spawn(self._stop(run), "stop")
        while True:
            try:
                return run, (await conductor.follow(run, lambda run, scripts: None))[1]
            except (Refused, ConnectionLost) as refusal:
                self.ledger.tell(f"{node.name} could not tell a failure: {refusal}")
            await asyncio.sleep(1.0)

    async def _stop(self, run: str) -> None:
        await asyncio.sleep(self.chance.expovariate(1 / 5.0))
        with suppress(ConnectionLost):
            await self.cluster.client(f"{self.name}-stops").cancel(run)

    async def _sweep(self, order: Order) -> None:
        """What was begun and never heard of has nobody who conducts it."""
        rows = self.cluster.rows._jobs
        while live := [id for id, job in rows.items() if job.queue == order.queue and job.is_run and not job.final]:
            for id in live:
                with suppress(ConnectionLost):
                    await self.cluster.client(f"{self.name}-sweeps").cancel(id)
            await asyncio.sleep(5.0)

    async def _ask(self, what: Callable[[Hub], Coroutine[Any, Any, T]], seconds: float) -> T:
        """As over HTTP: some manager that lives, and another one where that fails or dies meanwhile."""
        while True:
            try:
                living = [name for name in self.cluster.names if self.cluster.managed(name)]
                asked = self.nursery.spawn(what(self.cluster.managers[self.chance.choice(living)].hub), "ask")
                await asyncio.wait({asked}, timeout=seconds + 5.0)
                if asked.done():
                    return cast("T", asked.result())
            except (IndexError, Refused, StoreError) as refusal:
                self.ledger.tell(f"{self.name} is told: {refusal}")
            await asyncio.sleep(1.0)

    async def _look(self, node: Node, id: str, seconds: float) -> tuple[Json, list[Json]]:
        found = await self._ask(lambda hub: Here(hub, self.nursery).look(id, seconds), seconds)
        await node.gate()
        return found

    def _process(self, name: str, order: Order) -> tuple[Node, EasyJobsWorker]:
        """One that conducts, as `easyjobs run --manager` has it."""
        ledger = self.ledger
        events = Told()

        def make(queues: list[str], *, manager_url: str, manager_secret: str, **settings: Any) -> EasyJobsWorker:
            node, worker = self.cluster.worker(name, queues, **settings)
            events.node = node
            declare = worker.task

            def task(**options: Any) -> Callable[[Callable[..., Any]], Any]:
                def declared(function: Callable[..., Any]) -> Any:
                    @functools.wraps(function)
                    async def played(*args: Any, **kwargs: Any) -> Any:
                        await node.gate()
                        with ledger.crashes.playing(node, current_job()):
                            value = await function(*args, **kwargs)
                        await node.gate()
                        job = current_job()
                        ledger.returned[job.id, job.attempt] = json.loads(json.dumps(value))
                        return value

                    return declare(**options)(played)

                return declared

            worker.task = task  # type: ignore[method-assign,assignment]
            return worker

        with patch.object(taskmaster, "EasyJobsWorker", make):
            worker = host([(order, None)], Events(events, "events"), url="simulated", secret="simulated")
        return events.node, worker

    # -- judging

    def _judge(self, order: Order, run: str, scripts: list[Progress]) -> None:
        """A run has ended, and somebody saw it through."""
        rows = self.cluster.rows._jobs
        if rows[run].state not in FINAL:
            raise Violation(f"run {run} was shown as ended, and is {rows[run].state}")
        nodes = {job.node: job for job in rows.values() if job.run == run and job.relation == "node"}
        for one in scripts:
            name = order.names()[one.at]
            parts = [nodes.get(part) for part in (taskmaster.ready(name), name, taskmaster.done(name))]
            failed = [job for job in parts if job is not None and job.state == "failed"]
            for job in failed:
                told = [other for other in rows.values() if _tells_of(other, job.id)]
                if len(told) != 1 or told[0].state not in ("completed", "failed")[: 1 + (told[0].crashes > 0)]:
                    raise Violation(f"{job.id} {job.node} failed; told by {[(t.id, t.state) for t in told]}")
            own = parts[1]
            wanted = "failed" if failed else "planned" if own is None or parts[2] is None else parts[2].state
            if one.state != wanted:
                raise Violation(f"run {run} shows {name} as {one.state}, which is {wanted}")


def _tells_of(job: Job, failed: str) -> bool:
    return job.task == FAIL and json.loads(job.kwargs)["failed"] == failed
