"""The commands of an application of Taskflow: `python main.py COMMAND`, `easyjobs --taskflow main:taskflow COMMAND`."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import nullcontext, redirect_stdout
from datetime import datetime
from typing import Any, Final, TypeVar

import click
import msgspec

from easyjobs.cli.asking import as_json, print_json
from easyjobs.cli.collector import spare_the_collector
from easyjobs.cli.logs import EXITS, INTERRUPTED, OTHERWISE
from easyjobs.cli.modules import load, named
from easyjobs.cli.moment import NONE, Moment
from easyjobs.cli.text import json_of, plain, table
from easyjobs.cli.worker import loop_factory
from easyjobs.core.job import Job
from easyjobs.errors import ConfigurationError, EasyJobsError
from easyjobs.faces.pulling import pull, schedule
from easyjobs.faces.taskflow import Taskflow
from easyjobs.faces.tasks import PRIORITIES
from easyjobs.workers.signals import until_told

F = TypeVar("F", bound=Callable[..., Any])

PROGRAM: Final = "easyjobs --taskflow MODULE:OBJECT"


class _Commands(click.Group):
    """Takes dashes for underscores, and turns our own errors into one line."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """As click does."""
        return super().get_command(ctx, cmd_name.replace("-", "_"))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except EasyJobsError as error:
            raise click.ClickException(plain(str(error))) from None


class _Priority(click.ParamType[Any]):
    """The name of a priority, or a number."""

    name = "priority"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click converts."""
        if value in PRIORITIES or isinstance(value, int):
            return value
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is no priority: {', '.join(PRIORITIES)}, or a whole number", param, ctx)


class _At(Moment):
    """A time, as seconds since 1970."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click converts."""
        if isinstance(value, float):
            return value
        text = super().convert(value, param, ctx)
        if text == NONE:
            self.fail("give a time, or leave it out", param, ctx)
        return float(text) if text.isdecimal() else datetime.fromisoformat(text).timestamp()


class _Object(click.ParamType[Any]):
    """A JSON object."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click converts."""
        if isinstance(value, dict):
            return value
        try:
            found = json_of(value)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self.fail(f"{value[:100]!r} is no JSON object", param, ctx)
        return found


def _names(which: Callable[[Taskflow], Iterable[str]]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Completes names of the application."""

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        target = ctx.find_root().params.get("taskflow")
        try:
            application = ctx.find_object(Taskflow) or (find(target) if target else None)
        except EasyJobsError:
            return []
        return [] if application is None else [name for name in which(application) if name.startswith(incomplete)]

    return complete


_TASKS: Final = _names(lambda application: application.all_tasks())
_WORKFLOWS: Final = _names(lambda application: application.workflows)


def _logging(function: F) -> F:
    levels = click.Choice(["debug", "info", "warning", "error"])
    return click.option("--log-level", default="info", show_default=True, type=levels)(function)


def _job_options(function: F) -> F:
    for option in (
        click.option("--key", help="The same key again is the same job."),
        click.option("--at", "run_at", type=_At(), metavar="TIME", help="Not before: 2026-01-31T12:00:00Z."),
        click.option("--priority", type=_Priority(), help=f"{', '.join(PRIORITIES)}, or a number; higher first."),
        click.option("--params", type=_Object(), default={}, metavar="JSON", help="Parameters: '{\"n\": 1}'."),
    ):
        function = option(function)
    return function


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--taskflow", metavar="MODULE:OBJECT", help="The application, where this is not its own program.")
@click.pass_context
def commands(ctx: click.Context, taskflow: str | None) -> None:
    """Run tasks and workflows, and look after their database (EASYJOBS_STORE, if the application names none)."""
    if taskflow is not None:
        ctx.obj = find(taskflow)
    if ctx.obj is None:
        raise click.UsageError("which application? give --taskflow MODULE:OBJECT")


@commands.command("api_server", short_help="Serve the HTTP API and its page.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8220, show_default=True, type=click.IntRange(0, 65_535), help="0: any free one.")
@_logging
@click.pass_obj
def api_server(taskflow: Taskflow, host: str, port: int, log_level: str) -> None:
    """Serve the HTTP API and its page, until SIGTERM or Ctrl-C; the scheduler is a process of its own."""
    from easyjobs.cli.manager import serve

    _run(_declared(taskflow))
    serve(host, port, taskflow.store, None, None, 20.0, log_level, None, scheduler=False)


@commands.command("init_db", short_help="Make the tables.")
@click.pass_obj
def init_db(taskflow: Taskflow) -> None:
    """Make the tables, and say which tasks and workflows there are. May be repeated."""
    _run(_declared(taskflow))
    click.echo(f"the database has the tables, {_told(taskflow)}")


@commands.command("migrate_db", short_help="Bring the tables up to date.")
@click.pass_obj
def migrate_db(taskflow: Taskflow) -> None:
    """Bring the tables up to date; jobs stay as they are. May be repeated."""
    _run(_declared(taskflow))
    click.echo(f"the tables are up to date, {_told(taskflow)}")


@commands.command("list", short_help="List tasks and workflows.")
@as_json
@click.pass_obj
def list_all(taskflow: Taskflow, raw: bool) -> None:
    """List the tasks and workflows of the application."""
    rows = [_row(name, "workflow", one) for name, one in sorted(taskflow.workflows.items())]
    rows += [_row(name, "task", one) for name, one in sorted(taskflow.all_tasks().items())]
    if raw:
        print_json(rows)
    else:
        table(("name", "kind", "schedule", "active", "title"), [[str(cell) for cell in row.values()] for row in rows])


@commands.command("pull_worker", short_help="Run jobs straight from the database.")
@click.option("--slots", type=click.IntRange(min=1), help="How many jobs run at once.")
@click.option("--name", help="Its name, for people.")
@_logging
@click.pass_obj
def pull_worker(taskflow: Taskflow, slots: int | None, name: str | None, log_level: str) -> None:
    """Take jobs straight from the database and run them, until SIGTERM or Ctrl-C."""
    _log(log_level)
    worker = taskflow.puller(max_tasks_per_worker=slots, name=name)
    spare_the_collector()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(pull(worker, taskflow.store, monitors=taskflow.monitors))


@commands.command("scheduler", short_help="Start what is due.")
@_logging
@click.pass_obj
def scheduler(taskflow: Taskflow, log_level: str) -> None:
    """Start what is due, until SIGTERM or Ctrl-C. Of several one acts at a time."""
    _log(log_level)
    _run(schedule(taskflow.store, monitors=taskflow.monitors, specs=taskflow.specs()))


@commands.command("queue_task", short_help="Make a job of a task.")
@click.argument("name", shell_complete=_TASKS)
@_job_options
@as_json
@click.pass_obj
def queue_task(taskflow: Taskflow, /, name: str, raw: bool, **options: Any) -> None:
    """Make a job of a task ("workflow.task" of one that is part of a workflow); its id is printed."""
    _say(_run(taskflow.queue_task_async(name, **options)), raw)


@commands.command("queue_workflow", short_help="Start a run of a workflow.")
@click.argument("name", shell_complete=_WORKFLOWS)
@_job_options
@click.option(
    "--tasks", type=_Object(), default={}, metavar="JSON", help='Parameters of single tasks: \'{"load": {"n": 1}}\'.'
)
@as_json
@click.pass_obj
def queue_workflow(taskflow: Taskflow, /, name: str, raw: bool, **options: Any) -> None:
    """Start a run of a workflow; its id is printed."""
    _say(_run(taskflow.queue_workflow_async(name, **options)), raw)


@commands.command("run_task", short_help="Run one job here and now.")
@click.argument("task", metavar="NAME|ID", shell_complete=_TASKS)
@click.option("--params", type=_Object(), default={}, metavar="JSON", help="Parameters, with a name: '{\"n\": 1}'.")
@as_json
@_logging
@click.pass_obj
def run_task(taskflow: Taskflow, task: str, params: dict[str, Any], raw: bool, log_level: str) -> None:
    """Run one job of a task here and now: a new one of the task NAME, or the one ID that waits for a worker.

    The exit code is 0 when it completed, 1 when it failed, 3 when it was cancelled or skipped. Ctrl-C and SIGTERM stop
    it: a new job is cancelled, one that waited before waits again; then the exit code is 130.
    """
    _log(log_level)
    with redirect_stdout(sys.stderr) if raw else nullcontext():  # tasks may print, and what we print is JSON then
        job = _run(_or_stopped(taskflow.run_task_async(task, params)))
    if job is None:
        click.echo("stopped: a new job is cancelled, one that waited before waits again", err=True)
        sys.exit(INTERRUPTED)
    if raw:
        print_json(_shown(job))
    elif job.state == "completed":
        click.echo(job.result)
    else:
        error = msgspec.json.decode(job.error) if job.error else {}
        why = f": {error.get('type')}: {error.get('message')}" if error else ""
        click.echo(plain(f"{job.id} is {job.state}{why}"), err=True)
    sys.exit(EXITS.get("failed" if job.state == "retry" else job.state, OTHERWISE))


def main(taskflow: Taskflow, arguments: Sequence[str] | None = None) -> None:
    """Run the commands for an application that is its own program."""
    commands.main(args=None if arguments is None else list(arguments), obj=taskflow)


def find(target: str) -> Taskflow:
    """The application that `module:object` names; `module` alone where that has one only.

    :raises ConfigurationError: there is none.
    """
    module_name, _, path = target.partition(":")
    module = load(module_name)
    if path:
        found = named(module, path)
        if not isinstance(found, Taskflow):
            raise ConfigurationError(f"{target} is no Taskflow but of type {type(found).__name__}")
        return found
    there = {id(value): value for value in vars(module).values() if isinstance(value, Taskflow)}
    if len(there) != 1:
        raise ConfigurationError(f"{module_name} has {len(there)} Taskflow objects; write {module_name}:NAME")
    return next(iter(there.values()))


async def _declared(taskflow: Taskflow) -> None:
    async with taskflow.hub():
        pass


def _run(work: Any) -> Any:
    return asyncio.run(work)


async def _or_stopped(work: Coroutine[Any, Any, Job]) -> Job | None:
    try:
        return await until_told(work)
    except asyncio.CancelledError:
        return None


def _log(level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def _told(taskflow: Taskflow) -> str:
    return f"{len(taskflow.workflows)} workflows and {len(taskflow.all_tasks())} tasks"


def _row(name: str, kind: str, one: Any) -> dict[str, Any]:
    active = "" if one.schedule is None else "yes" if one.active else "no"
    return {"name": name, "kind": kind, "schedule": one.schedule or "", "active": active, "title": one.title}


def _say(job: Job, raw: bool) -> None:
    if raw:
        print_json(_shown(job))
    else:
        click.echo(job.id)


def _shown(job: Job) -> dict[str, Any]:
    decode = msgspec.json.decode
    return {
        "id": job.id,
        "queue": job.queue,
        "task": job.task,
        "state": job.state,
        "attempt": job.attempt,
        "kwargs": decode(job.kwargs),
        "result": None if job.result is None else decode(job.result),
        "error": None if job.error is None else decode(job.error),
    }
