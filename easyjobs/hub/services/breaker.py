"""The breaker against black holes: a worker that fails whatever it is given takes jobs faster than any that works."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from easyjobs.core.job import Job
from easyjobs.hub.alerts import Alerts
from easyjobs.hub.roster import Live, Roster

log = logging.getLogger("easyjobs.hub")

MOST: Final = 20
"""Failures in a row, with no success between."""

TASKS: Final = 3
"""Of at least so many tasks: one that fails everywhere is not its worker's fault."""

WITHIN: Final = 60.0
REST: Final = 30.0

KIND: Final = "worker_fails"


class Breaker:
    """Counts the failures of each worker since its last success, and gives one that only fails a rest. Then it is tried
    again; the alert stays until it completes a job, or goes.
    """

    name = "breaker"

    def __init__(self, roster: Roster, alerts: Alerts, poke: Callable[[], None]) -> None:
        self._roster = roster
        self._alerts = alerts
        self._poke = poke
        self.wake: Callable[[float], None] = lambda at: None

    def failed(self, live: Live, job: Job, now: float) -> None:
        """An attempt failed in a worker, by that worker's own word."""
        if live.barred_until is not None:
            return  # it was begun before
        if live.streak is None:
            live.streak = deque(maxlen=MOST)
        streak = live.streak
        streak.append((now, f"{job.queue}:{job.task}"))
        if len(streak) < MOST or now - streak[0][0] > WITHIN:
            return
        tasks = sorted({task for _, task in streak})
        if len(tasks) < TASKS:
            return
        named = ", ".join(tasks[:TASKS]) + (", …" if len(tasks) > TASKS else "")
        lasted = now - streak[0][0]
        streak.clear()
        live.barred_until = now + REST
        self._alerts.open(
            KIND,
            live.row.worker_id,
            f"worker {live.row.name} on {live.row.host or 'an unnamed host'} failed {MOST} jobs in a row within "
            f"{lasted:.0f} s ({named}). It gets nothing for {REST:.0f} s and is then tried again. "
            "Look at its log, its network and its disk; pause or restart it.",
        )
        self.wake(live.barred_until)

    def completed(self, live: Live) -> None:
        """A worker with a streak of failures completed an attempt."""
        if live.barred_until is None:
            live.streak = None
            self._alerts.close(KIND, live.row.worker_id)

    async def run_once(self, now: float) -> float | None:
        """Let those work again that have rested."""
        resting = [live for live in self._roster.holders() if live.barred_until is not None]
        for live in resting:
            if live.barred_until is not None and live.barred_until <= now:
                live.barred_until = None
                log.info("worker %s is tried again", live.row.name)
                self._poke()
        for worker_id in self._alerts.subjects(KIND):
            if self._roster.of_worker(worker_id) is None:
                self._alerts.close(KIND, worker_id)
        return min((live.barred_until for live in resting if live.barred_until is not None), default=None)
