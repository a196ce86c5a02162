"""Events are found where they are named, and get the task as it was promised."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from easyjobs.errors import ConfigurationError
from easyjobs.faces.jobs_file import At, plan_of
from easyjobs.faces.script_events import Events, ScriptTask, find_events, settled, task_at, words_of

PLAN = plan_of([{"name": "Bonds", "steps": ["grab.py", ["a.R", "b.sh"]], "subfolder": "Rental"}])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_a_task_knows_its_job_and_its_neighbours() -> None:
    task = task_at(PLAN, At(0, 1, 0), None, {At(0, 0, 0): {"args": ["1"], "output_url": "file:///x"}})
    assert task["job"]["subfolder"] == "Rental"
    assert (task["args"], task["children"], task.script, task.step) == ([], [], "a.R", 1)
    (parent,) = task["parents"]
    assert (parent["output_url"], parent["args"], parent.script) == ("file:///x", ["1"], "grab.py")
    first = task_at(PLAN, At(0, 0, 0), None, {})
    assert [child.script for child in first["children"]] == ["a.R", "b.sh"]
    assert first["children"][0]["parents"] == [first]


def test_a_result_hides_nothing_that_a_task_knows() -> None:
    task = task_at(PLAN, At(0, 0, 0), {"args": ["1"], "mine": 2}, {})
    result = {"status": "success", "args": "x", "job": "x", "parents": "x", "children": "x", "output_url": "u"}
    task.take(result)
    assert task["args"] == ["1"]
    assert task["job"]["name"] == "Bonds"
    assert task["parents"] == []
    assert len(task["children"]) == 2
    assert task.result == result
    assert task.kept() == {"args": ["1"], "mine": 2, "status": "success", "output_url": "u"}


def test_a_key_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(KeyError, match=r"output_url \(of grab\.py: there is args, job, parents, children\)"):
        task_at(PLAN, At(0, 0, 0), None, {})["output_url"]


def test_arguments_are_text_paths_numbers_and_booleans() -> None:
    task = ScriptTask("a.py", 0, {}, None)
    task["args"] = ("a", Path("b"), 1, 2.5, True)
    assert words_of(task) == ["a", "b", 1, 2.5, True]
    task["args"] = "abc"
    with pytest.raises(TypeError, match="must be a list, not str"):
        words_of(task)
    task["args"] = ["a", None]
    with pytest.raises(TypeError, match=r'\["args"\]\[1\] must be text'):
        words_of(task)


def test_any_of_the_events_will_do_plain_or_not() -> None:
    told: list[str] = []

    class Some:
        def on_task_ready(self, t: ScriptTask) -> None:
            told.append(f"ready {t.script}")

        async def on_task_fail(self, t: ScriptTask) -> None:
            await asyncio.sleep(0)
            told.append(f"fail {t.script}")

    async def tell() -> None:
        events = Events(Some(), "some")
        for event in ("on_task_ready", "on_task_complete", "on_task_fail"):
            await events.tell(event, ScriptTask("a.py", 0, {}, None))

    asyncio.run(tell())
    assert told == ["ready a.py", "fail a.py"]


def test_plain_events_are_told_one_at_a_time() -> None:
    at_once: list[int] = [0]
    most: list[int] = []

    def on_task_ready(t: ScriptTask) -> None:
        at_once[0] += 1
        most.append(at_once[0])
        for _ in range(10_000):
            pass
        at_once[0] -= 1

    async def tell() -> None:
        events = Events(type("Some", (), {"on_task_ready": staticmethod(on_task_ready)}), "some")
        await asyncio.gather(*(events.tell("on_task_ready", ScriptTask("a", 0, {}, None)) for _ in range(20)))

    asyncio.run(tell())
    assert most == [1] * 20


CLASS = """
class Events:
    def on_task_ready(self, t):
        t["args"] = ["told"]
class Other:
    pass
"""
FUNCTION = "from __future__ import annotations\n\ndef on_task_complete(t):\n    pass\n"


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (CLASS, "told.py"),
        (CLASS, "told.py:Events"),
        (CLASS + "events = Events()\n", "told.py:events"),
        (FUNCTION, "told.py"),
        (CLASS, "told_too"),
        (CLASS, "told_too:Events"),
    ],
)
def test_events_are_found_in_a_file_or_module(folder: Path, source: str, target: str) -> None:
    for name in ("told.py", "told_too.py"):
        (folder / name).write_text(source)
    try:
        find_events(target)
    finally:
        sys.modules.pop("told_too", None)


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        (CLASS, "gone.py", "no file"),
        (CLASS, "gone_module", "no module 'gone_module'"),
        (CLASS, "not a module", "no module's name"),
        (CLASS, "told.py:Nobody", "has no 'Nobody'"),
        (CLASS, "told.py:Other", "has no on_task_ready"),
        ("x = 1\n", "told.py", "it has no on_task_ready"),
        (CLASS + CLASS.replace("Events", "More"), "told.py", "name one: told.py:Events, told.py:More"),
        (CLASS.replace("    def", "    def __init__(self, x): ...\n    def"), "told.py", "name an object of it"),
        (
            FUNCTION + "def on_task_failed(t): ...\n",
            "told.py",
            "on_task_failed, which nothing would call: is on_task_fail",
        ),
    ],
)
def test_what_holds_no_events_is_refused(folder: Path, source: str, target: str, said: str) -> None:
    (folder / "told.py").write_text(source)
    with pytest.raises(ConfigurationError) as refused:
        find_events(target)
    assert said in str(refused.value)


def test_an_error_in_the_file_is_raised_as_it_is(folder: Path) -> None:
    (folder / "told.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        find_events("told.py")


def test_a_file_is_the_same_from_elsewhere_and_a_module_is_as_it_is(folder: Path) -> None:
    found: list[Any] = [settled("events.py"), settled("events.py:Class"), settled("package.module:Class")]
    assert found == [f"{folder}/events.py", f"{folder}/events.py:Class", "package.module:Class"]
