"""The worker's side of the wire: what it holds, which outcomes are not acknowledged, and what a welcome makes of both.

An attempt is the worker's from its assignment to the acknowledgement of its outcome, through any number of
connections. One that the manager gave to somebody else meanwhile is withdrawn, and what it ends with is dropped here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from easyjobs.core.task import TaskSpec
from easyjobs.protocol.logs import AttemptLog, shortened, speakable
from easyjobs.protocol.messages import (
    Ack,
    Assign,
    Assignment,
    Cancel,
    Credit,
    Drain,
    FromManager,
    FromPeer,
    Goodbye,
    Heartbeat,
    Held,
    Hello,
    Logged,
    Outcome,
    PauseWork,
    Progress,
    ResumeWork,
    Toggle,
    Toggled,
    Welcome,
    Withdraw,
)
from easyjobs.protocol.outbox import (
    size_of_held,
    size_of_log,
    size_of_outcome,
    size_of_progress,
    size_of_task,
)
from easyjobs.protocol.peer import Peer

MOST_UNACKED: Final = 10_000
MOST_UNACKED_BYTES: Final = 32 * 1024 * 1024
CONFIRM: Final = 0.2
"""An assignment is acknowledged with `started` after this share of a heartbeat, if it was not finished before."""

NOTE: Final = 1024
"""The most bytes of a progress note."""


class WorkerSide(Peer):
    """A worker across its connections.

    :param hello: who it is; the rest of the greeting (tasks, slots, what it holds) is filled in at each connection.
    :param most_unacked: outcomes, and `most_bytes`: their bytes, beyond which it asks for no work until some are
        acknowledged.
    """

    def __init__(
        self, hello: Hello, slots: int, *, most_unacked: int = MOST_UNACKED, most_bytes: int = MOST_UNACKED_BYTES
    ) -> None:
        super().__init__()
        self._who = hello
        self._slots = slots
        self._parked = 0
        self._told = (0, slots)
        self._most_unacked = most_unacked
        self._most_bytes = most_bytes
        self._full = False
        self._tasks: dict[tuple[str, str], TaskSpec] = {}
        self._held: dict[str, Assignment] = {}
        self._fresh: dict[str, None] = {}  # assigned, and not acknowledged in any way yet
        self._fresh_since = 0.0
        self._confirming = False
        self._unacked: dict[str, Outcome] = {}
        self._unacked_bytes = 0
        self._superseded: dict[str, int] = {}
        self._in_hello: list[str] = []
        self._logs: dict[str, AttemptLog] = {}
        self._logs_due: dict[str, None] = {}
        self._last_logs: dict[str, tuple[AttemptLog, int]] = {}  # of outcomes not acknowledged; with the bytes it had
        self._progress: dict[str, Progress] = {}
        self._untold: list[TaskSpec] = []  # tasks that came after the greeting, or had no room in it
        self._wish: bool | None = None  # to be paused or not, until the manager has answered
        self.dropped = 0
        """How many outcomes came from attempts that were not this worker's any more."""

    # -- what the owner of the jobs calls

    @property
    def held(self) -> int:
        """How many attempts are in hand."""
        return len(self._held)

    @property
    def unacked(self) -> int:
        """How many outcomes wait for their acknowledgement."""
        return len(self._unacked)

    def register(self, specs: Iterable[TaskSpec]) -> None:
        """Offer these tasks, from now on and in every greeting. May be called again with the same."""
        for spec in specs:
            self._tasks[spec.queue, spec.name] = spec
            if self._state != "away":
                self._untold.append(spec)

    def offer(self, slots: int, parked: int) -> None:
        """There are so many slots, and so many held attempts have given theirs away. Told when it changed."""
        self._slots = slots
        self._parked = parked

    def finish(self, outcome: Outcome) -> bool:
        """An attempt has ended. False when it is not this worker's any more: then nobody hears of it."""
        held = self._held.get(outcome.job)
        if held is None or held.token != outcome.token:
            self.dropped += 1
            return False
        del self._held[outcome.job]
        self._fresh.pop(outcome.job, None)
        size = size_of_outcome(outcome)
        self._unacked[outcome.job] = outcome
        self._unacked_bytes += size
        if self._logs:
            self._end_log(outcome.job)
        if self._state == "here":
            self._outbox.outcomes.append(outcome)
            self._outbox.size += size
        if len(self._unacked) >= self._most_unacked or self._unacked_bytes >= self._most_bytes:
            self._full = True
        return True

    def log(self, job: str, at: float, level: str, text: str) -> None:
        """A line of an attempt in hand; `at` in seconds since 1970. Others are dropped."""
        held = self._held.get(job)
        if held is None:
            return
        book = self._logs.get(job)
        if book is None:
            book = self._logs[job] = AttemptLog(held.job, held.attempt, held.token)
        book.add(at, level, text, self.limits)
        self._logs_due[job] = None

    def progress(self, job: str, value: float | None, note: str) -> None:
        """How far an attempt in hand is. Only the newest word in a frame is sent."""
        held = self._held.get(job)
        if held is not None:
            note = shortened(speakable(note), NOTE)
            self._progress[job] = Progress(held.job, held.attempt, held.token, value, note)

    def named(self) -> list[Held]:
        """What a heartbeat must name: attempts in hand, and those whose outcome is not acknowledged."""
        mine: list[Assignment | Outcome] = [*self._held.values(), *self._unacked.values()]
        return [Held(a.job, a.attempt, a.token) for a in mine]

    def toggle(self, pause: bool) -> None:
        """Have this worker paused or resumed; a `Toggled` follows when it is durable. The last word counts."""
        self._wish = pause
        if self._state == "here":
            self._say(Toggle(pause))

    def goodbye(self) -> None:
        """Leave for good. Only when nothing is held and nothing unacknowledged."""
        self._say(Goodbye())

    # -- how it works

    def connected(self, now: float) -> None:
        """A socket is open and authenticated; the next `frame` is the greeting, with all that is in hand."""
        super().connected(now)
        books = [*self._logs.items(), *((job, book) for job, (book, _) in self._last_logs.items())]
        self._logs_due = {job: None for job, book in books if book.again()}
        self._fresh = {}
        self._confirming = False
        self._superseded = {}

    def timer(self) -> float | None:
        """When `handle_timer` is due; None without a connection. Ask again after `receive`."""
        due = super().timer()
        if due is None or not self._fresh or self._confirming:
            return due
        return min(due, self._fresh_since + CONFIRM * self.limits.heartbeat)

    def handle_timer(self, now: float) -> str | None:
        """Say what is due by now. A reason to leave the connection, if there is one."""
        reason = super().handle_timer(now)
        self._confirming |= bool(self._fresh) and now >= self._fresh_since + CONFIRM * self.limits.heartbeat
        return reason

    def _hello(self) -> Hello:
        """As much as fits: outcomes that do not are named as held and sent after the welcome, tasks follow too."""
        room = self.limits.frame - 4096
        held = [Held(a.job, a.attempt, a.token) for a in self._held.values()]
        room -= sum(map(size_of_held, held))
        unacked: list[Outcome] = []
        for outcome in self._unacked.values():
            size = size_of_outcome(outcome)
            if size <= room and outcome.job not in self._last_logs:  # which must come first
                unacked.append(outcome)
                room -= size
            else:
                held.append(Held(outcome.job, outcome.attempt, outcome.token))
        tasks: list[TaskSpec] = []
        self._untold = []
        for spec in self._tasks.values():
            room -= size_of_task(spec)
            (tasks if room >= 0 else self._untold).append(spec)
        self._told = (0, 0 if self._full else self._slots)
        self._in_hello = [h.job for h in held]
        self._who = msgspec.structs.replace(self._who, number=self._who.number + 1)
        return msgspec.structs.replace(self._who, tasks=tasks, slots=self._told[1], held=held, unacked=unacked)

    def _beat(self) -> FromPeer:
        self._fresh, self._confirming = {}, False  # to be named in a heartbeat is as good
        for job, book in self._logs.items():
            if book.over and book.refill(self.limits):
                self._logs_due[job] = None
        return Heartbeat(self.named())

    def _spoke(self, now: float) -> None:
        """A heartbeat is due however much else is said: only it names what is held."""

    def _gather(self) -> None:
        box = self._outbox
        if self._untold:
            box.tasks.extend(self._untold)
            box.size += sum(map(size_of_task, self._untold))
            self._untold = []
        # a heartbeat that was put there before they came would be heard after this, and say that they are not in hand
        if self._confirming and not box.others:
            for job in self._fresh:
                a = self._held[job]
                started = Held(job, a.attempt, a.token)
                box.started.append(started)
                box.size += size_of_held(started)
            self._fresh = {}
            self._confirming = False
        if self._progress:
            box.progress.extend(self._progress.values())
            box.size += sum(map(size_of_progress, self._progress.values()))
            self._progress = {}
        if self._logs_due:
            logs = [log for job in self._logs_due for log in self._book(job).take(self.limits)]
            box.logs.extend(logs)
            box.size += sum(map(size_of_log, logs))
            self._logs_due = {}
        credit = (self._parked, 0 if self._full else self._slots)
        if credit != self._told:
            self._told = credit
            self._say(Credit(*credit))

    def _understand(self, message: FromManager, now: float, orders: list[FromManager]) -> None:
        match message:
            case Assign():
                self._assigned(message, now, orders)
            case Ack():
                for ids in (message.applied, message.duplicate, message.stale):
                    for id in ids:
                        self._acknowledged(id)
            case Logged():
                for id, attempt, number in message.jobs:
                    self._stored(id, attempt, number)
            case Cancel():
                mine = [h for h in message.jobs if self._is_mine(h)]
                if mine:
                    orders.append(Cancel(mine))
            case Withdraw():
                self._withdrawn(message, orders)
            case Toggled():
                if message.pause != self._wish:
                    self.ignored += 1  # there was a later word
                    return
                self._wish = None
                orders.append(message)
            case PauseWork() | ResumeWork() | Drain():
                orders.append(message)
            case _:
                super()._understand(message, now, orders)

    def _assigned(self, message: Assign, now: float, orders: list[FromManager]) -> None:
        if not self._fresh:
            self._fresh_since = now
        begun: list[Assignment] = []
        for a in message.jobs:
            job = a.job
            mine = self._held.get(job) or self._unacked.get(job)
            if mine is not None:
                if mine.attempt >= a.attempt:
                    self.ignored += 1  # the same attempt is never run twice
                    continue
                self._replace(mine, orders)
            self._held[job] = a
            self._fresh[job] = None
            begun.append(a)
        if begun:
            orders.append(Assign(begun))

    def _replace(self, mine: Assignment | Outcome, orders: list[FromManager]) -> None:
        """The manager has gone on to a newer attempt of the same job, and gives it to us."""
        if isinstance(mine, Assignment):
            self._withdraw([Held(mine.job, mine.attempt, mine.token)], orders)
        else:
            # the word that acknowledges the old outcome is still on its way: it must not be taken for the new one's
            self._forget_outcome(mine.job)
            self._superseded[mine.job] = self._superseded.get(mine.job, 0) + 1

    def _is_mine(self, h: Held) -> bool:
        held = self._held.get(h.job)
        if held is not None and held.token == h.token:
            return True
        self.ignored += 1
        return False

    def _withdrawn(self, message: Withdraw, orders: list[FromManager]) -> None:
        running: list[Held] = []
        for h in message.jobs:
            outcome = self._unacked.get(h.job)
            if outcome is not None and outcome.token == h.token:
                self._forget_outcome(h.job)
            elif self._is_mine(h):
                running.append(h)
        self._withdraw(running, orders)

    def _withdraw(self, jobs: list[Held], orders: list[FromManager]) -> None:
        for h in jobs:
            del self._held[h.job]
            self._fresh.pop(h.job, None)
            self._logs.pop(h.job, None)
            self._logs_due.pop(h.job, None)
            self._progress.pop(h.job, None)
        if jobs:
            orders.append(Withdraw(jobs))

    def _acknowledged(self, job: str) -> None:
        older = self._superseded.get(job)
        if older is not None:
            if older == 1:
                del self._superseded[job]
            else:
                self._superseded[job] = older - 1
        elif job in self._unacked:
            self._forget_outcome(job)
        else:
            self.ignored += 1

    def _forget_outcome(self, job: str) -> None:
        self._unacked_bytes -= size_of_outcome(self._unacked.pop(job))
        if self._last_logs and job in self._last_logs:
            self._unacked_bytes -= self._last_logs.pop(job)[1]
            self._logs_due.pop(job, None)
        if self._full:
            # half, so that a worker at the bound does not tell its credit with every outcome
            self._full = len(self._unacked) * 2 > self._most_unacked or self._unacked_bytes * 2 > self._most_bytes

    def _welcome(self, welcome: Welcome, now: float, orders: list[FromManager]) -> None:
        super()._welcome(welcome, now, orders)
        self._who = msgspec.structs.replace(self._who, session=welcome.session)
        if self._wish is not None:
            self._say(Toggle(self._wish))
        verdicts = {(v.job, v.attempt): v.verdict for v in welcome.verdicts}
        lost: list[Held] = []
        for job in self._in_hello:
            mine = self._held.get(job) or self._unacked[job]
            keep = verdicts.get((job, mine.attempt)) == "keep"
            if isinstance(mine, Outcome):
                if keep:
                    self._outbox.outcomes.append(mine)
                    self._outbox.size += size_of_outcome(mine)
                else:
                    self._forget_outcome(job)
            elif not keep:
                lost.append(Held(job, mine.attempt, mine.token))
        self._in_hello = []
        self._withdraw(lost, orders)

    def _end_log(self, job: str) -> None:
        book = self._logs.pop(job, None)
        if book is not None and (size := book.size):
            book.end()
            self._last_logs[job] = (book, size)
            self._unacked_bytes += size
            self._logs_due[job] = None

    def _book(self, job: str) -> AttemptLog:
        return self._logs[job] if job in self._logs else self._last_logs[job][0]

    def _stored(self, job: str, attempt: int, number: int) -> None:
        if job in self._logs or job in self._last_logs:
            book = self._book(job)
            if book.attempt == attempt:
                book.stored(number)
                return
        self.ignored += 1
