"""What must hold after every commit, whatever has failed: the invariants, and the facts that they are judged by."""

from __future__ import annotations

import copy
import json
from collections import Counter
from typing import Any

import msgspec

from easyjobs.core.job import Edge, Job
from easyjobs.core.states import FINAL, QUEUED, RETRY, RUNNING, WAITING, allowed
from easyjobs.stores.memory import MemoryStore


class Violation(AssertionError):
    """An invariant did not hold."""


class Ledger:
    """Facts of one story: what was acknowledged to clients, what attempts returned, what the rows were last."""

    def __init__(self, chains: dict[str, dict[str, Any]]) -> None:
        self.chains = chains
        self.last_tick: dict[str, float] = {}
        self.acknowledged: set[str] = set()
        self.returned: dict[tuple[str, int], Any] = {}
        self.rows: dict[str, Job] = {}
        self.edges: list[Edge] = []
        self.events: list[str] = []
        self.limit = 2  # of the task `limited`
        self.ends = 0
        self.set_back = 0.0  # seconds that wall clocks were set back: jobs then seem to start too early by that much
        self.broken: list[Violation] = []

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
        rows = {id: copy.copy(job) for id, job in store._jobs.items()}
        self.edges = list(store._edges)
        for id, row in rows.items():
            before = self.rows.get(id)
            if before is None or before != row:
                self._moved(before, row)
        running = sum(1 for row in rows.values() if row.task == "limited" and row.state == RUNNING)
        if running > self.limit:
            raise Violation(f"{running} jobs of `limited` run at once; {self.limit} may")
        alive = [row.unique_key for row in rows.values() if row.unique_key and row.state not in FINAL]
        if len(alive) != len(set(alive)):
            raise Violation("two live jobs of one unique call")
        keys = [row.key for row in rows.values() if row.key]
        if len(keys) != len(set(keys)):
            raise Violation("two jobs of one key")
        lost = self.acknowledged - rows.keys()
        if lost:
            raise Violation(f"acknowledged and not stored: {sorted(lost)}")
        self._chained(rows)
        self._ticks(rows)
        self.rows = rows

    def _chained(self, rows: dict[str, Job]) -> None:
        """Each follower is there once, from the commit that ended its parent; nothing begins before what it needs."""
        made: dict[str, Counter[tuple[str | None, str]]] = {}
        for row in rows.values():
            if row.parent is not None and row.relation != "call":
                made.setdefault(row.parent, Counter())[row.relation, row.task] += 1
        for id, row in rows.items():
            rule = self.chains.get(row.task, {})
            wanted: Counter[tuple[str | None, str]] = Counter()
            if row.state == "completed":
                wanted.update(("after", task) for task in rule.get("run_after", ()))
            if row.state == "failed" and "on_failure" in rule:
                wanted["failure", rule["on_failure"]] += 1
            own = Counter({key: n for key, n in made.get(id, Counter()).items() if key[0] != "before"})
            if own != wanted:
                raise Violation(f"{id} {row.task} is {row.state}; followed by {own}, where {wanted} should be")
        self._prerequisites(rows)

    def _prerequisites(self, rows: dict[str, Job]) -> None:
        needs: dict[str, list[Job]] = {}
        for edge in self.edges:
            if edge.prerequisite in rows:
                needs.setdefault(edge.follower, []).append(rows[edge.prerequisite])
        for id, row in rows.items():
            rule = self.chains.get(row.task, {}).get("run_before", ())
            if not rule:
                continue
            there = needs.get(id, [])
            if sorted(job.task for job in there) != sorted(rule):
                raise Violation(f"{id} {row.task} waits for {[job.task for job in there]}, where {rule} should be")
            left = sum(job.state != "completed" for job in there)
            if row.state == WAITING:
                if row.deps_left != left:
                    raise Violation(f"{id} {row.task} counts {row.deps_left} prerequisites, and {left} are left")
                if any(job.state in FINAL and job.state != "completed" for job in there):
                    raise Violation(f"{id} {row.task} still waits for what ended badly")
            elif row.state in (QUEUED, RUNNING, RETRY, "completed") and left:
                raise Violation(f"{id} {row.task} is {row.state} ahead of {left} prerequisites")

    def _ticks(self, rows: dict[str, Job]) -> None:
        """One job a tick, and none for a moment before the last; of a schedule that queues one, one lives."""
        seen = set()
        alive = [id for id, row in rows.items() if row.task == "slowly_ticking" and row.state not in FINAL]
        if len(alive) > 1:
            raise Violation(f"these live side by side: {alive}")
        for id, row in rows.items():
            if row.schedule is None or row.tick is None:
                continue
            if (row.schedule, row.tick) in seen:
                raise Violation(f"{row.schedule} has two jobs for {row.tick}")
            seen.add((row.schedule, row.tick))
            if id not in self.rows:
                if row.tick <= self.last_tick.get(row.schedule, 0.0):
                    raise Violation(f"{row.schedule} fired {row.tick} after {self.last_tick[row.schedule]}")
                self.last_tick[row.schedule] = row.tick

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
        if row.state == "completed" and (before is None or before.state != "completed"):
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
