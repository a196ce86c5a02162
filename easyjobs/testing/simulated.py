"""A whole cluster on one virtual loop: the real hub, workers and clients, with doors that can be shut.

A manager, worker or client is a node of `easyjobs.testing.network`; what it reaches (links, its store) passes the
node's gate, so that one that was killed says no word more, while its coroutines stand still where they were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from easyjobs.client import EasyJobsClient
from easyjobs.core.changes import Claim, Committed, Unit
from easyjobs.errors import ProtocolError, StoreFull, StoreUnavailable
from easyjobs.hub.hub import Hub
from easyjobs.hub.settings import HubSettings
from easyjobs.ids import Ids
from easyjobs.stores.base import Hint
from easyjobs.stores.hints import hint_of
from easyjobs.stores.memory import MemoryStore
from easyjobs.testing.loop import VirtualClock, VirtualLoop
from easyjobs.testing.network import CALM, Network, Node, Weather
from easyjobs.wire.link import Link, LinkClosed
from easyjobs.workers.worker import EasyJobsWorker

MANAGER = "manager"
HINTED = 0.8
"""How many hints arrive."""

LATE = 0.2
"""Seconds that one takes at most."""


class FaultyStore:
    """A store that a node uses: commits take time, fail, and end with the node, before or after they were written.

    :param committed: called after each commit that was written, before anybody learns of it.
    :param others: of all managers on these rows; None where there is one manager only. Hints to them come late, or not.

    `chance`: of each commit to fail; half of those that fail have been written all the same.
    """

    def __init__(
        self,
        store: MemoryStore,
        node: Node,
        loop: VirtualLoop,
        committed: Callable[[], None],
        others: dict[str, Manager] | None = None,
    ) -> None:
        self._store = store
        self._node = node
        self._loop = loop
        self._committed = committed
        self._others = others
        self.single_manager = others is None
        self._heard: Callable[[Hint], None] = lambda hint: None
        self.chance = 0.0
        self.slowest = 0.004  # seconds of a commit
        self.crash_in: int | None = None  # commits until the node dies, in the middle of one
        self.on_crash: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def gated(*arguments: Any, **named: Any) -> Any:
            await self._node.gate()
            answer = await found(*arguments, **named)
            await self._node.gate()
            return answer

        return gated

    def listen(self, heard: Callable[[Hint], None], me: str = "") -> None:
        """As `Store.listen`."""
        self._heard = heard

    async def open(self) -> None:
        """Open the rows, whoever left them open: a killed manager closes nothing."""
        if self._others is None:
            await self._store.close()
            await self._store.open()

    async def close(self) -> None:
        """Close the rows, unless others may use them."""
        if self._others is None:
            await self._store.close()

    async def commit(self, units: Sequence[Unit], claim: Claim | None = None) -> Committed:
        """As `Store.commit`, with everything that may befall it."""
        await self._node.gate()
        chance = self._loop.random.random
        await self._pass_time(chance() * self.slowest)
        written = True
        trouble = None
        if self.chance and chance() < self.chance:
            written = chance() < 0.5
            full = not written and chance() < 0.3
            trouble = StoreFull("no space left") if full else StoreUnavailable("the disk did not answer")
        crash = False
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in <= 0:
                crash, self.crash_in = True, None
                written = chance() < 0.5
        committed = None
        if written:
            committed = await self._store.commit(units, claim)
            self._committed()
            self._hint(units, committed)
        if crash:
            self.on_crash()
        await self._node.gate()
        if trouble is not None or committed is None:
            raise trouble or StoreUnavailable("the disk did not answer")
        return committed

    def _hint(self, units: Sequence[Unit], committed: Committed) -> None:
        hint = hint_of(units, committed) if self._others else None
        if self._others is None or hint is None:
            return
        for manager in self._others.values():
            if manager.store is not self and self._loop.random.random() < HINTED:
                self._loop.call_later(self._loop.random.random() * LATE, manager.store.hear, hint)

    def hear(self, hint: Hint) -> None:
        """Another manager's hint arrives."""
        if self._node.alive:
            self._heard(hint)

    async def _pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._node.gate()


class Manager(NamedTuple):
    """One manager process."""

    node: Node
    hub: Hub
    store: FaultyStore


class _Transport:
    def __init__(self, link: Link) -> None:
        self._link = link

    async def send(self, frame: bytes) -> None:
        await self._link.send(frame)

    async def close(self, code: int, reason: str) -> None:
        await self._link.close(code, reason)


class SimulatedCluster:
    """Managers on rows that outlive them, and any number of workers and clients.

    :param managers: how many there may be at a time; each worker and client comes to any of them, unless its name is
        among the `homes`.
    :param committed: called with the rows after each commit. Use inside `easyjobs.testing.loop.run`.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        *,
        settings: HubSettings | None = None,
        weather: Weather = CALM,
        managers: int = 1,
        committed: Callable[[MemoryStore], None] = lambda store: None,
    ) -> None:
        self.loop = loop
        self.network = Network(loop, weather)
        self.clock = VirtualClock(loop)
        self.rows = MemoryStore(self.clock)
        self.settings = settings or HubSettings()
        self.names = (MANAGER, *(f"{MANAGER}{n}" for n in range(2, managers + 1)))
        self.managers: dict[str, Manager] = {}
        self.homes: dict[str, str] = {}
        self.workers: dict[str, tuple[Node, EasyJobsWorker]] = {}
        self._committed = committed
        self._lives = 0
        self._opened = False

    def _ids(self) -> Ids:
        self._lives += 1
        return Ids(self.loop.seed * 1_000_003 + self._lives)

    async def start_manager(self, name: str = MANAGER) -> Hub:
        """A manager comes to life on the rows as they are; another one of that name must not live."""
        node = self.network.node(name)
        others = None if len(self.names) == 1 else self.managers
        if others is not None and not self._opened:
            self._opened = True
            await self.rows.open()
        store = FaultyStore(self.rows, node, self.loop, lambda: self._committed(self.rows), others)
        store.on_crash = lambda: self.kill_manager(name)
        hub = Hub(store, clock=self.clock, ids=self._ids(), settings=self.settings)
        self.managers[name] = Manager(node, hub, store)
        await hub.start()

        async def accept(link: Link) -> None:
            roles = frozenset(("worker", "client", "watchdog"))
            connection = hub.connect(_Transport(link), role_allowed=roles, by="simulation")
            try:
                while True:
                    frame = await link.receive()
                    try:
                        connection.receive(frame)
                    except ProtocolError:
                        continue  # it is closing itself
            except LinkClosed:
                connection.lost()

        node.listen(accept)
        return hub

    def kill_manager(self, name: str = MANAGER, *, silent: bool = False) -> None:
        """As `kill -9`."""
        if self.managed(name):
            self.network.kill(self.managers[name].node, silent=silent)

    def managed(self, name: str = MANAGER) -> bool:
        """Whether a manager lives."""
        return name in self.managers and self.managers[name].node.alive

    def _dialler(self, node: Node) -> Callable[[], Awaitable[Link]]:
        """To the node's home while a manager of that name lives, else to any, as behind a balancer."""

        async def dial() -> Link:
            home = self.homes.get(node.name, MANAGER)
            if len(self.names) > 1 and not (node.name in self.homes and self.managed(home)):
                home = self.loop.random.choice(self.names)
            return await node.dialler(home)()

        return dial

    async def start_worker(
        self,
        name: str,
        declare: Callable[[EasyJobsWorker, Node], None],
        *,
        slots: int = 4,
        queue: str = "play",
        system_process_units: int | None = None,
    ) -> None:
        """A worker process comes to life under a worker_id; `declare` gives it its tasks."""
        node, worker = self.worker(
            name, queue, max_tasks_per_worker=slots, system_process_units=system_process_units, drain_grace=20.0
        )
        declare(worker, node)
        await worker.start()

    def worker(self, name: str, queues: str | list[str], **settings: Any) -> tuple[Node, EasyJobsWorker]:
        """A worker process under a worker_id; `start` it when it has its tasks."""
        node = self.network.node(name)
        worker = EasyJobsWorker(
            queues,
            name=name,
            worker_id=name,
            connect=self._dialler(node),
            clock=self.clock,
            ids=self._ids(),
            watchdog=False,
            **settings,
        )
        self.workers[name] = (node, worker)
        return node, worker

    def kill_worker(self, name: str, *, silent: bool = False) -> None:
        """As `kill -9`, or, `silent`, as when its machine loses power."""
        node, _ = self.workers.pop(name)
        self.network.kill(node, silent=silent)

    def client(self, name: str, connect_timeout: float = 30.0) -> EasyJobsClient:
        """A client process."""
        node = self.network.node(name)
        return EasyJobsClient(
            connect=self._dialler(node), clock=self.clock, ids=self._ids(), connect_timeout=connect_timeout, name=name
        )
