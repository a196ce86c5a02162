"""Putting an application of Taskflow together: what it has, what its workers offer, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from easyjobs import BashTask, Task, Taskflow, TaskInstance, Workflow
from easyjobs.errors import ConfigurationError, NotFound, RegistrationError
from easyjobs.faces.instances import Parents


class Empty(Task):
    def execute(self, task_instance: TaskInstance) -> Any:
        return None


def flow(name: str, *tasks: str) -> Workflow:
    made = Workflow(name=name)
    for task in tasks:
        Empty(name=task, workflow=made)
    return made


def test_it_has_what_was_added_under_names_of_their_own() -> None:
    taskflow = Taskflow()
    taskflow.add_workflows([flow("one", "a", "b"), flow("two", "a")])
    taskflow.add_tasks([Empty(name="a"), BashTask("true", name="b")])
    assert sorted(taskflow.all_tasks()) == ["a", "b", "one.a", "one.b", "two.a"]
    assert sorted(taskflow.workflows) == ["one", "two"]
    specs = {spec.name: spec.kind for spec in taskflow.specs()}
    assert specs == {
        "a": "thread",
        "b": "script",
        "one.a": "thread",
        "one.b": "thread",
        "two.a": "thread",
        "one": "workflow",
        "two": "workflow",
    }
    assert {spec.queue for spec in taskflow.specs()} == {"taskflow"}
    assert {spec.queue for spec in Taskflow(queue="mine").specs()} == set()


def test_adding_the_same_again_changes_nothing() -> None:
    taskflow, one, alone = Taskflow(), flow("one", "a"), Empty(name="alone")
    for _ in range(2):
        taskflow.add_workflows([one])
        taskflow.add_tasks([alone])
    assert sorted(taskflow.all_tasks()) == ["alone", "one.a"]


def test_its_workers_offer_all_of_it_and_one_of_them_one_task_alone() -> None:
    taskflow = Taskflow()
    taskflow.add_workflows([flow("one", "a", "b")])
    taskflow.add_tasks([Empty(name="alone")])
    settings = {"manager_secret": "a secret of the tests, long enough"}
    worker = taskflow.worker(**settings)
    assert sorted(spec.name for spec in worker.specs()) == ["alone", "one", "one.a", "one.b"]
    assert [spec.name for spec in taskflow.only("one.b", **settings).specs()] == ["one.b"]
    with pytest.raises(NotFound, match=r"No task 'b'; there are: alone, one\.a, one\.b\."):
        taskflow.only("b", **settings)


def test_two_of_one_name_are_refused() -> None:
    taskflow = Taskflow()
    taskflow.add_workflows([flow("one", "a")])
    taskflow.add_tasks([Empty(name="alone")])
    with pytest.raises(RegistrationError, match="there are two workflows 'one'"):
        taskflow.add_workflows([flow("one", "a")])
    with pytest.raises(RegistrationError, match="there are two tasks 'alone'"):
        taskflow.add_tasks([Empty(name="alone")])
    with pytest.raises(RegistrationError, match="'alone' names <Empty alone> already"):
        taskflow.add_workflows([flow("alone", "a")])
    for taken in ("one", "one.a"):
        with pytest.raises(RegistrationError, match=f"'{taken}' names"):
            taskflow.add_tasks([Empty(name=taken)])
    taskflow.add_tasks([Empty(name="two.a")])
    with pytest.raises(RegistrationError, match=r"'two\.a' names <Empty two\.a> already"):
        taskflow.add_workflows([flow("two", "a")])
    assert sorted(taskflow.workflows) == ["one"]


def test_what_cannot_be_is_refused_when_it_is_added() -> None:
    taskflow = Taskflow()
    with pytest.raises(RegistrationError, match="task 'a' is part of workflow 'one': add that, with add_workflows"):
        taskflow.add_tasks(flow("one", "a").tasks)
    with pytest.raises(RegistrationError, match="workflow 'none'"):
        taskflow.add_workflows([flow("none")])
    with pytest.raises(RegistrationError, match="retries must be 0 or more"):
        taskflow.add_tasks([Empty(name="t", retries=-1)])
    circle = flow("circle", "a", "b")
    a, b = circle.tasks
    a.depends_on(b.depends_on(a))
    with pytest.raises(RegistrationError, match="workflow 'circle': tasks may not depend on themselves"):
        taskflow.add_workflows([circle])
    wrong: Any
    for wrong in (Empty(name="t"), [None], [flow("one", "a")], "t"):
        with pytest.raises(RegistrationError, match="add_tasks takes a list of Tasks, not"):
            taskflow.add_tasks(wrong)
    for wrong in (flow("one", "a"), [Empty(name="t")], None):
        with pytest.raises(RegistrationError, match="add_workflows takes a list of Workflows, not"):
            taskflow.add_workflows(wrong)
    assert (taskflow.workflows, taskflow.tasks) == ({}, {})
    with pytest.raises(ConfigurationError, match="cannot name a queue"):
        Taskflow(queue="my queue")


def test_results_of_parents_are_fetched_when_they_are_asked_for_and_once() -> None:
    fetched: list[str] = []

    def fetch(id: str) -> str:
        fetched.append(id)
        return f"result of {id}"

    parents = Parents({"a": "1", "b": "2"}, fetch)
    assert (list(parents), len(parents), fetched) == (["a", "b"], 2, [])
    assert (parents["b"], parents["b"], fetched) == ("result of 2", "result of 2", ["2"])
    assert dict(parents) == {"a": "result of 1", "b": "result of 2"}
    with pytest.raises(KeyError):
        parents["c"]
