"""Taskmaster: a plan of jobs, steps and scripts becomes a workflow; its scripts and events are tasks of workers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from easyjobs.core import workflow
from easyjobs.core.schedule import Rule
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import DefaultArgs, Options, TaskSpec, is_name
from easyjobs.core.workflow import Graph, Node, Take
from easyjobs.errors import ConfigurationError, JobFailed
from easyjobs.faces.jobs_file import At, Plan, plan_of
from easyjobs.faces.script_events import EVENTS, Events, ScriptTask, task_at, words_of
from easyjobs.hub.embedded import nowhere
from easyjobs.hub.submission import HIGHEST_PRIORITY
from easyjobs.tasks.decorator import BoundTask
from easyjobs.tasks.handle import Call
from easyjobs.tasks.scripts import name_of_script
from easyjobs.workers.worker import EasyJobsWorker

READY, COMPLETE, FAIL = EVENTS
EVENTS_AT_ONCE: Final = 16
"""Events that one process tells at once."""

_LONGEST: Final = 100
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_PARAMETERS: Final = Signature(
    (
        Parameter("jobs", {"type": "array"}, description="What the file holds."),
        Parameter("folder", {"type": "string"}, description="Where its scripts are."),
        Parameter("scripts", {"type": "string"}, description="The queue of its scripts."),
        Parameter("events", {"type": ["string", "null"]}, description="What is told of them."),
    )
)


class Order(msgspec.Struct, frozen=True):
    """A run, as far as it is the same wherever it goes on: its `plan`, what it is called and where its jobs are.

    `queue` is its own, that of its events; `scripts` that of its scripts, which may be others' too. `events` names
    them (`find_events`), if there are any. One that is `lasting` will have other runs.
    """

    plan: Plan
    name: str
    queue: str
    folder: str
    scripts: str
    events: str | None = None
    lasting: bool = False

    @classmethod
    def fresh(
        cls,
        plan: Plan,
        name: str,
        queue: str,
        folder: str,
        events: str | None,
        scripts: str = "",
        *,
        lasting: bool = False,
    ) -> Order:
        """A new one. The `queue` must be its own; without `scripts` it has another for these too."""
        name = clean(name)[:_LONGEST]
        name = f"{name}_" if name in EVENTS or not is_name(name) else name
        return cls(plan, name, queue, folder, scripts or f"{queue}.scripts", events, lasting)

    @classmethod
    def of_run(cls, queue: str, name: str, arguments: Mapping[str, Any]) -> Order:
        """The one that a run was made by.

        :raises ConfigurationError: it is none of ours.
        """
        try:
            plan = plan_of(arguments["jobs"])
            folder, scripts, events = (arguments[key] for key in ("folder", "scripts", "events"))
        except (KeyError, ConfigurationError):
            raise ConfigurationError(f"the run {queue}:{name} is not one of a file of jobs") from None
        return cls(plan, name, queue, folder, scripts, events)

    @property
    def apart(self) -> bool:
        """Whether its scripts have a queue of their own too, which nobody else serves."""
        return self.scripts == f"{self.queue}.scripts"

    def arguments(self) -> dict[str, Any]:
        """Those of the run: all that `of_run` needs."""
        return {
            "jobs": [job.data for job in self.plan.jobs],
            "folder": self.folder,
            "scripts": self.scripts,
            "events": self.events,
        }

    def names(self) -> dict[At, str]:
        """What the scripts are called in the run: "Bonds/bonds/bonds.py", each once."""
        unique = _Unique()
        return {at: unique(f"{_legal(self.plan.jobs[at.job].name)}/{_legal(path)}") for at, path in self.plan.scripts()}

    def tasks(self) -> dict[str, str]:
        """What the tasks of the scripts are called, by their paths."""
        paths = dict.fromkeys(path for _, path in self.plan.scripts())
        if not self.apart:
            return {path: name_of_script(path) for path in paths}
        unique = _Unique()
        return {path: unique(_UNFIT.sub("_", name_of_script(path))[-_LONGEST:]) for path in paths}

    def spec(self, rule: Rule | None = None) -> TaskSpec:
        """The workflow, with a schedule if it has one."""
        call = None if rule is None else DefaultArgs(kwargs=msgspec.json.encode(self.arguments()).decode())
        doc = f"{len(self.plan.jobs)} jobs of {self.name}"
        graph = Graph(workflow.order(self._nodes()))
        options = Options(retries=0)
        return TaskSpec(
            self.queue,
            self.name,
            _PARAMETERS,
            options,
            doc,
            "workflow",
            call,
            rule,
            graph=graph,
            passing=not self.lasting,
        )

    def _nodes(self) -> Iterator[Node]:
        names, tasks = self.names(), self.tasks()
        for at, path in self.plan.scripts():
            job = self.plan.jobs[at.job]
            priority = max(-HIGHEST_PRIORITY, min(HIGHEST_PRIORITY, -job.priority))
            name, title = names[at], f"{job.name}: {path}"
            task = f"{self.scripts}:{tasks[path]}"
            parents = [names[parent] for parent in self.plan.step_before(at)]
            if self.events is None:
                yield Node(name, task, tuple(parents), priority=priority, title=title)
                continue
            given = msgspec.json.encode({"at": at, "parents": {}}).decode()
            before = tuple(
                Take(("kwargs", "parents", str(number)), done(parent)) for number, parent in enumerate(parents)
            )
            yield Node(
                ready(name),
                f"{self.queue}:{READY}",
                kwargs=given,
                takes=before,
                priority=priority,
                title=f"{title}, {READY}",
            )
            yield Node(
                name,
                task,
                takes=(Take(("kwargs", "args"), ready(name), ("args",)),),
                priority=priority,
                title=title,
            )
            after = (Take(("kwargs", "data"), ready(name)), Take(("kwargs", "result"), name))
            yield Node(
                done(name),
                f"{self.queue}:{COMPLETE}",
                kwargs=given,
                takes=(*before, *after),
                priority=priority,
                title=f"{title}, {COMPLETE}",
            )


def clean(text: str) -> str:
    """`text` with nothing that the name of a task may not have."""
    return _UNFIT.sub("_", text)


def by_frequency(plan: Plan) -> dict[int, Plan]:
    """The jobs of a plan by their frequency, in days."""
    days = sorted({job.frequency for job in plan.jobs})
    return {number: Plan(tuple(job for job in plan.jobs if job.frequency == number)) for number in days}


def ready(name: str) -> str:
    """The node in which `on_task_ready` of a script is called."""
    return f"{name}:ready"


def done(name: str) -> str:
    """The node in which `on_task_complete` of a script is called."""
    return f"{name}:complete"


def script_worker(orders: Sequence[Order], slots: int) -> EasyJobsWorker:
    """A worker of the scripts of orders that have them for themselves; it is not given a hub yet.

    :raises RegistrationError: one cannot run here.
    """
    queues = [order.scripts for order in orders]
    worker = EasyJobsWorker(queues, max_tasks_per_worker=slots, connect=nowhere, embedded=True)
    for order in orders:
        for path, name in order.tasks().items():
            _inside(worker.script(path, namespace=order.scripts, name=name, folder=order.folder, retries=0))
    return worker


def host(
    orders: Sequence[tuple[Order, Rule | None]],
    events: Events | None,
    *,
    url: str | None = None,
    secret: str | None = None,
    begun: bool = False,
) -> EasyJobsWorker:
    """A worker that brings along the workflows of orders, with their schedules, and tells their events. Without the
    `url` of a manager it is not given a hub yet.

    :param begun: their runs have begun, and go by the workflows that are known: nothing is said of these.
    :raises ConfigurationError: the URL or the secret will not do.
    """
    settings: dict[str, Any] = {"manager_url": url, "manager_secret": secret}
    if url is None:
        settings = {"connect": nowhere, "embedded": True}
    worker = EasyJobsWorker([order.queue for order, _ in orders], max_tasks_per_worker=EVENTS_AT_ONCE, **settings)
    for order, rule in orders:
        if not begun:
            worker.offer(order.spec(rule))
        if events is not None:
            for name, function in _Told(worker, order.plan, events).functions().items():
                _inside(worker.task(namespace=order.queue, name=name, retries=0)(function))
    return worker


def forget(worker: EasyJobsWorker, queue: str, name: str, order: Order) -> None:
    """Have `worker` take away the schedule that an earlier order of that queue and name had, and the workflow with the
    last of its runs.
    """
    worker.offer(msgspec.structs.replace(order.spec(), queue=queue, name=name, passing=True))


def failure(order: Order, at: At, failed: str, jobs: Mapping[str, str]) -> Call:
    """The job that tells `on_task_fail` of a script; made again, it is the same one.

    :param failed: the id of the job that failed: the script's, or that of an event before or after it.
    :param jobs: ids of the jobs of the run that have completed, by node.
    """
    names = order.names()
    name = names[at]
    parents = {
        str(n): jobs[done(names[one])] for n, one in enumerate(order.plan.step_before(at)) if done(names[one]) in jobs
    }
    kwargs = {"at": at, "failed": failed, "parents": parents, "data": jobs.get(ready(name)), "result": jobs.get(name)}
    return Call(order.queue, FAIL, kwargs=kwargs, key=f"{FAIL}:{failed}")


class _Told:
    """What a worker calls to tell the events of a run."""

    def __init__(self, worker: EasyJobsWorker, plan: Plan, events: Events) -> None:
        self._worker = worker
        self._plan = plan
        self._events = events

    def functions(self) -> dict[str, Any]:
        """By the names of the tasks."""

        async def on_task_ready(at: list[int], parents: dict[str, Any]) -> Any:
            """Says that a script may begin; gives its arguments."""
            task = self._task(at, None, parents)
            await self._events.tell(READY, task)
            task["args"] = words_of(task)
            return task.kept()

        async def on_task_complete(at: list[int], parents: dict[str, Any], data: dict[str, Any], result: Any) -> Any:
            """Says that a script has succeeded; gives what its children see of it."""
            task = self._task(at, data, parents)
            task.take(result)
            await self._events.tell(COMPLETE, task)
            return task.kept()

        async def on_task_fail(
            at: list[int], failed: str, parents: dict[str, str], data: str | None, result: str | None
        ) -> None:
            """Says that a script has failed, or an event of it."""
            fetch = self._worker.result
            found = {number: await fetch(id) for number, id in parents.items()}
            task = self._task(at, None if data is None else await fetch(data), found)
            if result is not None:
                task.take(await fetch(result))
            try:
                await fetch(failed)
            except JobFailed as error:
                task.error = task["error"] = dict(error.error)
            await self._events.tell(FAIL, task)

        return {READY: on_task_ready, COMPLETE: on_task_complete, FAIL: on_task_fail}

    def _task(self, at: Iterable[int], data: dict[str, Any] | None, parents: Mapping[str, Any]) -> ScriptTask:
        place = At(*at)
        before = self._plan.step_before(place)
        return task_at(self._plan, place, data, {before[int(number)]: found for number, found in parents.items()})


class _Unique:
    """Names, each given once."""

    def __init__(self) -> None:
        self._given: dict[str, int] = {}  # each with the number that the next of its name is tried with

    def __call__(self, name: str) -> str:
        found = name
        while found in self._given:
            number = self._given[name]
            found, self._given[name] = f"{name}-{number}", number + 1
        self._given[found] = 2
        return found


def _legal(text: str) -> str:
    return "/".join(_UNFIT.sub("_", part) for part in text.split("/"))[:_LONGEST]


def _inside(task: BoundTask[Any, Any]) -> None:
    """Have `task` for our runs alone."""
    task.spec = msgspec.structs.replace(task.spec, passing=True)
