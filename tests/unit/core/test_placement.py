"""Which free worker gets which job."""

from itertools import count

from easyjobs.core.changes import Offer
from easyjobs.core.job import Job, Lane
from easyjobs.core.placement import place, urgency

A, B = Lane("q", "a", ""), Lane("q", "b", "")


def job(id: str, task: str = "a", *, priority: int = 0, seq: int = 0) -> Job:
    return Job(id, "q", task, priority=priority, seq=seq)


def offer(worker: str, slots: int, *lanes: Lane) -> Offer:
    return Offer(worker, 1, worker, slots, frozenset(lanes))


def placed(pairs: list[tuple[Job, Offer]]) -> list[str]:
    return [f"{job.id}>{offer.worker}" for job, offer in pairs]


def test_higher_priority_goes_first_then_the_older() -> None:
    jobs = [job("old", seq=1), job("urgent", priority=5, seq=3), job("later", priority=-1, seq=0), job("new", seq=2)]
    assert [j.id for j in sorted(jobs, key=urgency)] == ["urgent", "old", "new", "later"]


def test_jobs_go_to_the_worker_with_the_most_free_slots() -> None:
    jobs = [job(str(n)) for n in range(4)]
    assert placed(place(jobs, [offer("x", 1, A), offer("y", 3, A)])) == ["0>y", "1>y", "2>x", "3>y"]


def test_jobs_beyond_the_slots_stay_out() -> None:
    assert placed(place([job("1"), job("2")], [offer("x", 1, A)])) == ["1>x"]
    assert place([job("1")], [offer("x", 0, A)]) == []
    assert place([job("1")], []) == []


def test_nothing_is_read_once_the_slots_are_gone() -> None:
    endless = (job(str(n)) for n in count())
    assert placed(place(endless, [offer("x", 2, A)])) == ["0>x", "1>x"]


def test_a_worker_gets_only_what_it_can_run() -> None:
    jobs = [job("a1"), job("b1", "b"), job("b2", "b"), job("c1", "c")]
    assert placed(place(jobs, [offer("x", 1, A), offer("y", 3, B)])) == ["a1>x", "b1>y", "b2>y"]


def test_a_job_whose_workers_are_full_does_not_hold_up_the_others() -> None:
    jobs = [job("a1"), job("a2"), job("b1", "b")]
    assert placed(place(jobs, [offer("x", 1, A), offer("y", 1, B)])) == ["a1>x", "b1>y"]


def test_a_bounded_lane_takes_no_more_than_its_room() -> None:
    jobs = [job("a1"), job("a2"), job("b1", "b")]
    assert placed(place(jobs, [offer("x", 5, A, B)], {A: 1})) == ["a1>x", "b1>x"]
    assert placed(place(jobs, [offer("x", 5, A, B)], {A: 0, B: 1})) == ["b1>x"]


def test_lanes_of_one_counter_share_its_room() -> None:
    old, new = Lane("q", "a", "old"), Lane("q", "a", "new")
    jobs = [Job("1", "q", "a", "old"), Job("2", "q", "a", "new"), Job("3", "q", "a", "old")]
    offers = [offer("x", 5, old, new)]
    assert placed(place(jobs, offers, {old: 2, new: 2}, {old: "a", new: "a"})) == ["1>x", "2>x"]
    assert placed(place(jobs, offers, {old: 2, new: 2})) == ["1>x", "2>x", "3>x"]
