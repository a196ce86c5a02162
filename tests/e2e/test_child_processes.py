"""Jobs that run in child processes: their outcomes, their ends, and what is left of them afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import APPS, COMMAND, Cluster, Process, until

Make = Callable[..., Cluster]


def start(cluster: Cluster, queue: str, slots: int = 4, **env: str) -> Process:
    """A worker of the tasks in apps/children.py."""
    process = cluster.start(
        f"children-{queue}", [COMMAND, "worker", "children:worker"], cluster.worker_env(queue, slots, **env)
    )
    cluster.until_connected(process)
    return process


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """WORKER_TASK_DIR, with what should not be there too."""
    folder = tmp_path_factory.mktemp("scripts") / "tasks"
    shutil.copytree(APPS / "scripts", folder)
    (folder / "is_broken.py").write_text("def work(:\n")
    (folder.parent / "secret.py").write_text("print('let out')\n")
    (folder / "leads_out.py").symlink_to(folder.parent / "secret.py")
    (folder / "leads_nowhere.py").symlink_to(folder / "nothing.py")
    (folder / "is_a_folder.py").mkdir()
    return folder


@pytest.fixture(scope="module")
def worker(house: Cluster, scripts: Path) -> Iterator[Process]:
    """One that no story kills, on the queue `kids`."""
    process = start(house, "kids", WORKER_TASK_DIR=str(scripts))
    yield process
    process.end()


def run(house: Cluster, task: str, arguments: dict[str, Any] | None = None, queue: str = "kids") -> Any:
    return house.end_of(house.submit(queue, task, arguments))


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def beside(house: Cluster, id: str) -> int:
    """The process that the task `holds` started."""
    line = until(lambda: [e for e in house.effects(id) if e.what.startswith("beside")], "it started a process")[-1]
    return int(line.what.split()[1])


# -- what they are


@pytest.mark.parametrize("task", ["where", "where_too"])
def test_a_function_runs_in_a_fresh_process_of_its_worker(task: str, house: Cluster, worker: Process) -> None:
    first, second = run(house, task, {"n": 1}), run(house, task, {"n": 2})
    assert [job["result"]["n"] for job in (first, second)] == [1, 2]
    assert {job["result"]["parent"] for job in (first, second)} == {worker.pid}
    assert len({first["result"]["pid"], second["result"]["pid"], worker.pid}) == 3


def test_a_file_runs_for_its_task(house: Cluster, worker: Process) -> None:
    job = run(house, "adds", {"a": 1, "b": 2})
    assert job["result"] == {"sum": 3}
    assert [(line["level"], line["text"]) for line in house.logs(job["id"])] == [("warning", "adding 1 and 2")]


def test_a_stub_without_parameters_takes_anything_one_with_them_is_judged(house: Cluster, worker: Process) -> None:
    job = run(house, "anything", {"args": [1, 2], "a": {"b": None}})
    assert (job["result"]["args"], job["result"]["kwargs"]) == ([1, 2], {"a": {"b": None}})
    assert (job["result"]["task"], job["result"]["id"]) == ("anything", job["id"])
    answer = house.http.post("/api/queues/kids/tasks/adds", json={"a": "one", "c": 3})
    assert answer.status_code == 422


def test_what_a_child_says_is_all_there_when_its_job_has_ended(house: Cluster, worker: Process) -> None:
    job = run(house, "talks")
    lines = {(line["level"], line["text"]) for line in house.logs(job["id"])}
    assert lines == {
        ("info", "printed"),
        ("warning", "from logging"),
        ("error", "from the job"),
        ("warning", "to stderr"),
        ("info", "the last line, without an end"),
    }
    assert job["progress"] == {"value": 0.5, "note": "half"}


def test_a_child_knows_no_secret(house: Cluster, worker: Process) -> None:
    job = run(house, "looks_around")
    seen = job["result"]
    assert house.secret not in str(seen)
    assert job["id"] not in seen["argv"] + seen["environ"]
    assert seen["now"]["EASYJOBS_MANAGER_SECRET"] == "withheld-from-child-processes"
    assert "EASYJOBS_CHILD" not in seen["now"]
    assert len(seen["files"]) <= 6  # three of its own, the pipe, the lifeline, and the folder it reads


# -- making jobs


def test_a_child_calls_other_tasks_and_its_slot_is_free_meanwhile(house: Cluster) -> None:
    start(house, "single", slots=1)
    asked = run(house, "asks", {"n": 4}, "single")
    assert asked["result"] == 9
    many = run(house, "asks_many", {"n": 3}, "single")
    assert many["result"] == [6, 0, 2, 4]
    made = [job for job in house.get("/api/jobs", queue="single", task="double")["items"] if job["parent"]]
    assert {job["parent"] for job in made} == {asked["id"], many["id"]}


# -- ends


def test_a_failure_is_its_own_with_its_traceback(house: Cluster, worker: Process) -> None:
    job = run(house, "fails")
    assert (job["state"], job["error"]["type"], job["error"]["message"]) == ("failed", "LookupError", "nothing there")
    assert 'raise LookupError("nothing there")' in job["error"]["traceback"]
    assert "easyjobs" not in job["error"]["traceback"].replace("from easyjobs", "")
    assert [line["text"] for line in house.logs(job["id"])] == ["about to fail"]


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("missing", "there is no missing.py"),
        ("leads_out", "leads out of"),
        ("leads_nowhere", "leads nowhere"),
        ("is_a_folder", "is no file"),
        ("never_calls", "without calling its function"),
        ("is_broken", "SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_run_says_so_in_the_job(task: str, says: str, house: Cluster, worker: Process) -> None:
    job = run(house, task)
    assert job["state"] == "failed"
    assert says in job["error"]["message"]
    assert not any("let out" in line["text"] for line in house.logs(job["id"]))


@pytest.mark.parametrize(("env", "says"), [({}, "is not set"), ({"WORKER_TASK_DIR": "/no/such/folder"}, "/no/such")])
def test_a_folder_that_is_not_there_is_an_error_of_the_job(env: dict[str, str], says: str, house: Cluster) -> None:
    lost = start(house, f"lost{len(env)}", **env)
    job = run(house, "adds", {"a": 1, "b": 2}, f"lost{len(env)}")
    assert job["state"] == "failed"
    assert "WORKER_TASK_DIR" in job["error"]["message"]
    assert says in job["error"]["message"]
    assert lost.running


def test_memory_is_counted_over_all_that_a_child_starts(house: Cluster, worker: Process) -> None:
    job = run(house, "has_a_hungry_child")
    assert job["error"]["type"] == "MemoryError"
    assert "200 MiB" in job["error"]["message"]


# -- being stopped


def test_a_cancelled_child_may_tidy_up_and_takes_what_it_started_with_it(house: Cluster, worker: Process) -> None:
    ids = [house.submit("kids", task, {"gate": str(house.gate())}) for task in ("holds", "tidies")]
    for id in ids:
        house.until_effect(id, "began")
    other = beside(house, ids[0])
    for id in ids:
        house.post(f"/api/jobs/{id}/cancel")
    for id in ids:
        assert house.end_of(id)["state"] == "cancelled"
        house.until_effect(id, "tidied up")
    until(lambda: not lives(other), "the other process is gone")


def test_a_worker_that_leaves_hands_its_children_back(house: Cluster) -> None:
    gate = house.gate()
    leaving = start(house, "leaving", EASYJOBS_DRAIN_GRACE="0.2")
    id = house.submit("leaving", "holds", {"gate": str(gate)})
    first = house.until_effect(id, "began")
    other = beside(house, id)

    assert leaving.terminate() == 0

    assert house.ends(id) == ["returned"]
    assert not lives(first.pid)
    until(lambda: not lives(other), "what it started is gone")
    start(house, "leaving")
    house.until_effect(id, "began", attempt=2)
    gate.touch()
    assert house.end_of(id)["state"] == "completed"


# -- dying together, and what outlives it


def test_children_die_with_their_worker_and_their_jobs_run_again(house: Cluster) -> None:
    gate = house.gate()
    victim = start(house, "orphans")
    id = house.submit("orphans", "holds", {"gate": str(gate)})
    first = house.until_effect(id, "began")
    other = beside(house, id)

    os.kill(victim.pid, signal.SIGKILL)

    until(lambda: not lives(first.pid) and not lives(other), "nobody is left")
    start(house, "orphans")
    second = house.until_effect(id, "began", attempt=2)
    gate.touch()
    job = house.end_of(id)
    assert (job["state"], job["result"]) == ("completed", second.pid)
    assert house.ends(id) == ["crashed", "completed"]


def test_a_result_that_reached_the_manager_survives_its_worker(house: Cluster, scripts: Path) -> None:
    mark = house.gate()
    victim = start(house, "survives", WORKER_TASK_DIR=str(scripts))
    id = house.submit("survives", "lingers", {"args": [str(mark)]})
    until(mark.exists, "the child has its acknowledgement")

    os.kill(victim.pid, signal.SIGKILL)
    until(lambda: house.worker_of(victim) is None, "the worker is given up")

    job = house.job(id)
    assert (job["state"], job["attempt"]) == ("completed", 1)
    assert house.ends(id) == ["completed"]
    until(lambda: not lives(job["result"]["pid"]), "the child is gone too")


def test_a_child_that_does_not_leave_is_made_to(house: Cluster, worker: Process) -> None:
    job = run(house, "lingers", {"args": [str(house.gate())]})
    assert job["state"] == "completed"
    assert lives(job["result"]["pid"])
    until(lambda: not lives(job["result"]["pid"]), "the child is ended")
    assert run(house, "where", {"n": 1})["state"] == "completed"


def test_a_manager_that_is_away_gets_the_outcome_from_the_worker(make: Make) -> None:
    cluster = make(EASYJOBS_LEASE="10")
    manager = cluster.start_manager()
    start(cluster, "away")
    gate = cluster.gate()
    id = cluster.submit("away", "holds", {"gate": str(gate)})
    child = cluster.until_effect(id, "began").pid

    manager.kill()
    gate.touch()
    until(lambda: not lives(child), "the child has handed its outcome over")
    cluster.start_manager()

    job = cluster.end_of(id)
    assert (job["state"], job["result"], job["attempt"]) == ("completed", child, 1)


def test_what_took_its_worker_with_it_runs_in_a_child_process_next(house: Cluster) -> None:
    flag = house.gate()
    first = start(house, "isolated")
    id = house.submit("isolated", "crashes_once", {"flag": str(flag)})
    first.wait()
    second = start(house, "isolated")
    job = house.end_of(id)
    assert job["attempt"] == 2
    assert job["result"]["parent"] == second.pid


# -- by hand, and as a program


def by_hand(cluster: Cluster, scripts: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(scripts / "adds.py"), *arguments],
        env=cluster.env(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_file_is_tried_by_hand(house: Cluster, scripts: Path) -> None:
    named, placed = by_hand(house, scripts, '{"a": 1, "b": 2}'), by_hand(house, scripts, "[3, 4]")
    assert (named.returncode, named.stdout) == (0, '{"sum": 3}\n')
    assert (placed.returncode, placed.stdout) == (0, '{"sum": 7}\n')
    for wrong in ((), ("{",), ("3",), ("{}", "{}")):
        told = by_hand(house, scripts, *wrong)
        assert told.returncode == 1
        assert told.stderr.startswith('usage: python adds.py \'{"a"')


PROGRAM = """
import asyncio
import os

from easyjobs import EasyJobsWorker

worker = EasyJobsWorker()

@worker.task(process=True, retries=0)
def where(n: int) -> list:
    return [n, __name__, os.getppid()]

{start}
"""


def test_a_program_may_hold_the_functions_that_its_children_run(house: Cluster, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(start="if __name__ == '__main__':\n    asyncio.run(worker.run())"))
    process = house.start("program", [sys.executable, str(program)], house.worker_env("program"))
    house.until_connected(process)
    assert run(house, "where", {"n": 1}, "program")["result"] == [1, "__easyjobs_main__", process.pid]


def test_a_program_that_would_start_again_in_its_children_says_so(house: Cluster, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(start="asyncio.run(worker.run())"))
    process = house.start("again", [sys.executable, str(program)], house.worker_env("again"))
    house.until_connected(process)
    job = run(house, "where", {"n": 1}, "again")
    assert job["error"]["type"] == "ConfigurationError"
    assert "__name__ == '__main__'" in job["error"]["message"]


# -- of a manager


@pytest.mark.parametrize("named", ["by nobody", "by its variables", "wrongly"])
def test_a_managers_own_tasks_run_in_child_processes(named: str, make: Make, scripts: Path) -> None:
    cluster = make(EASYJOBS_WORKER_TASK_DIR=str(scripts))
    places = {"by nobody": "", "by its variables": str(cluster.port), "wrongly": "1"}
    cluster.settings["NAMED"] = places[named]
    manager = cluster.start_manager("children_of_manager:app")
    assert run(cluster, "where", {"n": 1}, "DEFAULT")["result"] == [1, manager.pid]
    assert run(cluster, "adds", {"a": 1, "b": 2}, "DEFAULT")["result"] == {"sum": 3}
    if named != "wrongly":
        assert run(cluster, "asks", {"n": 2}, "DEFAULT")["result"] == 5
    # whoever reports it, over its own connection or through its worker: it is reported once
    accepted = manager.said().count('"WebSocket /ws/jobs" [accepted]')
    assert accepted == (0 if named == "wrongly" else 4)
