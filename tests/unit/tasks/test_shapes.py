"""Tasks that are put together: chain, group, map."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.workflow import Graph, Node, Take
from easyjobs.errors import ConfigurationError, RegistrationError
from easyjobs.tasks.decorator import bind, task
from easyjobs.tasks.shapes import chain, group, task_named
from easyjobs.tasks.shapes import map as map_
from easyjobs.tasks.workflows import BoundWorkflow, bind_workflow


async def fetch(day: date, *, deep: bool = False) -> list[str]: ...


def parse(page: str) -> int: ...


def count(page: str) -> int: ...


def total(counts: list[int]) -> int: ...


fetch_, parse_, count_, total_ = (bind(f, caller=None, queue="q") for f in (fetch, parse, count, total))
ALL = (Take(("kwargs",)),)


def made(shape: Any) -> BoundWorkflow[Any, Any]:
    return bind_workflow(shape, caller=None, queue="q", name="w")


def test_a_chain_gives_each_the_result_of_the_one_before() -> None:
    assert made(chain(fetch_, total_)).graph == Graph(
        (
            Node("fetch", "fetch", takes=ALL),
            Node("total", "total", args="[null]", takes=(Take(("args", 0), "fetch"),)),
        ),
        Take((), "total"),
    )


def test_a_workflow_of_a_chain_has_the_parameters_of_its_first_task() -> None:
    spec = made(chain(fetch_.options(priority=2), total_)).spec
    assert [(p.name, p.required) for p in spec.signature.parameters] == [("day", True), ("deep", False)]
    assert spec.signature.parameters[0].schema == {"type": "string", "format": "date"}
    assert spec.signature.returns == {}
    assert spec.graph is not None
    assert spec.graph.nodes[0].priority == 2


def test_a_group_is_side_by_side_and_what_follows_gets_the_list() -> None:
    nodes = made(chain(fetch_, group(parse_, chain(count_, count_)), total_)).graph.nodes
    assert {node.name: node.prerequisites for node in nodes} == {
        "fetch": (),
        "parse": ("fetch",),
        "count": ("fetch",),
        "count-2": ("count",),
        "total": ("parse", "count-2"),
    }
    assert nodes[-1].args == "[[null,null]]"


def test_a_task_without_parameters_only_comes_after_the_one_before() -> None:
    def clean() -> None: ...

    def done() -> None: ...

    clean_: Any = bind(clean, caller=None, queue="q")
    shape = chain(fetch_, group(clean_, parse_), task(done), chain(clean_.options(priority=1), group(map_(count_))))
    nodes = made(shape).graph.nodes
    assert nodes[1] == Node("clean", "clean", after=("fetch",))
    assert nodes[2].takes == (Take(("args", 0), "fetch"),)
    assert nodes[3] == Node("done", "done", after=("clean", "parse"))
    assert nodes[4] == Node("clean-2", "clean", after=("done",), priority=1)
    assert nodes[5].over == Take(("args", 0), "clean-2")


def test_a_map_in_a_chain_goes_over_what_comes_before_it() -> None:
    nodes = made(chain(fetch_, map_(parse_), total_)).graph.nodes
    assert nodes[1] == Node("parse", "parse", over=Take(("args", 0), "fetch"))


def test_a_workflow_may_begin_with_a_group_whose_tasks_are_called_alike() -> None:
    found = made(group(parse_, count_))
    assert [node.takes for node in found.graph.nodes] == [ALL, ALL]
    assert found.graph.gives == (Take(("args", 0, 0), "parse"), Take(("args", 0, 1), "count"))
    assert found.spec.signature == Signature((Parameter("page", {"type": "string"}),))
    with pytest.raises(RegistrationError, match="workflow 'w': the tasks that begin it are called alike"):
        made(group(parse_, total_))


def test_a_workflow_may_begin_with_a_map_or_with_a_task_of_which_nothing_is_known() -> None:
    found = made(chain(map_(parse_), total_))
    assert found.graph.nodes[0].over == Take(("args", 0), "", ("items",))
    assert found.spec.signature == Signature((Parameter("items", {"type": "array"}),))
    found = made(chain(task_named("far:load"), total_))
    assert found.graph.nodes[0] == Node("load", "far:load", takes=ALL)
    assert found.spec.signature.bind((), {"anything": 1}) == {"anything": 1}


def test_plain_tasks_can_be_put_together_too() -> None:
    found = made(chain(task(fetch), group(task(name="two")(parse)), task(queue="far")(total)))
    assert [node.task for node in found.graph.nodes] == ["fetch", "two", "far:total"]
    assert [p.name for p in found.spec.signature.parameters] == ["day", "deep"]


def test_shapes_are_called_like_tasks_in_the_function_of_a_workflow() -> None:
    def flow(day: date) -> Any:
        parts = group(parse_, count_)("a page")
        return chain(fetch_, total_)(day, deep=True).after(parts)

    found = made(flow)
    assert [node.name for node in found.graph.nodes] == ["parse", "count", "fetch", "total"]
    assert found.graph.nodes[2].kwargs == '{"deep":true}'
    assert found.graph.nodes[3].prerequisites == ("parse", "count", "fetch")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: chain(), r"chain\(\) needs tasks"),
        (lambda: group(), r"group\(\) needs tasks"),
        (lambda: chain(fetch_, 3), "chain takes tasks and what is made of them, not 3"),
        (lambda: group(fetch), "group takes tasks and what is made of them, not <function fetch"),
        (lambda: map_(str), "map runs a task for each item of a list, and <class 'str'> is none"),
        (lambda: map_(chain(parse_)), "map runs a task"),
        (lambda: task_named("a b"), "'a b' cannot name a task"),
    ],
)
def test_only_tasks_can_be_put_together(make: Any, why: str) -> None:
    with pytest.raises(RegistrationError, match=why):
        make()


def test_results_are_put_together_by_lists() -> None:
    with pytest.raises(RegistrationError, match=r"for results write a list: \[a, b\]"):
        made(lambda: group(fetch_(1), parse_("x")))  # type: ignore[arg-type]


def test_they_belong_into_a_workflow() -> None:
    with pytest.raises(ConfigurationError, match="map is called in the function of a workflow"):
        map_(parse_, [1])
    with pytest.raises(ConfigurationError, match="<NamedTask load> is called in the function of a workflow"):
        task_named("far:load")()
    assert repr(task_named("far:load")) == "<NamedTask load>"
