"""Tasks that run in child processes: which can, and by what name a fresh process finds their function."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from easyjobs.errors import RegistrationError

ChildKind = Literal["process", "script", "program"]
"""A function there, a file of WORKER_TASK_DIR with one, or anything that can be started (`script=`)."""


class FunctionName(NamedTuple):
    """Where a fresh process finds a function: `main` is the file that was run as a script, "" for a module."""

    module: str
    qualname: str
    main: str = ""


def child_kind(function: Callable[..., Any], options: Mapping[str, Any], where: str) -> ChildKind | None:
    """How a task declared with these options runs in a child process; None: it runs in its worker.

    :param where: names the task and its place in the error.
    :raises RegistrationError: two of `process`, `subprocess` and `script`, a function that no other process could
        import, or options that only a child process can have.
    """
    for option in ("process", "subprocess"):
        if not isinstance(options.get(option, False), bool):
            raise RegistrationError(f"{where}: {option} must be True or False, not {options[option]!r}")
    process, script = options.get("process", False), options.get("subprocess", False)
    if process and script:
        raise RegistrationError(
            f"{where}: process=True runs this function, subprocess=True a file of WORKER_TASK_DIR; choose one"
        )
    if options.get("script") is not None:
        if process or script:
            raise RegistrationError(
                f"{where}: script= runs that script in a process of its own already; leave out the other"
            )
        return "program"
    if options.get("max_memory") is not None and not process and not script:
        raise RegistrationError(f"{where}: max_memory needs a child process: process=True, subprocess=True or script=")
    if process and name_of(function) is None:
        raise RegistrationError(
            f"{where}: process=True imports the function by its name in a fresh process, so it must be a function of a "
            "module, written with `def` at its top level"
        )
    return "process" if process else "script" if script else None


def name_of(function: Callable[..., Any]) -> FunctionName | None:
    """The name of a function at the top level of a module (or of a class there); None when it can have none: nested
    ones, lambdas, objects, methods, what was typed into a prompt.
    """
    if not inspect.isfunction(function) or "<" in function.__qualname__:
        return None
    if function.__module__ != "__main__":
        return FunctionName(function.__module__, function.__qualname__)
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return FunctionName(spec.name, function.__qualname__)
    file = getattr(main, "__file__", None)
    return FunctionName("__main__", function.__qualname__, file) if file else None


def found_by_name(function: Callable[..., Any]) -> FunctionName | None:
    """As `name_of`, where that name now leads to this very function, or to a task made of it."""
    name = name_of(function)
    module = sys.modules.get(function.__module__) if name is not None else None
    if name is None or module is None:
        return None
    return name if plain(look_up(module, name.qualname)) is function else None


def look_up(module: Any, qualname: str) -> Any:
    """What a dotted name leads to in a module; None when nothing."""
    found = module
    for part in qualname.split("."):
        found = inspect.getattr_static(found, part, None)
    return found


def plain(found: Any) -> Any:
    """The function of a task, or of a static method; anything else as it is."""
    if isinstance(found, staticmethod):
        return found.__func__
    return found if inspect.isfunction(found) else getattr(found, "function", found)
