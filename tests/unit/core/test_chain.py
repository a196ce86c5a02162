"""Which tasks follow which, and what a follower is given."""

import json
from typing import Any

import msgspec
import pytest

from easyjobs.core import chain
from easyjobs.core.chain import TaskName, arguments, by_place, failure, handler_of, resolve, the_argument
from easyjobs.core.job import Job
from easyjobs.core.signature import ANYTHING, Parameter, Signature
from easyjobs.core.task import Options
from easyjobs.core.workflow import Graph, Node, Take
from easyjobs.errors import ArgumentsRefused, RegistrationError


def tasks(**options: Options) -> dict[TaskName, Options]:
    """Tasks of queue q; `other__task` is of another."""
    names = {name: name.split("__") for name in options}
    return {TaskName(*(parts if len(parts) == 2 else ["q", *parts])): options[name] for name, parts in names.items()}


def check(known: dict[TaskName, Options], task: str = "a", queue: str = "q") -> None:
    chain.check(TaskName(queue, task), known.get)


def after(*names: str) -> Options:
    return Options(run_after=names)


def before(*names: str) -> Options:
    return Options(run_before=names)


# -- names


def test_a_name_is_of_the_own_queue_unless_it_names_another() -> None:
    assert resolve("load", "q") == ("q", "load")
    assert resolve("etl:load", "q") == ("etl", "load")


@pytest.mark.parametrize("name", ["", ":", "q:", ":load", "a:b:c", "../x", "..", "a b", "x" * 129, "lo\nad"])
def test_what_can_name_no_task_is_refused(name: str) -> None:
    with pytest.raises(RegistrationError, match="cannot name a task"):
        resolve(name, "q")


# -- circles


def test_chains_may_fork_join_and_name_what_nobody_declared_yet() -> None:
    check(tasks(a=after("b", "c"), b=after("d"), c=Options(run_before=("d",), on_failure="later"), d=Options()))


@pytest.mark.parametrize(
    ("known", "path"),
    [
        (tasks(a=after("b"), b=after("a")), "a → b → a"),
        (tasks(a=before("b"), b=before("c"), c=before("a")), "a → b → c → a"),
        (tasks(a=before("b"), b=after("a")), "a → b → a"),
        (tasks(a=after("b"), b=Options(on_failure="a")), "a → b → a"),
        (tasks(a=after("a")), "a → a"),
        (tasks(a=before("a")), "a → a"),
        (tasks(a=after("b"), b=after("c"), c=after("b")), "b → c → b"),
        (tasks(a=after("r:b"), r__b=after("q:a")), "q:a → r:b → q:a"),
    ],
)
def test_a_chain_that_comes_back_is_refused_and_its_path_named(known: dict[TaskName, Options], path: str) -> None:
    with pytest.raises(RegistrationError) as refusal:
        check(known)
    assert str(refusal.value) == f"a chain of tasks may not come back: {path}"


def test_only_on_failure_may_name_its_own_task() -> None:
    check(tasks(a=Options(on_failure="a")))
    check(tasks(a=Options(on_failure="q:a")))


def test_a_task_may_be_reached_on_many_ways_at_no_cost() -> None:
    layers = {TaskName("q", f"{n}{x}"): after(f"{n + 1}x", f"{n + 1}y") for n in range(200) for x in "xy"}
    with pytest.raises(RegistrationError, match=r"makes \d+ jobs at once"):
        chain.check(TaskName("q", "0x"), {name: before(*o.run_after) for name, o in layers.items()}.get)
    chain.check(TaskName("q", "0x"), layers.get)


# -- how much at once


def test_a_thousand_jobs_at_once_are_the_most() -> None:
    many = tuple(f"t{n}" for n in range(1000))
    check(tasks(a=before(*many)))
    check(tasks(a=after(*many)))
    with pytest.raises(RegistrationError, match=r"^run_before of a makes 1001 jobs at once; 1000 are allowed$"):
        check(tasks(a=before(*many, "more")))
    with pytest.raises(RegistrationError, match=r"^run_after of a makes 1001 jobs"):
        check(tasks(a=after(*many), t7=before("x")))
    check(tasks(a=after(*many), t7=after("x")))


def test_a_long_line_of_tasks_is_no_trouble() -> None:
    check({TaskName("q", "a" if n == 0 else str(n)): after(str(n + 1)) for n in range(5000)})


# -- after a failure


def test_a_failure_is_looked_after_by_the_task_that_is_named() -> None:
    assert handler_of(Job("1", "q", "a"), Options()) is None
    assert handler_of(Job("1", "q", "a"), Options(on_failure="mail:send")) == ("mail", "send")


def test_a_task_that_looks_after_its_own_failures_does_so_once() -> None:
    options = Options(on_failure="a")
    assert handler_of(Job("1", "q", "a"), options) == ("q", "a")
    assert handler_of(Job("2", "q", "a", relation="after"), options) == ("q", "a")
    assert handler_of(Job("2", "q", "a", relation="failure"), options) is None
    assert handler_of(Job("2", "r", "b", relation="failure"), Options(on_failure="q:a")) == ("q", "a")


def test_the_failure_is_told_whole() -> None:
    job = Job("1", "q", "a", args="[1]", kwargs='{"x":2}', attempt=3)
    error = '{"type":"ValueError","message":"no","traceback":"…"}'
    assert json.loads(failure(job, error, 10_000)) == {
        "job": "1",
        "task": "a",
        "queue": "q",
        "error": {"type": "ValueError", "message": "no", "traceback": "…"},
        "attempts": 3,
        "args": [1],
        "kwargs": {"x": 2},
    }


def test_the_failure_of_a_damaged_job_can_be_told_too() -> None:
    told = json.loads(failure(Job("1", "q", "a", args="[1", kwargs="\ud800"), None, 10_000))
    assert (told["error"], told["args"], told["kwargs"]) == (None, "[1", "?")


def test_a_failure_that_is_too_large_is_told_in_short() -> None:
    job = Job("1", "q", "a", args=f'["{"x" * 5000}"]')
    error = json.dumps({"type": "ValueError", "message": "no", "traceback": "t" * 3000})
    told = json.loads(failure(job, error, 4000))
    assert (told["args"], told["kwargs"], len(told["error"]["traceback"])) == (None, None, 3000)
    told = json.loads(failure(job, error, 2000))
    assert told["error"] == {"type": "ValueError", "message": "no", "traceback": ""}


# -- what a follower is given

DATA = Signature((Parameter("data"),))
TWO = Signature((Parameter("data"), Parameter("more", required=False)))


@pytest.mark.parametrize(
    ("value", "signature", "args", "kwargs"),
    [
        ({"data": 1}, DATA, [], {"data": 1}),
        ({"data": 1, "more": 2}, TWO, [], {"data": 1, "more": 2}),
        ({"data": 1, "more": 2}, DATA, [{"data": 1, "more": 2}], {}),
        ({"other": 1}, DATA, [{"other": 1}], {}),
        ({}, DATA, [{}], {}),
        ({}, Signature(), [], {}),
        ({"any": 1}, ANYTHING, [], {"any": 1}),
        ([1, 2], DATA, [[1, 2]], {}),
        ([1, 2], TWO, [[1, 2]], {}),
        (None, DATA, [None], {}),
        ("text", TWO, ["text"], {}),
        ({"data": "of another type"}, Signature((Parameter("data", {"type": "integer"}),)), [], None),
    ],
)
def test_a_result_goes_by_name_where_it_binds_and_else_by_place(
    value: Any, signature: Signature, args: list[Any], kwargs: dict[str, Any] | None
) -> None:
    given = arguments(msgspec.json.encode(value).decode(), signature)
    assert (json.loads(given.args), json.loads(given.kwargs)) == (args, value if kwargs is None else kwargs)


@pytest.mark.parametrize("value", ["null", "[]", '{"a": 1}'])
def test_what_binds_in_neither_way_is_refused_with_the_place(value: str) -> None:
    with pytest.raises(ArgumentsRefused) as refusal:
        arguments(value, Signature((Parameter("data"), Parameter("needed"))))
    assert refusal.value.errors == [{"loc": ["kwargs", "needed"], "message": "missing argument"}]


def test_one_argument_can_be_taken_back() -> None:
    for text in ('{"a": [1, 2]}', "null", '"[x]"'):
        assert the_argument(by_place(text).args) == text
        assert json.loads(by_place(text).args) == [json.loads(text)]


# -- workflows in workflows


def graphs(**nodes: list[Node]) -> dict[TaskName, Graph]:
    """Workflows of queue q; `other__flow` is of another."""
    names = {name: name.split("__") for name in nodes}
    return {
        TaskName(*(parts if len(parts) == 2 else ["q", *parts])): Graph(tuple(nodes[name]))
        for name, parts in names.items()
    }


def inside(*tasks: str) -> list[Node]:
    return [Node(f"n{i}", task) for i, task in enumerate(tasks)]


@pytest.mark.parametrize(
    ("known", "path"),
    [
        (graphs(a=inside("one", "a")), "a → a"),
        (graphs(a=inside("q:a")), "a → a"),
        (graphs(a=inside("b", "c"), b=inside("one"), c=inside("d", "b"), d=inside("b", "c")), "c → d → c"),
        (graphs(a=inside("r:b"), r__b=inside("q:a")), "q:a → r:b → q:a"),
    ],
)
def test_a_workflow_that_would_run_in_itself_is_refused_with_the_path(known: dict[TaskName, Graph], path: str) -> None:
    with pytest.raises(RegistrationError) as refusal:
        chain.check_graphs(TaskName("q", "a"), known.get, tasks().get)
    assert str(refusal.value) == f"a workflow may not contain itself: {path}"


def test_workflows_in_workflows_are_fine_where_they_end() -> None:
    known = graphs(a=inside("b", "b", "c", "later"), b=inside("c", "r:a"), c=inside("one"), r__a=inside("q:c"))
    chain.check_graphs(TaskName("q", "a"), known.get, tasks().get)
    walk = graphs(a=[Node("children", "one"), Node("each", "a", args="[null]", over=Take(("args", 0), "children"))])
    chain.check_graphs(TaskName("q", "a"), walk.get, tasks().get)


def test_a_workflow_that_its_own_tasks_start_again_is_refused_with_the_path() -> None:
    known = graphs(flow=inside("a"))
    for options in (after("b"), before("b"), Options(on_failure="b")):
        chains = tasks(a=options, b=after("flow"))
        for first, path in (("flow", "flow → a → b → flow"), ("a", "a → b → flow → a")):
            with pytest.raises(RegistrationError, match=path):
                chain.check_graphs(TaskName("q", first), known.get, chains.get)
    chain.check_graphs(TaskName("q", "flow"), known.get, tasks(flow=after("b"), a=after("b")).get)
