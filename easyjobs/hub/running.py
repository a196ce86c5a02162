"""Runs of workflows: how one becomes the jobs of its nodes, how those get the results of each other, and how it ends.
Decides what is to be written with a job's own row, by facts that were read before; writes nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from easyjobs.core import chain, groups, workflow
from easyjobs.core.chain import CallTexts
from easyjobs.core.changes import AddEdge, Charge, Release
from easyjobs.core.events import Bound, Gathered, Spread, error_text, reason_of
from easyjobs.core.groups import PAGE, Progress
from easyjobs.core.job import Edge, Job, Lane
from easyjobs.core.states import COMPLETED, WAITING
from easyjobs.core.workflow import Calling, Graph, Node
from easyjobs.errors import ArgumentsRefused
from easyjobs.hub.catalog import Catalog, Entry
from easyjobs.hub.chains import Chains, Joins, Links
from easyjobs.hub.entries import Facts
from easyjobs.hub.submission import arguments_of, turn_of
from easyjobs.ids import derived_id
from easyjobs.protocol.messages import Limits

LIVE_AT_ONCE: Final = 1000
"""Jobs of a run that it begins to wait for in one transaction, where they go on although its last nodes have ended."""

_decode = msgspec.json.decode


def node_id(run: str, name: str) -> str:
    """The id of the job that a node of a run is."""
    return derived_id(run, f"node:{name}")


def item_id(map_node: str, index: int) -> str:
    """The id of the job of one item of a map."""
    return derived_id(map_node, f"item:{index}")


class Running:
    """Each call may be made again, with newer facts; ids come out the same."""

    def __init__(self, catalog: Catalog, chains: Chains, limits: Limits) -> None:
        self._catalog = catalog
        self._chains = chains
        self._depth = limits.depth
        self._most = limits.result
        self._leaves: dict[Lane, tuple[Graph, frozenset[str]]] = {}
        self._turns: dict[str, Callable[[Job], list[str]]] = {
            "expand": self._sources_of_run,
            "bind": self._sources_of_node,
            "map": self._sources_of_map,
            "close": self._sources_of_end,
            "gather": self._sources_of_list,
        }

    # -- before

    def sources(self, row: Job) -> list[str]:
        """The jobs of which something must be known when the turn of `row` is taken."""
        find = self._turns.get(row.turn or "")
        try:
            return [] if find is None else find(row)
        except (ArgumentsRefused, msgspec.DecodeError):
            return []  # what cannot be read is refused when the turn is taken

    def _sources_of_run(self, row: Job) -> list[str]:
        graph = self._graph(row)
        start = groups.progress_of(row).upto
        if graph is None or not (start or row.retry_of):
            return []
        nodes = graph.nodes[start : start + PAGE]
        here = {node.name for node in nodes}
        firsts = dict.fromkeys(name for node in nodes for name in node.prerequisites if name not in here)
        ids = [node_id(row.id, name) for name in firsts]
        return ids if row.retry_of is None else [row.retry_of, *ids, *(node_id(row.retry_of, name) for name in here)]

    def _sources_of_node(self, row: Job) -> list[str]:
        return [take.node for take in Calling.read(chain.the_argument(row.args)).takes]

    def _sources_of_map(self, row: Job) -> list[str]:
        call = Calling.read(chain.the_argument(row.args))
        ids = [take.node for take in call.takes]
        if call.over is not None and call.over.node:
            ids.append(call.over.node)
        if row.retry_of is not None:
            start = groups.progress_of(row).upto
            ids += [item_id(row.retry_of, index) for index in range(start, start + PAGE)]
        return ids

    def _sources_of_end(self, row: Job) -> list[str]:
        graph = self._graph(row)
        return [] if graph is None else [node_id(row.id, name) for name in workflow.sources(graph)]

    def _sources_of_list(self, row: Job) -> list[str]:
        kept = groups.progress_of(row)
        return [item_id(row.id, index) for index in range(kept.members)] if kept.mapped else []

    def _graph(self, row: Job) -> Graph | None:
        entry = self._catalog.by_lane(row.lane)
        return None if entry is None else entry.spec.graph

    # -- a run becomes its nodes

    def expand(self, links: Links, row: Job, facts: Facts, joins: Joins, now: float) -> Spread:
        """The nodes of a run, a page of them. Those of a graph of several pages are held back until the last."""
        entry = self._catalog.by_lane(row.lane)
        graph = None if entry is None else entry.spec.graph
        if entry is None or graph is None:
            raise ArgumentsRefused("Its workflow is not known any more.")
        arguments = arguments_of(entry, row.args, row.kwargs, self._depth)
        page = _Page(row, graph, facts, self._leaves_of(row, graph))
        kept = page.progress
        for node in graph.nodes[kept.upto : kept.upto + PAGE]:
            kept.upto += 1
            old = page.completed(node.name)
            if old is not None:
                page.made[node.name] = copy = _copy(old, row, node.name, page.ids[node.name], now)
                self._chains.make(links, copy)
                continue
            job = page.made[node.name] = self._node(row, node, page, arguments, now)
            self._chains.make(links, job)
            firsts = page.firsts(node)
            bad = next((first for first in firsts if first.final), None)
            if bad is not None:
                self._chains.unmet(job, bad, now)
                continue
            if job.signature:
                self._chains.before(links, job, joins, now)
            self._wait_for_nodes(links, job, firsts, page)
            if node.name in page.leaves:
                job.followers += 1
                links.writes.append(AddEdge(Edge(job.id, row.id, "count")))
                page.members += 1
        kept.made += page.members
        if kept.upto < kept.members:
            return Spread(page.members, _text(kept), whole=False)
        if page.paged:
            links.writes.append(Release(row.id, inside=True))  # whoever waits for the run itself goes on waiting
        counter = self._counter(links, entry)
        return Spread(page.members, _text(kept), holds=counter)

    def _node(self, row: Job, node: Node, page: _Page, arguments: dict[str, Any], now: float) -> Job:
        name = chain.resolve(node.task, row.queue)
        job = self._chains.blank(row, name, "node", now)
        job.id, job.run, job.node = page.ids[node.name], row.id, node.name
        job.retry_of = page.old(node.name)
        try:
            call = workflow.calling(node, arguments, page.ids)
            entry = self._catalog.get(*name)
            if entry is None:
                job.state, job.deps_left, job.args = WAITING, 1, chain.by_place(call.text()).args
            else:
                self._chains.node(job, entry, call, now)
        except ArgumentsRefused as why:
            raise ArgumentsRefused(f"Task {node.name} cannot be called: {why.detail}", errors=why.errors) from None
        if node.priority is not None:
            job.priority = node.priority
        elif row.priority:
            job.priority = row.priority
        return job

    def _wait_for_nodes(self, links: Links, job: Job, firsts: list[Job], page: _Page) -> None:
        """Edges to the nodes that must complete first; where there are none, and the graph has several pages, to the
        run, which lets them go when it is whole.
        """
        for first in firsts:
            here = first.node in page.made
            if here:
                first.followers += 1
            links.writes.append(AddEdge(Edge(first.id, job.id, "skip"), join=not here))
        if not firsts and page.paged:
            links.writes.append(AddEdge(Edge(page.row.id, job.id, "skip"), join=True))
        more = len(firsts) or int(page.paged)
        if more:
            job.deps_left, job.state = job.deps_left + more, WAITING

    def _leaves_of(self, row: Job, graph: Graph) -> frozenset[str]:
        """The nodes for which no other waits; found once for all pages of all runs."""
        known = self._leaves.get(row.lane)
        if known is None or known[0] is not graph:
            known = self._leaves[row.lane] = graph, frozenset(node.name for node in workflow.leaves(graph))
        return known[1]

    def _counter(self, links: Links, entry: Entry) -> str | None:
        """Have one of so many runs that may go on at once counted; the counter, if they are."""
        most = entry.options.concurrency
        if most is None:
            return None
        counter = f"{entry.lane.queue}:{entry.lane.task}"
        links.guards.append(Charge(counter, most))
        return counter

    # -- nodes that take results

    def bind(self, row: Job, facts: Facts) -> Bound:
        """The arguments of a node, with the results in them that it takes."""
        entry = self._entry(row)
        call = self._filled(row, facts)
        entry.spec.signature.bind(call.args, call.kwargs)
        texts = CallTexts(*call.texts())
        if size(texts.args) + size(texts.kwargs) > self._most:
            raise ArgumentsRefused(f"With the results that it takes its arguments exceed {self._most} bytes.")
        return Bound(*texts, turn_of(entry, *texts, self._depth))

    def _filled(self, row: Job, facts: Facts) -> Calling:
        call = Calling.read(chain.the_argument(row.args))
        for take in call.takes:
            workflow.fill(call, take, _result(facts, take.node))
        return call

    def map(self, links: Links, row: Job, facts: Facts, now: float) -> Spread:
        """The jobs of a map, a page of them."""
        entry = self._entry(row)
        call = self._filled(row, facts)
        over = call.over
        if over is None:
            raise ArgumentsRefused("It maps over nothing.")
        items = workflow.items(call, _result(facts, over.node) if over.node else None)
        kept = groups.progress_of(row)
        kept.members, kept.mapped = len(items), True
        blank = msgspec.json.encode(Calling(call.args, call.kwargs))
        members = 0
        for index in range(kept.upto, min(kept.upto + PAGE, len(items))):
            one = msgspec.json.decode(blank, type=Calling)
            workflow.put(one, over.into, items[index])
            entry.spec.signature.bind(one.args, one.kwargs)
            member = self._member(row, entry, CallTexts(*one.texts()), index, now)
            old = facts.rows.get(item_id(row.retry_of, index)) if row.retry_of is not None else None
            if _serves(old, member):
                self._chains.make(links, _copy(old, row, member.node, member.id, now))  # type: ignore[arg-type]
                continue
            member.followers = 1
            self._chains.make(links, member)
            links.writes.append(AddEdge(Edge(member.id, row.id, "count")))
            members += 1
        kept.upto = min(kept.upto + PAGE, len(items))
        kept.made += members
        return Spread(members, _text(kept), whole=kept.upto >= kept.members)

    def _member(self, row: Job, entry: Entry, texts: CallTexts, index: int, now: float) -> Job:
        member = self._chains.blank(row, chain.TaskName(row.queue, row.task), "member", now)
        self._chains.call(member, entry, texts, now)
        member.id, member.node = item_id(row.id, index), f"{row.node}[{index}]"
        member.unique_key = None
        member.priority = row.priority
        return member

    def _entry(self, row: Job) -> Entry:
        entry = self._catalog.by_lane(row.lane)
        if entry is None:
            raise ArgumentsRefused("Its task is not known any more.")
        return entry

    # -- ends

    def gather(self, row: Job, facts: Facts) -> Gathered:
        """The end of a map: the list of its results."""
        rows = [facts.rows.get(id) for id in self._sources_of_list(row)]
        bad = next((job for job in rows if job is not None and job.state != COMPLETED), None)
        if bad is not None:
            counts = groups.counted(job.state for job in rows if job is not None)
            return Gathered(error=error_text("MembersFailed", f"{groups.told(counts)}; the first is {_named(bad)}"))
        if None in rows:
            return Gathered(error=error_text("MembersFailed", "some of its jobs are not there any more"))
        if (length := facts.size + 1) > self._most:
            about = f"the list of its {len(rows)} results has {length} bytes; {self._most} are allowed"
            return Gathered(error=error_text("ResultTooLarge", about))
        return Gathered(result=f"[{','.join(job.result or 'null' for job in rows if job is not None)}]")

    def close(self, links: Links, row: Job, facts: Facts) -> Gathered:
        """The end of a run, when all its jobs have ended."""
        for job in facts.live[:LIVE_AT_ONCE]:
            links.writes.append(AddEdge(Edge(job.id, row.id, "count"), join=True))
            links.joined.append((job.id, 1))
        if facts.live:
            return Gathered(waits=min(len(facts.live), LIVE_AT_ONCE))
        if row.cancel is not None:
            return Gathered()
        if any(state != COMPLETED for state in facts.counts):
            first = "" if facts.bad is None else f"; the first is {_named(facts.bad)}"
            return Gathered(error=error_text("RunFailed", groups.told(facts.counts) + first))
        graph = self._graph(row)
        names = () if graph is None else workflow.sources(graph)
        if graph is None or not names:
            return Gathered(result=msgspec.json.encode({"jobs": sum(facts.counts.values())}).decode())
        try:
            found = workflow.result(graph, {name: _result(facts, node_id(row.id, name)) for name in names})
        except ArgumentsRefused as why:
            return Gathered(error=error_text("NoResult", str(why)))
        text = msgspec.json.encode(found).decode()
        if (length := size(text)) > self._most:
            about = f"what it gives has {length} bytes; {self._most} are allowed"
            return Gathered(error=error_text("ResultTooLarge", about))
        return Gathered(result=text)


class _Ids(dict[str, str]):
    """The jobs of the nodes of a run, by name, and "" for the run itself; each is worked out when it is asked for."""

    def __init__(self, run: str) -> None:
        self[""] = run

    def __missing__(self, name: str) -> str:
        id = self[name] = node_id(self[""], name)
        return id


class _Page:
    """What must be known of the graph while a page of it is written."""

    def __init__(self, row: Job, graph: Graph, facts: Facts, leaves: frozenset[str]) -> None:
        self.row = row
        self.ids = _Ids(row.id)
        self.leaves = leaves
        self.progress: Progress = groups.progress_of(row)
        self.progress.members = len(graph.nodes)
        self.paged = len(graph.nodes) > PAGE
        self.made: dict[str, Job] = {}
        self.members = 0
        self._facts = facts
        before = facts.rows.get(row.retry_of or "")
        # who repeats a run that has completed wants all of it again
        self._repeats = row.retry_of if before is not None and before.state != COMPLETED else None

    def old(self, name: str) -> str | None:
        """The job that the node was in the run that this one repeats."""
        old = None if self._repeats is None else node_id(self._repeats, name)
        return old if old in self._facts.rows else None

    def firsts(self, node: Node) -> list[Job]:
        """The nodes for which `node` waits, but for those that have completed.

        :raises ArgumentsRefused: one is not there any more.
        """
        found = []
        for name in node.prerequisites:
            first = self.made.get(name) or self._facts.rows.get(self.ids[name])
            if first is None:
                raise ArgumentsRefused(f"Task {name}, for which {node.name} waits, is not there any more.")
            if first.state != COMPLETED:
                found.append(first)
        return found

    def completed(self, name: str) -> Job | None:
        """That job, if it need not run again."""
        old = self._facts.rows.get(self.old(name) or "")
        return old if old is not None and old.state == COMPLETED else None


def _result(facts: Facts, id: str) -> Any:
    source = facts.rows.get(id)
    if source is None or source.state != COMPLETED:
        raise ArgumentsRefused(f"The result of job {id} is not there any more.")
    return _decode(source.result or "null")


def _serves(old: Job | None, member: Job) -> bool:
    """Whether what was done before need not be done again."""
    return old is not None and old.state == COMPLETED and (old.args, old.kwargs) == (member.args, member.kwargs)


def _copy(old: Job, row: Job, node: str | None, id: str, now: float) -> Job:
    """A job that completed in the run that this one repeats, as a job of this one."""
    run = row.id if row.is_run else row.run
    copy = Job(id, old.queue, old.task, old.signature, old.args, old.kwargs, COMPLETED, old.priority, now, now)
    copy.attempt, copy.worker, copy.max_attempts = old.attempt, old.worker, old.max_attempts
    copy.started_at, copy.finished_at, copy.result, copy.progress = old.started_at, now, old.result, old.progress
    copy.turn, copy.relation, copy.parent, copy.run, copy.node = old.turn, old.relation, row.id, run, node
    copy.retry_of = old.id
    return copy


def _text(kept: Progress) -> str:
    return msgspec.json.encode(kept).decode()


def size(text: str) -> int:
    """Its bytes."""
    return len(text) if text.isascii() else len(text.encode())


def _named(job: Job) -> str:
    why = reason_of(job.error)
    about = f"{job.node or job.task} (job {job.id}), which ended as {job.state}"
    return f"{about}: {why}" if why else about
