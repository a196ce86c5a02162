"""What must hold after every commit, whatever has failed: the invariants, and the facts that they are judged by."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec

from easyjobs.core.job import Job
from easyjobs.core.states import FINAL, QUEUED, RETRY, RUNNING, WAITING, allowed
from easyjobs.stores.memory import MemoryStore
from tests.simulation.crashes import Crashes, Violation
from tests.simulation.runs import Runs
from tests.simulation.ticks import Ticks
from tests.simulation.turns import Turns


class Ledger:
    """Facts of one story: what was acknowledged to clients, what attempts returned, what the rows were last."""

    def __init__(self, chains: dict[str, dict[str, Any]], managers: int) -> None:
        self.chains = chains
        self.acknowledged: set[str] = set()
        self.returned: dict[tuple[str, int], Any] = {}
        self.rows: dict[str, Job] = {}
        self.followed: dict[str, Counter[tuple[str, str]]] = {}  # of each job: how many followers of which kind
        self.edges = 0  # how many there were when `needs` and `needed` were made of them
        self.needs: dict[str, list[str]] = {}
        self.needed: dict[str, list[str]] = {}
        self.kept: set[str] = set()  # jobs that had completed in a run which theirs repeats
        self.events: list[str] = []
        self.limit = 2  # of the task `limited`
        self.ends = 0
        self.set_back = 0.0  # seconds that wall clocks were set back: jobs then seem to start too early by that much
        self.turns = Turns()
        self.runs = Runs()
        self.ticks = Ticks()
        self.crashes = Crashes(lone=managers == 1)
        self.broken: list[Violation] = self.crashes.broken

    def tell(self, event: str) -> None:
        """Note what happened, for whoever must understand a failing seed."""
        self.events.append(event)

    def check(self, store: MemoryStore) -> None:
        """Judge the rows after a commit against those before it; violations go to `broken`.

        Raising them here would go to the committer, whose own trouble must not be mixed up with ours.
        """
        try:
            self._check(store)
        except Violation as violation:
            self.broken.append(violation)

    def _check(self, store: MemoryStore) -> None:
        # rows are never changed in place: one that is another object was written by this commit
        before, rows = self.rows, dict(store._jobs)
        moved = [row for id, row in rows.items() if before.get(id) is not row]
        self.rows = self.crashes.rows = rows
        for row in moved:
            self._moved(before.get(row.id), row)
        self._limits(moved)
        lost = self.acknowledged - rows.keys()
        if lost:
            raise Violation(f"acknowledged and not stored: {sorted(lost)}")
        self._chained([row for row in moved if row.id not in before], moved)
        self._prerequisites(moved, store)
        self.ticks.check([row for row in moved if row.id not in before], moved, store)
        self.turns.check(before, rows, moved, store)
        self.runs.check(before, rows, moved)
        self.crashes.check(before, moved, store)

    def _limits(self, moved: list[Job]) -> None:
        if any(row.task == "limited" for row in moved):
            running = sum(1 for row in self.rows.values() if row.task == "limited" and row.state == RUNNING)
            if running > self.limit:
                raise Violation(f"{running} jobs of `limited` run at once; {self.limit} may")
        if any(row.unique_key for row in moved):
            alive = [row.unique_key for row in self.rows.values() if row.unique_key and row.state not in FINAL]
            if len(alive) != len(set(alive)):
                raise Violation("two live jobs of one unique call")
        if any(row.key for row in moved):
            keys = [row.key for row in self.rows.values() if row.key]
            if len(keys) != len(set(keys)):
                raise Violation("two jobs of one key")

    def _chained(self, new: list[Job], moved: list[Job]) -> None:
        """Each follower is there once, from the commit that ended its parent."""
        concerned = {row.id: row for row in moved}
        for row in new:
            if row.parent is not None and row.relation in ("after", "failure"):
                self.followed.setdefault(row.parent, Counter())[row.relation, row.task] += 1
                concerned[row.parent] = self.rows[row.parent]
        self.kept.update(row.id for row in new if row.state == "completed")
        for id, row in concerned.items():
            rule = {} if id in self.kept else self.chains.get(row.task, {})
            wanted: Counter[tuple[str, str]] = Counter()
            if row.state == "completed":
                wanted.update(("after", task) for task in rule.get("run_after", ()))
            if row.state == "failed" and "on_failure" in rule:
                wanted["failure", rule["on_failure"]] += 1
            own = self.followed.get(id, Counter())
            if own != wanted:
                raise Violation(f"{id} {row.task} is {row.state}; followed by {own}, where {wanted} should be")

    def _prerequisites(self, moved: list[Job], store: MemoryStore) -> None:
        """Nothing begins before what it needs, and what needs it is told of its end, in the commit that ended it."""
        if len(store._edges) != self.edges:
            self.edges = len(store._edges)
            self.needs, self.needed = {}, {}
            for edge in store._edges:
                self.needs.setdefault(edge.follower, []).append(edge.prerequisite)
                self.needed.setdefault(edge.prerequisite, []).append(edge.follower)
        for id in {id for row in moved for id in (row.id, *self.needed.get(row.id, ()))}:
            if id in self.rows:
                self._needing(self.rows[id])

    def _needing(self, row: Job) -> None:
        rule = self.chains.get(row.task, {}).get("run_before", ())
        if not rule or row.id in self.kept:
            return
        there = [self.rows[id] for id in self.needs.get(row.id, ()) if id in self.rows]
        there = [job for job in there if job.id != row.run or job.turn == "expand"]  # a run that is whole holds nobody
        made = [job.task for job in there if job.relation != "node" and job.id != row.run]
        if sorted(made) != sorted(rule):
            raise Violation(f"{row.id} {row.task} waits for {made}, where {rule} should be")
        left = sum(job.state != "completed" for job in there)
        if row.state == WAITING:
            if row.deps_left != left:
                raise Violation(f"{row.id} {row.task} counts {row.deps_left} prerequisites, and {left} are left")
            if any(job.state in FINAL and job.state != "completed" for job in there):
                raise Violation(f"{row.id} {row.task} still waits for what ended badly")
        elif row.state in (QUEUED, RUNNING, RETRY, "completed") and left:
            raise Violation(f"{row.id} {row.task} is {row.state} ahead of {left} prerequisites")

    def _moved(self, before: Job | None, row: Job) -> None:
        self.tell(f"{row.id[-6:]} {row.task} {before.state if before else 'new'} -> {row.state} attempt {row.attempt}")
        if before is None:
            if not (allowed(None, row.state) or row.state == RUNNING):
                raise Violation(f"{row.id} began as {row.state}")
        else:
            self._legal(before, row)
        if row.state == RUNNING and (before is None or before.attempt != row.attempt):
            if row.started_at is None or row.started_at < row.run_at - self.set_back - 1e-6:
                raise Violation(f"{row.id} started before its time")
            if not row.token or not row.session:
                raise Violation(f"{row.id} runs for nobody")
        if before is None:
            return  # it is kept of another run, if it has completed
        if row.state == "completed" and row.turn is None and before.state != "completed":
            self.ends += 1
            said = self.returned.get((row.id, row.attempt), Violation)
            if said is Violation or json.loads(row.result or "") != said:
                raise Violation(f"{row.id} completed with {row.result}, but attempt {row.attempt} returned {said!r}")

    def _legal(self, before: Job, row: Job) -> None:
        if before.state in FINAL:
            same = (before.state, before.result, before.error, before.attempt, before.finished_at)
            if same != (row.state, row.result, row.error, row.attempt, row.finished_at):
                raise Violation(f"{row.id} had ended as {before.state} and became {row.state}")
            return
        if row.attempt < before.attempt:
            raise Violation(f"{row.id}: attempt {row.attempt} after {before.attempt}")
        if row.state == RUNNING and before.state == RUNNING and row.token != before.token:
            if row.attempt != before.attempt + 1:
                raise Violation(f"{row.id} was handed out again as attempt {row.attempt}, after {before.attempt}")
            return  # it went back and out again in one commit
        if row.state == RUNNING and before.state == WAITING:
            before = msgspec.structs.replace(before, state=QUEUED)  # let go and claimed in one commit
        if row.state == RUNNING and before.state in (QUEUED, RETRY) and row.attempt != before.attempt + 1:
            raise Violation(f"{row.id} was claimed as attempt {row.attempt}, after {before.attempt}")
        if row.state != before.state and not allowed(before.state, row.state):
            raise Violation(f"{row.id}: {before.state} -> {row.state}")

    def unfinished(self) -> list[str]:
        """Jobs that have not ended."""
        return [
            f"{row.id} {row.task} {row.state} attempt {row.attempt} session {row.session}"
            for row in self.rows.values()
            if row.state in (WAITING, QUEUED, RETRY, RUNNING)
        ]
