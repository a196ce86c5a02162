"""Scripts as tasks: declared one by one, as a folder, or over a function; checked before anything runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from easyjobs.core.signature import Signature
from easyjobs.errors import ConfigurationError, RegistrationError
from easyjobs.tasks.decorator import ScriptTask, task
from easyjobs.tasks.scripts import Command, Script, Vector, scripts_check, scripts_in
from easyjobs.workers.worker import EasyJobsWorker


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "scripts"
    for path, text in {
        "grab.py": "",
        "bonds/bonds.py": "",
        "bonds/clean": "#!/bin/sh\n",
        "data.csv": "a,b\n",
        "README.md": "",
    }.items():
        file = home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.delenv("EASYJOBS_INTERPRETERS", raising=False)
    monkeypatch.setenv("EASYJOBS_SCRIPTS", str(home))
    return home


@pytest.fixture
def worker() -> EasyJobsWorker:
    return EasyJobsWorker("etl", manager_secret="a secret of many characters")


def names(signature: Signature) -> list[str]:
    return [parameter.name for parameter in signature.parameters]


def test_a_script_is_a_task_called_by_its_path(folder: Path, worker: EasyJobsWorker) -> None:
    bonds = worker.script("bonds/bonds.py", retries=3, timeout=60)
    assert (bonds.queue, bonds.name) == ("etl", "bonds.bonds.py")
    assert (bonds.spec.kind, bonds.spec.doc) == ("script", "Runs bonds/bonds.py.")
    assert (bonds.spec.options.retries, bonds.spec.options.timeout) == (3, 60)
    assert bonds.spec.signature.schema()["properties"]["args"]["items"]["anyOf"] == [
        {"type": "string"},
        {"type": "integer"},
        {"type": "number"},
        {"type": "boolean"},
    ]
    assert worker.specs() == [bonds.spec]
    assert asyncio.run(bonds.local("a", 1)) == ["a", 1]
    assert worker.script(Path("bonds/bonds.py"), name="again").spec.doc == "Runs bonds/bonds.py."
    with pytest.raises(RegistrationError, match="a script is named by its path"):
        worker.script(None)  # type: ignore[arg-type]


def test_over_a_function_its_parameters_are_the_tasks(folder: Path, worker: EasyJobsWorker) -> None:
    @worker.script("grab.py", name="grab", namespace=["one", "two"])
    def anything(year: int, url: str = "") -> list[Any]:
        """Grabs a year."""
        return [year, url]

    assert isinstance(anything, ScriptTask)
    assert (anything.queue, anything.name, anything.spec.doc) == ("one", "grab", "Grabs a year.")
    assert names(anything.spec.signature) == ["year", "url"]
    assert anything.local(1) == [1, ""]
    assert [(spec.queue, spec.name, names(spec.signature)) for spec in worker.specs()] == [
        ("one", "grab", ["year", "url"]),
        ("two", "grab", ["year", "url"]),
    ]


def test_any_task_may_run_a_script(folder: Path, worker: EasyJobsWorker) -> None:
    @worker.task(script="grab.py")
    def grab(year: int) -> list[int]:
        return [year]

    assert (grab.name, grab.child, grab.spec.kind) == ("grab", "program", "script")
    assert grab.program is not None
    assert grab.program.start().cwd == str(folder)


def test_a_plain_task_names_its_script_and_a_worker_looks_it_up(folder: Path, worker: EasyJobsWorker) -> None:
    @task(script="nowhere.py")
    def grab(year: int) -> list[int]:
        return [year]

    assert grab(1) == [1]
    with pytest.raises(RegistrationError, match=r"there is no nowhere\.py"):
        worker.task(grab)


def test_a_folder_is_all_its_scripts(folder: Path, worker: EasyJobsWorker) -> None:
    found = worker.scripts(str(folder), "scripts", retries=0)
    assert [(one.queue, one.name) for one in found] == [
        ("scripts", "grab.py"),
        ("scripts", "bonds.bonds.py"),
        ("scripts", "bonds.clean"),
    ]
    assert scripts_in(folder, {".csv": ["cat"]}) == ["data.csv", "grab.py", "bonds/bonds.py", "bonds/clean"]
    worker.scripts(str(folder), "scripts")
    assert len(worker.specs()) == 3


def test_all_that_is_wrong_with_a_folder_is_said_at_once_and_nothing_declared(
    folder: Path, worker: EasyJobsWorker
) -> None:
    (folder / "my script.py").write_text("")
    (folder / "bonds" / "lost").write_text("#!/no/such/program\n")
    with pytest.raises(RegistrationError, match=r"bonds/lost runs with /no/such/program.*'my script\.py' has a name"):
        worker.scripts(str(folder))
    assert worker.specs() == []


def test_two_scripts_of_one_name_are_refused(folder: Path, worker: EasyJobsWorker) -> None:
    (folder / "bonds.bonds.py").write_text("")
    with pytest.raises(RegistrationError, match=r"has two tasks 'bonds\.bonds\.py'"):
        worker.scripts(str(folder))


def test_what_cannot_run_is_found_before_anything_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "publish.R").write_text("")
    monkeypatch.setenv("PATH", str(folder))
    problems = scripts_check(folder, ["grab.py", "publish.R", "../x.py", "none.py", "none.py", "data.csv"])
    assert [problem.path for problem in problems] == ["publish.R", "../x.py", "none.py", "data.csv"]
    assert "install R" in str(problems[0])
    assert scripts_check(folder, ["publish.R", "data.csv"], {".R": ["/bin/sh"], ".csv": ["/bin/cat"]}) == []


def test_interpreters_of_the_environment_count_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYJOBS_INTERPRETERS", ".csv=cat -n; .py = sh")
    assert Script("data.csv").complete().start().argv == ["cat", "-n", str(folder / "data.csv")]
    own = Script("grab.py", interpreters={".py": ["cat"]})
    assert own.complete().start().argv == ["cat", str(folder / "grab.py")]
    monkeypatch.setenv("EASYJOBS_INTERPRETERS", "python")
    with pytest.raises(ConfigurationError, match=r"EASYJOBS_INTERPRETERS: 'python' will not do"):
        Script("data.csv").complete()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"script": 3}, "must be a path, a Script or a Command"),
        ({"script": "../grab.py"}, "cannot name a script"),
        ({"script": "grab.py", "process": True}, "leave out the other"),
        ({"script": "grab.py", "subprocess": True}, "leave out the other"),
        ({"script": Script("grab.py", result="json")}, "must be 'markers' or 'exit'"),  # type: ignore[arg-type]
        ({"script": Script("grab.py", folder="/no/such")}, "cannot be read"),
        ({"script": Script("grab.py", interpreters={"R": ["x"]})}, "interpreters are such as"),
        ({"script": Script("grab.py", interpreters={".R": "Rscript"})}, "interpreters are such as"),
        ({"script": Command(())}, "needs a program"),
        ({"script": Command("ls -l")}, "a program and its arguments"),  # type: ignore[arg-type]
        ({"script": Command(("ls", "\0"))}, "text, without NUL"),
        ({"script": Command(("ls",), stdout="x", result="markers")}, "can print no result"),
    ],
)
def test_what_will_not_do_is_refused_where_it_is_declared(
    options: Any, reason: str, folder: Path, worker: EasyJobsWorker
) -> None:
    with pytest.raises(RegistrationError, match=reason):
        worker.task(name="x", **options)(Vector("x"))
    assert worker.specs() == []


def test_a_limit_of_memory_is_for_scripts_too(folder: Path, worker: EasyJobsWorker) -> None:
    assert worker.script("grab.py", max_memory="1GB").spec.options.max_memory == 2**30
