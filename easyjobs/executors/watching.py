"""Watching over one child process, whatever runs in it: its output, its deadline, its memory, and how it is stopped."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from typing import Final

from easyjobs.executors.child import Child
from easyjobs.executors.ran import Ran, failed
from easyjobs.tasks.context import JobContext
from easyjobs.tasks.safely import cut

LAST_LINES: Final = 20
LAST_LINE: Final = 1000


class Watching:
    """One attempt in one child.

    :param grace: seconds from SIGTERM to SIGKILL.
    """

    def __init__(self, context: JobContext, grace: float, no_retry_on: tuple[str, ...]) -> None:
        self._context = context
        self._grace = grace
        self._no_retry_on = no_retry_on
        self._loop = asyncio.get_running_loop()
        self._child: Child | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._timeout: asyncio.TimerHandle | None = None
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._stopping = False
        self._over: Exception | None = None
        self._ran: Ran | None = None  # how it ended, where the child itself has said so

    def say(self, level: str, line: str) -> None:
        """The child printed a line."""
        self._lines.append(line[:LAST_LINE])
        self._context._reporter.log(self._context.id, level, line)

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

    async def _exit(
        self,
        child: Child,
        timeout: float | None,
        conversation: asyncio.Task[None] | None = None,
        spent: float = 0.0,
    ) -> int:
        """Wait for the end of the child, and clear it away; its status. It is stopped when the job is cancelled, and
        when its time is over: `timeout` seconds, less those `spent`.
        """
        self._child = child
        if timeout is not None:
            self._timeout = self._loop.call_later(max(timeout - spent, 0.0), self._time_over, timeout)
        self._context._stop = self._stop
        if self._context._cancelled:
            self._stop()
        try:
            return await child.wait()
        finally:
            self._context._stop = None
            if self._timeout is not None:
                self._timeout.cancel()
            for timer in self._timers:
                timer.cancel()
            await child.close(conversation)

    def _stop(self) -> None:
        """SIGTERM to the group now, SIGKILL after the grace."""
        if not self._stopping and self._child is not None:
            self._stopping = True
            self._child.signal(signal.SIGTERM)
            self._timers.append(self._loop.call_later(self._grace, self.kill))

    def _time_over(self, timeout: float) -> None:
        if not self._context._cancelled:
            self._over = TimeoutError(f"the task took longer than its timeout of {timeout:g} s")
            self._context.tell_to_stop()
        self._stop()

    def _ended_with(self, status: int) -> str:
        """What an exit status says, and the last line."""
        what = f"was killed by {_name_of(-status)}" if status < 0 else f"ended with status {status}"
        return f"{what}{self._last()}"

    def _last(self) -> str:
        last = next((line for line in reversed(self._lines) if line.strip()), "")
        return f": {last}" if last else ""

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
