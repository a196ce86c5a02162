"""One attempt in a child process, from its start to its end: what the two say, deadlines, and how it ended."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
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
    Done,
    Drop,
    FromChild,
    FromWorker,
    Handed,
    Order,
    Parks,
    Reached,
    Recorded,
    Report,
    Resumed,
    Resumes,
    Told,
    decode_from_child,
    word,
)
from easyjobs.executors.ran import Ran, failed
from easyjobs.tasks.context import LEVELS, JobContext
from easyjobs.tasks.safely import cut

LINGER: Final = 5.0
"""Seconds that a child whose outcome is settled may take to exit."""

LAST_LINES: Final = 20
LAST_LINE: Final = 1000


class ChildAttempt:
    """Watches over one child. Make it, give `say` to `Child.start`, then `run` it, once.

    :param grace: seconds from SIGTERM to SIGKILL. `stored`: waits until the lines of a job are stored. `script`: the
        file that runs, None for a function.
    """

    def __init__(
        self,
        context: JobContext,
        grace: float,
        nursery: Nursery,
        stored: Callable[[str], Awaitable[None]],
        script: Path | None,
        no_retry_on: tuple[str, ...],
    ) -> None:
        self._context = context
        self._grace = grace
        self._nursery = nursery
        self._stored = stored
        self._script = script
        self._no_retry_on = no_retry_on
        self._loop = asyncio.get_running_loop()
        self._child: Child | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._timeout: asyncio.TimerHandle | None = None
        self._parked: dict[int, asyncio.Event] = {}
        self._waits: list[asyncio.Task[None]] = []
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._begun = False
        self._stopping = False
        self._over: Exception | None = None
        self._ran: Ran | None = None

    def say(self, level: str, line: str) -> None:
        """The child printed a line."""
        self._lines.append(line[:LAST_LINE])
        self._context._reporter.log(self._context.id, level, line)

    async def run(self, child: Child, order: Order, timeout: float | None, longest: int) -> Ran:
        """Give the child its order and wait for its end.

        :param timeout: seconds from now. `longest`: the bytes of one word of the child's.
        """
        self._child = child
        conversation = self._nursery.spawn(self._converse(order, longest), "conversation")
        if timeout is not None:
            self._timeout = self._loop.call_later(timeout, self._time_over, timeout)
        self._context._stop = self._stop
        if self._context._cancelled:
            self._stop()
        try:
            status = await child.wait()
        except asyncio.CancelledError as error:
            return failed(error, self._no_retry_on)
        finally:
            self._context._stop = None
            if self._timeout is not None:
                self._timeout.cancel()
            for timer in self._timers:
                timer.cancel()
            await child.close(conversation)
            for wait in self._waits:
                wait.cancel()
        return self._end(status)

    def too_large(self, used: int, most: int) -> None:
        """The child uses more memory than it may."""
        if self._ran is None:
            self._over = MemoryError(
                f"the child process and what it started used {used / 2**20:.0f} MiB; "
                f"max_memory allows {most / 2**20:.0f} MiB"
            )
            self.kill()

    def kill(self) -> None:
        """End the child at once."""
        if self._child is not None:
            self._child.signal(signal.SIGKILL)

    def _silent(self) -> None:
        """The child lives, and has closed what it talks with us by."""
        if self._ran is None and self._over is None:
            self._over = ChildProcessError(
                "the child process became another program, or closed its connection to the worker, and was killed"
            )
        self.kill()

    # -- stopping

    def _stop(self) -> None:
        """SIGTERM to the group now, SIGKILL after the grace."""
        if not self._stopping and self._child is not None:
            self._stopping = True
            self._child.signal(signal.SIGTERM)
            self._timers.append(self._loop.call_later(self._grace, self.kill))

    def _time_over(self, timeout: float) -> None:
        if not self._context._cancelled:
            self._over = TimeoutError(f"the task took longer than its timeout of {timeout:g} s")
        self._stop()

    def _settled(self, ran: Ran) -> None:
        """Nothing but its exit is awaited of the child now."""
        self._ran = ran
        self._timers.append(self._loop.call_later(LINGER, self.kill))

    # -- talking with the child

    async def _converse(self, order: Order, longest: int) -> None:
        if self._child is None:
            return
        reader, self._writer = await asyncio.open_connection(sock=self._child.pipe)
        try:
            self._writer.write(word(order))
            await self._writer.drain()
            while True:
                size = int.from_bytes(await reader.readexactly(HEAD), "big")
                if size > longest:
                    raise ConnectionAbortedError("its words are no words")
                self._heard(decode_from_child(await reader.readexactly(size)))
        except (asyncio.IncompleteReadError, OSError, msgspec.DecodeError):
            # it is gone and its exit decides; or nobody we can talk with, and without us it cannot end well
            self._timers.append(self._loop.call_later(LINGER, self._silent))
        finally:
            self._writer.close()

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
        last = next((line for line in reversed(self._lines) if line.strip()), "")
        said = f": {last}" if last else ""
        if status == CUT_OFF and self._begun:
            return (
                "the task closed the file by which its child process talks with the worker, so its outcome is not known"
            )
        if status < 0:
            return f"the child process was killed by {_name_of(-status)}{said}"
        if status > 0:
            return f"the child process ended with status {status}{said}"
        if self._script is not None and not self._begun:
            return (
                f"{self._script.name} ended without calling its function: mark it with @subprocess (from "
                "easyjobs.workers.task) and call it, without arguments, under `if __name__ == '__main__':`"
            )
        return f"the child process ended with status 0, but without a result{said}"

    def _failed(self, error: Exception) -> Ran:
        if self._lines:
            text = cut("\n".join(self._lines), LAST_LINES * LAST_LINE)
            error.add_note(f"The last lines of its output:\n{text}")
        return failed(error, self._no_retry_on)


def _name_of(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name} (perhaps the system had no memory left)" if number == signal.SIGKILL else name
