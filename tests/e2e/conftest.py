"""Clusters for the stories, and their logs when a story ends badly."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Cluster, left_behind, until

_clusters: list[Cluster] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                # whatever a story waits for has a limit of its own, and says then what did not come
                item.add_marker(pytest.mark.timeout(240))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, Any, Any]:
    report = yield
    if report.failed:
        for cluster in _clusters:
            for process in cluster.processes:
                report.sections.append((f"what {process.name} said last", process.said()[-4000:]))
    return report


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """Whoever runs the tests in the background has told them, and so their children, to ignore SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def nothing_stays() -> Iterator[None]:
    """No process outlives the stories."""
    yield
    # children of uvicorn's were killed with their group; the kernel takes a moment to be done with them
    until(lambda: not left_behind(), "no process is left behind")


Make = Callable[..., Cluster]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes clusters, each in a folder of its own, that end with the story."""
    with contextlib.ExitStack() as stack:
        made: list[Cluster] = []

        def make(**settings: str) -> Cluster:
            cluster = Cluster(tmp_path / f"cluster-{len(made)}", **settings)
            made.append(cluster)
            _clusters.append(cluster)
            stack.callback(_clusters.remove, cluster)
            return stack.enter_context(cluster)

        yield make


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A manager that lives as long as the stories, with short leases. A story that kills a worker brings its own, on a
    queue of its own.
    """
    with Cluster(tmp_path_factory.mktemp("house")) as cluster:
        _clusters.append(cluster)
        cluster.start_manager()
        yield cluster
        _clusters.remove(cluster)


@pytest.fixture(scope="session")
def home(house: Cluster) -> Cluster:
    """The house with two workers of eight slots on the queue `home`."""
    workers = [house.start_worker("home", wait=False) for _ in range(2)]
    house.until_connected(*workers)
    return house
