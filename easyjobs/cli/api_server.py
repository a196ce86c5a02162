"""`easyjobs api-server`: a manager beside a scheduler."""

from __future__ import annotations

from functools import partial
from typing import Final

import click

from easyjobs.cli import manager

command: Final = click.Command(
    "api-server",
    callback=partial(manager.serve, scheduler=False),
    params=list(manager.command.params),
    short_help="Run a manager that fires no schedules.",
    help="""Run a manager that leaves schedules to an `easyjobs scheduler` on the same store, until SIGTERM or Ctrl-C.

    It serves HTTP, workers and clients as `easyjobs manager` does, with the same options. The scheduler also removes
    old jobs, and skips those that may not start any more: without one, nobody does.
    """,
)
