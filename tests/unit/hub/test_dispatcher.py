"""Offers for the next claim, and the short way into an idle worker."""

from __future__ import annotations

from typing import Any

import pytest
from house import spec

from easyjobs.core.job import Job, Lane, Session
from easyjobs.core.task import TaskSpec
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.roster import Live, Roster
from easyjobs.hub.settings import HubSettings
from easyjobs.ids import Ids
from easyjobs.stores.base import Pause

ADD = spec()


class Voice:
    def send(self, message: Any, weight: int = 0) -> None:
        raise NotImplementedError

    def close(self, code: int, reason: str) -> None:
        raise NotImplementedError


class Hall:
    """A dispatcher with its roster and catalog."""

    def __init__(self, *tasks: TaskSpec, **settings: Any) -> None:
        self.catalog = Catalog()
        for task in tasks or (ADD,):
            self.catalog.add(task, 0.0)
        self.roster = Roster()
        self.dispatcher = Dispatcher(self.roster, self.catalog, Ids(1), HubSettings(**settings))

    def worker(self, id: str = "s", slots: int = 2, tasks: tuple[TaskSpec, ...] = (ADD,)) -> Live:
        live = Live(Session(id, f"worker {id}", f"name {id}", "h", 7, "live", 0.0, 30.0, slots=slots), [], 0.0, 30.0)
        live.voice = Voice()
        live.lanes = frozenset(task.lane for task in tasks)
        self.roster.add(live)
        return live


def job(n: int = 1, task: TaskSpec = ADD, **columns: Any) -> Job:
    return Job(f"job {n}", *task.lane, created_at=10.0, **{"run_at": 10.0, **columns})


# -- the short way


def test_a_new_job_begins_at_once_where_a_worker_is_idle() -> None:
    hall = Hall()
    hall.worker()
    new = job()
    assert hall.dispatcher.shortcut([new], 10.0) == {"s": 7}
    assert (new.state, new.attempt, new.version, new.session, new.worker) == ("running", 1, 1, "s", "name s")
    assert new.started_at == 10.0
    assert len(new.token or "") == 24
    assert hall.dispatcher.ready == set()
    assert hall.dispatcher.claim() is None


def test_no_more_begin_than_there_are_slots_and_the_rest_waits_for_the_claim() -> None:
    hall = Hall()
    hall.worker(slots=2)
    jobs = [job(n) for n in range(3)]
    hall.dispatcher.shortcut(jobs, 10.0)
    assert [j.state for j in jobs] == ["running", "running", "queued"]
    assert hall.dispatcher.ready == {ADD.lane}
    assert hall.dispatcher.claim() is None  # its slots are promised
    hall.dispatcher.shortcut([], 10.0)
    claim = hall.dispatcher.claim()
    assert claim is not None
    assert claim.offers[0].slots == 2


def test_they_are_spread_over_the_idle() -> None:
    hall = Hall()
    hall.worker("a", slots=2)
    hall.worker("b", slots=2)
    jobs = [job(n) for n in range(4)]
    hall.dispatcher.shortcut(jobs, 10.0)
    assert sorted(j.session or "" for j in jobs) == ["a", "a", "b", "b"]


@pytest.mark.parametrize(
    "columns", [{"run_at": 11.0}, {"key": "k"}, {"unique_key": "u"}], ids=["not yet", "a key", "unique"]
)
def test_some_jobs_take_the_long_way(columns: dict[str, Any]) -> None:
    hall = Hall()
    hall.worker()
    new = job(**columns)
    assert hall.dispatcher.shortcut([new], 10.0) == {}
    assert (new.state, new.attempt) == ("queued", 0)
    assert hall.dispatcher.ready == (set() if "run_at" in columns else {ADD.lane})


def test_nothing_overtakes_what_waits_for_the_same_worker() -> None:
    other = spec("other")
    hall = Hall(ADD, other)
    hall.worker(tasks=(ADD, other))
    hall.dispatcher.ready.add(other.lane)
    assert hall.dispatcher.shortcut([job()], 10.0) == {}


def test_jobs_of_different_urgency_are_left_to_the_claim() -> None:
    hall = Hall()
    hall.worker(slots=5)
    assert hall.dispatcher.shortcut([job(1), job(2, priority=1)], 10.0) == {}


def test_a_bounded_task_is_left_to_the_claim_which_charges_its_counter() -> None:
    bounded = spec(concurrency=4)
    hall = Hall(bounded)
    hall.worker()
    assert hall.dispatcher.shortcut([job()], 10.0) == {}
    claim = hall.dispatcher.claim()
    assert claim is not None
    assert claim.capacity == {bounded.lane: ("q:add", 4)}


# -- offers


def test_free_workers_are_offered_for_the_lanes_where_something_may_be_ready() -> None:
    other = spec("other")
    hall = Hall(ADD, other)
    hall.worker("a", slots=2, tasks=(ADD, other))
    hall.worker("b", slots=9, tasks=(other,))
    hall.worker("c", slots=0)
    hall.dispatcher.ready.add(ADD.lane)
    claim = hall.dispatcher.claim()
    assert claim is not None
    assert [(o.session, o.epoch, o.worker, o.slots, o.lanes) for o in claim.offers] == [
        ("a", 7, "name a", 2, frozenset([ADD.lane]))
    ]
    assert len(set(claim.tokens)) == 2


def test_one_claim_is_bounded() -> None:
    hall = Hall(claim=10)
    hall.worker(slots=1000)
    hall.dispatcher.ready.add(ADD.lane)
    claim = hall.dispatcher.claim()
    assert claim is not None
    assert (claim.offers[0].slots, len(claim.tokens)) == (10, 10)


def test_nothing_is_claimed_when_nothing_is_ready_or_nobody_is_free() -> None:
    hall = Hall()
    assert hall.dispatcher.claim() is None
    hall.dispatcher.ready.add(ADD.lane)
    assert hall.dispatcher.claim() is None
    hall.worker(slots=0)
    assert hall.dispatcher.claim() is None


@pytest.mark.parametrize(
    "why", ["queue", "task", "worker", "workers", "stopped", "blocked", "barred", "leaving", "no voice"]
)
def test_what_is_paused_or_unable_gets_nothing(why: str) -> None:
    hall = Hall()
    live = hall.worker()
    name = {"queue": "q", "task": "q:add", "worker": "worker s", "workers": "all"}.get(why)
    if name is not None:
        hall.dispatcher.pauses[why, name] = Pause(why, name, "me", 0.0)  # type: ignore[arg-type]
    elif why == "stopped":
        hall.dispatcher.stopped = True
    elif why == "blocked":
        live.blocked = "q:add"
    elif why == "barred":
        live.barred_until = 20.0
    elif why == "leaving":
        live.leaving = True
    else:
        live.voice = None
    assert hall.dispatcher.shortcut([job()], 10.0) == {}
    assert hall.dispatcher.ready == {ADD.lane}
    assert hall.dispatcher.claim() is None


def test_a_worker_that_is_paused_does_not_slow_the_others() -> None:
    hall = Hall()
    hall.worker("s")
    hall.worker("t")
    hall.dispatcher.pauses["worker", "worker s"] = Pause("worker", "worker s", "me", 0.0)
    jobs = [job(n) for n in range(3)]
    assert hall.dispatcher.shortcut(jobs, 10.0) == {"t": 7}
    assert [j.session for j in jobs] == ["t", "t", None]


def test_a_pause_of_one_leaves_the_others_alone() -> None:
    other = spec("other", queue="p")
    hall = Hall(ADD, other)
    hall.worker(tasks=(ADD, other))
    hall.dispatcher.pauses["queue", "q"] = Pause("queue", "q", "me", 0.0)
    hall.dispatcher.ready |= {ADD.lane, other.lane}
    claim = hall.dispatcher.claim()
    assert claim is not None
    assert claim.offers[0].lanes == {other.lane}
    hall.dispatcher.ready.clear()
    jobs = [job(1), job(2, other)]
    assert hall.dispatcher.shortcut(jobs, 10.0) == {"s": 7}
    assert [j.state for j in jobs] == ["queued", "running"]
    assert hall.dispatcher.paused(ADD.lane)
    assert not hall.dispatcher.paused(Lane("p", "other", ""))
