"""`easyjobs workflows`: list, show, picture, run."""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from easyjobs.cli.add import arguments_given
from easyjobs.cli.asking import as_json, connect, manager_options, print_json
from easyjobs.cli.following import INTERRUPTED, exit_of, follow
from easyjobs.cli.http import Api
from easyjobs.cli.text import drawn, plain, table

COLUMNS: Final = ("name", "queue", "tasks", "open runs", "active", "title")


@click.group("workflows")
@manager_options
@click.pass_context
def command(ctx: click.Context, url: str, insecure: bool, secret_file: str | None) -> None:
    """Look at workflows, and run them.

    The secret is read from --secret-file, EASYJOBS_MANAGER_SECRET or EASYJOBS_SECRET.
    """
    connect(ctx, url, insecure, secret_file)


@command.command("list")
@as_json
@click.pass_obj
def list_workflows(api: Api, raw: bool) -> None:
    """List workflows by queue and name."""
    page = api.get("workflows")
    if raw:
        print_json(page)
        return
    table(COLUMNS, [_row(workflow) for workflow in page["items"]])


@command.command("show")
@click.argument("name")
@as_json
@click.pass_obj
def show_workflow(api: Api, name: str, raw: bool) -> None:
    """Show the tasks of a workflow: those of one line can run side by side."""
    found = api.get("workflows", name)
    if raw:
        print_json(found)
        return
    title = f": {found['title']}" if found["title"] else ""
    click.echo(plain(f"{found['queue']}:{found['name']}{title}"))
    steps = {step["name"]: step for step in found["steps"]}
    for number, level in enumerate(found["levels"], 1):
        click.echo(plain(f"{number:>4}  " + ", ".join(_told(steps[name]) for name in level)))


@command.command("picture")
@click.argument("name")
@click.option("--svg", is_flag=True, help="As an SVG document in place of text.")
@click.pass_obj
def draw_workflow(api: Api, name: str, svg: bool) -> None:
    """Draw a workflow: its tasks, and what each waits for."""
    click.echo(drawn(api.text("workflows", name, "picture", format="svg" if svg else "text")), nl=False)


@command.command("run", short_help="Run a workflow.")
@click.argument("name")
@click.argument("arguments", metavar="[NAME=VALUE]...", nargs=-1)
@click.option("--kwargs", "by_name", metavar="JSON", help="Arguments by name: an object.")
@click.option("--priority", type=int, help="Of the run and its tasks: higher first.")
@click.option("--delay", type=click.FloatRange(min=0), metavar="SECONDS", help="Not before then.")
@click.option("--key", help="The same key again is the same run.")
@click.option("--follow", "followed", is_flag=True, help="Show it until it has ended.")
@as_json
@click.pass_obj
def run_workflow(
    api: Api,
    name: str,
    arguments: tuple[str, ...],
    by_name: str | None,
    priority: int | None,
    delay: float | None,
    key: str | None,
    followed: bool,
    raw: bool,
) -> None:
    """Run a workflow; the id of the run is printed.

    A VALUE is read as JSON where it is some, else it is text. With --follow the exit code is 0 when it completed, 1
    when it failed, 3 when it was cancelled or skipped; with --json besides, stdout has the run as it ended, alone.

      easyjobs workflows run nightly day=2026-01-31 --follow
    """
    body = arguments_given(arguments, by_name)
    run = api.post("workflows", name, "runs", body=body, key=key, priority=priority, delay=delay)
    if followed:
        try:
            run = follow(api, run, aside=raw)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
    if raw:
        print_json(run)
    elif not followed:
        click.echo(run["id"])
    if followed:
        sys.exit(exit_of(run))


def _row(workflow: dict[str, Any]) -> tuple[str, ...]:
    active = workflow["active"]
    return (
        workflow["name"],
        workflow["queue"],
        str(workflow["tasks"]),
        str(workflow["open_runs"]),
        "" if active is None else "yes" if active else "no",
        workflow["title"],
    )


def _told(step: dict[str, Any]) -> str:
    many = " (for each item)" if step["mapped"] else ""
    after = f" after {', '.join(step['after'])}" if step["after"] else ""
    return f"{step['name']}{many}{after}"
