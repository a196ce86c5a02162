"""EasyJobsManager: the hub, its API and an embedded worker, started and stopped with a FastAPI application.

Such an application is known here as the Starlette application that it is: who runs `easyjobs manager` does not wait
until FastAPI is imported.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar, Unpack, overload
from weakref import WeakKeyDictionary

from starlette.applications import Starlette

from easyjobs.api.credentials import Cursors, Nonces
from easyjobs.api.gate import Gate
from easyjobs.api.site import Site, public_paths
from easyjobs.background import Nursery
from easyjobs.clock import Clock, SystemClock
from easyjobs.errors import ConfigurationError, ConnectionLost, RegistrationError, StoreError, Unavailable
from easyjobs.hub.embedded import connect
from easyjobs.hub.hub import Hub
from easyjobs.hub.pausing import ALL
from easyjobs.hub.settings import hub_settings
from easyjobs.ids import Ids
from easyjobs.manager.hosting import (
    hurry_server,
    listens_on,
    log_in_one_line,
    own_base,
    quiet_refusals,
    server_leaves,
    take_place,
)
from easyjobs.monitors.configured import destinations
from easyjobs.monitors.courier import hooks_of
from easyjobs.protocol.messages import Held
from easyjobs.settings import ManagerSettings, manager_settings, named_manager
from easyjobs.stores import open_store
from easyjobs.stores.base import Store
from easyjobs.tasks.declaring import DeclaresScripts
from easyjobs.tasks.decorator import BoundTask, Declare
from easyjobs.tasks.handle import Call, JobHandle
from easyjobs.tasks.options import ScheduledOptions, TaskOptions, WorkflowOptions
from easyjobs.tasks.workflows import BoundWorkflow, DeclaresWorkflows
from easyjobs.wire.address import address
from easyjobs.wire.link import Link
from easyjobs.workers.calls_of_child import inside
from easyjobs.workers.startup import stop_with
from easyjobs.workers.worker import EasyJobsWorker

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("easyjobs.manager")

# of the whole grace, which is at least three times as long or shared out in thirds
SERVER_SHARE = 5.0  # the server's, for requests that are being answered
HUB_SHARE = 5.0  # the hub's, for its last commits
SHORT_SECRET = 16

_managers: WeakKeyDictionary[Starlette, EasyJobsManager] = WeakKeyDictionary()


class EasyJobsManager(DeclaresWorkflows, DeclaresScripts):
    """Holds queues, jobs and workers' sessions, and serves the API. Make it, declare tasks with `@manager.task(...)`,
    and give `manager.lifespan` to a FastAPI application, or use `create` inside its `on_event('startup')`.

    An argument that is not given is taken from its `EASYJOBS_…` variable (`easyjobs.settings.ManagerSettings`).

    :param server_secret: what workers prove and people log in with. Without one (here and in EASYJOBS_SECRET) one is
        made and printed at the start, and only the machine itself may connect.
    :param store: a URL (`sqlite:///jobs.db`, `memory:`) or a store that is not open yet.
    :param prefix: where all its routes live: "" or a path as "/jobs".
    :param open_docs: let everybody read `/docs` and `/openapi.json`.
    :param max_tasks_per_worker: how many jobs of its own tasks run at once.
    :param monitors: who is told what happens: objects with any of the methods that docs/monitoring.md names.
    :param options: the other fields of `ManagerSettings`.
    :param clock: and `ids` are for simulations.
    :raises ConfigurationError: a value will not do.
    """

    def __init__(
        self,
        server_secret: str | None = None,
        *,
        store: str | Store | None = None,
        prefix: str | None = None,
        open_docs: bool | None = None,
        max_tasks_per_worker: int | None = None,
        lease: float | None = None,
        heartbeat: float | None = None,
        grace: float | None = None,
        queue_depth: int | None = None,
        monitors: Sequence[Any] = (),
        clock: Clock | None = None,
        ids: Ids | None = None,
        **options: Any,
    ) -> None:
        unknown = options.keys() - set(ManagerSettings.__struct_fields__)
        if unknown:
            raise ConfigurationError(f"EasyJobsManager has no argument {min(unknown)!r}")
        self.settings = manager_settings(
            server_secret=server_secret,
            store=store if isinstance(store, str) else None,
            prefix=prefix,
            open_docs=open_docs,
            max_tasks_per_worker=max_tasks_per_worker,
            lease=lease,
            heartbeat=heartbeat,
            grace=grace,
            queue_depth=queue_depth,
            **options,
        )
        self._monitors = tuple(monitors)
        for monitor in self._monitors:
            hooks_of(monitor)  # what will not do is refused where it is written
        self._clock = clock or SystemClock()
        self._ids = ids or Ids()
        self._given_store = None if isinstance(store, str) else store
        secret = self.settings.server_secret
        self._made_secret = "" if secret else self._ids.token()
        self._secret = secret or self._made_secret
        self._hub: Hub | None = None
        self._stopping = False
        self._nonces = Nonces(self._clock, self._ids)
        self._nursery = Nursery("manager")
        self._worker: EasyJobsWorker | None = None
        self._sites: WeakKeyDictionary[Starlette, Site] = WeakKeyDictionary()

    # -- living with an application

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Serve in `app` while this lasts: `FastAPI(lifespan=manager.lifespan)`, or `async with manager.lifespan(app):`
        inside a lifespan of your own.

        :raises ConfigurationError, StoreError: it cannot start; the message says why.
        """
        self.attach(app)
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    @classmethod
    async def create(cls, server: Starlette, server_secret: str | None = None, **options: Any) -> EasyJobsManager:
        """A manager that runs in `server` until that shuts down; for use inside its `on_event('startup')`.

        A second call for the same application returns the first manager.

        :param options: as the constructor's.
        :raises ConfigurationError: a value will not do, or the application has a lifespan of its own and would never
            tell the manager to stop. StoreError: the store cannot be opened.
        """
        manager = _managers.get(server)
        if manager is None:
            manager = cls(server_secret, **options)
            stop_with(server, manager.stop, "`async with EasyJobsManager(...).lifespan(app):`")
            _managers[server] = manager
            manager.attach(server)
        await manager.start()
        return manager

    def attach(self, app: Starlette) -> None:
        """Put the manager's routes into `app`; they refuse with 503 until `start`. May be called again."""
        if app in self._sites:
            return
        prefix = self.settings.prefix
        gate = Gate(
            self._secret,
            clock=self._clock,
            ids=self._ids,
            public=public_paths(open_docs=self.settings.open_docs),
            local_only=bool(self._made_secret),
            children=self._knows,
            nonces=self._nonces,
        )
        base = own_base() if prefix else getattr(app, "openapi", own_base())
        self._sites[app] = site = Site(self._running, gate, Cursors(self._secret), prefix=prefix, base=base)
        take_place(app, site, prefix=prefix)

    async def start(self) -> None:
        """Open the store and begin to work. May be called again while it runs, and after `stop`.

        :raises ConfigurationError, StoreError: it cannot; the message says why.
        """
        if self._hub is not None:
            return
        if inside() is not None:
            raise ConfigurationError(
                "a child process loaded the module of its task, and that started a manager: start it under "
                "`if __name__ == '__main__':`"
            )
        try:
            hub = Hub(
                self._given_store or open_store(self.settings.store),
                clock=self._clock,
                ids=self._ids,
                settings=hub_settings(self.settings),
                monitors=destinations(self._monitors, self.settings),
            )
            hub.leaving = server_leaves
            await hub.start()
        except (ConfigurationError, StoreError) as error:
            log_in_one_line(error)
            raise
        self._hub = hub
        if not hub.store.single_manager:
            self._nonces.share(self._secret)
        quiet_refusals()
        hurry_server(min(SERVER_SHARE, self.settings.stop_grace / 3))
        await self._start_worker()
        if len(self._secret) < SHORT_SECRET:
            # who overhears a worker's proof may try secrets at leisure
            log.warning(
                "the server secret has %d characters; give it %d or more (`openssl rand -hex 16` prints such a one)",
                len(self._secret),
                SHORT_SECRET,
            )
        if self._made_secret:
            sys.stderr.write(
                f"easyjobs: no secret was given; until it stops, this manager's is {self._made_secret}\n"
                f"easyjobs: log in at {self.settings.prefix}/login; other machines are refused until you set "
                "EASYJOBS_SECRET\n"
            )

    async def stop(self) -> None:
        """Let the embedded worker's jobs end, tell the others, close the store. With what the server waits before for
        its clients, it takes at most `stop_grace` seconds. May be called twice.
        """
        hub = self._hub
        if hub is None or self._stopping:
            return
        self._stopping = True
        third = self.settings.stop_grace / 3
        left = self.settings.stop_grace - min(SERVER_SHARE, third)
        closing = min(HUB_SHARE, third)
        if self._worker is not None:
            await self._worker.stop(left - closing)
            await hub.stop(closing)
        else:
            await hub.stop(left)
        await self._nursery.close()
        self._hub = None
        self._stopping = False

    @property
    def hub(self) -> Hub:
        """The engine room. Raises Unavailable before `start` and after `stop`."""
        return self._running()

    @property
    def store(self) -> Store:
        """Where the jobs are kept. Raises Unavailable as `hub` does."""
        return self._running().store

    async def _knows(self, attempt: Held) -> bool:
        """Whether a child process shows the token of its attempt."""
        return await self._running().desk.children.known(attempt)

    def _running(self) -> Hub:
        if self._hub is None:
            raise Unavailable("The manager is not running.")
        return self._hub

    # -- tasks of its own

    @overload
    def task(self, function: Callable[P, Awaitable[R]], /) -> BoundTask[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> BoundTask[P, R]: ...
    @overload
    def task(
        self,
        /,
        *,
        namespace: str | Sequence[str] = "DEFAULT",
        name: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Declare: ...
    def task(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        namespace: str | Sequence[str] = "DEFAULT",
        name: str | None = None,
        **options: Unpack[TaskOptions],
    ) -> Any:
        """Declare a task that runs here, on the application's own loop (functions that are no coroutines: in threads).

        `namespace` is its queue, or several. Before or after `start`; decorators stack. What is returned makes jobs.

        :raises RegistrationError: it cannot be declared as written.
        """
        worker = self._embedded()
        declare = worker.task(namespace=namespace, name=name, **options)
        bound: Any = declare if function is None else declare(function)
        self._declared()
        return bound

    def _declare_workflow(
        self, source: Any, name: str | None, queues: list[str] | None, options: WorkflowOptions
    ) -> BoundWorkflow[Any, Any]:
        bound = self._embedded()._declare_workflow(source, name, queues, options)
        self._declared()
        return bound

    def _declared(self) -> None:
        if self._hub is not None:
            self._nursery.spawn(self._start_worker(), "embedded worker")

    def scheduler(self, schedule: str, *, name: str | None = None, **options: Unpack[ScheduledOptions]) -> Declare:
        """Run a function here whenever the cron expression `schedule` says: `@manager.scheduler(schedule="0 7 * * *")`.

        It is a task as any other, of the queue DEFAULT; `options` say more of the schedule (`timezone`, `seconds`,
        `default_args` …) and of its jobs. Coroutine functions and others; before or after `start`.

        :raises RegistrationError: it cannot be declared as written.
        """
        if not isinstance(schedule, str):
            raise RegistrationError(f"scheduler(schedule='0 7 * * *') needs a cron expression, not {schedule!r}")
        return self.task(name=name, schedule=schedule, **options)

    async def submit(self, calls: Sequence[Call], *, together: bool = False) -> list[JobHandle[Any]]:
        """Make jobs, as `Caller.submit`."""
        return await (await self._caller()).submit(calls, together=together)

    async def result(self, id: str, timeout: float | None = None) -> Any:
        """The result of a job, as `Caller.result`."""
        return await (await self._caller()).result(id, timeout)

    async def cancel(self, id: str) -> None:
        """Ask that a job stop, as `Caller.cancel`."""
        await (await self._caller()).cancel(id)

    async def toggle_workers(self, pause: bool = True) -> None:
        """Pause all workers, or with `pause=False` resume them: also the manager's own, and those that come later.

        What runs goes on; nothing new is given out, also after a restart, until they are resumed. A worker that was
        paused by itself stays so. Durable when it returns; may be called again.

        :raises Unavailable: the manager is not running.
        """
        hub = self._running()
        if pause:
            await hub.pause("workers", ALL, "the application")
        else:
            await hub.resume("workers", ALL, "the application")

    async def _caller(self) -> EasyJobsWorker:
        self._running()
        worker = self._embedded()
        await self._start_worker()
        return worker

    async def _start_worker(self) -> None:
        if self._worker is not None and self._hub is not None and not self._stopping:
            await self._worker.start()

    def _embedded(self) -> EasyJobsWorker:
        """The worker for the manager's own tasks; there is none until the first."""
        if self._worker is None:
            self._worker = EasyJobsWorker(
                "DEFAULT",
                manager_secret=self._secret,
                max_tasks_per_worker=self.settings.max_tasks_per_worker,
                threads=self.settings.threads,
                name="manager",
                worker_id=f"manager-{self._ids.token()}",
                drain_grace=self.settings.stop_grace,
                connect=self._dial,
                children_dial=self._children_dial,
                embedded=True,
                clock=self._clock,
                ids=self._ids,
            )
        return self._worker

    async def _dial(self) -> Link:
        if self._hub is None:
            raise ConnectionLost("the manager is not running")
        return connect(self._hub, self._nursery)

    def _children_dial(self) -> str:
        """The websocket that child processes of our tasks dial: what MANAGER_HOST and MANAGER_PORT say, else where the
        server listens; "" where neither tells.
        """
        prefix = self.settings.prefix
        url = named_manager(prefix) or listens_on(prefix)
        return address(url).url if url else ""
