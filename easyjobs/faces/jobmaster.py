"""JobMaster: plain functions become tasks, a database their queue, and whoever calls `run` works it off."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any, TypeVar

import msgspec

from easyjobs.background import Nursery
from easyjobs.core.job import Job
from easyjobs.core.task import TaskSpec
from easyjobs.errors import ConfigurationError
from easyjobs.faces.emptying import until_empty
from easyjobs.faces.engines import store_url
from easyjobs.hub.embedded import Inlet, nowhere
from easyjobs.hub.hub import Hub
from easyjobs.hub.settings import hub_settings
from easyjobs.ids import Ids
from easyjobs.protocol.messages import Submission
from easyjobs.settings import manager_settings, worker_settings
from easyjobs.stores import open_store
from easyjobs.stores.beginning import begin
from easyjobs.tasks.decorator import Task
from easyjobs.tasks.dependencies import validate_dependencies
from easyjobs.workers.worker import EasyJobsWorker

log = logging.getLogger("easyjobs")

R = TypeVar("R")


class RanJob(msgspec.Struct, frozen=True):
    """A job that ended in a `run`. `error` is {type, message, traceback} of its last failure."""

    id: str
    type_key: str
    task_key: str
    priority: int
    arguments: dict[str, Any]
    state: str
    result: Any = None
    error: dict[str, str] | None = None


class JobMaster:
    """The tasks of a project, and the database with their jobs.

    The tasks are the functions marked with `@task` in `modules`, by default in all modules that are loaded when they
    are needed; the queue of each is its type key. Managers and workers on the same store and schema share the jobs.

    :param db_engine: where the jobs are: a URL ("postgresql://…", also as SQLAlchemy writes it, or
        "sqlite:///jobs.db"), or an engine of SQLAlchemy.
    :param schema: where the tables are, in PostgreSQL.
    :param system_process_units: what the jobs that run on this machine may take together; else
        JOBMASTER_SYSTEM_PROCESS_UNITS, else 10,000.
    :param slots: how many jobs one `run` works on at a time.
    :raises ConfigurationError: a value will not do.
    """

    def __init__(
        self,
        db_engine: Any,
        schema: str = "jobmaster",
        system_process_units: int | None = None,
        _validate_dependencies: bool = True,
        *,
        modules: Sequence[ModuleType] | None = None,
        slots: int = 1,
    ) -> None:
        self._url = store_url(db_engine, schema)
        self._validate = _validate_dependencies
        self._modules = modules
        self._slots = slots
        self._units = system_process_units
        self._settings = hub_settings(manager_settings(store=self._url))
        worker_settings(jobs_queue="any", max_tasks_per_worker=slots, system_process_units=system_process_units)
        open_store(self._url)  # what will not do is refused here

    def tasks(self) -> list[TaskSpec]:
        """The tasks as managers know them.

        :raises RegistrationError: one of them cannot be, or its dependencies cannot (says why).
        """
        specs = self._worker().specs()
        if self._validate:
            for warning in validate_dependencies(specs):
                log.warning("%s", warning)
        return specs

    def worker(self, **options: Any) -> EasyJobsWorker:
        """A worker of a manager, for these tasks, each in the queue of its type key: to be started, or run.

        :param options: as the worker's own; `manager_url` and `manager_secret` before all.
        :raises ConfigurationError, RegistrationError: as the worker's constructor and its `include`.
        """
        worker = EasyJobsWorker(**{"system_process_units": self._units, **options})
        for module in self._modules if self._modules is not None else _modules_with_tasks():
            worker.include(module, by_type_key=True)
        return worker

    def deploy(self, _reset: bool = False) -> None:
        """Make the tables, or bring them up to date, and say which tasks there are. May be called again, and must be
        after a task has changed. A task that is not there any more leaves its jobs waiting.

        :param _reset: remove the tables first, with all jobs.
        """
        _run(self.deploy_async(_reset))

    async def deploy_async(self, _reset: bool = False) -> None:
        """As `deploy`, on an event loop."""
        specs = self.tasks()
        if not specs:
            log.warning("no module with tasks is loaded: import those that have them before they are deployed")
        store = open_store(self._url, shared=True)
        if _reset:
            await store.reset(specs)
        else:
            await begin(store, specs)

    def insert_job(
        self, type_key: str, task_key: str, priority: int = 0, arguments: Mapping[str, Any] | None = None
    ) -> str:
        """Put a job into the queue; its id.

        :raises Refused: no such task, or wrong arguments (says which). ConfigurationError: nothing was ever deployed
            there.
        """
        return _run(self.insert_job_async(type_key, task_key, priority, arguments))

    async def insert_job_async(
        self, type_key: str, task_key: str, priority: int = 0, arguments: Mapping[str, Any] | None = None
    ) -> str:
        """As `insert_job`, on an event loop."""
        raw = msgspec.Raw(json.dumps(dict(arguments or {})).encode())
        async with self._hub() as hub:
            submission = Submission(hub.job_id(), type_key, task_key, msgspec.Raw(b"[]"), raw, priority)
            (submitted,) = await hub.submit([submission])
            return submitted.job.id

    def run(self, slots: int | None = None) -> list[RanJob]:
        """Work until the queue is empty, in this process, without a manager; the jobs that ended, in that order.

        Jobs that are put off until later are left for the next run, and so are those that nobody may begin now: paused,
        of other modules, beyond a limit that others hold. A failed job that is tried again within a minute is waited
        for; so is one that runs in another process of which nothing is heard: if that one is dead, it runs again here.
        May be called as often as one likes, also at the same time in several processes and beside a manager (with a
        SQLite file all on one host), and where an event loop runs, which stands still meanwhile. If it is interrupted,
        it lets what it has begun end, for at most 25 seconds, and leaves the others.

        :param slots: how many jobs to work on at a time, in place of the number that was given to the constructor.
        :raises ConfigurationError: nothing was ever deployed there. RegistrationError: what workers of other modules
            depend on and these tasks together go round in a circle.
        """
        return _run(self.run_async(slots))

    async def run_async(self, slots: int | None = None) -> list[RanJob]:
        """As `run`, on an event loop."""
        async with self._hub() as hub:
            nursery = Nursery("jobmaster")
            inlet = Inlet(hub, nursery)
            ended: list[Job] = []
            hub.announcer.watchers.append(ended.append)
            worker = self._worker(slots)
            worker.embed(inlet.dial, inlet.of_child)
            await worker.start()
            try:
                await until_empty(hub, worker)
                return [_shown(job) for job in ended]
            finally:
                await worker.stop()
                await nursery.close()

    @asynccontextmanager
    async def _hub(self) -> AsyncIterator[Hub]:
        hub = Hub(open_store(self._url, shared=True), settings=self._settings)
        await hub.start()
        try:
            if not hub.catalog.entries:
                raise ConfigurationError("No task was ever deployed there: call jobmaster.deploy() first.")
            yield hub
        finally:
            await hub.stop()

    def _worker(self, slots: int | None = None) -> EasyJobsWorker:
        name = f"{socket.gethostname()}:{os.getpid()}:{Ids().token()[:6]}"
        slots = self._slots if slots is None else slots
        return self.worker(jobs_queue="DEFAULT", max_tasks_per_worker=slots, name=name, connect=nowhere, embedded=True)


def _modules_with_tasks() -> list[ModuleType]:
    """The modules that are loaded and declare tasks of their own, by name."""
    found = {}
    for name, module in list(sys.modules.items()):
        values = list(getattr(module, "__dict__", {}).values())
        if any(isinstance(value, Task) and value.function.__module__ == name for value in values):
            found[name] = module
    return [found[name] for name in sorted(found)]


def _shown(job: Job) -> RanJob:
    args = msgspec.json.decode(job.args)
    arguments = msgspec.json.decode(job.kwargs)
    if args:
        arguments = {"args": args, **arguments}
    return RanJob(
        job.id,
        job.queue,
        job.task,
        job.priority,
        arguments,
        job.state,
        None if job.result is None else msgspec.json.decode(job.result),
        None if job.error is None else msgspec.json.decode(job.error),
    )


def _run(work: Coroutine[Any, Any, R]) -> R:
    """Run it to its end; where an event loop runs already, in a thread of its own, and that loop waits."""
    if not _on_a_loop():
        return asyncio.run(work)
    log.warning("an event loop stands still: on a loop, write `await jobmaster.%s_async(…)`", _name_of(work))
    with ThreadPoolExecutor(1, "jobmaster") as thread:
        return thread.submit(asyncio.run, work).result()


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _name_of(work: Coroutine[Any, Any, Any]) -> str:
    return str(getattr(work, "__name__", "")).removesuffix("_async")
