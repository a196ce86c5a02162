"""What must hold of the jobs of schedules."""

from __future__ import annotations

from typing import Final

from easyjobs.core.job import Job
from easyjobs.core.states import FINAL
from easyjobs.stores.memory import MemoryStore
from tests.simulation.crashes import Violation

EVERY_TICK: Final = "play:ticking"
"""The schedule that makes up for what it missed, however much overlaps."""

QUEUED: Final = "play:slowly_ticking"
"""The one that holds a tick until the job before has ended,"""

SKIPPED: Final = "play:skipping"
"""the one that lets it pass,"""

REPLACED: Final = "play:replaced"
"""and the one that has the job before stopped first."""

SCHEDULES: Final = (EVERY_TICK, QUEUED, SKIPPED, REPLACED)
ALONE: Final = frozenset((QUEUED, SKIPPED, REPLACED))
TICKS_APART: Final = 7.0  # seconds, at most, of `EVERY_TICK`
GIVEN_UP: Final = 400.0
"""Seconds that 100 of its ticks take, at least: whoever is so far behind makes up for the last 100 only."""


class Ticks:
    """Judges after every commit, by the rows that are new or moved. `last`: the last tick of each schedule."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}
        self._live: dict[str, dict[str, None]] = {name: {} for name in ALONE}

    def check(self, new: list[Job], moved: list[Job], store: MemoryStore) -> None:
        """Raises Violation."""
        touched = [row for row in moved if row.schedule in ALONE]
        for row in touched:
            live = self._live[row.schedule or ""]
            if row.state not in FINAL:
                live[row.id] = None
            else:
                live.pop(row.id, None)
            if row.state == "cancelled" and (row.schedule, row.cancel) != (REPLACED, f"schedule {REPLACED}"):
                raise Violation(f"{row.id} of {row.schedule} was cancelled by {row.cancel}")
        for name in {row.schedule or "" for row in touched}:
            if len(self._live[name]) > 1:
                raise Violation(f"of {name} these live side by side: {list(self._live[name])}")
        for row in new:
            if row.schedule is not None and row.tick is not None:
                self._fired(row.schedule, row.tick, store)
        schedule = store._schedules.get(EVERY_TICK)
        if schedule is not None and (schedule.last_at or 0.0) > self.last.get(EVERY_TICK, 0.0):
            raise Violation(f"{EVERY_TICK} says it fired {schedule.last_at}, and there is no job of it")

    def _fired(self, schedule: str, tick: float, store: MemoryStore) -> None:
        """One job a tick, from the commit that says it was fired, and none for a moment before the last."""
        last = self.last.get(schedule, 0.0)
        if tick == last:
            raise Violation(f"{schedule} has two jobs for {tick}")
        if tick < last:
            raise Violation(f"{schedule} fired {tick} after {last}")
        far_behind = store._now - tick > GIVEN_UP
        if schedule == EVERY_TICK and last and tick - last > TICKS_APART and not far_behind:
            raise Violation(f"{schedule} fired {tick} after {last}: one between them is lost")
        self.last[schedule] = tick
