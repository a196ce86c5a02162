"""A folder of scripts served by a real worker: over HTTP, live, on time, cancelled, and with their worker's death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import COMMAND, Cluster, Process, until

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "scripts"
Make = Callable[..., Cluster]

SAYS = """#!/bin/sh
echo "== RESULT START =="
echo "{\\"status\\": \\"success\\", \\"n\\": $#, \\"first\\": \\"$1\\"}"
echo "== RESULT END =="
"""
HOLDS = """#!/bin/sh
echo "began $$"
sleep 600 &
echo "beside $!"
while [ ! -e "$1" ]; do sleep 0.05; done
echo "== RESULT START =="
echo '{"status": "success"}'
echo "== RESULT END =="
"""
DAEMON = """
import os, sys
if os.fork() == 0:
    os.setsid()
    daemon = os.fork()
    if daemon == 0:
        import time
        time.sleep(600)
    print("daemon", daemon, flush=True)  # not by the daemon itself, whose line could come between the two marks
    os._exit(0)
os.wait()
print("== RESULT START ==")
print('{"status": "success"}')
print("== RESULT END ==")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("folder")
    (home / "deep").mkdir()
    (home / "deep" / "says.sh").write_text(SAYS)
    (home / "holds.sh").write_text(HOLDS)
    (home / "daemon.py").write_text(DAEMON)
    (home / "fails.py").write_text("print('so far, so good')\nraise ValueError('no bonds today')\n")
    (home / "notes.txt").write_text("no script")
    return home


def start(house: Cluster, folder: Path, queue: str, **env: str) -> Process:
    command = [COMMAND, "worker", "--scripts", str(folder), "--queue", queue]
    settings = house.worker_env(queue, 8, **env)
    del settings["EASYJOBS_JOBS_QUEUE"]
    process = house.start(f"scripts-{queue}", command, settings)
    house.until_connected(process)
    return process


@pytest.fixture(scope="module")
def worker(house: Cluster, folder: Path) -> Iterator[Process]:
    process = start(house, folder, "scripts")
    yield process
    process.end()


def line(house: Cluster, id: str, begin: str) -> str:
    def said() -> str:
        return next((line["text"] for line in house.logs(id) if line["text"].startswith(begin)), "")

    return until(said, f"it says {begin}")


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_each_script_of_the_folder_is_a_task_with_its_arguments(house: Cluster, worker: Process) -> None:
    tasks = [task for task in house.get("/api/tasks")["items"] if task["queue"] == "scripts"]
    assert {task["name"] for task in tasks} == {"deep.says.sh", "holds.sh", "daemon.py", "fails.py"}
    assert {task["kind"] for task in tasks} == {"script"}
    job = house.end_of(house.submit("scripts", "deep.says.sh", {"args": ["-rf", 2, True]}))
    assert job["result"] == {"status": "success", "n": 3, "first": "-rf"}
    answer = house.http.post("/api/queues/scripts/tasks/deep.says.sh", json={"args": [{"a": 1}]})
    assert answer.status_code == 422


def test_a_failure_shows_its_last_lines_and_is_retried(house: Cluster, worker: Process) -> None:
    job = house.end_of(house.submit("scripts", "fails.py"))
    assert (job["state"], job["attempt"]) == ("failed", 2)
    assert job["error"]["type"] == "ChildProcessError"
    assert job["error"]["message"] == "the script ended with status 1: ValueError: no bonds today"
    assert "so far, so good" in job["error"]["traceback"]


def test_its_output_is_read_while_it_runs_and_it_is_cancelled(house: Cluster, worker: Process) -> None:
    id = house.submit("scripts", "holds.sh", {"args": [str(house.gate())]})
    beside = int(line(house, id, "beside").split()[1])
    assert house.job(id)["state"] == "running"
    house.post(f"/api/jobs/{id}/cancel")
    assert house.end_of(id)["state"] == "cancelled"
    until(lambda: not lives(beside), "what it started is ended")


def test_its_time_is_over(house: Cluster, worker: Process) -> None:
    call = {"queue": "scripts", "task": "holds.sh", "args": [str(house.gate())], "timeout": 0.5, "retries": 0}
    job = house.end_of(house.post("/api/jobs", call)["id"])
    assert (job["state"], job["error"]["type"]) == ("failed", "TimeoutError")


def test_a_daemon_holds_nothing_up(house: Cluster, worker: Process) -> None:
    id = house.submit("scripts", "daemon.py")
    assert house.end_of(id)["result"] == {"status": "success"}
    os.kill(int(line(house, id, "daemon").split()[1]), signal.SIGKILL)


def test_a_script_dies_with_its_worker_and_runs_again_at_another(house: Cluster, folder: Path) -> None:
    gate = house.gate()
    victim = start(house, folder, "orphans-of-scripts")
    id = house.submit("orphans-of-scripts", "holds.sh", {"args": [str(gate)]})
    own, beside = (int(line(house, id, begin).split()[1]) for begin in ("began", "beside"))

    os.kill(victim.pid, signal.SIGKILL)
    until(lambda: not lives(own) and not lives(beside), "nobody is left")
    start(house, folder, "orphans-of-scripts")
    gate.touch()
    job = house.end_of(id)
    assert (job["state"], job["result"]) == ("completed", {"status": "success"})
    assert house.ends(id) == ["crashed", "completed"]


def test_a_worker_that_is_told_to_stop_ends_its_scripts_and_hands_their_jobs_back(house: Cluster, folder: Path) -> None:
    gate = house.gate()
    leaving = start(house, folder, "leaving-scripts", EASYJOBS_DRAIN_GRACE="0.5")
    id = house.submit("leaving-scripts", "holds.sh", {"args": [str(gate)]})
    own = int(line(house, id, "began").split()[1])
    assert leaving.terminate() == 0
    assert not lives(own)
    assert house.job(id)["state"] == "queued"
    house.post(f"/api/jobs/{id}/cancel")


def test_what_cannot_run_is_said_before_anything_does(house: Cluster, tmp_path: Path) -> None:
    (tmp_path / "publish.R").write_text("")
    env = house.env({**house.worker_env("none"), "PATH": str(tmp_path)})
    command = [COMMAND, "worker", "--scripts", str(tmp_path)]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "publish.R runs with Rscript, which is not found here: install R" in ended.stderr
    assert "Traceback" not in ended.stderr


def ticks(house: Cluster, name: str) -> Any:
    return [job for job in house.get("/api/jobs", queue="scripts", task=name)["items"] if job["tick"] is not None]


def test_scripts_run_on_time(house: Cluster, worker: Process) -> None:
    rule = {"queue": "scripts", "task": "deep.says.sh", "cron": "* * * * * *", "seconds": True}
    made = house.http.post("/api/schedules", json={**rule, "args": ["tick"]}).json()
    try:
        job = until(lambda: ticks(house, "deep.says.sh"), "it ticks")[0]
        assert house.end_of(job["id"])["result"]["first"] == "tick"
    finally:
        house.http.delete(f"/api/schedules/{made['id']}")


def test_the_example_does_what_it_says(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE / "app.py"], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=True
    )
    good, refused = done.stdout.splitlines()
    assert good == "2024: ['07', '06']"
    assert 'the script\'s result has the status "no data", not "success"' in refused
