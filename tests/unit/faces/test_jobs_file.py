"""A file of jobs is read as it is written, and everything that is wrong in it is said with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from easyjobs.errors import ConfigurationError
from easyjobs.faces.jobs_file import At, plan_of, read_plan


def test_a_step_is_a_script_or_several() -> None:
    plan = plan_of([{"name": "Bonds", "steps": ["grab.py", ["a.R", "b.sh"], "end.py"]}, {"name": "x", "steps": ["y"]}])
    assert [path for _, path in plan.scripts()] == ["grab.py", "a.R", "b.sh", "end.py", "y"]
    assert plan.step_before(At(0, 0, 0)) == plan.step_after(At(0, 2, 0)) == plan.step_after(At(1, 0, 0)) == []
    assert [plan.path(at) for at in plan.step_before(At(0, 2, 0))] == ["a.R", "b.sh"]
    assert [plan.path(at) for at in plan.step_after(At(0, 0, 0))] == ["a.R", "b.sh"]


def test_what_is_said_of_a_job_is_kept_whole() -> None:
    job = {"name": "Bonds", "steps": ["a.py"], "priority": 3, "frequency": 7, "subfolder": "Rental", "own": {"x": [1]}}
    (found,) = plan_of([job]).jobs
    assert (found.name, found.priority, found.frequency, found.data) == ("Bonds", 3, 7, job)


def test_without_them_priority_and_frequency_are_0_and_1() -> None:
    (job,) = plan_of([{"name": "x", "steps": ["a.py"]}]).jobs
    assert (job.priority, job.frequency) == (0, 1)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"name": "x"}, "a list of jobs is wanted"),
        ([], "a list of jobs is wanted"),
        (["a.py"], "[0]: a job is an object"),
        ([{"steps": ["a"]}], "[0].name: a job needs a name, not nothing"),
        ([{"name": " ", "steps": ["a"]}], "[0].name"),
        ([{"name": "x"}], "[0].steps: a job needs a list of steps"),
        ([{"name": "x", "steps": []}], "[0].steps"),
        ([{"name": "x", "steps": ["a", []]}], "[0].steps[1]: a step is the path"),
        ([{"name": "x", "steps": [3]}], "[0].steps[0]: a step is the path of a script, or a list of such, not 3"),
        ([{"name": "x", "steps": [["a", 3]]}], "[0].steps[0][1]: the path of a script is wanted, not 3"),
        ([{"name": "x", "steps": [""]}], "[0].steps[0]: the path of a script"),
        ([{"name": "x", "steps": ["a"], "priority": "high"}], "[0].priority: a whole number"),
        ([{"name": "x", "steps": ["a"], "priority": True}], "[0].priority"),
        ([{"name": "x", "steps": ["a"], "frequency": 0}], "[0].frequency: a whole number from 1"),
        ([{"name": "x", "steps": ["a"] * 10_001}], "at most 10000 scripts, not 10001"),
    ],
)
def test_what_has_not_the_shape_is_refused_with_its_place(value: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        plan_of(value)
    assert said in str(refused.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"\[0\]\.name.*\n.*\[0\]\.steps.*\n.*\[1\]\.frequency"):
        plan_of([{}, {"name": "x", "steps": ["a"], "frequency": 1.5}])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"name": "x",\n  "steps" ["a"]}]', "line 2, column 11"),
        ('[{"name": "x", "name": "y", "steps": ["a"]}]', "one object has 'name' twice"),
        ('[{"name": "x", "steps": ["a"], "limit": NaN}]', "NaN is no JSON"),
        ("[" * 200_000, "nested too deep"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "jobs.json"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        read_plan(file)
    assert str(refused.value).startswith(str(file))
    assert said in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_plan(tmp_path / "jobs.json")
    (tmp_path / "jobs.json").write_bytes(b'[{"name": "\xff"}]')
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read_plan(tmp_path / "jobs.json")


def test_a_file_as_windows_writes_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "jobs.json").write_bytes(b"\xef\xbb\xbf" + json.dumps([{"name": "x", "steps": ["a"]}]).encode())
    assert read_plan(tmp_path / "jobs.json").jobs[0].name == "x"
