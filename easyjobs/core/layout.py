"""Where the nodes of a graph stand in a picture of it: in columns, by what they wait for, with few crossings.

What is too large to be looked at is folded: many nodes of a column, or the middle of a long graph, are one place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from easyjobs.core.workflow import Graph, Node, levels

MOST_COLUMNS: Final = 60
MOST_ROWS: Final = 30
MOST_PLACES: Final = 400
LEAST_ROWS: Final = 4
MOST_LINES: Final = 3000
SWEEPS: Final = 6


class Place(msgspec.Struct, eq=False):
    """A place in a column: of a node, of several that are folded, or of none: a line passes there.

    `y` is in units of a row, from 0.
    """

    nodes: list[Node]
    column: int
    y: float = 0.0


class Layout(msgspec.Struct):
    """The places by columns, from above, and the lines between places of columns that lie side by side. `left_out`:
    how many more lines there would be.
    """

    columns: list[list[Place]]
    lines: list[tuple[Place, Place]]
    left_out: int = 0


def folded(graph: Graph, notable: Callable[[Node], int] = lambda node: 0) -> list[list[Place]]:
    """The nodes by columns, each after those that its nodes wait for, in the order of the graph.

    :param notable: where not all of a column can be shown, those with the lowest numbers are.
    """
    depths: list[list[Node]] = levels(graph)
    middle: list[Node] = []
    half = MOST_COLUMNS // 2
    if len(depths) > MOST_COLUMNS:
        middle = [node for level in depths[half:-half] for node in level]
        depths = [*depths[:half], middle, *depths[-half:]]
    rows = max(LEAST_ROWS, min(MOST_ROWS, MOST_PLACES // len(depths)))
    columns = []
    for column, level in enumerate(depths):
        if middle and column == half:
            columns.append([Place(middle, column)])
            continue
        most = rows if len(level) <= rows else rows - 1
        shown = {node.name for node in sorted(level, key=notable)[:most]}
        places = [Place([node], column) for node in level if node.name in shown]
        rest = [node for node in level if node.name not in shown]
        columns.append([*places, Place(rest, column)] if rest else places)
    return columns


def layout(graph: Graph, notable: Callable[[Node], int] = lambda node: 0) -> Layout:
    """Where to draw what; `notable` as for `folded`."""
    columns = folded(graph, notable)
    of_node = {node.name: place for column in columns for place in column for node in place.nodes}
    ways = {
        (of_node[first], place): None
        for column in columns
        for place in column
        for node in place.nodes
        for first in node.prerequisites
        if of_node[first] is not place
    }
    found = Layout(columns, [], max(0, len(ways) - MOST_LINES))
    _connect(found, list(ways)[:MOST_LINES])
    before, after = _neighbours(found.lines)
    for _ in range(SWEEPS):
        _arrange(columns[1:], before)
        _arrange(columns[-2::-1], after)
    _level(columns, before, after)
    return found


def _connect(found: Layout, ways: Iterable[tuple[Place, Place]]) -> None:
    """Lines for these, with a place in each column that they pass: of all that begin at one place the same."""
    passing: dict[tuple[Place, int], Place] = {}
    lines: dict[tuple[Place, Place], None] = {}
    for first, last in ways:
        there = first
        for column in range(first.column + 1, last.column):
            if (first, column) not in passing:
                passing[first, column] = Place([], column)
                found.columns[column].append(passing[first, column])
            lines[there, passing[first, column]] = None
            there = passing[first, column]
        lines[there, last] = None
    found.lines = list(lines)


_Beside = dict[Place, list[Place]]


def _neighbours(lines: Iterable[tuple[Place, Place]]) -> tuple[_Beside, _Beside]:
    before: _Beside = {}
    after: _Beside = {}
    for first, last in lines:
        before.setdefault(last, []).append(first)
        after.setdefault(first, []).append(last)
    return before, after


def _arrange(columns: Iterable[list[Place]], beside: _Beside) -> None:
    """Order each column by where its neighbours stand, which makes lines cross less."""
    for column in columns:
        for row, place in enumerate(column):
            place.y = row
        for place in column:
            neighbours = beside.get(place)
            if neighbours:
                place.y = sum(other.y for other in neighbours) / len(neighbours)
        column.sort(key=lambda place: place.y)
        for row, place in enumerate(column):
            place.y = row


def _level(columns: list[list[Place]], before: _Beside, after: _Beside) -> None:
    """Move places up and down, in their order, towards the middle of their neighbours."""
    for column in columns:
        _put(column, [0.0] * len(column))
    for sweep in range(SWEEPS):
        beside = after if sweep % 2 else before
        for column in reversed(columns) if sweep % 2 else columns:
            middles = []
            for place in column:
                neighbours = beside.get(place) or [place]
                middles.append(sum(other.y for other in neighbours) / len(neighbours))
            _put(column, middles)
    top = min(place.y for column in columns for place in column)
    for column in columns:
        for place in column:
            place.y -= top


def _put(column: list[Place], wanted: Sequence[float]) -> None:
    """Have the places stand as near as they can to where they are wanted, none too close to the one above: the least
    squares under that condition, by pooling neighbours that are too close.
    """
    offsets = [0.0]
    for above, below in pairwise(column):
        offsets.append(offsets[-1] + (_room(above) + _room(below)) / 2)
    pools: list[tuple[float, int]] = []  # (sum, number)
    for there, offset in zip(wanted, offsets, strict=True):
        pool = (there - offset, 1)
        while pools and pools[-1][0] / pools[-1][1] > pool[0] / pool[1]:
            last = pools.pop()
            pool = (last[0] + pool[0], last[1] + pool[1])
        pools.append(pool)
    settled = [total / number for total, number in pools for _ in range(number)]
    for place, y, offset in zip(column, settled, offsets, strict=True):
        place.y = y + offset


def _room(place: Place) -> float:
    return 1.0 if place.nodes else 0.35
