"""What people and programs may see of workflows and their runs. Reads; changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from easyjobs.core.groups import progress_of
from easyjobs.core.job import Job
from easyjobs.core.picture import Seen
from easyjobs.core.states import FINAL, State
from easyjobs.core.workflow import Graph, Node
from easyjobs.errors import Conflict, NotFound
from easyjobs.hub.catalog import Catalog, Entry
from easyjobs.hub.running import node_id
from easyjobs.stores.base import JobQuery, Store

RunState: TypeAlias = Literal["queued", "running", "stopping", "completed", "failed", "cancelled", "skipped"]
"""Of a run: it waits for its turn; its nodes go on; they are being cancelled; or as the job that it is."""

PAGE: Final = 1000
NOTHING: Final[Mapping[str, Job]] = {}
MOST_DRAWN: Final = 2000
"""Nodes of a run of which a picture shows the states."""


class RunView(msgspec.Struct):
    """A run. `counts`: its jobs by state, as far as they are made. `nodes`: how many its graph has, None where that is
    not known any more.
    """

    job: Job
    state: RunState
    counts: dict[State, int]
    nodes: int | None


class NodeView(msgspec.Struct):
    """A node of a run and its job; None where that is not made yet, or was `removed`."""

    node: Node
    job: Job | None
    removed: bool


class WorkflowView(msgspec.Struct):
    """A workflow as it was registered last; `open_runs` of it have not ended."""

    entry: Entry
    graph: Graph
    open_runs: int


class Runs:
    """Workflows by name, runs by id."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog
        self.learn: Callable[[], Awaitable[None]] = _nothing

    async def workflow(self, name: str) -> WorkflowView:
        """The workflow "name", or "queue:name" where two queues have one of that name.

        :raises NotFound: there is none. Conflict: there are several.
        """
        found = self._named(name)
        if not found:
            await self.learn()
            found = self._named(name)
        if len(found) > 1:
            names = ", ".join(f"{entry.lane.queue}:{entry.lane.task}" for entry in found)
            raise Conflict(f"There are several workflows {name!r}: say which of {names}.")
        if not found:
            known = ", ".join(entry.lane.task for entry in self._workflows()) or "none yet"
            raise NotFound(f"No workflow {name[:300]!r}; known: {known}.")
        return (await self._views(found))[0]

    async def workflows(self) -> list[WorkflowView]:
        """All of them, by queue and name, but for those that were made for one run."""
        return await self._views(self._workflows())

    async def page(self, query: JobQuery) -> tuple[list[RunView], int | None]:
        """Runs, newest first, and the `before` of the page that follows."""
        page = await self._store.find(msgspec.structs.replace(query, runs=True))
        return await self._shown(page.items), page.next

    async def run(self, id: str) -> RunView:
        """One run. Raises NotFound, also where the job `id` is none."""
        run = await self._job(id)
        await self._known(run)
        return (await self._shown([run]))[0]

    async def nodes(
        self, id: str, start: int, limit: int, ended: Mapping[str, Job] = NOTHING
    ) -> tuple[list[NodeView], int | None]:
        """The nodes of a run from number `start` on, each after those it waits for; the number of the next.

        :param ended: jobs by id that were seen to have ended here, and are not read again.
        :raises NotFound: no such run, or its graph is not known any more.
        """
        run = await self._job(id)
        graph = await self._known(run)
        if graph is None:
            raise NotFound(f"The workflow of run {id} is not known any more; its jobs are listed with ?run={id}.")
        nodes = graph.nodes[start : start + limit]
        ids = [node_id(id, node.name) for node in nodes]
        rows = {**ended, **await self._store.jobs([id for id in ids if id not in ended], bare=True)}
        views = []
        made = progress_of(run).upto
        for index, (node, of_node) in enumerate(zip(nodes, ids, strict=True), start):
            job = rows.get(of_node)
            views.append(NodeView(node, job, removed=job is None and index < made))
        following = start + limit
        return views, following if following < len(graph.nodes) else None

    async def states(self, run: Job, graph: Graph) -> dict[str, Seen]:
        """How the nodes of a run are, by name: of the first `MOST_DRAWN`."""
        states: dict[str, Seen] = {}
        nodes = graph.nodes[:MOST_DRAWN]
        states.update(dict.fromkeys((node.name for node in nodes[: progress_of(run).upto]), "removed"))
        for start in range(0, len(nodes), PAGE):
            ids = {node_id(run.id, node.name): node.name for node in nodes[start : start + PAGE]}
            states.update((ids[id], row.state) for id, row in (await self._store.jobs(list(ids), bare=True)).items())
        return states

    async def _known(self, run: Job) -> Graph | None:
        """As `graph`, also where another manager alone has heard of it so far."""
        if self.graph(run) is None:
            await self.learn()
        return self.graph(run)

    def graph(self, run: Job) -> Graph | None:
        """The graph that a run went by; None where it is not known any more."""
        entry = self._catalog.by_lane(run.lane)
        return None if entry is None else entry.spec.graph

    def _named(self, name: str) -> list[Entry]:
        queue, _, task = name.rpartition(":")
        named = [
            entry
            for entry in self._catalog.entries
            if entry.spec.graph is not None and entry.lane.task == task and queue in ("", entry.lane.queue)
        ]
        return [entry for entry in named if not entry.spec.passing] or named

    def _workflows(self) -> list[Entry]:
        return [entry for entry in self._catalog.shown if entry.spec.graph is not None]

    async def _views(self, entries: list[Entry]) -> list[WorkflowView]:
        live: Counter[tuple[str, str]] = Counter()
        for count in await self._store.counts():
            live[count.queue, count.task] += count.jobs
        return [
            WorkflowView(entry, entry.spec.graph, live[entry.lane.queue, entry.lane.task])
            for entry in entries
            if entry.spec.graph is not None
        ]

    async def _job(self, id: str) -> Job:
        job = (await self._store.jobs([id])).get(id)
        if job is None or not job.is_run:
            raise NotFound(f"No run {id[:64]!r}.")
        return job

    async def _shown(self, jobs: list[Job]) -> list[RunView]:
        counts = await self._store.by_run([job.id for job in jobs])
        views = []
        for job in jobs:
            graph = self.graph(job)
            views.append(RunView(job, _state(job), counts.get(job.id, {}), None if graph is None else len(graph.nodes)))
        return views


def _state(job: Job) -> RunState:
    if job.cancel is not None and job.state not in FINAL:
        return "stopping"
    match job.state:
        case "waiting" | "running":
            return "running"
        case "queued" | "retry":
            return "queued"
    return job.state


async def _nothing() -> None:
    """This manager is alone: it knows all workflows."""
