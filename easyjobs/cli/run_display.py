"""A run of scripts on the screen: a tree that lives, where rich and a terminal are; else a line for each that moves."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from importlib.util import find_spec
from types import TracebackType
from typing import Final, Protocol

import click

from easyjobs.cli.following import mark
from easyjobs.cli.text import LiveTree, plain
from easyjobs.clock import SystemClock
from easyjobs.core.states import FINAL
from easyjobs.faces.conducting import Json, Progress
from easyjobs.faces.jobs_file import At, Plan

LINES: Final = 20
"""Of a failure's last words, so many are shown."""

MOST: Final = 200
"""Scripts that a tree shows; of more, a line for each that moves."""

_QUIET: Final = frozenset(("planned", "waiting", "queued"))
_COLOURS: Final = {"completed": "green", "failed": "red", "running": "cyan", "retry": "yellow", "cancelled": "magenta"}


class Display(Protocol):
    """Shows a run; used in `with`."""

    def __enter__(self) -> Display: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def show(self, run: Json, scripts: Sequence[Progress]) -> None:
        """What became of it."""


def display(plan: Plan, *, silent: bool = False) -> Display:
    """What suits this terminal."""
    if silent:
        return Silent()
    if sys.stdout.isatty() and find_spec("rich") is not None and sum(1 for _ in plan.scripts()) <= MOST:
        return Tree(plan)
    return Lines(plan)


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def show(self, run: Json, scripts: Sequence[Progress]) -> None:
        """As `Display`."""


class Lines(Silent):
    """A line for each script that moves."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._shown: dict[object, tuple[str, int]] = {}
        self._names = [job.name for job in plan.jobs]

    def show(self, run: Json, scripts: Sequence[Progress]) -> None:
        """As `Display`."""
        for one in scripts:
            seen = self._shown.get(one.at)
            now = (one.state, one.attempt)
            if seen == now or (one.state in _QUIET and seen is None):
                continue
            self._shown[one.at] = now
            note = _why(one) if one.failure else one.note
            job = self._names[one.at.job]
            click.echo(plain(f"  {mark(one.state)} {job}: {one.path}  {one.state}{_took(one)}  {note}".rstrip()))


class Tree(Silent):
    """The jobs with their steps and scripts, drawn anew while they change; where they are more than the terminal has
    lines, those that run or have failed, until the end.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._clock = SystemClock()
        self._tree = LiveTree()

    def __enter__(self) -> Tree:
        self._tree.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tree.stop()

    def show(self, run: Json, scripts: Sequence[Progress]) -> None:
        """As `Display`."""
        ended = sum(1 for one in scripts if one.state in FINAL)
        title = f"{run['workflow']} {run['id']}  {run['state']}  {ended}/{len(scripts)}"
        room = self._tree.height - 1 - len(self._plan.jobs)
        shown = scripts
        if len(scripts) >= room and run["finished_at"] is None:
            shown = _telling(scripts, self._tree.height - 3)
        branches: dict[int, list[tuple[str, str]]] = {}
        if shown is scripts:
            branches = {number: [] for number in range(len(self._plan.jobs))}
        for one in shown:
            branches.setdefault(one.at.job, []).append((self._line(one), _COLOURS.get(one.state, "")))
        listed = [(self._plan.jobs[number].name, leaves) for number, leaves in branches.items()]
        if shown is not scripts:
            left = Counter(one.state for one in scripts) - Counter(one.state for one in shown)
            listed.append((f"… {', '.join(f'{left[state]} {state}' for state in sorted(left))}", []))
        self._tree.show(title, listed)

    def _line(self, one: Progress) -> str:
        step = f"{one.at.step + 1}. " if one.at.place == 0 else "   "
        share = "" if one.share is None else f" {one.share:.0%}"
        note = _why(one) if one.failure else one.note
        took = _took(one, self._clock.wall())
        return f"{step}{mark(one.state)} {one.path}  {one.state}{took}{share}  {note}".rstrip()


def _telling(scripts: Sequence[Progress], room: int) -> list[Progress]:
    """Of scripts that are too many for so many lines: those that run, then those that have failed, in their order."""
    running = [one for one in scripts if one.state in ("running", "retry")]
    chosen: set[At] = set()
    jobs: set[int] = set()
    for one in running + [one for one in scripts if one.state == "failed"]:
        room -= 1 + (one.at.job not in jobs)
        if room < 0:
            break
        chosen.add(one.at)
        jobs.add(one.at.job)
    return [one for one in scripts if one.at in chosen]


def summary(run: Json, scripts: Sequence[Progress], jobs: Sequence[str]) -> None:
    """Say how a run ended: why each script failed, with its last lines, and how many are in which state."""
    for one in scripts:
        if one.failure is not None:
            click.echo(plain(f"{mark('failed')} {jobs[one.at.job]}: {one.path}: {_why(one)}"), err=True)
            for line in one.failure.traceback.splitlines()[-LINES:]:
                click.echo(f"    {plain(line.expandtabs())}", err=True)
        if one.failure is not None and one.note:
            click.echo(plain(f"    {one.note}"), err=True)
    states = Counter(one.state for one in scripts)
    counts = ", ".join(f"{states[state]} {state}" for state in sorted(states))
    took = _seconds(run["created_at"], run["finished_at"])
    click.echo(plain(f"run {run['id']} {run['state']} after {took:.1f} s: {counts}"))


def _why(one: Progress) -> str:
    failure = one.failure
    if failure is None:
        return ""
    where = f"{failure.event}: " if failure.event else ""
    return f"{where}{failure.type}: {failure.message.partition(chr(10))[0]}"


def _took(one: Progress, now: float | None = None) -> str:
    if one.started_at is None:
        return ""
    if one.finished_at is None:
        if now is None or one.state in _QUIET:
            return ""
        return f"  {max(0.0, now - datetime.fromisoformat(one.started_at).timestamp()):.0f} s"
    return f"  {_seconds(one.started_at, one.finished_at):.1f} s"


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
