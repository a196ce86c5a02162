"""What the manager knows of a task: its names, its parameters, its options. No code of it ever comes here."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from easyjobs.core.job import Lane
from easyjobs.core.schedule import Rule
from easyjobs.core.signature import Signature
from easyjobs.core.workflow import Graph

NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")

RetryPolicy = Literal["retry_once", "retry_always", "never"]


def is_name(text: str) -> bool:
    """Whether `text` may name a queue or a task: 1 to 128 of `A-Z a-z 0-9 _ . -`, and not `.` or `..`."""
    return NAME.match(text) is not None and text.strip(".") != ""


Kind = Literal["async", "thread", "process", "script", "workflow"]
"""How the jobs of a task are run."""

Operator = Literal["+", "-", "*", "/", "//", "%"]


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an argument is to be: a `constant`; or the `same` as the argument of that name, after some `steps`: of each
    the operator, the other number, and whether that one stands on the left.
    """

    constant: Any = None
    same: str | None = None
    steps: tuple[tuple[Operator, int | float | str, bool], ...] = ()


class Need(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job of another task must have completed within so many seconds before, with what is `given` as arguments."""

    task: str  # "task", or "queue:task" of another queue
    within: float
    given: tuple[tuple[str, Value], ...] = ()


class Options(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=False):
    """How the jobs of a task are run. Seconds where it is a time.

    `retries` counts the runs after the first; None leaves it to `retry_policy`. `unique` is True, or the names of the
    parameters that must be equal.
    """

    retries: int | None = None
    retry_policy: RetryPolicy = "retry_once"
    retry_delay: float | None = None
    backoff: float | None = None  # factor between delays; 1 keeps them equal
    no_retry_on: tuple[str, ...] = ()  # names of exception classes
    timeout: float | None = None
    start_deadline: float | None = None
    priority: int = 0
    concurrency: int | None = None  # jobs of the task that may run at once, over all workers
    unique: bool | tuple[str, ...] = False
    run_before: tuple[str, ...] = ()  # tasks that must complete first: "task", or "queue:task" of another queue
    run_after: tuple[str, ...] = ()  # tasks that get its result
    on_failure: str | None = None  # task that gets its failure
    max_memory: int | None = None  # bytes of a child process, with all that it starts
    needs: tuple[Need, ...] = ()  # what must be fresh when it begins
    write_all: tuple[str, ...] = ()  # parameters for which "ALL" means a job for each value
    process_units: int = 1  # what a job takes of its machine while it runs
    sla: float | None = None  # a job that has not begun by then is an alert, once


class DefaultArgs(msgspec.Struct, frozen=True, omit_defaults=True):
    """The arguments of a job that nobody gave any (of a tick, of a prerequisite), in JSON as its author wrote them."""

    args: str = "[]"
    kwargs: str = "{}"


class TaskSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task as a worker registers it and the manager keeps it. With a `graph` it is a workflow: its jobs are runs, and
    no worker ever executes one.
    """

    queue: str
    name: str
    signature: Signature
    options: Options = Options()
    doc: str = ""
    kind: Kind = "async"
    default_args: DefaultArgs | None = None
    schedule: Rule | None = None
    meta: dict[str, Any] = {}
    graph: Graph | None = None
    destination: str | None = None  # where its jobs are pushed: no worker takes them
    title: str = ""  # for people; the name where it is empty
    passing: bool = False  # there for certain runs only: not shown to people, and forgotten with the last of its jobs

    @property
    def lane(self) -> Lane:
        """The lane of its jobs. Another graph is another lane: runs go by the one that they began with."""
        hash = self.signature.hash
        return Lane(self.queue, self.name, hash if self.graph is None else self.graph.hash(hash))

    @property
    def max_attempts(self) -> int:
        """How many failures end a job: `retries` + 1, else by policy (0: no end)."""
        if self.options.retries is not None:
            return self.options.retries + 1
        return {"retry_once": 2, "retry_always": 0, "never": 1}[self.options.retry_policy]
