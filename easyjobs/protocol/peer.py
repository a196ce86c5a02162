"""The rules of a connection that workers and clients share: greet, say what is due, notice silence, submit and await.

Sans-I/O, and time is an argument (seconds of a clock that only grows). Whoever owns the socket calls

- `connected` when it is open, `disconnected` when it is gone (each may follow the other for ever);
- `receive` with each frame, and acts upon the messages that it returns;
- `frame` until it says None, after each turn in which anything else was called;
- `handle_timer` when `timer` is due, and leaves the connection when that gives a reason.

What was submitted or awaited is said again after each reconnect until it is answered: a submission carries an id of
its sender's making, so that saying it twice makes one job.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final, Literal

from easyjobs.protocol.codec import decode_from_manager, encode
from easyjobs.protocol.messages import (
    Accepted,
    FromManager,
    FromPeer,
    Hello,
    Limits,
    Ping,
    Refusal,
    Result,
    Submission,
    Submit,
    Welcome,
)
from easyjobs.protocol.outbox import Outbox, size_of_batch, size_of_id, size_of_other, size_of_submission

PATIENCE: Final = 2.4
"""A manager that says nothing for so many of its heartbeats is left: 12 s by default."""

LATE: Final = 0.25
"""A timer handled later than this share of a heartbeat says that we slept ourselves."""


class Peer(ABC):
    """One worker or client, across all of its connections."""

    def __init__(self) -> None:
        self.limits = Limits()
        self.ignored = 0
        """How many words of the manager made no sense here: unknown jobs, repeated or misplaced messages."""
        self._state: Literal["away", "greeting", "here"] = "away"
        self._greeted = False
        self._heard_at = 0.0
        self._beat_at = 0.0
        self._outbox = Outbox()
        self._submitted: dict[str, Submission] = {}
        self._batches: list[Submit] = []
        self._awaited: dict[str, None] = {}
        self._cancelled: dict[str, float] = {}

    # -- what the owner of the socket calls

    @property
    def welcomed(self) -> bool:
        """Whether there is a connection on which the manager has answered `hello`."""
        return self._state == "here"

    @property
    def outstanding(self) -> int:
        """How many submissions are not answered yet."""
        return len(self._submitted)

    def connected(self, now: float) -> None:
        """A socket is open and authenticated; the next `frame` is the greeting."""
        self._state = "greeting"
        self._greeted = False
        self._heard_at = self._beat_at = now
        self._outbox = Outbox()

    def disconnected(self) -> None:
        """The socket is gone. What is not answered will be said again. May be called twice."""
        self._state = "away"

    def receive(self, frame: bytes | str, now: float) -> list[FromManager]:
        """What a frame of the manager asks for; words that make no sense here are left out and counted.

        :raises ProtocolError: the frame cannot be read; close the connection with its code.
        """
        self._heard_at = now
        orders: list[FromManager] = []
        for message in decode_from_manager(frame):
            kind = type(message)
            if kind is Ping:
                continue
            expected = self._state == "greeting" and self._greeted if kind is Welcome else self._state == "here"
            if expected:
                self._understand(message, now, orders)
            else:
                self.ignored += 1
        return orders

    def frame(self, now: float) -> bytes | None:
        """The next frame to send; None when there is nothing to say now."""
        if self._state == "here":
            self._gather()
            frame = self._outbox.frame(self.limits.frame)
            if frame is not None:
                self._spoke(now)
            return frame
        if self._state == "greeting" and not self._greeted:
            self._greeted = True
            return encode([self._hello()])
        return None

    def timer(self) -> float | None:
        """When `handle_timer` is due; None without a connection. Ask again after `receive`."""
        if self._state == "away":
            return None
        silence = self._heard_at + PATIENCE * self.limits.heartbeat
        return silence if self._state == "greeting" else min(silence, self._beat_at + self.limits.heartbeat)

    def handle_timer(self, now: float) -> str | None:
        """Say what is due by now. A reason to leave the connection, if there is one."""
        due = self.timer()
        if due is None or now < due:
            return None
        heartbeat = self.limits.heartbeat
        if now - due > LATE * heartbeat:
            # it was we who slept: what the manager said meanwhile lies unread in the socket
            self._heard_at = max(self._heard_at, now - (PATIENCE - 1) * heartbeat)
        if now >= self._heard_at + PATIENCE * heartbeat:
            return f"the manager was silent for {now - self._heard_at:.1f} s"
        if self._state == "here" and now >= self._beat_at + heartbeat:
            self._beat_at = now
            self._say(self._beat())
        return None

    # -- what the owner of the jobs calls

    def submit(self, jobs: Iterable[Submission]) -> None:
        """Make jobs, each judged alone; `Accepted` or `Refusal` will name each id."""
        for job in jobs:
            self._submitted[job.id] = job
            if self._state == "here":
                self._outbox.submissions.append(job)
                self._outbox.size += size_of_submission(job)

    def submit_together(self, jobs: list[Submission]) -> None:
        """Make all of these jobs or none; they must fit into one frame (`outbox.size_of_batch`)."""
        batch = Submit(jobs, together=True)
        self._batches.append(batch)
        for job in jobs:
            self._submitted[job.id] = job
        if self._state == "here":
            self._outbox.batches.append(batch)
            self._outbox.size += size_of_batch(batch)

    def expect(self, id: str) -> None:
        """Ask for the end of a job; `Result` or `Refusal` will name it. May be called again."""
        if id not in self._awaited:
            self._awaited[id] = None
            if self._state == "here":
                self._outbox.awaits.append(id)
                self._outbox.size += size_of_id(id)

    def forget(self, id: str) -> None:
        """Nobody here waits for the job any more, nor for the answer to its submission. May be called again."""
        job = self._submitted.pop(id, None)
        if id in self._awaited or (job is not None and job.wait):
            self._awaited.pop(id, None)
            if self._state == "here":
                self._outbox.forgets.append(id)
                self._outbox.size += size_of_id(id)

    def cancel(self, id: str, now: float) -> None:
        """Ask that a job stop, whoever runs it. Nothing answers; said again if the connection is lost soon after."""
        self._cancelled = {i: at for i, at in self._cancelled.items() if now - at < self.limits.silence}
        self._cancelled[id] = now
        if self._state == "here":
            self._outbox.cancels.append(id)
            self._outbox.size += size_of_id(id)

    # -- what the two sides fill in

    @abstractmethod
    def _hello(self) -> Hello:
        """The greeting as of now."""

    @abstractmethod
    def _beat(self) -> FromPeer:
        """What is said when a heartbeat is due."""

    @abstractmethod
    def _spoke(self, now: float) -> None:
        """A frame leaves."""

    @abstractmethod
    def _gather(self) -> None:
        """Put into the outbox what is kept elsewhere until a frame leaves."""

    def _understand(self, message: FromManager, now: float, orders: list[FromManager]) -> None:
        """Note what a message says; what is left to do about it goes to `orders`."""
        match message:
            case Accepted():
                self._accepted(message)
            case Result():
                self._result(message)
            case Refusal():
                self._refused(message)
            case Welcome():
                self._welcome(message, now, orders)
            case _:
                self.ignored += 1
                return
        orders.append(message)

    # -- how it works

    def _say(self, message: FromPeer) -> None:
        self._outbox.others.append(message)
        self._outbox.size += size_of_other(message)

    def _welcome(self, welcome: Welcome, now: float, orders: list[FromManager]) -> None:
        self.limits = welcome.limits
        self._state = "here"
        box = self._outbox
        self._prune_batches()
        whole = {job.id for batch in self._batches for job in batch.jobs}
        box.batches = list(self._batches)
        box.submissions = [job for id, job in self._submitted.items() if id not in whole]
        box.awaits = list(self._awaited)
        box.cancels = [id for id, at in self._cancelled.items() if now - at < self.limits.silence]
        box.size += sum(map(size_of_batch, box.batches)) + sum(map(size_of_submission, box.submissions))
        box.size += sum(map(size_of_id, box.awaits)) + sum(map(size_of_id, box.cancels))

    def _accepted(self, message: Accepted) -> None:
        for id in message.ids:
            job = self._submitted.pop(id, None)
            if job is None:
                self.ignored += 1
            elif job.wait:
                self._awaited[id] = None
        for id, other in message.instead:
            job = self._submitted.pop(id, None)
            if job is None:
                self.ignored += 1
            elif job.wait:
                self._awaited[other] = None
        if self._batches:
            self._prune_batches()

    def _result(self, message: Result) -> None:
        known = [ended for ended in message.jobs if self._settled(ended.id)]
        if len(known) < len(message.jobs):
            self.ignored += len(message.jobs) - len(known)
            message.jobs = known

    def _refused(self, message: Refusal) -> None:
        known = [id for id in message.ids if self._settled(id)]
        self.ignored += len(message.ids) - len(known)
        if self._batches:
            self._prune_batches()

    def _settled(self, id: str) -> bool:
        """The last word about a job has come: whether it was waited for."""
        awaited = id in self._awaited
        if awaited:
            del self._awaited[id]
        return self._submitted.pop(id, None) is not None or awaited

    def _prune_batches(self) -> None:
        self._batches = [b for b in self._batches if any(job.id in self._submitted for job in b.jobs)]
