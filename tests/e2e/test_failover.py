"""A primary and a standby that follows it: the primary is lost, the standby promoted, and managers go over."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from postgres_server import PostgresServer, own_server
from producing import Producer, reckon
from support import Cluster, until

Make = Callable[..., Cluster]


class Servers(NamedTuple):
    primary: PostgresServer
    standby: PostgresServer


@pytest.fixture
def servers() -> Iterator[Servers]:
    """What the primary acknowledges is on the standby's disk."""
    primary = own_server()
    try:
        standby = own_server(primary)
        try:
            primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
            yield Servers(primary, standby)
        finally:
            standby.close()
    finally:
        primary.close()


@pytest.fixture
def pair(make: Make, servers: Servers) -> tuple[Cluster, Cluster]:
    """One manager with a worker, and one without, who know both servers."""
    hosts = ",".join(server.address for server in servers)
    one, other = (make(EASYJOBS_STORE=f"postgresql://postgres@{hosts}/postgres") for _ in range(2))
    one.start_manager()
    other.start_manager()
    one.start_worker("play")
    until(lambda: other.get("/api/queues")["items"], "the other manager knows the worker's queue")
    return one, other


@pytest.mark.parametrize("loss", ["killed", pytest.param("frozen", marks=pytest.mark.long)])
def test_a_primary_that_is_lost(pair: tuple[Cluster, Cluster], servers: Servers, loss: str) -> None:
    one, other = pair
    with Producer(other, "play", 100, insistent=True) as producer:
        producer.until_acknowledged(200)
        if loss == "killed":
            servers.primary.stop("killed")
        else:
            servers.primary.freeze()
        before = len(producer.acknowledged)
        servers.standby.promote()
        producer.until_acknowledged(before + 200)
        if loss == "frozen":  # that it is back changes nothing: nobody follows it
            servers.primary.freeze(signal.SIGCONT)
            producer.until_acknowledged(before + 300)
    reckon(one, producer, "play")
