"""A PostgreSQL that is there and says nothing: what it was asked fails soon, and what it does late harms nobody."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from postgres_server import with_options

from easyjobs.core.changes import APPLIED, Insert, PutSession, Unit
from easyjobs.core.job import Job, Session
from easyjobs.errors import ConfigurationError, StoreUnavailable
from easyjobs.stores.postgres import PostgresStore
from easyjobs.stores.postgres.address import address_of


class Wire:
    """Passes connections on to a server. What is said to the server may be held back: all of it, or from the moment on
    at which something is said that `holds`.
    """

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._ends: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.silent = False
        self.holds: Callable[[bytes], bool] = lambda data: False

    async def serve(self, host: str, port: int) -> asyncio.Server:
        async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection(host, port)
            self._ends += [writer, back]
            self._tasks += [asyncio.create_task(self._pump(reader, back, True))]
            self._tasks += [asyncio.create_task(self._pump(there, writer, False))]

        return await asyncio.start_server(passed, "127.0.0.1", 0)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to_server: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if to_server and (self.silent or self.holds(data)):
                    self._open.clear()
                    await self._open.wait()
                writer.write(data)
                await writer.drain()
        writer.close()

    def go_on(self) -> None:
        """Deliver all that was held back."""
        self.silent = False
        self.holds = lambda data: False
        self._open.set()

    async def cut(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for end in self._ends:
            end.transport.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def store_over_a_wire(url: str) -> AsyncIterator[tuple[PostgresStore, Wire]]:
    parts = urlsplit(url)
    wire = Wire()
    server = await wire.serve(parts.hostname or "", parts.port or 5432)
    user, _, _ = parts.netloc.rpartition("@")
    here = parts._replace(netloc=f"{user}@127.0.0.1:{server.sockets[0].getsockname()[1]}")
    store = PostgresStore(with_options(here.geturl(), patience="1", listen="0"))
    try:
        await store.open()
        yield store, wire
    finally:
        wire.go_on()
        await store.close()
        server.close()
        await wire.cut()


def job(store: PostgresStore, id: str) -> Job:
    return Job(id, "etl", "load", created_at=store.now(), run_at=store.now())


async def test_a_server_that_says_nothing_fails_whoever_asks_it_and_is_asked_again(store_url: str) -> None:
    async with store_over_a_wire(store_url) as (store, wire):
        await store.commit([Unit([Insert(job(store, "before"))])])
        assert await store.jobs(["before"])
        wire.silent = True
        with pytest.raises(StoreUnavailable, match=r"did not answer for 1 s.*unknown"):
            await store.commit([Unit([Insert(job(store, "in between"))])])
        asked = [store.jobs(["before"]) for _ in range(50)]
        said = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(error, StoreUnavailable) for error in said)
        with pytest.raises(StoreUnavailable):  # which must connect first, in vain
            await store.commit([Unit([Insert(job(store, "later"))])])
        wire.go_on()
        committed = await store.commit([Unit([Insert(job(store, "after"))])])
        assert committed.verdicts == [APPLIED]
        assert {"before", "after"} <= set(await store.jobs(["before", "after"]))


async def test_a_commit_that_arrives_late_is_not_carried_out(store_url: str) -> None:
    """Its outcome was unknown, and all has been decided anew since, on the rows as they were without it."""
    async with store_over_a_wire(store_url) as (store, wire):
        wire.holds = lambda data: b"COMMIT" in data
        now = store.now()
        session = Session("s", "w", "w", "host", 1, "live", now, now + 30.0)
        units = [Unit([Insert(job(store, "late"))]), Unit([PutSession(session)])]
        pid = await store._writing.read(lambda connection: connection.fetchval("SELECT pg_backend_pid()"))
        with pytest.raises(StoreUnavailable, match="outcome of what was being written is unknown"):
            await store.commit(units)
        wire.holds = lambda data: False
        committed = await store.commit([Unit([Insert(job(store, "later"))])])  # over another connection
        assert committed.verdicts == [APPLIED]
        assert not await store.jobs(["late"])
        wire.go_on()
        while await store._near.read(lambda c: c.fetchval(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}")):
            await asyncio.sleep(0.01)
        assert not await store.jobs(["late"])
        assert not await store.sessions()


async def test_who_stops_in_the_middle_of_a_transaction_keeps_nobody_from_its_rows(store_url: str) -> None:
    async with store_over_a_wire(store_url) as (stopped, wire):
        other = PostgresStore(store_url)
        await other.open()
        try:
            now = stopped.now()
            session = Session("s", "w", "w", "host", 1, "live", now, now + 30.0)
            await stopped.commit([Unit([PutSession(session)])])
            wire.holds = lambda data: b"COMMIT" in data
            session.epoch = 2
            with pytest.raises(StoreUnavailable):
                await stopped.commit([Unit([PutSession(session)]), Unit([Insert(job(stopped, "half"))])])
            session.manager = "other"
            committed = await other.commit([Unit([PutSession(session)]), Unit([Insert(job(other, "whole"))])])
            assert committed.verdicts == [APPLIED, APPLIED]
            wire.go_on()
            assert [row.manager for row in await stopped.sessions()] == ["other"]
            assert set(await other.jobs(["half", "whole"])) == {"whole"}
        finally:
            await other.close()


@pytest.mark.parametrize("patience", ["0", "31", "long", "nan"])
def test_a_patience_that_nobody_can_have_is_refused(patience: str) -> None:
    with pytest.raises(ConfigurationError, match="patience"):
        address_of(f"postgresql://somewhere/app?patience={patience}")
    assert address_of("postgresql://somewhere/app?patience=2.5").patience == 2.5
