"""`easyjobs worker`: a worker as a process of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeVar, cast

import click

from easyjobs.cli.collector import spare_the_collector
from easyjobs.cli.modules import load, named
from easyjobs.cli.secret import read_secret, secret_option
from easyjobs.errors import ConfigurationError
from easyjobs.tasks.scripts import MODES, Mode
from easyjobs.workers.worker import EasyJobsWorker

F = TypeVar("F", bound=Callable[..., Any])


def work_options(command: F) -> F:
    """What a worker is to run: a module, folders of scripts, or both; see `find_work`."""
    for option in (
        click.option(
            "--result",
            default="markers",
            show_default=True,
            type=click.Choice(MODES),
            help="Where the result of these scripts is: printed between markers, or the exit status alone.",
        ),
        click.option("--scripts", multiple=True, metavar="FOLDER", help="Run a folder's scripts; may be repeated."),
        click.argument("target", metavar="[MODULE[:OBJECT]]", required=False),
    ):
        command = option(command)
    return command


@click.command("worker", short_help="Run the tasks of a module, or a folder of scripts.")
@work_options
@click.option("--manager-url", metavar="URL", help="ws[s]://host[:port][/prefix] (else EASYJOBS_MANAGER_URL).")
@click.option("--queue", "queues", multiple=True, help="The queue of its tasks; may be repeated.")
@click.option("--by-type-key", is_flag=True, help="Each plain @task is in the queue of its type key: its module.")
@click.option("--slots", type=click.IntRange(min=1), help="How many jobs run at once.")
@click.option("--name", help="Its name, for people.")
@click.option(
    "--log-level", default="info", show_default=True, type=click.Choice(["debug", "info", "warning", "error"])
)
@secret_option
def command(
    target: str | None,
    scripts: tuple[str, ...],
    result: Mode,
    manager_url: str | None,
    queues: tuple[str, ...],
    by_type_key: bool,
    slots: int | None,
    name: str | None,
    log_level: str,
    secret_file: str | None,
) -> None:
    """Run the tasks of a module, or a folder of scripts, or both, until SIGTERM or Ctrl-C; a second signal does not
    wait for running jobs.

    The module holds an EasyJobsWorker, or a JobMaster, or plain functions marked with @task. The options stand in for
    what its code leaves open. The folder you are in is searched first. A script is called by its path, with dots for
    slashes, and its arguments are those of its command line.
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
        worker = find_work(target, scripts, result, by_type_key=by_type_key)
    spare_the_collector()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(worker.run())


def find_work(
    target: str | None, scripts: Sequence[str], result: Mode = "markers", *, by_type_key: bool = False
) -> EasyJobsWorker:
    """The worker of a module (`find_worker`), or else a new one, with the scripts of some folders.

    :raises UsageError: neither is named. ConfigurationError: there is nothing to run in them. RegistrationError: a
        script cannot run here.
    """
    if target is None and not scripts:
        raise click.UsageError("name a module, or a folder of scripts: --scripts FOLDER")
    worker = EasyJobsWorker() if target is None else find_worker(target, by_type_key=by_type_key)
    found = [task for folder in scripts for task in worker.scripts(folder, result=result)]
    if target is None and not found:
        raise ConfigurationError(f"there are no scripts in {', '.join(scripts)}")
    return worker


def find_worker(target: str, *, by_type_key: bool = False) -> EasyJobsWorker:
    """The worker that `module:object` or `module` names; one is made for a JobMaster, and for a module that has only
    plain `@task`s: with `by_type_key` each of those is in the queue of its type key.

    :raises ConfigurationError: there is no such module or object, or it holds no tasks; an error in the module itself
        is raised as it is.
    """
    module_name, _, path = target.partition(":")
    module = load(module_name)
    if path:
        return _worker_at(module, path)
    kinds: list[type[Any]] = [EasyJobsWorker, *_faces()]
    for kind in kinds:
        found = {id(value): name for name, value in vars(module).items() if isinstance(value, kind)}
        if len(found) > 1:
            names = ", ".join(f"{module_name}:{name}" for name in found.values())
            several = "workers" if kind is EasyJobsWorker else f"{kind.__name__}s"
            raise ConfigurationError(f"{module_name} has several {several}; name one: {names}")
        for name in found.values():
            return _worker_at(module, name)
    worker = EasyJobsWorker()
    if not worker.include(module, by_type_key=by_type_key):
        raise ConfigurationError(f"{module_name} has no EasyJobsWorker and no function marked with @task")
    return worker


def _worker_at(module: ModuleType, path: str) -> EasyJobsWorker:
    found: Any = named(module, path)
    if isinstance(found, tuple(_faces())):
        of_its_tasks: EasyJobsWorker = cast("Any", found).worker()
        return of_its_tasks
    if not isinstance(found, EasyJobsWorker):
        raise ConfigurationError(f"{module.__name__}:{path} is no EasyJobsWorker but of type {type(found).__name__}")
    return found


def _faces() -> list[type[Any]]:
    """The classes whose objects make workers, as far as a module has loaded them: others need not know what a manager
    is made of.
    """
    names = (("easyjobs.faces.jobmaster", "JobMaster"), ("easyjobs.faces.taskflow", "Taskflow"))
    return [getattr(sys.modules[module], name) for module, name in names if module in sys.modules]


def loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """The fastest event loop that is installed; None: asyncio's own."""
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
