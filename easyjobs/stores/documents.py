"""Rows that are kept as JSON documents, read again: one that cannot be read harms no other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from easyjobs.core.job import Lane
from easyjobs.core.schedule import Schedule
from easyjobs.core.task import TaskSpec
from easyjobs.stores.base import KnownTask

_spec: Final = msgspec.json.Decoder(TaskSpec).decode
_lanes: Final = msgspec.json.Decoder(list[Lane]).decode
_schedule: Final = msgspec.json.Decoder(Schedule).decode


def tasks_of(rows: Iterable[Any]) -> list[KnownTask]:
    """Of (specification, seen_at, idle_since); what cannot be read is left out until a worker registers it again."""
    known = []
    for spec, seen_at, idle_since in rows:
        try:
            known.append(KnownTask(_spec(spec), seen_at, idle_since))
        except msgspec.DecodeError:
            continue
    return known


def schedules_of(rows: Iterable[Any]) -> list[Schedule]:
    """Of (schedule, version), where that version counts; a rule that cannot be read is left out, and stays as it is."""
    found = []
    for document, version in rows:
        try:
            schedule = _schedule(document)
        except msgspec.DecodeError:
            continue
        schedule.version = version
        found.append(schedule)
    return found


def lanes_offered(offers: Iterable[str]) -> set[Lane]:
    """What sessions offer, by what their rows say; one that cannot be read offers nothing."""
    found: set[Lane] = set()
    for text in offers:
        try:
            found.update(_lanes(text))
        except msgspec.DecodeError:
            continue
    return found


def task_of(spec: str) -> TaskSpec | None:
    """A specification; None where it cannot be read."""
    try:
        return _spec(spec)
    except msgspec.DecodeError:
        return None
