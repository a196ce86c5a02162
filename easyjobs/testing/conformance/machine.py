"""Random operations on a store and on the memory store beside it: both must answer alike and hold the same rows."""

from __future__ import annotations

import asyncio
import copy
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from easyjobs.core.changes import (
    AppendLogs,
    Broken,
    Claim,
    Delete,
    DropPause,
    FlagCancel,
    Insert,
    LoseSession,
    NoteProgress,
    Offer,
    PutPause,
    PutSession,
    PutTask,
    Renew,
    Unit,
    Update,
    Write,
)
from easyjobs.core.job import Attempt, Job, Lane, Session
from easyjobs.core.signature import Signature
from easyjobs.core.states import STATES
from easyjobs.core.task import TaskSpec
from easyjobs.stores.base import JobQuery, Retention
from easyjobs.stores.memory import MemoryStore
from easyjobs.testing.clock import HandClock
from easyjobs.testing.conformance.story import Cases, MakeStore

QUEUES, TASKS, SIGNATURES = ("etl", "mail"), ("load", "send"), ("", "new")
LANES = [Lane(queue, task, signature) for queue in QUEUES for task in TASKS for signature in SIGNATURES]
IDS = [f"job{n}" for n in range(12)]
SESSIONS = ["s1", "s2", "s3"]
EVERYTHING = JobQuery(limit=10_000)


def _few(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([None, None, None, *values])


ids, sessions, epochs = st.sampled_from(IDS), st.sampled_from(SESSIONS), st.integers(1, 3)
delays = st.sampled_from([-5.0, 0.0, 0.0, 0.0, 5.0, 60.0])


@st.composite
def jobs(draw: st.DrawFn, now: float) -> Job:
    """A new job, in any state that a manager would insert."""
    job = Job(
        draw(ids),
        draw(st.sampled_from(QUEUES)),
        draw(st.sampled_from(TASKS)),
        draw(st.sampled_from(SIGNATURES)),
        state=draw(st.sampled_from(["queued", "queued", "queued", "waiting", "running", "failed"])),
        priority=draw(st.integers(-1, 1)),
        created_at=now,
        run_at=now + draw(delays),
        key=draw(_few("k1", "k2")),
        unique_key=draw(_few("u1", "u2")),
        deadline=draw(_few(now - 1, now + 30)),
        parent=draw(_few("job0")),
        args=draw(st.sampled_from(["[]", "[1]", '["\ud800"]'])),
    )
    if job.state == "running":
        job.attempt, job.version, job.token, job.started_at = 1, 1, "direct", now
        job.session, job.holds = draw(sessions), draw(_few("c1"))
    if job.state == "failed":
        job.finished_at = now
    return job


@st.composite
def updates(draw: st.DrawFn, seen: list[Job], now: float) -> Update:
    """A change of a job as it was seen once."""
    job = copy.copy(draw(st.sampled_from(seen)))
    if draw(st.booleans()) and draw(st.booleans()):
        job.version += 100
    changes: list[dict[str, Any]] = [{"priority": 1}, {"run_at": now + draw(delays)}, {}, {"unknown": 1}]
    if not job.final:
        end = {"state": "completed", "finished_at": now, "result": "1"}
        changes += [
            end,
            end,
            {"state": "failed", "finished_at": now, "error": "{}"},
            {"state": "cancelled", "finished_at": now},
            {"state": "queued", "run_at": now + draw(delays), "session": None, "holds": None},
            {"state": "retry", "run_at": now + 5, "failures": job.failures + 1, "holds": None},
            {"state": "waiting"},
        ]
    columns = draw(st.sampled_from(changes))
    past = None
    if job.state == "running" and columns.get("state") in ("queued", "retry"):
        past = Attempt(job.id, job.attempt, job.worker, job.started_at, now, "returned")
    return Update(job, columns, past, job.holds)


@st.composite
def writes(draw: st.DrawFn, seen: list[Job], now: float) -> Write:
    """Any write."""
    kinds = ["insert"] * 4 + ["session", "renew", "lose", "task", "pause", "drop", "flag", "progress", "logs"]
    kind = draw(st.sampled_from(kinds + (["update"] * 6 + ["delete"] if seen else [])))
    if kind == "insert":
        return Insert(draw(jobs(now)), draw(epochs))
    if kind == "update":
        return draw(updates(seen, now))
    if kind == "delete":
        return Delete(copy.copy(draw(st.sampled_from(seen))))
    if kind == "flag":
        return FlagCancel(draw(ids), draw(st.integers(1, 2)), draw(st.sampled_from(["ann", "bob"])))
    if kind == "progress":
        return NoteProgress(draw(ids), draw(st.integers(1, 2)), draw(st.sampled_from(["half", "most"])))
    if kind == "logs":
        return AppendLogs(draw(ids), [(1, now, "info", "a")] * draw(st.integers(0, 2)))
    if kind == "session":
        id = draw(sessions)
        return PutSession(Session(id, id, id, "h", draw(epochs), "live", now, now + 30))
    if kind == "renew":
        return Renew(draw(sessions), draw(epochs), now + 30)
    if kind == "lose":
        return LoseSession(draw(sessions), draw(st.sampled_from([None, 1, 2])), now)
    if kind == "task":
        return PutTask(TaskSpec(draw(st.sampled_from(QUEUES)), "load", Signature(), doc=draw(_few("x")) or ""), now)
    name = draw(st.sampled_from(QUEUES))
    return PutPause("queue", name, "ann", now) if kind == "pause" else DropPause("queue", name)


@st.composite
def claims(draw: st.DrawFn) -> Claim | None:
    """A claim, or none."""
    if draw(st.booleans()):
        return None
    lanes = st.frozensets(st.sampled_from(LANES), min_size=1)
    offers = [
        Offer(id, draw(epochs), f"worker of {id}", draw(st.integers(0, 3)), draw(lanes))
        for id in draw(st.lists(sessions, min_size=1, max_size=3, unique=True))
    ]
    bounds = st.tuples(st.sampled_from(["c1", "c2"]), st.integers(0, 3))
    capacity = draw(st.dictionaries(st.sampled_from(LANES), bounds, max_size=3))
    return Claim(offers, [f"t{n}" for n in range(sum(offer.slots for offer in offers))], capacity)


class Twins(RuleBasedStateMachine):
    """A store and the memory store, on one clock, told the same."""

    def __init__(self, make_store: MakeStore) -> None:
        super().__init__()
        self._clock = HandClock()
        self._loop = asyncio.Runner()
        self._model = MemoryStore(self._clock)
        self._store = make_store(self._clock)
        self._seen: list[Job] = []

    def _both(self, call: str, *arguments: Any) -> Any:
        """Ask both, each with its own copy of the arguments; their one answer."""

        async def ask() -> tuple[Any, Any]:
            mine, yours = copy.deepcopy(arguments), copy.deepcopy(arguments)
            answers = (await getattr(self._model, call)(*mine), await getattr(self._store, call)(*yours))
            assert mine == yours, "the arguments were changed in different ways"
            return answers

        expected, answer = self._loop.run(ask())
        assert _plain(answer) == _plain(expected), f"{call}: {answer} instead of {expected}"
        return expected

    @initialize()
    def begin(self) -> None:
        """Open both, with a live session."""
        self._both("open")
        now = self._clock.wall()
        self._both("commit", [Unit([PutSession(Session("s1", "w", "w", "h", 1, "live", now, now + 30))])])

    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        """Some units and perhaps a claim."""
        write = writes(self._seen[-30:], self._clock.wall())
        units = data.draw(st.lists(st.lists(write, min_size=1, max_size=3).map(Unit), max_size=6))
        committed = self._both("commit", units, data.draw(claims()))
        self._seen += committed.claimed
        self._seen += self._both("jobs", IDS).values()

    @rule(seconds=st.sampled_from([0.5, 5.0, 60.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._clock.advance(seconds)

    @rule(limit=st.integers(1, 4))
    def promote(self, limit: int) -> None:
        """Make due jobs ready."""

        async def ask() -> tuple[list[Lane], list[Lane]]:
            return await self._model.promote(limit), await self._store.promote(limit)

        expected, lanes = self._loop.run(ask())
        assert sorted(lanes) == sorted(expected)

    @rule(keep=st.sampled_from([5.0, 30.0]))
    def prune(self, keep: float) -> None:
        """Remove what is old, in as many calls as it takes."""

        async def all_of(store: Any) -> int:
            removed = 0
            while number := await store.prune(Retention(keep, keep * 2), 3):
                removed += number
            return removed

        assert self._loop.run(all_of(self._store)) == self._loop.run(all_of(self._model))

    @rule()
    def reopen(self) -> None:
        """A restart of the manager."""
        self._both("close")
        self._both("open")

    @rule(
        queue=_few(*QUEUES),
        task=_few(*TASKS),
        state=_few(*STATES),
        text=_few("1", "job1"),
        parent=_few("job0"),
        before=_few(3, 9),
        limit=st.integers(1, 5),
    )
    def find(self, **query: Any) -> None:
        """A page."""
        self._both("find", JobQuery(**query))

    @invariant()
    def hold_the_same(self) -> None:
        """All rows and all that is derived from them."""
        if not self._seen:
            return
        self._both("find", EVERYTHING)
        for call in ("running", "lanes", "counts", "totals", "next_due", "tasks", "pauses"):
            self._both(call)
        self._both("overdue", 100)
        self._both("sessions", 0.0)

    def teardown(self) -> None:
        """The histories, at the end; then close both."""
        try:
            for id in IDS if self._seen else ():
                self._both("attempts", id)
                self._both("logs", id)
        finally:
            self._loop.run(self._store.close())
            self._loop.close()


def _plain(answer: Any) -> Any:
    """An answer without the words of a `Broken`, which every store finds for itself."""
    verdicts = getattr(answer, "verdicts", None)
    if verdicts is not None:
        answer.verdicts = [Broken("") if isinstance(verdict, Broken) else verdict for verdict in verdicts]
    return answer


class RandomCases(Cases):
    """The store and the memory store, told the same at random; repeatable."""

    @pytest.fixture
    def stories(self) -> tuple[int, int]:
        """How many random stories, and how many steps in each; override it for longer runs."""
        return 60, 25

    def test_random_operations_are_answered_as_the_memory_store_does(
        self, make_store: MakeStore, stories: tuple[int, int]
    ) -> None:
        """Random stories; a failing one is shown as the shortest that fails."""
        examples, steps = stories
        run_state_machine_as_test(
            cast(type[Twins], lambda: Twins(make_store)),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                derandomize=True,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
