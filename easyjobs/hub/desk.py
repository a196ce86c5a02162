"""What is done with each message that a connection hears."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from easyjobs.background import Nursery
from easyjobs.core.changes import LoseSession, Renew
from easyjobs.core.events import Completed, Event, Failed, HandedBack, NeverStarted, Stopped, error_text
from easyjobs.core.job import Job
from easyjobs.errors import BadRequest, ProtocolError, RegistrationError
from easyjobs.hub.arguments import parse
from easyjobs.hub.children import Asking, Children
from easyjobs.hub.committer import Committer
from easyjobs.hub.connections import Connection
from easyjobs.hub.entries import Chore, Judgement, Word
from easyjobs.hub.pausing import Pausing
from easyjobs.hub.reception import MOST_SLOTS, Reception
from easyjobs.hub.requests import Requests
from easyjobs.hub.roster import Live, Roster
from easyjobs.hub.services.breaker import Breaker
from easyjobs.hub.settings import HubSettings
from easyjobs.hub.telling import Telling
from easyjobs.hub.vouching import Vouching
from easyjobs.protocol.manager_side import BROKEN, SLOW, UNFIT
from easyjobs.protocol.messages import (
    Await,
    CancelJobs,
    Credit,
    Finished,
    Forget,
    FromPeer,
    Goodbye,
    Heartbeat,
    Held,
    Hello,
    Log,
    Outcome,
    Ping,
    Progress,
    Register,
    Started,
    Submit,
    Toggle,
    Toggled,
    Welcome,
    Withdraw,
)
from easyjobs.stores.base import Store

log = logging.getLogger("easyjobs.hub")


class _Error(msgspec.Struct):
    """What an outcome's error must look like."""

    type: str
    message: str = ""
    traceback: str = ""


_error = msgspec.json.Decoder(_Error).decode


class Desk:
    """Acts on messages. One for all `connections`, which it knows until they have left."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        committer: Committer,
        reception: Reception,
        requests: Requests,
        telling: Telling,
        breaker: Breaker,
        pausing: Pausing,
        nursery: Nursery,
        settings: HubSettings,
        counters: Counter[str],
    ) -> None:
        self._store = store
        self._roster = roster
        self._committer = committer
        self._reception = reception
        self._requests = requests
        self._breaker = breaker
        self._pausing = pausing
        self._nursery = nursery
        self._settings = settings
        self._counters = counters
        self._telling = telling
        self._vouching = Vouching(store, committer, settings)
        self.children = Children(store, roster, requests, nursery)
        self.connections: dict[Connection, None] = {}  # a dict for its order
        self.rescue: Callable[[], None] = lambda: None  # a session's time may have become shorter
        self._acts: dict[type, Callable[[Connection, Any], None]] = {
            Hello: self._hello,
            Register: self._register,
            Started: self._started,
            Finished: self._finished,
            Heartbeat: self._heartbeat,
            Credit: self._credit,
            Toggle: self._toggle,
            Progress: telling.progress,
            Log: telling.log,
            Goodbye: self._goodbye,
            Submit: requests.submit,
            Await: lambda connection, message: requests.wait(connection, message.ids),
            Forget: lambda connection, message: requests.forget(connection, message.ids),
            CancelJobs: lambda connection, message: requests.cancel(connection, message.ids),
            Ping: lambda connection, message: None,
        }

    def heard(self, connection: Connection, message: FromPeer) -> None:
        """Act on one message. Raises ProtocolError to close the connection."""
        if connection.attempt is not None:
            self.children.check(connection.attempt, message)
            if isinstance(message, Asking):
                self.children.ask(connection, connection.attempt, message)
                return
        self._acts[type(message)](connection, message)

    def now(self) -> float:
        """The store's time."""
        return self._store.now()

    def left(self, connection: Connection) -> None:
        """A connection is over: its session has a little time to come back, its waits are forgotten."""
        self.connections.pop(connection, None)
        self._vouching.left(connection)
        self._requests.forget(connection, connection.awaited)
        live = self._live(connection)
        if live is None:
            return
        if live.voice is connection:
            live.voice = None
        elif connection in live.watchdogs:
            live.watchdogs.remove(connection)
        if live.voice is None and not live.watchdogs:
            now = self._store.now()
            if connection.restarting:  # the worker lives, and has nowhere to come back to yet
                live.lease_until = now + self._settings.lease + self._settings.grace
            else:
                live.grace_until = max(now + self._settings.grace, live.spared_until)
            self.rescue()

    def patient(self, connection: Connection) -> bool:
        """Whether a watchdog vouches for the peer, whose loop is blocked."""
        live = self._live(connection)
        return live is not None and live.voice is connection and bool(live.watchdogs)

    def _live(self, connection: Connection) -> Live | None:
        return self._roster.sessions.get(connection.session) if connection.session else None

    def _mine(self, connection: Connection) -> Live:
        live = self._live(connection)
        if live is None:
            raise ProtocolError("the session is lost; say hello again", SLOW)
        return live

    # -- coming and going

    def _hello(self, connection: Connection, hello: Hello) -> None:
        if hello.role == "worker":
            self._nursery.spawn(self._welcome(connection, hello), "welcome")
            return
        if hello.role == "watchdog":
            live = self._roster.of_worker(hello.worker_id)
            if live is None and not self._store.single_manager:
                self._nursery.spawn(self._vouching.welcome(connection, hello), "watchdog")
                return
            if live is None:
                raise ProtocolError("a watchdog without a session", BROKEN)
            connection.session = live.row.id
            live.watchdogs.append(connection)
            live.grace_until = None
        connection.welcome(Welcome(limits=self._settings.told()))
        if connection.attempt is not None:
            self._outcomes_of_child(connection, hello.unacked)

    async def _welcome(self, connection: Connection, hello: Hello) -> None:
        try:
            live = await self._reception.welcome(connection, hello)
        except ProtocolError as error:
            connection.close(error.code, str(error))
            return
        except RegistrationError as error:
            connection.close(UNFIT, str(error))
            return
        if live is not None:
            self._outcomes(connection, live, hello.unacked)
        self.rescue()  # there may be a session now that nobody watches yet

    def _register(self, connection: Connection, message: Register) -> None:
        try:
            self._reception.register(self._mine(connection), message.tasks)
        except RegistrationError as error:
            raise ProtocolError(str(error), UNFIT) from None

    def _goodbye(self, connection: Connection, message: Goodbye) -> None:
        live = self._live(connection)
        if live is None or live.voice is not connection:
            return
        for job in list(live.held.values()):
            self._committer.add(Word(job.id, HandedBack(job.attempt, job.token or "", "the worker left")))
        self._committer.add(Chore([LoseSession(live.row.id, live.row.epoch, self._store.now())]))
        live.leaving = True
        self._roster.remove(live)
        connection.close(1000, "goodbye")

    # -- attempts

    def _started(self, connection: Connection, message: Started) -> None:
        self._confirm(self._mine(connection), message.jobs)

    def _confirm(self, live: Live, jobs: list[Held]) -> None:
        """These have arrived; a word about an older attempt says nothing of the one that is on its way."""
        for held in jobs:
            job = live.held.get(held.job)
            if job is not None and job.attempt == held.attempt:
                live.unconfirmed.pop(held.job, None)

    def _finished(self, connection: Connection, message: Finished) -> None:
        if connection.attempt is not None:
            self._outcomes_of_child(connection, message.outcomes)
        else:
            self._outcomes(connection, self._mine(connection), message.outcomes)

    def _outcomes_of_child(self, connection: Connection, outcomes: list[Outcome]) -> None:
        """What a child process says itself. Its worker's slot stays taken until it is recorded."""
        for outcome in outcomes:
            row = self._roster.running.get(outcome.job)
            live = self._roster.sessions.get(row.session or "") if row is not None else None
            if row is not None and live is not None:
                self._count(live, row, outcome)
            if connection.attempt is not None:
                self._telling.ended_by_child(connection.attempt)
            self._committer.add(Word(outcome.job, self._event(outcome), _Acknowledge(connection)))

    def _outcomes(self, connection: Connection, live: Live, outcomes: list[Outcome]) -> None:
        add, done = self._committer.add, _Acknowledge(connection)
        for outcome in outcomes:
            mine = live.held.get(outcome.job)
            if mine is not None and mine.token == outcome.token:
                del live.held[outcome.job]  # its slot is free at once, for the claim of the very commit that records it
                live.unconfirmed.pop(outcome.job, None)
                self._count(live, mine, outcome)
            add(Word(outcome.job, self._event(outcome), done))

    def _count(self, live: Live, job: Job, outcome: Outcome) -> None:
        """A worker whose jobs fail one after the other is noticed."""
        if outcome.end == "failed":
            self._breaker.failed(live, job, self._store.now())
        elif live.streak is not None and outcome.end == "completed":
            self._breaker.completed(live)

    def _event(self, outcome: Outcome) -> Event:
        """The fact that an outcome states, its texts judged: what is stored is JSON within the limits."""
        if outcome.end == "completed":
            result = bytes(outcome.result)
            limits = self._settings.limits
            if len(result) > limits.result:
                reason = error_text("ResultTooLarge", f"a result of {len(result)} bytes; {limits.result} are allowed")
                return Failed(outcome.attempt, outcome.token, reason, final=True)
            try:
                # a frame's decoder passes over raw values without looking into their strings
                parse(result, limits.depth, "result")
            except BadRequest as error:
                return Failed(outcome.attempt, outcome.token, error_text("ResultRefused", str(error)), final=True)
            return Completed(outcome.attempt, outcome.token, result.decode())
        if outcome.end == "failed":
            text = self._error_text(bytes(outcome.error))
            delay = None if outcome.delay is None else min(max(0.0, outcome.delay), 365 * 86400.0)
            return Failed(outcome.attempt, outcome.token, text, outcome.final, delay)
        if outcome.end == "stopped":
            return Stopped(outcome.attempt, outcome.token)
        return HandedBack(outcome.attempt, outcome.token, outcome.reason[:1000])

    def _error_text(self, raw: bytes) -> str:
        most = self._settings.limits.traceback
        try:
            error = _error(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return error_text("Error", "the worker reported an error that cannot be read")
        error.type = error.type[:500]
        error.message = error.message[:most]
        error.traceback = error.traceback[-most:]
        return msgspec.json.encode(error).decode()

    def _credit(self, connection: Connection, message: Credit) -> None:
        live = self._mine(connection)
        live.parked = max(0, min(message.parked, len(live.held)))
        live.slots = max(0, min(MOST_SLOTS, message.slots))
        self._committer.poke()

    def _toggle(self, connection: Connection, message: Toggle) -> None:
        self._nursery.spawn(self._toggled(connection, self._mine(connection), message.pause), "toggle")

    async def _toggled(self, connection: Connection, live: Live, pause: bool) -> None:
        await self._pausing.toggle(live, pause)
        connection.send(Toggled(pause))

    # -- leases

    def _heartbeat(self, connection: Connection, message: Heartbeat) -> None:
        if self._vouching.heartbeat(connection):
            return
        live = self._mine(connection)
        now = self._store.now()
        live.seen_at = now
        live.lease_until = now + self._settings.lease
        self._committer.add(Chore([Renew(live.row.id, live.row.epoch, live.lease_until)]))
        self._confirm(live, message.held)
        if connection is not live.voice:
            self._blocked(live, message.blocked)
            return
        if live.blocked is not None:
            log.info("worker %s is free again", live.row.name)
            live.blocked = None
            self._committer.poke()
        self._uncovered(live, {held.job: held.attempt for held in message.held})
        oldest = next(iter(live.unconfirmed.values()), None)
        if oldest is not None and now - oldest > self._settings.assignment:
            raise ProtocolError("an assignment was not acknowledged", SLOW)

    def _uncovered(self, live: Live, named: dict[str, int]) -> None:
        """A lease covers what the heartbeat named and what was sent just now; all else never reached the worker."""
        for job in list(live.held.values()):
            if named.get(job.id) != job.attempt and job.id not in live.unconfirmed:
                del live.held[job.id]
                self._committer.add(Word(job.id, NeverStarted(job.attempt, job.token or "")))

    def _blocked(self, live: Live, by: str | None) -> None:
        """A watchdog speaks while the loop does not turn: what the worker has not taken up goes elsewhere."""
        if by is None:
            return
        if live.blocked is None:
            log.warning("worker %s: its loop is blocked by %s", live.row.name, by)
        live.blocked = by
        withdrawn = [live.held[id] for id in live.unconfirmed if id in live.held]
        live.unconfirmed.clear()
        for job in withdrawn:
            live.held.pop(job.id, None)
            self._committer.add(Word(job.id, NeverStarted(job.attempt, job.token or "")))
        if withdrawn and live.voice is not None:
            live.voice.send(Withdraw([Held(job.id, job.attempt, job.token or "") for job in withdrawn]))


class _Acknowledge:
    """Tells a worker what became of an outcome, after the commit."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, word: Word, judgement: Judgement, row: Job | None) -> None:
        if judgement == "applied" or judgement == "duplicate":
            self._connection.judged(word.id, judgement)
        else:
            self._connection.judged(word.id, "stale")
