"""Bugs to be planted into what schedules do; see `planted`."""

from __future__ import annotations

from typing import Any

import pytest

from easyjobs.hub.committer import Committer
from easyjobs.hub.entries import Arrival, Chore, Entry
from easyjobs.hub.services import ticker
from easyjobs.hub.services.ticker import Ticker
from easyjobs.stores.memory import MemoryStore
from easyjobs.stores.memory.tables import Tables
from tests.simulation.ticks import SKIPPED


def ticks_take_two_commits(patch: pytest.MonkeyPatch) -> None:
    """A tick's job is stored first, and that the schedule has moved on by the next commit; no guard knows the tick."""
    add, keep_free = Committer.add, Tables._keep_free

    def apart(self: Committer, entry: Entry) -> None:
        if isinstance(entry, Arrival) and entry.writes:
            done, later, entry.writes = entry.done, Chore(entry.writes), []

            def then(arrival: Arrival) -> None:
                done(arrival)
                if not arrival.refused:
                    add(self, later)

            entry.done = then
        add(self, entry)

    def careless(self: Tables, why: Any, taken: Any) -> None:
        if why != "tick":
            keep_free(self, why, taken)

    patch.setattr(Committer, "add", apart)
    patch.setattr(Tables, "_keep_free", careless)


def a_tick_moves_on_first(patch: pytest.MonkeyPatch) -> None:
    """That the schedule has moved on is stored first, and the tick's job by the next commit."""
    add = Committer.add

    def apart(self: Committer, entry: Entry) -> None:
        if isinstance(entry, Arrival) and entry.writes:
            writes, entry.writes = entry.writes, []
            add(self, Chore(writes, lambda stale: add(self, entry)))
        else:
            add(self, entry)

    patch.setattr(Committer, "add", apart)


def who_still_runs_is_not_asked(patch: pytest.MonkeyPatch) -> None:
    """A tick is fired whether the job before has ended or not."""

    async def nobody(self: MemoryStore, schedules: Any) -> dict[str, Any]:
        return {}

    patch.setattr(MemoryStore, "live_of", nobody)


def only_what_runs_is_taken_to_live(patch: pytest.MonkeyPatch) -> None:
    """A tick that passes while the job before lives is fired while that waits to run again."""
    live_of = MemoryStore.live_of

    async def running(self: MemoryStore, schedules: Any) -> Any:
        found = await live_of(self, schedules)
        found[SKIPPED] = [job for job in found.get(SKIPPED, ()) if job.state == "running"]
        return found

    patch.setattr(MemoryStore, "live_of", running)


def who_is_asked_to_stop_is_taken_to_have_stopped(patch: pytest.MonkeyPatch) -> None:
    """A tick that has the job before cancelled is fired at once."""
    tick, hold = Ticker._tick, Ticker._hold

    def hasty(self: Ticker, planned: Any, live: Any, now: float, answers: Any) -> None:
        if planned.row.rule.overlap == "cancel_previous" and live:
            hold(self, planned, live, now)
            live = ()
        tick(self, planned, live, now, answers)

    patch.setattr(Ticker, "_tick", hasty)


def nobody_is_asked_to_stop(patch: pytest.MonkeyPatch) -> None:
    """A tick that is to have the job before cancelled waits for it."""
    hold = Ticker._hold

    def patient(self: Ticker, planned: Any, *rest: Any) -> None:
        planned.held = True
        hold(self, planned, *rest)

    patch.setattr(Ticker, "_hold", patient)


def a_refused_tick_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A tick that the store did not take is not tried again, and none after it."""
    patch.setattr(ticker, "AGAIN", 1e9)


FOUND = (
    (ticks_take_two_commits, "has two jobs for"),
    (a_tick_moves_on_first, "says it fired .* there is no job of it"),
    (who_still_runs_is_not_asked, "of play:slowly_ticking these live side by side"),
    (only_what_runs_is_taken_to_live, "of play:skipping these live side by side"),
    (who_is_asked_to_stop_is_taken_to_have_stopped, "of play:replaced these live side by side"),
    (nobody_is_asked_to_stop, "these (did not end|do not tick): .*replaced"),
    (a_refused_tick_is_forgotten, "do not tick"),
)
"""A bug, and what of a violation's words must be there when the right invariant has found it."""
