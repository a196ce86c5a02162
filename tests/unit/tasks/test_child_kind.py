"""Which tasks run in a child process, and by what name their function is found there."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from easyjobs.core.signature import ANYTHING
from easyjobs.errors import RegistrationError
from easyjobs.tasks.children import FunctionName, found_by_name, look_up, name_of, plain
from easyjobs.tasks.decorator import BoundTask, bind, task


def at_the_top(n: int) -> int:
    return n


class Group:
    @staticmethod
    def inside(n: int) -> int:
        return n

    def method(self) -> None: ...


@task
def marked(n: int) -> int:
    return n


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


replaced = wrapped(at_the_top)


def bound(function: Any, **options: Any) -> BoundTask[Any, Any]:
    return bind(function, caller=None, queue="q", **options)


def test_tasks_say_how_they_run() -> None:
    async def nested() -> None: ...

    assert bound(at_the_top).spec.kind == "thread"
    assert bound(nested).spec.kind == "async"
    assert bound(at_the_top, process=True).spec.kind == "process"
    assert bound(nested, subprocess=True).spec.kind == "script"
    assert bound(at_the_top, process=False, subprocess=False).child is None


def test_a_stub_without_parameters_takes_anything_one_with_them_is_judged() -> None:
    def free() -> None: ...
    def strict(a: int) -> None: ...

    assert bound(free, subprocess=True).spec.signature == ANYTHING
    assert [p.name for p in bound(strict, subprocess=True).spec.signature.parameters] == ["a"]
    assert bound(free).spec.signature.parameters == ()


def test_a_function_that_no_other_process_can_import_is_refused_when_it_is_declared() -> None:
    def nested() -> None: ...

    for function in (nested, functools.partial(at_the_top, 1), Group().method):
        with pytest.raises(RegistrationError, match="top level"):
            bound(function, process=True, name="it")
    with pytest.raises(RegistrationError, match="top level"):
        bound(lambda: None, process=True, name="it")
    with pytest.raises(RegistrationError, match="top level"):
        task(process=True)(nested)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"process": True, "subprocess": True}, "choose one"),
        ({"process": 1}, "True or False"),
        ({"subprocess": "yes"}, "True or False"),
        ({"max_memory": "1GB"}, "needs a child process"),
        ({"process": True, "max_memory": 1000}, "mebibyte"),
        ({"process": True, "max_memory": "much"}, "512MB"),
        ({"process": True, "max_memory": True}, "512MB"),
        ({"proces": True}, "did you mean 'process'"),
    ],
)
def test_what_contradicts_itself_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(RegistrationError, match=reason):
        bound(at_the_top, **options)


@pytest.mark.parametrize(
    ("given", "bytes_"),
    [
        (2**20, 2**20),
        ("1048576", 2**20),
        ("512MB", 512 * 2**20),
        ("512 MiB", 512 * 2**20),
        ("1.5g", 1536 * 2**20),
        ("2048K", 2 * 2**20),
        ("1T", 2**40),
        (None, None),
    ],
)
def test_memory_is_written_in_bytes_or_as_people_do(given: Any, bytes_: int | None) -> None:
    assert bound(at_the_top, process=True, max_memory=given).declared.max_memory == bytes_


def test_functions_have_the_names_that_a_fresh_process_finds_them_by() -> None:
    assert name_of(at_the_top) == FunctionName(__name__, "at_the_top")
    assert name_of(Group.inside) == FunctionName(__name__, "Group.inside")


def test_functions_of_the_program_itself_are_found_by_its_file_or_its_real_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def mine() -> None: ...

    mine.__module__, mine.__qualname__ = "__main__", "mine"
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert name_of(mine) is None  # typed into a prompt
    main.__file__ = "/srv/app.py"
    assert name_of(mine) == FunctionName("__main__", "mine", "/srv/app.py")
    main.__spec__ = types.SimpleNamespace(name="app.__main__")  # type: ignore[assignment]
    assert name_of(mine) == FunctionName("app.__main__", "mine")


def test_only_a_name_that_leads_back_to_the_function_counts() -> None:
    assert found_by_name(at_the_top) == FunctionName(__name__, "at_the_top")
    assert found_by_name(marked.function) == FunctionName(__name__, "marked")
    assert found_by_name(Group.inside) == FunctionName(__name__, "Group.inside")
    assert found_by_name(wrapped(at_the_top)) is None
    assert found_by_name(lambda: None) is None
    gone = types.FunctionType(at_the_top.__code__, {}, "gone")
    gone.__module__ = "a.module.nobody.loaded"
    assert found_by_name(gone) is None


def test_what_a_name_leads_to() -> None:
    here = sys.modules[__name__]
    assert plain(look_up(here, "marked")) is marked.function
    assert plain(look_up(here, "Group.inside")) is Group.inside
    assert look_up(here, "Group.nothing") is None
    assert plain(3) == 3
