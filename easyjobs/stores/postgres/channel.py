"""One connection that comes back by itself, and transactions on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

import asyncpg

from easyjobs.errors import StoreUnavailable
from easyjobs.stores.postgres.address import Address
from easyjobs.stores.postgres.dialling import Servers
from easyjobs.stores.postgres.failures import AGAIN, FAILURES, UNWRITABLE, Again, translated

T = TypeVar("T")


class Connection(Protocol):
    """What is used of the driver's connection. A row is a tuple whose values have also names."""

    async def execute(self, statement: str, *parameters: Any) -> str:
        """Run a statement, or several without parameters."""

    async def fetch(self, statement: str, *parameters: Any) -> list[Any]:
        """All rows."""

    async def fetchrow(self, statement: str, *parameters: Any) -> Any:
        """The first row, or None."""

    async def fetchval(self, statement: str, *parameters: Any) -> Any:
        """The first value of the first row, or None."""

    async def copy_records_to_table(
        self, table: str, *, records: Sequence[Sequence[Any]], columns: Sequence[str]
    ) -> str:
        """Write many rows."""

    def cursor(self, statement: str, *, prefetch: int) -> AsyncIterator[Any]:
        """All rows, so many at a time. In a transaction."""

    async def add_listener(self, channel: str, callback: Callable[[Any, int, str, str], None]) -> None:
        """Call back for each notification on a channel."""

    def add_termination_listener(self, callback: Callable[[Any], None]) -> None:
        """Call back when the connection is gone."""

    async def close(self, *, timeout: float) -> None:
        """Part from the server in peace."""

    def terminate(self) -> None:
        """Let go of it at once."""

    def is_closed(self) -> bool:
        """Whether it is gone."""


TRIES: Final = 8  # of a transaction that others stand in the way of
STATEMENTS: Final = 300  # that stay prepared

LIMITS: Final = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",
}
LONG: Final = 40.0
"""Seconds for what may take its time: longer than the server's own limit, so that only a dead connection meets it."""

UNBOUNDED: Final = 86_400.0  # for the whole of what is made of many statements: only each of them is bounded

HINTING: Final = {**LIMITS, "synchronous_commit": "off"}  # there is nothing to be made durable

WRITING: Final = {
    "statement_timeout": "30s",
    "jit": "off",
    # few rows are found by index among very many, and no statistics of an hour ago shall say otherwise
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}

STOPPED, IN_THE_WAY = 0.6, 0.8
"""Shares of our patience after which a transaction is ended whose manager says nothing more, so that others get the
rows that it has locked; and after which nobody waits for a row any longer: a locked one is no sign of a dead server.
"""


def writing(address: Address) -> dict[str, str]:
    """The settings of a connection that writes."""
    return {
        **WRITING,
        "idle_in_transaction_session_timeout": f"{round(STOPPED * address.patience * 1000)}ms",
        "lock_timeout": f"{round(IN_THE_WAY * address.patience * 1000)}ms",
    }


_WHO: Final = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_END: Final = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2"
_THERE: Final = "SELECT"
_MOMENT: Final = "SELECT pg_sleep(0.02)"


class Channel:
    """Runs one piece of work at a time on a connection of its own, made when it is used; `close` it.

    Where the server is not there, does not let us in, cannot be written, or is silent for longer than the address's
    patience (where a work is not given more), that work raises StoreUnavailable; so does all that waited behind it.

    :param settings: of the server, for this connection. Through a pooler they are set anew in each transaction.
    :param servers: which all channels of a store share.
    """

    def __init__(self, address: Address, settings: Mapping[str, str], servers: Servers | None = None) -> None:
        self._address = address
        self._servers = servers or Servers(address)
        self._server = ""  # whose connection it is
        settings = {"search_path": f'"{address.schema}"', **settings}
        self._settings = {} if address.pooler else {"application_name": "easyjobs", **settings}
        self._begin = "BEGIN"
        if address.pooler:
            self._begin += "".join(f"; SET LOCAL {name} = {_quoted(name, value)}" for name, value in settings.items())
        self._connection: Connection | None = None
        self._backend: tuple[int, datetime] | None = None  # the server's process for us, the last that we know of
        self._turn = asyncio.Lock()
        self._silences = 0

    async def _connected(self) -> Connection:
        if self._connection is not None and self._server != self._servers.current:
            self._drop()
        if self._connection is None or self._connection.is_closed():
            connection = await self._servers.connect(self._dial, self._address.patience)
            self._connection, self._server = connection, self._servers.current
            if not self._address.pooler:
                await self._part(connection)
        return self._connection

    async def _dial(self, dsn: str) -> Connection:
        connection: Connection = await asyncpg.connect(
            dsn,
            timeout=LONG,
            command_timeout=LONG,
            statement_cache_size=0 if self._address.pooler else STATEMENTS,
            max_cached_statement_lifetime=0,
            server_settings=self._settings,
            target_session_attrs="primary",
        )
        return connection

    async def _part(self, connection: Connection) -> None:
        """End what the connection before this one may still be doing at the server: a word of it that arrives late, the
        COMMIT above all, must not be carried out after others have seen that it was not.
        """
        if self._backend is not None:
            while await connection.fetchval(_END, *self._backend):
                await connection.execute(_MOMENT)
        self._backend = tuple(await connection.fetchrow(_WHO))

    async def close(self) -> None:
        """Disconnect, after what runs. May be called twice; it connects again when it is used."""
        async with self._turn:
            connection, self._connection = self._connection, None
            if connection is not None:
                try:
                    await connection.close(timeout=5.0)
                except FAILURES:
                    connection.terminate()

    async def read(self, work: Callable[[Connection], Awaitable[T]], patience: float | None = None) -> T:
        """`work`, a single statement that writes no rows."""
        async with self._in_turn():
            if self._address.pooler:
                return await self._transaction(work, patience)
            return await self._guarded(work, patience=patience)

    async def single(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """`work`, a single statement that writes: a durable transaction by itself, without the round trips for one.

        :raises Exception: as `write`; also errors of `failures.AGAIN`, when it changed nothing.
        """
        async with self._in_turn():
            if self._address.pooler:
                return await self._transaction(work)
            return await self._guarded(work, lambda: True)

    async def write(self, work: Callable[[Connection], Awaitable[T]], patience: float | None = None) -> T:
        """`work` in one durable transaction; again when another one stood in its way.

        What `work` raises comes out once the transaction is undone: errors of `failures.UNWRITABLE` and others that are
        not of the server as they are, all else as a StoreError.
        """
        async with self._in_turn():
            for _ in range(TRIES):
                try:
                    return await self._transaction(work, patience)
                except (Again, *AGAIN):
                    continue
        raise StoreUnavailable(f"The store {self._address.shown} is too busy: others were faster {TRIES} times.")

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        heard = self._silences
        async with self._turn:
            if self._silences != heard:
                raise StoreUnavailable(f"The store {self._address.shown} does not answer.")
            yield

    async def _transaction(self, work: Callable[[Connection], Awaitable[T]], patience: float | None = None) -> T:
        ending = False

        async def whole(connection: Connection) -> T:
            nonlocal ending
            await connection.execute(self._begin)
            try:
                result = await work(connection)
            except asyncio.CancelledError:
                raise  # nobody knows what the connection is in the middle of
            except BaseException:
                if not connection.is_closed():
                    await connection.execute("ROLLBACK")
                raise
            ending = True
            await connection.execute("COMMIT")
            return result

        return await self._guarded(whole, lambda: ending, patience)

    async def _guarded(
        self,
        work: Callable[[Connection], Awaitable[T]],
        unknown: Callable[[], bool] = lambda: False,
        patience: float | None = None,
    ) -> T:
        seconds = self._address.patience
        begun = False
        try:
            if patience is not None and patience > seconds:
                async with asyncio.timeout(seconds):  # only who shows that he is there may take his time
                    await (await self._connected()).execute(_THERE)
                seconds = patience
            async with asyncio.timeout(seconds):
                connection = await self._connected()
                begun = True
                return await work(connection)
        except (Again, *AGAIN, *UNWRITABLE):
            raise
        except FAILURES as error:
            self._drop()
            if isinstance(error, TimeoutError):
                self._silences += 1
                self._servers.doubt(self._server)
                error = TimeoutError(f"it did not answer for {min(seconds, LONG):g} s")
            raise translated(error, self._address.shown, begun and unknown()) from error
        except (StoreUnavailable, asyncio.CancelledError):
            self._drop()
            raise

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


def _quoted(name: str, value: str) -> str:
    return value if name == "search_path" else f"'{value}'"
