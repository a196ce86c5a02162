"""`easyjobs jobs`: list, show, explain, draw, cancel, retry, delete; `add` and the logs have files of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import click

from easyjobs.cli.add import add_job
from easyjobs.cli.asking import as_json, connect, each, manager_options, print_json, shown_time
from easyjobs.cli.http import Api
from easyjobs.cli.logs import lines_after, show_logs
from easyjobs.cli.moment import Moment
from easyjobs.cli.text import plain, table
from easyjobs.cli.tree import lines_of
from easyjobs.core.states import STATES

Job = dict[str, Any]

COLUMNS: Final = ("id", "queue", "task", "state", "attempt", "worker", "created", "took")

FEW: Final = 3
SHOWN: Final = 10  # ids of one reason


@click.group("jobs")
@manager_options
@click.pass_context
def command(ctx: click.Context, url: str, insecure: bool, secret_file: str | None) -> None:
    """Make jobs, look at them, cancel them, run them again. Times are in UTC.

    The secret is read from --secret-file, EASYJOBS_MANAGER_SECRET or EASYJOBS_SECRET.
    """
    connect(ctx, url, insecure, secret_file)


command.add_command(add_job)
command.add_command(show_logs)


@command.command("list")
@click.option("--queue", help="Only of this queue.")
@click.option("--task", help="Only of this task.")
@click.option("--state", type=click.Choice(STATES), help="Only in this state.")
@click.option("--worker", help="Only those that the worker of this name ran last.")
@click.option("--schedule", help="Only those that this schedule made.")
@click.option("--text", help="Only with this in id, task, arguments, error or worker.")
@click.option("--since", type=Moment(), metavar="TIME", help="Only made then or later: 2026-01-31T12:00:00Z.")
@click.option("--until", type=Moment(), metavar="TIME", help="Only made before then.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="At most so many.")
@click.option("--cursor", help="Go on where a page ended.")
@as_json
@click.pass_obj
def list_jobs(api: Api, /, raw: bool, **filters: Any) -> None:
    """List jobs, newest first."""
    page = api.get("jobs", **filters)
    if raw:
        print_json(page)
        return
    table(COLUMNS, [_row(job) for job in page["items"]])
    if page["next"] is not None:
        click.echo(f"there are more: --cursor {plain(page['next'])}", err=True)


@command.command("show")
@click.argument("id")
@click.option("--logs", is_flag=True, help="Also what it has logged.")
@as_json
@click.pass_obj
def show_job(api: Api, id: str, logs: bool, raw: bool) -> None:
    """Show a job, its attempts, and why it failed."""
    job = api.get("jobs", id)
    attempts = api.get("jobs", id, "attempts")["items"]
    lines = list(lines_after(api, id, 0)) if logs else []
    if raw:
        print_json({**job, "attempts": attempts, **({"logs": lines} if logs else {})})
        return
    _show(job)
    if attempts:
        click.echo()
        rows = [
            (str(a["attempt"]), a["end"] or "running", a["worker"] or "", shown_time(a["started_at"])) for a in attempts
        ]
        table(("attempt", "end", "worker", "started"), rows)
    for line in (job["error"] or {}).get("traceback", "").splitlines():
        click.echo(plain(line))
    for line in lines:
        click.echo(f"{shown_time(line['time'])} {plain(line['level'])} {plain(line['text'])}")


@command.command("explain", short_help="Say why a job is not running, or where it is.")
@click.argument("id")
@as_json
@click.pass_obj
def explain_job(api: Api, id: str, raw: bool) -> None:
    """Say why a job is not running, or where it is; what matters most comes first."""
    explanation = api.get("jobs", id, "explain")
    if raw:
        print_json(explanation)
        return
    click.echo(f"{plain(id)} is {explanation['state']}")
    for reason in explanation["reasons"]:
        click.echo(f"- {plain(reason['text'])}")
        for kind in ("jobs", "workers"):
            shown = reason[kind][:SHOWN]
            more = len(reason[kind]) - len(shown)
            if shown:
                click.echo(f"  {kind}: {plain(', '.join(shown))}" + (f" and {more} more" if more else ""))


@command.command("tree")
@click.argument("id")
@as_json
@click.pass_obj
def show_tree(api: Api, id: str, raw: bool) -> None:
    """Draw the whole chain that a job is part of, from its root."""
    tree = api.get("jobs", id, "tree")
    if raw:
        print_json(tree)
        return
    for line in lines_of(tree["items"], id):
        click.echo(line)
    if tree["cut"]:
        click.echo("there are more jobs than are drawn", err=True)


@command.command("cancel")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@as_json
@click.pass_obj
def cancel_jobs(api: Api, ids: Sequence[str], raw: bool) -> None:
    """Cancel jobs. One that runs is told to stop; one that has ended stays as it is."""

    def said(id: str, job: Job) -> str:
        asked = "is being stopped" if job["state"] == "running" else f"is {job['state']}"
        return f"{id} {asked}"

    each(ids, lambda id: api.post("jobs", id, "cancel"), said, raw)


@command.command("retry")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@as_json
@click.pass_obj
def retry_jobs(api: Api, ids: Sequence[str], raw: bool) -> None:
    """Run jobs again that have ended. Each makes a new job, whose id is printed."""
    each(ids, lambda id: api.post("jobs", id, "retry"), lambda id, job: f"{id} runs again as {job['id']}", raw)


@command.command("delete")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@as_json
@click.pass_obj
def delete_jobs(api: Api, ids: Sequence[str], raw: bool) -> None:
    """Remove jobs, with their attempts and logs. One that waits is cancelled first; one that runs is refused."""

    def delete(id: str) -> Job:
        api.delete("jobs", id)
        return {"id": id, "deleted": True}

    each(ids, delete, lambda id, _: f"{id} is deleted", raw)


def _row(job: Job) -> tuple[str, ...]:
    worker = job["worker"] or ""
    return (
        job["id"],
        job["queue"],
        job["task"],
        job["state"],
        _attempt(job, "/", "-"),
        worker,
        shown_time(job["created_at"]),
        _took(job),
    )


def _attempt(job: Job, of: str, endless: str) -> str:
    """Which attempt, of how many; those that follow crashes come on top."""
    attempt, most = job["attempt"], job["max_attempts"]
    return f"{attempt}" if most and attempt > most else f"{attempt}{of}{most or endless}"


def _show(job: Job) -> None:
    error = job["error"] or {}
    progress = job["progress"] or {}
    facts = {
        "id": job["id"],
        "queue": job["queue"],
        "task": job["task"],
        "state": job["state"],
        "attempt": _attempt(job, " of ", "any number"),
        "priority": str(job["priority"]),
        "args": json.dumps(job["args"]),
        "kwargs": json.dumps(job["kwargs"]),
        "created": shown_time(job["created_at"]),
        "run at": shown_time(job["run_at"]),
        "started": shown_time(job["started_at"]),
        "finished": shown_time(job["finished_at"]),
        "took": _took(job),
        "worker": job["worker"] or "",
        "parent": f"{job['parent']} ({job.get('relation') or 'made it'})" if job["parent"] else "",
        "waits for": ", ".join(job.get("waits_for", ())),
        "children": _children(job),
        "key": job["key"] or "",
        "schedule": job.get("schedule") or "",
        "tick": shown_time(job.get("tick")),
        "progress": f"{progress.get('value')} {progress.get('note', '')}" if progress else "",
        "result": json.dumps(job["result"]) if job["state"] == "completed" else "",
        "error": f"{error.get('type')}: {error.get('message')}" if error else "",
    }
    for name, value in facts.items():
        if value:
            click.echo(f"{name:<9} {plain(value)}")


def _children(job: Job) -> str:
    made = job.get("children", ())
    return ", ".join(made) if len(made) <= FEW else f"{len(made)} jobs; easyjobs jobs tree {job['id']}"


def _took(job: Job) -> str:
    if job["started_at"] is None or job["finished_at"] is None:
        return ""
    took = datetime.fromisoformat(job["finished_at"]) - datetime.fromisoformat(job["started_at"])
    return f"{took.total_seconds():.3f} s"
