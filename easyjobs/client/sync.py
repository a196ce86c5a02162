"""The client for code without asyncio: the same methods, which block. One connection, on a loop in a daemon thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar, Unpack

from easyjobs.client.client import EasyJobsClient
from easyjobs.tasks.handle import Call, JobHandle
from easyjobs.tasks.options import CallOptions

T = TypeVar("T")


class SyncJobHandle:
    """One job that was made; `result` waits for its end."""

    __slots__ = ("_client", "id", "queue", "task")

    def __init__(self, client: SyncEasyJobsClient, id: str, queue: str, task: str) -> None:
        self._client = client
        self.id = id
        self.queue = queue
        self.task = task

    def result(self, timeout: float | None = None) -> Any:
        """What the job returned; raises as `EasyJobsClient.result` does. May be called again."""
        return self._client.result(self.id, timeout)

    def cancel(self) -> None:
        """Ask that the job stop. May be called again."""
        self._client.cancel(self.id)

    def __repr__(self) -> str:
        return f"<SyncJobHandle {self.queue}:{self.task} {self.id}>"


class SyncEasyJobsClient:
    """Makes jobs and waits for them, from any thread. `with SyncEasyJobsClient(url, secret) as client:`, or call
    `close` at the end. Arguments and errors are those of `EasyJobsClient`.
    """

    def __init__(
        self,
        url: str | None = None,
        secret: str | None = None,
        *,
        token: str | None = None,
        connect_timeout: float = 10.0,
        name: str | None = None,
    ) -> None:
        self._client = EasyJobsClient(url, secret, token=token, connect_timeout=connect_timeout, name=name)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def submit(
        self,
        queue: str,
        task: str | None = None,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> SyncJobHandle:
        """As `EasyJobsClient.submit`."""
        return self._handle(self._do(self._client.submit(queue, task, args, kwargs, **options)))

    def submit_many(self, calls: Sequence[Call], *, together: bool = False) -> list[SyncJobHandle]:
        """As `EasyJobsClient.submit_many`."""
        return [self._handle(made) for made in self._do(self._client.submit_many(calls, together=together))]

    def run(
        self,
        queue: str,
        task: str | None = None,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        wait: float | None = None,
        **options: Unpack[CallOptions],
    ) -> Any:
        """As `EasyJobsClient.run`."""
        return self._do(self._client.run(queue, task, args, kwargs, wait=wait, **options))

    def result(self, id: str, timeout: float | None = None) -> Any:
        """As `EasyJobsClient.result`."""
        return self._do(self._client.result(id, timeout))

    def cancel(self, id: str) -> None:
        """As `EasyJobsClient.cancel`."""
        self._do(self._client.cancel(id))

    def close(self) -> None:
        """As `EasyJobsClient.close`."""
        with self._starting:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(self._client.close(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def __enter__(self) -> SyncEasyJobsClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _handle(self, made: JobHandle[Any]) -> SyncJobHandle:
        return SyncJobHandle(self, made.id, made.queue, made.task)

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        waiting = asyncio.run_coroutine_threadsafe(coroutine, self._running())
        try:
            return waiting.result()
        except BaseException:
            waiting.cancel()  # Ctrl-C in the caller's thread ends the wait over there too
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="easyjobs-client", daemon=True)
                self._thread.start()
            return self._loop
