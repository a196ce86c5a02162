"""JobMaster on a file: deployed, filled and worked off without a manager."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from postgres_server import own_server, with_options

from easyjobs import JobMaster
from easyjobs.errors import ArgumentsRefused, ConfigurationError, NotFound, RegistrationError, StoreLocked
from easyjobs.stores import open_store

NICE_TASKS = """
from easyjobs import task, Dependency, same

@task
def foo(file_path: str, number: int):
    with open(file_path, 'w') as f:
        f.write(str(number))


@task(dependencies=Dependency(foo, 6, file_path=same))
def bar(file_path: str, number: int, letter: ['A', 'B', 'C'] = 'A'):
    with open(file_path, 'r') as f:
        _n = int(f.read())

    with open(file_path, 'w') as f:
        f.write(f"{number + _n}{letter}")

@task(
    process_limit=3,
    dependencies=[
        Dependency(foo, 2, number=10, file_path=same),
        Dependency(bar, 2, file_path=same)
    ]
)
def baz(file_path: str):
    with open(file_path, 'r') as f:
        s = f.read()
    return s
"""
MANY_TASKS = """
from easyjobs import task

@task(write_all=['b'])
def each(a: int, b: [1, 2, 3]):
    return a * b

@task(retry_delay=0)
def flaky(state: str):
    import os
    if not os.path.exists(state):
        open(state, "w").close()
        raise ValueError("the first time")

@task(retries=0)
def bad():
    raise ValueError("always")
"""

PATIENT_TASKS = """
from easyjobs import current_job, task

@task(retry_delay=3)
def later():
    if current_job().attempt == 1:
        raise ValueError("the first time")
"""


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[ModuleType]:
    yield from loaded(tmp_path, "patient_tasks_of_a_test", PATIENT_TASKS)


@pytest.fixture
def nice(tmp_path: Path) -> Iterator[ModuleType]:
    yield from loaded(tmp_path, "nice_tasks_of_a_test", NICE_TASKS)


@pytest.fixture
def many(tmp_path: Path) -> Iterator[ModuleType]:
    yield from loaded(tmp_path, "many_tasks_of_a_test", MANY_TASKS)


def loaded(folder: Path, name: str, text: str) -> Iterator[ModuleType]:
    (folder / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder))
    try:
        yield __import__(name)
    finally:
        sys.path.remove(str(folder))
        del sys.modules[name]


Master = Callable[..., JobMaster]


@pytest.fixture(params=["sqlite", "postgresql"])
def master(request: pytest.FixtureRequest, tmp_path: Path) -> Master:
    """Makes a JobMaster of some modules, in the same place as the others of the test."""
    file = request.param == "sqlite"
    url: str = f"sqlite:///{tmp_path}/jobs.db" if file else request.getfixturevalue("store_url")

    def make(*modules: ModuleType, **options: Any) -> JobMaster:
        return JobMaster(url, modules=modules, **options)

    return make


def test_dependencies_run_first_and_only_when_they_are_not_fresh(
    tmp_path: Path, master: Master, nice: ModuleType
) -> None:
    jobmaster, path = master(nice), tmp_path / "sum.txt"
    jobmaster.deploy()
    id = jobmaster.insert_job(nice.__name__, "bar", 10, {"file_path": str(path), "number": 2})
    first, second = jobmaster.run()
    assert (first.task_key, first.priority > 10, first.state) == ("foo", True, "completed")
    assert (second.id, second.type_key, second.state) == (id, nice.__name__, "completed")
    assert path.read_text() == "4A"
    jobmaster.insert_job(nice.__name__, "bar", 0, {"file_path": str(path), "number": 2})
    path.write_text("7")
    (again,) = jobmaster.run()
    assert (again.task_key, path.read_text()) == ("bar", "9A")


def test_a_job_whose_dependency_cannot_be_called_fails_and_says_so(
    tmp_path: Path, master: Master, nice: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    jobmaster = master(nice)
    jobmaster.deploy()
    assert "nobody says what 'number' is" in caplog.text
    jobmaster.insert_job(nice.__name__, "baz", 0, {"file_path": str(tmp_path / "x")})
    (job,) = jobmaster.run()
    assert job.state == "failed"
    assert job.error is not None
    assert "number: has no value" in job.error["message"]


def test_all_runs_a_job_for_each_value(master: Master, many: ModuleType) -> None:
    jobmaster = master(many, slots=2)
    jobmaster.deploy()
    jobmaster.insert_job(many.__name__, "each", 1, {"a": 5, "b": "ALL"})
    *members, group = jobmaster.run()
    assert sorted(job.result for job in members) == [5, 10, 15]
    assert (group.arguments, group.state) == ({"a": 5, "b": "ALL"}, "completed")


def test_a_failed_job_is_tried_again_in_the_same_run_and_later_jobs_are_left(
    tmp_path: Path, master: Master, many: ModuleType
) -> None:
    jobmaster = master(many)
    jobmaster.deploy()
    jobmaster.insert_job(many.__name__, "flaky", 0, {"state": str(tmp_path / "state")})
    jobmaster.insert_job(many.__name__, "bad")
    ran = {job.task_key: job.state for job in jobmaster.run()}
    assert ran == {"flaky": "completed", "bad": "failed"}
    assert jobmaster.run() == []


def test_a_task_that_is_gone_leaves_its_jobs_waiting(
    tmp_path: Path, master: Master, many: ModuleType, nice: ModuleType
) -> None:
    both, one = master(many, nice), master(many)
    both.deploy()
    id = both.insert_job(nice.__name__, "foo", 0, {"file_path": str(tmp_path / "f"), "number": 1})
    one.deploy()
    one.insert_job(many.__name__, "bad")
    assert [job.task_key for job in one.run()] == ["bad"]
    assert [job.id for job in both.run()] == [id]


def test_reset_begins_anew(master: Master, many: ModuleType) -> None:
    jobmaster = master(many)
    jobmaster.deploy()
    jobmaster.insert_job(many.__name__, "bad")
    jobmaster.deploy(_reset=True)
    assert jobmaster.run() == []


def test_wrong_jobs_are_refused_at_the_door(master: Master, many: ModuleType) -> None:
    jobmaster = master(many)
    jobmaster.deploy()
    with pytest.raises(NotFound, match="No task 'nope'"):
        jobmaster.insert_job(many.__name__, "nope")
    with pytest.raises(ArgumentsRefused, match="b"):
        jobmaster.insert_job(many.__name__, "each", 0, {"a": 1, "b": 4})
    with pytest.raises(ArgumentsRefused, match="surplus"):
        jobmaster.insert_job(many.__name__, "each", 0, {"a": 1, "b": 1, "surplus": 1})


def test_wrong_dependencies_are_refused_unless_they_are_not_to_be_judged(tmp_path: Path, master: Master) -> None:
    text = (
        "from easyjobs import task, Dependency\n@task(dependencies=Dependency('other.gone', 2))\ndef lonely(): pass\n"
    )
    for module in loaded(tmp_path, "lonely_tasks_of_a_test", text):
        with pytest.raises(RegistrationError, match="gone"):
            master(module).deploy()
        master(module, _validate_dependencies=False).deploy()


def test_jobs_of_earlier_parameters_run_if_they_fit_and_are_left_if_not(
    tmp_path: Path, master: Master, caplog: pytest.LogCaptureFixture
) -> None:
    def deployed(text: str) -> JobMaster:
        (module,) = loaded(tmp_path, "changing_tasks_of_a_test", f"from easyjobs import task\n@task\ndef foo({text}")
        jobmaster = master(module)
        jobmaster.deploy()
        return jobmaster

    first = deployed("a: int): return a")
    for n in range(50):
        first.insert_job("changing_tasks_of_a_test", "foo", 0, {"a": n})
    second = deployed("a: int, b: int = 100): return a + b")
    assert [job.result for job in second.run()] == [100 + n for n in range(50)]
    second.insert_job("changing_tasks_of_a_test", "foo", 0, {"a": 1, "b": 1})
    assert deployed("a: str): return a").run() == []
    assert "jobs of changing_tasks_of_a_test:foo are left" in caplog.text
    assert [job.result for job in second.run()] == [2]


def test_a_program_with_tasks_of_its_own_has_them_under_its_own_name(tmp_path: Path) -> None:
    program = (
        "import own\nfrom easyjobs import JobMaster, task\n@task\ndef foo(): pass\n"
        "if __name__ == '__main__': print(*(f'{t.queue}:{t.name}' for t in JobMaster('memory:').tasks()))"
    )
    (tmp_path / "own.py").write_text(program)
    for how in (["own.py"], ["-m", "own"]):
        done = subprocess.run([sys.executable, *how], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["own:foo"]


def test_two_modules_of_one_last_name_may_not_have_the_same_task(
    tmp_path: Path, master: Master, many: ModuleType
) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / f"{many.__name__}.py").write_text(MANY_TASKS)
    sys.path.insert(0, str(tmp_path))
    try:
        other = importlib.import_module(f"package.{many.__name__}")
        with pytest.raises(RegistrationError, match="has two tasks 'each'"):
            master(many, other).deploy()
    finally:
        sys.path.remove(str(tmp_path))
        for name in ("package", f"package.{many.__name__}"):
            del sys.modules[name]


async def test_on_a_loop_there_are_coroutines(master: Master, many: ModuleType) -> None:
    jobmaster = master(many)
    await jobmaster.deploy_async()
    await jobmaster.insert_job_async(many.__name__, "bad")
    assert [job.state for job in await jobmaster.run_async()] == ["failed"]
    assert await asyncio.to_thread(jobmaster.run) == []


async def test_where_a_loop_runs_already_it_waits(
    master: Master, many: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    jobmaster = master(many)
    jobmaster.deploy()
    jobmaster.insert_job(many.__name__, "bad")
    assert [job.state for job in jobmaster.run()] == ["failed"]
    assert "write `await jobmaster.run_async(…)`" in caplog.text


def test_what_was_never_deployed_is_said_so(master: Master, many: ModuleType) -> None:
    with pytest.raises(ConfigurationError, match=r"call jobmaster\.deploy\(\) first"):
        master(many).run()


def test_to_deploy_nothing_is_warned_of(master: Master, caplog: pytest.LogCaptureFixture) -> None:
    master().deploy()
    assert "import those that have them" in caplog.text


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"system_process_units": -1}, {"system_process_units": "many"}])
def test_values_that_will_not_do_are_refused(master: Master, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        master(**wrong)


def test_more_urgent_jobs_are_first_and_then_older_ones(master: Master, many: ModuleType) -> None:
    jobmaster = master(many)
    jobmaster.deploy()
    for priority, a in ((1, 1), (5, 2), (-3, 3), (5, 4), (0, 5)):
        jobmaster.insert_job(many.__name__, "each", priority, {"a": a, "b": 1})
    assert [job.result for job in jobmaster.run()] == [2, 4, 1, 5, 3]


@pytest.mark.parametrize(
    ("said", "has"), [("many", 10_000), ("1.5", 10_000), ("", 10_000), ("500", 500), (None, 10_000)]
)
def test_a_machine_has_what_its_variable_says_or_ten_thousand_units(
    tmp_path: Path, said: str | None, has: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if said is None:
        monkeypatch.delenv("JOBMASTER_SYSTEM_PROCESS_UNITS", raising=False)
    else:
        monkeypatch.setenv("JOBMASTER_SYSTEM_PROCESS_UNITS", said)
    text = "from easyjobs import task\n"
    text += "".join(f"@task(process_units={n})\ndef takes_{n}(): pass\n" for n in (has, has + 1))
    for module in loaded(tmp_path, f"heavy_{has}_tasks_of_a_test", text):
        jobmaster = JobMaster(f"sqlite:///{tmp_path}/jobs.db", modules=[module])
        jobmaster.deploy()
        for n in (has + 1, has):
            jobmaster.insert_job(module.__name__, f"takes_{n}")
        assert [job.task_key for job in jobmaster.run()] == [f"takes_{has}"]
    assert f"takes_{has + 1} are left" in caplog.text


async def test_in_a_web_server_it_is_called_from_either_kind_of_route(master: Master, many: ModuleType) -> None:
    jobmaster = master(many)
    await jobmaster.deploy_async()
    app = FastAPI()

    @app.post("/plain")
    def plain() -> list[str]:
        jobmaster.insert_job(many.__name__, "bad")
        return [job.state for job in jobmaster.run()]

    @app.post("/async")
    async def on_the_loop() -> list[str]:
        await jobmaster.insert_job_async(many.__name__, "bad")
        return [job.state for job in await jobmaster.run_async()]

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as http:
        for path in ("/plain", "/async"):
            assert (await http.post(path)).json() == ["failed"]


async def test_beside_a_manager_of_the_file_jobs_are_run_and_the_file_is_not_removed(
    tmp_path: Path, many: ModuleType
) -> None:
    def on_the_file() -> JobMaster:
        return JobMaster(f"sqlite:///{tmp_path}/jobs.db", modules=[many])

    store = open_store(f"sqlite:///{tmp_path}/jobs.db")
    await store.open()
    try:
        await on_the_file().deploy_async()
        await on_the_file().insert_job_async(many.__name__, "each", arguments={"a": 2, "b": 1})
        assert [job.state for job in await on_the_file().run_async()] == ["completed"]
        with pytest.raises(StoreLocked):
            await on_the_file().deploy_async(_reset=True)
    finally:
        await store.close()


def test_tasks_are_those_of_all_modules_that_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "nice_tasks.py").write_text(NICE_TASKS)
    (tmp_path / "many_tasks.py").write_text(MANY_TASKS)
    program = "import nice_tasks, many_tasks\nfrom easyjobs import JobMaster\nprint(*(f'{t.queue}:{t.name}' for t in "
    program += "JobMaster('memory:').tasks()))"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [f"many_tasks:{n}" for n in ("each", "flaky", "bad")] + [
        f"nice_tasks:{n}" for n in ("foo", "bar", "baz")
    ]


async def test_on_postgresql_several_work_at_the_same_queue(store_url: str, tmp_path: Path, many: ModuleType) -> None:
    def another() -> JobMaster:
        return JobMaster(store_url, modules=[many])

    await another().deploy_async()
    await asyncio.gather(another().deploy_async(), another().deploy_async())
    ids = {await another().insert_job_async(many.__name__, "each", n, {"a": n, "b": 1}) for n in range(20)}
    ran = await asyncio.gather(another().run_async(), another().run_async())
    assert sorted(job.id for jobs in ran for job in jobs) == sorted(ids)
    await another().insert_job_async(many.__name__, "bad")
    await another().deploy_async(_reset=True)
    assert await another().run_async() == []


@pytest.mark.parametrize("kind", ["file", "postgresql"])
def test_several_that_begin_anew_at_once_wait_for_each_other(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, many: ModuleType
) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db" if kind == "file" else request.getfixturevalue("store_url")
    together = threading.Barrier(6)

    def deploy(number: int) -> None:
        jobmaster = JobMaster(url, modules=[many])
        for _ in range(3):
            together.wait(20)
            # on a file those who use it stand in the way; in PostgreSQL nobody ever sees it without tables
            jobmaster.deploy(_reset=kind == "file" or number < 4)

    with ThreadPoolExecutor(6) as threads:
        for deployed in [threads.submit(deploy, number) for number in range(6)]:
            deployed.result()
    jobmaster = JobMaster(url, modules=[many])
    jobmaster.insert_job(many.__name__, "each", arguments={"a": 2, "b": 1})
    assert [job.result for job in jobmaster.run()] == [2]


async def test_a_server_that_is_started_anew_does_not_end_a_run(patient: ModuleType) -> None:
    server = own_server()
    try:
        jobmaster = JobMaster(server.url, modules=[patient])
        await jobmaster.deploy_async()
        await jobmaster.insert_job_async(patient.__name__, "later")
        running = asyncio.create_task(jobmaster.run_async())
        store = open_store(with_options(server.url, schema="jobmaster"))
        await store.open()
        while not (await store.totals()).get("retry"):
            await asyncio.sleep(0.02)
        await store.close()
        await asyncio.to_thread(server.restart)
        (job,) = await running
        assert (job.task_key, job.state) == ("later", "completed")
    finally:
        server.close()
