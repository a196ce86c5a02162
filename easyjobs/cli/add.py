"""`easyjobs jobs add`: make a job, and wait for its end if asked to."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import click

from easyjobs.cli.asking import as_json, print_json
from easyjobs.cli.http import Api
from easyjobs.cli.logs import EXITS, OTHERWISE
from easyjobs.cli.text import json_of, plain
from easyjobs.clock import SystemClock
from easyjobs.core.states import FINAL

AT_ONCE: Final = 30.0
"""Seconds of one question; a longer wait asks again."""

STILL: Final = 4


@click.command("add", short_help="Make a job.")
@click.argument("queue")
@click.argument("task")
@click.argument("arguments", metavar="[NAME=VALUE]...", nargs=-1)
@click.option("--args", "by_place", metavar="JSON", help="Arguments by place: an array.")
@click.option("--kwargs", "by_name", metavar="JSON", help="Arguments by name: an object.")
@click.option("--priority", type=int, help="Higher first (else the task's).")
@click.option("--delay", type=click.FloatRange(min=0), metavar="SECONDS", help="Not before then.")
@click.option("--key", help="The same key again is the same job.")
@click.option("--wait", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait so long for its end.")
@as_json
@click.pass_obj
def add_job(
    api: Api,
    /,
    queue: str,
    task: str,
    arguments: tuple[str, ...],
    by_place: str | None,
    by_name: str | None,
    wait: float | None,
    raw: bool,
    **options: Any,
) -> None:
    """Make a job of a task; its id is printed.

    A VALUE is read as JSON where it is some, else it is text: n=3 is a number, name=Ann and 'n="3"' are texts. With
    --wait the result is printed, and the exit code is 0 when it completed, 1 when it failed, 3 when it was cancelled or
    skipped, 4 when it has not ended yet.

      easyjobs jobs add etl load table=users limit=100 --wait 60
    """
    kwargs = arguments_given(arguments, by_name)
    body = {"queue": queue, "task": task, "args": _json(by_place, list, "--args"), "kwargs": kwargs}
    job = api.post("jobs", body={**body, **{name: value for name, value in options.items() if value is not None}})
    if wait is not None:
        clock = SystemClock()
        until = clock.monotonic() + wait
        while job["state"] not in FINAL and (left := until - clock.monotonic()) > 0:
            api.get("jobs", job["id"], "result", wait=min(AT_ONCE, left))
            job = api.get("jobs", job["id"])
    if raw:
        print_json(job)
    else:
        _print(job, waited=wait is not None)
    if wait is not None:
        sys.exit(EXITS.get(job["state"], OTHERWISE) if job["state"] in FINAL else STILL)


def arguments_given(arguments: tuple[str, ...], by_name: str | None) -> dict[str, Any]:
    """What a command was given by name, as NAME=VALUE and as JSON of --kwargs.

    :raises click.UsageError: one of them is no such thing.
    """
    return {**_json(by_name, dict, "--kwargs"), **dict(map(_argument, arguments))}


def _print(job: dict[str, Any], *, waited: bool) -> None:
    if not waited:
        click.echo(job["id"])
    elif job["state"] == "completed":
        click.echo(json.dumps(job["result"]))
    else:
        error = job["error"] or {}
        why = f": {error.get('type')}: {error.get('message')}" if error else ""
        click.echo(f"{job['id']} is {job['state']}{plain(why)}", err=True)


def _argument(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise click.UsageError(f"{text!r} is no NAME=VALUE")
    try:
        return name, json_of(value)
    except ValueError:
        return name, value


def _json(text: str | None, kind: type[Any], option: str) -> Any:
    if text is None:
        return kind()
    try:
        value = json_of(text)
    except ValueError as error:
        raise click.UsageError(f"{option} is no JSON: {error}") from None
    if not isinstance(value, kind):
        raise click.UsageError(f"{option} must be {'an array' if kind is list else 'an object'}")
    return value
