"""Workflows as they are declared: plain, with a worker, with a manager."""

from __future__ import annotations

import types
from collections.abc import Sequence
from datetime import date
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from easyjobs import EasyJobsManager, EasyJobsWorker, chain, task_named
from easyjobs.core.schedule import Rule
from easyjobs.core.task import DefaultArgs, Options
from easyjobs.errors import ArgumentsRefused, ConfigurationError, RegistrationError
from easyjobs.tasks.decorator import bind, task
from easyjobs.tasks.handle import Call, JobHandle
from easyjobs.tasks.registry import Registry
from easyjobs.tasks.workflows import BoundWorkflow, Workflow, bind_workflow, workflow

SECRET = "a secret of tests"


def fetch(day: date) -> list[str]: ...


def total(counts: list[str]) -> int: ...


fetch_: Any = bind(fetch, caller=None, queue="q")
total_: Any = bind(total, caller=None, queue="q")


def nightly(day: date, days: int = 1) -> int:
    """Sums up.

    :param day: the last of them.
    """
    result: int = total_(fetch_(day))
    return result


class Desk:
    """A caller that writes down what it was asked, and answers every job with its arguments."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def submit(self, calls: Sequence[Call], *, together: bool = False) -> list[JobHandle[Any]]:
        self.calls.extend(calls)
        return [JobHandle(self, f"job-{len(self.calls)}", call.queue, call.task) for call in calls]

    async def result(self, id: str, timeout: float | None = None) -> Any:
        return [*self.calls[-1].args, dict(self.calls[-1].kwargs)]

    async def cancel(self, id: str) -> None: ...


def worker() -> EasyJobsWorker:
    return EasyJobsWorker(["q", "r"], manager_secret=SECRET, manager_url="ws://localhost:1")


def bound(source: Any = nightly, **options: Any) -> BoundWorkflow[Any, Any]:
    return bind_workflow(source, caller=None, queue="q", **options)


def test_the_spec_says_all_that_the_manager_needs() -> None:
    spec = bound(
        schedule="0 6 * * *",
        timezone="Europe/Berlin",
        default_args={"args": [date(2026, 1, 1)]},
        start_date="2026-01-01",
        active=False,
        title="Every night",
        concurrency=1,
        priority=3,
        sla=60,
        on_failure="report",
    ).spec
    assert (spec.queue, spec.name, spec.kind, spec.title) == ("q", "nightly", "workflow", "Every night")
    assert spec.doc.startswith("Sums up.")
    assert [(p.name, p.required) for p in spec.signature.parameters] == [("day", True), ("days", False)]
    assert spec.signature.parameters[0].description == "the last of them."
    assert spec.signature.returns == {"type": "integer"}
    assert spec.options == Options(concurrency=1, priority=3, sla=60.0, on_failure="report")
    start = 1767222000.0  # midnight in Berlin
    assert spec.schedule == Rule("0 6 * * *", "Europe/Berlin", start_at=start, active=False)
    assert spec.default_args == DefaultArgs('["2026-01-01"]')
    assert spec.graph is not None
    assert [node.name for node in spec.graph.nodes] == ["fetch", "total"]


def test_another_graph_is_another_lane() -> None:
    def other(day: date, days: int = 1) -> Any:
        return fetch_(day)

    first, second, again = bound().spec, bound(other, name="nightly").spec, bound().spec
    assert first.signature.hash == second.signature.hash
    assert first.lane != second.lane
    assert first.lane == again.lane


async def test_calling_it_makes_a_run_and_awaits_its_result() -> None:
    desk = Desk()
    flow = bind_workflow(nightly, caller=desk, queue="q")
    assert await flow(date(2026, 1, 1), days=2) == [date(2026, 1, 1), {"days": 2}]
    handle = await flow.options(key="k", delay=5).enqueue(date(2026, 1, 1))
    assert isinstance(handle, JobHandle)
    assert [(call.task, call.key, call.delay) for call in desk.calls] == [("nightly", None, None), ("nightly", "k", 5)]
    with pytest.raises(ArgumentsRefused, match="missing argument"):
        await flow()
    with pytest.raises(ConfigurationError, match="<BoundWorkflow q:nightly> is bound to no worker"):
        await bound()(1)


async def no_function(day: date) -> None: ...


def many(*days: date) -> None: ...


def never(day: Any = object) -> None: ...


@pytest.mark.parametrize(
    ("declare", "why"),
    [
        (lambda: bound(no_function), r"workflow 'no_function' at .*\.py:\d+: the function of a workflow is a plain"),
        (lambda: bound(many), r"the parameters of a workflow have names: \*days cannot be"),
        (lambda: bound(never), "the default of day is not JSON"),
        (lambda: bound(fetch_), "a workflow is a function that calls tasks, not <BoundTask q:fetch>"),
        (lambda: bound(task(fetch)), "a workflow is a function that calls tasks, not <Task fetch>"),
        (lambda: bound(7), "a workflow: it needs a name"),
        (lambda: bound(7, name="x"), "workflow 'x': a workflow is a function that calls tasks, not 7"),
        (lambda: bound(chain(fetch_)), "a workflow: it needs a name"),
        (lambda: bound(name="a b"), "'a b' cannot name a workflow"),
        (lambda: bind_workflow(nightly, caller=None, queue="a:b"), "'a:b' cannot name a queue"),
        (lambda: bound(retries=3), r"unknown option 'retries'; there are: "),
        (lambda: bound(concurency=3), "unknown option 'concurency'; did you mean 'concurrency'?"),
        (lambda: bound(concurrency=0), "concurrency must be 1 or more, not 0"),
        (lambda: bound(title=3), "title must be text, not 3"),
        (lambda: bound(schedule="0 6 * * *"), "default_args must be what it can be called with"),
        (lambda: bound(schedule="0 6 * * *", default_args={"args": [1]}, active="no"), "active must be True or False"),
        (lambda: bound(active=False), "active says nothing without schedule="),
        (lambda: workflow(no_function), "the function of a workflow is a plain"),
        (lambda: workflow(retries=3)(nightly), "unknown option 'retries'"),
        (lambda: worker().workflow("x", nightly), r"workflow\('x', …\) is made of chain\(...\), group\(...\) or map"),
    ],
)
def test_what_cannot_be_a_workflow_is_refused_when_it_is_declared(declare: Any, why: str) -> None:
    with pytest.raises(RegistrationError, match=why):
        declare()


def test_a_worker_has_them_beside_its_tasks_in_each_of_its_queues() -> None:
    own = worker()
    fetch_here: Any = own.task(fetch)

    @own.workflow
    def flow(day: date) -> Any:
        return fetch_here(day)

    assert flow.queue == "q"
    shaped = own.workflow("shaped", chain(fetch_here), namespace="s", title="In a row")
    assert (shaped.queue, shaped.spec.title) == ("s", "In a row")
    named = own.workflow(name="named", namespace=["s", "t"])(flow)
    assert (named.queue, named.name) == ("s", "named")
    assert [(spec.queue, spec.name, spec.kind) for spec in own.specs()] == [
        ("q", "fetch", "thread"),
        ("r", "fetch", "thread"),
        ("q", "flow", "workflow"),
        ("r", "flow", "workflow"),
        ("s", "shaped", "workflow"),
        ("s", "named", "workflow"),
        ("t", "named", "workflow"),
    ]


def test_a_manager_has_them_too() -> None:
    manager = EasyJobsManager(SECRET, store="memory:")
    first: Any = manager.task(fetch)
    flow = manager.workflow(name="flow")(nightly)
    assert (flow.queue, flow.name) == ("DEFAULT", "flow")
    assert manager.workflow("shaped", chain(first), namespace="etl").queue == "etl"


SOURCE = """
from easyjobs import task, workflow, chain

@task
def first(x: int): return x

@task(queue="other")
def second(x: int): return x

@workflow(schedule="* * * * *", default_args={"args": [1]}, title="Both")
def both(x: int):
    return second(first(x))

@workflow(queue="far", name="again")
def once_more(x: int):
    return both(first(x))
"""


def load(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    exec(compile(SOURCE, f"/app/{name}.py", "exec"), vars(module))
    return module


def test_a_worker_takes_the_plain_ones_of_a_module() -> None:
    own = EasyJobsWorker("q", manager_secret=SECRET, manager_url="ws://localhost:1")
    module = load("app")
    included = own.include(module)
    assert [repr(one) for one in included] == [
        "<BoundTask q:first>",
        "<BoundTask other:second>",
        "<BoundWorkflow q:both>",
        "<BoundWorkflow far:again>",
    ]
    both, again = (one for one in included if isinstance(one, BoundWorkflow))
    assert [node.task for node in both.graph.nodes] == ["first", "other:second"]
    assert both.spec.title == "Both"
    assert both.spec.schedule == Rule("* * * * *")
    # those that name no queue are the workflow's own
    assert [node.task for node in again.graph.nodes] == ["first", "both"]
    assert len(own.include(load("app"))) == 4, "a module that is loaded anew takes the place of the first"


def test_by_type_key_each_module_is_a_queue() -> None:
    registry = Registry()
    included = registry.include(load("app"), caller=None, queue=None)
    both, again = (one for one in included if isinstance(one, BoundWorkflow))
    assert (both.queue, again.queue) == ("app", "far")
    assert [node.task for node in both.graph.nodes] == ["first", "other:second"]
    assert [node.task for node in again.graph.nodes] == ["app:first", "app:both"]


def test_a_plain_one_runs_nowhere_by_itself() -> None:
    plain = workflow(nightly)
    assert isinstance(plain, Workflow)
    assert (plain.name, plain.queue, plain.__doc__) == ("nightly", None, nightly.__doc__)
    assert repr(plain) == "<Workflow nightly>"
    with pytest.raises(ConfigurationError, match="<Workflow nightly> is called in the function of a workflow"):
        plain(date(2026, 1, 1))
    names = plain.names()
    assert names is not None
    assert [p.name for p in names.parameters] == ["day", "days"]


def test_two_of_one_name_are_refused_with_both_places() -> None:
    registry = Registry()
    registry.add(bound())
    registry.add(bound())
    with pytest.raises(RegistrationError, match=r"two tasks 'nightly': workflow .*\.py:\d+ and task .*\.py:\d+"):
        registry.add(bind(fetch, caller=None, queue="q", name="nightly"))
    registry.add(bound(chain(fetch_, total_), name="shaped"))
    registry.add(bound(chain(fetch_, total_), name="shaped"))
    with pytest.raises(RegistrationError, match="two tasks 'shaped'"):
        registry.add(bound(chain(fetch_), name="shaped"))


def test_nobody_can_execute_one() -> None:
    registry = Registry()
    registry.add(bound())
    assert registry.get("q", "nightly") is None
    assert registry.tasks() == []
    assert len(registry.specs()) == 1


def test_chains_may_begin_and_end_with_one() -> None:
    registry = Registry()
    registry.add(bound(run_after="report"))
    with pytest.raises(RegistrationError, match=r"workflow 'again' at .*a chain of tasks may not come back"):
        registry.add(bound(name="again", run_after="again"))


def test_a_workflow_that_contains_itself_is_refused_with_the_path() -> None:
    registry = Registry()
    registry.add(bound(chain(task_named("second")), name="first"))
    with pytest.raises(
        RegistrationError, match=r"workflow 'second'.*a workflow may not contain itself: second → first"
    ):
        registry.add(bound(chain(task_named("first")), name="second"))
    with pytest.raises(RegistrationError, match=r"may not contain itself: alone → alone"):
        registry.add(bound(chain(task_named("alone")), name="alone"))


async def test_tasks_may_still_be_endpoints_of_an_application() -> None:
    def doubled(number: int):  # type: ignore[no-untyped-def]
        return number * 2

    app = FastAPI()
    app.get("/bound")(bind(doubled, caller=Desk(), queue="q"))
    app.get("/plain")(task(doubled))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:
        assert (await http.get("/bound?number=4")).json() == [{"number": 4}]
        assert (await http.get("/plain?number=4")).json() == 8
