"""A real hub on virtual time, with a memory store that can fail, and peers that say what the test tells them to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from easyjobs.core.changes import Broken, Claim, Committed, Insert, Renew, Unit
from easyjobs.core.job import Job
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import Options, TaskSpec
from easyjobs.errors import ProtocolError, StoreFull, StoreUnavailable
from easyjobs.hub.connections import Connection
from easyjobs.hub.hub import Hub
from easyjobs.hub.settings import HubSettings
from easyjobs.ids import Ids
from easyjobs.protocol.codec import decode_from_manager, encode
from easyjobs.protocol.messages import (
    Assign,
    Assignment,
    Finished,
    FromManager,
    FromPeer,
    Heartbeat,
    Held,
    Hello,
    Outcome,
    Ping,
    Submission,
    Welcome,
    Withdraw,
)
from easyjobs.stores.memory import MemoryStore
from easyjobs.testing.loop import VirtualClock, VirtualLoop, run

M = TypeVar("M")

MOMENT = 0.001

EVERYBODY = frozenset(("worker", "watchdog", "client", "child"))
ANY = Signature(parameters=(Parameter("n", required=False), Parameter("s", required=False)))


def story(tell: Callable[[House], Awaitable[None]]) -> Callable[[], None]:
    """A test that is told on a virtual loop, in a house of its own."""

    def test() -> None:
        async def told(loop: VirtualLoop) -> None:
            house = House(loop)
            await tell(house)
            await house.close()

        run(told)

    test.__name__ = tell.__name__
    test.__doc__ = tell.__doc__
    test.__module__ = tell.__module__
    return test


def spec(name: str = "add", queue: str = "q", signature: Signature = ANY, **options: Any) -> TaskSpec:
    return TaskSpec(queue, name, signature, Options(**options))


class ShakyStore(MemoryStore):
    """A memory store whose next commits fail as `faults` says, first to last: "down" (nothing was written) or
    "unknown" (it was, but nobody is told); renewals of leases do not count. While `full`, whatever inserts a job finds
    no room; while `down`, nothing works. While `gate` is shut, commits wait. Units that it
    `rejects` are broken. All of it takes a moment, a commit also after it is written.
    """

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.faults: list[str] = []
        self.full = False
        self.down = False
        self.commits = 0
        self.rejects: Callable[[Unit], bool] = lambda unit: False
        self.reading = MOMENT
        self.gate = asyncio.Event()
        self.gate.set()

    async def commit(self, units: Sequence[Unit], claim: Claim | None = None) -> Committed:
        await self.gate.wait()
        await asyncio.sleep(MOMENT)
        refused = [i for i, unit in enumerate(units) if self.rejects(unit)]
        matters = claim is not None or any(not isinstance(write, Renew) for unit in units for write in unit.writes)
        fault = self.faults.pop(0) if self.faults and matters else None
        if self.down or fault == "down":
            raise StoreUnavailable("it does not answer")
        if self.full and any(isinstance(write, Insert) for unit in units for write in unit.writes):
            raise StoreFull("no space is left")
        committed = await super().commit([Unit([]) if i in refused else unit for i, unit in enumerate(units)], claim)
        for i in refused:
            committed.verdicts[i] = Broken("it cannot be written")
        self.commits += 1
        await asyncio.sleep(MOMENT)
        if fault == "unknown":
            raise StoreUnavailable("it went away while it wrote")
        return committed

    async def jobs(self, ids: Sequence[str], bare: bool = False) -> dict[str, Job]:
        await asyncio.sleep(self.reading)
        if self.down:
            raise StoreUnavailable("it does not answer")
        return await super().jobs(ids, bare)

    async def running(self) -> list[Job]:
        await asyncio.sleep(MOMENT)
        if self.down:
            raise StoreUnavailable("it does not answer")
        return await super().running()


class Peer:
    """The other end of one connection; as a worker it keeps account of what it was assigned.

    :ivar heard: what the manager said and nobody asked for yet. `closed`: the code the manager closed it with.
    """

    def __init__(self, house: House, roles: frozenset[str] = EVERYBODY, attempt: Held | None = None) -> None:
        self.heard: list[FromManager] = []
        self.frames: list[list[FromManager]] = []
        self.closed: int | None = None
        self.reason = ""
        self.reads = asyncio.Event()
        self.reads.set()
        self.broken = False
        self.held: dict[str, Assignment] = {}
        self._news = asyncio.Event()
        self._house = house
        self._beating: asyncio.Task[None] | None = None
        self.hello = Hello(1, "client")
        self.session = ""
        self.connection: Connection = house.hub.connect(self, role_allowed=roles, by="tester", attempt=attempt)

    # -- the transport

    async def send(self, frame: bytes) -> None:
        await self.reads.wait()
        if self.broken:
            raise ConnectionResetError("broken")
        messages = decode_from_manager(frame)
        self.frames.append(messages)
        for message in messages:
            if isinstance(message, Welcome):
                self.session = message.session
            if isinstance(message, Assign):
                self.held.update((a.job, a) for a in message.jobs)
            elif isinstance(message, Withdraw):
                for held in message.jobs:
                    self.held.pop(held.job, None)
        self.heard += messages
        self._news.set()

    async def close(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = code
            self.reason = reason
            self._news.set()

    # -- what the test says and hears

    def say(self, *messages: FromPeer) -> None:
        """Send one frame; what is wrong with it shows in `closed`."""
        self.send_raw(encode(messages))

    def send_raw(self, frame: bytes | str) -> None:
        with contextlib.suppress(ProtocolError):
            self.connection.receive(frame)

    async def hear(self, kind: type[M], within: float = 120.0) -> M:
        """The next message of a kind; others stay."""
        async with asyncio.timeout(within):
            while True:
                for i, message in enumerate(self.heard):
                    if isinstance(message, kind):
                        del self.heard[i]
                        return message
                assert self.closed is None, f"closed with {self.closed} {self.reason}"
                self._news.clear()
                await self._news.wait()

    def heard_of(self, kind: type[M]) -> list[M]:
        """What was heard of a kind so far; stays."""
        return [message for message in self.heard if isinstance(message, kind)]

    async def until_closed(self, within: float = 120.0) -> int:
        async with asyncio.timeout(within):
            while self.closed is None:
                self._news.clear()
                await self._news.wait()
            return self.closed

    def drop(self) -> None:
        """The socket is gone, without a word."""
        self.connection.lost()
        if self._beating is not None:
            self._beating.cancel()

    # -- as a worker

    async def begin(self) -> Assignment:
        """The next assignment, which must come alone."""
        (assignment,) = (await self.hear(Assign)).jobs
        return assignment

    def named(self) -> list[Held]:
        return [held(a) for a in self.held.values()]

    def keep_beating(self) -> None:
        """Say something every five seconds; as a worker: a heartbeat that names what is held."""

        async def beat() -> None:
            while self.closed is None:
                self.say(Heartbeat(self.named()) if self.hello.role == "worker" else Ping())
                await asyncio.sleep(5.0)

        self._beating = self._house.spawn(beat())

    def stop_beating(self) -> None:
        if self._beating is not None:
            self._beating.cancel()

    def finish(self, a: Assignment, result: Any = None) -> Outcome:
        self.held.pop(a.job, None)
        outcome = Outcome(a.job, a.attempt, a.token, "completed", raw(result))
        self.say(Finished([outcome]))
        return outcome

    def fail(self, a: Assignment, **how: Any) -> Outcome:
        self.held.pop(a.job, None)
        error = raw({"type": "ValueError", "message": "no", "traceback": "…"})
        outcome = Outcome(a.job, a.attempt, a.token, "failed", error=error, **how)
        self.say(Finished([outcome]))
        return outcome


class House:
    """A hub with its store, clock and peers. `open` first."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.clock = VirtualClock(loop)
        self.store = ShakyStore(self.clock)
        self.ids = Ids(loop.seed)
        self.settings = HubSettings()
        self.monitors: list[Any] = []
        self._hub: Hub | None = None
        self._spawned: list[asyncio.Task[Any]] = []

    @property
    def hub(self) -> Hub:
        assert self._hub is not None, "the house is not open"
        return self._hub

    def spawn(self, what: Any) -> asyncio.Task[Any]:
        started = self.loop.create_task(what)
        self._spawned.append(started)
        return started

    async def open(self, *tasks: TaskSpec, **settings: Any) -> Hub:
        """Start a hub; `tasks` are known to it from an earlier worker."""
        self.settings = HubSettings(**settings)
        self._hub = Hub(self.store, clock=self.clock, ids=self.ids, settings=self.settings, monitors=self.monitors)
        await self._hub.start()
        if tasks:
            earlier = await self.worker(*tasks, worker_id="earlier")
            from easyjobs.protocol.messages import Goodbye

            earlier.say(Goodbye())
            await asyncio.sleep(0.1)
        return self._hub

    async def crash(self) -> None:
        """The manager's process dies at once: what it has not committed is lost."""
        hub = self.hub
        hub.committer.add = lambda entry: None  # type: ignore[method-assign]
        for connection in list(hub.desk.connections):
            connection.lost()
        hub._state = "stopped"
        await hub._nursery.close()
        await self.store.close()
        self._hub = None

    async def restart(self) -> Hub:
        """Crash, and start a new manager on the same store."""
        if self._hub is not None:
            await self.crash()
        return await self.open(**msgspec.structs.asdict(self.settings))

    async def close(self) -> None:
        for spawned in self._spawned:
            spawned.cancel()
        if self._hub is not None:
            await self._hub.stop(3.0)

    # -- peers

    async def worker(self, *tasks: TaskSpec, slots: int = 1, worker_id: str = "w", **hello: Any) -> Peer:
        """A worker that was welcomed."""
        peer = Peer(self)
        peer.hello = Hello(1, "worker", worker_id=worker_id, name=worker_id, tasks=list(tasks), slots=slots, **hello)
        peer.say(peer.hello)
        await peer.hear(Welcome)
        return peer

    async def open_worker(self) -> Peer:
        """A worker of one slot that stays."""
        worker = await self.worker(spec())
        worker.keep_beating()
        return worker

    async def again(self, old: Peer, **hello: Any) -> tuple[Peer, Welcome]:
        """The same process on a new connection, with what it holds unless `held` says otherwise; another one under its
        worker_id with `session=""`.
        """
        peer = Peer(self)
        peer.held = dict(old.held)
        hello.setdefault("session", old.session)
        hello.setdefault("held", peer.named())
        peer.hello = msgspec.structs.replace(old.hello, **hello)
        peer.say(peer.hello)
        return peer, await peer.hear(Welcome)

    async def client(self) -> Peer:
        peer = Peer(self)
        peer.say(peer.hello)
        await peer.hear(Welcome)
        peer.keep_beating()
        return peer

    async def watchdog(self, worker_id: str = "w") -> Peer:
        peer = Peer(self)
        peer.hello = Hello(1, "watchdog", worker_id=worker_id)
        peer.say(peer.hello)
        await peer.hear(Welcome)
        return peer

    async def child(self, a: Assignment) -> Peer:
        """The child process of an attempt."""
        peer = Peer(self)
        peer.hello = Hello(1, "child", held=[held(a)])
        peer.say(peer.hello)
        await peer.hear(Welcome)
        return peer

    # -- jobs

    def job(self, task: str = "add", queue: str = "q", **options: Any) -> Submission:
        for name in ("args", "kwargs"):
            if name in options:
                options[name] = raw(options[name])
        options.setdefault("id", self.ids.job_id(self.clock.wall()))
        return Submission(queue=queue, task=task, **options)

    async def submit(self, task: str = "add", queue: str = "q", **options: Any) -> Job:
        (submitted,) = await self.hub.submit([self.job(task, queue, **options)])
        return submitted.job

    async def row(self, id: str) -> Job:
        """The job as the store has it."""
        return (await self.store.jobs([id]))[id]

    async def states(self) -> Mapping[str, int]:
        return {str(state): n for state, n in (await self.store.totals()).items()}

    async def settle(self, seconds: float = 0.1) -> None:
        """Let what is under way happen."""
        await asyncio.sleep(seconds)


def held(a: Assignment | Outcome) -> Held:
    return Held(a.job, a.attempt, a.token)


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
