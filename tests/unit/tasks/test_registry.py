"""The tasks of a worker: by name, once each."""

import sys
import types

import pytest

from easyjobs.errors import RegistrationError
from easyjobs.tasks.decorator import bind
from easyjobs.tasks.registry import Registry

SOURCE = """
from easyjobs.tasks.decorator import task

@task
def first(x: int): return x

@task(queue="other", retries=3)
async def second(): ...

def no_task(): ...
"""


def load(name: str, source: str = SOURCE) -> types.ModuleType:
    module = types.ModuleType(name)
    exec(compile(source, f"/app/{name}.py", "exec"), vars(module))
    return module


def work() -> None: ...


class Worker:
    def __call__(self) -> None: ...


def test_tasks_are_found_by_queue_and_name() -> None:
    registry = Registry()
    bound = bind(work, caller=None, queue="q")
    registry.add(bound)
    registry.add(bind(work, caller=None, queue="r"))
    assert registry.get("q", "work") is bound
    assert registry.get("q", "else") is None
    assert [(s.queue, s.name) for s in registry.specs()] == [("q", "work"), ("r", "work")]
    assert [t.queue for t in registry.tasks()] == ["q", "r"]


def test_two_functions_of_one_name_are_refused_with_both_places() -> None:
    registry = Registry()
    registry.add(bind(work, caller=None, queue="q"))
    with pytest.raises(
        RegistrationError, match=r"two tasks 'work': .*test_registry\.py:\d+ and .*test_registry\.py:\d+"
    ):
        registry.add(bind(lambda: 1, caller=None, queue="q", name="work"))


def test_the_same_function_again_takes_the_place_of_the_first() -> None:
    registry = Registry()
    first, again = load("app"), load("app")
    registry.include(first, caller=None, queue="q")
    registry.include(again, caller=None, queue="q")
    found = registry.get("q", "first")
    assert found is not None
    assert found.function is again.first.function
    assert len(registry.tasks()) == 2
    registry.add(bind(Worker(), caller=None, queue="q"))
    registry.add(bind(Worker(), caller=None, queue="q"))


def test_a_modules_plain_tasks_are_included() -> None:
    registry = Registry()
    bound = registry.include(load("app"), caller=None, queue="q")
    assert [(t.queue, t.name, t.spec.max_attempts) for t in bound] == [("q", "first", 2), ("other", "second", 4)]


def test_tasks_that_a_module_only_imported_are_left_out() -> None:
    sys.modules["easyjobs_test_app"] = load("easyjobs_test_app")
    try:
        user = load("user", "from easyjobs_test_app import first, second")
    finally:
        del sys.modules["easyjobs_test_app"]
    assert Registry().include(user, caller=None, queue="q") == []


def test_a_chain_that_comes_back_is_refused_where_it_closes_and_nothing_else_is_lost() -> None:
    registry = Registry()
    registry.add(bind(work, caller=None, queue="q", name="first", run_after="second"))
    registry.add(bind(work, caller=None, queue="q", name="second", run_before=["third"], on_failure="second"))
    with pytest.raises(RegistrationError, match=r"task 'third' at .*: a chain .*: third → first → second → third$"):
        registry.add(bind(work, caller=None, queue="q", name="third", run_after=["first"]))
    assert [task.name for task in registry.tasks()] == ["first", "second"]
    registry.add(bind(work, caller=None, queue="q", name="third", run_after=["r:first"]))


def test_a_task_that_is_declared_anew_keeps_its_old_chains_when_the_new_ones_cannot_be() -> None:
    registry = Registry()
    registry.add(bind(work, caller=None, queue="q", name="first", run_after="second"))
    with pytest.raises(RegistrationError, match="first → first"):
        registry.add(bind(work, caller=None, queue="q", name="first", run_before="first"))
    assert registry.tasks()[0].declared.run_after == ("second",)
