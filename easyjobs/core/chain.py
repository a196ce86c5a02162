"""Chains: which tasks follow which (`run_before`, `run_after`, `on_failure`), and what a follower is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec

from easyjobs.core.events import error_text, reason_of
from easyjobs.core.job import Job
from easyjobs.core.signature import Signature
from easyjobs.core.task import Options, is_name
from easyjobs.core.workflow import Graph
from easyjobs.errors import ArgumentsRefused, RegistrationError

MOST: Final = 1000
"""How many prerequisites one job may get, directly or not, and how many jobs one end may make: all in one commit."""


class TaskName(NamedTuple):
    """A task wherever it lives."""

    queue: str
    task: str


class CallTexts(NamedTuple):
    """Arguments as jobs keep them: JSON text of an array and of an object."""

    args: str
    kwargs: str


def resolve(name: str, queue: str) -> TaskName:
    """The task that a task of `queue` calls `name`: "task" is of the same queue, "queue:task" of another.

    :raises RegistrationError: it can name no task.
    """
    other, colon, task = name.rpartition(":")
    found = TaskName(other if colon else queue, task)
    if not is_name(found.queue) or not is_name(found.task):
        raise RegistrationError(f"{name[:300]!r} cannot name a task; write 'task', or 'queue:task' of another queue")
    return found


def check(task: TaskName, options_of: Callable[[TaskName], Options | None]) -> None:
    """Refuse a task whose chains cannot be. `options_of` knows all tasks there are, `task` among them, and says None
    for those that nobody has declared yet. Call it for each task that was declared or changed.

    :raises RegistrationError: a name that can name no task; a chain that comes back to where it began (says the
        path; only `on_failure` may name its own task); or one that makes too many jobs at once.
    """
    made: dict[TaskName, int] = {}  # task -> a job of it together with all its prerequisites
    path: dict[TaskName, Iterator[TaskName]] = {task: _following(task, options_of)}
    while path:
        name = next(reversed(path))
        for following in path[name]:
            if following in path:
                names = list(path)
                raise RegistrationError(
                    f"a chain of tasks may not come back: {_drawn([*names[names.index(following) :], following])}"
                )
            if following not in made:
                path[following] = _following(following, options_of)
                break
        else:
            del path[name]
            made[name] = _weighed(name, options_of(name) or Options(), made)


def check_graphs(
    task: TaskName, graph_of: Callable[[TaskName], Graph | None], options_of: Callable[[TaskName], Options | None]
) -> None:
    """Refuse a workflow whose runs would make runs of it without end: in themselves, or by the chains of their tasks.
    `options_of` is that of `check`, `graph_of` knows the workflows among them, and says None for all other tasks. What
    is mapped over may be empty, and so end. Call it for each workflow, and each task with chains, that was declared.

    :raises RegistrationError: it comes back to itself (says the path).
    """
    done: set[TaskName] = set()
    path: dict[TaskName, Iterator[TaskName]] = {task: _made_by(task, graph_of, options_of)}
    while path:
        name = next(reversed(path))
        for inner in path[name]:
            if inner in path:
                names = list(path)
                drawn = _drawn([*names[names.index(inner) :], inner])
                raise RegistrationError(f"a workflow may not contain itself: {drawn}")
            if inner not in done:
                path[inner] = _made_by(inner, graph_of, options_of)
                break
        else:
            del path[name]
            done.add(name)


def _made_by(
    name: TaskName, graph_of: Callable[[TaskName], Graph | None], options_of: Callable[[TaskName], Options | None]
) -> Iterator[TaskName]:
    graph = graph_of(name)
    if graph is not None:
        yield from dict.fromkeys(resolve(node.task, name.queue) for node in graph.nodes if node.over is None)
    yield from _following(name, options_of)


def _following(name: TaskName, options_of: Callable[[TaskName], Options | None]) -> Iterator[TaskName]:
    """All tasks that the end or the submission of `name` starts, whatever the way."""
    options = options_of(name)
    if options is None:
        return
    for other in (*options.run_before, *options.run_after):
        yield resolve(other, name.queue)
    if options.on_failure is not None:
        handler = resolve(options.on_failure, name.queue)
        if handler != name:  # it does not start itself again: see `handler_of`
            yield handler


def _weighed(name: TaskName, options: Options, made: dict[TaskName, int]) -> int:
    before = sum(made[resolve(other, name.queue)] for other in options.run_before)
    after = sum(made[resolve(other, name.queue)] for other in options.run_after)
    for count, what in ((before, "run_before"), (after, "run_after")):
        if count > MOST:
            raise RegistrationError(f"{what} of {_drawn([name])} makes {count} jobs at once; {MOST} are allowed")
    return 1 + before


def _drawn(names: list[TaskName]) -> str:
    """Task names as their author wrote them: with the queue where there are several."""
    alone = len({name.queue for name in names}) == 1
    return " → ".join(name.task if alone else f"{name.queue}:{name.task}" for name in names)


def handler_of(job: Job, options: Options) -> TaskName | None:
    """The task that looks after the failure of `job`; None where there is none, or where `job` is that task itself,
    looking after a failure: it does not start itself again.
    """
    if options.on_failure is None:
        return None
    handler = resolve(options.on_failure, job.queue)
    return None if job.relation == "failure" and handler == (job.queue, job.task) else handler


def arguments(value: str, signature: Signature) -> CallTexts:
    """How a follower is given the JSON text `value`: an object whose keys bind to the parameters by name, anything else
    as the one argument by place. Types are not judged: what code wrote is passed on as it is.

    :raises ArgumentsRefused: it binds in neither way.
    """
    decoded = msgspec.json.decode(value)
    if type(decoded) is dict:
        try:
            signature.bind((), decoded)
        except ArgumentsRefused:
            pass
        else:
            return CallTexts("[]", value)
    signature.bind((decoded,), {})
    return by_place(value)


def by_place(value: str) -> CallTexts:
    """A call with the JSON text `value` as its one argument. `the_argument` gives it back."""
    return CallTexts(f"[{value}]", "{}")


def the_argument(args: str) -> str:
    """The JSON text that `by_place` made `args` of."""
    return args[1:-1]


class _Failure(msgspec.Struct):
    job: str
    task: str
    queue: str
    error: msgspec.Raw
    attempts: int
    args: msgspec.Raw
    kwargs: msgspec.Raw


def failure(job: Job, error: str | None, most: int) -> str:
    """What `on_failure` is given of `job`, which failed with `error` (JSON text): the JSON text of `{job, task, queue,
    error{type, message, traceback}, attempts, args, kwargs}`. Where that is more than `most` bytes, the arguments are
    null, and if that is not enough the error has one line and no traceback.
    """
    about, args, kwargs = (_readable(text) for text in (error or "null", job.args, job.kwargs))
    told = _Failure(job.id, job.task, job.queue, about, job.attempt, args, kwargs)
    text = msgspec.json.encode(told)
    if len(text) > most:
        told.args = told.kwargs = msgspec.Raw(b"null")
        text = msgspec.json.encode(told)
    if len(text) > most:
        kind, _, message = reason_of(error).partition(": ")
        told.error = msgspec.Raw(error_text(kind, message).encode())
        text = msgspec.json.encode(told)
    return text.decode()


def _readable(text: str) -> msgspec.Raw:
    """JSON text as it is; one that is none, as happens where a row is damaged, as a string."""
    raw = text.encode(errors="replace")
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raw = msgspec.json.encode(raw.decode())
    return msgspec.Raw(raw)
