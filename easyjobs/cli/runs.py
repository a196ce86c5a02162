"""`easyjobs runs`: list, show, picture, follow, cancel, retry."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from easyjobs.cli.asking import as_json, connect, each, manager_options, print_json, shown_time
from easyjobs.cli.following import INTERRUPTED, exit_of, follow
from easyjobs.cli.http import Api
from easyjobs.cli.moment import Moment
from easyjobs.cli.text import drawn, plain, table
from easyjobs.core.states import STATES

Run = dict[str, Any]

COLUMNS: Final = ("id", "workflow", "state", "done", "jobs", "created", "finished")
TASKS: Final = ("task", "state", "attempt", "started", "finished", "job", "note")


@click.group("runs", short_help="Look at runs of workflows, repeat them.")
@manager_options
@click.pass_context
def command(ctx: click.Context, url: str, insecure: bool, secret_file: str | None) -> None:
    """Look at runs of workflows, cancel them, repeat them from where they failed. Times are in UTC.

    The secret is read from --secret-file, EASYJOBS_MANAGER_SECRET or EASYJOBS_SECRET.
    """
    connect(ctx, url, insecure, secret_file)


@command.command("list")
@click.option("--workflow", help="Only of this workflow: its name, or queue:name.")
@click.option("--queue", help="Only of this queue.")
@click.option("--state", type=click.Choice(STATES), help="Only in this state; those that go on are waiting.")
@click.option("--schedule", help="Only those that this schedule made.")
@click.option("--since", type=Moment(), metavar="TIME", help="Only made then or later: 2026-01-31T12:00:00Z.")
@click.option("--until", type=Moment(), metavar="TIME", help="Only made before then.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 200), help="At most so many.")
@click.option("--cursor", help="Go on where a page ended.")
@as_json
@click.pass_obj
def list_runs(api: Api, /, raw: bool, **filters: Any) -> None:
    """List runs, newest first."""
    page = api.get("runs", **filters)
    if raw:
        print_json(page)
        return
    table(COLUMNS, [_row(run) for run in page["items"]])
    if page["next"] is not None:
        click.echo(f"there are more: --cursor {plain(page['next'])}", err=True)


@command.command("show")
@click.argument("id")
@as_json
@click.pass_obj
def show_run(api: Api, id: str, raw: bool) -> None:
    """Show a run and its tasks."""
    run = api.get("runs", id)
    nodes = list(nodes_of(api, id))
    if raw:
        print_json({**run, "items": nodes})
        return
    click.echo(plain(f"{run['queue']}:{run['workflow']} {run['id']} is {run['state']}, {_counts(run)}"))
    if run["retry_of"] is not None:
        click.echo(f"repeats {plain(run['retry_of'])}")
    if run["error"]:
        click.echo(plain(f"{run['error'].get('type')}: {run['error'].get('message')}"))
    table(TASKS, [_node(node) for node in nodes])


@command.command("follow")
@click.argument("id")
@click.pass_obj
def follow_run(api: Api, id: str) -> None:
    """Show a run until it has ended.

    The exit code is then 0 when it completed, 1 when it failed, 3 when it was cancelled or skipped, 130 after Ctrl-C.
    """
    try:
        run = follow(api, api.get("runs", id))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(exit_of(run))


@command.command("picture")
@click.argument("id")
@click.option("--svg", is_flag=True, help="As an SVG document in place of text.")
@click.pass_obj
def draw_run(api: Api, id: str, svg: bool) -> None:
    """Draw a run: its tasks, and what each waits for."""
    click.echo(drawn(api.text("runs", id, "picture", format="svg" if svg else "text")), nl=False)


@command.command("cancel")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@as_json
@click.pass_obj
def cancel_runs(api: Api, ids: Sequence[str], raw: bool) -> None:
    """Cancel runs with all of their jobs."""
    each(ids, lambda id: _posted(api, id, "cancel"), lambda id, run: f"{id} is {run['state']}", raw)


@command.command("retry")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@as_json
@click.pass_obj
def retry_runs(api: Api, ids: Sequence[str], raw: bool) -> None:
    """Repeat runs from where they failed; what had completed is kept. The ids of the new runs are printed."""
    each(ids, lambda id: _posted(api, id, "retry"), lambda id, run: f"{id} is repeated by {run['id']}", raw)


def nodes_of(api: Api, id: str) -> Iterator[dict[str, Any]]:
    """The tasks of a run."""
    cursor: str | None = None
    while True:
        page = api.get("runs", id, "tasks", limit=1000, cursor=cursor)
        yield from page["items"]
        cursor = page["next"]
        if cursor is None:
            return


def _posted(api: Api, id: str, what: str) -> Run:
    answer: Run = api.post("runs", id, what)
    return answer


def _row(run: Run) -> tuple[str, ...]:
    return (
        run["id"],
        run["workflow"],
        run["state"],
        f"{run['progress']:.0%}",
        _counts(run),
        shown_time(run["created_at"]),
        shown_time(run["finished_at"]),
    )


def _counts(run: Run) -> str:
    none = "no jobs yet" if run["finished_at"] is None else "no jobs"
    return ", ".join(f"{number} {state}" for state, number in run["jobs"].items()) or none


def _node(node: dict[str, Any]) -> tuple[str, ...]:
    error, progress = node["error"], node["progress"]
    note = f"{error.get('type')}: {error.get('message')}" if error else (progress or {}).get("note") or ""
    return (
        node["name"],
        node["state"],
        str(node["attempt"] or ""),
        shown_time(node["started_at"]),
        shown_time(node["finished_at"]),
        node["job"] or "",
        note,
    )
