"""What a task finds in a child process: its context. Loaded by every child, so it loads little itself."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from easyjobs.executors.pipe import Order
from easyjobs.tasks.context import JobContext
from easyjobs.workers.channel import Channel


class ChildContext(JobContext):
    """The job as its task sees it; what it tells goes to the worker."""

    def __init__(self, order: Order, channel: Channel) -> None:
        super().__init__(
            order.job, order.queue, order.task, order.attempt, order.max_attempts, channel, token=order.token
        )
        self._channel = channel

    def parked(self) -> AbstractAsyncContextManager[None]:
        """As `JobContext.parked`."""
        return _Parked(self._channel)


class _Parked:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._number = 0

    async def __aenter__(self) -> None:
        self._number = self._channel.park()

    async def __aexit__(self, *error: object) -> None:
        import asyncio  # who awaits has it

        loop = asyncio.get_running_loop()
        back = asyncio.Event()
        self._channel.resume(self._number, lambda: loop.call_soon_threadsafe(back.set))
        await back.wait()


_channel: Channel | None = None


def enter_child(channel: Channel) -> None:
    """This process is the child that got the channel's order."""
    global _channel
    _channel = channel


def entered() -> Channel | None:
    """The way to the worker that started this process; None where it is no child."""
    return _channel
