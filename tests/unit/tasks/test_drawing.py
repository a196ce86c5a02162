"""The graph of a workflow, drawn by calling its function."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from easyjobs.core.workflow import Graph, Node, Take
from easyjobs.errors import RegistrationError
from easyjobs.tasks.decorator import bind
from easyjobs.tasks.drawing import Drawing, Reference, current, drawn
from easyjobs.tasks.shapes import map as map_
from easyjobs.tasks.shapes import task_named
from easyjobs.tasks.workflows import bind_workflow


async def fetch(day: date) -> list[str]: ...


def parse(page: str, lang: str = "en") -> int: ...


def total(counts: list[int], *more: Any, **named: Any) -> int: ...


fetch_: Any = bind(fetch, caller=None, queue="q")
parse_: Any = bind(parse, caller=None, queue="q")
total_: Any = bind(total, caller=None, queue="q")
far_: Any = bind(total, caller=None, queue="far", name="sum")


def graph(function: Callable[..., Any]) -> Graph:
    return bind_workflow(function, caller=None, queue="q", name="w").graph


def refused(function: Callable[..., Any]) -> str:
    with pytest.raises(RegistrationError) as caught:
        graph(function)
    assert current() is None, "after an error calls make jobs again"
    message = str(caught.value)
    assert "workflow 'w' at " in message
    assert "test_drawing.py:" in message
    return message


def test_calls_of_tasks_are_its_nodes_and_what_they_take_is_the_results_of_others() -> None:
    def nightly(day: date) -> Any:
        pages = fetch_(day)
        counts = map_(parse_, pages, lang="de")
        return total_(counts)

    assert graph(nightly) == Graph(
        (
            Node("fetch", "fetch", args="[null]", takes=(Take(("args", 0), "", ("day",)),)),
            Node("parse", "parse", kwargs='{"lang":"de"}', over=Take(("args", 0), "fetch")),
            Node("total", "total", args="[null]", takes=(Take(("args", 0), "parse"),)),
        ),
        Take((), "total"),
    )


def test_references_may_be_inside_lists_and_dicts_and_of_parts() -> None:
    def flow(config: dict[str, Any]) -> None:
        first = fetch_(date(2026, 1, 1))
        total_([first, 7, {"x": (config["a"][0], first[-1]["b"])}], key=config)

    _, node = graph(flow).nodes
    assert graph(flow).nodes[0].args == '["2026-01-01"]'
    assert node.args == '[[null,7,{"x":[null,null]}]]'
    assert node.takes == (
        Take(("args", 0, 0), "fetch"),
        Take(("args", 0, 2, "x", 0), "", ("config", "a", 0)),
        Take(("args", 0, 2, "x", 1), "fetch", (-1, "b")),
        Take(("kwargs", "key"), "", ("config",)),
    )
    assert graph(flow).returns is None


def test_several_results_may_be_returned_together() -> None:
    def flow() -> Any:
        pages = fetch_(1)
        return {"first": pages[0], "all": [pages, total_(pages)], "version": 2}

    found = graph(flow)
    assert (found.returns, found.shape) == (None, '{"first":null,"all":[null,null],"version":2}')
    assert found.gives == (
        Take(("args", 0, "first"), "fetch", (0,)),
        Take(("args", 0, "all", 0), "fetch"),
        Take(("args", 0, "all", 1), "total"),
    )


def test_after_orders_without_data() -> None:
    def flow() -> Any:
        a, b = fetch_(1).named("a"), fetch_(2).named("b")
        last = fetch_(3).after(a, [b, [a]])
        return last["x"][0]

    found = graph(flow)
    assert found.nodes[-1] == Node("fetch", "fetch", args="[3]", after=("a", "b"))
    assert found.returns == Take((), "fetch", ("x", 0))


def test_nodes_are_called_like_their_tasks_and_numbered_where_that_is_taken() -> None:
    def flow() -> None:
        for i in range(3):
            fetch_(i)
        fetch_(3).named("fetch-2")
        parse_("x")

    assert [node.name for node in graph(flow).nodes] == ["fetch", "fetch-3", "fetch-4", "fetch-2", "parse"]


def test_a_name_that_is_given_late_is_the_one_that_others_wait_for() -> None:
    def flow() -> None:
        first = fetch_(1)
        parse_(first)
        first.named("early").options(title="The first", priority=3)

    first, second = graph(flow).nodes
    assert (first.name, first.title, first.priority) == ("early", "The first", 3)
    assert second.prerequisites == ("early",)


def test_options_of_a_call_give_a_priority_and_nothing_else() -> None:
    def flow() -> None:
        fetch_.options(priority=5)(1).options()
        map_(parse_.options(priority=6), ["a"])

    assert [node.priority for node in graph(flow).nodes] == [5, 6]
    assert "in a workflow, a call has no option 'delay'" in refused(lambda: fetch_.options(delay=5)(1))
    assert "no option 'key'" in refused(lambda: map_(parse_.options(key="k"), ["a"]))


def test_tasks_of_other_queues_are_named_with_theirs() -> None:
    def flow() -> None:
        far_([1])
        task_named("etl:load")(x=1)
        task_named("local")(fetch_(1))

    assert [(node.name, node.task) for node in graph(flow).nodes] == [
        ("sum", "far:sum"),
        ("load", "etl:load"),
        ("fetch", "fetch"),
        ("local", "local"),
    ]


def test_a_map_over_a_list_that_is_known_is_a_node_for_each_item() -> None:
    def flow() -> Any:
        first = fetch_(1)
        return total_(map_(parse_, [first[0], "b"], lang="de"))

    nodes = graph(flow).nodes
    assert [node.name for node in nodes] == ["fetch", "parse", "parse-2", "total"]
    assert (nodes[2].args, nodes[2].kwargs) == ('["b"]', '{"lang":"de"}')
    assert nodes[3].takes == (Take(("args", 0, 0), "parse"), Take(("args", 0, 1), "parse-2"))


def test_a_map_over_a_parameter_takes_the_same_of_results() -> None:
    def flow(items: list[str]) -> None:
        map_(parse_, items, lang=fetch_(1)["lang"])

    node = graph(flow).nodes[1]
    assert node.over == Take(("args", 0), "", ("items",))
    assert node.takes == (Take(("kwargs", "lang"), "fetch", ("lang",)),)


ASKED: list[Callable[[Any], Any]] = [
    bool,
    list,
    len,
    str,
    int,
    float,
    abs,
    reversed,
    round,
    operator.index,
    operator.neg,
    operator.call,
    lambda ref: f"{ref}",
    lambda ref: ref + 1,
    lambda ref: 1 + ref,
    lambda ref: [*ref],
    lambda ref: ref * 2,
    lambda ref: ref - 1,
    lambda ref: 1 / ref,
    lambda ref: ref % 2,
    lambda ref: ref == 3,
    lambda ref: ref != 3,
    lambda ref: ref < 3,
    lambda ref: ref >= 3,
    lambda ref: 3 in ref,
    lambda ref: ref | {},
    lambda ref: ref.__setitem__("a", 1),
    lambda ref: asyncio.run(_await(ref)),
]


async def _await(ref: Any) -> None:
    await ref


@pytest.mark.parametrize("ask", ASKED)
def test_nothing_else_can_be_done_with_a_result_that_is_not_there(ask: Callable[[Any], Any]) -> None:
    message = refused(lambda: ask(fetch_(1)))
    assert "<the result of fetch> is not there while the workflow is drawn" in message
    assert "map(task, list)" in message
    with pytest.raises(RegistrationError, match="<the parameter x"):
        graph(lambda x: ask(x["a"]))


@pytest.mark.parametrize(
    ("flow", "why"),
    [
        (lambda: fetch_(1)[1:2], "taken by a name or a place"),
        (lambda: fetch_(1)[True], "taken by a name or a place"),
        (lambda: fetch_(1).named("a b"), "'a b' cannot name a task of a workflow"),
        (lambda: fetch_(1).named(3), "3 cannot name"),
        (lambda: fetch_(1)["a"].named("b"), "<the result of fetch['a']>.named(…): this can be said of the whole"),
        (lambda x: x.after(fetch_(1)), "<the parameter x>.after(…)"),
        (lambda x: fetch_(1).after(x), "<the parameter x>.after(…)"),
        (lambda: fetch_(1).after(3), "3 is no result of a task"),
        (lambda: fetch_(), "task 'fetch' cannot be called so: The arguments do not fit the task. (kwargs.day: missing"),
        (lambda: fetch_(1, 2), "surplus argument"),
        (lambda: map_(parse_, fetch_(1), nope=1), "unknown argument"),
        (lambda: map_(parse_, fetch_(1), page=1), "given twice"),
        (lambda: fetch_({1, 2}), "JSON has no set"),
        (lambda: fetch_(object()), "is not JSON"),
        (lambda: fetch_.enqueue(1), "enqueue makes a job now; in a workflow, call the task"),
        (lambda: fetch_.options(priority=1).enqueue(1), "enqueue makes a job now"),
        (lambda: None, "between 1 and 10000 tasks, not 0"),
        (lambda x: [fetch_(1), x][1], "returns results of its tasks, also in lists and dicts, or None; not <the param"),
        (lambda x: [fetch_(1), x], "or None; not [<the result of fetch>, <the parameter x>]"),
        (
            lambda: [fetch_(1), {3}],
            "what the workflow returns is not JSON: result[1] cannot be stored: JSON has no set",
        ),
        (lambda: fetch_(1) and 7, "is not there while"),
        (lambda: (fetch_(1), 7)[1], "or None; not 7"),
        (lambda: fetch_(1).named("a").after(parse_("b").named("a")), "two tasks of the workflow are called 'a'"),
        (lambda: map_(parse_, {"a": 1}), "map goes over the result of a task, a parameter, or a list, not {'a': 1}"),
        (lambda: map_(parse, [1]), "map runs a task for each item of a list, and <function parse"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_its_place(flow: Callable[..., Any], why: str) -> None:
    assert why in refused(flow)


def test_a_circle_can_only_be_made_by_after_and_is_refused_with_its_path() -> None:
    def flow() -> None:
        first = fetch_(1)
        second = parse_(first)
        first.after(second)

    assert "tasks may not depend on themselves: fetch → parse → fetch" in refused(flow)


def test_a_result_of_another_workflow_is_refused() -> None:
    kept: list[Any] = []
    graph(lambda: kept.append(fetch_(1)))
    assert "<the result of fetch> is of another workflow" in refused(lambda: parse_(kept[0]))
    assert "is of another workflow" in refused(lambda: map_(parse_, kept[0]))
    assert "is of another workflow" in refused(lambda: (parse_("a"), kept[0])[1])


def test_an_attribute_says_how_a_part_is_taken() -> None:
    with pytest.raises(AttributeError, match=r"""<the result of fetch> has no 'title'; .* taken by \["title"\]"""):
        graph(lambda: fetch_(1).title)


def test_a_reference_can_be_shown_and_kept_in_sets() -> None:
    drawing = Drawing("q")

    def draw(drawing: Drawing) -> None:
        first = fetch_(1)
        assert isinstance(first, Reference)
        assert len({first, first[0]}) == 2
        assert repr(first.named("x")["a"][0]) == "<the result of x['a'][0]>"
        assert repr(drawing.everything["day"]["a"]) == "<the parameter day['a']>"
        assert repr(drawing.everything) == "<all parameters>"

    assert len(drawn(draw, drawing).nodes) == 1
    assert current() is None


def test_workflows_may_be_tasks_of_workflows() -> None:
    def inner(day: date) -> Any:
        return fetch_(day)

    bound: Any = bind_workflow(inner, caller=None, queue="q")
    other: Any = bind_workflow(inner, caller=None, queue="other")

    def outer() -> Any:
        return other(bound(1)[0])

    assert [(node.name, node.task) for node in graph(outer).nodes] == [("inner", "inner"), ("inner-2", "other:inner")]
