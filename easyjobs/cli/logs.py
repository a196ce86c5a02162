"""`easyjobs jobs logs`: what a job has logged, and what it logs until it ends."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import click

from easyjobs.cli.asking import as_json
from easyjobs.cli.http import Api
from easyjobs.cli.text import plain
from easyjobs.errors import ConnectionLost, Refused

Line = dict[str, Any]

EXITS: Final = {"completed": 0, "failed": 1}
OTHERWISE: Final = 3
INTERRUPTED: Final = 130
AGAIN: Final = frozenset((429, 503))  # what a manager says that starts, stops or is full
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 5.0


@click.command("logs")
@click.argument("id")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("--after", default=0, type=click.IntRange(min=0), metavar="N", help="Only lines after number N.")
@click.option("-t", "--times", is_flag=True, help="With time and level.")
@as_json
@click.pass_obj
def show_logs(api: Api, id: str, follow: bool, after: int, times: bool, raw: bool) -> None:
    """Print what a job has logged. --json prints one object a line.

    With --follow: also what it logs from now on, until it has ended; a manager that restarts meanwhile is waited for.
    Progress goes to stderr. The exit code is then 0 when the job completed, 1 when it failed, 3 when it was cancelled
    or skipped, 130 after Ctrl-C.
    """
    if not follow:
        for line in lines_after(api, id, after):
            _print(line, times, raw)
        return
    try:
        state = _follow(api, id, after, times, raw)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(EXITS.get(state, OTHERWISE))


def lines_after(api: Api, id: str, after: int) -> Iterator[Line]:
    """The lines that are stored now."""
    following: int | None = after
    while following is not None:
        page = api.get("jobs", id, "logs", after=following)
        yield from page["items"]
        following = page["next"]


def _follow(api: Api, id: str, after: int, times: bool, raw: bool) -> str:
    """Print until the end; the job's final state."""
    pause = 0.0  # until it was there once
    while True:
        try:
            for name, data in api.events("jobs", id, "logs", follow=1, after=after):
                if name == "open":
                    if pause:
                        click.echo("the manager is back", err=True)
                    pause = FIRST_PAUSE
                elif name == "log":
                    after = data["n"]
                    _print(data, times, raw)
                elif name == "progress":
                    _print_progress(data)
                elif name == "end":
                    return str(data["state"])
        except ConnectionLost:
            if not pause:
                raise
        except Refused as refused:
            if not pause or refused.status not in AGAIN:
                raise
        if pause == FIRST_PAUSE:
            click.echo("the connection ended; waiting for the manager", err=True)
        threading.Event().wait(pause)
        pause = min(LONGEST_PAUSE, pause * 2)


def _print(line: Line, times: bool, raw: bool) -> None:
    if raw:
        click.echo(json.dumps(line))  # ASCII: whatever a terminal would obey is escaped
        return
    before = ""
    if times:
        at = datetime.fromisoformat(line["time"])
        before = f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} {plain(line['level']):<8} "
    for text in line["text"].split("\n"):
        click.echo(before + plain(text.expandtabs()))


def _print_progress(progress: dict[str, Any]) -> None:
    value = progress.get("value")
    share = "" if value is None else f"{value:4.0%} "
    click.echo(f"… {share}{plain(str(progress.get('note') or ''))}".rstrip(), err=True)
