"""What must hold of jobs that depend on what is fresh, and of groups."""

from __future__ import annotations

import json
from typing import Any

from easyjobs.core.job import Job
from easyjobs.core.states import FINAL, RUNNING, WAITING
from easyjobs.stores.memory import MemoryStore
from tests.simulation.crashes import Violation

FRESH = 20.0
"""Seconds for which a `base` is fresh to a `fresh` of the same number, modulo `KINDS`."""

KINDS = 3
COVERED = (1, 2, 3)
"""What a `cover` of all is a job for each of."""

LATE = 5.0  # seconds that may pass between a decision and its commit


def base_of(row: Job) -> int:
    """The number of the `base` that a `fresh`, or a `base` itself, is about."""
    return int(_call(row)["n"]) % KINDS


def _call(row: Job) -> dict[str, Any]:
    args = json.loads(row.args)
    return {**dict(zip(("n", "b"), args, strict=False)), **json.loads(row.kwargs)}


class Turns:
    """Judges after every commit, by the rows that moved. `leaps`: seconds that wall clocks were set forward."""

    def __init__(self) -> None:
        self.leaps = 0.0
        self._asked: set[str] = set()
        self._kept: set[str] = set()

    def check(self, before: dict[str, Job], rows: dict[str, Job], moved: list[Job], store: MemoryStore) -> None:
        """Raises Violation."""
        groups: set[str] = set()
        for row in moved:
            if row.state == RUNNING and row.turn is not None:
                raise Violation(f"{row.id} {row.task} began before its turn was taken")
            old = before.get(row.id)
            if old is None and row.state == "completed":
                self._kept.add(row.id)  # of a run that is repeated
            if row.id in self._kept:
                continue
            if row.task == "fresh" and row.turn is None:
                if old is not None and old.turn is not None:
                    self._asked.add(row.id)
                    self._taken(row, rows, store)
                elif row.id not in self._asked:
                    raise Violation(f"{row.id} {row.task} was never asked what it needs")
            if row.task == "cover" and (row.turn is not None or row.relation == "member"):
                groups.add(row.id if row.turn is not None else row.parent or "")
        if any(row.task in ("fresh", "base") for row in moved):
            self._waiting(rows, store)
        for id in groups & rows.keys():
            self._group(rows[id], rows)

    def _taken(self, row: Job, rows: dict[str, Job], store: MemoryStore) -> None:
        """Something is fresh when its turn is taken, or it waits for that."""
        if row.state == WAITING or row.state in FINAL:
            return
        ends = [
            job.finished_at or 0.0
            for job in rows.values()
            if job.task == "base" and job.state == "completed" and base_of(job) == base_of(row)
        ]
        if max(ends, default=0.0) < store._now - FRESH - LATE - self.leaps:
            raise Violation(f"{row.id} {row.task} goes on, and no base {base_of(row)} is fresh")

    def _waiting(self, rows: dict[str, Job], store: MemoryStore) -> None:
        """Who waits, waits for what it needs, and for as much as is left of it."""
        for edge in store._edges:
            row = rows.get(edge.follower)
            if row is None or row.task != "fresh" or row.state != WAITING or edge.bad == "skip":
                continue
            first = rows[edge.prerequisite]
            if (first.task, base_of(first)) != ("base", base_of(row)):
                raise Violation(f"{row.id} waits for {first.task}, which it does not need")
            if row.deps_left != 1 or first.state in FINAL:
                raise Violation(f"{row.id} waits for {row.deps_left}, of which base is {first.state}")

    def _group(self, row: Job, rows: dict[str, Job]) -> None:
        """Its members are there once, all at once; it waits for those that have not ended, and ends as they did."""
        members = [job for job in rows.values() if job.parent == row.id and job.relation == "member"]
        values = sorted(_call(job)["b"] for job in members if job.retry_of is None)
        spread = row.turn == "gather"
        if values != (sorted(COVERED) if spread else []):
            raise Violation(f"group {row.id} is {row.state}, {row.turn}, and has members {values}")
        left = sum(job.state not in FINAL for job in members)
        if spread and row.state == WAITING and row.deps_left != left:
            raise Violation(f"group {row.id} counts {row.deps_left} members, and {left} have not ended")
        good = all(job.state == "completed" for job in members)
        if spread and row.state in ("completed", "failed") and (left or good != (row.state == "completed")):
            raise Violation(f"group {row.id} is {row.state}, and its members are {[job.state for job in members]}")
