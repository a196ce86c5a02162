"""What must hold of jobs whose workers die, and of workers that only fail: the facts, and how they are judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from easyjobs.core.job import Job
from easyjobs.core.states import FINAL, RUNNING
from easyjobs.stores.memory import MemoryStore
from easyjobs.tasks.context import JobContext
from easyjobs.testing.network import Node

MOST_CRASHES: Final = 3
NOT_AGAIN: Final = ("once",)
"""Tasks that are not to run again when their worker died."""

AWAITING: Final = ("parent", "on_task_fail")
"""Tasks that do nothing but await other jobs."""

FAILURES: Final = 25
OF_TASKS: Final = 3
WITHIN: Final = 30.0
REST: Final = 20.0
"""The breaker's measures, with room: it judges by when a word came, and we by its commit; clocks are set between."""


class Violation(AssertionError):
    """An invariant did not hold."""


class Crashes:
    """Facts of one story about crashes and failures.

    :param lone: whether there is one manager at a time; what a breaker knows is no other manager's knowledge.
    """

    def __init__(self, *, lone: bool) -> None:
        self.rows: dict[str, Job] = {}
        """As they were after the last commit."""
        self.broken: list[Violation] = []
        """What was found between two commits."""
        self._lone = lone
        self._deadly: set[tuple[str, int, str]] = set()
        self._playing: dict[Node, dict[JobContext, bool]] = {}
        self._failures: dict[str, list[tuple[float, str]]] = {}
        self._resting: dict[str, float] = {}

    # -- facts

    @contextmanager
    def playing(self, node: Node, job: JobContext) -> Iterator[None]:
        """An attempt is in a task's hands. After a crash it must have its worker for itself.

        One that awaits others has given its slot away: then it is nobody's company.
        """
        row = self.rows.get(job.id)
        lonely = row is not None and row.crashes > 0 and row.state == RUNNING and row.attempt == job.attempt
        here = self._playing.setdefault(node, {})
        if here and (lonely or any(here.values())):
            tasks = ", ".join(sorted(other.task for other in here))
            self.broken.append(Violation(f"{job.id} {job.task} began beside {tasks}: not alone after a crash"))
        if job.task not in AWAITING:
            here[job] = lonely
        try:
            yield
        finally:
            here.pop(job, None)

    def took_its_worker(self, job: JobContext) -> None:
        """The attempt is about to end its process."""
        row = self.rows.get(job.id)
        if row is not None and row.state == RUNNING and row.attempt == job.attempt and row.token:
            self._deadly.add((job.id, job.attempt, row.token))

    def new_manager(self) -> None:
        """A manager came to life: it has counted no failures yet."""
        self._failures.clear()
        self._resting.clear()

    # -- judging

    def check(self, before: dict[str, Job], moved: list[Job], store: MemoryStore) -> None:
        """Judge the rows that a commit moved.

        :raises Violation: something does not hold.
        """
        for row in moved:
            if row.crashes or row.id in before:
                self._counted(before.get(row.id), row, store)
        if self._lone:
            self._rested(before, moved, store._now)

    def _counted(self, before: Job | None, row: Job, store: MemoryStore) -> None:
        ends = [attempt.end for attempt in store._attempts.get(row.id, ())]
        died = row.state == "failed" and json.loads(row.error or "{}").get("type") == "WorkerDied"
        if before is not None and before.state == RUNNING and (row.token != before.token or row.state in FINAL):
            deadly = (before.id, before.attempt, before.token or "") in self._deadly
            if deadly and row.crashes != before.crashes + 1:
                raise Violation(f"{row.id} took its worker with it; its crashes are {row.crashes} as before")
        if row.state not in FINAL and row.crashes != ends.count("crashed"):
            raise Violation(f"{row.id} has {ends.count('crashed')} crashes in its history, and counts {row.crashes}")
        if row.state not in FINAL and row.crashes >= MOST_CRASHES:
            raise Violation(f"{row.id} crashed {row.crashes} times and is {row.state}")
        if row.state not in FINAL and row.crashes and row.task in NOT_AGAIN:
            raise Violation(f"{row.id} {row.task} must not run again, and is {row.state} after a crash")
        if died and row.crashes < MOST_CRASHES and row.task not in NOT_AGAIN:
            raise Violation(f"{row.id} {row.task} was given up after {row.crashes} crashes")

    def _rested(self, before: dict[str, Job], moved: list[Job], now: float) -> None:
        """A worker that has only failed is given nothing for a while."""
        for row in moved:
            was = before.get(row.id)
            begins = row.state == RUNNING and (was is None or was.token != row.token)
            if begins and now < self._resting.get(row.session or "", 0.0):
                raise Violation(f"{row.id} {row.task} was given to a worker that only fails")
        completed: set[str] = set()
        for row in moved:
            was = before.get(row.id)
            if was is None or was.state != RUNNING or row.state == RUNNING or was.session is None:
                continue
            if row.state == "completed":
                completed.add(was.session)
            elif row.state in ("retry", "failed") and row.token == was.token:
                self._failures.setdefault(was.session, []).append((now, row.task))
        for session, failures in list(self._failures.items()):
            if session in completed or now < self._resting.get(session, 0.0):
                del self._failures[session]
                continue
            last = failures[-FAILURES:]
            if len(last) == FAILURES and now - last[0][0] < WITHIN and len({task for _, task in last}) >= OF_TASKS:
                self._resting[session] = now + REST
                del self._failures[session]
