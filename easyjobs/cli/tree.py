"""A chain of jobs drawn as a tree, for terminals."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from easyjobs.cli.text import plain

Item = dict[str, Any]

_LINES: Final = ("├─ ", "└─ ", "│  ", "   ")
_ASCII: Final = ("|- ", "`- ", "|  ", "   ")


def lines_of(items: Sequence[Item], marked: str, encoding: str | None = None) -> Iterator[str]:
    """A line for each job of `items` (as `GET /api/jobs/{id}/tree` has them): why it was made, its task, state and id,
    and why it failed. The job `marked` is pointed at. Without `encoding` lines are drawn as stdout can show them.
    """
    branch, last, through, blank = _LINES if _can_draw(encoding or sys.stdout.encoding) else _ASCII
    home = items[0]["queue"] if items else ""
    stems: list[str] = []  # what the lines of the jobs above leave standing, for each depth below the root
    for at, item in enumerate(items):
        depth = item["depth"]
        lead = ""
        if depth:
            ends = _is_last(items, at)
            del stems[depth - 1 :]
            lead = "".join(stems) + (last if ends else branch)
            stems.append(blank if ends else through)
        name = item["task"] if item["queue"] == home else f"{item['queue']}:{item['task']}"
        words = [f"{item['relation']} {name}" if item["relation"] else name, item["state"], item["id"]]
        if item["error"]:
            words.append(item["error"])
        if item["id"] == marked:
            words.append("<- this one")
        yield lead + plain("  ".join(words))


def _is_last(items: Sequence[Item], at: int) -> bool:
    """Whether no sibling comes after an item."""
    depth = items[at]["depth"]
    after = next((item for item in items[at + 1 :] if item["depth"] <= depth), None)
    return after is None or after["depth"] < depth


def _can_draw(encoding: str) -> bool:
    try:
        "".join(_LINES).encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True
