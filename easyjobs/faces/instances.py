"""One execution of a task of Taskflow, as its `execute` sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from easyjobs.tasks.context import JobContext, Level


class Parents(Mapping[str, Any]):
    """The results of the tasks that came before, by their names; each is fetched when it is first asked for."""

    def __init__(self, ids: Mapping[str, str], fetch: Callable[[str], Any]) -> None:
        self._ids = ids
        self._fetch = fetch
        self._results: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._results:
            self._results[name] = self._fetch(self._ids[name])
        return self._results[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


class TaskInstance:
    """One execution of a task.

    `id`: that of its job; `run`: of the run that it is part of, or None; `task_name`, `workflow_name`; `attempt`,
    counted from 1; `params`: its parameters; `parents`: the results of the tasks that it depends on, by their names.
    """

    def __init__(
        self,
        context: JobContext,
        task_name: str,
        workflow_name: str | None,
        run: str | None,
        params: dict[str, Any],
        parents: Mapping[str, Any],
    ) -> None:
        self._context = context
        self.id = context.id
        self.attempt = context.attempt
        self.task_name = task_name
        self.workflow_name = workflow_name
        self.run = run
        self.params = params
        self.parents = parents

    @property
    def cancelled(self) -> bool:
        """Whether it should stop; may be read from any thread."""
        return self._context.cancelled

    def log(self, text: str, level: Level = "info") -> None:
        """Add a line to the job's log."""
        self._context.log(text, level)

    def progress(self, value: float | None, note: str = "") -> None:
        """Show how far it is: from 0 to 1, or None."""
        self._context.progress(value, note)

    def __repr__(self) -> str:
        return f"<TaskInstance {self.task_name} {self.id} attempt {self.attempt}>"
