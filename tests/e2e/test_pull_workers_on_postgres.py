"""Pull workers on PostgreSQL: a process that died is known by its connections, one that only lost these is not dead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import datetime

import asyncpg
import pytest
from postgres_server import PostgresServer, fresh_schema, own_server, with_options
from pulling import pull_worker
from support import LONG, SHORT, Cluster, Process, until

Make = Callable[..., Cluster]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that may be killed."""
    server = own_server()
    yield server
    server.close()


def holding(cluster: Cluster, puller: Process) -> tuple[str, Callable[[], None]]:
    """A job that a pull worker holds until it is let go; its id, and that."""
    cluster.until_connected(puller)
    gate = cluster.gate()
    id = cluster.submit("pulled", "hold", {"gate": str(gate)})
    cluster.until_effect(id, "began")
    return id, gate.touch


@pytest.fixture
def cluster(make: Make, server: PostgresServer) -> Cluster:
    """On a schema of its own; nothing runs yet."""
    return make(EASYJOBS_STORE=with_options(server.url, schema=fresh_schema()), **LONG)


def test_one_that_is_killed_loses_its_jobs_to_others_long_before_its_lease_is_over(cluster: Cluster) -> None:
    first = pull_worker(cluster)
    until(lambda: "this manager leads" in first.said(), "it leads, which others cannot for a while when it is dead")
    cluster.start_manager()
    id, let_go = holding(cluster, first)
    second = pull_worker(cluster)
    first.kill()
    cluster.until_begun(id, second, 2)
    let_go()
    assert cluster.end_of(id)["state"] == "completed"
    assert cluster.ends(id) == ["crashed", "completed"]


@pytest.mark.long
def test_at_the_defaults_its_jobs_run_again_within_six_seconds(make: Make, server: PostgresServer) -> None:
    cluster = make(EASYJOBS_STORE=with_options(server.url, schema=fresh_schema()))
    for name in SHORT:
        del cluster.settings[name]
    cluster.start_manager()
    first = pull_worker(cluster)
    id, let_go = holding(cluster, first)
    second = pull_worker(cluster)
    cluster.until_connected(second)
    killed_at = time.time()
    first.kill()
    cluster.until_begun(id, second, 2)
    let_go()
    assert 0 < datetime.fromisoformat(cluster.end_of(id)["started_at"]).timestamp() - killed_at < 6


def test_where_nobody_is_left_the_next_one_who_comes_takes_over(cluster: Cluster) -> None:
    manager = cluster.start_manager()
    first = pull_worker(cluster)
    id, let_go = holding(cluster, first)
    assert manager.terminate() == 0
    first.kill()
    let_go()
    pull_worker(cluster)
    cluster.start_manager()
    assert cluster.end_of(id)["attempt"] == 2


@pytest.mark.parametrize("trouble", ["connections are cut", "the server crashes"])
def test_one_that_only_lost_its_connections_keeps_its_jobs(
    cluster: Cluster, server: PostgresServer, trouble: str
) -> None:
    """That the others do look for the dead is seen by one who is dead."""
    cluster.start_manager()
    living = pull_worker(cluster, slots=1)
    kept, let_go = holding(cluster, living)
    dying = pull_worker(cluster, slots=1)
    lost, _ = holding(cluster, dying)
    third = pull_worker(cluster, slots=1)
    cluster.until_connected(third)
    if trouble == "connections are cut":
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'easyjobs'")
    else:
        server.restart("immediate")
    until(lambda: asyncio.run(seen(cluster)) == 4, "all are there again")
    dying.kill()
    cluster.until_begun(lost, third, 2)
    assert cluster.job(kept)["state"] == "running"
    let_go()
    assert cluster.end_of(kept)["attempt"] == 1
    assert cluster.ends(kept) == ["completed"]


async def seen(cluster: Cluster) -> int:
    """How many processes show that they are there."""
    url, _, schema = cluster.settings["EASYJOBS_STORE"].partition("?schema=")
    connection = await asyncpg.connect(url)
    number: int = await connection.fetchval(
        f"SELECT count(*) FROM {schema}.hubs WHERE server = pg_postmaster_start_time() AND EXISTS (SELECT FROM pg_locks"
        f" WHERE (classid::bigint << 32) + objid::bigint = hashtextextended('easyjobs.hub.{schema}.' || hubs.id, 0))"
    )
    await connection.close()
    return number
