"""How long a task is known that nobody offers any more."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from easyjobs.core.job import Lane
from easyjobs.core.keeping import Fate, Known, fate, is_offered
from easyjobs.core.signature import Signature
from easyjobs.core.task import TaskSpec

UNNEEDED = Known(
    Lane("q", "t", ""), idle_since=None, passing=False, newer=False, offered=False, named=False, used=False
)


def _fate(**facts: Any) -> Fate:
    return fate(UNNEEDED._replace(**facts), 100.0, 30.0)


@pytest.mark.parametrize("need", ["offered", "named", "used"])
def test_what_somebody_needs_stays_and_its_time_begins_anew(need: str) -> None:
    assert _fate(**{need: True}) == "stays"
    assert _fate(**{need: True}, idle_since=10.0) == "needed"
    assert _fate(**{need: True}, passing=True) == "stays"


def test_what_nobody_needs_is_idle_and_goes_when_it_was_so_for_long_enough() -> None:
    assert _fate() == "idle"
    assert _fate(idle_since=70.1) == "stays"
    assert _fate(idle_since=70.0) == "goes"


@pytest.mark.parametrize("need", ["named", "used"])
def test_others_go_by_the_newest_parameters_alone(need: str) -> None:
    assert _fate(**{need: True}, newer=True) == "idle"
    assert _fate(**{need: True}, newer=True, idle_since=70.0) == "goes"
    assert _fate(offered=True, newer=True) == "stays"


def test_what_was_made_for_one_run_goes_at_the_next_look() -> None:
    assert _fate(passing=True) == "idle"
    assert _fate(passing=True, idle_since=99.9) == "goes"
    assert _fate(passing=True, idle_since=99.9, used=True) == "needed"


def test_what_is_pushed_elsewhere_is_brought_by_who_serves_its_queue() -> None:
    task = TaskSpec("q", "t", Signature(()))
    pushed = msgspec.structs.replace(task, destination="fpga")
    beside, elsewhere = task.lane._replace(task="other"), task.lane._replace(queue="other")
    assert is_offered(task, {task.lane})
    assert not is_offered(task, {beside})
    assert is_offered(pushed, {beside, elsewhere})
    assert not is_offered(pushed, {elsewhere})
