"""`easyjobs run-until-empty`: work a queue off in this process, and end."""

from __future__ import annotations

import asyncio
import json
import logging

import click
import msgspec

from easyjobs.cli.asking import as_json
from easyjobs.cli.modules import load, named
from easyjobs.cli.text import plain, table
from easyjobs.errors import ConfigurationError
from easyjobs.faces.jobmaster import JobMaster, RanJob
from easyjobs.settings import manager_settings
from easyjobs.workers.signals import until_told

FAILED = 1
LONGEST = 60


@click.command("run-until-empty", short_help="Run a module's jobs until none is left, and end.")
@click.argument("target", metavar="MODULE[:OBJECT]")
@click.option("--store", metavar="URL", help="Where the jobs are (else EASYJOBS_STORE); a JobMaster knows.")
@click.option(
    "--slots", type=click.IntRange(min=1), help="How many jobs run at once (else as the JobMaster says, or 1)."
)
@as_json
def command(target: str, store: str | None, slots: int | None, raw: bool) -> None:
    """Run jobs until the queue is empty, in this process, without a manager.

    The module holds a JobMaster, or plain functions marked with @task; each of those is in the queue that its type key
    names. Managers and workers on the same store share the jobs. The exit code is 1 when a job failed. At SIGTERM and
    Ctrl-C it lets running jobs end, for at most 25 seconds, and leaves the others; a second signal does not wait.
    """
    logging.basicConfig(level="WARNING", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    ran = asyncio.run(_run(find_master(target, store), slots))
    if raw:
        click.echo(json.dumps([msgspec.to_builtins(job) for job in ran]))
    else:
        table(("id", "task", "state", "outcome"), [_row(job) for job in ran])
        click.echo(f"{len(ran)} {'job' if len(ran) == 1 else 'jobs'}; the queue is empty", err=True)
    raise SystemExit(FAILED if any(job.state == "failed" for job in ran) else 0)


async def _run(master: JobMaster, slots: int | None) -> list[RanJob]:
    try:
        return await until_told(master.run_async(slots))
    except asyncio.CancelledError:
        raise click.Abort from None


def find_master(target: str, store: str | None) -> JobMaster:
    """The JobMaster that `module:object` or `module` names; one is made, and deployed, for a module that has only plain
    `@task`s.

    :raises ConfigurationError: there is none, or the module has no tasks.
    """
    name, _, path = target.partition(":")
    module = load(name)
    if path:
        found = named(module, path)
        if not isinstance(found, JobMaster):
            raise ConfigurationError(f"{target} is no JobMaster but of type {type(found).__name__}")
        return found
    masters = {id(value): key for key, value in vars(module).items() if isinstance(value, JobMaster)}
    if len(masters) > 1:
        raise ConfigurationError(f"{name} has several; name one: {', '.join(f'{name}:{m}' for m in masters.values())}")
    for key in masters.values():
        return find_master(f"{name}:{key}", store)
    master = JobMaster(manager_settings(store=store).store, "easyjobs", modules=[module])
    if not master.tasks():
        raise ConfigurationError(f"{name} has no JobMaster and no function marked with @task")
    master.deploy()
    return master


def _row(job: RanJob) -> tuple[str, str, str, str]:
    outcome = json.dumps(job.result) if job.error is None else f"{job.error['type']}: {job.error['message']}"
    return job.id, f"{job.type_key}:{job.task_key}", job.state, plain(outcome[:LONGEST])
