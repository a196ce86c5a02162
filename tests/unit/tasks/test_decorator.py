"""Declaring tasks, and calling those that are bound to a queue."""

import functools
import inspect
import typing
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from easyjobs.core.task import Options
from easyjobs.errors import ArgumentsRefused, ConfigurationError, RegistrationError, Unprocessable
from easyjobs.tasks.decorator import BoundTask, Task, bind, task
from easyjobs.tasks.handle import Call, JobHandle


class Desk:
    """A caller that writes down what it was asked, and answers every job with its arguments."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.cancelled: list[str] = []

    async def submit(self, calls: Sequence[Call], *, together: bool = False) -> list[JobHandle[Any]]:
        self.calls.extend(calls)
        return [JobHandle(self, f"job-{len(self.calls)}", call.queue, call.task) for call in calls]

    async def result(self, id: str, timeout: float | None = None) -> Any:
        call = self.calls[int(id.removeprefix("job-")) - 1]
        return [*call.args, dict(call.kwargs)]

    async def cancel(self, id: str) -> None:
        self.cancelled.append(id)


def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


def test_a_plain_task_stays_a_function() -> None:
    plain = task(add)
    assert isinstance(plain, Task)
    assert plain(1) == 3
    assert plain.name == plain.__name__ == "add"
    assert plain.__doc__ == "Add two numbers."
    assert list(inspect.signature(plain).parameters) == ["a", "b"]
    assert repr(plain) == "<Task add>"


def test_a_plain_task_keeps_its_options() -> None:
    plain = task(name="sum", queue="math", retries=3)(add)
    assert (plain.name, plain.queue, plain.options) == ("sum", "math", {"retries": 3})
    assert task()(add).name == "add"


async def test_calling_a_bound_task_makes_a_job_and_awaits_its_result() -> None:
    desk = Desk()
    bound = bind(add, caller=desk, queue="math")
    assert await bound(1, b=5) == [1, {"b": 5}]
    assert desk.calls == [Call("math", "add", (1,), {"b": 5}, wait=True)]


async def test_enqueue_gives_a_handle_at_once() -> None:
    desk = Desk()
    handle = await bind(add, caller=desk, queue="math").enqueue(1)
    assert (handle.id, handle.queue, handle.task) == ("job-1", "math", "add")
    assert not desk.calls[0].wait
    assert await handle == await handle.result() == [1, {}]
    await handle.cancel()
    assert desk.cancelled == ["job-1"]
    assert repr(handle) == "<JobHandle math:add job-1>"


async def test_options_of_a_call_never_collide_with_parameters() -> None:
    def f(delay: int, key: str) -> None: ...

    desk = Desk()
    later = bind(f, caller=desk, queue="q").options(delay=timedelta(minutes=1), priority=5, key="k", retries=0)
    await later(3, key="mine")
    await later.enqueue(4, "x")
    assert desk.calls[0] == Call("q", "f", (3,), {"key": "mine"}, delay=60.0, priority=5, key="k", retries=0, wait=True)
    assert desk.calls[1].args == (4, "x")
    await bind(f, caller=desk, queue="q").options(run_at=datetime(1970, 1, 2, tzinfo=UTC)).enqueue(1, "x")
    assert desk.calls[2].run_at == 86400.0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"delay": -1}, "delay: must be 0 or more seconds"),
        ({"delay": float("nan")}, "delay: must be"),
        ({"delay": 10**400}, "delay: must be"),
        ({"delay": True}, "delay: must be"),
        ({"timeout": 0}, "timeout: must be a positive number"),
        ({"run_at": datetime(2024, 1, 1)}, "with a time zone"),  # noqa: DTZ001 - the mistake itself
        ({"run_at": timedelta(1)}, "run_at: must be seconds since 1970"),
        ({"run_at": "tomorrow"}, "run_at: must be seconds since 1970"),
        ({"delay": 1, "run_at": 1.0}, "either delay or run_at"),
        ({"priority": 1.5}, "priority: must be an integer"),
        ({"key": ""}, "key: must be text"),
        ({"key": 5}, "key: must be text"),
        ({"retries": -1}, "retries: must be 0 or more"),
        ({"dely": 1}, "unknown option 'dely'; did you mean 'delay'?"),
        ({"zzz": 1}, "unknown option 'zzz'; there are: delay, key"),
    ],
)
def test_wrong_options_of_a_call_are_refused_where_it_is_made(options: Any, reason: str) -> None:
    with pytest.raises(Unprocessable) as refusal:
        bind(add, caller=None, queue="q").options(**options)
    assert reason in str(refusal.value)


async def test_arguments_that_do_not_bind_are_refused_before_anything_is_sent() -> None:
    desk = Desk()
    bound = bind(add, caller=desk, queue="math")
    with pytest.raises(ArgumentsRefused, match="c: unknown argument"):
        await bound(1, c=3)
    with pytest.raises(ArgumentsRefused, match="a: missing"):
        await bound.enqueue()
    assert desk.calls == []


async def test_local_runs_the_function_here() -> None:
    async def double(n: int) -> int:
        return 2 * n

    assert bind(add, caller=None, queue="q").local(1) == 3
    assert await bind(double, caller=None, queue="q").local(2) == 4


async def test_a_task_bound_to_nobody_says_so_when_it_is_called() -> None:
    with pytest.raises(ConfigurationError, match="<BoundTask q:add> is bound to no worker"):
        await bind(add, caller=None, queue="q")(1)


def test_decorators_stack_one_function_in_several_queues() -> None:
    first = bind(add, caller=None, queue="a", retries=5)
    second = bind(first, caller=None, queue="b")
    assert second.function is add
    assert (second.queue, second.spec.options) == ("b", Options())


def test_a_plain_task_that_is_bound_keeps_its_name_and_options_unless_new_ones_are_given() -> None:
    plain = task(name="sum", retries=3, priority=1)(add)
    bound = bind(plain, caller=None, queue="q", retries=1)
    assert (bound.name, bound.spec.max_attempts, bound.spec.options.priority) == ("sum", 2, 1)
    assert bind(plain, caller=None, queue="q", name="plus").name == "plus"


def test_the_spec_says_all_that_the_manager_needs() -> None:
    spec = bind(
        add,
        caller=None,
        queue="math",
        retry_policy="always",
        retry_delay=timedelta(seconds=3),
        backoff=1,
        no_retry_on=[ValueError, "KeyError"],
        timeout=5,
        start_deadline=60,
        priority=-1,
        concurrency=2,
        unique=["a"],
        retries=None,
    ).spec
    assert (spec.queue, spec.name, spec.doc, spec.kind) == ("math", "add", "Add two numbers.", "thread")
    assert [p.name for p in spec.signature.parameters] == ["a", "b"]
    assert spec.max_attempts == 0
    assert spec.options == Options(
        retry_policy="retry_always",
        retry_delay=3.0,
        backoff=1.0,
        no_retry_on=("ValueError", "KeyError"),
        timeout=5.0,
        start_deadline=60.0,
        priority=-1,
        concurrency=2,
        unique=("a",),
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"retries": -1}, "retries must be 0 or more, not -1"),
        ({"retries": True}, "retries must be 0 or more"),
        ({"retries": 2**31}, "retries must be 0 or more"),
        ({"retry_delay": -0.5}, "retry_delay must be 0 or more seconds"),
        ({"retry_delay": "1"}, "retry_delay must be 0 or more seconds"),
        ({"backoff": 0.5}, "backoff must be a number of at least 1"),
        ({"backoff": timedelta(2)}, "backoff must be a number of at least 1"),
        ({"retry_policy": "sometimes"}, "one of retry_once, retry_always, always, never, not 'sometimes'"),
        ({"retry_policy": None}, "retry_policy must be one of"),
        ({"no_retry_on": 5}, "no_retry_on must be an exception class"),
        ({"no_retry_on": [int]}, "no_retry_on must be an exception class"),
        ({"timeout": 0}, "timeout must be a positive number of seconds"),
        ({"timeout": float("inf")}, "timeout must be a positive"),
        ({"start_deadline": timedelta(0)}, "start_deadline must be a positive"),
        ({"priority": "high"}, "priority must be an integer"),
        ({"concurrency": 0}, "concurrency must be 1 or more"),
        ({"unique": []}, "unique must be True, False, or names"),
        ({"unique": ["c"]}, "unique names 'c'; its parameters are: a, b"),
        ({"retry": 3}, "unknown option 'retry'; did you mean 'retries'?"),
        ({"schedul": "* * * * *"}, "unknown option 'schedul'; did you mean 'schedule'?"),
        ({"schedule": "* * * * *"}, "default_args must be what it can be called with: "),
        ({"run_after": ["a/b"]}, "run_after must be the name of a task: 'task', or 'queue:task' of another queue"),
        ({"run_after": 5}, "run_after must be the name of a task, or a list of names, not 5"),
        ({"run_before": ["x", ""]}, "run_before must be the name of a task"),
        ({"run_before": [f"t{n}" for n in range(1001)]}, "run_before must be at most 1000 names"),
        ({"on_failure": ["x"]}, "on_failure must be the name of a task"),
        ({"on_failure": "a:b:c"}, "on_failure must be the name of a task"),
        ({"name": "a/b"}, "'a/b' cannot name a task"),
        ({"name": ""}, "'' cannot name a task"),
        ({"name": "x" * 129}, "cannot name a task"),
        ({"queue": ".."}, "'..' cannot name a queue"),
    ],
)
@pytest.mark.parametrize("declare", ["plain", "bound"])
def test_wrong_options_are_refused_when_declared(declare: str, options: Any, reason: str) -> None:
    def declared() -> None:
        if declare == "plain":
            task(**options)(add)
        else:
            bind(add, **{"caller": None, "queue": "q", **options})

    with pytest.raises(RegistrationError) as refusal:
        declared()
    assert reason in str(refusal.value)
    assert "test_decorator.py:" in str(refusal.value)


def test_chains_are_named_by_one_name_or_several() -> None:
    bound = bind(add, caller=None, queue="q", run_before="x", run_after=["y", "r:z", "y"], on_failure="r:x")
    assert bound.spec.options == Options(run_before=("x",), run_after=("y", "r:z"), on_failure="r:x")


def test_options_that_may_be_left_open_may_be_none() -> None:
    times = ("retry_delay", "backoff", "timeout", "start_deadline")
    open_ones = dict.fromkeys(("retries", "concurrency", "run_before", "run_after", "on_failure", *times))
    bound = bind(add, caller=None, queue="q", unique=True, **open_ones)  # type: ignore[arg-type]
    assert bound.spec.options == Options(unique=True)


def test_any_exception_class_may_be_listed_alone() -> None:
    assert bind(add, caller=None, queue="q", no_retry_on=KeyError).no_retry_on == ("KeyError",)


def test_lambdas_want_a_name() -> None:
    with pytest.raises(RegistrationError, match="a lambda has no name"):
        task(lambda: 1)
    assert task(name="one")(lambda: 1)() == 1


def test_generators_are_refused() -> None:
    def numbers() -> Any:
        yield 1

    async def more() -> Any:
        yield 1

    class Numbers:
        def __call__(self) -> Any:
            yield 1

    for function in (numbers, more, Numbers(), Numbers):
        with pytest.raises(RegistrationError, match="a generator cannot be a task"):
            task(function)


def test_what_cannot_be_called_is_refused() -> None:
    class Silent:
        pass

    class Needy:
        def __init__(self, what: int) -> None: ...
        def __call__(self) -> None: ...

    for thing, reason in ((5, "cannot be called"), (Silent, "no __call__"), (Silent(), "cannot be called")):
        with pytest.raises(RegistrationError, match=reason):
            task(thing)  # type: ignore[call-overload]
    with pytest.raises(RegistrationError, match="cannot be made without arguments"):
        task(Needy)


async def test_objects_and_classes_with_call_are_tasks() -> None:
    class Greet:
        """Greets."""

        def __call__(self, name: str) -> str:
            return f"hello {name}"

    class Later:
        async def __call__(self, name: str) -> str:
            return f"later {name}"

    bound = bind(Greet, caller=None, queue="q")
    assert (bound.name, bound.spec.kind, bound.spec.doc, bound.local("x")) == ("Greet", "thread", "Greets.", "hello x")
    assert [p.name for p in bound.spec.signature.parameters] == ["name"]
    later = bind(Later(), caller=None, queue="q")
    assert (later.name, later.spec.kind, await later.local("x")) == ("Later", "async", "later x")


def test_partials_and_static_methods_are_tasks_of_their_functions_name() -> None:
    class Space:
        @staticmethod
        def method(x: int) -> int:
            return x

    partial = bind(functools.partial(add, 1), caller=None, queue="q")
    assert (partial.name, partial.spec.doc, partial.local(5)) == ("add", "", 6)
    static = bind(vars(Space)["method"], caller=None, queue="q")
    assert (static.name, static.local(3)) == ("method", 3)
    assert bind(vars, caller=None, queue="q", unique=["anything"]).name == "vars"


def test_attributes_of_a_function_do_not_become_the_tasks() -> None:
    def f() -> None: ...

    f.queue = "theirs"  # type: ignore[attr-defined]
    f.function = None  # type: ignore[attr-defined]
    bound = bind(f, caller=None, queue="ours")
    assert (bound.queue, bound.function) == ("ours", f)


def test_the_decorators_are_typed() -> None:
    hints = typing.get_overloads(task)
    assert len(hints) == 2
    assert isinstance(bind(add, caller=None, queue="q"), BoundTask)
