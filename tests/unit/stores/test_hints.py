"""What other managers are told of a commit."""

from __future__ import annotations

from typing import Any

import pytest

from easyjobs.core.changes import (
    APPLIED,
    Charge,
    Committed,
    DropSchedule,
    FlagCancel,
    Insert,
    LoseSession,
    NoteProgress,
    PutPause,
    Renew,
    Stale,
    Unit,
    Update,
    Verdict,
    Write,
)
from easyjobs.core.job import Job, Lane
from easyjobs.stores.base import Hint
from easyjobs.stores.hints import both, hint_of

LANE = Lane("q", "t", "s")
OTHER = Lane("q", "t", "other")


def job(id: str = "j1", **columns: Any) -> Job:
    return Job(id, *LANE, **columns)


@pytest.mark.parametrize(
    ("write", "hint"),
    [
        (Insert(job()), Hint([LANE])),
        (Insert(job(state="running")), None),
        (Update(job(), {"state": "completed"}), Hint(ended=["j1"])),
        (Update(job(), {"state": "retry"}), Hint([LANE])),
        (Update(job(), {"signature": "other"}), Hint([OTHER])),
        (Update(job(), {"priority": 3}), None),
        (Update(job(), {"state": "waiting", "turn": "close", "holds": "c"}), None),
        (Charge("c", 2), None),
        (FlagCancel("j1", 1, "ann"), Hint(cancels=["j1"])),
        (NoteProgress("j1", 1, "{}"), None),
        (Renew("s1", 1, 5.0), None),
        (Renew("s1", 1, 5.0, "[]"), Hint(kinds=["sessions"])),
        (LoseSession("s1", 1, 5.0), Hint(kinds=["sessions"])),
        (PutPause("queue", "q", "ann", 5.0), Hint(kinds=["pauses"])),
        (DropSchedule("q:t", 1), Hint(kinds=["schedules"])),
    ],
    ids=str,
)
def test_what_a_write_means_to_others(write: Write, hint: Hint | None) -> None:
    assert hint_of([Unit([write])], Committed([APPLIED])) == hint


def test_what_changed_nothing_is_not_told() -> None:
    verdicts: list[Verdict] = [Stale("version"), APPLIED]
    units = [Unit([Update(job("j1"), {"state": "failed"})]), Unit([Update(job("j2"), {"state": "failed"})])]
    assert hint_of(units, Committed(verdicts)) == Hint(ended=["j2"])


def test_a_lane_that_the_same_commit_emptied_is_not_told() -> None:
    assert hint_of([Unit([Insert(job())])], Committed([APPLIED], emptied=[LANE])) is None


def test_who_was_released_is_told() -> None:
    assert hint_of([], Committed([], released=[job()])) == Hint([LANE])


def test_two_hints_are_one() -> None:
    one = Hint([LANE], ["j1"], [], ["tasks"])
    assert both(one, Hint([LANE, OTHER], ["j2"], ["j3"], ["pauses"], more=True)) == Hint(
        [OTHER, LANE], ["j1", "j2"], ["j3"], ["pauses", "tasks"], more=True
    )
