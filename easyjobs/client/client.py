"""The client over the websocket: one connection, shared by all callers, with any number of jobs in flight."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Unpack

from easyjobs import __version__
from easyjobs.background import Nursery
from easyjobs.clock import Clock, SystemClock
from easyjobs.errors import ConfigurationError
from easyjobs.ids import Ids
from easyjobs.protocol.client_side import ClientSide
from easyjobs.protocol.messages import FromManager
from easyjobs.settings import worker_settings
from easyjobs.tasks.handle import Call, JobHandle
from easyjobs.tasks.options import CallOptions, call_options
from easyjobs.wire.address import manager_address
from easyjobs.wire.calls import Calls
from easyjobs.wire.dial import Redial
from easyjobs.wire.line import Dialler, Line


class EasyJobsClient:
    """Makes jobs and awaits them. `async with EasyJobsClient(url, secret) as client:`, or call `close` at the end.

    It connects when it is first used, and again whenever the connection is lost; what is outstanding then is asked
    anew. All methods may be used by any number of coroutines at once, on one event loop.

    :param url: "ws[s]://host[:port][/prefix]" or "http[s]://…" of the manager; else `EASYJOBS_MANAGER_URL`, or
        `EASYJOBS_MANAGER_HOST` and `EASYJOBS_MANAGER_PORT`.
    :param secret: shared with the manager and never sent; else `EASYJOBS_MANAGER_SECRET` or `EASYJOBS_SECRET`.
    :param token: in place of the secret: an API token, sent as it is, so over TLS or on this machine only.
    :param connect_timeout: seconds that a call waits for the manager to be reachable.
    :param connect: dials the manager, in place of the URL. `clock` and `ids` are for simulations.
    :raises ConfigurationError: a value will not do.
    """

    def __init__(
        self,
        url: str | None = None,
        secret: str | None = None,
        *,
        token: str | None = None,
        connect_timeout: float = 10.0,
        name: str | None = None,
        connect: Dialler | None = None,
        clock: Clock | None = None,
        ids: Ids | None = None,
    ) -> None:
        self._dial = connect or dialler(url, secret, token)
        self._patience = connect_timeout
        self._name = name or socket.gethostname()
        self._clock = clock or SystemClock()
        self._ids = ids or Ids()
        self._calls: Calls | None = None
        self._line: Line | None = None
        self._nursery = Nursery("client")

    # -- making jobs

    async def submit(
        self,
        queue: str,
        task: str | None = None,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> JobHandle[Any]:
        """Make a job of `queue` and `task` (or of "queue:task" in one); returns once it is durable.

        :param args: arguments by place, `kwargs`: by name; `options`: delay, run_at, priority, key, timeout, retries,
            start_deadline.
        :raises Refused: the manager said no: NotFound, ArgumentsRefused, TooMany, … (`easyjobs.errors`).
            Unauthorized: it does not know our secret. ConnectionLost: no manager was reachable; whether the job was
            made may be unknown, and making it again is safe with a `key`.
        """
        (handle,) = await self._open().submit([call_of(queue, task, args, kwargs, options)])
        return handle

    async def submit_many(self, calls: Sequence[Call], *, together: bool = False) -> list[JobHandle[Any]]:
        """Make many jobs, in as many messages as they need, with no more in flight than both sides can hold; the
        handles in the order of the calls.

        :param together: all or none; they must fit into one message (about a megabyte).
        :raises Refused: one was refused (the first is told); the others were made, unless `together`.
            ConnectionLost: as `submit`.
        """
        return await self._open().submit(calls, together=together)

    async def run(
        self,
        queue: str,
        task: str | None = None,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        wait: float | None = None,
        **options: Unpack[CallOptions],
    ) -> Any:
        """Make a job and await its result, in one message each way: the fastest way to both.

        :param wait: seconds to wait for the result; the job goes on after them.
        :raises JobFailed, JobCancelled: it ended otherwise. WaitTimeout: `wait` is over. Others: as `submit`.
        """
        return await self._open().run(call_of(queue, task, args, kwargs, options), wait)

    async def result(self, id: str, timeout: float | None = None) -> Any:
        """The result of a job when it has ended. May be called again.

        :raises JobFailed, JobCancelled: it ended otherwise. WaitTimeout: after `timeout` seconds; the job goes on.
            NotFound: no such job. ConnectionLost: no manager was reachable.
        """
        return await self._open().result(id, timeout)

    async def cancel(self, id: str) -> None:
        """Ask that a job stop, whoever runs it. May be called again.

        :raises ConnectionLost: no manager was reachable.
        """
        await self._open().cancel(id)

    # -- living

    async def close(self) -> None:
        """Hang up; whoever still waits gets ConnectionLost. May be called twice; a later call connects anew."""
        calls, line, self._calls, self._line = self._calls, self._line, None, None
        if calls is not None and line is not None:
            calls.close()
            await line.close()
            await self._nursery.close()

    async def __aenter__(self) -> EasyJobsClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _open(self) -> Calls:
        if self._calls is not None:
            return self._calls
        side = ClientSide(self._name, __version__)
        line = Line(
            side,
            self._dial,
            self._deliver,
            name=f"client {self._name}",
            clock=self._clock,
            ids=self._ids,
            nursery=self._nursery,
            changed=self._changed,
        )
        self._line = line
        self._calls = Calls(side, line, _AsCaller(self), clock=self._clock, ids=self._ids, patience=self._patience)
        line.start()
        return self._calls

    def _deliver(self, orders: Sequence[FromManager]) -> None:
        if self._calls is not None:
            for order in orders:
                self._calls.heard(order)

    def _changed(self, up: bool) -> None:
        if self._calls is not None:
            self._calls.line_changed(up)


class _AsCaller:
    """Whom the handles ask: the client's connection as it is by then."""

    def __init__(self, client: EasyJobsClient) -> None:
        self._client = client

    async def submit(self, calls: Sequence[Call], *, together: bool = False) -> list[JobHandle[Any]]:
        return await self._client.submit_many(calls, together=together)

    async def result(self, id: str, timeout: float | None = None) -> Any:
        return await self._client._open().result(id, timeout)

    async def cancel(self, id: str) -> None:
        await self._client.cancel(id)


def call_of(
    queue: str, task: str | None, args: Sequence[Any], kwargs: Mapping[str, Any] | None, options: CallOptions
) -> Call:
    """A call from what people write; "queue:task" may stand in one.

    :raises TypeError: arguments stand where the name of the task is wanted.
    """
    if task is not None and not isinstance(task, str):
        raise TypeError(f'the task must be a name, not {type(task).__name__}; after "queue:task" write args=[...]')
    if task is None:
        queue, _, task = queue.partition(":")
    chosen = call_options(options) if options else {}
    return Call(queue, task, args, kwargs or {}, **chosen)


def dialler(url: str | None, secret: str | None, token: str | None) -> Dialler:
    """How to get to the manager.

    :raises ConfigurationError: the URL will not do, or there is neither secret nor token.
    """
    settings = worker_settings(manager_url=url, manager_secret=secret)
    where, secret = manager_address(settings), settings.manager_secret
    if token:
        return Redial(where, token=token)
    if not secret:
        raise ConfigurationError("a client needs the manager's secret (or EASYJOBS_MANAGER_SECRET), or a token")
    return Redial(where, secret=secret)
