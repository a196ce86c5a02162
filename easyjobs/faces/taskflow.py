"""Taskflow: tasks and workflows put together, and the ways to run them: pull workers, a scheduler, an API server, the
command line.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any, Final, TypeVar

import msgspec

from easyjobs.core.job import Job
from easyjobs.core.task import TaskSpec, is_name
from easyjobs.errors import ConfigurationError, NotFound, RegistrationError
from easyjobs.faces.instances import Parents, TaskInstance
from easyjobs.faces.pulling import hub_on
from easyjobs.faces.run_here import run_here
from easyjobs.faces.tasks import Priority, Task, Workflow, merged, priority_of
from easyjobs.hub.embedded import nowhere
from easyjobs.hub.hub import Hub
from easyjobs.protocol.messages import Submission
from easyjobs.tasks.context import current_job
from easyjobs.tasks.encoding import encode_arguments
from easyjobs.tasks.handle import JobHandle
from easyjobs.workers.worker import EasyJobsWorker

T = TypeVar("T")

QUEUE: Final = "taskflow"


class Taskflow:
    """The tasks and workflows of an application.

    :param store: where the jobs are: a URL; else EASYJOBS_STORE, else a SQLite file.
    :param queue: the queue of all of them; two applications on one store have one each.
    :param monitors: destinations that are told what happens (`easyjobs.LogMonitor` and the like), by the processes of
        this application.
    :raises ConfigurationError: a value will not do.
    """

    def __init__(self, store: str | None = None, *, queue: str = QUEUE, monitors: Sequence[Any] = ()) -> None:
        if not is_name(queue):
            raise ConfigurationError(f"{queue!r} cannot name a queue: 1 to 128 of A-Z a-z 0-9 _ . -")
        self.store = store
        self.queue = queue
        self.monitors = list(monitors)
        self.workflows: dict[str, Workflow] = {}
        self.tasks: dict[str, Task] = {}

    # -- putting together

    def add_workflows(self, workflows: Iterable[Workflow]) -> None:
        """Add workflows, with all of their tasks.

        :raises RegistrationError: one has the name of another, or cannot be.
        """
        for one in _all_are(Workflow, workflows, "add_workflows"):
            if one.name in self.workflows and self.workflows[one.name] is not one:
                raise RegistrationError(f"there are two workflows {one.name!r}")
            one.spec(self.queue)
            self._keep_apart(one.name, *(task.job_name for task in one.tasks), besides=one)
            self.workflows[one.name] = one

    def add_tasks(self, tasks: Iterable[Task]) -> None:
        """Add tasks that are part of no workflow.

        :raises RegistrationError: one has the name of another, is part of a workflow, or cannot be.
        """
        for one in _all_are(Task, tasks, "add_tasks"):
            if one.workflow is not None:
                raise RegistrationError(
                    f"task {one.name!r} is part of workflow {one.workflow.name!r}: add that, with add_workflows"
                )
            if one.name in self.tasks and self.tasks[one.name] is not one:
                raise RegistrationError(f"there are two tasks {one.name!r}")
            one.spec(self.queue)
            self._keep_apart(one.name, besides=one)
            self.tasks[one.name] = one

    def _keep_apart(self, *names: str, besides: Task | Workflow) -> None:
        taken = {name: task for name, task in self.all_tasks().items() if task is not besides}
        flows: dict[str, object] = {name: flow for name, flow in self.workflows.items() if flow is not besides}
        if isinstance(besides, Workflow):
            taken = {name: task for name, task in taken.items() if task.workflow is not besides}
        for name in names:
            there = taken.get(name) or flows.get(name)
            if there is not None:
                raise RegistrationError(f"{name!r} names {there!r} already")

    def all_tasks(self) -> dict[str, Task]:
        """All tasks by the names of their jobs: "workflow.task" where they are part of one."""
        inside = {task.job_name: task for flow in self.workflows.values() for task in flow.tasks}
        return {**inside, **self.tasks}

    def specs(self) -> list[TaskSpec]:
        """All of it as managers know it. Raises RegistrationError where something cannot be."""
        tasks = [task.spec(self.queue) for task in self.all_tasks().values()]
        return tasks + [one.spec(self.queue) for one in self.workflows.values()]

    def puller(self, **settings: Any) -> EasyJobsWorker:
        """A worker that takes its jobs straight from the store: see `faces.pulling`."""
        return self.worker(connect=nowhere, embedded=True, **settings)

    def worker(self, **settings: Any) -> EasyJobsWorker:
        """A worker of a manager that runs all of it; the settings are those of `EasyJobsWorker`."""
        worker = EasyJobsWorker(self.queue, **settings)
        for task in self.all_tasks().values():
            self._offer(worker, task)
        for one in self.workflows.values():
            worker.offer(one.spec(self.queue))
        return worker

    def only(self, name: str, **settings: Any) -> EasyJobsWorker:
        """As `worker`, of one task alone. Raises NotFound."""
        worker = EasyJobsWorker(self.queue, **settings)
        self._offer(worker, self._task(name))
        return worker

    def _offer(self, worker: EasyJobsWorker, task: Task) -> None:
        worker.offer(task.spec(self.queue), _function(task, worker), task.program)

    def _task(self, name: str) -> Task:
        tasks = self.all_tasks()
        if name not in tasks:
            raise NotFound(f"No task {name!r}; there are: {', '.join(sorted(tasks)) or 'none'}.")
        return tasks[name]

    # -- making jobs, straight in the store

    async def queue_task_async(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        priority: Priority | None = None,
        run_at: float | None = None,
        key: str | None = None,
    ) -> Job:
        """Make a job of the task `name` ("workflow.task" of one that is part of a workflow). The job, stored.

        :raises NotFound: there is no such task. Refused: it may not be.
        """
        self._task(name)
        return await self._queue(name, {"params": dict(params or {})}, priority, run_at, key)

    async def queue_workflow_async(
        self,
        name: str,
        params: Mapping[str, Any] | None = None,
        *,
        tasks: Mapping[str, Mapping[str, Any]] | None = None,
        priority: Priority | None = None,
        run_at: float | None = None,
        key: str | None = None,
    ) -> Job:
        """Start a run of the workflow `name`: with `params` for all its tasks, and those in `tasks` for single ones, by
        name. The run, stored.

        :raises NotFound: there is no such workflow. Refused: it may not be.
        """
        if name not in self.workflows:
            raise NotFound(f"No workflow {name!r}; there are: {', '.join(sorted(self.workflows)) or 'none'}.")
        return await self._queue(
            name, {"params": dict(params or {}), "tasks": dict(tasks or {})}, priority, run_at, key
        )

    async def _queue(
        self, name: str, kwargs: dict[str, Any], priority: Priority | None, run_at: float | None, key: str | None
    ) -> Job:
        _, text = encode_arguments([], kwargs)
        async with self.hub() as hub:
            (submitted,) = await hub.submit(
                [
                    Submission(
                        hub.job_id(),
                        self.queue,
                        name,
                        kwargs=msgspec.Raw(text),
                        priority=None if priority is None else priority_of(priority),
                        run_at=run_at,
                        key=key,
                    )
                ]
            )
            return submitted.job

    async def run_task_async(self, task: str, params: Mapping[str, Any] | None = None) -> Job:
        """Run one job here and now, once: a new one of the task of this name, or the one of this id, which must wait
        for a worker, or for being pushed: this is what it may be pushed to. The job as it is then; one that failed and
        has retries left is in state `retry`. To cancel this cancels a new job, and hands back one that was there.

        :raises NotFound: there is no such task or job. Conflict: the job cannot begin now.
        """
        async with self.hub() as hub:
            return await run_here(hub, self, task, dict(params or {}))

    @asynccontextmanager
    async def hub(self) -> AsyncIterator[Hub]:
        """A hub on the store that knows all of it, as long as the context is open; it schedules nothing."""
        specs = self.specs()
        async with hub_on(self.store, monitors=self.monitors, passing=True) as hub:
            await hub.declare(specs)
            yield hub

    # -- the command line

    def cli(self, arguments: Sequence[str] | None = None) -> None:
        """The commands of this application, as `python main.py --help` lists them; for `if __name__ == "__main__":`."""
        import_module("easyjobs.cli.taskflow").main(self, arguments)


def _all_are(kind: type[T], given: Iterable[T], called: str) -> Iterable[T]:
    """What was given to be added, which people get wrong: one in place of a list, tasks for workflows."""
    listed = list(given) if isinstance(given, Iterable) else [given]
    for one in listed:
        if not isinstance(one, kind) or one is given:
            raise RegistrationError(f"{called} takes a list of {kind.__name__}s, not {one!r}")
    return listed


def _kill(task: Task, instance: TaskInstance) -> None:
    if instance.cancelled:  # having read it, an `execute` that ends because of this has not completed
        task.on_kill(instance)


def _function(task: Task, worker: EasyJobsWorker) -> Callable[..., Any]:
    """What a worker calls for a job of `task`."""
    name, flow = task.name, None if task.workflow is None else task.workflow.name

    def instance(run: str | None, params: dict[str, Any], parents: Mapping[str, Any]) -> TaskInstance:
        made = TaskInstance(current_job(), name, flow, run, params, parents)
        if type(task).on_kill is not Task.on_kill:
            current_job().when_cancelled(lambda: _kill(task, made))
        return made

    if inspect.iscoroutinefunction(task.execute):

        async def execute(
            params: dict[str, Any] = {},  # noqa: B006 - read only
            given: dict[str, Any] = {},  # noqa: B006
            parents: dict[str, str] = {},  # noqa: B006
            run: str | None = None,
        ) -> Any:
            results = {parent: await worker.result(id) for parent, id in parents.items()}
            return await task.execute(instance(run, merged(task, given, params), results))

        return execute

    def execute_in_thread(
        params: dict[str, Any] = {},  # noqa: B006
        given: dict[str, Any] = {},  # noqa: B006
        parents: dict[str, str] = {},  # noqa: B006
        run: str | None = None,
    ) -> Any:
        def fetch(id: str) -> Any:
            return worker.wait(JobHandle(worker, id, worker.settings.jobs_queue[0], name))

        return task.execute(instance(run, merged(task, given, params), Parents(parents, fetch)))

    return execute_in_thread
