"""What a plan becomes: the nodes of a workflow, their names, their order, and what they take of each other."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from easyjobs.core.task import is_name
from easyjobs.core.workflow import levels
from easyjobs.errors import ConfigurationError
from easyjobs.faces.jobs_file import At, plan_of
from easyjobs.faces.script_events import Events
from easyjobs.faces.taskmaster import Order, failure, forget, host

PLAN = plan_of(
    [
        {"name": "Bonds", "steps": ["grab.py", ["a.R", "b.sh"], "end.py"], "priority": 2},
        {"name": "Bonds", "steps": ["grab.py"]},
    ]
)


def order(events: str | None = None, scripts: str = "") -> Order:
    return Order.fresh(PLAN, "jobs", "run-t0", "/scripts", events, scripts)


def test_steps_follow_each_other_and_jobs_do_not() -> None:
    graph = order().spec().graph
    assert graph is not None
    assert [[node.name for node in level] for level in levels(graph)] == [
        ["Bonds/grab.py", "Bonds/grab.py-2"],
        ["Bonds/a.R", "Bonds/b.sh"],
        ["Bonds/end.py"],
    ]
    by_name = {node.name: node for node in graph.nodes}
    assert by_name["Bonds/end.py"].after == ("Bonds/a.R", "Bonds/b.sh")


def test_a_script_may_be_there_ten_thousand_times() -> None:
    """Names are not looked for from the beginning again: 50 million tries would take longer than a test may."""
    plan = plan_of([{"name": "A", "steps": [["a.py"] * 5000, "a.py-2", ["a.py"] * 4999]}])
    names = list(Order.fresh(plan, "jobs", "run-t0", "/scripts", None).names().values())
    assert len(set(names)) == 10_000
    assert (names[:2], names[4999:5002]) == (["A/a.py", "A/a.py-2"], ["A/a.py-5000", "A/a.py-2-2", "A/a.py-5001"])


def test_a_lower_number_goes_first() -> None:
    graph = order().spec().graph
    assert graph is not None
    priorities = {node.name: node.priority for node in graph.nodes}
    assert (priorities["Bonds/grab.py"], priorities["Bonds/grab.py-2"]) == (-2, 0)


def test_with_events_each_script_stands_between_two_of_them() -> None:
    graph = order("events.py").spec().graph
    assert graph is not None
    by_name = {node.name: node for node in graph.nodes}
    assert by_name["Bonds/a.R"].prerequisites == ("Bonds/a.R:ready",)
    assert by_name["Bonds/a.R:ready"].prerequisites == ("Bonds/grab.py:complete",)
    assert by_name["Bonds/a.R:complete"].prerequisites == ("Bonds/grab.py:complete", "Bonds/a.R:ready", "Bonds/a.R")
    assert by_name["Bonds/end.py:ready"].prerequisites == ("Bonds/a.R:complete", "Bonds/b.sh:complete")
    assert {node.task for node in graph.nodes if ":" in node.name} == {
        "run-t0:on_task_ready",
        "run-t0:on_task_complete",
    }


def test_what_was_made_for_one_run_is_passing_and_what_has_a_schedule_is_not() -> None:
    assert order().spec().passing
    lasting = Order.fresh(PLAN, "jobs", "nightly", "/scripts", None, lasting=True)
    assert not lasting.spec().passing
    events = Events(SimpleNamespace(on_task_ready=print), "events.py")
    for made, passing in ((order("events.py"), True), (lasting, False)):
        found = {spec.name: spec.passing for spec in host([(made, None)], events).specs()}
        assert found == {"jobs": passing, "on_task_ready": True, "on_task_complete": True, "on_task_fail": True}
    worker = host([(lasting, None)], None)
    forget(worker, "nightly-as-it-was", "jobs", lasting)
    assert {spec.queue: spec.passing for spec in worker.specs()} == {"nightly": False, "nightly-as-it-was": True}


def test_the_workflow_is_the_same_after_it_went_through_the_store() -> None:
    before = order("events.py:Class", "DEFAULT")
    spec = before.spec()
    after = Order.of_run(spec.queue, spec.name, msgspec.json.decode(msgspec.json.encode(before.arguments())))
    assert after == before
    assert after.spec().lane == spec.lane


def test_a_run_of_something_else_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not one of a file of jobs"):
        Order.of_run("q", "nightly", {"day": "2026-01-31"})


def test_scripts_that_are_ours_alone_have_names_whatever_they_are_called() -> None:
    plan = plan_of([{"name": "x", "steps": ["my script.py", "a/b.py", "a.b.py", "é/" + "x" * 200, "a/b.py"]}])
    ours = Order.fresh(plan, "jobs", "run-t0", "/scripts", None)
    names = list(ours.tasks().values())
    assert len(set(names)) == len(names) == 4
    assert all(map(is_name, names))
    ours.spec()
    theirs = Order.fresh(plan, "jobs", "run-t0", "/scripts", None, "DEFAULT")
    assert (theirs.apart, ours.apart, theirs.tasks()["a/b.py"]) == (False, True, "a.b.py")


@pytest.mark.parametrize("name", ["", "on_task_fail", "my jobs", "…", "x" * 300])
def test_the_workflow_has_a_name_whatever_the_file_is_called(name: str) -> None:
    made = Order.fresh(PLAN, name, "run-t0", "/scripts", "events.py")
    assert is_name(made.name)
    assert made.name != "on_task_fail"


def test_a_failure_is_told_once_however_often_it_is_found() -> None:
    jobs = {"Bonds/grab.py:complete": "id1", "Bonds/a.R:ready": "id2"}
    call = failure(order("events.py"), At(0, 1, 0), "id3", jobs)
    assert call == failure(order("events.py"), At(0, 1, 0), "id3", jobs)
    assert call.key == "on_task_fail:id3"
    assert call.kwargs == {"at": At(0, 1, 0), "failed": "id3", "parents": {"0": "id1"}, "data": "id2", "result": None}
