"""Tasks and workflows of Taskflow as they are declared: what they take, what they become, what is refused."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from typing import Any

import pytest

from easyjobs import BashTask, Task, TaskInstance, Workflow
from easyjobs.core.task import TaskSpec
from easyjobs.errors import RegistrationError
from easyjobs.faces.tasks import PRIORITIES, merged, priority_of

TASK = {
    "name": None,
    "workflow": None,
    "active": False,
    "title": None,
    "description": None,
    "concurrency": 1,
    "sla": None,
    "schedule": None,
    "default_priority": "normal",
    "start_date": None,
    "end_date": None,
    "retries": 0,
    "timeout": 300,
    "retry_delay": 300,
    "params": {},
    "push_destination": None,
}
WORKFLOW = {
    "name": None,
    "active": False,
    "title": None,
    "description": None,
    "concurrency": 1,
    "sla": None,
    "schedule": None,
    "default_priority": "normal",
    "start_date": None,
    "end_date": None,
}


class Greet(Task):
    def execute(self, task_instance: TaskInstance) -> Any:
        """Says hello."""
        return "hello"


class Later(Task):
    async def execute(self, task_instance: TaskInstance) -> Any:
        return None


def spec(**options: Any) -> TaskSpec:
    return Greet(**{"name": "greet", **options}).spec("q")


# -- as the first document has it


@pytest.mark.parametrize(("kind", "printed"), [(Task, TASK), (Workflow, WORKFLOW)])
def test_arguments_and_defaults_are_those_that_were_promised_in_that_order(kind: Any, printed: dict[str, Any]) -> None:
    taken = {
        name: ({} if name == "params" and parameter.default is None else parameter.default)
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    }
    assert list(taken.items()) == list(printed.items())


def test_all_of_them_may_be_written_out() -> None:
    task = Task(**{**TASK, "name": "foo"})
    assert (task.params, task.workflow, repr(task)) == ({}, None, "<Task foo>")
    flow = Workflow(**{**WORKFLOW, "name": "bar"})
    assert (flow.tasks, repr(flow)) == ([], "<Workflow bar>")


def test_what_is_not_said_has_the_defaults() -> None:
    options = spec().options
    assert (options.retries, options.retry_delay, options.timeout) == (0, 300.0, 300.0)
    assert (options.priority, options.concurrency, options.sla) == (0, 1, None)
    assert options.backoff == 1.0, "each time as long"


# -- what they become


def test_a_task_becomes_what_managers_know() -> None:
    made = spec(
        title="Greets",
        concurrency=None,
        sla=60,
        default_priority="high",
        retries=3,
        retry_delay=5,
        timeout=None,
        push_destination="aws_batch",
    )
    assert (made.queue, made.name, made.title, made.kind) == ("q", "greet", "Greets", "thread")
    assert (made.doc, made.destination, made.schedule) == ("Says hello.", "aws_batch", None)
    options = made.options
    assert (options.concurrency, options.sla, options.priority) == (None, 60.0, PRIORITIES["high"])
    assert (options.retries, options.retry_delay, options.timeout) == (3, 5.0, None)
    assert Later(name="later", description="In a while.").spec("q").doc == "In a while."
    assert Later(name="later").spec("q").kind == "async"
    shell = BashTask("true", name="shell").spec("q")
    assert (shell.kind, shell.doc) == ("script", ""), "our own docstrings are not theirs"


def test_a_class_may_say_in_its_docstring_what_its_tasks_do() -> None:
    class Told(Task):
        """Tells.

        Twice.
        """

    assert Told(name="told").spec("q").doc == "Tells.\n\nTwice."
    assert Told(name="told", description="Other.").spec("q").doc == "Other."
    assert Task(name="t").spec("q").doc == ""


def test_a_schedule_has_its_dates_and_runs_only_where_it_is_active() -> None:
    start, end = datetime(2030, 1, 1, tzinfo=UTC), "2031-01-01T00:00:00Z"
    rule = spec(schedule="0 6 * * *", timezone="Europe/Berlin", start_date=start, end_date=end).schedule
    assert rule is not None
    assert (rule.cron, rule.timezone, rule.active) == ("0 6 * * *", "Europe/Berlin", False)
    assert (rule.start_at, rule.end_at) == (start.timestamp(), datetime(2031, 1, 1, tzinfo=UTC).timestamp())
    active = spec(schedule="@daily", active=True).schedule
    assert active is not None
    assert active.active
    flow = Workflow(name="flow", schedule="@daily", active=True)
    Greet(name="greet", workflow=flow)
    rule = flow.spec("q").schedule
    assert rule is not None
    assert rule.active


def test_a_workflow_becomes_a_graph() -> None:
    flow = Workflow(name="flow", title="Flows", description="Down.", concurrency=4, sla=9, default_priority=7)
    last = Greet(name="last", workflow=flow, title="The last")
    first, second = Greet(name="first", workflow=flow), Greet(name="second", workflow=flow)
    assert last.depends_on(first).depends_on([second], first) is last
    made = flow.spec("q")
    assert (made.kind, made.title, made.doc) == ("workflow", "Flows", "Down.")
    assert (made.options.concurrency, made.options.sla, made.options.priority) == (4, 9.0, 7)
    assert made.graph is not None
    assert [(node.name, node.task, node.after) for node in made.graph.nodes] == [
        ("first", "flow.first", ()),
        ("second", "flow.second", ()),
        ("last", "flow.last", ("first", "second")),
    ]
    assert made.graph.nodes[2].title == "The last"


def test_a_run_takes_parameters_for_all_tasks_and_for_single_ones_by_name() -> None:
    flow = Workflow(name="flow")
    Greet(name="greet", workflow=flow)
    signature = flow.spec("q").signature
    params, tasks = signature.parameters
    assert (params.name, params.required, tasks.name, tasks.required) == ("params", False, "tasks", False)
    assert params.schema == {"type": "object"}
    assert tasks.schema["properties"] == {"greet": {"type": "object"}}
    assert tasks.schema["additionalProperties"] is False


def test_own_parameters_are_beneath_those_of_the_run_and_these_beneath_those_of_the_execution() -> None:
    task = Task(name="t", params={"a": 1, "b": 1, "c": 1, "deep": [1]})
    found = merged(task, {"b": 2, "c": 2}, {"c": 3, "d": 3})
    assert found == {"a": 1, "b": 2, "c": 3, "d": 3, "deep": [1]}
    found["deep"].append(2)
    assert task.params["deep"] == [1], "what one execution changes the next does not see"


@pytest.mark.parametrize(
    ("priority", "number"), [("critical", 20), ("high", 10), ("normal", 0), ("low", -10), (3, 3), (-99, -99)]
)
def test_priorities_have_names_or_are_numbers(priority: Any, number: int) -> None:
    assert priority_of(priority) == number
    assert Task(name="t", default_priority=priority).priority == number


# -- what is refused


@pytest.mark.parametrize("priority", ["urgent", "", None, True, 1.5, "5"])
def test_other_priorities_are_refused_with_a_list(priority: Any) -> None:
    with pytest.raises(RegistrationError, match=r"task 't'.*critical, high, normal, low, or a whole number"):
        Task(name="t", default_priority=priority)


@pytest.mark.parametrize("name", [None, "", "a b", "ä", "x" * 129, 7])
def test_a_name_is_needed(name: Any) -> None:
    with pytest.raises(RegistrationError, match="a task needs a name="):
        Task(name=name)
    with pytest.raises(RegistrationError, match="a workflow needs a name="):
        Workflow(name=name)


def test_dependencies_are_within_one_workflow() -> None:
    one, two = Workflow(name="one"), Workflow(name="two")
    inside = Greet(name="inside", workflow=one)
    for stranger in (Greet(name="stranger", workflow=two), Greet(name="alone")):
        with pytest.raises(RegistrationError, match="both must be part of one workflow"):
            inside.depends_on(stranger)
        with pytest.raises(RegistrationError, match="both must be part of one workflow"):
            stranger.depends_on(inside)
    nothing: Any
    for nothing in ("inside", None, [None], 5):
        with pytest.raises(RegistrationError, match="task 'inside' can depend on tasks, not on"):
            inside.depends_on(nothing)
    with pytest.raises(RegistrationError, match="workflow must be a Workflow, not 'one'"):
        Greet(name="lost", workflow="one")  # type: ignore[arg-type]


def test_two_tasks_of_a_workflow_have_two_names() -> None:
    flow = Workflow(name="flow")
    Greet(name="greet", workflow=flow)
    with pytest.raises(RegistrationError, match="workflow 'flow' has two tasks 'greet'"):
        Later(name="greet", workflow=flow)


def test_circles_are_refused_with_their_path_and_so_is_nothing() -> None:
    flow = Workflow(name="flow")
    with pytest.raises(RegistrationError, match="workflow 'flow'"):
        flow.spec("q")
    a, b, c = (Greet(name=name, workflow=flow) for name in "abc")
    b.depends_on(a)
    c.depends_on(b)
    a.depends_on(c)
    with pytest.raises(RegistrationError, match=r"workflow 'flow'.*(a → c → b → a)"):
        flow.spec("q")
    alone = Workflow(name="alone")
    me = Greet(name="me", workflow=alone)
    me.depends_on(me)
    with pytest.raises(RegistrationError, match="me → me"):
        alone.spec("q")


def test_a_schedule_is_the_workflows_business_where_there_is_one() -> None:
    with pytest.raises(RegistrationError, match="give the schedule to the workflow"):
        Greet(name="greet", workflow=Workflow(name="flow"), schedule="@daily")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"schedule": "every day"}, "task 'greet'"),
        ({"schedule": "@daily", "timezone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"schedule": "@daily", "start_date": "soon"}, "soon"),
        ({"retries": -1}, "retries"),
        ({"concurrency": 0}, "concurrency"),
        ({"timeout": 0}, "timeout"),
        ({"sla": -5}, "sla"),
        ({"retry_delay": "soon"}, "retry_delay"),
        ({"params": {"day": datetime(2030, 1, 1)}}, "task 'greet': params must be an object of JSON"),  # noqa: DTZ001
        ({"params": {"n": float("nan")}}, "params must be"),
        ({"params": 5}, "params must be"),
    ],
)
def test_what_cannot_be_is_refused_by_name(options: dict[str, Any], why: str) -> None:
    with pytest.raises(RegistrationError, match=why):
        spec(**options)


def test_a_command_of_the_shell_needs_a_command() -> None:
    with pytest.raises(RegistrationError, match="needs a command="):
        BashTask(name="shell")

    class Own(BashTask):
        def get_command(self, task_instance: TaskInstance) -> str:
            return "true"

    assert Own(name="shell").command is None
    command: Any
    for command in (["ls", "-l"], "ls\0", 5):
        with pytest.raises(RegistrationError, match="task 'shell': a command is a text for bash"):
            BashTask(command, name="shell")
    number: Any = 1
    with pytest.raises(RegistrationError, match="task 'shell': what a Command holds is text"):
        BashTask("ls", name="shell", env={"LINES": number})


def test_a_task_that_does_nothing_says_so_when_it_runs() -> None:
    instance: Any = None
    with pytest.raises(NotImplementedError, match="Task does not say what to do: override execute"):
        Task(name="t").execute(instance)
    assert Task(name="t").on_kill(instance) is None  # type: ignore[func-returns-value]
