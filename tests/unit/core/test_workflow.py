"""Graphs: their order, what they refuse, and how the calls of their nodes come to be."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from easyjobs.core import workflow
from easyjobs.core.workflow import Calling, Graph, Node, Take
from easyjobs.errors import ArgumentsRefused, RegistrationError


def node(name: str, *after: str, **more: Any) -> Node:
    return Node(name, "task", after, **more)


def names(nodes: tuple[Node, ...]) -> list[str]:
    return [one.name for one in nodes]


def test_each_node_comes_after_those_that_it_waits_for_otherwise_as_given() -> None:
    assert names(workflow.order([node("d", "b", "c"), node("b", "a"), node("c", "a"), node("a"), node("e")])) == [
        "a",
        "b",
        "c",
        "d",
        "e",
    ]


def test_what_a_node_takes_of_others_is_what_it_waits_for() -> None:
    one = node("x", "a", takes=(Take(("args", 0), "b"), Take(("args", 1))), over=Take(("kwargs", "n"), "c"))
    assert one.prerequisites == ("a", "b", "c")
    assert node("x", takes=(Take(("args", 0), "b"), Take(("args", 1), "b"))).prerequisites == ("b",)


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([], "between 1 and 10000 tasks, not 0"),
        ([node("a"), node("a")], "two tasks of the workflow are called 'a'"),
        ([node("a", "b")], "task 'a' depends on 'b', which is not in the workflow"),
        ([node("a", "a")], "may not depend on themselves: a → a"),
        ([node("z"), node("a", "z", "b"), node("b", "c"), node("c", "a")], "a → b → c → a"),
    ],
)
def test_what_is_no_graph_is_refused(nodes: list[Node], reason: str) -> None:
    with pytest.raises(RegistrationError, match=reason):
        workflow.order(nodes)


def test_a_long_chain_given_backwards_is_no_trouble() -> None:
    chain = [node(f"n{i}", *([f"n{i - 1}"] if i else [])) for i in reversed(range(workflow.MOST))]
    assert names(workflow.order(chain))[:2] == ["n0", "n1"]


DIAMOND = Graph(workflow.order([node("d", "b", "c"), node("b", "a"), node("c", "a"), node("a"), node("e")]))


def test_levels_and_leaves() -> None:
    levels = [[one.name for one in level] for level in workflow.levels(DIAMOND)]
    assert levels == [["a", "e"], ["b", "c"], ["d"]]
    assert [one.name for one in workflow.leaves(DIAMOND)] == ["d", "e"]


def test_another_graph_or_signature_has_another_hash() -> None:
    other = msgspec.structs.replace(DIAMOND, returns=Take((), "d"))
    assert len({DIAMOND.hash("s"), DIAMOND.hash("t"), other.hash("s")}) == 3
    assert DIAMOND.hash("s") == msgspec.json.decode(msgspec.json.encode(DIAMOND), type=Graph).hash("s")


def test_a_run_gives_what_one_of_its_nodes_gave_or_a_part_of_it() -> None:
    one = msgspec.structs.replace(DIAMOND, returns=Take((), "d", ("x", 0)))
    assert workflow.sources(one) == ("d",)
    assert workflow.result(one, {"d": {"x": [7, 8]}}) == 7
    with pytest.raises(ArgumentsRefused, match=r"nothing at x\.0"):
        workflow.result(one, {"d": {"x": []}})
    assert workflow.sources(DIAMOND) == ()


def test_a_run_may_give_several_results_put_together() -> None:
    gives = (Take(("args", 0, "all", 0), "a"), Take(("args", 0, "all", 1), "d"), Take(("args", 0, "a"), "a", ("x",)))
    several = msgspec.structs.replace(DIAMOND, gives=gives, shape='{"all":[null,null],"version":2}')
    assert workflow.sources(several) == ("a", "d")
    assert workflow.result(several, {"a": {"x": 1}, "d": None}) == {"all": [{"x": 1}, None], "version": 2, "a": 1}


# -- calls

JOBS = {"a": "id-a", "b": "id-b"}


def test_a_call_has_what_is_known_when_the_run_begins() -> None:
    one = node(
        "x",
        args="[1,null]",
        kwargs='{"k":{"l":[]}}',
        takes=(
            Take(("args", 1), path=("day",)),
            Take(("kwargs", "k", "l", 0), path=("list", 1)),
            Take(("kwargs", "job"), "a", job=True),
            Take(("kwargs", "none"), path=("nothing",), optional=True),
            Take(("kwargs", "later"), "b", ("y",)),
        ),
    )
    call = workflow.calling(one, {"day": "monday", "list": [0, 7]}, JOBS)
    assert call == Calling([1, "monday"], {"k": {"l": [7]}, "job": "id-a"}, [Take(("kwargs", "later"), "id-b", ("y",))])
    assert Calling.read(call.text()) == call
    workflow.fill(call, call.takes[0], {"y": None})
    assert call.texts() == ('[1,"monday"]', '{"k":{"l":[7]},"job":"id-a","later":null}')


def test_an_object_is_merged_into_the_arguments() -> None:
    one = node("x", kwargs='{"a":1,"b":2}', takes=(Take(("kwargs",), path=("params",)),))
    assert workflow.calling(one, {"params": {"b": 3, "c": 4}}, JOBS).kwargs == {"a": 1, "b": 3, "c": 4}
    with pytest.raises(ArgumentsRefused, match="Only an object can be merged"):
        workflow.calling(one, {"params": [1]}, JOBS)


@pytest.mark.parametrize("arguments", [{}, {"list": {}}, {"list": [0]}, {"list": "text"}])
def test_what_is_not_there_cannot_be_taken(arguments: dict[str, Any]) -> None:
    one = node("x", takes=(Take(("kwargs", "n"), path=("list", 1)),))
    with pytest.raises(ArgumentsRefused, match=r"There is nothing at list.1 for kwargs.n."):
        workflow.calling(one, arguments, JOBS)


@pytest.mark.parametrize("into", [("args", 1), ("kwargs", "k", "l"), ("kwargs", "n", "l"), ("args", "x"), ("other", 0)])
def test_a_place_that_is_not_there_cannot_be_filled(into: tuple[str | int, ...]) -> None:
    with pytest.raises(ArgumentsRefused, match="The call has no place"):
        workflow.put(Calling([], {"n": 5}), into, 1)


# -- maps


def test_a_map_takes_its_items_from_a_result_or_from_the_arguments_of_the_run() -> None:
    of_node = workflow.calling(node("x", over=Take(("args", 0), "a", ("rows",))), {}, JOBS)
    assert workflow.items(of_node, {"rows": [1, 2]}) == [1, 2]
    of_run = workflow.calling(node("x", over=Take(("args", 0), path=("rows",))), {"rows": [3]}, JOBS)
    assert workflow.items(Calling.read(of_run.text()), None) == [3]


def test_only_a_list_that_is_not_too_long_can_be_mapped_over() -> None:
    call = Calling([], {}, over=Take(("args", 0), "a"))
    for value, reason in (({}, "not dict"), ([0] * (workflow.MOST + 1), "10001 items; 10000 are allowed")):
        with pytest.raises(ArgumentsRefused, match=reason):
            workflow.items(call, value)
