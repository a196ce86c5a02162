"""PostgreSQL as a server: restarts, migrations that are raced, what is refused, a pooler in between."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from itertools import count

import asyncpg
import pytest
from postgres_server import PostgresServer, fresh_schema, own_server, with_options

from easyjobs.core.changes import APPLIED, Claim, Insert, Offer, PutSession, Unit, Update
from easyjobs.core.job import Job, Lane, Session
from easyjobs.errors import ConfigurationError, StoreCorrupt, StoreLocked, StoreUnavailable
from easyjobs.stores.base import Hint
from easyjobs.stores.postgres import PostgresStore
from easyjobs.stores.postgres.address import address_of
from easyjobs.stores.postgres.channel import Channel

LANE = Lane("etl", "load", "")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that may be killed."""
    server = own_server()
    yield server
    server.close()


def insert(store: PostgresStore, id: str) -> Unit:
    now = store.now()
    return Unit([Insert(Job(id, "etl", "load", created_at=now, run_at=now))])


async def execute(url: str, *statements: str) -> None:
    """Say something to the server in its own words."""
    connection = await asyncpg.connect(address_of(url).dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


# -- restarts


@pytest.mark.parametrize("how", ["immediate", "fast"])
async def test_a_restart_loses_nothing_that_was_acknowledged(server: PostgresServer, how: str) -> None:
    store = PostgresStore(with_options(server.url, schema=fresh_schema()))
    await store.open()
    numbers = count()
    acknowledged: list[str] = []
    failures: list[StoreUnavailable] = []

    async def produce(until: int) -> None:
        while len(acknowledged) < until:
            ids = [f"j{next(numbers)}" for _ in range(20)]
            try:
                verdicts = (await store.commit([insert(store, id) for id in ids])).verdicts
            except StoreUnavailable as failure:
                failures.append(failure)
                await asyncio.sleep(0.02)
            else:
                assert verdicts == [APPLIED] * 20
                acknowledged.extend(ids)

    try:
        producing = asyncio.ensure_future(produce(3_000))
        for step in (500, 1_500):
            while len(acknowledged) < step:
                await asyncio.sleep(0.001)
            await asyncio.to_thread(server.restart, how)
        await producing
        assert failures, "nobody noticed"
        stored = await store.jobs([f"j{n}" for n in range(next(numbers))])
        assert set(acknowledged) <= stored.keys()
        assert len(stored) % 20 == 0, "a transaction is whole"
        assert await store.totals() == {"queued": len(stored)}
    finally:
        await store.close()


async def test_a_commit_on_a_dead_server_says_so_and_the_next_one_works(server: PostgresServer) -> None:
    store = PostgresStore(with_options(server.url, schema=fresh_schema()))
    await store.open()
    try:
        await asyncio.to_thread(server.stop, "immediate")
        for call in (store.commit([insert(store, "j1")]), store.jobs(["j1"]), store.lanes(), store.lead("m", 5.0)):
            with pytest.raises(StoreUnavailable):
                await call
        await asyncio.to_thread(server.start)
        assert (await store.commit([insert(store, "j1")])).verdicts == [APPLIED]
        assert await store.lanes() == [LANE]
    finally:
        await store.close()


async def test_an_end_whose_outcome_is_unknown_says_that(server: PostgresServer) -> None:
    url = with_options(server.url, schema=fresh_schema())
    store = PostgresStore(url)
    await store.open()
    # the connection is cut while COMMIT runs
    await execute(
        url,
        f"SET search_path = {address_of(url).schema};"
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END$$;"
        "CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON jobs DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW WHEN (new.id = 'cut') EXECUTE FUNCTION cut()",
    )
    try:
        with pytest.raises(StoreUnavailable, match="outcome"):
            await store.commit([insert(store, "cut")])
        assert await store.jobs(["cut"]) == {}
        assert (await store.commit([insert(store, "j1")])).verdicts == [APPLIED]
    finally:
        await store.close()


async def test_who_listens_listens_again_after_a_restart_and_looks_at_everything(server: PostgresServer) -> None:
    heard: list[Hint] = []
    url = with_options(server.url, schema=fresh_schema())
    one, other = PostgresStore(url), PostgresStore(url)
    other.listen(heard.append)
    await one.open()
    await other.open()
    try:
        async with asyncio.timeout(20):
            while not heard:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(server.restart, "immediate")
            heard.clear()
            while not any(hint.more for hint in heard):
                await asyncio.sleep(0.01)
            await one.commit([insert(one, "j1")])
            while not any(LANE in hint.lanes for hint in heard):
                await asyncio.sleep(0.01)
    finally:
        await one.close()
        await other.close()


# -- the schema

OPENING = """
import asyncio, sys
from easyjobs.stores.postgres import PostgresStore

async def main():
    store = PostgresStore(sys.argv[1])
    await store.open()
    await store.close()

asyncio.run(main())
"""


async def test_managers_may_race_to_make_the_tables(store_url: str) -> None:
    racing = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", OPENING, store_url, stderr=asyncio.subprocess.PIPE)
        for _ in range(5)
    ]
    said = [(await process.communicate())[1].decode() for process in racing]
    assert [process.returncode for process in racing] == [0] * 5, said


async def test_a_newer_schema_is_refused(store_url: str) -> None:
    store = PostgresStore(store_url)
    await store.open()
    await store.close()
    await execute(store_url, f"INSERT INTO {store.address.schema}.migrations (number) VALUES (999)")
    with pytest.raises(StoreCorrupt, match="has schema 999"):
        await store.open()


async def test_tables_of_another_program_are_not_touched(store_url: str) -> None:
    store = PostgresStore(store_url)
    schema = store.address.schema
    await execute(store_url, f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.jobs (a int)")
    for call in (store.open, store.reset):
        with pytest.raises(StoreCorrupt, match="not of easyjobs"):
            await call()
    await execute(store_url, f"SELECT a FROM {schema}.jobs")


async def test_a_schema_without_tables_of_ours_is_not_removed(store_url: str) -> None:
    store = PostgresStore(store_url)
    schema = store.address.schema
    await execute(store_url, f"CREATE SCHEMA {schema}", f"CREATE TYPE {schema}.mood AS ENUM ('good')")
    await store.reset()
    await execute(store_url, f"SELECT 'good'::{schema}.mood")


async def test_everything_is_removed_where_no_manager_leads(store_url: str) -> None:
    store = PostgresStore(store_url)
    await store.reset()
    await store.open()
    await store.commit([insert(store, "j1")])
    with pytest.raises(StoreLocked, match="is open"):
        await store.reset()
    await store.lead("m", 15.0)
    await store.close()
    with pytest.raises(StoreLocked, match="A manager uses"):
        await store.reset()
    await store.open()
    await store.lead("m", 0.0)
    await store.close()
    await store.reset()
    await store.open()
    assert await store.totals() == {}
    await store.close()


# -- what is refused


async def test_a_server_that_would_forget_is_refused(server: PostgresServer) -> None:
    url = with_options(server.url, schema=fresh_schema())
    await execute(url, "ALTER DATABASE postgres SET synchronous_commit = off")
    try:
        with pytest.raises(ConfigurationError, match="synchronous_commit=off"):
            await PostgresStore(url).open()
        store = PostgresStore(with_options(url, durability="any"))
        await store.open()
        await store.close()
    finally:
        await execute(url, "ALTER DATABASE postgres RESET synchronous_commit")


async def test_a_server_that_is_not_there_or_knows_us_not(server: PostgresServer) -> None:
    with pytest.raises(StoreUnavailable):
        await PostgresStore("postgresql://postgres@127.0.0.1:1/postgres").open()
    with pytest.raises(StoreUnavailable, match="does not let us in"):
        await PostgresStore(server.url.replace("/postgres", "/nowhere")).open()
    with pytest.raises(StoreUnavailable, match="does not let us in") as refusal:
        await PostgresStore(server.url.replace("postgres@", "stranger:secret@")).open()
    assert "secret" not in str(refusal.value)


# -- a pooler


async def test_nothing_is_kept_in_a_connection_where_there_is_a_pooler(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each transaction goes over another connection."""
    heard: list[Hint] = []
    transaction = Channel._transaction

    async def apart(channel: Channel, work: object, patience: float | None = None) -> object:
        try:
            return await transaction(channel, work, patience)  # type: ignore[arg-type]
        finally:
            connection, channel._connection = channel._connection, None
            if connection is not None:
                await connection.close(timeout=5.0)

    monkeypatch.setattr(Channel, "_transaction", apart)
    store = PostgresStore(with_options(store_url, pooler="1"))
    store.listen(heard.append)
    await store.open()
    try:
        now = store.now()
        session = Session("s", "w", "w", "h", 1, "live", now, now + 60)
        await store.commit([Unit([PutSession(session)]), insert(store, "j1"), insert(store, "j2")])
        claim = Claim([Offer("s", 1, "w", 1, frozenset([LANE]))], ["t"], {LANE: ("c", 5)})
        (job,) = (await store.commit([], claim)).claimed
        end = Update(job, {"state": "completed", "finished_at": now})
        assert (await store.commit([Unit([end])])).verdicts == [APPLIED]
        assert await store.totals() == {"completed": 1, "queued": 1}
        assert heard == []
    finally:
        await store.close()
