"""`easyjobs worker`: a worker as a process of its own."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType

import click

from easyjobs.cli.collector import spare_the_collector
from easyjobs.cli.modules import load, named
from easyjobs.cli.secret import read_secret, secret_option
from easyjobs.errors import ConfigurationError
from easyjobs.workers.worker import EasyJobsWorker


@click.command("worker", short_help="Run the tasks of a module.")
@click.argument("target", metavar="MODULE[:OBJECT]")
@click.option("--manager-url", metavar="URL", help="ws[s]://host[:port][/prefix] (else EASYJOBS_MANAGER_URL).")
@click.option("--queue", "queues", multiple=True, help="The queue of its tasks; may be repeated.")
@click.option("--slots", type=click.IntRange(min=1), help="How many jobs run at once.")
@click.option("--name", help="Its name, for people.")
@click.option(
    "--log-level", default="info", show_default=True, type=click.Choice(["debug", "info", "warning", "error"])
)
@secret_option
def command(
    target: str,
    manager_url: str | None,
    queues: tuple[str, ...],
    slots: int | None,
    name: str | None,
    log_level: str,
    secret_file: str | None,
) -> None:
    """Run the tasks of a module, until SIGTERM or Ctrl-C; a second signal does not wait for running jobs.

    The module holds an EasyJobsWorker, or plain functions marked with @task. The options stand in for what its code
    leaves open. The folder you are in is searched first.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    given = {
        "EASYJOBS_MANAGER_SECRET": read_secret(secret_file),
        "EASYJOBS_MANAGER_URL": manager_url,
        "EASYJOBS_JOBS_QUEUE": ",".join(queues) or None,
        "EASYJOBS_MAX_TASKS_PER_WORKER": None if slots is None else str(slots),
        "EASYJOBS_NAME": name,
    }
    with environment(given):
        worker = find_worker(target)
    spare_the_collector()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(worker.run())


def find_worker(target: str) -> EasyJobsWorker:
    """The worker that `module:object` or `module` names; one is made for a module that has only plain `@task`s.

    :raises ConfigurationError: there is no such module or object, or it holds no tasks; an error in the module itself
        is raised as it is.
    """
    module_name, _, path = target.partition(":")
    module = load(module_name)
    if path:
        return _worker_at(module, path)
    workers = {id(value): name for name, value in vars(module).items() if isinstance(value, EasyJobsWorker)}
    if len(workers) > 1:
        names = ", ".join(f"{module_name}:{name}" for name in workers.values())
        raise ConfigurationError(f"{module_name} has several workers; name one: {names}")
    for name in workers.values():
        return _worker_at(module, name)
    worker = EasyJobsWorker()
    if not worker.include(module):
        raise ConfigurationError(f"{module_name} has no EasyJobsWorker and no function marked with @task")
    return worker


def _worker_at(module: ModuleType, path: str) -> EasyJobsWorker:
    found = named(module, path)
    if not isinstance(found, EasyJobsWorker):
        raise ConfigurationError(f"{module.__name__}:{path} is no EasyJobsWorker but of type {type(found).__name__}")
    return found


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    if find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.Loop


@contextmanager
def environment(given: Mapping[str, str | None]) -> Iterator[None]:
    """Inside, these variables are set; afterwards they are as before, so that no child process inherits the secret."""
    before = {name: os.environ.get(name) for name in given}
    os.environ.update({name: value for name, value in given.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
