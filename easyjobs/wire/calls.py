"""Making jobs over a line, and awaiting them: what a worker and a client have in common as a `Caller`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Final

import msgspec

from easyjobs.clock import Clock
from easyjobs.core.task import is_name
from easyjobs.errors import (
    ConnectionLost,
    NotFound,
    Unauthorized,
    Unprocessable,
    WaitTimeout,
)
from easyjobs.ids import Ids
from easyjobs.protocol.messages import Accepted, Ended, FromManager, Refusal, Result, Submission
from easyjobs.protocol.outbox import size_of_submission
from easyjobs.protocol.peer import Peer
from easyjobs.tasks.context import current_job_or_none
from easyjobs.tasks.encoding import encode_arguments
from easyjobs.tasks.handle import Call, Caller, JobHandle
from easyjobs.wire.answers import outcome, refusal
from easyjobs.wire.line import Line
from easyjobs.wire.parts import PART_JOBS, Part, in_parts

MOST_JOBS: Final = 8_000
MOST_BYTES: Final = 8 * 1024 * 1024
MOST_EARLY: Final = 10_000


class Calls:
    """The jobs that somebody made over `peer` and waits for. The owner of the line passes on what it hears.

    :param owner: whom the handles ask.
    :param patience: seconds that a call waits for a manager to be reachable; None: as long as it takes, and however
        often it refuses us.
    """

    def __init__(
        self,
        peer: Peer,
        line: Line,
        owner: Caller,
        *,
        clock: Clock,
        ids: Ids,
        patience: float | None,
    ) -> None:
        self._peer = peer
        self._line = line
        self._owner = owner
        self._wake = line.wake
        self._clock = clock
        self._ids = ids
        self._patience = patience
        self._parts: dict[str, Part] = {}
        self._waiting: dict[str, list[asyncio.Future[Any]]] = {}
        self._early: dict[str, Ended] = {}
        self._jobs = 0
        self._bytes = 0
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._closed = False
        self._giving_up: asyncio.TimerHandle | None = None

    # -- what callers ask

    async def submit(self, calls: Sequence[Call], *, together: bool = False) -> list[JobHandle[Any]]:
        """As `Caller.submit`."""
        sent: list[tuple[Part, list[Submission]]] = []
        try:
            if len(calls) == 1:
                job = self._submission(calls[0])
                sent.append((await self._send([job], size_of_submission(job), together), [job]))
            else:
                async with self._turn:
                    submissions = await self._submissions(calls)
                    for jobs, size in in_parts(submissions, together, self._peer.limits.frame):
                        sent.append((await self._send(jobs, size, together), jobs))
                        await asyncio.sleep(0)  # it travels and is stored while the next one is made ready
            for part, _ in sent:
                await part.answered
        except BaseException:
            for part, jobs in sent:
                self._abandon(part, jobs)
            raise
        for part, _ in sent:
            if part.refused is not None:
                raise part.refused
        return [
            JobHandle(self._owner, part.stand_ins.get(job.id, job.id), job.queue, job.task)
            for part, jobs in sent
            for job in jobs
        ]

    async def result(self, id: str, timeout: float | None = None) -> Any:
        """As `Caller.result`. While it waits inside a job, that job's slot is free for others."""
        ended = self._early.pop(id, None)
        if ended is None:
            job = current_job_or_none()
            async with nullcontext() if job is None else job.parked():
                ended = await self._end(id, timeout)
        return outcome(ended)

    async def run(self, call: Call, timeout: float | None = None) -> Any:
        """Make a job and await its result, in one message each way; raises as `submit` and `result` do.

        With `timeout` (seconds, from now) the job goes on when it is over; its id is then in the error's text.
        """
        call.wait = True
        submission = self._submission(call)
        if not self._line.up:
            await self._reach()
        job = current_job_or_none()
        async with nullcontext() if job is None else job.parked():
            self._peer.submit((submission,))
            return outcome(await self._end(submission.id, timeout, asked=True))

    async def cancel(self, id: str) -> None:
        """As `Caller.cancel`."""
        await self._reach()
        self._peer.cancel(id, self._clock.monotonic())
        self._wake()

    # -- what the line tells

    def heard(self, message: FromManager) -> bool:
        """Take what concerns calls; False when it concerns somebody else."""
        kind = type(message)
        if kind is Accepted:
            self._accepted(message)  # type: ignore[arg-type]
        elif kind is Result:
            self._ended(message)  # type: ignore[arg-type]
        elif kind is Refusal:
            self._refused(message)  # type: ignore[arg-type]
        else:
            return False
        return True

    def line_changed(self, up: bool) -> None:
        """The line went up or down; what is outstanding is given up after `patience` seconds without it."""
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None
        if up:
            self._changed.set()
            return
        self._changed.set()
        if self._patience is not None:
            self._giving_up = asyncio.get_running_loop().call_later(self._patience, self.give_up)

    def close(self) -> None:
        """Nothing will be answered any more: everybody who waits, or asks from now on, is told."""
        self._closed = True
        if self._giving_up is not None:
            self._giving_up.cancel()
        self.give_up()

    def give_up(self) -> None:
        """Tell everybody who waits that no answer will come."""
        lost = f"the connection to the manager is lost: {self._why()}"
        for id, part in self._parts.items():
            self._peer.forget(id)
            if not part.answered.done():
                part.answered.set_exception(
                    ConnectionLost(
                        f"{lost}; whether the job was made is not known: with a key, making it again is safe"
                    )
                )
        for id, waiters in self._waiting.items():
            self._peer.forget(id)
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(ConnectionLost(lost))
        self._parts.clear()
        self._waiting.clear()
        self._jobs = self._bytes = 0
        self._changed.set()

    # -- submitting

    def _submission(self, call: Call) -> Submission:
        for name in (call.queue, call.task):
            if not is_name(name):
                wrong = f"{name[:128]!r} is no name (1 to 128 of A-Z a-z 0-9 _ . -)"
                raise NotFound(f"No task {call.queue[:128]!r}:{call.task[:128]!r}; {wrong}.")
        limits = self._peer.limits
        args, kwargs = encode_arguments(call.args, call.kwargs, limits.arguments, limits.depth)
        if call.key is not None and not _is_text(call.key):
            raise Unprocessable(
                "A key must be text of 1 to 1024 bytes.", errors=[{"loc": ["key"], "message": "no text"}]
            )
        job = current_job_or_none()
        return Submission(
            self._ids.job_id(self._clock.wall()),
            call.queue,
            call.task,
            msgspec.Raw(args),
            msgspec.Raw(kwargs),
            call.priority,
            call.delay,
            call.run_at,
            call.timeout,
            call.start_deadline,
            call.retries,
            call.key,
            None if job is None else job.id,
            call.wait,
        )

    async def _submissions(self, calls: Sequence[Call]) -> list[Submission]:
        """All calls are judged here before the first of them is sent."""
        submissions: list[Submission] = []
        for start in range(0, len(calls), PART_JOBS):
            if start:
                await asyncio.sleep(0)
            submissions += [self._submission(call) for call in calls[start : start + PART_JOBS]]
        return submissions

    async def _send(self, jobs: list[Submission], size: int, together: bool) -> Part:
        """Hand jobs to the line as soon as there is room for them there."""
        await self._reach()
        while self._jobs and (self._jobs + len(jobs) > MOST_JOBS or self._bytes + size > MOST_BYTES):
            self._changed.clear()
            await self._changed.wait()
            await self._reach()
        part = Part(len(jobs), size, asyncio.get_running_loop().create_future())
        for job in jobs:
            self._parts[job.id] = part
        self._jobs += len(jobs)
        self._bytes += size
        if together:
            self._peer.submit_together(jobs)
        else:
            self._peer.submit(jobs)
        self._wake()
        return part

    def _abandon(self, part: Part, jobs: list[Submission]) -> None:
        """Nobody waits for the answer any more."""
        if not part.answered.cancel() and not part.answered.cancelled():
            part.answered.exception()  # it was raised already for another part: asyncio need not complain
        for job in jobs:
            if self._parts.pop(job.id, None) is not None:
                self._peer.forget(job.id)
                self._answer(part)
        self._wake()

    def _accepted(self, message: Accepted) -> None:
        parts = self._parts
        for id in message.ids:
            part = parts.pop(id, None)
            if part is not None:
                self._answer(part)
        for id, other in message.instead:
            part = parts.pop(id, None)
            if part is not None:
                part.stand_ins[id] = other
                self._answer(part)
            elif other != id and (waiters := self._waiting.pop(id, None)) is not None:
                self._waiting.setdefault(other, []).extend(waiters)

    def _refused(self, message: Refusal) -> None:
        error = refusal(message)
        for id in message.ids:
            part = self._parts.pop(id, None)
            if part is not None:
                part.refused = part.refused or error
                self._answer(part)
            for waiter in self._waiting.pop(id, ()):
                if not waiter.done():
                    waiter.set_exception(error)

    def _answer(self, part: Part) -> None:
        part.left -= 1
        self._jobs -= 1
        if part.left == 0:
            self._bytes -= part.size
            if not part.answered.done():
                part.answered.set_result(None)
            self._changed.set()

    # -- awaiting

    async def _end(self, id: str, timeout: float | None, *, asked: bool = False) -> Ended:
        """:param asked: its submission has asked for it already, and waits to be sent."""
        loop = asyncio.get_running_loop()
        if not self._line.up and not asked:
            await self._reach()
        waiter: asyncio.Future[Ended] = loop.create_future()
        waiters = self._waiting.get(id)
        if waiters is None:
            self._waiting[id] = [waiter]
            if not asked:
                self._peer.expect(id)
            self._wake()
        else:
            waiters.append(waiter)
        timer = None if timeout is None else loop.call_later(timeout, _time_over, waiter, id, timeout)
        try:
            return await waiter
        except BaseException:
            self._leave(id, waiter)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _leave(self, id: str, waiter: asyncio.Future[Any]) -> None:
        """A waiter does not wait any more. Its job may have come to stand under another id meanwhile."""
        if waiter not in self._waiting.get(id, ()):
            id = next((i for i, waiters in self._waiting.items() if waiter in waiters), "")
        waiters = self._waiting.get(id)
        if waiters is not None:
            waiters.remove(waiter)
            if not waiters:
                del self._waiting[id]
                self._peer.forget(id)
                self._wake()

    def _ended(self, message: Result) -> None:
        for ended in message.jobs:
            part = self._parts.pop(ended.id, None)
            if part is not None:  # an end says that it was made, too
                self._answer(part)
            waiters = self._waiting.pop(ended.id, None)
            if waiters is None:
                self._keep(ended)
                continue
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(ended)

    def _keep(self, ended: Ended) -> None:
        """The end of a job came before its handle was awaited, which is about to happen."""
        self._early[ended.id] = ended
        if len(self._early) > MOST_EARLY:
            del self._early[next(iter(self._early))]

    # -- the line

    async def _reach(self) -> None:
        """Wait until the line stands."""
        if self._line.up and not self._closed:
            return
        try:
            async with asyncio.timeout(self._patience):
                while not (self._closed or self._line.up or self._line.over):
                    if self._line.denied is not None and self._patience is not None:
                        raise Unauthorized(str(self._line.denied))
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise ConnectionLost(f"no manager in {self._patience:g} s: {self._why()}") from None
        if self._closed or self._line.over:
            raise ConnectionLost(f"no manager: {self._why()}")

    def _why(self) -> str:
        return "it was closed here" if self._closed else self._line.reason


def _time_over(waiter: asyncio.Future[Any], id: str, timeout: float) -> None:
    if not waiter.done():
        waiter.set_exception(WaitTimeout(f"job {id} did not end within {timeout:g} s; it goes on"))


def _is_text(key: str) -> bool:
    try:
        return 0 < len(key.encode()) <= 1024
    except UnicodeEncodeError:
        return False
