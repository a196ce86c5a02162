"""An application of Taskflow for the stories; its own program, too."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tasks import effect

from easyjobs import BashTask, Task, Taskflow, TaskInstance, Workflow


class Marks(Task):
    """Notes that it ran, and returns what its parents did with its own name."""

    def execute(self, task_instance: TaskInstance) -> Any:
        effect(task_instance.task_name)
        return [*(name for part in task_instance.parents.values() for name in part), task_instance.task_name]


class AsyncMarks(Marks):
    async def execute(self, task_instance: TaskInstance) -> Any:
        return super().execute(task_instance)


class Needs(Marks):
    """Fails unless there is a file."""

    def execute(self, task_instance: TaskInstance) -> Any:
        if not Path(task_instance.params["file"]).exists():
            raise FileNotFoundError(task_instance.params["file"])
        return super().execute(task_instance)


class BrokenMonitor:
    def task_success(self, report: Any) -> None:
        raise RuntimeError("this monitor is broken")


class Told:
    def workflow_success(self, report: Any) -> None:
        print(f"told: {report.task} succeeded", file=sys.stderr)

    def workflow_failed(self, report: Any) -> None:
        print(f"told: {report.task} failed", file=sys.stderr)


diamond = Workflow(name="diamond", concurrency=None, schedule="0 0 1 1 *")
top = Marks(name="top", workflow=diamond, concurrency=None)
left = Marks(name="left", workflow=diamond, concurrency=None).depends_on(top)
right = AsyncMarks(name="right", workflow=diamond, concurrency=None).depends_on(top)
BashTask("echo from the shell", name="shell", workflow=diamond, concurrency=None).depends_on(top)
Marks(name="bottom", workflow=diamond, concurrency=None).depends_on(left, right)

shaky = Workflow(name="shaky")
first = Marks(name="first", workflow=shaky)
needs = Needs(name="needs", workflow=shaky, params={"file": "needed"}).depends_on(first)
Marks(name="last", workflow=shaky).depends_on(needs)

taskflow = Taskflow(monitors=[BrokenMonitor(), Told()])
taskflow.add_workflows([diamond, shaky])
taskflow.add_tasks([Marks(name="pushed", push_destination="aws_batch"), Needs(name="alone", params={"file": "needed"})])

if __name__ == "__main__":
    taskflow.cli()
