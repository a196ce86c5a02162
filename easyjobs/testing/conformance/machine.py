"""Random operations on a store and on the memory store beside it: both must answer alike and hold the same rows."""

from __future__ import annotations

import asyncio
import copy
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from easyjobs.core.changes import Broken, Claim, PutSession, Unit
from easyjobs.core.job import Job, Lane, Session
from easyjobs.core.states import STATES
from easyjobs.stores.base import JobQuery, Retention
from easyjobs.stores.memory import MemoryStore
from easyjobs.testing.clock import HandClock
from easyjobs.testing.conformance.linking import linked_units
from easyjobs.testing.conformance.operations import IDS, KEYS, QUEUES, RUNS, SCHEDULES, SESSIONS, claims, seldom, units
from easyjobs.testing.conformance.story import Cases, MakeStore

EVERYTHING = JobQuery(limit=10_000)


class Twins(RuleBasedStateMachine):
    """A store and the memory store, on one clock, told the same."""

    def __init__(self, make_store: MakeStore) -> None:
        super().__init__()
        self._clock = HandClock()
        self._loop = asyncio.Runner()
        self._model = MemoryStore(self._clock)
        self._store = make_store(self._clock)
        self._seen: list[Job] = []  # jobs as they were at some time
        self._live: list[Session] = []
        self._opened = False

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

    def _commit(self, batch: list[Unit], claim: Claim | None) -> None:
        self._both("commit", batch, claim)
        self._live = self._both("sessions")
        now = list(self._both("jobs", IDS).values())
        self._seen = [*now, *now, *self._seen[:6]]  # mostly as they are, some as they were

    @initialize()
    def begin(self) -> None:
        """Open both, with live sessions."""
        self._both("open")
        self._opened = True
        now = self._clock.wall()
        sessions = [Session(id, id, id, "h", 1, "live", now, now + 30) for id in SESSIONS[:2]]
        self._commit([Unit([PutSession(session)]) for session in sessions], None)

    @rule(data=st.data(), claiming=st.booleans())
    def submit(self, data: st.DataObject, claiming: bool) -> None:
        """New jobs."""
        batch = units(self._clock.wall(), self._live, self._seen, ["jobs"], 3)
        self._commit(data.draw(batch), data.draw(claims(self._live)) if claiming else None)

    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        """A claim alone."""
        self._commit([], data.draw(claims(self._live)))

    @rule(data=st.data(), claiming=st.booleans())
    def report(self, data: st.DataObject, claiming: bool) -> None:
        """What workers and people say of jobs, while some run."""
        running = self._both("running") or self._seen
        batch = units(self._clock.wall(), self._live, [*running, *running, *self._seen[-3:]], ["words"], 2)
        self._commit(data.draw(batch), data.draw(claims(self._live)) if claiming else None)

    @rule(data=st.data(), claiming=st.booleans())
    def mix(self, data: st.DataObject, claiming: bool) -> None:
        """Anything, in any order."""
        kinds = ["jobs", "words", "arrivals", "others"]
        batch = units(self._clock.wall(), self._live, self._seen, kinds, 2)
        self._commit(data.draw(batch), data.draw(claims(self._live)) if claiming else None)

    @rule(data=st.data(), claiming=st.booleans())
    def chain(self, data: st.DataObject, claiming: bool) -> None:
        """Chains begin and go on, schedules come and fire."""
        rows = list(self._both("jobs", IDS).values())
        waited_for = self._both("followers", IDS)
        batch = linked_units(self._clock.wall(), rows, waited_for, self._both("schedules"))
        self._commit(data.draw(batch), data.draw(claims(self._live)) if claiming else None)

    @rule(seconds=st.sampled_from([0.5, 5.0, 60.0]), limit=st.integers(1, 4))
    def wait(self, seconds: float, limit: int) -> None:
        """Time passes, and some of what is due becomes ready."""
        self._clock.advance(seconds)

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

    @rule(keep=st.sampled_from([1.0, 30.0]), limit=st.integers(1, 3))
    def retire(self, keep: float, limit: int) -> None:
        """Look at tasks that nobody may need any more."""
        self._both("retire", keep, None, limit)

    @rule()
    def reopen(self) -> None:
        """A restart of the manager."""
        self._both("close")
        self._both("open")

    @rule(
        queue=seldom(*QUEUES),
        task=seldom("load", "none"),
        state=seldom(*STATES),
        text=seldom("1", "job1"),
        parent=seldom("job0"),
        schedule=seldom(*SCHEDULES),
        run=seldom(*RUNS),
        runs=st.sampled_from([False, False, True]),
        before=seldom(3, 9),
        limit=st.integers(1, 5),
    )
    def find(self, **query: Any) -> None:
        """A page."""
        self._both("find", JobQuery(**query))

    @invariant()
    def hold_the_same(self) -> None:
        """All rows and all that is derived from them."""
        if self._opened:
            self._both("find", EVERYTHING)
            for call in ("running", "lanes", "counts", "totals", "next_due", "tasks", "pauses", "schedules"):
                self._both(call)
            for call in ("followers", "edges"):
                self._both(call, IDS)
            self._both("live_of", SCHEDULES)
            self._both("fresh", KEYS)
            for queue in QUEUES:
                self._both("coming", queue, "load", 100)
            self._both("overdue", 100)
            self._both("late", 100)
            self._both("late", 100, True)
            self._both("by_run", [*RUNS, *IDS[:12]])
            self._both("sessions", 0.0)

    def teardown(self) -> None:
        """The histories, at the end; then close."""
        try:
            for id in IDS if self._opened else ():
                self._both("attempts", id)
                self._both("logs", id)
        finally:
            self._loop.run(self._store.close())
            self._loop.close()


def _plain(answer: Any) -> Any:
    """An answer without the words of a `Broken`, which every store finds for itself."""
    verdicts = getattr(answer, "verdicts", None)
    if verdicts is None:
        return answer
    plain = copy.copy(answer)
    plain.verdicts = [Broken("") if isinstance(verdict, Broken) else verdict for verdict in verdicts]
    return plain


class RandomCases(Cases):
    """The store and the memory store, told the same at random; repeatable."""

    @pytest.fixture
    def stories(self) -> settings:
        """How many random stories, of how many steps; override it for longer runs.

        A story that fails is shown as it is: to make it shorter takes minutes, so that phase is left to an override.
        """
        return settings(max_examples=40, stateful_step_count=25, phases=[Phase.generate], derandomize=True)

    def test_random_operations_are_answered_as_the_memory_store_does(
        self, make_store: MakeStore, stories: settings
    ) -> None:
        """Random stories."""
        run_state_machine_as_test(
            cast(type[Twins], lambda: Twins(make_store)),
            settings=settings(stories, deadline=None, database=None, suppress_health_check=list(HealthCheck)),
        )
