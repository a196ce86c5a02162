"""One attempt in a child process, from its start to its end: what the two say, deadlines, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

from easyjobs.background import Nursery
from easyjobs.executors.child import Child
from easyjobs.executors.pipe import (
    CUT_OFF,
    HEAD,
    Begun,
    Dials,
    Done,
    Drop,
    FromChild,
    FromWorker,
    Handed,
    HangsUp,
    Order,
    Parks,
    Reached,
    Recorded,
    Report,
    Resumed,
    Resumes,
    Says,
    Told,
    decode_from_child,
    word,
)
from easyjobs.executors.ran import Ran, failed
from easyjobs.executors.relay import Relay, Way
from easyjobs.executors.watching import Watching
from easyjobs.tasks.context import LEVELS, JobContext

LINGER: Final = 5.0
"""Seconds that a child whose outcome is settled may take to exit."""


class ChildAttempt(Watching):
    """Watches over one child. Make it, give `say` to `Child.start`, then `run` it, once.

    :param stored: waits until the lines of a job are stored. `script`: the file that runs, None for a function. `way`:
        makes the child a link to the manager through us, where it has no other.
    """

    def __init__(
        self,
        context: JobContext,
        grace: float,
        nursery: Nursery,
        stored: Callable[[str], Awaitable[None]],
        script: Path | None,
        no_retry_on: tuple[str, ...],
        way: Callable[[], Way] | None = None,
    ) -> None:
        super().__init__(context, grace, no_retry_on)
        self._nursery = nursery
        self._stored = stored
        self._script = script
        self._writer: asyncio.StreamWriter | None = None
        self._parked: dict[int, asyncio.Event] = {}
        self._waits: list[asyncio.Task[None]] = []
        self._begun = False
        self._relay = None if way is None else Relay(way, self._tell, nursery)

    async def run(self, child: Child, order: Order, timeout: float | None, longest: int) -> Ran:
        """Give the child its order and wait for its end.

        :param timeout: seconds from now. `longest`: the bytes of one word of the child's.
        """
        self._child = child
        conversation = self._nursery.spawn(self._converse(order, longest), "conversation")
        try:
            status = await self._exit(child, timeout, conversation)
        except asyncio.CancelledError as error:
            return failed(error, self._no_retry_on)
        finally:
            for wait in self._waits:
                wait.cancel()
        return self._end(status)

    def _silent(self) -> None:
        """The child lives, and has closed what it talks with us by."""
        if self._ran is None and self._over is None:
            self._over = ChildProcessError(
                "the child process became another program, or closed its connection to the worker, and was killed"
            )
        self.kill()

    def _settled(self, ran: Ran) -> None:
        """Nothing but its exit is awaited of the child now."""
        self._ran = ran
        self._timers.append(self._loop.call_later(LINGER, self.kill))

    # -- talking with the child

    async def _converse(self, order: Order, longest: int) -> None:
        if self._child is None or self._child.pipe is None:
            return
        reader, self._writer = await asyncio.open_connection(sock=self._child.pipe)
        try:
            self._writer.write(word(order))
            await self._writer.drain()
            while True:
                size = int.from_bytes(await reader.readexactly(HEAD), "big")
                if size > longest:
                    raise ConnectionAbortedError("its words are no words")
                message = decode_from_child(await reader.readexactly(size))
                if not isinstance(message, (Dials, Says, HangsUp)):
                    self._heard(message)
                elif self._relay is not None:
                    await self._relay.pass_on(message)
        except (asyncio.IncompleteReadError, OSError, msgspec.DecodeError):
            # it is gone and its exit decides; or nobody we can talk with, and without us it cannot end well
            self._timers.append(self._loop.call_later(LINGER, self._silent))
        finally:
            self._writer.close()
            if self._relay is not None:
                await self._relay.close()

    def _heard(self, message: FromChild) -> None:
        match message:
            case Told():
                level = message.level if message.level in LEVELS else "info"
                self._context._reporter.log(self._context.id, level, message.text)
            case Reached():
                self._context._reporter.progress(self._context.id, message.value, message.note)
            case Parks():
                self._parked[message.n] = asyncio.Event()
                self._waits.append(self._nursery.spawn(self._park(message.n), "wait"))
            case Resumes():
                if message.n in self._parked:
                    self._parked.pop(message.n).set()
            case Begun():
                self._begun = True
            case Done():
                self._waits.append(self._nursery.spawn(self._permit(), "permit"))
            case Recorded():
                self._settled(Ran("recorded"))
            case Handed():
                self._settled(message.ran)

    def _say(self, message: FromWorker) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(word(message))

    async def _tell(self, message: FromWorker) -> None:
        """Say it, and wait while the child reads nothing."""
        self._say(message)
        if self._writer is not None and not self._writer.is_closing():
            with contextlib.suppress(ConnectionError):
                await self._writer.drain()

    async def _park(self, n: int) -> None:
        awaited = self._parked[n]
        async with self._context.parked():
            await awaited.wait()
        self._say(Resumed(n))

    async def _permit(self) -> None:
        """What the job has logged must be stored before its outcome is: lines of a job that has ended are refused."""
        if self._child is not None:
            self._child.drain()
        await self._stored(self._context.id)
        if self._stopping:
            self._say(Drop())
            return
        if self._timeout is not None:
            self._timeout.cancel()
        self._say(Report())

    # -- its end

    def _end(self, status: int) -> Ran:
        if self._ran is not None:
            return self._ran
        if self._over is not None:
            return self._failed(self._over)
        if self._context._cancelled:
            return Ran("stopped")
        return self._failed(ChildProcessError(self._why(status)))

    def _why(self, status: int) -> str:
        if status == CUT_OFF and self._begun:
            return (
                "the task closed the file by which its child process talks with the worker, so its outcome is not known"
            )
        if status != 0:
            return f"the child process {self._ended_with(status)}"
        if self._script is not None and not self._begun:
            return (
                f"{self._script.name} ended without calling its function: mark it with @subprocess (from "
                "easyjobs.workers.task) and call it, without arguments, under `if __name__ == '__main__':`"
            )
        return f"the child process ended with status 0, but without a result{self._last()}"
