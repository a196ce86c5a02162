"""Pictures of workflows and of their runs: as text for a terminal, and as SVG, which loads nothing and runs nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias
from xml.sax.saxutils import escape, quoteattr

from easyjobs.core.layout import Layout, Place, folded, layout
from easyjobs.core.states import STATES, State
from easyjobs.core.workflow import Graph, Node


class Look(NamedTuple):
    """How a state is shown: a mark in text, and colours."""

    mark: str
    fill: str
    line: str


Seen: TypeAlias = State | Literal["removed"]
"""How a node is: the state of its job, or that this is not kept any more."""

LOOKS: Final[Mapping[Seen | None, Look]] = {
    None: Look(" ", "#f7f8fa", "#98a2b3"),
    "waiting": Look("·", "#f7f8fa", "#98a2b3"),
    "queued": Look("○", "#eaf1fe", "#6f93dd"),
    "running": Look("▶", "#fff3d1", "#d29200"),
    "retry": Look("↻", "#ffe8d3", "#dd7414"),
    "completed": Look("✓", "#e1f4e4", "#3c9850"),
    "failed": Look("✗", "#fde2e1", "#cf3b36"),
    "cancelled": Look("⊘", "#ebebeb", "#858585"),
    "skipped": Look("-", "#f2edf9", "#987fc1"),
    "removed": Look("∅", "#ffffff", "#c4c9d2"),
}
_ORDER: Final[tuple[Seen, ...]] = (*STATES, "removed")
_NOTABLE: Final[tuple[Seen, ...]] = (
    "failed",
    "running",
    "retry",
    "queued",
    "waiting",
    "skipped",
    "cancelled",
    "completed",
    "removed",
)

States = Mapping[str, Seen]
"""Of nodes, by name; one that has none is not made yet."""

LONGEST_LABEL: Final = 30
MOST_NAMED: Final = 5
"""Nodes that are named where a text says what another waits for."""


def as_text(graph: Graph, states: States | None = None) -> str:
    """The graph in lines, a level after the other, each node with those it waits for.

        1 ── ✓ fetch
        2 ┬─ ▶ parse  ⇉ fetch
          └─ ✓ stat   ← fetch
        3 ── · total  ← parse, stat

    `⇉`: a job for each item of that. With `states` each has a mark, which the last line explains. What is too large is
    folded, with a note.
    """
    columns = folded(graph, _notability(states))
    called = {node.name: _called(node) for node in graph.nodes}
    number = max(len(str(len(columns))), 1)
    width = max(len(_label(place)) for column in columns for place in column)
    lines = []
    for depth, column in enumerate(columns, 1):
        for row, place in enumerate(column):
            lead = str(depth) if row == 0 else ""
            last = row == len(column) - 1
            branch = ("──" if last else "┬─") if row == 0 else ("└─" if last else "├─")
            mark = "" if states is None else f"{_look(place, states).mark} "
            line = f"{lead:>{number}} {branch} {mark}{_label(place):{width}}  {_told(place, states, called)}"
            lines.append(line.rstrip())
    if states is not None:
        seen = {states.get(node.name) for node in graph.nodes}
        lines.append("  ".join(f"{LOOKS[state].mark} {state}" for state in _ORDER if state in seen))
    return "\n".join(lines).rstrip() + "\n"


def _told(place: Place, states: States | None, called: Mapping[str, str]) -> str:
    if len(place.nodes) > 1:
        return "" if states is None else _counted(place.nodes, states)
    (node,) = place.nodes
    mapped = "" if node.over is None else node.over.node
    firsts = [called[name] for name in node.prerequisites if name != mapped]
    named = ", ".join(firsts[:MOST_NAMED])
    if len(firsts) > MOST_NAMED:
        named += f" and {len(firsts) - MOST_NAMED} more"
    over = [] if node.over is None else [f"⇉ {called[mapped] if mapped else 'what the run is given'}"]
    return "  ".join([*over, *([f"← {named}"] if named else [])])


def _label(place: Place) -> str:
    if len(place.nodes) > 1:
        return f"… {len(place.nodes)} more"
    return _called(place.nodes[0])


def _called(node: Node) -> str:
    return _short(_clean(node.title or node.name))


def _counted(nodes: Iterable[Node], states: States) -> str:
    counts = Counter(states.get(node.name) for node in nodes)
    told = [f"{counts[state]} {state}" for state in _ORDER if counts[state]]
    # of a large run not all states are read
    return ", ".join([*told, f"{counts[None]} others"] if told and counts[None] else told)


def _notability(states: States | None) -> Callable[[Node], int]:
    order: dict[Seen | None, int] = {state: i for i, state in enumerate(_NOTABLE)}
    return lambda node: order.get((states or {}).get(node.name), len(order))


def _look(place: Place, states: States) -> Look:
    return LOOKS[states.get(place.nodes[0].name)] if len(place.nodes) == 1 else LOOKS[None]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"


def _clean(text: str) -> str:
    """`text` without what neither a terminal nor XML takes."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


# -- SVG

_ROW: Final = 56.0
_BOX: Final = 40.0
_GAP: Final = 64.0
_MARGIN: Final = 20.0
_CHARACTER: Final = 7.4
_INK: Final = "#1d2430"
_FAINT: Final = "#5d6878"


def as_svg(graph: Graph, states: States | None = None, title: str = "") -> str:
    """The graph as an SVG document, from left to right: a box for each node, an arrow from each to those that wait for
    it, a second box behind those that map. With `states` the boxes have their colours.

    It is the same for the same arguments, and holds no script, no link and no font. What is too large is folded, with a
    note.
    """
    found = layout(graph, _notability(states))
    return _Drawn(found, states, _clean(title)).text()


class _Drawn:
    def __init__(self, found: Layout, states: States | None, title: str) -> None:
        self._found = found
        self._states = states or {}
        self._title = title
        self._top = _MARGIN + (28.0 if title else 0.0)
        self._widths = [
            max([48.0, *(self._width(place) for place in column if place.nodes)]) for column in found.columns
        ]
        self._lefts = [_MARGIN + sum(self._widths[:i]) + _GAP * i for i in range(len(self._widths))]

    def text(self) -> str:
        places = [place for column in self._found.columns for place in column]
        notes = self._notes(places)
        width = self._lefts[-1] + self._widths[-1] + _MARGIN
        width = max(width, _MARGIN * 2 + _CHARACTER * 1.2 * len(self._title), _MARGIN * 2 + _CHARACTER * len(notes))
        height = self._top + max(place.y for place in places) * _ROW + _BOX + _MARGIN + (20.0 if notes else 0.0)
        named = quoteattr(self._title or "workflow")
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label={named} '
            f'font-family="system-ui, sans-serif" font-size="12">',
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        ]
        if self._title:
            heading = escape(self._title)
            parts.append(
                f'<text x="{_MARGIN:.0f}" y="{_MARGIN + 8:.0f}" font-size="15" font-weight="600" fill="{_INK}">'
                f"{heading}</text>"
            )
        parts.append(f'<g fill="none" stroke="{LOOKS[None].line}" stroke-width="1.3">')
        parts += [self._line(first, last) for first, last in self._found.lines]
        parts += [self._passing(place) for place in places if not place.nodes]
        parts.append("</g>")
        pointed = dict.fromkeys(last for _, last in self._found.lines if last.nodes)
        parts += [self._point(place) for place in pointed]
        for place in places:
            parts += self._box(place) if place.nodes else []
        if notes:
            parts.append(
                f'<text x="{_MARGIN:.0f}" y="{height - 12:.0f}" font-size="11" fill="{_FAINT}">{escape(notes)}</text>'
            )
        return "\n".join([*parts, "</svg>", ""])

    def _notes(self, places: list[Place]) -> str:
        notes = []
        hidden = sum(len(place.nodes) for place in places if len(place.nodes) > 1)
        if hidden:
            notes.append(f"{hidden} tasks are folded")
        if self._found.left_out:
            notes.append(f"{self._found.left_out} arrows are left out")
        return "; ".join(notes)

    def _width(self, place: Place) -> float:
        return 24.0 + _CHARACTER * max(len(_label(place)), 0.85 * len(self._detail(place)))

    def _detail(self, place: Place) -> str:
        if len(place.nodes) > 1:
            return _counted(place.nodes, self._states)
        (node,) = place.nodes
        state = self._states.get(node.name)
        parts: list[str] = [state] if state is not None else []
        parts += [_short(_clean(node.task))] if node.task != (node.title or node.name) else []
        parts += ["for each item"] if node.over is not None else []
        return " · ".join(parts)

    def _middle(self, place: Place) -> float:
        return self._top + place.y * _ROW + _BOX / 2

    def _line(self, first: Place, last: Place) -> str:
        x, y = self._lefts[first.column] + self._widths[first.column], self._middle(first)
        to_x, to_y = self._lefts[last.column], self._middle(last)
        half = (x + to_x) / 2
        return f'<path d="M{x:.0f} {y:.1f}C{half:.0f} {y:.1f} {half:.0f} {to_y:.1f} {to_x:.0f} {to_y:.1f}"/>'

    def _passing(self, place: Place) -> str:
        x = self._lefts[place.column]
        return f'<path d="M{x:.0f} {self._middle(place):.1f}h{self._widths[place.column]:.0f}"/>'

    def _point(self, place: Place) -> str:
        x, y = self._lefts[place.column], self._middle(place)
        return (
            f'<path d="M{x - 7:.0f} {y - 4:.1f}L{x:.0f} {y:.1f}L{x - 7:.0f} {y + 4:.1f}z" fill="{LOOKS[None].line}"/>'
        )

    def _box(self, place: Place) -> list[str]:
        look = _look(place, self._states)
        x, y = self._lefts[place.column], self._top + place.y * _ROW
        width = self._widths[place.column]
        shape = f'width="{width:.0f}" height="{_BOX:.0f}" rx="6" fill="{look.fill}" stroke="{look.line}"'
        several = len(place.nodes) > 1
        detail = self._detail(place)
        parts = [f"<g><title>{escape(self._hint(place))}</title>"]
        if not several and place.nodes[0].over is not None:
            parts.append(f'<rect x="{x + 4:.0f}" y="{y - 4:.1f}" {shape}/>')
        dashes = ' stroke-dasharray="4 3"' if several else ""
        parts.append(f'<rect x="{x:.0f}" y="{y:.1f}" {shape} stroke-width="1.3"{dashes}/>')
        middle = x + width / 2
        base = y + (17.0 if detail else 24.0)
        parts.append(
            f'<text x="{middle:.0f}" y="{base:.1f}" text-anchor="middle" fill="{_INK}">{escape(_label(place))}</text>'
        )
        if detail:
            parts.append(
                f'<text x="{middle:.0f}" y="{y + 31:.1f}" text-anchor="middle" font-size="10" fill="{_FAINT}">'
                f"{escape(detail)}</text>"
            )
        return [*parts, "</g>"]

    def _hint(self, place: Place) -> str:
        if len(place.nodes) > 1:
            first, last = place.nodes[0], place.nodes[-1]
            return f"{len(place.nodes)} tasks, {_clean(first.name)} … {_clean(last.name)}"
        (node,) = place.nodes
        state = self._states.get(node.name)
        about = f"{node.name}: {node.task}" if node.name != node.task else node.name
        return _clean(f"{about}, {state}" if state is not None else about)
