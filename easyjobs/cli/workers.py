"""`easyjobs workers`: who is there, and what each does."""

from __future__ import annotations

from typing import Any, Final

import click

from easyjobs.cli.asking import as_json, connect, manager_options, print_json, shown_time
from easyjobs.cli.http import Api
from easyjobs.cli.text import table

COLUMNS: Final = ("id", "name", "host", "state", "queues", "jobs", "slots", "note")


@click.command("workers")
@click.argument("what", metavar="[list]", required=False, type=click.Choice(["list"]))
@manager_options
@as_json
@click.pass_context
def command(ctx: click.Context, what: str | None, url: str, insecure: bool, secret_file: str | None, raw: bool) -> None:
    """List the workers, by name. `easyjobs pause worker` takes their ids.

    The secret is read from --secret-file, EASYJOBS_MANAGER_SECRET or EASYJOBS_SECRET.
    """
    connect(ctx, url, insecure, secret_file)
    api: Api = ctx.obj
    workers = api.get("workers")["items"]
    if raw:
        print_json(workers)
    else:
        table(COLUMNS, [_row(worker) for worker in workers])


def _row(worker: dict[str, Any]) -> tuple[str, ...]:
    return (
        worker["id"],
        worker["name"],
        worker["host"],
        worker["state"],
        ",".join(worker["queues"]),
        str(worker["running"]),
        str(worker["slots"]),
        _note(worker),
    )


def _note(worker: dict[str, Any]) -> str:
    if worker["blocked"] is not None:
        return f"blocked by {worker['blocked']}"
    if worker["paused"] is not None:
        return f"paused by {worker['paused']['by']} at {shown_time(worker['paused']['at'])}"
    return f"gets nothing until {shown_time(worker['barred_until'])}" if worker["barred_until"] is not None else ""
