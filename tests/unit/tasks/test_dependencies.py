"""Declaring what a task depends on, what it is performed for all values of, and where its jobs wait."""

from __future__ import annotations

import enum
import sys
import types
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

import pytest

from easyjobs import Dependency, same, task
from easyjobs.core.task import Need, Value
from easyjobs.errors import RegistrationError
from easyjobs.tasks.decorator import bind
from easyjobs.tasks.dependencies import Same, doubts, validate_dependencies
from easyjobs.tasks.registry import Registry


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@task
def foo(a: int, b: [1, 2, 3]) -> None:  # type: ignore[valid-type]
    """Do it."""


@task(queue="letters")
def send(to: str) -> None:
    """Send it."""


def bound(function: Any, queue: str = "q", **options: Any) -> Any:
    return bind(function, caller=None, queue=queue, **options)


# -- Dependency and same


def test_a_dependency_names_a_task_hours_and_arguments() -> None:
    need = Dependency(foo, 2, a=1, b=same).need()
    assert need == Need("foo", 7200.0, (("a", Value(1)), ("b", Value(same="b"))))
    assert Dependency(foo, timedelta(minutes=1)).need().within == 60.0
    assert repr(Dependency(foo, 2)) == "Dependency(foo)"


@pytest.mark.parametrize(
    ("named", "plain", "by_type_key"),
    [
        (foo, "foo", "test_dependencies:foo"),
        (send, "letters:send", "letters:send"),
        (bound(foo, "here"), "here:foo", "here:foo"),
        ("foo", "foo", "foo"),
        ("letters:send", "letters:send", "letters:send"),
        ("things.foo", "things:foo", "things:foo"),
        ("etl:reports.daily", "etl:reports.daily", "etl:reports.daily"),
    ],
)
def test_a_task_is_named_by_itself_or_by_text(named: Any, plain: str, by_type_key: str) -> None:
    assert Dependency(named, 1).need().task == plain
    assert Dependency(named, 1).need(by_type_key=True).task == by_type_key


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Dependency(len, 2), "is not declared as one"),
        (lambda: Dependency(3, 2), "is not declared as one"),
        (lambda: Dependency(foo, 0), "must be more than 0"),
        (lambda: Dependency(foo, "2"), "a number of hours"),  # type: ignore[arg-type]
        (lambda: Dependency(foo, True), "a number of hours"),
        (lambda: Dependency(foo, float("nan")), "must be more than 0"),
        (lambda: Dependency(foo, 2, a={1, 2}), "is no JSON"),
        (lambda: same - [], "same - [] cannot be worked out"),  # type: ignore[operator]
        (lambda: same * "x", "cannot be worked out"),  # type: ignore[operator]
    ],
)
def test_what_cannot_be_looked_for_is_refused_where_it_is_written(make: Callable[[], Any], why: str) -> None:
    with pytest.raises(RegistrationError) as refused:
        make()
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("expression", "text", "steps"),
    [
        (same, "same", ()),
        (same + 1, "same + 1", (("+", 1, False),)),
        (1 + same, "1 + same", (("+", 1, True),)),
        (same - 1, "same - 1", (("-", 1, False),)),
        (10 - same, "10 - same", (("-", 10, True),)),
        (same * 2.5, "same * 2.5", (("*", 2.5, False),)),
        (2 * same, "2 * same", (("*", 2, True),)),
        (same / 2, "same / 2", (("/", 2, False),)),
        (1 / same, "1 / same", (("/", 1, True),)),
        (same // 2, "same // 2", (("//", 2, False),)),
        (7 // same, "7 // same", (("//", 7, True),)),
        (same % 2, "same % 2", (("%", 2, False),)),
        (7 % same, "7 % same", (("%", 7, True),)),
        (-same, "same * -1", (("*", -1, False),)),
        (same + "_raw", "same + '_raw'", (("+", "_raw", False),)),
        ((same + 1) * 2, "(same + 1) * 2", (("+", 1, False), ("*", 2, False))),
    ],
)
def test_same_may_be_reckoned_with(expression: Same, text: str, steps: Any) -> None:
    assert (repr(expression), expression.steps) == (text, steps)


# -- the options


def test_one_dependency_or_several_or_none() -> None:
    one = Dependency(foo, 2)
    for given, count in ((one, 1), ([one, Dependency(send, 1)], 2), (None, 0), ([], 0)):
        assert len(bound(send, dependencies=given).declared.needs) == count
    with pytest.raises(RegistrationError, match="dependencies must be a Dependency, or a list of them, not 'foo'"):
        task(dependencies="foo")(lambda_named())  # type: ignore[call-overload]


def lambda_named() -> Callable[[], None]:
    def named() -> None:
        """Do nothing."""

    return named


def test_process_limit_is_concurrency() -> None:
    assert bound(send, process_limit=3).declared.concurrency == 3
    with pytest.raises(RegistrationError, match="concurrency and process_limit say the same"):
        bound(send, process_limit=3, concurrency=2)


def test_all_may_be_said_for_what_write_all_names() -> None:
    spec = bound(foo, write_all=["b"]).spec
    assert spec.options.write_all == ("b",)
    assert [p.schema for p in spec.signature.parameters] == [{"type": "integer"}, {"enum": [1, 2, 3, "ALL"]}]
    assert spec.signature.hash != bound(foo).spec.signature.hash


def test_the_values_may_be_a_literal_or_an_enum() -> None:
    def cover(size: Literal["s", "m"], color: Color) -> None:
        """Do it."""

    spec = bound(cover, write_all=["size", "color"]).spec
    assert [p.schema for p in spec.signature.parameters] == [
        {"enum": ["s", "m", "ALL"]},
        {"enum": ["red", "blue", "ALL"]},
    ]
    assert spec.signature.defs == {}


@pytest.mark.parametrize(
    ("write_all", "why"),
    [
        ("none", "write_all names 'none'; its parameters are: a, b"),
        ("a", "write_all names 'a', which must be annotated with a list of its values"),
        (3, "write_all must be names of the task's parameters"),
    ],
)
def test_write_all_names_parameters_that_list_their_values(write_all: Any, why: str) -> None:
    with pytest.raises(RegistrationError) as refused:
        bound(foo, write_all=write_all)
    assert why in str(refused.value)


def test_all_is_no_value_of_its_own_beside_write_all() -> None:
    def cover(which: Literal["ALL", "some"]) -> None:
        """Do it."""

    with pytest.raises(RegistrationError, match="without 'ALL' among them"):
        bound(cover, write_all="which")


def test_default_args_may_say_all_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    call = {"kwargs": {"a": 1, "b": "ALL"}}
    assert bound(foo, write_all="b", default_args=call).spec.default_args is not None
    assert not caplog.records
    assert bound(foo, default_args=call).spec.default_args is not None
    assert "must be one of [1, 2, 3]" in caplog.text


# -- where its jobs wait


def test_the_type_key_is_the_queue_or_the_last_name_of_the_module() -> None:
    assert foo.type_key == "test_dependencies"
    assert send.type_key == "letters"
    assert task(type_key="cool")(lambda_named()).queue == "cool"
    with pytest.raises(RegistrationError, match="either queue or type_key"):
        task(type_key="cool", queue="letters")(lambda_named())


def module(name: str) -> types.ModuleType:
    """A module with a task, one that depends on it, and one that depends on another module's."""
    source = (
        "from easyjobs import Dependency, same, task\n"
        "@task\ndef first(n: int): ...\n"
        "@task(dependencies=Dependency(first, 1, n=same))\ndef second(n: int): ...\n"
        "@task(type_key='mail', dependencies=[Dependency(second, 1, n=1), Dependency('far.away', 1)])\n"
        "def third(): ...\n"
    )
    made = types.ModuleType(name)
    exec(source, vars(made))
    return made


def test_a_module_is_included_in_one_queue_or_by_type_key() -> None:
    nice = module("some.nice_tasks")
    registry = Registry()
    registry.include(nice, caller=None, queue="work")
    assert [(s.queue, s.name, [n.task for n in s.options.needs]) for s in registry.specs()] == [
        ("work", "first", []),
        ("work", "second", ["first"]),
        ("mail", "third", ["second", "far:away"]),
    ]
    registry = Registry()
    registry.include(nice, caller=None, queue=None)
    assert [(s.queue, s.name, [n.task for n in s.options.needs]) for s in registry.specs()] == [
        ("nice_tasks", "first", []),
        ("nice_tasks", "second", ["nice_tasks:first"]),
        ("mail", "third", ["nice_tasks:second", "far:away"]),
    ]


def test_a_task_that_depends_on_itself_is_refused_with_the_path() -> None:
    registry = Registry()
    registry.add(bound(task(dependencies=Dependency("two", 1))(named("one"))))
    with pytest.raises(RegistrationError, match="a task may not depend on itself: two → one → two"):
        registry.add(bound(task(dependencies=Dependency("one", 1))(named("two"))))
    assert registry.get("q", "two") is None


def named(name: str) -> Callable[[], None]:
    function = lambda_named()
    function.__name__ = name
    return function


# -- validating all of them


def test_all_that_is_wrong_is_said_at_once() -> None:
    tasks = [
        bound(foo),
        bound(task(dependencies=Dependency("gone", 1))(named("one"))),
        bound(task(dependencies=Dependency(foo, 1, a="x", c=1))(named("two"))),
    ]
    with pytest.raises(RegistrationError) as refused:
        validate_dependencies(one.spec for one in tasks)
    assert str(refused.value) == (
        "task 'one': Dependency(gone): there is no such task; task 'two': Dependency(foo): a='x' is no value of foo's "
        "parameter; task 'two': Dependency(foo): foo has no parameter 'c'; it has: a, b"
    )


def test_what_nobody_fills_in_is_warned_of() -> None:
    def bar(c: str) -> None:
        """Do it."""

    one = bound(task(dependencies=Dependency(foo, 2, b=1))(bar))
    assert validate_dependencies([bound(foo).spec, one.spec]) == [
        "task 'bar': Dependency(foo): nobody says what 'a' is when a job of foo must be made"
    ]
    assert validate_dependencies([bound(foo).spec]) == []


def test_of_one_workers_tasks_those_of_others_are_not_doubted() -> None:
    def bar(c: str) -> None:
        """Do it."""

    one = bound(task(dependencies=[Dependency("elsewhere", 1, x=1), Dependency(foo, 1, b=7)])(bar))
    assert doubts([bound(foo).spec, one.spec]) == [
        "task 'bar': Dependency(foo): b=7 is no value of foo's parameter",
        "task 'bar': Dependency(foo): nobody says what 'a' is when a job of foo must be made",
    ]


def test_the_words_are_public() -> None:
    assert isinstance(sys.modules["easyjobs"].same, Same)
