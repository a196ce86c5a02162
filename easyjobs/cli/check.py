"""`easyjobs check`: whether what waits can be called with the parameters that tasks have, or are to have."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from easyjobs.cli.asking import as_json, connect, manager_options, print_json
from easyjobs.cli.http import Api
from easyjobs.cli.secret import read_secret
from easyjobs.cli.text import plain

Fit = dict[str, Any]


@click.command("check", short_help="Say which jobs a deploy would break.")
@click.argument("target", metavar="[MODULE[:OBJECT]]", required=False)
@click.option("--queue", "queues", multiple=True, help="The queue of the module's tasks, as of `easyjobs worker`.")
@manager_options
@as_json
@click.pass_context
def command(
    ctx: click.Context,
    target: str | None,
    queues: tuple[str, ...],
    url: str,
    insecure: bool,
    secret_file: str | None,
    raw: bool,
) -> None:
    """Ask a manager which jobs and schedules do not fit the parameters of their tasks; exit code 1 if any.

    With MODULE, before a deploy: which would not fit the tasks of this module, which is imported here as `easyjobs
    worker` does; nothing is registered. Without: which do not fit the tasks as workers offer them now.
    """
    if target is None and queues:
        raise click.UsageError("--queue goes with a MODULE.")
    tasks = None if target is None else _tasks_of(target, queues, secret_file)
    connect(ctx, url, insecure, secret_file)
    api: Api = ctx.obj
    answer = api.get("check") if tasks is None else api.post("check", body={"tasks": tasks})
    if raw:
        print_json(answer)
    else:
        _print(answer["items"], asked=tasks is not None)
    if not answer["fits"]:
        sys.exit(1)


def _tasks_of(target: str, queues: tuple[str, ...], secret_file: str | None) -> list[Any]:
    """What a worker of this module would register, as JSON has it."""
    from easyjobs.cli.worker import environment, find_worker

    given = {"EASYJOBS_JOBS_QUEUE": ",".join(queues) or None, "EASYJOBS_MANAGER_SECRET": read_secret(secret_file)}
    with environment(given):
        return [msgspec.to_builtins(spec) for spec in find_worker(target).specs()]


def _print(fits: list[Fit], *, asked: bool) -> None:
    for fit in fits:
        _print_task(fit)
    if not fits:
        click.echo("the module has no tasks" if asked else "all jobs and schedules that wait fit their tasks")


def _print_task(fit: Fit) -> None:
    name = plain(f"{fit['queue']}:{fit['task']}")
    some = "" if fit["whole"] else "at least "
    waiting = sum(one["jobs"] for one in fit["signatures"])
    click.echo(f"{name}  {some}{fit['misfits']} of {waiting} jobs do not fit" if fit["misfits"] else f"{name}  fits")
    for one in fit["signatures"]:
        if len(fit["signatures"]) > 1 or one["misfits"]:
            workers = ", ".join(map(plain, one["workers"])) or "no worker"
            age = "newest" if one["newest"] else "older"
            unfit = f", {one['misfits']} do not fit the newest" if one["misfits"] else ""
            click.echo(f"  {age} parameters {plain(one['signature'])}: {workers}; {one['jobs']} jobs{unfit}")
    for job in fit["examples"]:
        click.echo(f"  job {plain(job['id'])}: {plain(job['reason'])}")
    for schedule in fit["schedules"]:
        click.echo(f"  schedule {plain(schedule['id'])}: {plain(schedule['reason'])}")
