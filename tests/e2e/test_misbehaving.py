"""What user code may do wrong: each way ends its job clearly, and the worker goes on with the next one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from support import COMMAND, Cluster, Process

MODES = ("loop", "thread", "child")
ENDS = ("exits_at_once", "crashes", "kills_itself")


class Case(NamedTuple):
    """What a task is to end as. `says`: is in the error's type or message, or, of a completed one, is its result."""

    task: str
    state: str
    says: Any
    modes: tuple[str, ...] = MODES


CASES = [
    Case("returns_none", "completed", None),
    Case("returns_zero", "completed", 0),
    Case("returns_nothing_much", "completed", ""),
    Case("returns_false", "completed", False),
    Case("returns_a_function", "failed", "ResultRefused"),
    Case("returns_nan", "failed", "ResultRefused"),
    Case("returns_a_cycle", "failed", "ResultRefused"),
    Case("returns_a_lone_surrogate", "failed", "ResultRefused"),
    Case("returns_too_much", "failed", "ResultRefused"),
    Case("returns_a_deep_list", "failed", "ResultRefused"),
    Case("raises_what_cannot_be_shown", "failed", "Mute"),
    Case("raises_a_group", "failed", "ExceptionGroup"),
    Case("recurses", "failed", "RecursionError"),
    Case("exits", "failed", "SystemExit"),
    Case("interrupts", "failed", "KeyboardInterrupt"),
    Case("raises_a_base_exception", "failed", "from below"),
    Case("cancels_itself", "failed", "CancelledError"),
    Case("stops_an_iteration", "failed", "StopIteration"),
    Case("raises_ten_megabytes", "failed", "xxxx"),
    Case("raises_surrogates", "failed", "half"),
    Case("raises_with_a_bad_name", "failed", "named badly"),
    Case("prints_ten_megabytes", "completed", "printed"),
    Case("logs_without_end", "completed", "logged"),
    Case("logs_what_cannot_be_formatted", "completed", "logged"),
    Case("prints_binary", "completed", "printed"),
    Case("closes_its_output", "completed", "closed", ("child",)),
    Case("never_returns", "failed", "0.5 s", ("thread", "child")),
    Case("blocks_for_a_while", "completed", "woke"),
    Case("swallows_every_error", "completed", "nothing happened", ("thread",)),  # late, but it is a result
    Case("swallows_every_error", "failed", "0.5 s", ("child",)),
    Case("swallows_cancellation", "failed", "0.5 s", ("loop",)),
    Case("leaves_a_task_behind", "completed", "left", ("loop",)),
    Case("leaves_a_thread", "completed", "left"),
    Case("leaves_a_child_that_holds_the_output", "completed", "left"),
    Case("changes_the_folder", "completed", "/"),
    Case("ignores_signals", "completed", "ignored", ("loop", "child")),
    Case("raises_when_collected", "completed", "collected"),
    Case("exits_at_once", "failed", "", ("child",)),
    Case("crashes", "failed", "SIGSEGV", ("child",)),
    Case("kills_itself", "failed", "SIGKILL", ("child",)),
    Case("takes_all_memory", "failed", "emory", ("child",)),
    Case("ignores_being_told_to_stop", "failed", "0.5 s", ("child",)),
    Case("forks", "completed", "forked", ("child",)),
    Case("forks_and_both_go_on", "completed", "forked", ("child",)),
]


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("misbehaving")) as cluster:
        cluster.start_manager()
        yield cluster


def start(cluster: Cluster, mode: str, queue: str) -> Process:
    """A worker whose tasks misbehave in `mode`."""
    command = [COMMAND, "worker", "misbehaving:worker"]
    return cluster.start(f"worker-{queue}", command, cluster.worker_env(queue, 2, MODE=mode))


@pytest.fixture(scope="module")
def workers(manager: Cluster) -> dict[str, Process]:
    """For each mode the worker that lives through all of it."""
    workers = {mode: start(manager, mode, mode) for mode in MODES}
    manager.until_connected(*workers.values())
    return workers


@pytest.mark.parametrize(
    ("mode", "case"),
    [pytest.param(mode, case, id=f"{mode}-{case.task}") for mode in MODES for case in CASES if mode in case.modes],
)
def test_it_ends_clearly_and_the_next_job_runs(
    mode: str, case: Case, workers: dict[str, Process], manager: Cluster
) -> None:
    worker = workers[mode]

    job = manager.end_of(manager.submit(mode, case.task))
    after = manager.end_of(manager.submit(mode, "fine", {"n": 1}))

    assert job["state"] == case.state, job
    if case.state == "completed":
        assert job["result"] == case.says
        assert type(job["result"]) is type(case.says)
    else:
        error = job["error"]
        assert case.says in f"{error['type']}: {error['message']}"
        assert len(error["message"]) < 10_000
        assert len(error["traceback"]) <= 65_536
    assert job["attempt"] == 1
    assert after["result"] == 2
    assert worker.running


@pytest.mark.parametrize(
    ("mode", "task"),
    [
        *(("thread", task) for task in ENDS),
        ("loop", "crashes"),
        *(pytest.param("loop", task, marks=pytest.mark.long) for task in ENDS if task != "crashes"),
    ],
)
def test_what_ends_its_worker_does_so_once_where_a_child_can_run_it(mode: str, task: str, manager: Cluster) -> None:
    """Functions of threads can be imported by name, so that the next attempt runs in a child process; the coroutines
    are wrapped, and cost a worker each time, three times at most.
    """
    queue = f"{mode}-{task}"
    worker = start(manager, mode, queue)
    manager.until_connected(worker)
    id = manager.submit(queue, task)
    deaths = 0
    while manager.job(id)["state"] != "failed":
        if not worker.running:
            deaths += 1
            worker = start(manager, mode, queue)
        time.sleep(0.05)
    assert manager.ends(id)[0] == "crashed"
    if mode == "thread":
        assert (deaths, manager.job(id)["attempt"]) == (1, 2)
        assert manager.end_of(manager.submit(queue, "fine", {"n": 1}))["result"] == 2
        assert worker.running
    else:
        assert manager.job(id)["attempt"] <= 3
    worker.end()
