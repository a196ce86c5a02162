"""A worker: declares tasks, connects to a manager, runs what it is assigned. In any asyncio program or on its own."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import ModuleType, TracebackType
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from easyjobs.clock import Clock, SystemClock
from easyjobs.core.task import TaskSpec
from easyjobs.errors import ConfigurationError, ConnectionLost, RegistrationError
from easyjobs.ids import Ids
from easyjobs.protocol.messages import Held
from easyjobs.settings import WorkerSettings, worker_settings
from easyjobs.tasks.declaring import DeclaresScripts
from easyjobs.tasks.decorator import BoundTask, Declare, bind
from easyjobs.tasks.dependencies import doubts
from easyjobs.tasks.handle import Call, JobHandle
from easyjobs.tasks.offered import offered
from easyjobs.tasks.options import TaskOptions, WorkflowOptions
from easyjobs.tasks.registry import Declared, Registry
from easyjobs.tasks.scripts import Program
from easyjobs.tasks.workflows import BoundWorkflow, DeclaresWorkflows, bind_workflow
from easyjobs.wire.address import manager_address
from easyjobs.wire.dial import Redial
from easyjobs.wire.dial_sync import dial_sync
from easyjobs.wire.line import Dialler
from easyjobs.wire.link import Link
from easyjobs.workers.calls_of_child import Inside, inside
from easyjobs.workers.engine import Engine, Reach
from easyjobs.workers.signals import stop_signals
from easyjobs.workers.startup import Application, stop_with, worker_of
from easyjobs.workers.watchdog import SyncDialler

log = logging.getLogger("easyjobs")

P = ParamSpec("P")
R = TypeVar("R")


class EasyJobsWorker(DeclaresWorkflows, DeclaresScripts):
    """Runs the jobs of its tasks. Make it, declare tasks with `@worker.task(...)`, then `start` it (or `run` it, or
    `async with` it). Tasks may be declared later too, and the manager may come later.

    An argument that is not given is taken from its `EASYJOBS_…` variable (`easyjobs.settings.WorkerSettings`).

    :param jobs_queue: the queue of its tasks, or several: then each task serves all of them.
    :param manager_url: "ws[s]://host[:port][/prefix]", in place of `manager_host` and `manager_port`.
    :param max_tasks_per_worker: how many jobs run at once; `threads`: how many of those that are no coroutines.
    :param drain_grace: seconds that running jobs get to end when the worker stops.
    :param worker_task_dir: the folder with the files of `subprocess=True` tasks.
    :param connect: dials the manager, in place of the URL (a manager's own worker, a test); `children_dial` then gives
        the websocket's URL for child processes, "" where they cannot know it. `embedded` says that worker and manager
        live and die together. `clock`, `ids` and `watchdog` are for simulations.
    :raises ConfigurationError: a value will not do.
    """

    def __init__(
        self,
        jobs_queue: str | Sequence[str] | None = None,
        *,
        manager_host: str | None = None,
        manager_port: int | None = None,
        manager_url: str | None = None,
        manager_secret: str | None = None,
        max_tasks_per_worker: int | None = None,
        threads: int | None = None,
        name: str | None = None,
        worker_id: str | None = None,
        system_id: str | None = None,
        system_process_units: int | None = None,
        drain_grace: float | None = None,
        worker_task_dir: str | None = None,
        connect: Dialler | None = None,
        children_dial: Callable[[], str] | None = None,
        embedded: bool = False,
        clock: Clock | None = None,
        ids: Ids | None = None,
        watchdog: bool = True,
    ) -> None:
        self.settings = worker_settings(
            jobs_queue=jobs_queue,
            manager_host=manager_host,
            manager_port=manager_port,
            manager_url=manager_url,
            manager_secret=manager_secret,
            max_tasks_per_worker=max_tasks_per_worker,
            threads=threads,
            name=name,
            worker_id=worker_id,
            system_id=system_id,
            system_process_units=system_process_units,
            drain_grace=drain_grace,
            worker_task_dir=worker_task_dir,
        )
        self._task_dir = worker_task_dir
        self._reach = Reach(connect, address=children_dial or str) if connect else reach(self.settings)
        self._embedded = embedded
        self._clock = clock or SystemClock()
        self._ids = ids or Ids()
        self._watchdog = watchdog
        self._queues = list(self.settings.jobs_queue)
        self._registry = Registry()
        self._engine: Engine | None = None
        self._stopping: asyncio.Task[None] | None = None

    # -- declaring

    @overload
    def task(self, function: Callable[P, Awaitable[R]], /) -> BoundTask[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> BoundTask[P, R]: ...
    @overload
    def task(
        self,
        /,
        *,
        namespace: str | Sequence[str] | None = None,
        name: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Declare: ...
    def task(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        namespace: str | Sequence[str] | None = None,
        name: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Any:
        """Declare a task: `@worker.task`, `@worker.task(retries=3)`. Before or after `start`; decorators stack.

        `namespace` is the queue, or several, that the task serves in place of the worker's own; what is returned makes
        jobs in the first of them.

        :raises RegistrationError: it cannot be declared as written.
        """
        queues = [namespace] if isinstance(namespace, str) else list(namespace or self.settings.jobs_queue)

        def declare(function: Callable[..., Any]) -> BoundTask[Any, Any]:
            bound = [bind(function, caller=self, queue=queue, name=name, **options) for queue in queues]
            for task in bound:
                self._registry.add(task)
            self._declared(queues)
            return bound[0]

        return declare if function is None else declare(function)

    def _declare_workflow(
        self, source: Any, name: str | None, queues: list[str] | None, options: WorkflowOptions
    ) -> BoundWorkflow[Any, Any]:
        queues = list(self.settings.jobs_queue) if queues is None else queues
        bound = [bind_workflow(source, caller=self, queue=queue, name=name, **options) for queue in queues]
        for one in bound:
            self._registry.add(one)
        self._declared(queues)
        return bound[0]

    def include(self, module: ModuleType, *, by_type_key: bool = False) -> list[Declared]:
        """Run the plain `@task` and `@workflow` functions of a module here; what was bound. May be called again.

        Those that name no queue are in this worker's; with `by_type_key` in one that is called like their module.

        :raises RegistrationError: as `task`.
        """
        queues = [None] if by_type_key else self.settings.jobs_queue
        include = functools.partial(self._registry.include, module, caller=self)
        bound = [task for queue in queues for task in include(queue=queue)]
        self._declared([task.queue for task in bound])
        return bound

    def offer(self, spec: TaskSpec, function: Callable[..., Any] | None = None, program: Program | None = None) -> None:
        """Run jobs of the task `spec` with `function`, or with `program` and the words that the function returns; or
        bring along a workflow. For ways of declaring tasks beside `task` and `workflow`.

        :raises RegistrationError: as `task`.
        """
        self._registry.add(offered(spec, function, self, program))
        self._declared([spec.queue])

    def embed(
        self,
        connect: Dialler,
        of_child: Callable[[Held], Link] | None = None,
        dial_sync: SyncDialler | None = None,
    ) -> None:
        """Take the jobs of a hub in this very process, with which it lives and dies, in place of a manager's. Before
        `start`. `connect` is as the constructor's; `of_child` makes a link there for the child process of an attempt;
        `dial_sync` is whom the watchdog tells that a blocked loop lives.
        """
        self._reach = Reach(connect, dial_sync, of_child=of_child)
        self._embedded = True

    def specs(self) -> list[TaskSpec]:
        """What a manager is told of the tasks that are declared here, in the order of their declaration."""
        return self._registry.specs()

    def _declared(self, queues: Sequence[str]) -> None:
        self._queues += [queue for queue in dict.fromkeys(queues) if queue not in self._queues]
        if self._engine is not None:
            self._engine.declared()

    # -- living

    @classmethod
    async def create(
        cls,
        server: Application,
        server_secret: str | None = None,
        *,
        jobs_queue: str | Sequence[str] | None = None,
        manager_secret: str | None = None,
        **options: Any,
    ) -> EasyJobsWorker:
        """A worker that lives with a FastAPI application; for use inside its `on_event('startup')`.

        It connects in the background, and drains when the application shuts down. A second call for the same
        application and queue returns the first worker. An application with a lifespan of its own uses `async with
        EasyJobsWorker(...)` there instead.

        :param server_secret: stands in for `manager_secret` where that is not given. The rest: as the constructor's.
        :raises ConfigurationError: a value will not do, or the application would never tell the worker to stop.
        """
        worker = cls(jobs_queue, manager_secret=manager_secret or server_secret, **options)
        first = worker_of(server, worker.settings.jobs_queue, worker)
        if first is worker:
            stop_with(server, worker.stop, "`async with EasyJobsWorker(...):`")
        await first.start()
        return first

    async def start(self) -> None:
        """Connect in the background and take jobs from then on. May be called again while it runs, and after `stop`."""
        self._start(standalone=False)

    def _start(self, *, standalone: bool) -> Engine:
        if inside() is not None:
            raise ConfigurationError(
                "a child process loaded the module of its task, and that started a worker: start it under "
                "`if __name__ == '__main__':`"
            )
        if self._reach is None:
            raise ConfigurationError("the manager's secret is missing: manager_secret=... or EASYJOBS_MANAGER_SECRET")
        if self._engine is None:
            for doubt in doubts(self._registry.specs()):
                log.warning("%s", doubt)
            self._engine = Engine(
                self.settings,
                self._registry,
                self._queues,
                self,
                self._reach,
                task_dir=self._task_dir,
                name=self.settings.name or f"{socket.gethostname()}:{os.getpid()}",
                embedded=self._embedded,
                standalone=standalone,
                watchdog=self._watchdog,
                clock=self._clock,
                ids=self._ids,
            )
            self._engine.start()
        return self._engine

    async def stop(self, grace: float | None = None) -> None:
        """Take nothing more, let running jobs end within `grace` seconds (`drain_grace`), hand back the others, see
        all outcomes acknowledged, say goodbye. May be called twice: the second call waits for the first.
        """
        engine = self._engine
        if engine is None or engine.pid != os.getpid():
            return
        if self._stopping is None:
            seconds = self.settings.drain_grace if grace is None else grace
            self._stopping = engine.nursery.spawn(engine.stop(seconds), "stop")
        await asyncio.shield(self._stopping)
        if self._engine is engine:
            self._engine = self._stopping = None

    def hurry(self) -> None:
        """End the grace of a `stop` that goes on, now. May be called at any time."""
        if self._engine is not None:
            self._engine.runner.hurry()

    async def run(self) -> None:
        """Start, work until SIGTERM or SIGINT, and stop; for a process that is nothing but this worker.

        A second signal ends the grace at once.

        :raises ConnectionLost: a newer process of the same worker_id took over. RegistrationError: the manager refuses
            its tasks, for what their chains would be together with those of other workers.
        """
        engine = self._start(standalone=True)
        with stop_signals(engine.runner.hurry) as told:
            over = engine.nursery.spawn(engine.until_over(), "over")
            await asyncio.wait((told, over), return_when=asyncio.FIRST_COMPLETED)
            over.cancel()
            await self.stop()
        if engine.line.unfit is not None:
            raise RegistrationError(f"the manager refuses the tasks of this worker: {engine.line.unfit}")
        if engine.line.replaced:
            raise ConnectionLost(f"another process took over the worker_id {engine.worker_id}")

    async def __aenter__(self) -> EasyJobsWorker:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def toggle_workers(self, pause: bool = True) -> None:
        """Pause this worker, or with `pause=False` resume it: what it has in hand goes on, and nothing new comes.

        Returns when the manager has stored it; waits for a manager as long as it takes. May be called again; of several
        calls the last counts. The pause belongs to the worker_id: it outlives restarts of the manager, and those of
        this process where it was given a worker_id; the default one is new in each process.

        :raises ConfigurationError: it was not started. ConnectionLost: it was stopped before the manager answered.
        """
        await self._here().toggle(pause)

    @property
    def connected(self) -> bool:
        """Whether the manager has welcomed it on a connection that still stands."""
        return self._engine is not None and self._engine.line.up

    @property
    def refused(self) -> str | None:
        """Why the manager will not have its tasks, whatever comes; None as long as it does."""
        return None if self._engine is None else self._engine.line.unfit

    @property
    def replaced(self) -> bool:
        """Whether another process took over its worker_id: then it takes nothing more."""
        return self._engine is not None and self._engine.line.replaced

    # -- making jobs

    async def submit(self, calls: Sequence[Call], *, together: bool = False) -> list[JobHandle[Any]]:
        """Make jobs over this worker's connection, as `Caller.submit`; waits for a manager as long as it takes."""
        return await self._here().calls.submit(calls, together=together)

    async def result(self, id: str, timeout: float | None = None) -> Any:
        """The result of a job, as `Caller.result`. Inside a job, its slot is free for others meanwhile."""
        return await self._here().calls.result(id, timeout)

    async def cancel(self, id: str) -> None:
        """Ask that a job stop, as `Caller.cancel`."""
        await self._here().calls.cancel(id)

    def wait(self, what: Coroutine[Any, Any, R] | JobHandle[R]) -> R:
        """Await something from a task that runs in a thread: `worker.wait(other_task(1))`, `worker.wait(handle)`.

        :raises ConfigurationError: called on an event loop, where `await` is the word.
        """
        coroutine = what.result() if isinstance(what, JobHandle) else what
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run_coroutine_threadsafe(coroutine, self._here().loop).result()
        coroutine.close()
        raise ConfigurationError("worker.wait() is for functions that run in threads; write `await` here")

    def _here(self) -> Engine | Inside:
        """The engine, when this is the process that it runs in; in a child process, that one's own way."""
        if (child := inside()) is not None:
            return child
        if self._engine is None:
            raise ConfigurationError(
                "the worker was not started: await worker.start() first (a manager's own starts with its application)"
            )
        if self._engine.pid != os.getpid():
            raise ConfigurationError("this process is a fork of the one that started the worker; it needs its own")
        return self._engine


def reach(settings: WorkerSettings) -> Reach | None:
    """How to get to the manager that the settings name; None without its secret, which is missed at the start, for who
    pulls needs none.

    :raises ConfigurationError: the URL will not do.
    """
    where, secret = manager_address(settings), settings.manager_secret
    if not secret:
        return None
    return Reach(
        Redial(where, secret=secret),
        lambda timeout: dial_sync(where, secret=secret, timeout=timeout),
        lambda: where.url,
    )
