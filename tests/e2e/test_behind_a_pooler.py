"""Managers, workers and a client where there is pgbouncer, in transaction mode, between managers and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import asyncpg
import pytest
from postgres_pooler import Pooler, own_pooler
from postgres_server import fresh_schema, own_server, with_options
from producing import Producer, reckon
from support import LONG, Cluster, until

from easyjobs.stores.postgres.address import address_of

Make = Callable[..., Cluster]


@pytest.fixture(scope="module")
def pooler() -> Iterator[Pooler]:
    server = own_server()
    try:
        pooler = own_pooler(server)
        yield pooler
        pooler.close()
    finally:
        server.close()


@pytest.fixture
def pair(make: Make, pooler: Pooler) -> tuple[Cluster, Cluster]:
    """One manager with two workers, and one without."""
    store = with_options(pooler.url, schema=fresh_schema())
    one, other = make(EASYJOBS_STORE=store, **LONG), make(EASYJOBS_STORE=store, **LONG)
    one.start_manager()
    other.start_manager()
    one.until_connected(*(one.start_worker("play", wait=False) for _ in range(2)))
    until(lambda: other.get("/api/queues")["items"], "the other manager knows the workers' queue")
    return one, other


def test_all_that_was_acknowledged_runs_once(pair: tuple[Cluster, Cluster]) -> None:
    one, other = pair
    with Producer(other, "play") as producer:
        producer.until_acknowledged(600)
    assert reckon(one, producer, "play")["twice"] == 0


def test_a_pooler_that_dies_is_waited_for(pair: tuple[Cluster, Cluster], pooler: Pooler) -> None:
    one, other = pair
    gates = [one.gate() for _ in range(6)]
    held = [other.submit("play", "hold", {"gate": str(gate)}) for gate in gates]
    for id in held:
        one.until_effect(id, "began")
    pooler.kill()
    for gate in gates:
        gate.touch()
    for id in held:
        one.until_effect(id, "ended")
    pooler.start()
    assert [other.end_of(id)["state"] for id in held] == ["completed"] * 6
    assert [one.ends(id) for id in held] == [["completed"]] * 6
    job = other.post("/api/queues/play/tasks/add", {"a": 1}, wait=60)
    assert job["result"] == 2


async def test_what_sql_inserts_is_found_without_listening(pair: tuple[Cluster, Cluster]) -> None:
    one, _ = pair
    address = address_of(one.settings["EASYJOBS_STORE"])
    connection = await asyncpg.connect(address.dsn, statement_cache_size=0)
    try:
        async with connection.transaction():
            select = f"SELECT {address.schema}.insert_job_id('play', 'add', arguments => $1::json)"
            id = await connection.fetchval(select, '{"a": 41}')
        assert (await asyncio.to_thread(one.end_of, id))["result"] == 42
    finally:
        await connection.close()


def test_the_tables_are_looked_at_and_removed(make: Make, pooler: Pooler) -> None:
    cluster = make()
    store = with_options(pooler.url, schema=fresh_schema())
    for command, said in (
        ("init", "made"),
        ("status", "up to date"),
        ("migrate", "nothing to do"),
        ("reset", "removed"),
    ):
        options = ["--yes"] if command == "reset" else []
        done = cluster.run("db", command, "--store", store, *options)
        assert (done.returncode, said in done.stdout) == (0, True), done.stderr
