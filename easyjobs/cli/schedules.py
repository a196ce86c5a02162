"""`easyjobs schedules`: list, show, add, edit, pause, resume, run, delete."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, get_args

import click

from easyjobs.cli.asking import as_json, connect, each, manager_options, print_json, shown_time
from easyjobs.cli.http import Api
from easyjobs.cli.moment import NONE, Moment
from easyjobs.cli.text import json_of, plain, table
from easyjobs.core.schedule import Misfire, Overlap

Schedule = dict[str, Any]
F = TypeVar("F", bound=Callable[..., Any])

COLUMNS: Final = ("id", "queue", "task", "rule", "next", "last", "note")


class _Json(click.ParamType[Any]):
    """JSON of one kind, as a value."""

    name = "json"

    def __init__(self, kind: type, what: str) -> None:
        self._kind = kind
        self._what = what

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click converts."""
        if isinstance(value, self._kind):
            return value
        try:
            found = json_of(value)
        except ValueError:
            found = None
        if not isinstance(found, self._kind):
            self.fail(f"{value[:100]!r} is not {self._what}", param, ctx)
        return found


_RULE: Final = (
    click.option("--timezone", metavar="ZONE", help="Where it is what time: Europe/Paris. UTC without it."),
    click.option("--seconds/--no-seconds", default=None, help="The expression begins with a field for seconds."),
    click.option("--args", type=_Json(list, "a JSON array"), help="Arguments by place: '[1, 2]'."),
    click.option("--kwargs", type=_Json(dict, "a JSON object"), help="Arguments by name: '{\"n\": 1}'."),
    click.option("--start", "start_at", type=Moment(), metavar="TIME", help="No tick before it: 2026-01-31T12:00:00Z."),
    click.option("--end", "end_at", type=Moment(), metavar="TIME", help="No tick after it."),
    click.option("--jitter", type=float, metavar="SECONDS", help="Put each job off by up to so much."),
    click.option("--misfire", type=click.Choice(get_args(Misfire)), help="Which missed ticks are run."),
    click.option("--overlap", type=click.Choice(get_args(Overlap)), help="When the job before has not ended."),
    click.option("--every-days", type=int, metavar="N", help="Of the days that it names only each N-th."),
    click.option("--title", help="What people call it."),
)


def _rule_options(function: F) -> F:
    for option in reversed(_RULE):
        function = option(function)
    return function


@click.group("schedules")
@manager_options
@click.pass_context
def command(ctx: click.Context, url: str, insecure: bool, secret_file: str | None) -> None:
    """Look at schedules, make and change them. Times are in UTC, whatever the zone of a schedule.

    The secret is read from --secret-file, EASYJOBS_MANAGER_SECRET or EASYJOBS_SECRET.
    """
    connect(ctx, url, insecure, secret_file)


@command.command("list")
@click.option("--queue", help="Only of this queue.")
@click.option("--task", help="Only of this task.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 200), help="At most so many.")
@click.option("--cursor", help="Go on where a page ended.")
@as_json
@click.pass_obj
def list_schedules(api: Api, /, raw: bool, **filters: Any) -> None:
    """List schedules by queue and task."""
    page = api.get("schedules", **filters)
    if raw:
        print_json(page)
        return
    table(COLUMNS, [_row(schedule) for schedule in page["items"]])
    if page["next"] is not None:
        click.echo(f"there are more: --cursor {plain(page['next'])}", err=True)


@command.command("show")
@click.argument("id")
@as_json
@click.pass_obj
def show_schedule(api: Api, id: str, raw: bool) -> None:
    """Show a schedule and when it fires next."""
    _said(api.get("schedules", id), raw)


@command.command("add", short_help="Run a task by itself, by a cron expression.")
@click.argument("queue")
@click.argument("task")
@click.argument("cron")
@_rule_options
@as_json
@click.pass_obj
def add_schedule(api: Api, /, raw: bool, **body: Any) -> None:
    """Run a task by itself: minute, hour, day of month, month, day of week.

    easyjobs schedules add etl load '0 7 * * *' --timezone Europe/Paris
    """
    _said(api.post("schedules", body=_given(body)), raw)


@command.command("edit")
@click.argument("id")
@click.option("--cron", help="When it fires.")
@_rule_options
@as_json
@click.pass_obj
def edit_schedule(api: Api, /, id: str, raw: bool, **body: Any) -> None:
    """Change a schedule; what is not named stays. `none` takes --start or --end away."""
    changes = _given(body)
    for name in ("start_at", "end_at"):
        if changes.get(name) == NONE:
            changes[name] = None
    if not changes:
        raise click.UsageError("name what is to change; --help shows what can")
    _said(api.patch("schedules", id, body=changes), raw)


@command.command("pause")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@as_json
@click.pass_obj
def pause_schedules(api: Api, ids: Sequence[str], raw: bool) -> None:
    """Let the ticks of schedules pass without a job."""
    each(ids, lambda id: _posted(api, id, "pause"), lambda id, _: f"{id} is paused", raw)


@command.command("resume")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@as_json
@click.pass_obj
def resume_schedules(api: Api, ids: Sequence[str], raw: bool) -> None:
    """Let schedules fire again, from their next time on."""
    each(ids, lambda id: _posted(api, id, "resume"), lambda id, _: f"{id} goes on", raw)


@command.command("run")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@as_json
@click.pass_obj
def run_schedules(api: Api, ids: Sequence[str], raw: bool) -> None:
    """Make a job of each schedule now; its id is printed."""
    each(ids, lambda id: _posted(api, id, "run"), lambda id, job: f"{id} runs as {job['id']}", raw)


@command.command("delete")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@as_json
@click.pass_obj
def delete_schedules(api: Api, ids: Sequence[str], raw: bool) -> None:
    """Remove schedules; their jobs stay."""

    def delete(id: str) -> dict[str, Any]:
        api.delete("schedules", id)
        return {"id": id, "deleted": True}

    each(ids, delete, lambda id, _: f"{id} is deleted", raw)


def _posted(api: Api, id: str, what: str) -> dict[str, Any]:
    answer: dict[str, Any] = api.post("schedules", id, what)
    return answer


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}


def _row(schedule: Schedule) -> tuple[str, ...]:
    upcoming = schedule["upcoming"]
    return (
        schedule["id"],
        schedule["queue"],
        schedule["task"],
        schedule["words"],
        shown_time(upcoming[0]) if upcoming else "never",
        shown_time(schedule["last_at"]),
        _note(schedule),
    )


def _note(schedule: Schedule) -> str:
    """What keeps it from firing as its rule says."""
    if schedule["paused"] is not None:
        return f"paused by {schedule['paused']['by']}"
    if schedule["held"]:
        return "waits for its last job"
    return f"failed: {schedule['error']}" if schedule["error"] is not None else ""


def _said(schedule: Schedule, raw: bool) -> None:
    if raw:
        print_json(schedule)
        return
    facts = {
        "id": schedule["id"],
        "title": schedule["title"],
        "queue": schedule["queue"],
        "task": schedule["task"],
        "args": json.dumps(schedule["args"]),
        "kwargs": json.dumps(schedule["kwargs"]),
        "cron": schedule["cron"] + (" (with seconds)" if schedule["seconds"] else ""),
        "timezone": schedule["timezone"],
        "that is": schedule["words"],
        "start": shown_time(schedule["start_at"]),
        "end": shown_time(schedule["end_at"]),
        "jitter": f"{schedule['jitter']:g} s" if schedule["jitter"] else "",
        "misfire": schedule["misfire"],
        "overlap": schedule["overlap"],
        "every": f"{schedule['every_days']} days" if schedule["every_days"] > 1 else "",
        "source": schedule["source"],
        "last": shown_time(schedule["last_at"]),
        "last job": schedule["last_job"] or "",
        "note": _note(schedule),
        "next": ", ".join(map(shown_time, schedule["upcoming"])) or "never",
    }
    for name, value in facts.items():
        if value:
            click.echo(f"{name:<9} {plain(value)}")
