"""Taskmaster's events: somebody's `on_task_ready`, `on_task_complete` and `on_task_fail`, and the task they get."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import os
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from easyjobs.errors import ConfigurationError
from easyjobs.faces.jobs_file import At, Plan

EVENTS: Final = ("on_task_ready", "on_task_complete", "on_task_fail")
NEARLY: Final = 0.85  # as like as `on_task_failed` is to `on_task_fail`
KEPT_APART: Final = ("args", "job", "parents", "children")
"""Keys of a task that no result of its script hides."""


class ScriptTask(dict[str, Any]):
    """A script of a run, as events see it: `t["args"]`, `t["job"]`, `t["parents"]`, `t["children"]`, whatever its
    script's result has, and whatever events put there, which must be JSON. In `on_task_fail` also `t["error"]`.

    `script` is its path, `step` the number of its step, `result` its script's result as it was, `error` why it failed,
    `{"type", "message", "traceback"}`; None where there is none. What an event changes in it stays; what it changes
    in parents and children does not.
    """

    def __init__(self, script: str, step: int, job: Mapping[str, Any], data: Mapping[str, Any] | None) -> None:
        super().__init__({"args": [], **(data or {})})
        self.update({"job": job, "parents": [], "children": []})
        self.script = script
        self.step = step
        self.result: dict[str, Any] | None = None
        self.error: dict[str, Any] | None = None

    def __missing__(self, key: str) -> Any:
        raise KeyError(f"{key} (of {self.script}: there is {', '.join(self) or 'nothing'})")

    def take(self, result: Any) -> None:
        """Have what its script gave."""
        self.result = result if isinstance(result, dict) else {"result": result}
        self.update({key: value for key, value in self.result.items() if key not in KEPT_APART})

    def kept(self) -> dict[str, Any]:
        """What is kept of it: all but those that are found anew."""
        return {key: value for key, value in self.items() if key not in ("job", "parents", "children")}


class Events:
    """What a run calls: any of `EVENTS` that `source` has, plain functions or coroutine functions. Those that are plain
    run in a thread, one at a time.

    :param name: what a person calls it.
    :raises ConfigurationError: it has none of them, or a name that one of them seems to be meant by.
    """

    def __init__(self, source: Any, name: str) -> None:
        self.name = name
        self._calls = {event: getattr(source, event) for event in EVENTS if callable(getattr(source, event, None))}
        if not self._calls:
            raise ConfigurationError(f"{name} has no {', '.join(EVENTS[:-1])} or {EVENTS[-1]}")
        for event in set(EVENTS).difference(self._calls):
            for near in get_close_matches(event, dir(source), cutoff=NEARLY):
                raise ConfigurationError(f"{name} has {near}, which nothing would call: is {event} meant?")
        self._one_at_a_time = asyncio.Lock()

    async def tell(self, event: str, task: ScriptTask) -> None:
        """Call one, if it is there. Raises what it raises."""
        call = self._calls.get(event)
        if call is None:
            return
        if inspect.iscoroutinefunction(call):
            await call(task)
            return
        async with self._one_at_a_time:
            answer = await asyncio.to_thread(call, task)
        if inspect.isawaitable(answer):
            await answer


def find_events(target: str) -> Events:
    """The events that `target` names: a file ("events.py"), or a module, with functions of these names, or with one
    class that has them; or a class or object in it ("events.py:Class", "package.module:object").

    :raises ConfigurationError: there is no such thing, or no event in it; an error in the file is raised as it is.
    """
    where, _, path = target.rpartition(":") if ":" in target else (target, "", "")
    module = _file(where) if where.endswith(".py") else _module(where)
    source: Any = module
    if path:
        for part in path.split("."):
            if not hasattr(source, part):
                raise ConfigurationError(f"{where} has no {path!r}")
            source = getattr(source, part)
    elif not _has_events(module):
        classes = [one for one in vars(module).values() if inspect.isclass(one) and _has_events(one)]
        own = [one for one in classes if one.__module__ == module.__name__] or classes
        if len(own) != 1:
            names = ", ".join(f"{where}:{one.__name__}" for one in own)
            what = f"several; name one: {names}" if own else f"no {', '.join(EVENTS)}"
            raise ConfigurationError(f"the events {target!r}: it has {what}")
        source = own[0]
    if inspect.isclass(source):
        try:
            source = source()
        except TypeError as error:
            raise ConfigurationError(f"the events {target!r}: {error}; name an object of it instead") from None
    return Events(source, target)


def settled(target: str) -> str:
    """`target` so that it is the same from another working folder, if it is a file."""
    where, colon, path = target.rpartition(":") if ":" in target else (target, "", "")
    return f"{Path(where).resolve()}{colon}{path}" if where.endswith(".py") else target


def task_at(plan: Plan, at: At, data: Mapping[str, Any] | None, parents: Mapping[At, Mapping[str, Any]]) -> ScriptTask:
    """The task of a script with its `data`, and its parents with theirs."""

    def made(at: At, data: Mapping[str, Any] | None) -> ScriptTask:
        return ScriptTask(plan.path(at), at.step, plan.jobs[at.job].data, data)

    task = made(at, data)
    task["parents"] = [made(parent, parents.get(parent)) for parent in plan.step_before(at)]
    task["children"] = [made(child, None) for child in plan.step_after(at)]
    for parent in task["parents"]:
        parent["children"] = [task]
    for child in task["children"]:
        child["parents"] = [task]
    return task


def words_of(task: ScriptTask) -> list[str | int | float | bool]:
    """The arguments that `on_task_ready` left, paths as text.

    :raises TypeError: they are no list of text, paths, numbers and booleans.
    """
    args = task["args"]
    if not isinstance(args, (list, tuple)):
        raise TypeError(f't["args"] must be a list, not {type(args).__name__}')
    found = [os.fspath(one) if isinstance(one, os.PathLike) else one for one in args]
    for number, one in enumerate(found):
        if not isinstance(one, (str, int, float)):
            raise TypeError(
                f't["args"][{number}] must be text, a path, a number or a boolean, not {type(one).__name__}'
            )
    return found


def _has_events(source: object) -> bool:
    return any(callable(getattr(source, event, None)) for event in EVENTS)


def _file(path: str) -> ModuleType:
    file = Path(path).resolve()
    if not file.is_file():
        raise ConfigurationError(f"there is no file {path!r} of events")
    name = file.stem
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path!r} cannot be read as Python")
    _beside(str(file.parent))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _module(name: str) -> ModuleType:
    _beside(str(Path.cwd()))
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError(
            f"{name!r} is no module's name; of events a file (events.py) or module:Class is wanted"
        )
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ConfigurationError(f"there is no module {name!r} (searched from {Path.cwd()})") from None


def _beside(folder: str) -> None:
    """What lies in this folder can be imported."""
    if folder not in sys.path:
        sys.path.insert(0, folder)
