"""Pictures of workflows and runs."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from easyjobs.core.picture import LOOKS, as_svg, as_text
from easyjobs.core.states import STATES, State
from easyjobs.core.workflow import Graph, Node, Take, order

SVG = "{http://www.w3.org/2000/svg}"


def node(name: str, *after: str, title: str = "", task: str = "") -> Node:
    return Node(name, task or name, after=after, title=title)


def graph(*nodes: Node) -> Graph:
    return Graph(order(nodes))


NIGHTLY = graph(
    node("fetch"),
    Node("parse", "other:parse", over=Take(("args", 0), "fetch"), after=("fetch",)),
    node("stat", "fetch", title="All that counts"),
    node("total", "parse", "stat"),
)


def texts(svg: str) -> list[str]:
    return ["".join(found.itertext()) for found in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_workflow_as_text() -> None:
    assert as_text(NIGHTLY) == (
        "1 ── fetch\n"
        "2 ┬─ parse            ⇉ fetch\n"
        "  └─ All that counts  ← fetch\n"
        "3 ── total            ← parse, All that counts\n"
    )


def test_a_run_as_text_has_marks_which_the_last_line_explains() -> None:
    states: dict[str, State] = {"fetch": "completed", "parse": "failed", "stat": "running"}
    assert as_text(NIGHTLY, states) == (
        "1 ── ✓ fetch\n"
        "2 ┬─ ✗ parse            ⇉ fetch\n"
        "  └─ ▶ All that counts  ← fetch\n"
        "3 ──   total            ← parse, All that counts\n"
        "▶ running  ✓ completed  ✗ failed\n"
    )


def test_a_run_of_which_a_job_is_not_kept_any_more_says_so() -> None:
    assert as_text(graph(node("a"), node("b", "a")), {"a": "removed", "b": "completed"}) == (
        "1 ── ∅ a\n2 ── ✓ b  ← a\n✓ completed  ∅ removed\n"
    )
    assert "removed" in as_svg(graph(node("a")), {"a": "removed"})


def test_a_run_of_which_nothing_is_known_has_no_marks_to_explain() -> None:
    assert as_text(graph(node("a")), {}) == "1 ──   a\n"


def test_three_side_by_side() -> None:
    assert as_text(graph(node("a"), node("b"), node("c"))) == "1 ┬─ a\n  ├─ b\n  └─ c\n"


def test_a_map_over_what_the_run_is_given_and_after_another() -> None:
    mapped = Node("m", "m", over=Take(("args", 0), "", ("items",)), after=("a",))
    assert as_text(graph(node("a"), mapped)).splitlines()[1] == "2 ── m  ⇉ what the run is given  ← a"


def test_large_graphs_are_folded_and_counted() -> None:
    parts = [f"part-{i}" for i in range(9998)]
    wide = graph(node("a"), *(node(name, "a") for name in parts), node("z", *parts))
    plain = as_text(wide)
    assert len(plain.splitlines()) == 32
    assert "… 9969 more\n" in plain
    assert "← part-0, part-1, part-2, part-3, part-4 and 9993 more" in plain
    states: dict[str, State] = dict.fromkeys(parts, "completed")
    states.update({"part-5000": "failed", "part-1": "queued"})
    shown = as_text(wide, states)
    assert "✗ part-5000" in shown
    assert "… 9969 more  9969 completed" in shown
    del states["part-9997"]
    assert "9968 completed, 1 others" in as_text(wide, states)
    states["part-9997"] = "completed"
    svg = as_svg(wide, states)
    assert {"part-5000", "failed", "… 9969 more", "9969 completed", "9969 tasks are folded"} <= set(texts(svg))
    assert "9969 tasks, part-28 … part-9997" in svg
    assert len(svg) < 50_000


def test_an_svg_shows_each_node_once_with_its_state() -> None:
    svg = as_svg(NIGHTLY, {"fetch": "completed", "parse": "running"}, title="Nightly")
    assert texts(svg) == [
        "Nightly",
        "fetch",
        "completed",
        "parse",
        "running · other:parse · for each item",
        "All that counts",
        "stat",
        "total",
    ]
    assert LOOKS["completed"].fill in svg
    assert LOOKS["running"].fill in svg
    assert ">parse: other:parse, running</title>" in svg
    assert ">total</title>" in svg


def test_a_map_has_a_second_box_behind() -> None:
    boxes = [len(list(group.iter(f"{SVG}rect"))) for group in ElementTree.fromstring(as_svg(NIGHTLY)).iter(f"{SVG}g")]
    assert sorted(boxes) == [0, 1, 1, 1, 2]


def test_a_long_arrow_passes_beside_the_boxes() -> None:
    svg = as_svg(graph(node("a"), node("b", "a"), node("c", "a", "b")))
    assert re.search(r'd="M\d+ [\d.]+h\d+"', svg)


def test_it_is_the_same_each_time_and_loads_and_runs_nothing() -> None:
    first = as_svg(NIGHTLY, {}, "x")
    assert first == as_svg(NIGHTLY, {}, "x")
    assert "href" not in first
    assert "<script" not in first
    assert "<style" not in first


def test_what_people_wrote_is_text_and_nothing_else() -> None:
    evil = '<script>alert("1")</script>\x1b[31m\x00\ud800&'
    hostile = graph(node("a", title=evil, task="q:<b>"))
    svg = as_svg(hostile, {"a": "failed"}, title=evil)
    assert "<script" not in svg
    root = ElementTree.fromstring(svg)
    assert (root.get("aria-label") or "").startswith('<script>alert("1")</script>\N{REPLACEMENT CHARACTER}[31m')
    assert any("failed · q:<b>" in text for text in texts(svg))
    assert "\x1b" not in as_text(hostile)
    assert as_text(hostile).encode()


def test_long_titles_are_cut() -> None:
    assert "x" * 29 + "…\n" in as_text(graph(node("a", title="x" * 100)))


def test_too_many_arrows_are_counted() -> None:
    nodes = [
        node(f"{level}-{i}", *(f"{before}-{j}" for before in range(level) for j in range(28)))
        for level in range(14)
        for i in range(28)
    ]
    assert texts(as_svg(graph(*nodes)))[-1] == "68344 arrows are left out"


@pytest.mark.parametrize("state", STATES)
def test_each_state_has_a_look_of_its_own(state: State) -> None:
    assert [look.mark for look in LOOKS.values()].count(LOOKS[state].mark) == 1
    assert LOOKS[state].fill in as_svg(graph(node("a")), {"a": state})
