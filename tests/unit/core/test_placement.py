"""Which free worker gets which job."""

from itertools import count

from easyjobs.core.changes import Offer
from easyjobs.core.job import Job, Lane
from easyjobs.core.placement import UNITS, Systems, place, urgency

A, B = Lane("q", "a", ""), Lane("q", "b", "")
BIG, SMALL = Lane("q", "big", ""), Lane("q", "small", "")


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


def machine(capacity: int, used: int = 0, overtaken: int = 0) -> Systems[Job]:
    return Systems({BIG: 6}, {"m": capacity}, {"m": used}, lambda system, job: overtaken)


def on(system: str, slots: int = 9) -> Offer:
    return Offer(f"s on {system}", 1, "w", slots, frozenset((BIG, SMALL)), system)


def many(lane: Lane, *ids: str) -> list[Job]:
    return [Job(id, *lane) for id in ids]


def on_machines(jobs: list[Job], *offers: Offer, systems: Systems[Job]) -> list[tuple[str, str]]:
    return [(job.id, offer.system) for job, offer in place(jobs, offers, systems=systems)]


def test_jobs_are_placed_while_their_machine_has_units() -> None:
    assert on_machines(many(BIG, "b1", "b2"), on("m"), systems=machine(13)) == [("b1", "m"), ("b2", "m")]
    assert on_machines(many(BIG, "b1", "b2"), on("m"), systems=machine(13, used=2)) == [("b1", "m")]


def test_a_machine_that_nobody_knows_has_ten_thousand_units() -> None:
    systems: Systems[Job] = Systems({BIG: UNITS}, {}, {}, lambda system, job: 0)
    assert on_machines(many(BIG, "b1", "b2"), on("m"), systems=systems) == [("b1", "m")]


def test_without_a_free_slot_no_room_is_saved() -> None:
    full = Offer("full", 1, "w", 0, frozenset((BIG,)), "m")
    jobs = many(BIG, "b1") + many(SMALL, *"1234")
    assert on_machines(jobs, full, Offer("s", 1, "w", 9, frozenset((SMALL,)), "m"), systems=machine(4)) == [
        (n, "m") for n in "1234"
    ]


def test_what_overtakes_a_big_job_leaves_room_for_it() -> None:
    jobs = many(BIG, "b1") + many(SMALL, *"12345")
    assert on_machines(jobs, on("m"), systems=machine(10, used=5)) == [(n, "m") for n in "1234"]
    assert on_machines(jobs, on("m"), systems=machine(10, used=5, overtaken=3)) == [("1", "m")]
    assert on_machines(jobs, on("m"), systems=machine(10, used=5, overtaken=5)) == []


def test_room_is_saved_for_the_most_urgent_of_them_only() -> None:
    systems: Systems[Job] = Systems(
        {BIG: 6, SMALL: 3}, {"m": 10}, {"m": 5}, lambda system, job: {"b1": 1, "b2": 9}[job.id]
    )
    assert on_machines(many(BIG, "b1", "b2") + many(SMALL, "1", "2"), on("m"), systems=systems) == [("1", "m")]


def test_the_machine_nearest_to_it_saves_room() -> None:
    systems: Systems[Job] = Systems(
        {BIG: 6}, {"m": 10, "n": 10}, {"m": 5, "n": 8}, lambda system, job: {"m": 4, "n": 0}[system]
    )
    assert on_machines(many(BIG, "b1") + many(SMALL, "1", "2"), on("m", 8), on("n", 8), systems=systems) == [
        ("1", "n"),
        ("2", "n"),
    ]


def test_a_job_that_is_too_big_for_all_machines_holds_nobody_up() -> None:
    assert on_machines(many(BIG, "b1") + many(SMALL, *"12345"), on("m"), systems=machine(5)) == [
        (n, "m") for n in "12345"
    ]
