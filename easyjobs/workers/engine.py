"""What a started worker consists of: the rules, the line to the manager, the runner, the watchdog, tied together."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from easyjobs import __version__
from easyjobs.background import Nursery
from easyjobs.clock import Clock
from easyjobs.errors import ConnectionLost
from easyjobs.executors.children import Children
from easyjobs.executors.function import FunctionExecutor
from easyjobs.executors.process import Home
from easyjobs.ids import Ids
from easyjobs.protocol.messages import (
    PROTOCOL,
    Assign,
    Cancel,
    FromManager,
    Held,
    Hello,
    PauseWork,
    ResumeWork,
    Toggled,
    Welcome,
    Withdraw,
)
from easyjobs.protocol.parent_side import ParentSide
from easyjobs.settings import WorkerSettings
from easyjobs.tasks.context import CaptureHandler
from easyjobs.tasks.handle import Caller
from easyjobs.tasks.registry import Registry
from easyjobs.wire.calls import Calls
from easyjobs.wire.line import Dialler, Line
from easyjobs.wire.link import Link
from easyjobs.workers.runner import Runner
from easyjobs.workers.watchdog import SyncDialler, Watchdog

log = logging.getLogger("easyjobs")

STORED: Final = 2.0
"""Seconds that a child process waits for its last lines to be stored."""

FLUSH: Final = 5.0
"""Seconds that the last outcomes get to be acknowledged when a worker stops."""

MOST_THREADS: Final = 32


class Reach(NamedTuple):
    """How to get to the manager. `dial_sync` is None where no second connection makes sense: inside the manager.
    `address` gives the websocket that child processes dial; where that is "", `of_child` makes a link for the one of an
    attempt; where there is none, they have no way.
    """

    dial: Dialler
    dial_sync: SyncDialler | None = None
    address: Callable[[], str] = str
    of_child: Callable[[Held], Link] | None = None


class Engine:
    """A worker in its running process. Made on the event loop; then `start`, and `stop` once.

    :param queues: which it serves; may grow. `caller`: whom handles of jobs made here ask.
    :param standalone: whether the process is nothing but this worker, and ends when its loop stays blocked.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        registry: Registry,
        queues: list[str],
        caller: Caller,
        reach: Reach,
        *,
        name: str,
        task_dir: str | None = None,
        embedded: bool,
        standalone: bool,
        watchdog: bool,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.get_running_loop()
        self._life = ids.token()
        self.worker_id = settings.worker_id or f"{socket.gethostname()[:80]}-{self.pid}-{ids.token()[:8]}"
        self.name = name
        self._settings = settings
        self._registry = registry
        self._queues = queues
        self._embedded = embedded
        self._registering = False
        self._settled = asyncio.Event()
        self._wishes: list[asyncio.Future[None]] = []  # to be paused or resumed, until that is durable
        self.nursery = Nursery("worker")
        slots = settings.max_tasks_per_worker
        self._executor = FunctionExecutor(settings.threads or min(slots, MOST_THREADS))
        self._heard = asyncio.Event()
        self._side = ParentSide(self._hello(), slots)
        self.line = Line(
            self._side,
            reach.dial,
            self._deliver,
            name=f"worker {name}",
            clock=clock,
            ids=ids,
            nursery=self.nursery,
            changed=self._changed,
        )
        self._calls = Calls(self._side, self.line, caller, clock=clock, ids=ids, patience=None)
        self._children = Children(
            Home(
                reach.address,
                self._stored,
                settings.manager_secret or "",
                settings.jobs_queue,
                task_dir=task_dir,
                way=reach.of_child,
            ),
            self._executor,
        )
        self.runner = Runner(
            self._side,
            registry,
            self._executor,
            self._children,
            slots,
            self.line.wake,
            clock=clock,
            nursery=self.nursery,
            stuck=lambda: self._executor.stuck,
            extra_threads=self._executor.lend,
        )
        self._watchdog = (
            Watchdog(
                hello=lambda: msgspec.structs.replace(self._hello(), role="watchdog"),
                held=self.runner.taken_up,
                culprit=self.runner.on_the_loop,
                dial=reach.dial_sync,
                heartbeat=lambda: self._side.limits.heartbeat,
                clock=clock,
                exits=standalone,
            )
            if watchdog
            else None
        )

    @property
    def calls(self) -> Calls:
        """Where to ask the manager; it hears before of all tasks that were declared, for one may be meant."""
        self._register()
        return self._calls

    def start(self) -> None:
        """Connect in the background and take jobs from then on. Once."""
        CaptureHandler.install()
        self._side.register(self._registry.specs())
        self.line.start()
        if self._watchdog is not None:
            self._watchdog.start()

    def declared(self) -> None:
        """Tasks were added: tell the manager, all that are added in this turn of the loop in one message. From any
        thread.
        """
        if not self._registering:
            self._registering = True
            self.loop.call_soon_threadsafe(self._register)

    def _register(self) -> None:
        if not self._registering:
            return
        self._registering = False
        self._side.register(self._registry.specs())
        self.line.wake()

    async def toggle(self, pause: bool) -> None:
        """Have the manager pause or resume this worker; returns when that is durable. The last word counts.

        :raises ConnectionLost: the worker ended before.
        """
        wish: asyncio.Future[None] = self.loop.create_future()
        self._wishes.append(wish)
        self._side.toggle(pause)
        self.line.wake()
        await wish

    async def stop(self, grace: float) -> None:
        """Drain within `grace` seconds, see all outcomes acknowledged, say goodbye. Once."""
        await self.runner.drain(grace)
        if self._watchdog is not None:
            self._watchdog.stop()
        try:
            async with asyncio.timeout(FLUSH if self.line.up else FLUSH / 5):
                while self._side.unacked and not self.line.over:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            log.warning("worker %s: %d outcomes were not acknowledged", self.name, self._side.unacked)
        else:
            self._side.goodbye()
        self._calls.close()
        await self.line.close()
        self._answer(ConnectionLost(f"worker {self.name} has ended"))
        await self._executor.close()
        await self._children.close()
        CaptureHandler.remove()

    async def until_over(self) -> None:
        """Wait until a newer session of this worker_id has taken over, or the manager has refused the tasks."""
        while not self.line.over:
            self._settled.clear()
            await self._settled.wait()

    async def _stored(self, job: str) -> None:
        """Wait until the manager has stored what a job has logged; not long, and not without a manager."""
        try:
            async with asyncio.timeout(STORED):
                while self.line.up and self._side.last_lines(job):
                    self.line.wake()
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            log.warning("worker %s: the last lines of job %s are not stored yet", self.name, job)

    def _deliver(self, orders: Sequence[FromManager]) -> None:
        self._heard.set()
        for order in orders:
            if isinstance(order, Assign):
                self.runner.begin(order.jobs)
            elif self._calls.heard(order):
                continue
            elif isinstance(order, Cancel):
                self.runner.cancel(order.jobs)
            elif isinstance(order, Withdraw):
                self.runner.withdraw(order.jobs)
            elif isinstance(order, Welcome):
                self._executor.limits = order.limits
                self._children.allow(order.limits)
                if order.paused:
                    log.info("worker %s is paused", self.name)
            elif isinstance(order, Toggled):
                self._answer(None)
            elif isinstance(order, PauseWork | ResumeWork):
                log.info("worker %s %s", self.name, "is paused" if isinstance(order, PauseWork) else "gets work again")
        if not self._side.unacked:
            self._settled.set()

    def _answer(self, error: ConnectionLost | None) -> None:
        """Whoever waits for a pause or its end hears that it is durable, or why it is not."""
        wishes, self._wishes = self._wishes, []
        for wish in wishes:
            if wish.done():
                continue
            if error is None:
                wish.set_result(None)
            else:
                wish.set_exception(error)

    def _changed(self, up: bool) -> None:
        self._calls.line_changed(up)
        if self.line.over:
            self.runner.withdraw(self._side.named())
            self._answer(ConnectionLost(f"worker {self.name}: {self.line.reason}"))
            self._settled.set()

    def _hello(self) -> Hello:
        host = socket.gethostname()
        return Hello(
            PROTOCOL,
            "worker",
            worker_id=self.worker_id,
            name=self.name,
            host=host,
            pid=self.pid,
            system=self._settings.system_id or host,
            units=self._settings.system_process_units,
            version=__version__,
            queues=self._queues,
            embedded=self._embedded,
            life=self._life,
        )
