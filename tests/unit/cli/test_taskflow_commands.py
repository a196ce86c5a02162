"""The commands of an application of Taskflow, on a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from easyjobs import NoRetry, Task, Taskflow, TaskInstance, Workflow
from easyjobs.cli.commands import commands as easyjobs
from easyjobs.cli.taskflow import commands, find
from easyjobs.errors import ConfigurationError

MODULE = """
from easyjobs import Task, Taskflow, Workflow
flow = Workflow(name="flow", schedule="@daily", title="Flows")
Task(name="node", workflow=flow)
taskflow = Taskflow()
taskflow.add_workflows([flow])
taskflow.add_tasks([Task(name="alone"), Task(name="other")])
"""

SEED = {"api_server", "init_db", "migrate_db", "pull_worker", "queue_task", "queue_workflow", "run_task", "scheduler"}


class Echo(Task):
    def execute(self, task_instance: TaskInstance) -> Any:
        if "fail" in task_instance.params:
            raise NoRetry(task_instance.params["fail"])
        if "print" in task_instance.params:
            sys.stdout.write(task_instance.params["print"])
        return task_instance.params


@pytest.fixture
def taskflow(tmp_path: Path) -> Taskflow:
    made = Taskflow(f"sqlite:///{tmp_path}/jobs.db")
    flow = Workflow(name="flow", active=True, schedule="@daily", title="Flows")
    Echo(name="node", workflow=flow)
    made.add_workflows([flow])
    made.add_tasks([Echo(name="echo", title="Says it again"), Echo(name="once", retries=3, schedule="@weekly")])
    return made


def run(taskflow: Taskflow, *arguments: str) -> Result:
    """A command of the application's own program."""
    return CliRunner().invoke(commands, arguments, obj=taskflow, prog_name="main.py")


def said(result: Result) -> str:
    assert result.exit_code == 0, result.stderr
    return result.stdout.strip()


def job_of(taskflow: Taskflow, *arguments: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(said(run(taskflow, *arguments, "--json")))
    return shown


def test_the_commands_are_those_that_were_promised(taskflow: Taskflow) -> None:
    assert set(commands.commands) >= SEED
    said_of = said(run(taskflow, "--help"))
    assert "Usage: main.py [OPTIONS] COMMAND [ARGS]..." in said_of
    assert "..." not in said_of.partition("Commands:")[2], "no line of help is cut"
    for name in SEED:
        for written in (name, name.replace("_", "-")):
            assert said(run(taskflow, written, "--help")).startswith(f"Usage: main.py {written}")


def test_tables_are_made_and_brought_up_to_date_as_often_as_one_likes(taskflow: Taskflow) -> None:
    for _ in range(2):
        assert said(run(taskflow, "init_db")) == "the database has the tables, 1 workflows and 3 tasks"
        assert said(run(taskflow, "migrate-db")) == "the tables are up to date, 1 workflows and 3 tasks"


def test_what_there_is_as_a_table_and_as_json(taskflow: Taskflow) -> None:
    header, *rows = said(run(taskflow, "list")).splitlines()
    assert header.split() == ["NAME", "KIND", "SCHEDULE", "ACTIVE", "TITLE"]
    assert [row.split()[:4] for row in rows] == [
        ["flow", "workflow", "@daily", "yes"],
        ["echo", "task", "Says", "it"],
        ["flow.node", "task"],
        ["once", "task", "@weekly", "no"],
    ]
    assert json.loads(said(run(taskflow, "list", "--json")))[0] == {
        "name": "flow",
        "kind": "workflow",
        "schedule": "@daily",
        "active": "yes",
        "title": "Flows",
    }


def test_a_job_is_queued_with_what_is_said_of_it(taskflow: Taskflow) -> None:
    job = job_of(taskflow, "queue_task", "echo", "--params", '{"n": 1}', "--priority", "high", "--key", "k")
    assert (job["task"], job["state"], job["kwargs"]) == ("echo", "queued", {"params": {"n": 1}})
    assert said(run(taskflow, "queue-task", "echo", "--params", '{"n": 1}', "--key", "k")) == job["id"]
    later = job_of(taskflow, "queue_task", "flow.node", "--at", "2999-01-01T00:00:00Z", "--priority", "-5")
    assert (later["task"], later["state"]) == ("flow.node", "queued")
    past = job_of(taskflow, "queue_task", "echo", "--at", "1000000000")
    assert past["state"] == "queued"


def test_a_run_is_queued_with_parameters_for_all_and_for_single_tasks(taskflow: Taskflow) -> None:
    job = job_of(taskflow, "queue_workflow", "flow", "--params", '{"a": 1}', "--tasks", '{"node": {"b": 2}}')
    assert (job["task"], job["kwargs"]) == ("flow", {"params": {"a": 1}, "tasks": {"node": {"b": 2}}})
    unknown = run(taskflow, "queue_workflow", "flow", "--tasks", '{"nod": {}}')
    assert unknown.exit_code == 1
    assert "'nod' was unexpected" in unknown.stderr


def test_a_task_is_run_by_name_and_by_id_and_its_end_is_the_exit_code(taskflow: Taskflow) -> None:
    assert json.loads(said(run(taskflow, "run_task", "echo", "--params", '{"n": 1}'))) == {"n": 1}
    id = said(run(taskflow, "queue_task", "echo", "--params", '{"n": 2}'))
    shown = job_of(taskflow, "run-task", id)
    assert (shown["id"], shown["state"], shown["attempt"], shown["result"]) == (id, "completed", 1, {"n": 2})
    failed = run(taskflow, "run_task", "echo", "--params", '{"fail": "no such luck"}')
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "is failed: NoRetry: no such luck" in failed.stderr
    as_json = run(taskflow, "run_task", "echo", "--params", '{"fail": "no"}', "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)["error"]["message"]) == (1, "no")
    printed = run(taskflow, "run_task", "echo", "--params", '{"print": "a line"}', "--json")
    assert (json.loads(printed.stdout)["state"], "a line" in printed.stderr) == ("completed", True)
    again = run(taskflow, "run_task", id)
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr == f"Error: Job {id} has ended: it is completed.\n"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["queue_task", "nope"], "No task 'nope'; there are: echo, flow.node, once."),
        (["run_task", "nope"], "No task 'nope'; there are: echo, flow.node, once."),
        (["queue_workflow", "echo"], "No workflow 'echo'; there are: flow."),
        (["run_task", "01a1fc89-100e-7364-addd-13e540021a88"], "No job '01a1fc89-100e-7364-addd-13e540021a88'"),
    ],
)
def test_what_is_not_there_is_said_in_a_line_with_what_is(taskflow: Taskflow, arguments: list[str], why: str) -> None:
    result = run(taskflow, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: {why}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["queue_task", "run_task"])
@pytest.mark.parametrize("params", ['{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}'])
def test_what_is_no_json_is_refused_and_not_changed(taskflow: Taskflow, command: str, params: str) -> None:
    result = run(taskflow, command, "echo", "--params", params)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is no JSON object" in result.stderr


def test_what_is_refused_is_said_once(taskflow: Taskflow) -> None:
    result = run(taskflow, "queue_task", "echo", "--priority", "9999999")
    assert (result.exit_code, result.stderr) == (1, "Error: priority: must be within ±1000000\n")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["queue_task", "echo", "--params", "[1]"], "'[1]' is no JSON object"),
        (["queue_task", "echo", "--params", "{"], "'{' is no JSON object"),
        (
            ["queue_task", "echo", "--priority", "urgent"],
            "is no priority: critical, high, normal, low, or a whole number",
        ),
        (["queue_task", "echo", "--at", "soon"], "--at"),
        (["queue_task", "echo", "--at", "none"], "give a time, or leave it out"),
        (["queue_task"], "Missing argument 'NAME'"),
        (["fly"], "No such command 'fly'"),
    ],
)
def test_what_is_called_wrongly_has_its_exit_code(taskflow: Taskflow, arguments: list[str], why: str) -> None:
    result = run(taskflow, *arguments)
    assert result.exit_code == 2
    assert why in result.stderr


def test_a_store_that_is_one_process_s_own_is_refused(taskflow: Taskflow) -> None:
    taskflow.store = "memory:"
    result = run(taskflow, "init_db")
    assert result.exit_code == 1
    assert "name a store that several can open: sqlite:///jobs.db" in result.stderr


# -- an application that is not its own program


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "an_application.py").write_text(MODULE)
    (tmp_path / "two_applications.py").write_text("from easyjobs import Taskflow\na, b = Taskflow(), Taskflow()\n")
    monkeypatch.setenv("EASYJOBS_STORE", f"sqlite:///{tmp_path}/jobs.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("an_application", "two_applications"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "an_application"


def test_it_is_found_by_its_name_or_as_the_only_one_of_its_module(module: str) -> None:
    assert find(module) is find(f"{module}:taskflow")
    for wrong, why in (
        (f"{module}:flow", "is no Taskflow but of type Workflow"),
        (f"{module}:nope", "has no 'nope'"),
        ("no_such_module", "there is no module"),
        ("two_applications", "has 2 Taskflow objects; write two_applications:NAME"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            find(wrong)


def test_its_commands_are_those_of_easyjobs_then(module: str) -> None:
    result = CliRunner().invoke(easyjobs, ["--taskflow", f"{module}:taskflow", "queue-workflow", "flow"])
    assert len(said(result)) == 36
    helped = CliRunner().invoke(easyjobs, ["--taskflow", module, "--help"])
    assert "queue_workflow" in said(helped)
    wrong = CliRunner().invoke(easyjobs, ["--taskflow", "no_such_module", "list"])
    assert (wrong.exit_code, "there is no module 'no_such_module'" in wrong.stderr) == (1, True)
    without = CliRunner().invoke(commands, ["list"])
    assert (without.exit_code, "which application? give --taskflow MODULE:OBJECT" in without.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["queue"], ["queue_task", "queue_workflow"]),
        (["queue_task", "o"], ["other"]),
        (["queue_task", ""], ["alone", "flow.node", "other"]),
        (["run_task", "fl"], ["flow.node"]),
        (["queue_workflow", ""], ["flow"]),
    ],
)
def test_a_shell_completes_commands_and_names(module: str, words: list[str], completed: list[str]) -> None:
    typed = ["easyjobs", "--taskflow", module, *words]
    env = {"_EASYJOBS_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(typed), "COMP_CWORD": str(len(typed) - 1)}
    output = CliRunner().invoke(easyjobs, [], env=env, prog_name="easyjobs").output
    assert sorted(line.partition(",")[2] for line in output.split()) == completed


def test_a_shell_completes_nothing_where_there_is_no_application() -> None:
    typed = ["easyjobs", "--taskflow", "no_such_module", "queue_task", "x"]
    env = {"_EASYJOBS_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(typed), "COMP_CWORD": "4"}
    result = CliRunner().invoke(easyjobs, [], env=env, prog_name="easyjobs")
    assert result.output.strip() == ""
