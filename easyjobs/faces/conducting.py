"""A run of scripts from its beginning to its end, wherever it is: begun, watched, its failures told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import msgspec

from easyjobs.api.run_shapes import node_out, run_out
from easyjobs.background import Nursery
from easyjobs.core.job import Job
from easyjobs.core.states import FINAL
from easyjobs.errors import JobFailed
from easyjobs.faces.jobs_file import At
from easyjobs.faces.pulling import hub_on
from easyjobs.faces.taskmaster import COMPLETE, FAIL, READY, Order, done, failure, ready
from easyjobs.hub.embedded import Inlet
from easyjobs.hub.hub import Hub
from easyjobs.settings import manager_settings
from easyjobs.stores import open_store
from easyjobs.stores.memory import MemoryStore
from easyjobs.tasks.handle import Call, JobHandle
from easyjobs.workers.worker import EasyJobsWorker

Json: TypeAlias = dict[str, Any]
Look: TypeAlias = Callable[[str, float], Awaitable[tuple[Json, list[Json]]]]
"""A run and its tasks, as the API has them, when it has ended, or after so many seconds."""

PAGE: Final = 1000

EVERY: Final = 0.25
"""Seconds between two looks, at least."""

A_NODE: Final = 0.001
"""Seconds that the pause before a look is longer for each node of the run."""


class Failure(msgspec.Struct, frozen=True):
    """Why a script has failed: in `on_task_ready` or another event of it, or, where `event` is empty, by itself."""

    event: str
    type: str
    message: str
    traceback: str = ""


class Progress(msgspec.Struct, frozen=True):
    """A script of a run as it is now. Times are those of the API; `note` is what it says of itself."""

    at: At
    path: str
    state: str
    started_at: str | None = None
    finished_at: str | None = None
    attempt: int = 0
    share: float | None = None
    note: str = ""
    job: str | None = None
    failure: Failure | None = None


class Conductor:
    """Looks after one run.

    :param worker: offers its workflow and its events (`offer_run`), and is started.
    """

    def __init__(self, order: Order, worker: EasyJobsWorker, look: Look) -> None:
        self.order = order
        self._worker = worker
        self._look = look
        self._names = order.names()
        self._told: dict[At, JobHandle[Any]] = {}

    async def begin(self) -> str:
        """Make the run; its id. Raises Refused."""
        order = self.order
        (handle,) = await self._worker.submit([Call(order.queue, order.name, kwargs=order.arguments())])
        return handle.id

    async def follow(self, id: str, show: Callable[[Json, list[Progress]], None]) -> tuple[Json, list[Progress]]:
        """See a run through to its end: `show` what became of it, tell `on_task_fail` of each failure, once. How it
        ended. May be cancelled, and begun again; the run goes on meanwhile.
        """
        pause = 0.0
        while True:
            run, nodes = await self._look(id, pause)
            scripts = self._scripts(nodes, run["finished_at"] is not None)
            await self._tell(nodes, scripts)
            show(run, scripts)
            if run["finished_at"] is not None:
                return run, await self._with_last_words(scripts)
            pause = max(EVERY, len(nodes) * A_NODE)

    def _scripts(self, nodes: Sequence[Json], over: bool) -> list[Progress]:
        by_name = {node["name"]: node for node in nodes}
        return [self._script(at, path, by_name, over) for at, path in self.order.plan.scripts()]

    def _script(self, at: At, path: str, nodes: dict[str, Json], over: bool) -> Progress:
        name = self._names[at]
        own = nodes.get(name)
        if own is None:
            return Progress(at, path, "planned")
        parts = {"": own}
        if self.order.events is not None:
            parts = {READY: nodes[ready(name)], "": own, COMPLETE: nodes[done(name)]}
        failed = next(((event, part) for event, part in parts.items() if part["state"] == "failed"), None)
        state, last = own["state"], list(parts.values())[-1]
        if failed is not None:
            state = "failed"
        elif last["state"] in FINAL:
            state = last["state"]
        elif state in FINAL:
            # `on_task_complete` of it is running; or, where the run is over, never came to be
            state = last["state"] if over else "running"
        begun = [part["started_at"] for part in parts.values() if part["started_at"]]
        ended = [part["finished_at"] for part in parts.values() if part["finished_at"]] if state in FINAL else []
        said = own["progress"] or {}
        return Progress(
            at,
            path,
            state,
            own["started_at"] or (min(begun) if failed else None),
            max(ended, default=None),
            own["attempt"],
            said.get("value"),
            said.get("note") or "",
            own["job"],
            None if failed is None else _failure(*failed),
        )

    async def _tell(self, nodes: Sequence[Json], scripts: Sequence[Progress]) -> None:
        """Have `on_task_fail` told of what failed since."""
        if self.order.events is None:
            return
        fresh = [one for one in scripts if one.failure is not None and one.at not in self._told]
        if not fresh:
            return
        jobs = {node["name"]: node["job"] for node in nodes if node["state"] == "completed"}
        by_name = {node["name"]: node for node in nodes}
        for one in fresh:
            name = self._names[one.at]
            failed = next(
                by_name[part]["job"] for part in (ready(name), name, done(name)) if by_name[part]["state"] == "failed"
            )
            (self._told[one.at],) = await self._worker.submit([failure(self.order, one.at, failed, jobs)])

    async def _with_last_words(self, scripts: list[Progress]) -> list[Progress]:
        """Wait until all was told; what went wrong with that stands with the script."""
        wrong: dict[At, Failure] = {}
        for at, handle in self._told.items():
            try:
                await handle.result()
            except JobFailed as error:
                told = {key: str(error.error.get(key) or "") for key in ("type", "message", "traceback")}
                wrong[at] = Failure(FAIL, **told)
        return [
            msgspec.structs.replace(one, note=f"{FAIL} failed: {wrong[one.at].type}: {wrong[one.at].message}")
            if one.at in wrong
            else one
            for one in scripts
        ]


class Here:
    """A hub in this process, and the workers that were started on it."""

    def __init__(self, hub: Hub, nursery: Nursery) -> None:
        self.hub = hub
        self._nursery = nursery
        self._workers: list[EasyJobsWorker] = []
        self._ended: dict[str, Job] = {}

    async def start(self, worker: EasyJobsWorker) -> None:
        """Let a worker take its jobs from here."""
        inlet = Inlet(self.hub, self._nursery)
        worker.embed(inlet.dial, inlet.of_child)
        self._workers.append(worker)
        await worker.start()

    async def stop(self) -> None:
        """Let all workers end what they do."""
        for worker in self._workers:
            await worker.stop()

    async def look(self, id: str, seconds: float) -> tuple[Json, list[Json]]:
        """As `Look`. Raises NotFound."""
        await self.hub.wait(id, seconds)
        run = _json(run_out(await self.hub.runs.run(id)))
        nodes: list[Json] = []
        start: int | None = 0
        while start is not None:
            views, start = await self.hub.runs.nodes(id, start, PAGE, self._ended)
            nodes += [_json(node_out(view)) for view in views]
            self._ended.update((view.job.id, view.job) for view in views if view.job is not None and view.job.final)
        if run["finished_at"] is not None:
            self._ended.clear()
        return run, nodes


@asynccontextmanager
async def hub_here(url: str | None) -> AsyncIterator[Here]:
    """A hub in this process, on a store that others may use too or on memory; at the end its workers stop.

    :raises ConfigurationError, StoreError: there is no such store, or it cannot be opened.
    """
    nursery = Nursery("run")
    async with _hub(url) as hub:
        here = Here(hub, nursery)
        try:
            yield here
        finally:
            await here.stop()
            await nursery.close()


@asynccontextmanager
async def _hub(url: str | None) -> AsyncIterator[Hub]:
    store = open_store(manager_settings(store=url).store, shared=True)
    if not isinstance(store, MemoryStore):
        async with hub_on(url) as hub:
            yield hub
        return
    hub = Hub(store)
    await hub.start()
    try:
        yield hub
    finally:
        await hub.stop()


def _json(shape: Any) -> Json:
    found: Json = msgspec.json.decode(msgspec.json.encode(shape))
    return found


def _failure(event: str, part: Json) -> Failure:
    error = part["error"] or {}
    return Failure(event, *(str(error.get(key) or "") for key in ("type", "message", "traceback")))
