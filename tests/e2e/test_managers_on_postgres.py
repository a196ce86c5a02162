"""Two managers on one schema of PostgreSQL, as processes: a job goes in here and runs there, also over a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from postgres_server import PostgresServer, fresh_schema, own_server, with_options
from support import Cluster, until

Make = Callable[..., Cluster]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that may be killed."""
    server = own_server()
    yield server
    server.close()


@pytest.fixture
def pair(make: Make, server: PostgresServer) -> tuple[Cluster, Cluster]:
    """One manager with a worker, and one without."""
    store = with_options(server.url, schema=fresh_schema())
    one, other = make(EASYJOBS_STORE=store), make(EASYJOBS_STORE=store)
    one.start_manager()
    other.start_manager()
    one.start_worker("play")
    until(lambda: other.get("/api/queues")["items"], "the other manager knows the worker's queue")
    return one, other


def test_a_job_goes_in_at_one_manager_and_runs_at_anothers_worker(pair: tuple[Cluster, Cluster]) -> None:
    _, other = pair
    for cluster in pair:
        job = cluster.post("/api/queues/play/tasks/add", {"a": 1}, wait=60)
        assert (job["state"], job["result"]) == ("completed", 2)
    assert len(other.workers()) == 1


def test_jobs_survive_a_crash_of_the_server(pair: tuple[Cluster, Cluster], server: PostgresServer) -> None:
    one, other = pair
    ids = [other.submit("play", "add", {"a": n}) for n in range(30)]
    server.restart("immediate")
    ends = [one.end_of(id) for id in ids]
    assert [(job["state"], job["result"]) for job in ends] == [("completed", n + 1) for n in range(30)]
    job = other.post("/api/queues/play/tasks/add", {"a": 1}, wait=60)
    assert job["result"] == 2
