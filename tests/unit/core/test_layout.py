"""Where nodes stand in a picture."""

from __future__ import annotations

from itertools import pairwise

from easyjobs.core import layout as module
from easyjobs.core.layout import Layout, Place, folded, layout
from easyjobs.core.workflow import Graph, Node, order


def node(name: str, *after: str) -> Node:
    return Node(name, name, after=after)


def graph(*nodes: Node) -> Graph:
    return Graph(order(nodes))


def names(columns: list[list[Place]]) -> list[list[list[str]]]:
    return [[[node.name for node in place.nodes] for place in column] for column in columns]


def crossings(found: Layout) -> int:
    def above(a: Place, b: Place) -> bool:
        return a.y < b.y

    lines = found.lines
    return sum(
        above(a, c) and above(d, b)
        for a, b in lines
        for c, d in lines
        if a.column == c.column and a is not c and b is not d
    )


def test_a_diamond_has_three_columns_and_stands_straight() -> None:
    found = layout(graph(node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c")))
    assert names(found.columns) == [[["a"]], [["b"], ["c"]], [["d"]]]
    ((a,), (b, c), (d,)) = found.columns
    assert (b.y, c.y) == (0, 1)
    assert a.y == d.y == 0.5
    assert set(map(id, found.lines[0])) == {id(a), id(b)}
    assert [(x.column, y.column) for x, y in found.lines] == [(0, 1), (0, 1), (1, 2), (1, 2)]


def test_a_long_line_passes_the_columns_between_in_places_of_its_own() -> None:
    found = layout(graph(node("a"), node("b", "a"), node("c", "b"), node("d", "a", "c"), node("e", "a", "c")))
    assert [sum(not place.nodes for place in column) for column in found.columns] == [0, 1, 1, 0]
    assert all(last.column - first.column == 1 for first, last in found.lines)
    assert all(below.y - above.y >= 0.6 for column in found.columns for above, below in pairwise(column))


def test_places_are_ordered_so_that_lines_do_not_cross() -> None:
    found = layout(graph(node("a"), node("b"), node("x", "b"), node("y", "a")))
    assert crossings(found) == 0


def test_many_nodes_of_a_column_are_folded_but_for_the_notable_ones() -> None:
    wide = graph(node("a"), *(node(f"b{i}", "a") for i in range(100)), node("z", *(f"b{i}" for i in range(100))))
    first, column, last = folded(wide, lambda node: 0 if node.name in ("b7", "b99") else 1)
    assert len(column) == module.MOST_ROWS
    assert [node.name for place in column[:2] for node in place.nodes] == ["b0", "b1"]
    assert [node.name for node in column[-2].nodes] == ["b99"]
    assert [len(place.nodes) for place in column] == [1] * 29 + [71]
    assert (len(first), len(last)) == (1, 1)
    assert len(layout(wide).lines) == 60


def test_the_middle_of_a_long_graph_is_folded() -> None:
    size = 10_000
    long = graph(node("n0"), *(node(f"n{i}", f"n{i - 1}", "n0") for i in range(1, size)))
    found = layout(long)
    assert len(found.columns) == module.MOST_COLUMNS + 1
    (middle,) = (place for place in found.columns[30] if place.nodes)
    assert len(middle.nodes) == size - module.MOST_COLUMNS
    assert names([found.columns[-1]])[0] == [[f"n{size - 1}"]]


def test_of_too_many_lines_some_are_left_out() -> None:
    nodes = [
        node(f"{level}-{i}", *(f"{before}-{j}" for before in range(level) for j in range(28)))
        for level in range(14)
        for i in range(28)
    ]
    found = layout(graph(*nodes))
    assert found.left_out == 14 * 13 // 2 * 28 * 28 - module.MOST_LINES
    assert found.lines
