"""What `easyjobs worker module[:object]` runs, and what it says where there is nothing to run."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from easyjobs import EasyJobsWorker
from easyjobs.cli import worker as cli
from easyjobs.cli.commands import commands
from easyjobs.errors import ConfigurationError
from easyjobs.faces.pulling import pulling

_numbers = itertools.count()


class Folder:
    """A folder of modules that is the current one; each module has a name of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def module(self, source: str) -> str:
        name = f"a_module_of_tasks_{next(_numbers)}"
        (self.path / f"{name}.py").write_text(source, encoding="utf-8")
        return name


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    for name in [name for name in os.environ if name.startswith("EASYJOBS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("EASYJOBS_SECRET", "a secret of many characters")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return Folder(tmp_path)


A_WORKER = """
from easyjobs import EasyJobsWorker
worker = EasyJobsWorker("etl")
@worker.task
async def load(n: int) -> int:
    return n
"""


def test_the_one_worker_of_a_module_is_found(folder: Folder) -> None:
    name = folder.module(A_WORKER)
    assert cli.find_worker(name) is cli.find_worker(f"{name}:worker")


def test_one_worker_under_two_names_is_one(folder: Folder) -> None:
    assert cli.find_worker(folder.module(A_WORKER + "again = worker\n")).settings.jobs_queue == ("etl",)


def test_a_worker_inside_an_object_is_found_by_its_path(folder: Folder) -> None:
    name = folder.module(A_WORKER + "class app:\n    inner = worker\n")
    assert cli.find_worker(f"{name}:app.inner") is cli.find_worker(name)


def test_plain_tasks_get_a_worker(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYJOBS_JOBS_QUEUE", "reports")
    name = folder.module(
        "from easyjobs import task\n@task\ndef report(): pass\n@task(queue='mail')\ndef send(): pass\n"
    )
    worker = cli.find_worker(name)
    assert [(t.queue, t.name) for t in worker.include(sys.modules[name])] == [("reports", "report"), ("mail", "send")]


PLAIN = "from easyjobs import JobMaster, task\n@task\ndef report(): pass\n@task(queue='mail')\ndef send(): pass\n"


def test_plain_tasks_may_be_in_the_queues_of_their_type_keys(folder: Folder) -> None:
    name = folder.module(PLAIN)
    worker = cli.find_worker(name, by_type_key=True)
    assert [spec.queue for spec in worker.specs()] == [name, "mail"]


def test_a_job_master_gets_a_worker_of_its_tasks(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYJOBS_MAX_TASKS_PER_WORKER", "5")
    made = "import sys\nmaster = JobMaster('memory:', system_process_units=7, modules=[sys.modules[__name__]])\n"
    name = folder.module(PLAIN + made)
    for target in (name, f"{name}:master"):
        worker = cli.find_worker(target)
        assert [spec.queue for spec in worker.specs()] == [name, "mail"]
        assert (worker.settings.max_tasks_per_worker, worker.settings.system_process_units) == (5, 7)
    with pytest.raises(ConfigurationError, match=r"several JobMasters; name one: .*:master, .*:other"):
        cli.find_worker(folder.module(PLAIN + made + "other = JobMaster('memory:')\n"))


@pytest.mark.parametrize(
    ("source", "path", "words"),
    [
        ("x = 1", "", "no EasyJobsWorker and no function marked with @task"),
        ("x = 1", ":x", "no EasyJobsWorker but of type int"),
        ("x = 1", ":y", "has no 'y'"),
        ("x = 1", ":x.y", "has no 'x.y'"),
        (A_WORKER + "other = EasyJobsWorker('b')\n", "", "several workers; name one: .*:worker, .*:other"),
    ],
)
def test_a_module_with_nothing_to_run(folder: Folder, source: str, path: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        cli.find_worker(folder.module(source) + path)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("no_such_module", "there is no module 'no_such_module'"),
        ("no_such_package.tasks", "there is no module"),
        ("app/tasks.py", "write app.tasks"),
        ("", "is no module's name"),
        ("-rf", "is no module's name"),
    ],
)
def test_a_name_that_is_no_module(folder: Folder, target: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        cli.find_worker(target)


def test_what_a_module_fails_to_import_is_its_own_error(folder: Folder) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        cli.find_worker(folder.module("import no_such_library"))


def test_options_stand_in_for_what_the_code_leaves_open(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    async def run(self: object) -> None:
        started.append(self)

    monkeypatch.setattr(cli.EasyJobsWorker, "run", run)
    (folder.path / "secret").write_text("another secret, from a file\n")
    options = ["--manager-url", "ws://manager:1", "--slots", "3", "--queue", "a", "--queue", "b", "--name", "w"]
    target = folder.module("from easyjobs import task\n@task\ndef report(): pass\n")
    result = CliRunner().invoke(commands, ["worker", target, *options, "--secret-file", "secret"])
    assert result.exit_code == 0, result.output
    settings = started[0].settings
    assert (settings.manager_url, settings.max_tasks_per_worker, settings.name) == ("ws://manager:1", 3, "w")
    assert settings.jobs_queue == ("a", "b")
    assert settings.manager_secret == "another secret, from a file"
    target = folder.module(A_WORKER)
    CliRunner().invoke(commands, ["worker", target, *options])
    assert started[1].settings.jobs_queue == ("etl",), "what the code says stands"
    assert [name for name in os.environ if name.startswith("EASYJOBS_")] == ["EASYJOBS_SECRET"]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"EASYJOBS_SECRET": ""}, "secret is missing"),
        ({"EASYJOBS_MANAGER_PORT": "many"}, "EASYJOBS_MANAGER_PORT"),
    ],
)
def test_a_setting_that_will_not_do_is_one_line(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], words: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(commands, ["worker", folder.module(A_WORKER)])
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_worker_loads_no_web_framework() -> None:
    script = "import sys, easyjobs.cli.worker, easyjobs.cli.commands; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "easyjobs.workers.worker" in loaded
    heavy = {"fastapi", "starlette", "pydantic", "httpx", "uvicorn", "rich", "jsonschema_rs", "sqlite3", "jinja2"}
    assert not heavy & set(loaded)


# -- folders of scripts


def test_a_folder_of_scripts_needs_no_module(folder: Folder) -> None:
    (folder.path / "scripts").mkdir()
    (folder.path / "scripts" / "grab.py").write_text("")
    (alone,) = cli.find_work(None, ["scripts"]).specs()
    assert (alone.name, alone.kind) == ("grab.py", "script")


def test_scripts_come_beside_the_tasks_of_a_module(folder: Folder) -> None:
    name = folder.module("from easyjobs import task\n\n@task\ndef one() -> None: ...\n")
    (folder.path / "scripts").mkdir()
    (folder.path / "scripts" / "grab.sh").write_text("")
    worker = cli.find_work(name, ["scripts"], "exit")
    assert [spec.name for spec in worker.specs()] == ["one", "grab.sh"]


def test_nothing_to_run_is_said(folder: Folder) -> None:
    (folder.path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="there are no scripts in empty"):
        cli.find_work(None, ["empty"])
    said = CliRunner().invoke(commands, ["worker"])
    assert (said.exit_code, "name a module, or a folder of scripts" in said.output) == (2, True)


async def test_a_worker_may_be_made_without_a_secret_and_misses_it_when_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EASYJOBS_SECRET", "EASYJOBS_MANAGER_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="secret is missing"):
        await EasyJobsWorker("sums").start()
    worker = EasyJobsWorker("sums")
    async with pulling(worker, f"sqlite:///{tmp_path}/jobs.db"):  # straight from the store: nobody asks for one
        await worker.start()
        while not worker.connected:
            await asyncio.sleep(0.01)
        await worker.stop(0.0)
