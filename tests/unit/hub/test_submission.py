"""What a submission must pass before it may be stored."""

from __future__ import annotations

from typing import Any

import pytest
from house import raw, spec

from easyjobs.core.job import Job
from easyjobs.errors import ArgumentsRefused, NotFound, TooLarge, TooMany, Unprocessable
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.settings import HubSettings
from easyjobs.hub.submission import LATEST, Admission
from easyjobs.protocol.messages import Limits, Submission

NOW = 1_800_000_000.0
ID = "0198c0de-0000-7000-8000-000000000001"
TASK = spec(timeout=60.0, priority=3, retries=4)


def admission(*tasks: Any, **settings: Any) -> Admission:
    catalog = Catalog()
    for task in tasks or (TASK,):
        catalog.add(task, NOW)
    return Admission(catalog, HubSettings(**settings))


def admit(door: Admission | None = None, **fields: Any) -> Job:
    for name in ("args", "kwargs"):
        if name in fields:
            fields[name] = raw(fields[name])
    fields.setdefault("id", ID)
    return (door or admission()).admit(Submission(**{"queue": "q", "task": "add", **fields}), NOW)


def test_a_job_begins_with_its_task_s_options() -> None:
    job = admit(args=[1], kwargs={"s": "x"})
    assert (job.id, job.queue, job.task, job.signature) == (ID, *TASK.lane)
    assert (job.args, job.kwargs) == ("[1]", '{"s":"x"}')
    assert (job.state, job.priority, job.timeout, job.max_attempts) == ("queued", 3, 60.0, 5)
    assert (job.created_at, job.run_at, job.deadline, job.key, job.unique_key) == (NOW, NOW, None, None, None)


def test_the_caller_s_choices_win() -> None:
    job = admit(priority=-7, timeout=1.5, retries=0, delay=10.0, start_deadline=5.0, parent=ID)
    assert (job.priority, job.timeout, job.max_attempts, job.parent) == (-7, 1.5, 1, ID)
    assert (job.run_at, job.deadline) == (NOW + 10.0, NOW + 15.0)
    assert admit(run_at=NOW + 100.0).run_at == NOW + 100.0
    assert admit(run_at=5.0).run_at == NOW


def test_a_start_deadline_of_the_task_counts_from_its_time() -> None:
    job = admit(admission(spec(start_deadline=30.0)), delay=10.0)
    assert job.deadline == NOW + 40.0


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("id", ["", "x", ID.upper(), ID + "0", ID[:-1] + "g", f" {ID}", f"{ID}\n"]),
        ("priority", [1_000_001, -1_000_001, 10**30]),
        ("delay", [-0.1, float("nan"), float("inf"), LATEST]),
        ("run_at", [-1.0, LATEST + 1, float("nan")]),
        ("timeout", [0.0, -1.0, float("nan"), float("inf")]),
        ("start_deadline", [0.0, -1.0, float("nan")]),
        ("retries", [-1, 10**9]),
        ("key", ["", "k" * 256, "a\nb", "a\0b"]),
        ("parent", ["", "nobody"]),
    ],
)
def test_what_is_out_of_range_is_refused_with_its_place(field: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(Unprocessable) as refused:
            admit(**{field: value})
        assert refused.value.errors[0]["loc"] == [field], value


def test_either_a_delay_or_a_time() -> None:
    with pytest.raises(Unprocessable, match="either"):
        admit(delay=1.0, run_at=NOW)


def test_an_unknown_task_or_queue_is_not_found() -> None:
    with pytest.raises(NotFound, match="No task 'sub' in queue 'q'; it has: add"):
        admit(task="sub")
    with pytest.raises(NotFound, match="No queue 'p'; known queues: q"):
        admit(queue="p")


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ArgumentsRefused):
        admit(kwargs={"x": 1})
    with pytest.raises(TooLarge):
        admit(admission(limits=Limits(arguments=10)), kwargs={"s": "x" * 20})


def test_a_full_queue_takes_no_more() -> None:
    door = admission(queue_depth=2)
    door.depth["q"] = 1
    admit(door)
    door.depth["q"] = 2
    with pytest.raises(TooMany):
        admit(door)


def test_a_key_s_body_is_its_values_however_spelled() -> None:
    one = admit(key="k", kwargs={"n": 1, "s": "x"})
    assert one.key == "k"
    assert admit(key="k", kwargs={"s": "x", "n": 1}).body == one.body
    assert admit(key="k", kwargs={"s": "x", "n": 2}).body != one.body
    assert admit(key="k", priority=9, kwargs={"n": 1, "s": "x"}).body == one.body


def test_unique_is_by_the_arguments_as_bound() -> None:
    door = admission(spec(unique=True))
    one = admit(door, args=[1], kwargs={"s": "x"})
    assert one.unique_key is not None
    assert admit(door, kwargs={"s": "x", "n": 1}).unique_key == one.unique_key
    assert admit(door, args=[1]).unique_key != one.unique_key
    some = admission(spec(unique=("n", "missing")))
    assert admit(some, args=[1]).unique_key == admit(some, args=[1, "other"]).unique_key
    other = admission(spec("other", unique=True))
    assert admit(other, task="other", args=[1], kwargs={"s": "x"}).unique_key != one.unique_key


def test_unique_arguments_may_be_as_deep_as_any() -> None:
    deep: Any = 1
    for _ in range(90):
        deep = [deep]
    door = admission(spec(unique=True), limits=Limits(depth=100))
    assert admit(door, kwargs={"n": deep}).unique_key is not None
