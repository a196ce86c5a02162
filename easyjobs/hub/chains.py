"""Jobs that follow from jobs: the prerequisites of one, what the end of one sets going, and what becomes of those that
waited in vain. Decides what is to be written with a job's own row, in its own unit; writes nothing itself.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeAlias

import msgspec

from easyjobs.core import chain, freshness
from easyjobs.core.chain import CallTexts, TaskName
from easyjobs.core.changes import AddEdge, Insert, Release, Update, Write
from easyjobs.core.events import PrerequisiteEnded, TaskKnown, error_text
from easyjobs.core.job import Edge, Job, Relation
from easyjobs.core.lifecycle import Step, advance
from easyjobs.core.states import COMPLETED, FAILED, FINAL, QUEUED, WAITING
from easyjobs.core.task import DefaultArgs, Options
from easyjobs.core.workflow import Calling
from easyjobs.errors import ArgumentsRefused, Refused
from easyjobs.hub.catalog import Catalog, Entry
from easyjobs.hub.submission import turn_of, unique_key
from easyjobs.ids import Ids
from easyjobs.protocol.messages import Limits

Joins: TypeAlias = dict[str, Job]
"""Live jobs that own a uniqueness, by their `unique_key`: what would be made again joins them instead."""

Waiting: TypeAlias = dict[str, list[tuple[Edge, Job]]]
"""The jobs that wait for each of some jobs, as `Store.followers` gives them."""


class Links(msgspec.Struct):
    """What goes into the unit of a job besides its own row: jobs `made`, waiting ones `ended`, and live ones `joined`,
    whose version rises, and the number of their followers by so many. `unique` has those of the unit itself that own a
    uniqueness. `guards` come before the row, all other `writes` after it.
    """

    guards: list[Write] = []
    writes: list[Write] = []
    made: list[Job] = []
    ended: list[tuple[Job, Step]] = []
    joined: list[tuple[str, int]] = []
    unique: Joins = {}


def rejoined(joins: Joins, there: Job) -> Joins:
    """`joins` with what was found of a job that stood in the way of its like: joined while it lives."""
    others = {key: job for key, job in joins.items() if job.id != there.id}
    return others if there.final or there.unique_key is None else {**others, there.unique_key: there}


class Chains:
    """Works out links by what the catalog knows at that moment. Each call may be made again when its unit was stale."""

    def __init__(self, catalog: Catalog, ids: Ids, limits: Limits) -> None:
        self._catalog = catalog
        self._ids = ids
        self._most = limits.result  # bytes of what a follower may be told of a failure
        self._depth = limits.depth

    def before(self, links: Links, job: Job, joins: Joins, now: float) -> None:
        """Add the prerequisites of `job`, and theirs, to `links`; `job`, which is not stored yet, waits for them."""
        todo = [job]
        while todo:
            follower = todo.pop()
            edges: dict[str, bool] = {}  # prerequisite -> whether it was there before
            for name in self._catalog.options(follower.lane).run_before:
                first = self._prerequisite(follower, name, now)
                key = first.unique_key
                if key is not None and key in joins:
                    edges[joins[key].id] = True
                    continue
                if key is not None and key in links.unique:
                    first = links.unique[key]
                else:
                    self.make(links, first)
                    todo.append(first)
                if first.id not in edges:
                    first.followers += 1
                    edges[first.id] = False
            if follower.signature:
                follower.state = WAITING if edges else QUEUED
                follower.deps_left = len(edges)
            links.joined += [(id, 1) for id, there in edges.items() if there]
            links.writes += [AddEdge(Edge(id, follower.id), join=there) for id, there in edges.items()]

    def known(self, links: Links, row: Job, joins: Joins, now: float) -> TaskKnown:
        """What befalls a job that waited for its task, which the catalog knows now; its prerequisites go to `links`."""
        entry = self._catalog.find(row.queue, row.task)
        job = msgspec.structs.replace(row)
        unmet = 0
        try:
            if row.relation == "node":
                self.node(job, entry, Calling.read(chain.the_argument(row.args)), now)
                job.priority = row.priority or job.priority
                unmet = row.deps_left - 1  # one was for the task
            elif row.relation == "dependency":
                self.call(job, entry, Wish.read(row.args).call(entry), now)
                job.priority = max(job.priority, row.priority)
            elif row.relation == "before":
                self.call(job, entry, _defaults(entry), now)
                job.priority = max(job.priority, row.priority)
            else:
                self.call(job, entry, _given(entry, row.relation, chain.the_argument(row.args)), now)
        except ArgumentsRefused as why:
            return TaskKnown(entry.lane.signature, row.args, row.kwargs, fault=_refusal(why))
        self.before(links, job, joins, now)
        return TaskKnown(
            job.signature,
            job.args,
            job.kwargs,
            job.priority,
            job.max_attempts,
            job.timeout,
            job.deadline,
            unmet + (job.deps_left if job.state == WAITING else 0),
            job.turn,
            late_at=job.late_at,
        )

    def end(self, links: Links, row: Job, step: Step, waiting: Waiting, joins: Joins, now: float) -> None:
        """Add all that follows when `row` makes `step`, if that ends it. `waiting` has those who wait for it, and for
        them in turn.
        """
        todo = [(row, step)]
        seen = {row.id}
        while todo:
            job, step = todo.pop()
            if step.state not in FINAL:
                continue
            lane = job.lane._replace(signature=step.columns.get("signature", job.signature))
            # what follows a group follows each of its members
            options = self._catalog.options(lane) if job.turn != "gather" else Options()
            if step.state == COMPLETED:
                if job.followers:
                    links.writes.append(Release(job.id))
                for name in options.run_after:
                    todo += self._follow(links, job, name, "after", step.columns["result"], joins, now)
                continue
            error: str | None = step.columns.get("error")
            handler = chain.handler_of(job, options) if step.state == FAILED else None
            if handler is not None:
                failure = chain.failure(job, error, self._most)
                todo += self._follow(links, job, ":".join(handler), "failure", failure, joins, now)
            counted = False
            for edge, follower in waiting.get(job.id, ()):
                if edge.bad == "count":
                    counted = True
                    continue
                event = PrerequisiteEnded(job.id, _shown(job, follower), step.state, edge.bad, error)
                unmet = advance(follower, event, now)
                if follower.id not in seen and isinstance(unmet, Step):
                    seen.add(follower.id)
                    links.writes.append(Update(follower, unmet.columns))
                    links.ended.append((follower, unmet))
                    todo.append((follower, unmet))
            if counted:
                links.writes.append(Release(job.id))

    def _follow(
        self, links: Links, parent: Job, name: str, relation: Relation, value: str, joins: Joins, now: float
    ) -> list[tuple[Job, Step]]:
        """Make one follower; itself with its end, if it has ended before it began."""
        job = self.blank(parent, chain.resolve(name, parent.queue), relation, now)
        entry = self._catalog.get(job.queue, job.task)
        if entry is None:
            job.state = WAITING
            job.args = chain.by_place(value).args
            self.make(links, job)
            return []
        try:
            self.call(job, entry, _given(entry, relation, value), now)
        except ArgumentsRefused as why:
            job.signature = entry.lane.signature
            job.args = chain.by_place(value).args
            job.state, job.finished_at, job.error = FAILED, now, _refusal(why)
            self.make(links, job)
            return [(job, Step({"state": FAILED, "error": job.error}))]
        key = job.unique_key
        if key is not None and key in joins:
            there = joins[key]
            if there.id not in {id for id, _ in links.joined}:
                links.writes.append(Update(there, {}))  # whoever ends it meanwhile makes this unit stale
                links.joined.append((there.id, 0))
        elif key is None or key not in links.unique:
            self.make(links, job)
            self.before(links, job, joins, now)
        return []

    def unmet(self, job: Job, first: Job, now: float) -> None:
        """`job`, a node that is not stored yet, would wait for `first`, which has ended otherwise than completed."""
        job.state = WAITING
        step = advance(job, PrerequisiteEnded(first.id, _shown(first, job), first.state, "skip", first.error), now)
        if isinstance(step, Step):
            for name, value in step.columns.items():
                setattr(job, name, value)

    def make(self, links: Links, job: Job) -> None:
        """Write `job`, which is new."""
        links.writes.append(Insert(job))
        links.made.append(job)
        if job.unique_key is not None:
            links.unique[job.unique_key] = job

    def _prerequisite(self, follower: Job, name: str, now: float) -> Job:
        job = self.blank(follower, chain.resolve(name, follower.queue), "before", now)
        entry = self._catalog.get(job.queue, job.task)
        if entry is None:
            job.state = WAITING
        else:
            self.call(job, entry, _defaults(entry), now)
        job.priority = max(job.priority, follower.priority)  # what is urgent must not wait for what is not
        return job

    def blank(self, parent: Job, name: TaskName, relation: Relation, now: float) -> Job:
        """A new job of that task that `parent` makes; it is not said yet how it is called."""
        job = Job(self._ids.job_id(now), name.queue, name.task, created_at=now, run_at=now)
        job.parent = parent.id
        job.relation = relation
        job.run = parent.run
        return job

    def node(self, job: Job, entry: Entry, call: Calling, now: float) -> None:
        """`job`, a node of a run, is to run as `call` of that task, now or when what that takes is there.

        :raises ArgumentsRefused: it does not bind.
        """
        whole = not call.takes and call.over is None
        if whole:
            entry.spec.signature.bind(call.args, call.kwargs)
        self.call(job, entry, CallTexts(*call.texts()) if whole else chain.by_place(call.text()), now)
        job.unique_key = None  # each run has its own
        if not whole:
            job.turn = "bind" if call.over is None else "map"

    def call(self, job: Job, entry: Entry, call: CallTexts, now: float) -> None:
        """`job` is to run as a call of that task, with the task's own options."""
        options: Options = entry.options
        job.signature = entry.lane.signature
        job.args, job.kwargs = call
        job.priority = options.priority
        job.max_attempts = entry.max_attempts
        job.timeout = options.timeout
        if options.start_deadline is not None:
            job.deadline = now + options.start_deadline
        if options.sla is not None:
            job.late_at = now + options.sla
        if entry.turns:
            with suppress(Refused):  # what does not bind will be said by its worker
                job.turn = turn_of(entry, call.args, call.kwargs, self._depth)
        if options.unique is not False:
            with suppress(ArgumentsRefused):  # of a prerequisite whose defaults do not bind; its worker will say so
                job.unique_key = unique_key(entry, msgspec.json.decode(call.args), msgspec.json.decode(call.kwargs))


class Wish(msgspec.Struct):
    """What somebody's dependency is to be called with: what is `wanted` of it, and the `arguments` of who depends."""

    wanted: dict[str, Any]
    arguments: dict[str, Any]

    def text(self) -> str:
        """JSON text that `read` reads."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, args: str) -> Wish:
        """The wish that a job of a task which nobody knew keeps as its argument."""
        return msgspec.json.decode(chain.the_argument(args), type=cls)

    def call(self, entry: Entry) -> CallTexts:
        """The call of the task, as it is known now.

        :raises ArgumentsRefused: a parameter remains without a value, or would get a wrong one.
        """
        try:
            kwargs = freshness.filled(entry.spec.signature, self.wanted, self.arguments)
            entry.checker.check_values([], kwargs)
        except ArgumentsRefused as why:
            raise ArgumentsRefused(
                f"It depends on {entry.spec.name}, which cannot be called so.", errors=why.errors
            ) from None
        return CallTexts("[]", msgspec.json.encode(kwargs).decode())


def _defaults(entry: Entry) -> CallTexts:
    default = entry.spec.default_args or DefaultArgs()
    return CallTexts(default.args, default.kwargs)


def _given(entry: Entry, relation: Relation | None, value: str) -> CallTexts:
    """The call of a follower with `value`: a result goes in as it fits, a failure is always one argument."""
    if relation == "after":
        return chain.arguments(value, entry.spec.signature)
    entry.spec.signature.bind((None,), {})
    return chain.by_place(value)


def _refusal(why: ArgumentsRefused) -> str:
    return error_text("ArgumentsRefused", str(why))


def _shown(job: Job, to: Job) -> str:
    return job.task if job.queue == to.queue else f"{job.queue}:{job.task}"
