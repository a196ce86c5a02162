"""Showing a run of a workflow while it goes on: a line for each task that moves."""

from __future__ import annotations

import sys
import threading
from datetime import datetime
from typing import Any, Final

import click

from easyjobs.cli.http import Api
from easyjobs.cli.logs import AGAIN, EXITS, FIRST_PAUSE, INTERRUPTED, LONGEST_PAUSE, OTHERWISE
from easyjobs.cli.text import plain
from easyjobs.core.states import FINAL
from easyjobs.errors import ConnectionLost, Refused

__all__ = ["INTERRUPTED", "exit_of", "follow", "mark"]

LOOK: Final = 0.5
"""Seconds between two looks."""

MOST: Final = 500
"""Tasks of a run of which each is shown; of more, only how many are in which state."""

_MARKS: Final = {"completed": "✔", "failed": "✘", "cancelled": "■", "skipped": "-", "running": "▶", "retry": "↻"}
_QUIET: Final = frozenset(("planned", "waiting", "queued"))


def follow(api: Api, run: dict[str, Any], *, aside: bool = False) -> dict[str, Any]:
    """Print what the tasks of a run do, until it has ended; how it ended. Ctrl-C goes through, and leaves it alone. A
    manager that restarts meanwhile is waited for.

    :param aside: print to stderr, as what is said on stdout is for programs.
    """
    shown: dict[str, str] = {}
    click.echo(plain(f"{run['queue']}:{run['workflow']} {run['id']}"), err=aside)
    last = ""
    pause = FIRST_PAUSE
    while True:
        try:
            run = api.get("runs", run["id"], wait=LOOK)
            if (run["tasks"] or 0) <= MOST:
                _print_moves(api, run, shown, aside)
            elif (line := ", ".join(f"{number} {state}" for state, number in run["jobs"].items())) != last:
                last = line
                click.echo(f"{run['progress']:>4.0%}  {line}", err=aside)
        except (ConnectionLost, Refused) as error:
            if isinstance(error, Refused) and error.status not in AGAIN:
                raise
            if pause == FIRST_PAUSE:
                click.echo("the connection ended; waiting for the manager", err=True)
            threading.Event().wait(pause)
            pause = min(LONGEST_PAUSE, pause * 2)
            continue
        if pause != FIRST_PAUSE:
            click.echo("the manager is back", err=True)
            pause = FIRST_PAUSE
        if run["finished_at"] is not None:
            break
    took = (_when(run["finished_at"]) - _when(run["started_at"] or run["created_at"])).total_seconds()
    ended = ", ".join(f"{number} {state}" for state, number in run["jobs"].items())
    click.echo(f"{run['state']} after {took:.1f} s: {ended}", err=aside)
    if run["error"]:
        click.echo(plain(f"{run['error'].get('type')}: {run['error'].get('message')}"), err=True)
    return run


def exit_of(run: dict[str, Any]) -> int:
    """The exit code that says how a run ended."""
    return EXITS.get(run["state"], OTHERWISE)


def _when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _print_moves(api: Api, run: dict[str, Any], shown: dict[str, str], aside: bool) -> None:
    cursor: str | None = None
    while True:
        page = api.get("runs", run["id"], "tasks", limit=MOST, cursor=cursor)
        for node in page["items"]:
            state = node["state"]
            if shown.get(node["name"]) == state or (state in _QUIET and node["name"] not in shown):
                continue
            shown[node["name"]] = state
            note = (node["error"] or {}).get("message", "").partition("\n")[0] if state in FINAL | {"retry"} else ""
            click.echo(plain(f"  {mark(state)} {node['name']:<24} {state:<9} {note}".rstrip()), err=aside)
        cursor = page["next"]
        if cursor is None:
            return


def mark(state: str) -> str:
    """What stands before the name of a task in this state, where the terminal can show it."""
    mark = _MARKS.get(state, " ")
    try:
        # what rich puts in place of stdout while it draws has no encoding
        mark.encode(sys.stdout.encoding or getattr(sys.__stdout__, "encoding", "ascii"))
    except (UnicodeError, LookupError):
        return " "
    return mark
