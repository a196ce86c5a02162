"""`easyjobs pull-worker`: a worker that takes its jobs straight from the store."""

from __future__ import annotations

import asyncio
import logging

import click

from easyjobs.cli.collector import spare_the_collector
from easyjobs.cli.worker import environment, find_work, loop_factory, work_options
from easyjobs.faces.pulling import pull
from easyjobs.settings import WITHHELD
from easyjobs.tasks.scripts import Mode


@click.command("pull-worker", short_help="Run the tasks of a module straight from the store, without a manager.")
@work_options
@click.option(
    "--store", metavar="URL", help="Where the jobs are: sqlite:///jobs.db, postgresql://… (or EASYJOBS_STORE)."
)
@click.option("--queue", "queues", multiple=True, help="The queue of its tasks; may be repeated.")
@click.option(
    "--by-type-key", is_flag=True, help="As in JobMaster: plain @task functions are in their type keys' queues."
)
@click.option("--slots", type=click.IntRange(min=1), help="How many jobs run at once.")
@click.option("--name", help="Its name, for people.")
@click.option(
    "--log-level", default="info", show_default=True, type=click.Choice(["debug", "info", "warning", "error"])
)
def command(
    target: str | None,
    scripts: tuple[str, ...],
    result: Mode,
    store: str | None,
    queues: tuple[str, ...],
    by_type_key: bool,
    slots: int | None,
    name: str | None,
    log_level: str,
) -> None:
    """Run the tasks of a module on the jobs in a store, with no manager and no HTTP, until SIGTERM or Ctrl-C; a second
    signal does not wait for running jobs.

    The store may be in use: by other pull workers, a scheduler, and a manager with workers of its own on the same
    queues. A SQLite file is shared on one host. The module and the scripts are as for `easyjobs worker`.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    given = {
        "EASYJOBS_MANAGER_SECRET": WITHHELD,  # a worker in the module wants one, and nobody will ask for it
        "EASYJOBS_JOBS_QUEUE": ",".join(queues) or None,
        "EASYJOBS_MAX_TASKS_PER_WORKER": None if slots is None else str(slots),
        "EASYJOBS_NAME": name,
    }
    with environment(given):
        worker = find_work(target, scripts, result, by_type_key=by_type_key)
    spare_the_collector()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(pull(worker, store))
