"""What a job needs to be fresh: looked for, recognised, filled in, and judged where it is declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from easyjobs.core import freshness
from easyjobs.core.chain import TaskName
from easyjobs.core.freshness import Fault
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import Need, Options, TaskSpec, Value
from easyjobs.errors import ArgumentsRefused, RegistrationError

FOO = TaskName("q", "foo")
NUMBER = {"type": "integer"}


def value(*steps: Any, same: str = "n") -> Value:
    return Value(same=same, steps=steps)


def need(task: str = "foo", within: float = 60.0, **given: Any) -> Need:
    return Need(task, within, tuple((n, v if isinstance(v, Value) else Value(v)) for n, v in given.items()))


def spec(name: str, *parameters: Parameter, needs: tuple[Need, ...] = (), before: tuple[str, ...] = ()) -> TaskSpec:
    return TaskSpec("q", name, Signature(parameters), Options(needs=needs, run_before=before))


# -- what is looked for


def test_constants_and_the_same_arguments_are_looked_for() -> None:
    assert freshness.wanted(need(a=1, b=value()), {"n": [2], "other": 3}) == {"a": 1, "b": [2]}


@pytest.mark.parametrize(
    ("steps", "n", "result"),
    [
        ([("+", 1, False)], 5, 6),
        ([("-", 1, False)], 5, 4),
        ([("-", 10, True)], 4, 6),
        ([("*", 2, False), ("+", 1, False)], 5, 11),
        ([("/", 2, False)], 5, 2.5),
        ([("//", 2, False)], 5, 2),
        ([("%", 2, False)], 5, 1),
        ([("+", "_raw", False)], "data", "data_raw"),
        ([("+", "raw_", True)], "data", "raw_data"),
    ],
)
def test_same_is_reckoned_with_step_by_step(steps: Any, n: Any, result: Any) -> None:
    assert freshness.wanted(need(b=value(*steps)), {"n": n}) == {"b": result}


@pytest.mark.parametrize(
    ("steps", "arguments", "why"),
    [
        ([], {}, "there is no argument 'n' that it could be the same as"),
        ([("+", 1, False)], {"n": "five"}, "'five' + 1 cannot be worked out"),
        ([("-", "x", False)], {"n": "y"}, "'y' - 'x' cannot be worked out"),
        ([("*", 2, False)], {"n": True}, "True * 2 cannot be worked out"),
        ([("/", 0, False)], {"n": 1}, "1 / 0 cannot be worked out: division by zero"),
        ([("*", 2**62, False)], {"n": 4}, "is no number that can be passed on"),
        ([("*", 1e308, False)], {"n": 1e308}, "is no number that can be passed on"),
    ],
)
def test_what_cannot_be_worked_out_is_refused(steps: Any, arguments: Mapping[str, Any], why: str) -> None:
    with pytest.raises(ArgumentsRefused) as refused:
        freshness.wanted(need(b=value(*steps)), arguments)
    (error,) = refused.value.errors
    assert error["loc"] == ["b"]
    assert why in error["message"]


# -- what will do


def test_a_key_is_of_a_task_and_the_values_of_some_arguments() -> None:
    key = freshness.key(FOO, {"a": 1, "b": {"x": [1.0]}})
    assert key == freshness.key(FOO, {"b": {"x": [1]}, "a": 1.0})
    others = [
        freshness.key(TaskName("q", "other"), {"a": 1, "b": {"x": [1]}}),
        freshness.key(FOO, {"a": 1}),
        freshness.key(FOO, {"a": True, "b": {"x": [1]}}),
        freshness.key(FOO, {"a": "1", "b": {"x": [1]}}),
        freshness.key(FOO, {"a": 1.5, "b": {"x": [1]}}),
    ]
    assert len({key, *others}) == 6


def test_a_job_will_do_when_the_arguments_that_are_looked_for_are_equal() -> None:
    assert freshness.serves({"a": 1, "b": 2}, {"a": 1.0})
    assert freshness.serves({"a": 1}, {})
    assert freshness.serves({"a": "x", "b": [1, {"c": 2.0}]}, {"a": "x", "b": [1.0, {"c": 2}]})
    assert not freshness.serves({"a": "1"}, {"a": 1})
    assert not freshness.serves({"a": 1}, {"a": 2})
    assert not freshness.serves({"a": 1}, {"b": 1})


def test_a_completed_job_has_a_key_for_each_way_in_which_it_is_looked_for() -> None:
    specs = [
        spec("one", needs=(need(within=60.0, a=1), need("q:foo", 90.0, a=2))),
        spec("two", needs=(need(within=30.0, a=1, b=2), need("mail:send", 5.0))),
    ]
    ways = freshness.sought(specs)
    assert ways == {FOO: {("a",): 90.0, ("a", "b"): 30.0}, TaskName("mail", "send"): {(): 5.0}}
    keys = freshness.keys(FOO, ways[FOO], {"a": 1, "b": 2, "c": 3})
    assert keys == {90.0: [freshness.key(FOO, {"a": 1})], 30.0: [freshness.key(FOO, {"a": 1, "b": 2})]}
    assert freshness.keys(FOO, ways[FOO], {"a": 1}) == {90.0: [freshness.key(FOO, {"a": 1})]}


# -- what is made


def test_what_is_left_out_is_filled_in() -> None:
    signature = Signature(
        (
            Parameter("a", NUMBER),
            Parameter("b", NUMBER),
            Parameter("c", NUMBER, required=False, default=7),
            Parameter("d", {"enum": ["x", "y"]}),
            Parameter("rest", kind="args", required=False),
            Parameter("more", kind="kwargs", required=False),
        )
    )
    assert freshness.filled(signature, {"a": 1}, {"b": 2, "rest": [3]}) == {"a": 1, "b": 2, "d": "x"}
    assert freshness.filled(signature, {"a": 1, "d": "y"}, {"a": 5, "b": 2, "c": 3}) == {
        "a": 1,
        "b": 2,
        "c": 3,
        "d": "y",
    }
    with pytest.raises(ArgumentsRefused, match="b: has no value"):
        freshness.filled(signature, {"a": 1}, {})


# -- what is declared


def judged(*specs: TaskSpec) -> list[Fault]:
    return freshness.faults({TaskName(one.queue, one.name): one for one in specs})


def test_nothing_is_wrong_with_what_can_be_looked_for_and_made() -> None:
    foo = spec("foo", Parameter("a", NUMBER), Parameter("b", {"enum": [1, 2]}))
    bar = spec("bar", Parameter("b"), needs=(need(a=1, b=value(same="b")), need("foo", a=2)))
    assert judged(foo, bar, spec("open", Parameter("kw", kind="kwargs")), spec("x", needs=(need("open", any=1),))) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (need("gone"), "Dependency(gone): there is no such task"),
        (need("mail:foo"), "Dependency(mail:foo): there is no such task"),
        (need(a=1, z=1), "Dependency(foo): foo has no parameter 'z'; it has: a, b"),
        (need(a=value(same="z")), "Dependency(foo): a=same, but bar has no parameter 'z'"),
        (need(a="x"), "Dependency(foo): a='x' is no value of foo's parameter"),
        (need(a=1, b=3), "Dependency(foo): b=3 is no value of foo's parameter"),
    ],
)
def test_what_can_never_be_is_a_grave_fault(wrong: Need, message: str) -> None:
    foo = spec("foo", Parameter("a", NUMBER), Parameter("b", {"enum": [1, 2]}, required=False, default=1))
    assert judged(foo, spec("bar", Parameter("a", NUMBER), needs=(wrong,))) == [Fault("bar", message)]


def test_a_task_without_parameters_says_so() -> None:
    (fault,) = judged(spec("foo"), spec("bar", needs=(need(a=1),)))
    assert fault.message == "Dependency(foo): foo has no parameter 'a'; it has: none"


def test_a_parameter_that_nobody_fills_in_is_a_warning() -> None:
    foo = spec("foo", Parameter("a", NUMBER), Parameter("rest", kind="args"))
    message = "Dependency(foo): nobody says what 'a' is when a job of foo must be made"
    assert judged(foo, spec("bar", needs=(need(),))) == [Fault("bar", message, grave=False)]


def test_a_circle_is_told_with_its_path() -> None:
    faults = judged(spec("a", needs=(need("b"),)), spec("b", before=("c",)), spec("c", needs=(need("a"),)))
    assert [fault.message for fault in faults] == [
        "a task may not depend on itself: a → b → c → a",
        "a task may not depend on itself: b → c → a → b",
        "a task may not depend on itself: c → a → b → c",
    ]
    own = TaskSpec("q", "a", Signature(), Options(needs=(need("mail:a"),)))
    theirs = TaskSpec("mail", "a", Signature(), Options(needs=(need("q:a"),)))
    assert judged(own, theirs)[0].message == "a task may not depend on itself: a → mail:a → a"


def test_a_task_may_be_reached_in_two_ways_and_others_circle_elsewhere() -> None:
    specs = {
        "top": spec("top", needs=(need("left"), need("right"), need("gone"))),
        "left": spec("left", needs=(need("base"),)),
        "right": spec("right", needs=(need("base"),)),
        "base": spec("base", needs=(need("left"),)),
    }

    def options_of(name: TaskName) -> Options | None:
        return specs[name.task].options if name.task in specs else None

    freshness.check(TaskName("q", "top"), options_of)
    with pytest.raises(RegistrationError, match="left → base → left"):
        freshness.check(TaskName("q", "left"), options_of)


def test_needs_are_told_to_a_manager_as_they_are() -> None:
    told = spec("bar", needs=(need(a=None, b=value(("-", 1, False)), c="ALL"),))
    assert msgspec.json.decode(msgspec.json.encode(told), type=TaskSpec) == told
