"""A live socket: it moves frames between a transport and the rules of the manager's side, and words to the desk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Literal, Protocol, cast

from msgspec import Raw

from easyjobs.background import Nursery
from easyjobs.clock import Clock
from easyjobs.core.job import Job
from easyjobs.core.states import COMPLETED, FinalState
from easyjobs.errors import ProtocolError
from easyjobs.hub.settings import HubSettings
from easyjobs.protocol.manager_side import ManagerSide
from easyjobs.protocol.messages import NULL, Ended, FromManager, FromPeer, Held, Role

log = logging.getLogger("easyjobs.hub")


class Transport(Protocol):
    """Three things that a socket, or a pair in memory, can do."""

    async def send(self, frame: bytes) -> None:
        """Send one frame; may wait as long as the peer does not read. Any OSError means that the socket is gone."""

    async def close(self, code: int, reason: str) -> None:
        """Close the socket. May be called twice."""


class Desk(Protocol):
    """Who acts on what a connection hears."""

    def heard(self, connection: Connection, message: FromPeer) -> None:
        """Act on one message; never waits. Raises ProtocolError to close the connection."""

    def now(self) -> float:
        """The store's time."""

    def left(self, connection: Connection) -> None:
        """The connection is over; called once."""

    def patient(self, connection: Connection) -> bool:
        """Whether another voice vouches for a peer that is silent here."""


class Connection:
    """One socket. The owner of the transport calls `receive` for each frame and `lost` once when it is gone.

    `attempt` is the one that a child process speaks for, and about which alone it may. `opened_at`: by the store.
    """

    def __init__(
        self,
        transport: Transport,
        desk: Desk,
        clock: Clock,
        nursery: Nursery,
        settings: HubSettings,
        *,
        roles: frozenset[str],
        by: str,
        attempt: Held | None = None,
    ) -> None:
        self._transport = transport
        self._desk = desk
        self._clock = clock
        self._nursery = nursery
        self._side = ManagerSide(
            settings.told(),
            clock.monotonic(),
            roles=roles,
            hello=settings.hello,
            send=settings.send,
            outbox=settings.outbox,
        )
        self.opened_at = desk.now()
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._open = True
        self.by = by
        self.attempt = attempt
        self.awaited: set[str] = set()
        self.session: str | None = None
        self.restarting = False
        """Whether it was a server that is about to stop that closed the socket, ours or a proxy, and not the peer."""
        self._timer = self._loop.call_later(settings.hello, self._tick)
        self._sender = nursery.spawn(self._send(), "sender")

    @property
    def role(self) -> Role | None:
        """What the peer is, once it said hello."""
        return self._side.role

    def closed(self) -> bool:
        """Whether it can say nothing any more."""
        return not self._open

    def welcome(self, message: FromManager) -> None:
        """Answer hello; the peer may speak from now on."""
        self._side.welcomed = True
        self.send(message)
        if self._open:
            self._arm()  # it was set to when a hello would be overdue, and pings are due earlier

    def receive(self, frame: bytes | str) -> None:
        """Take a frame. Never waits.

        :raises ProtocolError: the frame broke the protocol; the connection is closing with its code.
        """
        if not self._open:
            return
        try:
            for message in self._side.receive(frame, self._clock.monotonic()):
                if self._open:
                    self._desk.heard(self, message)
        except ProtocolError as error:
            self.close(error.code, str(error))
            raise

    def send(self, message: FromManager, weight: int = 0) -> None:
        """Queue a message; it leaves with the others of this turn of the loop."""
        self._put(self._side.say, message, weight)

    def judged(self, id: str, judgement: Literal["applied", "duplicate", "stale"]) -> None:
        """Acknowledge an outcome."""
        self._put(self._side.judged, id, judgement)

    def ended(self, job: Job) -> None:
        """A job that the peer awaits has ended. Each connection's bound `ended` is its waiter at the announcer."""
        self.awaited.discard(job.id)
        result = NULL if job.result is None else Raw(job.result)
        error = NULL if job.error is None or job.state == COMPLETED else Raw(job.error)
        self._put(self._side.ended, Ended(job.id, cast("FinalState", job.state), result, error))

    def _put(self, say: Callable[..., None], *what: Any) -> None:
        if self._open:
            try:
                say(*what)
            except ProtocolError as error:
                self.close(error.code, str(error))
            else:
                self._ready.set()

    def close(self, code: int, reason: str) -> None:
        """Close the socket. May be called twice."""
        if self._open:
            self.lost()
            log.log(
                logging.DEBUG if code < 4000 else logging.WARNING, "closing a %s: %s", self.role or "socket", reason
            )
            self._nursery.spawn(self._transport.close(code, reason.encode()[:120].decode(errors="ignore")), "close")

    def lost(self) -> None:
        """The socket is gone. May be called twice."""
        if self._open:
            self._open = False
            self._timer.cancel()
            self._sender.cancel()
            self._desk.left(self)

    async def _send(self) -> None:
        """Send all that was said, as often as something was."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            try:
                for frame in self._side.frames(self._clock.monotonic()):
                    await self._transport.send(frame)
            except OSError:
                self.lost()
                return
            self._side.sent()

    def _tick(self) -> None:
        try:
            self._side.tick(self._clock.monotonic(), patient=self._desk.patient(self))
        except ProtocolError as error:
            self.close(error.code, str(error))
            return
        self._ready.set()
        self._arm()

    def _arm(self) -> None:
        self._timer.cancel()
        wait = max(0.05, self._side.timer() - self._clock.monotonic())
        self._timer = self._loop.call_later(wait, self._tick)
