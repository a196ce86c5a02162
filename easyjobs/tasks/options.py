"""The options of tasks and of calls, judged where they are written: each refusal says what, where and what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict

from easyjobs.core import chain
from easyjobs.core.task import Need, Options
from easyjobs.errors import RegistrationError, Unprocessable
from easyjobs.tasks import schedules
from easyjobs.tasks.dependencies import Dependency
from easyjobs.tasks.schedules import RuleOptions
from easyjobs.tasks.scripts import Program

Duration = float | timedelta
"""Seconds, or a timedelta."""

_POLICIES = {"retry_once": "retry_once", "retry_always": "retry_always", "always": "retry_always", "never": "never"}
_PRIORITY = 2**31
_ELSEWHERE = frozenset(("process", "subprocess", "script", *schedules.NAMES))  # others judge them
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(?:([KMGT])i?)?B?\s*", re.IGNORECASE)
_LEAST_MEMORY = 1_048_576
_FAR = 1e12  # seconds; NaN is not below it either


class ScheduledOptions(RuleOptions, total=False):
    """What `@manager.scheduler(...)` takes besides the schedule and the name: how it recurs (`RuleOptions`), and this.

    `retries`: runs after the first; without it `retry_policy` decides: `retry_once` (default), `retry_always` (also
    `always`), `never`. `retry_delay`: seconds before each, times `backoff` from one to the next. `no_retry_on`:
    exception classes, or their names, that fail at once. `timeout`: of one attempt. `start_deadline`: from submission.
    `sla`: a job that has not begun so long after it was due is an alert, once.
    `priority`: higher first. `concurrency`: jobs at once over all workers. `process_units`: what a job takes of its
    machine while it runs (1). `unique`: True, or the names of parameters;
    one job at a time with those arguments. `run_before`: tasks that run first, side by side; `run_after`: tasks that
    get the result; `on_failure`: a task that gets the failure. Each by its name, "queue:name" where it is of another
    queue; it may be declared later, or by another worker. `process`: run the function in a fresh child process;
    `subprocess`: run `<WORKER_TASK_DIR>/<name>.py` in its place; `script`: run that script, by its path, with what the
    function returns as arguments. `max_memory`: of that child with all that it starts, in bytes or as "512MB".
    `dependencies`: jobs of other tasks that must have completed not long ago,
    `Dependency(foo, 2)` or a list. `write_all`: names of parameters with a list of values, for which "ALL" makes a job
    for each of them. `process_limit`: the same as `concurrency`.
    """

    retries: int | None
    retry_delay: Duration | None
    backoff: float | None
    retry_policy: str
    no_retry_on: Any
    timeout: Duration | None
    start_deadline: Duration | None
    sla: Duration | None
    priority: int
    concurrency: int | None
    process_units: int
    unique: bool | str | list[str] | tuple[str, ...]
    run_before: str | Sequence[str] | None
    run_after: str | Sequence[str] | None
    on_failure: str | None
    process: bool
    subprocess: bool
    script: str | Program | None
    max_memory: int | str | None
    dependencies: Dependency | Sequence[Dependency] | None
    write_all: str | Sequence[str]
    process_limit: int | None


class TaskOptions(ScheduledOptions, total=False):
    """What `@task(...)`, `@worker.task(...)` and `@manager.task(...)` take besides the name and the queue.

    `schedule`: a cron expression; the task runs by itself whenever it says so. All others: `ScheduledOptions`.
    """

    schedule: str | None


class WorkflowOptions(RuleOptions, total=False):
    """What `@workflow(...)`, `@worker.workflow(...)` and `@manager.workflow(...)` take besides the name and the queue.

    `schedule` and what belongs to it: as for tasks. `title`: for people. `concurrency`: runs that may go on at once;
    the others wait. `sla`: a run that has not begun so long after it was due is an alert, once. `priority`: of the
    runs, and of their jobs where nothing else is said. `start_deadline`, `unique`, `run_before`, `run_after`,
    `on_failure`: of the run as a whole, as for tasks.
    """

    schedule: str | None
    title: str
    concurrency: int | None
    sla: Duration | None
    priority: int
    start_deadline: Duration | None
    unique: bool | str | list[str] | tuple[str, ...]
    run_before: str | Sequence[str] | None
    run_after: str | Sequence[str] | None
    on_failure: str | None


class CallOptions(TypedDict, total=False):
    """What `.options(...)` takes: how one call differs from its task.

    `delay`: seconds from now, or `run_at`: seconds since 1970, or a datetime with a time zone. `key`: the same key
    again is the same job.
    """

    delay: Duration
    run_at: float | datetime
    priority: int
    key: str
    timeout: Duration
    retries: int
    start_deadline: Duration


class _Wrong(Exception):
    """What a value must be."""


def task_options(given: Mapping[str, Any], where: str) -> Options:
    """The options of a task as the manager keeps them.

    :param where: names the task and its place in the error.
    :raises RegistrationError: an option that does not exist, or a value outside its range.
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name in _ELSEWHERE:
            continue
        judge = _TASK.get(name)
        if judge is None:
            raise RegistrationError(f"{where}: {_unknown(name, (*_TASK, *_ELSEWHERE))}")
        field = _FIELDS.get(name, name)
        if field in found:
            twins = " and ".join(sorted(other for other in given if _FIELDS.get(other, other) == field))
            raise RegistrationError(f"{where}: {twins} say the same; give one of them")
        try:
            found[field] = judge(value)
        except _Wrong as wrong:
            raise RegistrationError(f"{where}: {name} must be {wrong}, not {value!r}") from None
    return Options(**found)


def workflow_options(given: Mapping[str, Any], where: str) -> tuple[Options, str]:
    """The options of a workflow as the manager keeps them, and its title.

    :raises RegistrationError: as `task_options`.
    """
    known = WorkflowOptions.__annotations__
    for name in given:
        if name not in known:
            raise RegistrationError(f"{where}: {_unknown(name, known)}")
    title = given.get("title", "")
    if not isinstance(title, str):
        raise RegistrationError(f"{where}: title must be text, not {title!r}")
    return task_options({name: value for name, value in given.items() if name != "title"}, where), title


def call_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of one call, ready for `Call(**...)`.

    :raises Unprocessable: one that does not exist, or a value outside its range; `errors` has its name.
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        judge = _CALL.get(name)
        if judge is None:
            raise _unprocessable(name, _unknown(name, _CALL))
        try:
            found[name] = judge(value)
        except _Wrong as wrong:
            raise _unprocessable(name, f"must be {wrong}, not {value!r}") from None
    if found.get("delay") is not None and found.get("run_at") is not None:
        raise _unprocessable("run_at", "give either delay or run_at")
    return found


def _unprocessable(name: str, message: str) -> Unprocessable:
    return Unprocessable("The options of the call are wrong.", errors=[{"loc": ["options", name], "message": message}])


def _unknown(name: str, table: Collection[str]) -> str:
    close = difflib.get_close_matches(name, table, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(table))}"
    return f"unknown option {name!r}; {hint}"


def _whole(least: int, what: str) -> Callable[[Any], int | None]:
    def judge(value: Any) -> int | None:
        if value is not None and (type(value) is not int or not least <= value < _PRIORITY):
            raise _Wrong(what)
        return value

    return judge


def _seconds(value: Any, what: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -_FAR < value < _FAR:
        raise _Wrong(what)
    return float(value)


def _positive(value: Any) -> float | None:
    what = "a positive number of seconds, or a timedelta"
    seconds = _seconds(value, what)
    if seconds is not None and seconds <= 0:
        raise _Wrong(what)
    return seconds


def _not_negative(value: Any) -> float | None:
    what = "0 or more seconds, or a timedelta"
    seconds = _seconds(value, what)
    if seconds is not None and seconds < 0:
        raise _Wrong(what)
    return seconds


def _factor(value: Any) -> float | None:
    factor = _seconds(value, "a number of at least 1")
    if factor is not None and (factor < 1 or isinstance(value, timedelta)):
        raise _Wrong("a number of at least 1")
    return factor


def _moment(value: Any) -> float | None:
    what = "seconds since 1970, or a datetime with a time zone"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise _Wrong(what)
        return value.timestamp()
    if isinstance(value, timedelta):
        raise _Wrong(what)
    return _seconds(value, what)


def _priority(value: Any) -> int:
    if type(value) is not int or not -_PRIORITY <= value < _PRIORITY:
        raise _Wrong("an integer of 32 bits")
    return value


def _policy(value: Any) -> str:
    if not isinstance(value, str) or value not in _POLICIES:
        raise _Wrong(f"one of {', '.join(_POLICIES)}")
    return _POLICIES[value]


def _exceptions(value: Any) -> tuple[str, ...]:
    names = []
    for kind in value if isinstance(value, (list, tuple, set, frozenset)) else [value]:
        if isinstance(kind, type) and issubclass(kind, BaseException):
            names.append(kind.__name__)
        elif isinstance(kind, str) and kind:
            names.append(kind)
        else:
            raise _Wrong("an exception class, the name of one, or a list of them")
    return tuple(names)


def _parameters(value: Any) -> bool | tuple[str, ...]:
    if isinstance(value, bool):
        return value
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, (list, tuple)) else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise _Wrong("True, False, or names of the task's parameters")
    return names


def _tasks(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(names, (list, tuple)):
        raise _Wrong("the name of a task, or a list of names")
    if len(names) > chain.MOST:
        raise _Wrong(f"at most {chain.MOST} names")
    return tuple(dict.fromkeys(_named(name) for name in names))


def _needs(value: Any) -> tuple[Need, ...]:
    needs = [value] if isinstance(value, (Dependency, Need)) else [] if value is None else value
    if not isinstance(needs, (list, tuple)) or not all(isinstance(need, (Dependency, Need)) for need in needs):
        raise _Wrong("a Dependency, or a list of them")
    return tuple(need if isinstance(need, Need) else need.need() for need in needs)


def _names(value: Any) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) and name for name in names):
        raise _Wrong("names of the task's parameters")
    return tuple(dict.fromkeys(names))


def _task(value: Any) -> str | None:
    return None if value is None else _named(value)


def _named(value: Any) -> str:
    what = "the name of a task: 'task', or 'queue:task' of another queue"
    if not isinstance(value, str):
        raise _Wrong(what)
    try:
        chain.resolve(value, "here")
    except RegistrationError:
        raise _Wrong(what) from None
    return value


def _memory(value: Any) -> int | None:
    """Bytes; K, M, G and T are powers of 1024, as the tools that people look at memory with have it."""
    if value is None:
        return None
    size = value if type(value) is int else -1
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)) is not None:
        size = int(float(match[1]) * 1024 ** (" KMGT".index((match[2] or " ").upper())))
    if not _LEAST_MEMORY <= size < 2**62:
        raise _Wrong('bytes (a mebibyte at least), or text such as "512MB"')
    return size


def _key(value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise _Wrong("text")
    return value


_TASK: Mapping[str, Callable[[Any], Any]] = {
    "retries": _whole(0, "0 or more"),
    "retry_delay": _not_negative,
    "backoff": _factor,
    "retry_policy": _policy,
    "no_retry_on": _exceptions,
    "timeout": _positive,
    "start_deadline": _positive,
    "sla": _positive,
    "priority": _priority,
    "concurrency": _whole(1, "1 or more"),
    "process_units": _whole(1, "1 or more"),
    "unique": _parameters,
    "run_before": _tasks,
    "run_after": _tasks,
    "on_failure": _task,
    "max_memory": _memory,
    "dependencies": _needs,
    "write_all": _names,
    "process_limit": _whole(1, "1 or more"),
}
_FIELDS: Mapping[str, str] = {"dependencies": "needs", "process_limit": "concurrency"}
_CALL: Mapping[str, Callable[[Any], Any]] = {
    "delay": _not_negative,
    "run_at": _moment,
    "priority": _priority,
    "key": _key,
    "timeout": _positive,
    "retries": _whole(0, "0 or more"),
    "start_deadline": _positive,
}
