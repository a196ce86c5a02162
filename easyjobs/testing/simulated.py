"""A whole cluster on one virtual loop: the real hub, workers and clients, with doors that can be shut.

A manager, worker or client is a node of `easyjobs.testing.network`; what it reaches (links, its store) passes the
node's gate, so that one that was killed says no word more, while its coroutines stand still where they were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from easyjobs.client import EasyJobsClient
from easyjobs.core.changes import Claim, Committed, Unit
from easyjobs.errors import ProtocolError, StoreFull, StoreUnavailable
from easyjobs.hub.hub import Hub
from easyjobs.hub.settings import HubSettings
from easyjobs.ids import Ids
from easyjobs.stores.memory import MemoryStore
from easyjobs.testing.loop import VirtualClock, VirtualLoop
from easyjobs.testing.network import CALM, Network, Node, Weather
from easyjobs.wire.link import Link, LinkClosed
from easyjobs.workers.worker import EasyJobsWorker

MANAGER = "manager"


class FaultyStore:
    """A store that a node uses: commits take time, fail, and end with the node, before or after they were written.

    :param chance: of each commit to fail; half of those that fail have been written all the same.
    :param committed: called after each commit that was written, before anybody learns of it.
    """

    def __init__(self, store: MemoryStore, node: Node, loop: VirtualLoop, committed: Callable[[], None]) -> None:
        self._store = store
        self._node = node
        self._loop = loop
        self._committed = committed
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

    async def open(self) -> None:
        """Open the rows, whoever left them open: a killed manager closes nothing."""
        await self._store.close()
        await self._store.open()

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
        if crash:
            self.on_crash()
        await self._node.gate()
        if trouble is not None or committed is None:
            raise trouble or StoreUnavailable("the disk did not answer")
        return committed

    async def _pass_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._node.gate()


class _Transport:
    def __init__(self, link: Link) -> None:
        self._link = link

    async def send(self, frame: bytes) -> None:
        await self._link.send(frame)

    async def close(self, code: int, reason: str) -> None:
        await self._link.close(code, reason)


class SimulatedCluster:
    """One manager at a time on rows that outlive it, and any number of workers and clients.

    :param committed: called with the rows after each commit. Use inside `easyjobs.testing.loop.run`.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        *,
        settings: HubSettings | None = None,
        weather: Weather = CALM,
        committed: Callable[[MemoryStore], None] = lambda store: None,
    ) -> None:
        self.loop = loop
        self.network = Network(loop, weather)
        self.clock = VirtualClock(loop)
        self.rows = MemoryStore(self.clock)
        self.settings = settings or HubSettings()
        self.hub: Hub | None = None
        self.store: FaultyStore | None = None
        self.workers: dict[str, tuple[Node, EasyJobsWorker]] = {}
        self._committed = committed
        self._manager: Node | None = None
        self._lives = 0

    def _ids(self) -> Ids:
        self._lives += 1
        return Ids(self.loop.seed * 1_000_003 + self._lives)

    async def start_manager(self) -> Hub:
        """A manager comes to life on the rows as they are; another one must not live."""
        node = self.network.node(MANAGER)
        store = FaultyStore(self.rows, node, self.loop, lambda: self._committed(self.rows))
        store.on_crash = self.kill_manager
        hub = Hub(store, clock=self.clock, ids=self._ids(), settings=self.settings)
        self._manager, self.hub, self.store = node, hub, store
        await hub.start()

        async def accept(link: Link) -> None:
            roles = frozenset(("worker", "client"))
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

    def kill_manager(self, *, silent: bool = False) -> None:
        """As `kill -9`."""
        if self._manager is not None and self._manager.alive:
            self.network.kill(self._manager, silent=silent)

    @property
    def managed(self) -> bool:
        """Whether a manager lives."""
        return self._manager is not None and self._manager.alive

    async def start_worker(
        self, name: str, declare: Callable[[EasyJobsWorker, Node], None], *, slots: int = 4, queue: str = "play"
    ) -> None:
        """A worker process comes to life under a worker_id; `declare` gives it its tasks."""
        node = self.network.node(name)
        worker = EasyJobsWorker(
            queue,
            max_tasks_per_worker=slots,
            name=name,
            worker_id=name,
            connect=node.dialler(MANAGER),
            clock=self.clock,
            ids=self._ids(),
            watchdog=False,
            drain_grace=20.0,
        )
        declare(worker, node)
        self.workers[name] = (node, worker)
        await worker.start()

    def kill_worker(self, name: str, *, silent: bool = False) -> None:
        """As `kill -9`, or, `silent`, as when its machine loses power."""
        node, _ = self.workers.pop(name)
        self.network.kill(node, silent=silent)

    def client(self, name: str, connect_timeout: float = 30.0) -> EasyJobsClient:
        """A client process."""
        node = self.network.node(name)
        return EasyJobsClient(
            connect=node.dialler(MANAGER), clock=self.clock, ids=self._ids(), connect_timeout=connect_timeout, name=name
        )
