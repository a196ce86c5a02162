"""The order in which schedules are looked at."""

from __future__ import annotations

import pytest

from easyjobs.core.schedule import Rule, Schedule
from easyjobs.errors import NotFound
from easyjobs.hub import timetable as module
from easyjobs.hub.alerts import Alerts
from easyjobs.hub.timetable import Timetable
from easyjobs.stores.base import Pause


def row(id: str, at: float | None, version: int = 1) -> Schedule:
    return Schedule(id, "q", "add", Rule("* * * * *"), next_at=at, version=version)


def due(table: Timetable, now: float, limit: int = 10) -> list[str]:
    return [planned.row.id for planned in table.due(now, limit)]


def test_the_earliest_comes_first_and_each_once() -> None:
    table = Timetable(Alerts(lambda: 0.0))
    table.load([row("b", 20.0), row("a", 10.0), row("never", None), row("later", 99.0)], [])
    assert table.next_look() == 10.0
    assert due(table, 9.9) == []
    assert due(table, 20.0, 1) == ["a"]
    assert due(table, 20.0) == ["b"]
    assert due(table, 20.0) == []
    assert table.next_look() == 99.0


def test_a_newer_row_replaces_the_older_and_never_the_other_way_round() -> None:
    table = Timetable(Alerts(lambda: 0.0))
    table.put(row("a", 10.0, 3))
    table.put(row("a", 30.0, 4))
    table.put(row("a", 20.0, 3))
    assert (table.find("a").row.next_at, table.next_look()) == (30.0, 30.0)
    assert due(table, 25.0) == []


def test_a_tick_is_held_until_the_schedule_moves_on() -> None:
    table = Timetable(Alerts(lambda: 0.0))
    table.put(row("a", 10.0))
    table.find("a").held = True
    table.put(row("a", 10.0, 2))
    assert table.find("a").held
    table.put(row("a", 70.0, 3))
    assert not table.find("a").held


def test_whoever_sleeps_is_told_when_to_look() -> None:
    table = Timetable(Alerts(lambda: 0.0))
    told: list[float] = []
    table.changed = told.append
    table.put(row("a", 10.0))
    table.put(row("never", None))
    table.look(table.find("a"), 5.0)
    assert told == [10.0, 5.0]


def test_what_was_removed_is_not_looked_at_and_not_found() -> None:
    table = Timetable(Alerts(lambda: 0.0))
    table.load([row("a", 10.0)], [Pause("schedule", "a", "me", 1.0), Pause("queue", "q", "me", 1.0)])
    assert list(table.pauses) == ["a"]
    table.drop("a")
    table.drop("a")
    assert (due(table, 50.0), table.pauses) == ([], {})
    with pytest.raises(NotFound, match="No schedule 'a'"):
        table.find("a")


def test_rows_that_were_out_of_date_are_read_again() -> None:
    table = Timetable(Alerts(lambda: 0.0))
    table.load([row("a", 10.0), row("gone", 10.0)], [])
    table.refresh(["a", "gone", "dropped meanwhile"], [row("a", 40.0, 7), row("dropped meanwhile", 10.0)])
    assert {id: planned.row.version for id, planned in table.rows.items()} == {"a": 7}
    assert table.next_look() == 40.0


def test_places_that_are_out_of_date_are_swept_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORGOTTEN", 10)
    table = Timetable(Alerts(lambda: 0.0))
    table.put(row("never", None))
    for n in range(100):
        table.put(row("a", 1000.0 - n, n + 1))
    assert len(table._heap) <= 20
    assert due(table, 1000.0) == ["a"]
    assert due(table, 1000.0) == []


def test_what_others_removed_goes_and_what_came_while_the_store_was_asked_stays() -> None:
    table = Timetable(Alerts(lambda: 0.0))
    table.load([row("gone", 10.0), row("kept", 10.0), row("moved", 10.0)], [])
    before = table.known()
    answer = [row("kept", 10.0), row("theirs", 10.0)]
    table.put(row("ours", 10.0))
    table.put(row("moved", 20.0, 2))
    table.follow(answer, [Pause("schedule", "kept", "ann", 1.0)], before)
    assert sorted(table.rows) == ["kept", "moved", "ours", "theirs"]
    assert list(table.pauses) == ["kept"]
    table.follow(answer, [], table.known())
    assert sorted(table.rows) == ["kept", "theirs"]
    assert table.pauses == {}
