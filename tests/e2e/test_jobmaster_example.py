"""The example of JobMaster's users runs by one command, on a file and on PostgreSQL, and its parts one by one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import COMMAND, Cluster

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "jobmaster"
DONE = [
    " 11 nice_tasks.foo  completed: None",
    " 10 nice_tasks.bar  completed: 4A",
    "  5 nice_tasks.bar A completed: 5A",
    "  5 nice_tasks.bar B completed: 5B",
    "  5 nice_tasks.bar C completed: 5C",
    "  5 nice_tasks.bar ALL completed: {'jobs': 3}",
    "  1 nice_tasks.foo  completed: None",
    "  0 nice_tasks.baz  completed: 10",
]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    url: str = request.getfixturevalue("store_url")
    return url.replace("postgresql:", "postgresql+pg8000:")


def run(folder: Path, database: str, *command: str) -> str:
    env = {**os.environ, "DATABASE_URL": database}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_command_does_all_of_it(database: str, tmp_path: Path) -> None:
    folder = shutil.copytree(EXAMPLE, tmp_path / "example")
    assert run(folder, database, sys.executable, "run.py").splitlines() == DONE


def test_a_manager_and_workers_do_the_same_jobs(database: str, tmp_path: Path, make: Callable[..., Cluster]) -> None:
    folder = shutil.copytree(EXAMPLE, tmp_path / "example")
    run(folder, database, sys.executable, "deploy_jobmaster.py")
    cluster = make(EASYJOBS_STORE=database.replace("+pg8000", ""))
    cluster.start_manager()
    env = {**cluster.worker_env("unused"), "PYTHONPATH": str(folder), "DATABASE_URL": database}
    worker = cluster.start("worker", [COMMAND, "worker", "main"], env)
    cluster.until_connected(worker)
    file = tmp_path / "sum.txt"
    bar = cluster.submit("nice_tasks", "bar", {"file_path": str(file), "number": 2, "letter": "ALL"})
    assert cluster.end_of(bar)["result"] == {"jobs": 3}
    shown = cluster.get("/openapi.json")["paths"]["/api/queues/nice_tasks/tasks/bar"]["post"]
    letter = shown["requestBody"]["content"]["application/json"]["schema"]["properties"]["letter"]
    assert letter["enum"] == ["A", "B", "C", "ALL"]
    assert letter["description"] == 'stands behind the sum; "ALL": one job for each'
