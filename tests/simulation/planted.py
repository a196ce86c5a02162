"""Bugs to be planted into the product: each a mistake that somebody could make. The simulation must find every one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from easyjobs.core import lifecycle
from easyjobs.core.changes import AddEdge, Insert, Release
from easyjobs.core.events import WorkerDied
from easyjobs.core.job import Job
from easyjobs.hub import judge as judging
from easyjobs.hub.chains import Chains, Links
from easyjobs.hub.committer import Committer
from easyjobs.hub.desk import Desk
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.entries import Arrival, Chore, Entry, Word
from easyjobs.hub.services import ticker
from easyjobs.stores.memory import MemoryStore, tables
from easyjobs.stores.memory.tables import Tables

Plant = Callable[[pytest.MonkeyPatch], None]


def no_fence(patch: pytest.MonkeyPatch) -> None:
    """Outcomes are taken from any attempt, as long as the job runs."""

    def spoken(job: Job, attempt: int, token: str) -> Any:
        return None if job.state == "running" else lifecycle.Ignored("stale")

    patch.setattr(lifecycle, "_spoken", spoken)


def acknowledged_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """A submission is answered when it is taken in, not when it is durable."""
    add = Committer.add

    def early(self: Committer, entry: Entry) -> None:
        if isinstance(entry, Arrival):
            entry.done(entry)
            entry.done = lambda arrival: None
        add(self, entry)

    patch.setattr(Committer, "add", early)


def told_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a job is told when its outcome arrives."""
    outcomes = Desk._outcomes

    def early(self: Desk, connection: Any, live: Any, said: Any) -> None:
        for outcome in said:
            job = self._roster.running.get(outcome.job)
            if job is not None and outcome.end == "completed":
                waiters = self._requests._announcer._waiters.pop(job.id, [])
                told = copy.copy(job)
                told.state, told.result = "completed", bytes(outcome.result).decode()
                for waiter in waiters:
                    waiter(told)
        outcomes(self, connection, live, said)

    patch.setattr(Desk, "_outcomes", early)


def lost_workers_keep_their_jobs(patch: pytest.MonkeyPatch) -> None:
    """A lost session is forgotten, and its jobs with it."""
    add = Committer.add

    def deaf(self: Committer, entry: Entry) -> None:
        if not (isinstance(entry, Word) and isinstance(entry.event, WorkerDied)):
            add(self, entry)

    patch.setattr(Committer, "add", deaf)


def attempts_are_reused(patch: pytest.MonkeyPatch) -> None:
    """A claim does not raise the attempt of a job that had one."""
    claim = MemoryStore._claim

    def reusing(self: MemoryStore, wanted: Any) -> Any:
        claimed, emptied = claim(self, wanted)
        for job in claimed:
            if job.attempt > 1:
                job.attempt -= 1
                self._jobs[job.id] = copy.copy(job)
        return claimed, emptied

    patch.setattr(MemoryStore, "_claim", reusing)


def limits_are_for_claims_only(patch: pytest.MonkeyPatch) -> None:
    """The short way for new jobs forgets the task's concurrency."""

    def takers(self: Dispatcher, lane: Any) -> list[Any]:
        return [
            live
            for live in self._roster.sessions.values()
            if lane in live.lanes and live.free > 0 and self.may_work(live) and self.ready.isdisjoint(live.lanes)
        ]

    patch.setattr(Dispatcher, "_takers", takers)


def ends_can_be_undone(patch: pytest.MonkeyPatch) -> None:
    """A cancel ends what has ended once more."""

    def cancel(job: Job, event: Any, *rest: Any) -> Any:
        return lifecycle.Step({"state": "cancelled", "finished_at": rest[0], "cancel": event.by})

    patch.setitem(lifecycle._DECIDE, lifecycle.CancelRequested, cancel)
    patch.setattr(lifecycle, "allowed", lambda source, target: True)


def requeued_jobs_wake_nobody(patch: pytest.MonkeyPatch) -> None:
    """A job that goes back to its queue is not put among the ready ones."""
    applied = judging.Judge._word_applied

    def forgetful(self: judging.Judge, word: Word, row: Job, decision: Any) -> None:
        ready = set(self._dispatcher.ready)
        applied(self, word, row, decision)
        self._dispatcher.ready &= ready

    patch.setattr(judging.Judge, "_word_applied", forgetful)


def followers_come_later(patch: pytest.MonkeyPatch) -> None:
    """What follows a job is stored by a commit of its own, soon after the one that ended it."""
    end, linked_now = Chains.end, judging.Judge._linked_now
    later: dict[int, list[Any]] = {}

    def end_alone(self: Chains, links: Links, *rest: Any) -> None:
        end(self, links, *rest)
        later[id(links)] = [write for write in links.writes if isinstance(write, Insert)]
        links.writes[:] = [write for write in links.writes if not isinstance(write, Insert)]

    def follow(self: judging.Judge, links: Links) -> None:
        linked_now(self, links)
        writes = later.pop(id(links), [])
        if writes:
            self._outlets.add(Chore(writes))  # type: ignore[attr-defined]

    patch.setattr(Chains, "end", end_alone)
    patch.setattr(judging.Judge, "_linked_now", follow)


def nobody_waits(patch: pytest.MonkeyPatch) -> None:
    """A job starts beside its prerequisites."""
    before = Chains.before

    def impatient(self: Chains, links: Links, job: Job, *rest: Any) -> None:
        before(self, links, job, *rest)
        if job.state == "waiting" and job.signature:
            job.state = "queued"

    patch.setattr(Chains, "before", impatient)


def bad_ends_are_not_passed_on(patch: pytest.MonkeyPatch) -> None:
    """Who waits for a job does not hear that it failed."""

    async def nobody(self: Committer, ids: list[str]) -> dict[str, Any]:
        return {}

    patch.setattr(Committer, "_waiting_for", nobody)


def an_edge_counts_again(patch: pytest.MonkeyPatch) -> None:
    """The store forgets that it has counted an edge."""
    release = Tables._release

    def forgetful(self: Tables, write: Release) -> None:
        release(self, write)
        for edge in [edge for edge in self._edges if edge.prerequisite == write.id]:
            self._set(self._edges, edge, False)
            row = self._jobs.get(edge.follower)
            if row is not None and row.deps_left > 0:
                self._count_down(msgspec.structs.replace(row, deps_left=row.deps_left - 1))

    patch.setattr(Tables, "_release", forgetful)
    patch.setitem(tables._WRITES, Release, forgetful)


def who_joins_is_not_seen(patch: pytest.MonkeyPatch) -> None:
    """An edge to a job that was there before leaves that job's version alone, and its end unaware."""

    def unseen(self: Tables, write: AddEdge) -> None:
        self._set(self._edges, write.edge, False)

    patch.setitem(tables._WRITES, AddEdge, unseen)


def ticks_take_two_commits(patch: pytest.MonkeyPatch) -> None:
    """A tick's job is stored first, and that the schedule has moved on by the next commit; no guard knows the tick."""
    add, keep_free = Committer.add, Tables._keep_free

    def apart(self: Committer, entry: Entry) -> None:
        if isinstance(entry, Arrival) and entry.writes:
            done, later, entry.writes = entry.done, Chore(entry.writes), []

            def then(arrival: Arrival) -> None:
                done(arrival)
                if not arrival.refused:
                    add(self, later)

            entry.done = then
        add(self, entry)

    def careless(self: Tables, why: Any, taken: Any) -> None:
        if why != "tick":
            keep_free(self, why, taken)

    patch.setattr(Committer, "add", apart)
    patch.setattr(Tables, "_keep_free", careless)


def who_still_runs_is_not_asked(patch: pytest.MonkeyPatch) -> None:
    """A tick is fired whether the job before has ended or not."""

    async def nobody(self: MemoryStore, schedules: Any) -> dict[str, Any]:
        return {}

    patch.setattr(MemoryStore, "live_of", nobody)


def a_refused_tick_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A tick that the store did not take is not tried again, and none after it."""
    patch.setattr(ticker, "AGAIN", 1e9)


PLANTS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        no_fence,
        acknowledged_before_the_commit,
        told_before_the_commit,
        lost_workers_keep_their_jobs,
        attempts_are_reused,
        limits_are_for_claims_only,
        ends_can_be_undone,
        requeued_jobs_wake_nobody,
        followers_come_later,
        nobody_waits,
        bad_ends_are_not_passed_on,
        an_edge_counts_again,
        who_joins_is_not_seen,
        ticks_take_two_commits,
        who_still_runs_is_not_asked,
        a_refused_tick_is_forgotten,
    )
}
