"""Bugs to be planted into the product: each a mistake that somebody could make. The simulation must find every one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest

from easyjobs.core import lifecycle, retry
from easyjobs.core.changes import AddEdge, Insert, Release, Unit
from easyjobs.core.events import Completed, WorkerDied
from easyjobs.core.job import Job
from easyjobs.hub import judge as judging
from easyjobs.hub import submission
from easyjobs.hub.chains import Chains, Links
from easyjobs.hub.committer import Committer
from easyjobs.hub.desk import Desk
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.entries import Arrival, Chore, Entry, Word
from easyjobs.hub.reception import Reception
from easyjobs.hub.services.breaker import Breaker
from easyjobs.hub.turning import Turning
from easyjobs.stores.memory import MemoryStore, tables
from easyjobs.stores.memory.tables import Tables
from easyjobs.workers.runner import Runner
from tests.simulation import planted_runs, planted_ticks

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
        if isinstance(entry, Arrival) and not entry.writes:
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
        answer = claim(self, wanted)
        for job in answer[0]:
            if job.attempt > 1:
                job.attempt -= 1
        return answer

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


def an_outcome_heard_twice_counts_twice(patch: pytest.MonkeyPatch) -> None:
    """What follows a job is made again when its outcome, whose acknowledgement was lost, comes again."""
    decide = judging.Judge._decide_word

    def eager(self: judging.Judge, word: Word, rows: Any, now: float, units: list[Any], waiting: Any) -> None:
        decide(self, word, rows, now, units, waiting)
        ignored, row = self._ignored[-1][1:] if self._ignored and self._ignored[-1][0] is word else (None, None)
        if ignored is not None and ignored.why == "duplicate" and row is not None and row.state == "completed":
            links = Links()
            self._chains.end(links, row, lifecycle.Step({"state": "completed", "result": row.result}), {}, {}, now)
            if links.writes:
                units.append(Unit(links.writes))
                self._plan.append((Chore([]), None, None, None))

    patch.setattr(judging.Judge, "_decide_word", eager)


def who_is_decided_anew_is_not_followed(patch: pytest.MonkeyPatch) -> None:
    """What follows a job is worked out once: a commit that failed takes it along."""
    decide = judging.Judge._decide_word
    seen: set[int] = set()

    def once(self: judging.Judge, word: Word, *rest: Any) -> None:
        end = self._chains.end
        if isinstance(word.event, Completed):
            if id(word.event) in seen:
                self._chains.end = lambda *_: None  # type: ignore[method-assign]
            seen.add(id(word.event))
            kept.append(word.event)
        decide(self, word, *rest)
        self._chains.end = end  # type: ignore[method-assign]

    kept: list[Any] = []  # or another event might get the id of one that is gone
    patch.setattr(judging.Judge, "_decide_word", once)


def crashes_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    """A job goes back to its queue when its worker dies, and nothing is noted."""
    decide = lifecycle._DECIDE[WorkerDied]

    def forgetful(job: Job, *rest: Any) -> Any:
        step = decide(job, *rest)
        if isinstance(step, lifecycle.Step) and step.state == "queued":
            del step.columns["crashes"], step.columns["crashed_at"]
        return step

    patch.setitem(lifecycle._DECIDE, WorkerDied, forgetful)


def crashes_have_no_end(patch: pytest.MonkeyPatch) -> None:
    """A job that takes its worker with it is tried for ever."""
    patch.setattr(retry, "MAX_CRASHES", 1000)


def what_must_not_run_again_does(patch: pytest.MonkeyPatch) -> None:
    """The crash rules do not ask for the task's `retry_policy`."""
    decide = lifecycle._DECIDE[WorkerDied]

    def careless(job: Job, event: Any, now: float, options: Any, jitter: float) -> Any:
        return decide(job, event, now, lifecycle.DEFAULT_OPTIONS, jitter)

    patch.setitem(lifecycle._DECIDE, WorkerDied, careless)


def a_crash_is_taken_for_a_failure(patch: pytest.MonkeyPatch) -> None:
    """A job fails for good with its worker, as long as it has crashes to spare."""
    patch.setattr(retry, "MAX_CRASHES", 2)


def company_after_a_crash(patch: pytest.MonkeyPatch) -> None:
    """The attempt after a crash shares its worker with others."""
    patch.setattr(Runner, "_isolate", lambda self, run: None)


def who_comes_at_once_hides_the_crash(patch: pytest.MonkeyPatch) -> None:
    """A process that says hello under the worker_id of one that died is taken for that one."""
    welcome = Reception.welcome

    async def trusting(self: Reception, connection: Any, hello: Any) -> Any:
        known = self._roster.of_worker(hello.worker_id)
        if known is not None:
            hello.session = known.row.id
        return await welcome(self, connection, hello)

    patch.setattr(Reception, "welcome", trusting)


def late_hellos_are_believed(patch: pytest.MonkeyPatch) -> None:
    """The hello that arrives last is taken for the one that was said last."""
    patch.setattr(Reception, "_refuse_late", lambda self, *hello: None)


def the_breaker_never_opens(patch: pytest.MonkeyPatch) -> None:
    """A worker that only fails goes on failing."""
    patch.setattr(Breaker, "failed", lambda self, live, job, now: None)


def nobody_asks_what_is_fresh(patch: pytest.MonkeyPatch) -> None:
    """Jobs that depend on others are taken in like any other."""
    turn_of = submission.turn_of
    patch.setattr(submission, "turn_of", lambda *call: "spread" if turn_of(*call) == "spread" else None)


def fresh_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Once done is done."""
    needs = Turning._needs

    def patient(self: Turning, *job: Any) -> Any:
        return [(name, wanted, within * 1e6) for name, wanted, within in needs(self, *job)]

    patch.setattr(Turning, "_needs", patient)


def a_group_is_spread_again(patch: pytest.MonkeyPatch) -> None:
    """It keeps its turn after it was spread."""

    def spread(job: Job, event: Any, *rest: Any) -> Any:
        if job.turn != "spread":
            return lifecycle.Ignored("settled")
        return lifecycle.Step({"state": "queued", "deps_left": job.deps_left + event.members})

    patch.setitem(lifecycle._DECIDE, lifecycle.Spread, spread)


def a_bad_end_ends_the_group(patch: pytest.MonkeyPatch) -> None:
    """A group waits for its members as for prerequisites."""
    wait = Turning._wait
    patch.setattr(Turning, "_wait", lambda self, links, row, edges, bad: wait(self, links, row, edges, "fail"))


class Planted(NamedTuple):
    """A bug, and what of a violation's words must be there when the right invariant has found it."""

    plant: Plant
    found: str


PLANTS: dict[str, Planted] = {
    plant.__name__: Planted(plant, found)
    for plant, found in (
        (no_fence, r"but attempt \d+ returned"),
        (acknowledged_before_the_commit, "was acknowledged and is not stored"),
        (told_before_the_commit, "was told as"),
        (lost_workers_keep_their_jobs, "in peace these did not end|took its worker with it"),
        (attempts_are_reused, r"was (claimed|handed out again) as attempt (\d+), after \2"),
        (limits_are_for_claims_only, "of `limited` run at once"),
        (ends_can_be_undone, "had ended as"),
        (requeued_jobs_wake_nobody, "in peace these did not end"),
        (followers_come_later, r"followed by Counter\(\)"),
        (an_outcome_heard_twice_counts_twice, "followed by Counter.*: 2"),
        (who_is_decided_anew_is_not_followed, r"followed by Counter\(\)|counts .* prerequisites, and 0 are left"),
        (nobody_waits, "ahead of"),
        (bad_ends_are_not_passed_on, "still waits for what ended badly"),
        (an_edge_counts_again, "ahead of|counts .* prerequisites"),
        (who_joins_is_not_seen, "counts .* prerequisites|did not end"),
        (crashes_are_not_counted, "crashes in its history, and counts|crashes are .* as before"),
        (crashes_have_no_end, "crashed 3 times and is"),
        (what_must_not_run_again_does, "must not run again"),
        (a_crash_is_taken_for_a_failure, "was given up after 2 crashes"),
        (company_after_a_crash, "not alone after a crash"),
        (who_comes_at_once_hides_the_crash, "took its worker with it"),
        (late_hellos_are_believed, "was told that another one came|took its worker with it"),
        (the_breaker_never_opens, "given to a worker that only fails"),
        (nobody_asks_what_is_fresh, "was never asked what it needs"),
        (fresh_for_ever, r"no base \d is fresh"),
        (a_group_is_spread_again, r"group .* has members \["),
        (a_bad_end_ends_the_group, r"group .* is failed, and its members are|was told as completed with \{'jobs': 0\}"),
        *planted_runs.FOUND,
        *planted_ticks.FOUND,
    )
}
