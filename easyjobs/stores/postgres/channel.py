"""One connection that comes back by itself, and transactions on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import asyncpg

from easyjobs.errors import StoreUnavailable
from easyjobs.stores.postgres.address import Address
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


CONNECT: Final = 10.0  # seconds
TRIES: Final = 8  # of a transaction that others stand in the way of
STATEMENTS: Final = 300  # that stay prepared

LIMITS: Final = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",
}
COMMAND: Final = 40.0  # seconds: longer than the server's own limit, so that only a dead connection meets it

HINTING: Final = {**LIMITS, "synchronous_commit": "off"}  # there is nothing to be made durable

WRITING: Final = {
    **LIMITS,
    # few rows are found by index among very many, and no statistics of an hour ago shall say otherwise
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}


class Channel:
    """Runs one piece of work at a time on a connection of its own, made when it is used; `close` it.

    Where the server is not there, does not let us in, or cannot be written, that work raises StoreUnavailable.

    :param settings: of the server, for this connection. Through a pooler they are set anew in each transaction.
    """

    def __init__(self, address: Address, settings: Mapping[str, str]) -> None:
        self._address = address
        settings = {"search_path": f'"{address.schema}"', **settings}
        self._settings = {} if address.pooler else {"application_name": "easyjobs", **settings}
        self._begin = "BEGIN"
        if address.pooler:
            self._begin += "".join(f"; SET LOCAL {name} = {_quoted(name, value)}" for name, value in settings.items())
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            try:
                self._connection = await asyncpg.connect(
                    self._address.dsn,
                    timeout=CONNECT,
                    command_timeout=COMMAND,
                    statement_cache_size=0 if self._address.pooler else STATEMENTS,
                    max_cached_statement_lifetime=0,
                    server_settings=self._settings,
                    target_session_attrs="primary",
                )
            except (*FAILURES, ValueError) as error:
                raise translated(error, self._address.shown) from error
        connection: Connection = self._connection
        return connection

    async def close(self) -> None:
        """Disconnect, after what runs. May be called twice; it connects again when it is used."""
        async with self._turn:
            connection, self._connection = self._connection, None
            if connection is not None:
                try:
                    await connection.close(timeout=5.0)
                except FAILURES:
                    connection.terminate()

    async def read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """`work`, a single statement that writes no rows."""
        async with self._turn:
            if self._address.pooler:
                return await self._transaction(work)
            return await self._guarded(work)

    async def single(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """`work`, a single statement that writes: a durable transaction by itself, without the round trips for one.

        :raises Exception: as `write`; also errors of `failures.AGAIN`, when it changed nothing.
        """
        async with self._turn:
            if self._address.pooler:
                return await self._transaction(work)
            return await self._guarded(work, lambda: True)

    async def write(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """`work` in one durable transaction; again when another one stood in its way.

        What `work` raises comes out once the transaction is undone: errors of `failures.UNWRITABLE` and others that are
        not of the server as they are, all else as a StoreError.
        """
        async with self._turn:
            for _ in range(TRIES):
                try:
                    return await self._transaction(work)
                except (Again, *AGAIN):
                    continue
        raise StoreUnavailable(f"The store {self._address.shown} is too busy: others were faster {TRIES} times.")

    async def _transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
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

        return await self._guarded(whole, lambda: ending)

    async def _guarded(
        self, work: Callable[[Connection], Awaitable[T]], unknown: Callable[[], bool] = lambda: False
    ) -> T:
        connection = await self._connected()
        try:
            return await work(connection)
        except (Again, *AGAIN, *UNWRITABLE):
            raise
        except FAILURES as error:
            self._drop(connection)
            raise translated(error, self._address.shown, unknown()) from error
        except asyncio.CancelledError:
            self._drop(connection)
            raise

    def _drop(self, connection: Connection) -> None:
        self._connection = None
        connection.terminate()


def _quoted(name: str, value: str) -> str:
    return value if name == "search_path" else f"'{value}'"
