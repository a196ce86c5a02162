"""A network in memory with everything that goes wrong on a real one, on a virtual loop and from its seed.

A node is one life of one process: it listens under its name, dials others by theirs, and is killed without a word.
Between two nodes run links as `easyjobs.wire.link` describes them. Within a link frames keep their order, as on a
websocket; what a dying link still delivers may arrive after its successor has begun to talk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from math import inf
from typing import Any, Final, NamedTuple

import msgspec

from easyjobs.background import Nursery
from easyjobs.errors import ConnectionLost
from easyjobs.testing.loop import VirtualLoop
from easyjobs.wire.link import Link, LinkClosed

WINDOW: Final = 64
"""Frames that may be under way or unread before `send` waits."""

OPEN_TIMEOUT: Final = 10.0
"""Seconds after which a dial that nobody answers gives up."""

Accept = Callable[[Link], Coroutine[Any, Any, None]]


class Weather(msgspec.Struct, frozen=True):
    """What befalls frames by chance. Ranges are seconds, (least, most); the others are chances of each frame, 0 to 1.

    `reset`: its link breaks; one end knows at once, the other within `late`. `swallow`: from now on its link loses
    silently whatever goes this way. `stall`: it, and what follows on its link, waits for `stall_for` first.
    """

    latency: tuple[float, float] = (0.0002, 0.005)
    reset: float = 0.0
    swallow: float = 0.0
    stall: float = 0.0
    stall_for: tuple[float, float] = (1.0, 60.0)
    late: tuple[float, float] = (0.0, 20.0)


CALM: Final = Weather()


class Node:
    """One life of a process. Made by `Network.node`."""

    def __init__(self, network: Network, name: str) -> None:
        self.name = name
        self.alive = True
        self.reading = 0.0  # seconds that it takes to read each frame
        self._network = network

    async def gate(self) -> None:
        """Pass while the node lives; once it is killed, never. Every door of a node (links, its store) goes through it.

        So the coroutines of a killed node stand still where they were, and no `finally` of theirs speaks to anybody.
        """
        if not self.alive:
            await asyncio.get_running_loop().create_future()

    def listen(self, accept: Accept) -> None:
        """Take links under this node's name; `accept` runs for each until it returns."""
        self._network.listeners[self.name] = (self, accept)

    def mute(self) -> None:
        """Listen no more; links go on. Dials to it are refused."""
        self._network.listeners.pop(self.name, None)

    def dialler(self, name: str) -> Callable[[], Awaitable[Link]]:
        """A function that opens a link from here to the node that listens as `name` when it is called.

        It raises ConnectionLost: refused, or unanswered for `OPEN_TIMEOUT` seconds.
        """
        return lambda: self._network.dial(self, name)


class Network:
    """All nodes and links. `weather` may be replaced at any time; all chance comes from the loop's seed."""

    def __init__(self, loop: VirtualLoop, weather: Weather = CALM) -> None:
        self.weather = weather
        self.listeners: dict[str, tuple[Node, Accept]] = {}
        self._loop = loop
        self._links: list[_End] = []  # the dialling end of each
        self._cuts: dict[tuple[str, str], float | None] = {}  # (from, to) -> when it heals by itself
        self._vanished: set[str] = set()
        self._forsaken: dict[str, float] = {}  # who leaves its next link -> seconds until what it said there arrives
        self._nursery = Nursery("network")

    def node(self, name: str) -> Node:
        """A node that comes to life. A name may be used again after its node was killed."""
        self._vanished.discard(name)
        return Node(self, name)

    async def dial(self, node: Node, name: str) -> Link:
        """As the function that `Node.dialler` gives."""
        await node.gate()
        await self._travel(node.name, name)
        await node.gate()
        if name not in self.listeners:
            raise ConnectionLost(f"{name} refused the connection")
        owner, accept = self.listeners[name]
        here, there = _End(self, node), _End(self, owner)
        here.other, there.other = there, here
        here.fresh = True
        self._links.append(here)
        self._nursery.spawn(_served(accept, there), f"{name} serves {node.name}")
        return here

    async def _travel(self, a: str, b: str) -> None:
        """There and back once, if the way is open."""
        deadline = self._loop.time() + OPEN_TIMEOUT
        await asyncio.sleep(2 * self.delay())
        while b in self._vanished or self.blocked(a, b) or self.blocked(b, a):
            if self._loop.time() >= deadline:
                raise ConnectionLost(f"{b} did not answer within {OPEN_TIMEOUT:g} s")
            await asyncio.sleep(0.5)

    # -- faults

    def kill(self, node: Node, *, silent: bool = False) -> None:
        """End a node as `kill -9` does: at once, its coroutines left standing (see `Node.gate`).

        Its peers' links break soon after; with `silent`, as when the machine itself dies, nobody tells them.
        """
        node.alive = False
        self._loop.note(f"kill {node.name}")
        if self.listeners.get(node.name, (None,))[0] is node:
            del self.listeners[node.name]
            if silent:
                self._vanished.add(node.name)
        for end in self._ends():
            if end.node is node and end.closed is None:
                end.swallows = silent
                if not silent:
                    end.launch(None, LinkClosed(1006, "the other end died"))

    def reset(self, a: str, b: str) -> None:
        """Break all links between two names. `a` knows at once, `b` within the weather's `late`."""
        for end in self._between(a, b):
            self.break_link(end)

    def half_open(self, sender: str, receiver: str) -> None:
        """From now on the links there are lose silently whatever `sender` sends; new ones work."""
        self._loop.note(f"half-open {sender} {receiver}")
        for end in self._between(sender, receiver):
            end.swallows = True

    def forsake(self, name: str, seconds: float) -> None:
        """Let the next link that `name` opens break there with its first frame, which arrives so many seconds later all
        the same, and the end of the link after it.
        """
        self._loop.note(f"forsake {name}")
        self._forsaken[name] = seconds

    def cut(self, a: str, b: str, seconds: float | None = None, *, one_way: bool = False) -> None:
        """Let nothing pass from `a` to `b`, nor back unless `one_way`, for so many seconds (None: until `heal`).

        What is under way waits, as behind retransmissions, and arrives afterwards. May be called again.
        """
        self._loop.note(f"cut {a} {b}")
        until = None if seconds is None else self._loop.time() + seconds
        for way in ((a, b),) if one_way else ((a, b), (b, a)):
            self._cuts[way] = until
        if until is not None:
            self._loop.call_at(until, self._flow)

    def slow(self, node: Node, seconds: float) -> None:
        """Let `node` take so long to read each frame (0: no time; `inf`: it reads no more)."""
        node.reading = seconds

    def heal(self) -> None:
        """Calm weather, no cuts, nobody slow. Links that were broken or half-open stay so: their ends must notice."""
        self._loop.note("heal")
        self.weather = CALM
        self._cuts.clear()
        self._forsaken.clear()
        for end in self._ends():
            end.node.reading = 0.0
            end.wake()
        self._flow()

    # -- what the ends ask

    def delay(self) -> float:
        """How long a frame is under way, by chance."""
        return self._loop.random.uniform(*self.weather.latency)

    def blocked(self, a: str, b: str) -> bool:
        """Whether a cut holds what goes from `a` to `b`."""
        if (a, b) not in self._cuts:
            return False
        until = self._cuts[a, b]
        return until is None or self._loop.time() < until

    def befall(self, end: _End) -> float:
        """Let chance strike as `end` sends a frame; how many seconds it stalls the frame."""
        weather, chance = self.weather, self._loop.random.random
        if weather.reset and chance() < weather.reset:
            self.break_link(end)
        if weather.swallow and chance() < weather.swallow:
            end.swallows = True
        if weather.stall and chance() < weather.stall:
            return self._loop.random.uniform(*weather.stall_for)
        return 0.0

    def break_link(self, end: _End) -> None:
        """Break one link: `end` knows at once, the other within `late`; what was under way to it arrives, or not."""
        self._loop.note(f"reset {end.node.name} {end.other.node.name}")
        if self._loop.random.random() < 0.5:
            end.other.flight.clear()
        self._leave(end)

    def speak(self, end: _End, frame: bytes, stalled: float) -> None:
        """Put a frame on its way, the last of its link where that is forsaken."""
        late = self._forsaken.pop(end.node.name, None) if end.fresh else None
        end.fresh = False
        end.launch(frame, None, stalled if late is None else late)
        if late is not None:
            self._leave(end)

    def _leave(self, end: _End) -> None:
        broken = LinkClosed(1006, "the connection was reset")
        end.launch(None, broken, self._loop.random.uniform(*self.weather.late))
        end.shut(broken)

    def _between(self, a: str, b: str) -> list[_End]:
        return [end for end in self._ends() if end.node.name == a and end.other.node.name == b and end.closed is None]

    def _ends(self) -> list[_End]:
        self._links = [link for link in self._links if link.open or link.other.open]
        return [end for link in self._links for end in (link, link.other)]

    def _flow(self) -> None:
        for end in self._ends():
            end.pump()


class _Flying(NamedTuple):
    due: float
    frame: bytes | None
    end: LinkClosed | None


class _End:
    """One end of a link; `flight` holds what is on its way to it."""

    other: _End

    def __init__(self, network: Network, node: Node) -> None:
        self.node = node
        self.closed: LinkClosed | None = None
        self.swallows = False  # loses what its owner sends
        self.fresh = False  # it was dialled from here, and nothing was sent yet
        self.flight: deque[_Flying] = deque()
        self._network = network
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[bytes] = deque()
        self._ahead = 0  # frames sent from here and not read there
        self._changed = asyncio.Event()

    @property
    def open(self) -> bool:
        """Whether anybody could still use it."""
        return self.closed is None and self.node.alive

    async def send(self, frame: bytes) -> None:
        """As `Link.send`."""
        await self.node.gate()
        while self._ahead >= WINDOW and self.closed is None:
            await self._change()
        stalled = self._network.befall(self) if self.closed is None else 0.0
        if self.closed is not None:
            raise LinkClosed(self.closed.code, self.closed.reason)
        self._ahead += 1
        self._network.speak(self, frame, stalled)

    async def receive(self) -> bytes:
        """As `Link.receive`."""
        await self.node.gate()
        await self._take_time()
        while not self._inbox:
            if self.closed is not None:
                raise LinkClosed(self.closed.code, self.closed.reason)
            await self._change()
        self.other._ahead -= 1
        self.other.wake()
        return self._inbox.popleft()

    async def _take_time(self) -> None:
        """Be as slow as the node is, until it is slow no more, or nothing is left to read."""
        until = self._loop.time() + self.node.reading
        if 0 < self.node.reading < inf:
            self._loop.call_at(until, self.wake)
        while self.node.reading and self._loop.time() < until and (self._inbox or self.closed is None):
            await self._change()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """As `Link.close`."""
        await self.node.gate()
        if self.closed is None:
            self.launch(None, LinkClosed(code, reason))
            self._inbox.clear()
            self.shut(LinkClosed(code, reason))

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
        await self.node.gate()

    def wake(self) -> None:
        """Let whoever waits here look again."""
        self._changed.set()

    def launch(self, frame: bytes | None, end: LinkClosed | None, stalled: float = 0.0) -> None:
        """Put a frame, or the end, on its way to the other end."""
        flight = self.other.flight
        due = self._loop.time() + self._network.delay() + stalled
        if flight:
            due = max(due, flight[-1].due)
        if not self.swallows:
            flight.append(_Flying(due, frame, end))
            self._loop.call_at(due, self.other.pump)

    def pump(self) -> None:
        """Take in what has arrived."""
        while self.flight and self.flight[0].due <= self._loop.time():
            if self._network.blocked(self.other.node.name, self.node.name):
                return
            arrived = self.flight.popleft()
            if self.closed is None and self.node.alive:
                if arrived.end is not None:
                    self.shut(arrived.end)
                elif arrived.frame is not None:
                    self._inbox.append(arrived.frame)
                self.wake()

    def shut(self, end: LinkClosed) -> None:
        """Nothing comes or goes here any more; what was read in stays readable."""
        self.closed = end
        self.wake()


async def _served(accept: Accept, link: Link) -> None:
    try:
        await accept(link)
    except LinkClosed:
        await link.close()
