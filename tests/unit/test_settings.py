"""Settings: an argument wins over its variable, the variable over the default, and what will not do is named."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from easyjobs.errors import ConfigurationError
from easyjobs.settings import (
    ManagerSettings,
    WorkerSettings,
    manager_settings,
    named_manager,
    surroundings_of_children,
    task_dir,
    worker_settings,
)


def test_arguments_win_over_variables_and_these_over_defaults() -> None:
    environ = {"EASYJOBS_LEASE": "60", "EASYJOBS_GRACE": "2.5", "EASYJOBS_OPEN_DOCS": "yes"}
    settings = manager_settings(environ, lease=45, grace=None)
    assert (settings.lease, settings.grace, settings.heartbeat, settings.open_docs) == (45.0, 2.5, 5.0, True)


@pytest.mark.parametrize("shape", [ManagerSettings, WorkerSettings])
def test_every_setting_has_its_variable(shape: type[msgspec.Struct]) -> None:
    examples: dict[str, Any] = {"prefix": "/x", "open_docs": "on", "warn_depth": "50", "heartbeat": "1"}
    examples |= {"manager_port": "99", "scheduler": "no"}
    read = manager_settings if shape is ManagerSettings else worker_settings
    for field in msgspec.structs.fields(shape):
        variable = "EASYJOBS_SECRET" if field.name == "server_secret" else f"EASYJOBS_{field.name.upper()}"
        settings = read({variable: examples.get(field.name, "200000")})
        assert getattr(settings, field.name) != field.default, field.name


def test_a_workers_secret_is_its_own_or_the_common_one() -> None:
    both = {"EASYJOBS_MANAGER_SECRET": "own", "EASYJOBS_SECRET": "common"}
    assert worker_settings(both).manager_secret == "own"
    assert worker_settings({"EASYJOBS_SECRET": "common"}).manager_secret == "common"


def test_queues_are_one_or_several() -> None:
    assert worker_settings({}, jobs_queue="ETL").jobs_queue == ("ETL",)
    assert worker_settings({}, jobs_queue=["a", "b"]).jobs_queue == ("a", "b")
    assert worker_settings({"EASYJOBS_JOBS_QUEUE": " a ,b,"}).jobs_queue == ("a", "b")


@pytest.mark.parametrize(
    ("environ", "given", "store"),
    [
        ({}, None, "sqlite:///easyjobs.db"),
        ({"DB_PATH": "/data/"}, None, "sqlite:////data/job_manager.db"),
        ({"DB_PATH": "/data", "EASYJOBS_STORE": "memory:"}, None, "memory:"),
        ({"DB_PATH": "/data", "EASYJOBS_STORE": "memory:"}, "sqlite:///x.db", "sqlite:///x.db"),
    ],
)
def test_where_the_jobs_are_kept(environ: dict[str, str], given: str | None, store: str) -> None:
    assert manager_settings(environ, store=given).store == store


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"EASYJOBS_LEASE": "abc"}, ["EASYJOBS_LEASE", "'abc'"]),
        ({"EASYJOBS_LEASE": "nan"}, ["EASYJOBS_LEASE"]),
        ({"EASYJOBS_LEASE": "-1"}, ["EASYJOBS_LEASE"]),
        ({"EASYJOBS_LEASE": "9"}, ["heartbeat", "lease"]),
        ({"EASYJOBS_OPEN_DOCS": "maybe"}, ["EASYJOBS_OPEN_DOCS", "'maybe'"]),
        ({"EASYJOBS_PREFIX": "jobs"}, ["EASYJOBS_PREFIX"]),
        ({"EASYJOBS_PREFIX": "/"}, ["EASYJOBS_PREFIX"]),
        ({"EASYJOBS_PREFIX": "/a//b"}, ["EASYJOBS_PREFIX"]),
        ({"EASYJOBS_QUEUE_DEPTH": "10"}, ["warn_depth", "queue_depth"]),
    ],
    ids=str,
)
def test_what_will_not_do_is_named(environ: dict[str, str], words: list[str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        manager_settings(environ)
    for word in words:
        assert word in str(refused.value)


def test_a_secret_is_never_shown() -> None:
    with pytest.raises(ConfigurationError) as refused:
        manager_settings({"EASYJOBS_SECRET": "hush" * 1000})
    assert "hush" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="EASYJOBS_SLACK_WEBHOOK: the value given will not do"):
        manager_settings({"EASYJOBS_SLACK_WEBHOOK": "hush" * 1000})


def test_where_the_files_of_tasks_are_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKER_TASK_DIR", raising=False)
    monkeypatch.delenv("EASYJOBS_WORKER_TASK_DIR", raising=False)
    assert task_dir() is None
    monkeypatch.setenv("WORKER_TASK_DIR", "/srv/tasks")
    assert task_dir() == "/srv/tasks"
    monkeypatch.setenv("EASYJOBS_WORKER_TASK_DIR", "/srv/ours")
    assert task_dir() == "/srv/ours"
    assert task_dir("/srv/given") == "/srv/given"


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, None),
        ({"MANAGER_HOST": ""}, None),
        ({"MANAGER_HOST": "0.0.0.0", "MANAGER_PORT": "8220"}, "ws://0.0.0.0:8220/jobs"),
        ({"MANAGER_PORT": "9000"}, "ws://127.0.0.1:9000/jobs"),
        ({"MANAGER_HOST": "::1"}, "ws://[::1]:8220/jobs"),
        ({"EASYJOBS_MANAGER_URL": "wss://far/away", "MANAGER_HOST": "here"}, "wss://far/away"),
    ],
)
def test_the_manager_that_the_environment_names(environ: dict[str, str], url: str | None) -> None:
    assert named_manager("/jobs", environ) == url


def test_child_processes_see_no_secret_whatever_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    easy = ("EASYJOBS_SECRET", "EASYJOBS_MANAGER_SECRET", "EASYJOBS_SECRET_FILE", "EASYJOBS_SLACK_WEBHOOK")
    names = (*easy, "MY_OWN_NAME", "PORT")
    for name in names:
        monkeypatch.setenv(name, "hush, a secret" if "MY" in name or "EASY" in name else "8220")
    monkeypatch.setenv("OTHER", "hush")
    seen = surroundings_of_children("hush, a secret", ["a", "b"])
    assert "hush, a secret" not in seen.values()
    assert set(names) <= seen.keys()  # a module that asks for one still finds it
    assert (seen["OTHER"], seen["PORT"]) == ("hush", "8220")
    assert seen["EASYJOBS_JOBS_QUEUE"] == "a,b"
    assert surroundings_of_children("8220", [])["PORT"] == "8220"
    assert surroundings_of_children("", [])["OTHER"] == "hush"
    monkeypatch.delenv("EASYJOBS_MANAGER_SECRET")
    monkeypatch.setenv("EASYJOBS_JOBS_QUEUE", "mine")
    seen = surroundings_of_children("", ["a"])
    assert seen["EASYJOBS_JOBS_QUEUE"] == "mine"
    assert worker_settings(seen).manager_secret is not None


@pytest.mark.parametrize("prefix", ["jobs", "/jobs/", "/a b", 7])
def test_a_prefix_that_will_not_do_is_told_with_one_that_does(prefix: object) -> None:
    with pytest.raises(ConfigurationError, match=r"will not do: a prefix is a path like /jobs"):
        manager_settings({}, prefix=prefix)


@pytest.mark.parametrize(
    ("environ", "given", "units"),
    [
        ({}, None, None),
        ({"JOBMASTER_SYSTEM_PROCESS_UNITS": "500"}, None, 500),
        ({"JOBMASTER_SYSTEM_PROCESS_UNITS": "500"}, 20, 20),
        ({"JOBMASTER_SYSTEM_PROCESS_UNITS": "500", "EASYJOBS_SYSTEM_PROCESS_UNITS": "30"}, None, 30),
        ({"JOBMASTER_SYSTEM_PROCESS_UNITS": " 1_000 "}, None, 1000),  # an integer as Python writes it
        ({"JOBMASTER_SYSTEM_PROCESS_UNITS": "lots"}, None, None),
        ({"JOBMASTER_SYSTEM_PROCESS_UNITS": "1.5"}, None, None),
    ],
)
def test_process_units_are_said_or_found(environ: dict[str, str], given: int | None, units: int | None) -> None:
    assert worker_settings(environ, system_process_units=given).system_process_units == units


@pytest.mark.parametrize("units", ["0", "-5"])
def test_an_integer_that_no_machine_has_is_refused(units: str) -> None:
    with pytest.raises(ConfigurationError, match="JOBMASTER_SYSTEM_PROCESS_UNITS"):
        worker_settings({"JOBMASTER_SYSTEM_PROCESS_UNITS": units})


def test_our_own_variable_for_process_units_must_be_a_number() -> None:
    with pytest.raises(ConfigurationError, match="EASYJOBS_SYSTEM_PROCESS_UNITS"):
        worker_settings({"EASYJOBS_SYSTEM_PROCESS_UNITS": "lots"})
