"""Who is there, as stores on one schema of PostgreSQL see it of each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from postgres_server import PostgresServer, fresh_schema, own_server, with_options

from easyjobs.clock import SystemClock
from easyjobs.core.changes import PutSession, Unit
from easyjobs.core.job import Session
from easyjobs.stores.base import Retention
from easyjobs.stores.postgres import PostgresStore, presence

LOCKS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One of our own, because nobody else may take locks there, and with users of its own."""
    server = own_server()
    server.execute("CREATE ROLE app LOGIN", "GRANT CREATE ON DATABASE postgres TO app")
    yield server
    server.close()


@pytest.fixture
def url(server: PostgresServer) -> str:
    """A schema of this test's own, for a user with no more rights than an application has."""
    return with_options(server.url.replace("postgres@", "app@"), schema=fresh_schema())


@asynccontextmanager
async def hub(url: str, name: str, clock: SystemClock | None = None) -> AsyncIterator[PostgresStore]:
    """A store that is open for the hub `name`, and is seen by others."""
    store = PostgresStore(url, clock=clock)
    seen = asyncio.Event()
    store.listen(lambda hint: seen.set(), name)
    await store.open()
    try:
        await seen.wait()  # what is first heard is that it listens
        yield store
    finally:
        await store.close()


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await true():
            await asyncio.sleep(0.02)


async def locks(server: PostgresServer, store: PostgresStore, name: str) -> set[int]:
    """The backend that shows that a hub is there."""
    connection = await asyncpg.connect(server.url)
    key = f"hashtextextended('easyjobs.hub.{store.address.schema}.{name}', 0)"
    pids = await connection.fetch(f"{LOCKS} AND (classid::bigint << 32) + objid::bigint = {key}")
    await connection.close()
    return {pid for (pid,) in pids}


async def cut(server: PostgresServer, statement: str, *more: str) -> None:
    """End the connections whose backends a statement names, and say more to the server before."""
    connection = await asyncpg.connect(server.url)
    for words in more:
        await connection.execute(words)
    await connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({statement}) AS them")
    await connection.close()


def session(id: str, hub: str) -> Unit:
    return Unit([PutSession(Session(id, id, id, "h", 1, "live", 0.0, 9e9, embedded=hub, manager=hub))])


async def test_who_is_there_is_not_away_and_of_strangers_nothing_is_known(url: str) -> None:
    async with hub(url, "a") as one, hub(url, "b") as other:
        assert await one.away({"b", "nobody"}) == set()
        assert await other.away({"a", "nobody"}) == set()


async def test_who_leaves_in_order_is_not_missed_and_who_leaves_workers_behind_is(url: str) -> None:
    async with hub(url, "a") as one:
        async with hub(url, "b"):
            pass
        async with hub(url, "c") as other:
            await other.commit([session("s", "c")])
        assert await one.away({"b", "c"}) == {"c"}


async def test_whoever_comes_later_knows_who_has_died_before(url: str) -> None:
    async with hub(url, "b") as dead:
        await dead.commit([session("s", "b")])
    async with hub(url, "a") as one:
        assert await one.away({"b"}) == {"b"}


async def test_who_looks_takes_nobodys_place(url: str) -> None:
    """To look is to hold a lock for a moment, which its owner may want just then."""
    async with hub(url, "a") as one, hub(url, "c") as third:
        for _ in range(20):
            async with hub(url, "b"):
                assert await asyncio.gather(one.away({"b"}), third.away({"b"})) == [set(), set()]


async def test_who_loses_his_connection_is_there_again(url: str, server: PostgresServer) -> None:
    async with hub(url, "a") as one, hub(url, "b") as other:
        assert await one.away({"b"}) == set()
        (pid,) = await locks(server, other, "b")
        await cut(server, f"SELECT {pid} AS pid")

        async def again() -> bool:
            return bool(await locks(server, other, "b") - {pid})

        await until(again)
        assert await one.away({"b"}) == set()


async def test_who_cannot_be_seen_again_says_that_he_lives(url: str, server: PostgresServer) -> None:
    """The server takes no new connections, but those that there are stay."""
    async with hub(url, "a") as one, hub(url, "b") as other:
        assert await one.sessions() == await other.sessions() == []  # both have one to look and speak over
        (pid,) = await locks(server, other, "b")
        await cut(server, f"SELECT {pid} AS pid", "ALTER ROLE app CONNECTION LIMIT 0")

        async def told() -> bool:
            return await one.away({"b"}) == set() and await noted(server, url) == {"a"}

        await until(told)
        server.execute("ALTER ROLE app CONNECTION LIMIT -1")

        async def noted_again() -> bool:
            return await noted(server, url) == {"a", "b"}

        await until(noted_again)
        assert await one.away({"b"}) == set()


async def noted(server: PostgresServer, url: str) -> set[str]:
    connection = await asyncpg.connect(server.url)
    ids = await connection.fetch(f"SELECT id FROM {url.rpartition('schema=')[2]}.hubs")
    await connection.close()
    return {id for (id,) in ids}


async def test_whoever_was_cut_off_himself_misses_nobody_for_a_while(
    url: str, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "SETTLED", 1.0)
    async with hub(url, "b") as dead:
        await dead.commit([session("s", "b")])
    async with hub(url, "a") as one:
        assert await one.away({"b"}) == {"b"}
        (pid,) = await locks(server, one, "a")
        await cut(server, LOCKS)

        async def there() -> bool:
            return bool(await locks(server, one, "a") - {pid})

        await until(there)
        assert await one.away({"b"}) == set()

        async def missed() -> bool:
            return await one.away({"b"}) == {"b"}

        await until(missed)


async def test_after_a_restart_of_the_server_a_lock_that_is_missing_says_nothing(
    url: str, server: PostgresServer
) -> None:
    async with hub(url, "b") as dead:
        await dead.commit([session("s", "b")])
    server.restart("immediate")
    async with hub(url, "a") as one:
        assert await one.away({"b"}) == set()


async def test_through_a_pooler_nobody_is_seen_and_so_nobody_is_missed(url: str) -> None:
    pooled = PostgresStore(with_options(url, pooler="1"))
    pooled.listen(lambda hint: None, "b")
    await pooled.open()
    async with hub(url, "a") as one:
        assert await one.away({"b"}) == await pooled.away({"a"}) == set()
        await pooled.commit([session("s", "b")])
        await pooled.close()
        assert await one.away({"b"}) == set()


async def test_a_user_who_may_not_use_that_table_works_without_it(
    url: str, server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever made the tables may have granted what there was when he did."""
    async with hub(url, "b"):
        pass
    server.execute(f"REVOKE ALL ON {url.rpartition('schema=')[2]}.hubs FROM app")
    async with hub(url, "a") as one:

        async def warned() -> bool:
            return "by its lease only: permission denied for table hubs" in caplog.text

        await until(warned)
        assert await one.away({"b"}) == set()
        await one.prune(Retention(others=-1.0), 10)


async def test_rows_of_those_who_died_long_ago_are_removed(url: str, server: PostgresServer) -> None:
    async with hub(url, "b") as dead:
        await dead.commit([session("s", "b")])
    async with hub(url, "a") as one:
        assert await noted(server, url) == {"a", "b"}
        await one.prune(Retention(others=3600.0), 10)
        assert await noted(server, url) == {"a", "b"}
        await one.prune(Retention(others=-1.0), 10)
        assert await noted(server, url) == {"a"}
