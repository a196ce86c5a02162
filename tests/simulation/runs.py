"""What must hold of runs of workflows, of their nodes and of the members of their maps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from easyjobs.core.job import Job
from easyjobs.core.states import COMPLETED, FINAL, QUEUED, RETRY, RUNNING, WAITING
from easyjobs.core.task import TaskSpec
from easyjobs.core.workflow import Calling, Graph, Node, put, taken
from tests.simulation.crashes import Violation
from tests.simulation.flows import AT_ONCE

BEGUN = (QUEUED, RUNNING, RETRY, COMPLETED)


class Drawn(Protocol):
    """A workflow, whatever it was made of."""

    @property
    def name(self) -> str:
        """Its task's."""

    @property
    def spec(self) -> TaskSpec:
        """That of its task."""

    @property
    def graph(self) -> Graph:
        """What it draws."""


class Runs:
    """Judges after every commit, by the rows that moved."""

    def __init__(self) -> None:
        self.rows: dict[str, Job] = {}
        self._workflows: dict[str, Drawn] = {}
        self._jobs: dict[str, dict[str, None]] = {}  # of each run
        self._nodes: dict[str, dict[str, str]] = {}  # of each run: the jobs of its nodes by name
        self._members: dict[str, dict[str, str]] = {}  # of each map: its members by name
        self._waiting_for: dict[str, dict[str, list[str]]] = {}  # of each workflow: who waits for a node, by name

    def know(self, workflows: Sequence[Drawn]) -> None:
        """These are what runs are made of. May be repeated."""
        for workflow in workflows:
            if workflow.name not in self._workflows:
                self._workflows[workflow.name] = workflow
                followers = self._waiting_for[workflow.name] = {}
                for node in workflow.graph.nodes:
                    for name in node.prerequisites:
                        followers.setdefault(name, []).append(node.name)

    def check(self, before: dict[str, Job], rows: dict[str, Job], moved: list[Job]) -> None:
        """Raises Violation."""
        self.rows = rows
        runs: dict[str, None] = {}
        for row in moved:
            if row.id not in before:
                self._new(row)
        for row in moved:
            old = before.get(row.id)
            if row.is_run:
                runs[row.id] = None
            if row.run is not None and row.relation == "node":
                self._node(old, row)
                runs[row.run] = None
            if row.turn == "gather" and row.node is not None and (old is None or old.turn == "map"):
                self._mapped(row)
            if row.state == COMPLETED and row.turn == "gather" and row.id in self._members:
                self._gathered(row)
        for id in runs:
            if id in rows:
                self._run(before.get(id), rows[id])
        if any(row.task == "narrow" for row in moved):
            going = [row.id for row in rows.values() if row.task == "narrow" and _goes_on(row)]
            if len(going) > AT_ONCE:
                raise Violation(f"{len(going)} runs of `narrow` go on at once; {AT_ONCE} may")

    # -- what is there

    def _new(self, row: Job) -> None:
        if row.relation == "member" and row.node is not None:
            members = self._members.setdefault(row.parent or "", {})
            if members.setdefault(row.node, row.id) != row.id:
                raise Violation(f"map {row.parent} has two members {row.node}")
        if row.run is None:
            return
        if row.run in self.rows and self.rows[row.run].state in FINAL:
            raise Violation(f"{row.id} {row.task} was made for run {row.run}, which had ended")
        self._jobs.setdefault(row.run, {})[row.id] = None
        if row.relation == "node":
            if self._nodes.setdefault(row.run, {}).setdefault(row.node or "", row.id) != row.id:
                raise Violation(f"run {row.run} has two nodes {row.node}")
            self._kept(row)

    def _graph(self, run: Job) -> Graph:
        return self._workflows[run.task].graph

    def _of(self, run: str, name: str) -> Job | None:
        return self.rows.get(self._nodes.get(run, {}).get(name, ""))

    # -- runs that repeat others

    def _kept(self, row: Job) -> None:
        """Of a run that repeats another, what had completed is there as it was, and nothing else is."""
        run = self.rows[row.run or ""]
        repeated = None if run.retry_of is None else self.rows[run.retry_of]
        old = None if repeated is None or repeated.state == COMPLETED else self._of(repeated.id, row.node or "")
        if old is not None and old.state == COMPLETED:
            if (row.state, row.result) != (COMPLETED, old.result):
                raise Violation(f"{row.id} {row.node} is {row.state} with {row.result}, and had {old.result} already")
        elif row.state == COMPLETED:
            raise Violation(f"{row.id} {row.node} began as completed, while it had {old and old.state}")

    # -- nodes

    def _node(self, old: Job | None, row: Job) -> None:
        run = self.rows[row.run or ""]
        graph = self._graph(run)
        node = next(node for node in graph.nodes if node.name == row.node)
        if old is None and row.state == COMPLETED:
            return  # kept of another run
        goes_on = row.state in BEGUN or (row.state == WAITING and row.turn in ("gather", "close"))
        if goes_on:
            for name in node.prerequisites:
                first = self._of(run.id, name)
                if first is None or first.state != COMPLETED:
                    raise Violation(f"{row.id} {row.node} goes on before {name}, which is {first and first.state}")
            if len(self._nodes[run.id]) < len(graph.nodes):
                raise Violation(f"{row.id} {row.node} goes on, and its run is not whole")
        if row.state in FINAL and row.state != COMPLETED:
            if row.state == "failed" and row.turn in ("bind", "map", "expand"):
                raise Violation(f"{row.id} {row.node} could not begin: {row.error}")
            for name in self._waiting_for[run.task].get(node.name, ()):
                self._skipped(self._of(run.id, name), row)
        for name in node.prerequisites:
            first = self._of(run.id, name)
            if first is not None and first.state in FINAL and first.state != COMPLETED:
                self._skipped(row, first)
        begins = row.state == RUNNING and (old is None or old.token != row.token)
        bound = old is not None and old.turn == "bind" and row.turn != "bind" and row.state not in FINAL
        if row.signature and (begins or bound):
            wanted = self._call(node, run)
            if (json.loads(row.args), json.loads(row.kwargs)) != (wanted.args, wanted.kwargs):
                wanted_texts = wanted.texts()
                raise Violation(f"{row.id} {row.node} was given {row.args} {row.kwargs}, not {wanted_texts}")

    def _skipped(self, row: Job | None, first: Job) -> None:
        if row is not None and (row.state not in FINAL or row.state == COMPLETED or row.attempt):
            raise Violation(
                f"{row.id} {row.node} is {row.state}, attempt {row.attempt}, and {first.node} ended as {first.state}"
            )

    def _call(self, node: Node, run: Job) -> Calling:
        """The call of a node as its run and its prerequisites have it."""
        call = Calling(json.loads(node.args), json.loads(node.kwargs))
        for take in node.takes:
            put(call, take.into, taken(self._source(take.node, run), take))
        return call

    def _source(self, name: str, run: Job) -> Any:
        if not name:
            signature = self._workflows[run.task].spec.signature
            return signature.complete(json.loads(run.args), json.loads(run.kwargs))
        row = self._of(run.id, name)
        return json.loads((row and row.result) or "null")

    # -- maps

    def _mapped(self, row: Job) -> None:
        run = self.rows[row.run or ""]
        node = next((node for node in self._graph(run).nodes if node.name == row.node), None)
        if node is None or node.over is None or row.state in FINAL:
            return
        items = taken(self._source(node.over.node, run), node.over)
        members = list(self._of_map(row, len(items)))
        for item, member in zip(items, members, strict=True):
            wanted = self._call(node, run)
            put(wanted, node.over.into, item)
            if (json.loads(member.args), json.loads(member.kwargs)) != (wanted.args, wanted.kwargs):
                raise Violation(f"{member.id} {member.node} was given {member.args}, and the item is {item}")
        left = sum(member.state not in FINAL for member in members)
        if row.state == WAITING and row.deps_left != left:
            raise Violation(f"map {row.id} counts {row.deps_left} members, and {left} have not ended")

    def _of_map(self, row: Job, wanted: int) -> Iterator[Job]:
        """Its members, in order: as many as there are items."""
        there = self._members.get(row.id, {})
        names = [f"{row.node}[{i}]" for i in range(wanted)]
        if sorted(there) != sorted(names):
            raise Violation(f"map {row.id} has members {sorted(there)}, where {wanted} should be")
        yield from (self.rows[there[name]] for name in names)

    def _gathered(self, row: Job) -> None:
        members = list(self._of_map(row, len(self._members[row.id])))
        if any(member.state != COMPLETED for member in members):
            raise Violation(f"map {row.id} completed, and its members are {[member.state for member in members]}")
        if json.loads(row.result or "") != [json.loads(member.result or "") for member in members]:
            raise Violation(f"map {row.id} gives {row.result}, which its members did not")

    # -- the whole

    def _run(self, old: Job | None, row: Job) -> None:
        jobs = [self.rows[id] for id in self._jobs.get(row.id, ())]
        nodes = self._nodes.get(row.id, {})
        if row.turn == "expand":
            if row.progress is None and jobs:
                raise Violation(f"run {row.id} was not taken up, and has {len(jobs)} jobs")
            if row.state == "failed" or (row.state in FINAL and jobs):
                raise Violation(f"run {row.id} is {row.state}, with {len(jobs)} jobs: {row.error}")
            return
        if old is None:
            return  # kept of another run
        graph = self._graph(row)
        if row.cancel is None and len(nodes) != len(graph.nodes):
            raise Violation(f"run {row.id} has {len(nodes)} nodes, where {len(graph.nodes)} should be")
        if row.state not in FINAL or old.state in FINAL:
            return
        live = [f"{job.node or job.task} {job.state}" for job in jobs if job.state not in FINAL]
        if live:
            raise Violation(f"run {row.id} is {row.state}, and these go on: {live}")
        good = all(job.state == COMPLETED for job in jobs)
        wanted = "cancelled" if row.cancel is not None else COMPLETED if good else "failed"
        if row.state != wanted:
            raise Violation(f"run {row.id} is {row.state}, and should be {wanted}: {[job.state for job in jobs]}")
        if row.state == COMPLETED:
            source = graph.returns and taken(self._source(graph.returns.node, row), graph.returns)
            if json.loads(row.result or "") != (source if graph.returns else {"jobs": len(jobs)}):
                raise Violation(f"run {row.id} gives {row.result}, which {graph.returns} did not")


def _goes_on(row: Job) -> bool:
    return row.turn == "close" and row.state == WAITING
