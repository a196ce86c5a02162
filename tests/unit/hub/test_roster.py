"""The workers as the manager sees them."""

from __future__ import annotations

from house import spec

from easyjobs.core.job import Job, Session
from easyjobs.hub.roster import Live, Roster
from easyjobs.protocol.messages import FromManager


class Voice:
    def send(self, message: FromManager, weight: int = 0) -> None:
        raise NotImplementedError

    def close(self, code: int, reason: str) -> None:
        raise NotImplementedError


def live(id: str = "s", slots: int = 2) -> Live:
    return Live(Session(id, f"worker of {id}", "w", "h", 1, "live", 0.0, 30.0, slots=slots), ["q"], 0.0, 30.0)


def job(id: str, session: str | None = "s") -> Job:
    return Job(id, "q", "add", state="running", attempt=1, session=session)


def test_a_session_is_found_by_its_id_and_by_its_worker() -> None:
    roster = Roster()
    one = live()
    roster.add(one)
    assert roster.sessions["s"] is roster.of_worker("worker of s") is one
    assert list(roster.holders()) == [one]
    roster.remove(one)
    roster.remove(one)
    assert roster.of_worker("worker of s") is None


def test_the_end_of_an_older_session_does_not_end_the_newer_one_of_its_worker() -> None:
    roster = Roster()
    old, new = live("old"), live("new")
    new.row.worker_id = old.row.worker_id
    roster.add(old)
    roster.add(new)
    roster.remove(old)
    assert roster.of_worker(new.row.worker_id) is new


def test_what_was_handed_out_takes_a_slot_until_it_is_released() -> None:
    roster = Roster()
    one = live()
    roster.add(one)
    assert roster.hand_out(job("a"), 5.0) is one
    assert (one.free, one.unconfirmed, list(roster.running)) == (1, {"a": 5.0}, ["a"])
    roster.logged["a"] = 10
    assert roster.released(job("a"))
    assert (one.free, one.unconfirmed, roster.running, roster.logged) == (2, {}, {}, {})
    assert not roster.released(job("a"))


def test_a_job_of_a_session_that_went_runs_and_is_nobody_s() -> None:
    roster = Roster()
    assert roster.hand_out(job("a", "gone"), 5.0) is None
    assert list(roster.running) == ["a"]
    assert not roster.released(job("a", "gone"))
    assert not roster.released(job("b", None))


def test_a_job_that_waits_for_others_leaves_its_slot_to_others() -> None:
    one = live(slots=1)
    one.held["a"] = job("a")
    assert one.free == 0
    one.parked = 1
    assert one.free == 1


def test_only_a_worker_with_a_voice_and_a_turning_loop_is_able() -> None:
    one = live()
    assert not one.able
    one.voice = Voice()
    assert one.able
    one.blocked = "q:add"
    assert not one.able
    one.blocked, one.leaving = None, True
    assert not one.able


def test_who_offers_a_task() -> None:
    roster = Roster()
    one, two = live("one"), live("two")
    one.lanes = two.lanes = frozenset([spec().lane])
    one.voice = Voice()
    roster.add(one)
    roster.add(two)
    assert roster.offering(spec().lane) == [one, two]
    assert roster.offering(spec("x").lane) == []
    assert roster.offering_task("q", "add") == [one]
    assert roster.offering_task("q", "x") == []


def test_whoever_wants_to_know_hears_of_a_session_that_goes() -> None:
    roster = Roster()
    heard: list[str] = []
    roster.changed = lambda: heard.append("changed")
    roster.remove(live())
    assert heard == ["changed"]
