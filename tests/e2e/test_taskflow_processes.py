"""An application of Taskflow as processes: scheduler, pull workers, API server and a worker by websocket on one store;
its commands, and the example.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import APPS, COMMAND, LONG, Cluster, Process, until

Make = Callable[..., Cluster]

STOPPED = """
import time
from pathlib import Path
from easyjobs import Task, Taskflow

class Waits(Task):
    def execute(self, task_instance):
        Path("begun").touch()
        while not task_instance.cancelled:
            time.sleep(0.01)

taskflow = Taskflow()
taskflow.add_tasks([Waits(name="waits")])
taskflow.cli()
"""
EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "taskflow"


def environment(cluster: Cluster) -> dict[str, str]:
    return {**cluster.settings, "EASYJOBS_SECRET": cluster.secret, "EASYJOBS_URL": cluster.url, "PYTHONPATH": str(APPS)}


def beside(cluster: Cluster, command: str, *arguments: str) -> Process:
    """One of the application's processes."""
    started = [COMMAND, "--taskflow", "flowing:taskflow", command, *arguments]
    return cluster.start(command, started, environment(cluster))


def pull_worker(cluster: Cluster) -> Process:
    process = beside(cluster, "pull_worker", "--slots", "2")
    until(lambda: "is connected" in process.said(), "the pull worker takes jobs")
    return process


def program(cluster: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The application as its own program, to the end of a command."""
    return subprocess.run(
        [sys.executable, str(APPS / "flowing.py"), *arguments],
        env=cluster.env(environment(cluster)),
        cwd=cluster.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def runs(cluster: Cluster, *states: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = cluster.http.get("/api/runs", params={"limit": 200}).json()["items"]
    return [run for run in items if run["state"] in states]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_all_of_it_on_one_store(make: Make, kind: str, request: pytest.FixtureRequest) -> None:
    cluster = make(**LONG) if kind == "sqlite" else make(EASYJOBS_STORE=request.getfixturevalue("store_url"), **LONG)
    made = program(cluster, "init_db")
    assert (made.returncode, made.stdout) == (0, "the database has the tables, 2 workflows and 10 tasks\n")
    beside(cluster, "scheduler")
    cluster.manager = beside(cluster, "api_server", "--port", str(cluster.port))
    pullers = [pull_worker(cluster), pull_worker(cluster)]
    cluster.until_ready()
    websocket = cluster.start(
        "worker", [COMMAND, "worker", "flowing:taskflow"], cluster.worker_env("taskflow", 2, PYTHONPATH=str(APPS))
    )
    cluster.until_connected(websocket, *pullers)

    for _ in range(10):
        started = cluster.http.post("/api/workflows/diamond/runs", json={})
        assert started.status_code == 202
    queued = program(cluster, "queue-workflow", "diamond", "--priority", "high")
    assert queued.returncode == 0
    ticked = cluster.run("schedules", "run", "taskflow:diamond")
    assert ticked.returncode == 0, ticked.stderr
    until(lambda: len(runs(cluster, "completed")) == 12, "all runs have completed")
    lines = cluster.effects()
    assert Counter(line.what for line in lines) == dict.fromkeys(("top", "left", "right", "bottom"), 12)
    assert {line.pid for line in lines} == {process.pid for process in (*pullers, websocket)}
    nodes = cluster.http.get(f"/api/runs/{queued.stdout.strip()}/tasks").json()["items"]
    bottom = next(node for node in nodes if node["name"] == "bottom")
    result = cluster.http.get(f"/api/jobs/{bottom['job']}/result").json()
    assert sorted(result["result"]) == ["bottom", "left", "right", "top", "top"]
    until(lambda: any("told: diamond succeeded" in one.said() for one in pullers), "a monitor of theirs was told")

    failed = cluster.run("workflows", "run", "shaky", "--follow")
    assert failed.returncode == 1
    assert "failed after" in failed.stdout
    (run,) = runs(cluster, "failed")
    assert run["jobs"] == {"completed": 1, "failed": 1, "skipped": 1}
    (cluster.folder / "needed").touch()
    before = len(cluster.effects())
    again = cluster.run("runs", "retry", run["id"])
    assert again.returncode == 0
    until(lambda: len(runs(cluster, "completed")) == 13, "it was repeated, and completed")
    assert [line.what for line in cluster.effects()[before:]] == ["needs", "last"], "what had completed was kept"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_task_that_runs_here_is_stopped_by_a_signal(make: Make, number: signal.Signals) -> None:
    cluster = make()
    (cluster.folder / "stopped.py").write_text(STOPPED)
    command = [sys.executable, "stopped.py", "run_task", "waits"]
    process = cluster.start("run_task", command, environment(cluster))
    until(lambda: (cluster.folder / "begun").exists(), "it runs")
    process.send(number)
    assert process.wait() == 130
    assert "stopped: a new job is cancelled" in process.said()
    assert "Traceback" not in process.said()


def test_the_words_of_its_commands(make: Make) -> None:
    cluster = make()
    failed = program(cluster, "run_task", "alone")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "FileNotFoundError: needed" in failed.stderr
    assert "Traceback" not in failed.stderr
    (cluster.folder / "needed").touch()
    done = program(cluster, "run_task", "alone", "--json", "--log-level", "error")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["state"], told["result"]) == ("completed", ["alone"])

    pushed = program(cluster, "queue_task", "pushed").stdout.strip()
    puller = pull_worker(cluster)
    job = program(cluster, "queue_task", "diamond.top", "--key", "once").stdout.strip()
    cluster.until_effect(job, "top")
    assert program(cluster, "queue_task", "diamond.top", "--key", "once").stdout.strip() == job
    assert not cluster.effects(pushed), "pull workers leave it alone"
    assert puller.terminate() == 0
    here = program(cluster, "run_task", pushed)
    assert (here.returncode, json.loads(here.stdout)) == (0, ["pushed"])
    assert len(cluster.effects(pushed)) == 1

    for wrong, why in (
        (["run_task", "nope"], "Error: No task 'nope'; there are: alone, "),
        (["run_task", pushed], "has ended: it is completed."),
        (["queue_workflow", "nope"], "Error: No workflow 'nope'; there are: diamond, shaky."),
    ):
        refused = program(cluster, *wrong)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert why in refused.stderr
        assert "Traceback" not in refused.stderr


def test_the_example_runs_by_one_command_and_by_its_parts(tmp_path: Path) -> None:
    env = {**os.environ, "EASYJOBS_STORE": f"sqlite:///{tmp_path}/jobs.db"}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = run(sys.executable, str(EXAMPLE / "demo.py")).splitlines()
    assert said[0] == "the run completed"
    assert [line.partition(":")[0] for line in said[1:]] == [
        "chapters",
        "words",
        "longest",
        "references",
        "commonest",
    ]
    env["PYTHONPATH"] = str(EXAMPLE)
    listed = run(COMMAND, "--taskflow", "main:taskflow", "list").splitlines()
    assert listed[1].split() == [
        "manual",
        "workflow",
        "0",
        "6",
        "*",
        "*",
        "*",
        "yes",
        "What",
        "is",
        "in",
        "the",
        "manual?",
    ]
    assert (tmp_path / "words.txt").exists()
    assert json.loads(run(sys.executable, str(EXAMPLE / "main.py"), "run_task", "tidy")) == {"returncode": 0}
    assert not (tmp_path / "words.txt").exists()
    told = json.loads(
        run(sys.executable, str(EXAMPLE / "main.py"), "run_task", "manual.extract", "--params", '{"only": "w"}')
    )
    assert "while" in told
    assert "for" not in told
