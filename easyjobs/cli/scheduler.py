"""`easyjobs scheduler`: fires the schedules of a store, and runs nothing."""

from __future__ import annotations

import asyncio
import logging

import click

from easyjobs.faces.pulling import schedule


@click.command("scheduler", short_help="Fire the schedules of a store, without a manager.")
@click.option("--store", metavar="URL", help="Which store: sqlite:///jobs.db, postgresql://… (or EASYJOBS_STORE).")
@click.option(
    "--log-level", default="info", show_default=True, type=click.Choice(["debug", "info", "warning", "error"])
)
def command(store: str | None, log_level: str) -> None:
    """Fire schedules, make jobs ready when their time comes, and free what dead workers held, until SIGTERM or Ctrl-C.

    Of all schedulers, managers and pull workers on a store, one acts at a time; when it is gone another one does.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(schedule(store))
