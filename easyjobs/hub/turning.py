"""What becomes of a job whose turn has come but which cannot simply run: one that depends on what must be fresh, and a
group. Decides what is to be written with its row, by facts that were read before; writes nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, TypeAlias

import msgspec

from easyjobs.core import chain, freshness, groups
from easyjobs.core.chain import CallTexts, TaskName
from easyjobs.core.changes import AddEdge, PutFresh, Update
from easyjobs.core.events import Bound, Checked, Gathered, Spread, error_text
from easyjobs.core.job import Edge, Job, Turn
from easyjobs.core.states import RUNNING, WAITING
from easyjobs.core.task import Options
from easyjobs.errors import ArgumentsRefused, Refused, RegistrationError
from easyjobs.hub.catalog import Catalog, Entry
from easyjobs.hub.chains import Chains, Joins, Links, Wish
from easyjobs.hub.entries import Candidate, Facts
from easyjobs.hub.running import Running
from easyjobs.hub.submission import arguments_of
from easyjobs.protocol.messages import Limits

Turned: TypeAlias = Checked | Spread | Gathered | Bound
Taken: TypeAlias = tuple[Turned, Links]


class Turning:
    """Each call may be made again, with newer facts."""

    def __init__(self, catalog: Catalog, chains: Chains, limits: Limits) -> None:
        self._catalog = catalog
        self._chains = chains
        self._depth = limits.depth
        self.most = limits.result
        """Bytes of what a job may give."""
        self._running = Running(catalog, chains, limits)

    # -- before

    def keys(self, row: Job) -> list[str]:
        """The keys by which a job looks for what must be fresh."""
        return [freshness.key(name, wanted) for name, wanted, _ in self._looked_for(row)]

    def sources(self, row: Job) -> list[str]:
        """The jobs of which something must be known."""
        return self._running.sources(row)

    def tasks(self, row: Job) -> list[TaskName]:
        """The tasks of which it matters what is on its way."""
        if row.turn == "spread":
            unique = self._catalog.options(row.lane).unique is not False
            return [TaskName(row.queue, row.task)] if unique else []
        return [name for name, _, _ in self._looked_for(row)]

    def candidates(self, jobs: Iterable[Job]) -> list[Candidate]:
        """These jobs with their arguments, read once for all that may wait for one of them."""
        found = []
        for job in jobs:
            try:
                found.append(Candidate(job, self._arguments(job) if job.signature else None))
            except Refused:
                found.append(Candidate(job, None))
        return found

    def _looked_for(self, row: Job) -> list[tuple[TaskName, dict[str, Any], float]]:
        """All that a job needs: of which task, with what arguments, completed within how many seconds. What cannot be
        worked out is left out here, and refused when the turn is taken.
        """
        try:
            return self._needs(row, self._arguments(row))
        except Refused:
            return []

    def _needs(self, row: Job, arguments: dict[str, Any]) -> list[tuple[TaskName, dict[str, Any], float]]:
        needs = self._catalog.options(row.lane).needs if row.turn == "check" else ()
        return [(chain.resolve(need.task, row.queue), freshness.wanted(need, arguments), need.within) for need in needs]

    def _arguments(self, row: Job) -> dict[str, Any]:
        entry = self._catalog.by_lane(row.lane)
        return {} if entry is None else arguments_of(entry, row.args, row.kwargs, self._depth)

    # -- when it is decided

    def taken(self, row: Job, facts: Facts, joins: Joins, now: float) -> Taken:
        """What befalls `row` by these `facts`, and what is written with it."""
        links = Links()
        match row.turn:
            case "close":
                return self._running.close(links, row, facts), links
            case "gather" if groups.progress_of(row).mapped:
                return self._running.gather(row, facts), links
            case "gather":
                end = groups.summary(facts.members)
                return Gathered(end.result, end.error), links
        coming = [one.job for there in facts.coming.values() for one in there]
        known = {job.unique_key: job for job in coming if job.unique_key is not None}
        joins = {**known, **joins}
        try:
            match row.turn:
                case "expand":
                    return self._running.expand(links, row, facts, joins, now), links
                case "bind":
                    return self._running.bind(row, facts), links
                case "map":
                    return self._running.map(links, row, facts, now), links
                case "spread":
                    return self._spread(links, row, joins, now), links
            return self._check(links, row, facts, joins, now), links
        except (Refused, msgspec.DecodeError) as why:
            return _EVENTS[row.turn or "check"](fault=error_text("ArgumentsRefused", str(why))), Links()

    def _check(self, links: Links, row: Job, facts: Facts, joins: Joins, now: float) -> Checked:
        try:
            freshness.check(TaskName(row.queue, row.task), self._options_of)
        except RegistrationError as error:  # no one worker declared all of it
            raise ArgumentsRefused(str(error)) from None
        arguments = self._arguments(row)
        edges: dict[str, bool] = {}  # prerequisite -> whether it was there before
        for name, wanted, within in self._needs(row, arguments):
            done = facts.fresh.get(freshness.key(name, wanted))
            if done is not None and done >= now - within:
                continue
            there = self._on_its_way(name, wanted, facts)
            if there is None:
                first = self._made(row, name, wanted, arguments, now)
                there = joins.get(first.unique_key or "")
            if there is not None:
                if there.id not in edges:
                    self._hasten(links, there, row)
                    edges[there.id] = True
                continue
            first = links.unique.get(first.unique_key or "", first)
            if first.id not in edges:
                edges[first.id] = False
                first.followers += 1
                self._chains.make(links, first)
                self._chains.before(links, first, joins, now)
        self._wait(links, row, edges, "fail")
        return Checked(len(edges))

    def _on_its_way(self, name: TaskName, wanted: dict[str, Any], facts: Facts) -> Job | None:
        """A job that will do when it completes: one that runs, before the oldest that waits."""
        found: Job | None = None
        for job, arguments in facts.coming.get(name, ()):
            if arguments is None or (found is not None and job.state != RUNNING):
                continue
            if freshness.serves(arguments, wanted):
                if job.state == RUNNING:
                    return job
                found = job
        return found

    def _options_of(self, name: TaskName) -> Options | None:
        entry = self._catalog.get(*name)
        return None if entry is None else entry.options

    def _hasten(self, links: Links, there: Job, row: Job) -> None:
        """What is urgent must not wait for what is not."""
        if there.state != RUNNING and there.priority <= row.priority:
            links.writes.append(Update(there, {"priority": row.priority + 1}))

    def _made(self, row: Job, name: TaskName, wanted: dict[str, Any], arguments: dict[str, Any], now: float) -> Job:
        """A job that `row` can wait for; one of a task that nobody knows yet keeps what is known of its call."""
        job = self._chains.blank(row, name, "dependency", now)
        entry = self._catalog.get(*name)
        if entry is None:
            job.state = WAITING
            job.args = chain.by_place(Wish(wanted, arguments).text()).args
            job.unique_key = freshness.key(name, wanted)
        else:
            self._chains.call(job, entry, Wish(wanted, arguments).call(entry), now)
            if job.unique_key is None:
                job.unique_key = freshness.key(name, arguments_of(entry, job.args, job.kwargs, self._depth))
        job.priority = max(job.priority, row.priority + 1)
        return job

    def _spread(self, links: Links, row: Job, joins: Joins, now: float) -> Spread:
        entry = self._catalog.by_lane(row.lane)
        if entry is None:
            raise ArgumentsRefused("Its task is not known any more.")
        arguments = self._arguments(row)
        signature = entry.spec.signature
        names = groups.spread(entry.options, arguments)
        kept = groups.progress_of(row)
        kept.members = groups.size(signature, names)
        edges: dict[str, bool] = {}
        for values in groups.members(signature, names, arguments, kept.upto):
            kept.upto += 1
            member = self._member(row, entry, values, now)
            there = joins.get(member.unique_key or "")
            if there is not None and there.id != row.id:
                edges[there.id] = True
            elif (member.unique_key or "") not in links.unique:
                member.followers = 1
                self._chains.make(links, member)
                edges[member.id] = False
        self._wait(links, row, edges, "count")
        kept.made += len(edges)
        return Spread(len(edges), msgspec.json.encode(kept).decode(), whole=kept.upto >= kept.members)

    def _member(self, row: Job, entry: Entry, values: dict[str, Any], now: float) -> Job:
        """One job of a group: as urgent as that, and run with the choices that were made for it."""
        member = self._chains.blank(row, TaskName(row.queue, row.task), "member", now)
        self._chains.call(member, entry, CallTexts("[]", msgspec.json.encode(values).decode()), now)
        member.priority = row.priority
        member.max_attempts, member.timeout = row.max_attempts, row.timeout
        member.deadline = None if row.deadline is None else now + row.deadline - row.run_at
        return member

    def _wait(self, links: Links, row: Job, edges: dict[str, bool], bad: Literal["fail", "count"]) -> None:
        links.joined += [(id, 1) for id, there in edges.items() if there]
        links.writes += [AddEdge(Edge(id, row.id, bad), join=there) for id, there in edges.items()]

    # -- when it has completed

    def fresh(self, row: Job, now: float) -> list[PutFresh]:
        """What is to be known of the completion of `row`, for those who depend on its like."""
        name = TaskName(row.queue, row.task)
        ways = self._catalog.sought.get(name)
        if not ways:
            return []
        try:
            arguments = self._arguments(row)
        except Refused:
            return []
        return [PutFresh(keys, now, now + within) for within, keys in freshness.keys(name, ways, arguments).items()]


_EVENTS: Final[dict[Turn, type[Checked] | type[Spread] | type[Bound]]] = {
    "check": Checked,
    "spread": Spread,
    "map": Spread,
    "expand": Spread,
    "bind": Bound,
}
