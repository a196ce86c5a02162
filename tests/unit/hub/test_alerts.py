"""Alerts: raised once, shown as long as they last, cleared once."""

from __future__ import annotations

import logging

import pytest

from easyjobs.hub.alerts import Alert, Alerts


def test_an_alert_is_raised_once_and_cleared_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "easyjobs.hub")
    now = [100.0]
    alerts = Alerts(lambda: now[0])
    alerts.open("queue_depth", "etl", "100 jobs")
    now[0] = 160.0
    alerts.open("queue_depth", "etl", "200 jobs")
    assert alerts.all() == [Alert("queue_depth", "etl", "200 jobs", 100.0)]
    alerts.close("queue_depth", "etl")
    alerts.close("queue_depth", "etl")
    assert alerts.all() == []
    assert caplog.messages == ["alert queue_depth etl: 100 jobs", "alert queue_depth etl is over, after 60 s"]


def test_alerts_are_told_apart_by_kind_and_subject_oldest_first() -> None:
    now = [3.0]
    alerts = Alerts(lambda: now[0])
    for kind, subject in (("b", "x"), ("a", "x"), ("a", "y")):
        alerts.open(kind, subject, "…")
        now[0] -= 1.0
    assert [(alert.kind, alert.subject) for alert in alerts.all()] == [("a", "y"), ("a", "x"), ("b", "x")]
    alerts.close("a", "x")
    assert alerts.subjects("a") == ["y"]
    assert alerts.subjects("b") == ["x"]


def test_what_another_manager_has_said_is_known_and_said_by_nobody_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "easyjobs.hub")
    alerts = Alerts(lambda: 100.0)
    told: list[tuple[str, bool]] = []
    alerts.told = lambda alert, over: told.append((alert.subject, over))
    alerts.know(Alert("late", "j1", "it is late", 40.0))
    alerts.know(Alert("late", "j1", "it is later", 90.0))
    alerts.know(Alert("late", "j2", "it is late", 50.0))
    alerts.know(Alert("misfit", "j1", "…", 60.0))
    assert alerts.all()[0] == Alert("late", "j1", "it is later", 40.0)
    assert (told, caplog.messages) == ([], [])
    alerts.close("late", "j1")
    assert (told, caplog.messages) == ([("j1", True)], ["alert late j1 is over, after 60 s"])
    alerts.forget("late")
    assert [alert.kind for alert in alerts.all()] == ["misfit"]
    assert told == [("j1", True)]
