"""Calling what is bound to a queue: a job is made, and awaited or not. While a workflow is drawn, a node of it."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Coroutine, Mapping
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, cast

from easyjobs.core.signature import Signature
from easyjobs.core.task import TaskSpec
from easyjobs.errors import ConfigurationError, RegistrationError
from easyjobs.tasks import drawing
from easyjobs.tasks.handle import Call, Caller, JobHandle
from easyjobs.tasks.options import CallOptions, call_options

P = ParamSpec("P")
R = TypeVar("R")


class Bound(Generic[P, R]):
    """A task or workflow of a queue. Calling it makes a job and awaits its result.

    `name` and `queue` say where its jobs go; `caller` makes them (None: nobody does).
    """

    def __init__(self, caller: Caller | None, queue: str, name: str) -> None:
        self._caller = caller
        self.queue = queue
        self.name = name

    @property
    def spec(self) -> TaskSpec:
        """All that the manager is told."""
        raise NotImplementedError

    def names(self) -> Signature | None:
        """Its parameters, as far as they can be told without reading an annotation."""
        raise NotImplementedError

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Make a job and await its result, also where the function is no coroutine.

        In the function of a workflow: have it be a task of that; gives a `drawing.Reference`.

        :raises ArgumentsRefused: the arguments do not fit (nothing was sent). Refused, ConnectionLost: no job was made.
            JobFailed, JobCancelled: it ended otherwise.
        """
        return Prepared(self, {})(*args, **kwargs)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, JobHandle[R]]:
        """Make a job; returns once it is durable. Raises as a call does, but for the job's own end."""
        return Prepared(self, {}).enqueue(*args, **kwargs)

    def options(self, **options: Unpack[CallOptions]) -> Prepared[P, R]:
        """The same with options for one call: `await task.options(delay=60).enqueue(1)`.

        :raises Unprocessable: an option that does not exist, or a value outside its range.
        """
        return Prepared(self, call_options(options))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.queue}:{self.name}>"


class Prepared(Generic[P, R]):
    """A task or workflow, `bound`, with the options of a call. May be called any number of times."""

    __slots__ = ("_options", "bound")

    def __init__(self, bound: Bound[P, R], options: dict[str, Any]) -> None:
        self.bound = bound
        self._options = options

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Make a job and await its result; see `Bound`."""
        graph = drawing.current()
        if graph is None:
            return self._awaited(args, kwargs)
        node = graph.add(self.bound, args, kwargs, priority=self.priority)
        return cast("Coroutine[Any, Any, R]", node)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, JobHandle[R]]:
        """Make a job; returns once it is durable; see `Bound`."""
        if drawing.current() is not None:
            raise RegistrationError(f"task {self.bound.name!r}: enqueue makes a job now; in a workflow, call the task")
        return self._make(args, kwargs, wait=False)

    @property
    def priority(self) -> int | None:
        """That of a node: of the options of a call the only one that a call in a workflow has.

        :raises RegistrationError: there are others.
        """
        others = sorted(self._options.keys() - {"priority"})
        if others:
            raise RegistrationError(
                f"task {self.bound.name!r}: in a workflow, a call has no option {others[0]!r}, only a priority; the "
                "others are the task's own"
            )
        priority: int | None = self._options.get("priority")
        return priority

    async def _awaited(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> R:
        handle = await self._make(args, kwargs, wait=True)
        return await handle

    async def _make(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, wait: bool) -> JobHandle[R]:
        bound = self.bound
        caller = bound._caller
        if caller is None:
            raise ConfigurationError(f"{bound!r} is bound to no worker or manager, so that no job can be made of it")
        bound.spec.signature.bind(args, kwargs)
        call = Call(bound.queue, bound.name, args, kwargs, wait=wait, **self._options)
        (handle,) = await caller.submit([call])
        return handle


# `app.get("/")(task)` asks whether calling a task gives a coroutine; it does, although it is no `async def`
if sys.version_info >= (3, 12):
    inspect.markcoroutinefunction(Bound.__call__)
else:
    Bound.__call__._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
