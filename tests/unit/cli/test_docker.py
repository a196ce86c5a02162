"""What can be known of the container files without an engine: they say nothing that the command does not understand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from easyjobs.cli.commands import commands
from easyjobs.cli.worker import find_worker
from easyjobs.settings import ManagerSettings

DOCKER = Path(__file__).parents[3] / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def instruction(name: str) -> str:
    """The last instruction of that name."""
    return re.findall(rf"^\s*{name} +(.*)$", DOCKERFILE, re.M)[-1]


def parsed(arguments: list[str]) -> dict[str, Any]:
    """The options of a command line, as the command itself reads them; it is not run."""
    command = commands.get_command(click.Context(commands), arguments[0])
    assert command is not None, arguments
    return command.make_context(arguments[0], arguments[1:]).params


@pytest.mark.parametrize("service", sorted(COMPOSE["services"]))
def test_each_service_is_a_command(service: str) -> None:
    options = parsed(COMPOSE["services"][service]["command"])
    (secret,) = COMPOSE["services"][service]["secrets"]
    assert secret in COMPOSE["secrets"]
    assert options["secret_file"] == f"/run/secrets/{secret}"


def test_the_workers_reach_the_manager_that_is_there() -> None:
    manager = parsed(COMPOSE["services"]["manager"]["command"])
    worker = parsed(COMPOSE["services"]["worker"]["command"])
    assert worker["manager_url"] == f"ws://manager:{manager['port']}"
    assert COMPOSE["services"]["manager"]["ports"] == [f"127.0.0.1:{manager['port']}:{manager['port']}"]
    assert COMPOSE["services"]["worker"]["deploy"]["replicas"] == 2


def test_the_jobs_are_kept_in_the_volume() -> None:
    manager = COMPOSE["services"]["manager"]
    (volume,) = manager["volumes"]
    name, folder = volume.split(":")
    assert name in COMPOSE["volumes"]
    assert parsed(manager["command"])["store"].startswith(f"sqlite:///{folder}/")
    assert instruction("VOLUME") == folder


def test_the_image_starts_a_manager_by_itself() -> None:
    assert json.loads(instruction("ENTRYPOINT")) == ["easyjobs"]
    options = parsed(json.loads(instruction("CMD")))
    assert options["port"] == int(instruction("EXPOSE"))
    assert f"http://127.0.0.1:{options['port']}/health/ready" in instruction("HEALTHCHECK")


def test_the_image_does_not_run_as_root() -> None:
    user = instruction("USER")
    assert user != "root"
    assert re.search(rf"useradd .*\b{user}\b", DOCKERFILE)


def test_the_engine_waits_longer_than_we_take_to_stop() -> None:
    grace = {name: int(service["stop_grace_period"].rstrip("s")) for name, service in COMPOSE["services"].items()}
    assert grace["manager"] > 25
    assert grace["worker"] > ManagerSettings().stop_grace + 5


def test_the_example_has_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DOCKER)
    monkeypatch.syspath_prepend(str(DOCKER))
    monkeypatch.setenv("EASYJOBS_SECRET", "a secret of many characters")
    (target, *_) = COMPOSE["services"]["worker"]["command"][1:]
    worker = find_worker(target)
    assert f"./{target}.py:/app/{target}.py:ro" in COMPOSE["services"]["worker"]["volumes"]
    assert worker.settings.jobs_queue == ("DEFAULT",)


def test_the_secret_never_enters_the_repository() -> None:
    file = COMPOSE["secrets"]["easyjobs"]["file"].removeprefix("./")
    ignored = (DOCKER.parent / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert f"docker/{file}" in ignored
