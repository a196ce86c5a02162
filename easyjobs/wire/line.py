"""A line: one peer kept connected to its manager, through any number of links.

It moves frames between the link and the peer's rules, all that was said in one turn of the loop in one frame, and
comes back after every loss. It decides nothing about jobs.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from easyjobs.background import Nursery
from easyjobs.clock import Clock
from easyjobs.errors import ConfigurationError, ConnectionLost, ProtocolError, Unauthorized
from easyjobs.ids import Ids
from easyjobs.protocol.messages import FromManager
from easyjobs.protocol.peer import Peer
from easyjobs.wire.link import Link, LinkClosed

log = logging.getLogger("easyjobs")

FIRST_BACKOFF: Final = 0.1
MOST_BACKOFF: Final = 5.0
LOUD_AFTER: Final = 3
REFUSED_BACKOFF: Final = (5.0, 30.0)
LEAST_WAIT: Final = 0.001
SEND_DEADLINE: Final = 10.0

UNAUTHORIZED: Final = 4401
PROTOCOL_BROKEN: Final = 4406
REPLACED: Final = 4409
UNFIT: Final = 4422

Dialler: TypeAlias = Callable[[], Awaitable[Link]]


class Line:
    """Keeps `peer` connected. Call `start` once, `wake` after each call that gave the peer something to say.

    :param deliver: what each frame asks for, as `Peer.receive` gives it; must return at once and not raise.
    :param changed: called when the line goes up (True: the manager has said welcome) or down.
    """

    def __init__(
        self,
        peer: Peer,
        dial: Dialler,
        deliver: Callable[[Sequence[FromManager]], None],
        *,
        name: str,
        clock: Clock,
        ids: Ids,
        nursery: Nursery,
        changed: Callable[[bool], None] = lambda up: None,
    ) -> None:
        self._peer = peer
        self._dial = dial
        self._deliver = deliver
        self._name = name
        self._clock = clock
        self._ids = ids
        self._nursery = nursery
        self._changed = changed
        self._pid = os.getpid()
        self._link: Link | None = None
        self._unsaid = asyncio.Event()
        self._spoken = asyncio.Event()
        self._up = False
        self._worried = False
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._running: asyncio.Task[None] | None = None
        self.replaced = False
        """Whether a newer session of the same worker_id took over; the line has ended then."""
        self.unfit: str | None = None
        """Why the manager will not have this worker's tasks, whatever comes; the line has ended then."""
        self.denied: Unauthorized | None = None
        """What the manager said when it last refused us; None when it let us in, or was not there."""
        self.reason = "not connected yet"
        """Why the line is down, for people."""

    @property
    def up(self) -> bool:
        """Whether the manager has said welcome on a link that still stands."""
        return self._up

    @property
    def over(self) -> bool:
        """Whether it has ended for good, and by the manager's will."""
        return self.replaced or self.unfit is not None

    def start(self) -> None:
        """Connect, and stay connected until `close`. Once."""
        self._loop = asyncio.get_running_loop()
        self._running = self._nursery.spawn(self._run(), "line")

    def wake(self) -> None:
        """The peer has something to say; it leaves with all else of this turn of the loop."""
        self._unsaid.set()

    async def close(self, patience: float = 2.0) -> None:
        """Say what is left to say, for at most `patience` seconds, and hang up. May be called twice."""
        self._closing = True
        if self._link is not None and self._up:
            self._spoken.clear()
            self.wake()
            try:
                async with asyncio.timeout(patience):
                    await self._spoken.wait()
            except TimeoutError:
                log.warning("%s: the last words did not reach the manager in %g s", self._name, patience)
        if self._link is not None:
            await self._link.close(1000, "goodbye")
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait((self._running,), timeout=patience)
        self._down("closed")

    # -- connecting

    async def _run(self) -> None:
        tries = 0
        while not self._closing:
            wait = self._backoff(tries)
            try:
                link = await self._dial()
            except Unauthorized as error:
                wait = self._slowly()
                self.denied = error
                self._changed(False)
                self._complain(f"{error}; trying again every {REFUSED_BACKOFF[0]:g} to {REFUSED_BACKOFF[1]:g} s")
            except ConfigurationError as error:
                log.error("%s: %s", self._name, error)  # noqa: TRY400 - the traceback would say nothing more
                self.reason = str(error)
                return
            except ConnectionLost as error:
                self.reason = str(error)
                if tries == LOUD_AFTER:  # a manager that starts a moment later than its workers is no news
                    log.warning("%s: %s; trying again", self._name, error)
                    self._worried = True
            else:
                self.denied = None
                code = await self._converse(link)
                if code == REPLACED:
                    self.replaced = True
                    self._complain("a newer session of this worker_id took over; this one takes nothing more")
                    self._changed(False)
                    return
                if code == UNFIT:
                    self.unfit = self._farewell
                    self._complain(f"the manager refuses its tasks, and it takes nothing: {self.unfit}")
                    self._changed(False)
                    return
                if code in (UNAUTHORIZED, PROTOCOL_BROKEN):
                    wait = self._slowly()
                elif self._welcomed:
                    tries, wait = 0, self._backoff(0)
            tries += 1
            if not self._closing:
                await asyncio.sleep(wait)

    def _backoff(self, tries: int) -> float:
        """Full jitter, so that a thousand workers do not come back in one moment."""
        ceiling = min(MOST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(tries, 10))
        return ceiling * self._ids.jitter()

    def _slowly(self) -> float:
        least, most = REFUSED_BACKOFF
        return least + (most - least) * self._ids.jitter()

    def _complain(self, what: str) -> None:
        """Once for each reason, however often it repeats."""
        if self.reason != what:
            self.reason = what
            log.error("%s: %s", self._name, what)
            self._worried = True

    # -- conversing

    async def _converse(self, link: Link) -> int:
        """Speak over a link until it ends; its close code."""
        self._welcomed = False
        self._farewell = ""
        self._link = link
        self._peer.connected(self._clock.monotonic())
        self._unsaid.set()
        writer = self._nursery.spawn(self._write(link), "writer")
        self._arm()
        closed = LinkClosed()
        try:
            while True:
                self._heard(await link.receive())
        except LinkClosed as end:
            closed = end
            self._farewell = end.reason
        except ProtocolError as error:
            closed = LinkClosed(error.code, str(error))
            await link.close(error.code, str(error))
        finally:
            writer.cancel()
            self._down(closed.reason or f"the connection ended with {closed.code}")
        if not self._closing:
            grave = closed.code >= 4000
            text = "%s: the manager ended the connection: %s" if grave else "%s: connection lost (%s); coming back"
            log.log(logging.ERROR if grave else logging.WARNING, text, self._name, closed)
            self._worried = True
        return closed.code

    def _heard(self, frame: bytes) -> None:
        orders = self._peer.receive(frame, self._clock.monotonic())
        if not self._up and self._peer.welcomed:
            self._up = self._welcomed = True
            self.reason = ""
            # who read that it was gone must read that it is back, at whatever level their log begins
            log.log(logging.WARNING if self._worried else logging.INFO, "%s is connected", self._name)
            self._worried = False
            self._changed(True)
        self._deliver(orders)
        if (due := self._peer.timer()) is not None and due < self._due:
            self._arm()
        self._unsaid.set()

    async def _write(self, link: Link) -> None:
        try:
            while True:
                await self._unsaid.wait()
                self._unsaid.clear()
                while (frame := self._next_frame()) is not None:
                    async with asyncio.timeout(SEND_DEADLINE):
                        await link.send(frame)
                self._spoken.set()
        except LinkClosed:
            pass  # the reader hears of it too
        except TimeoutError:
            await link.close(1006, f"the manager did not read for {SEND_DEADLINE:g} s")

    def _next_frame(self) -> bytes | None:
        if os.getpid() != self._pid:
            # a fork after start: the socket and the session are the parent's, and a word from us would corrupt both
            self._closing = True
            raise LinkClosed(1006, "this process is a fork of the one that connected")
        return self._peer.frame(self._clock.monotonic())

    def _down(self, reason: str) -> None:
        self._link = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._peer.disconnected()
        if self._up:
            self._up = False
            self.reason = reason
            self._changed(False)

    # -- time

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self._peer.timer()
        if due is not None:
            self._due = due
            # a timer may ring a rounding error too early: with no least wait it would ring for ever at one moment
            self._timer = self._loop.call_later(max(LEAST_WAIT, due - self._clock.monotonic()), self._tick)

    def _tick(self) -> None:
        reason = self._peer.handle_timer(self._clock.monotonic())
        if reason is None:
            self._unsaid.set()
            self._arm()
        elif self._link is not None:
            self._nursery.spawn(self._link.close(1001, reason), "hang up")
