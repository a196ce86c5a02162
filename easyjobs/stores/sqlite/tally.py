"""How many jobs there are, by queue, task and state, counted in memory as they are written: no index, no query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import cast

from easyjobs.core.states import FINAL, State
from easyjobs.stores.base import Count

Key = tuple[str, str, str]  # queue, task, state


class Tally:
    """Starts from what a scan of the table found; `add` what each committed transaction changed."""

    def __init__(self, rows: Iterable[tuple[str, str, str, int]] = ()) -> None:
        self._jobs: Counter[Key] = Counter({(queue, task, state): jobs for queue, task, state, jobs in rows})

    def add(self, moves: Counter[Key]) -> None:
        """Count a transaction that is durable: +1 for where a job came, -1 for where it was."""
        jobs = self._jobs
        for key, change in moves.items():
            number = jobs[key] + change
            if number:
                jobs[key] = number
            else:
                del jobs[key]

    def live(self) -> list[Count]:
        """Jobs that have not ended, by queue, task and state."""
        return [
            Count(queue, task, cast(State, state), jobs)
            for (queue, task, state), jobs in sorted(self._jobs.items())
            if state not in FINAL
        ]

    def totals(self) -> dict[State, int]:
        """All jobs by state; only states in which there is one."""
        totals: Counter[State] = Counter()
        for (_, _, state), jobs in self._jobs.items():
            totals[cast(State, state)] += jobs
        return dict(totals)

    def matching(self, queue: str | None, task: str | None, state: str | None) -> tuple[int, int]:
        """(how many jobs of this queue, task and state there are, how many in all); None leaves a filter out."""
        found = total = 0
        for (q, t, s), jobs in self._jobs.items():
            total += jobs
            if (queue is None or q == queue) and (task is None or t == task) and (state is None or s == state):
                found += jobs
        return found, total
