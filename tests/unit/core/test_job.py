"""Rows as plain data."""

import msgspec
import pytest

from easyjobs.core.job import Attempt, Job, Lane, LogLine, Session
from easyjobs.core.states import FINAL, STATES, State


def test_a_job_waits_in_the_lane_of_its_task_and_signature() -> None:
    assert Job("1", "q", "t", "abc").lane == Lane("q", "t", "abc")


@pytest.mark.parametrize("state", STATES)
def test_a_job_is_final_in_final_states(state: State) -> None:
    assert Job("1", "q", "t", state=state).final == (state in FINAL)


@pytest.mark.parametrize(
    "row",
    [
        Job("1", "q", "t", args="[1]", key="k", run_at=5.5),
        Attempt("1", 2, "w", 1.0, 2.0, "failed", "{}"),
        LogLine(1, 2, 3.0, "info", "text"),
        Session("s", "w", "n", "h", 1, "live", 1.0, 2.0),
    ],
)
def test_rows_survive_a_journey_as_json(row: msgspec.Struct) -> None:
    assert msgspec.json.decode(msgspec.json.encode(row), type=type(row)) == row


def test_a_run_is_known_by_its_turn() -> None:
    rows = [Job("1", "q", "t", turn=turn) for turn in ("expand", "close", "gather", None)]
    assert [row.is_run for row in rows] == [True, True, False, False]
