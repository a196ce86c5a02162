"""Tasks and workflows of which everything is said already, as those are that were not declared as functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from easyjobs.core.signature import Signature
from easyjobs.core.task import Options, TaskSpec
from easyjobs.errors import RegistrationError
from easyjobs.tasks.calling import Bound
from easyjobs.tasks.decorator import BoundTask
from easyjobs.tasks.handle import Caller
from easyjobs.tasks.scripts import Program
from easyjobs.tasks.workflows import BoundWorkflow

Offered: TypeAlias = BoundTask[Any, Any] | BoundWorkflow[Any, Any]


class OfferedTask(BoundTask[Any, Any]):
    """A task whose `spec` was made elsewhere; `function` runs it, or says with which words `program` does."""

    def __init__(
        self, spec: TaskSpec, function: Callable[..., Any], caller: Caller | None, program: Program | None = None
    ) -> None:
        super().__init__(function, caller, spec.queue, spec.name, {} if program is None else {"script": program})
        self._options = spec.options
        self.default_args = spec.default_args
        self.no_retry_on = spec.options.no_retry_on
        self._spec = spec

    @property
    def spec(self) -> TaskSpec:
        """All that the manager is told."""
        return self._spec

    def names(self) -> Signature:
        """Its parameters."""
        return self._spec.signature


class OfferedWorkflow(BoundWorkflow[Any, Any]):
    """A workflow whose `spec` was made elsewhere."""

    def __init__(self, spec: TaskSpec, caller: Caller | None) -> None:
        if spec.graph is None:
            raise RegistrationError(f"workflow {spec.name!r} has no tasks")
        Bound.__init__(self, caller, spec.queue, spec.name)
        self.graph = spec.graph
        self.source = cast("Any", spec.graph)
        self._spec = spec

    @property
    def declared(self) -> Options:
        """The options that it was declared with."""
        return self._spec.options

    @property
    def spec(self) -> TaskSpec:
        """All that the manager is told."""
        return self._spec

    def names(self) -> Signature:
        """Its parameters."""
        return self._spec.signature


def offered(
    spec: TaskSpec, function: Callable[..., Any] | None, caller: Caller | None, program: Program | None = None
) -> Offered:
    """The task or workflow of `spec`.

    :raises RegistrationError: it is a task without a function, or a workflow without tasks.
    """
    if spec.kind == "workflow":
        return OfferedWorkflow(spec, caller)
    if function is None:
        raise RegistrationError(f"task {spec.name!r} has no function")
    return OfferedTask(spec, function, caller, program)
