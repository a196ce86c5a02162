"""Process units: what runs on one machine stays within what it has, and nobody is passed by for ever."""

from __future__ import annotations

from easyjobs.core.changes import LoseSession
from easyjobs.core.job import Job, Lane
from easyjobs.core.placement import UNITS
from easyjobs.testing.conformance.story import LANE, OTHER_LANE, Cases, Play, story

SMALL, BIG = LANE, OTHER_LANE
TAKE = {SMALL: 2, BIG: 6}


def _small(play: Play, id: str) -> Job:
    return play.job(id, task=SMALL.task)


def _big(play: Play, id: str) -> Job:
    return play.job(id, task=BIG.task)


class SystemCases(Cases):
    """Of machines with several workers, and workers on several machines."""

    @story
    async def test_what_runs_on_a_machine_stays_within_its_units(self, play: Play) -> None:
        await play.arrive(play.session("s1", system="m", units=10), play.session("s2", system="m", units=10))
        await play.add(*(_small(play, f"j{n}") for n in range(9)))
        first = await play.claim(play.offer("s1", 3, [SMALL], system="m"), units=TAKE)
        assert [job.id for job in first.claimed] == ["j0", "j1", "j2"]
        second = await play.claim(play.offer("s2", 9, [SMALL], system="m"), units=TAKE)
        assert [job.id for job in second.claimed] == ["j3", "j4"]
        assert second.emptied == []
        assert (await play.claim(play.offer("s2", 9, [SMALL], system="m"), units=TAKE)).claimed == []
        await play.end(first.claimed[0])
        third = await play.claim(play.offer("s2", 9, [SMALL], system="m"), units=TAKE)
        assert [job.id for job in third.claimed] == ["j5"]

    @story
    async def test_the_least_that_any_worker_declares_counts(self, play: Play) -> None:
        await play.arrive(
            play.session("s1", system="m", units=100),
            play.session("s2", system="m", units=4),
            play.session("s3", system="m"),
            play.session("s4", system="other", units=1),
        )
        await play.add(*(_small(play, f"j{n}") for n in range(9)))
        committed = await play.claim(play.offer("s1", 9, [SMALL], system="m"), units=TAKE)
        assert [job.id for job in committed.claimed] == ["j0", "j1"]

    @story
    async def test_a_machine_of_which_nobody_says_has_ten_thousand(self, play: Play) -> None:
        await play.arrive(play.session("s1", system="m"))
        await play.add(*(_small(play, f"j{n}") for n in range(3)))
        committed = await play.claim(play.offer("s1", 9, [SMALL], system="m"), units={SMALL: UNITS // 2})
        assert [job.id for job in committed.claimed] == ["j0", "j1"]

    @story
    async def test_a_job_takes_one_unit_unless_something_else_is_said(self, play: Play) -> None:
        await play.arrive(play.session("s1", system="m", units=3))
        await play.add(*(_small(play, f"j{n}") for n in range(9)))
        committed = await play.claim(play.offer("s1", 9, [SMALL], system="m"), units={})
        assert [job.id for job in committed.claimed] == ["j0", "j1", "j2"]

    @story
    async def test_without_units_nothing_is_counted(self, play: Play) -> None:
        await play.arrive(play.session("s1", system="m", units=1))
        await play.add(*(_small(play, f"j{n}") for n in range(3)))
        assert len((await play.claim(play.offer("s1", 9, [SMALL], system="m"))).claimed) == 3

    @story
    async def test_a_job_goes_to_the_machine_that_has_room_for_it(self, play: Play) -> None:
        await play.arrive(play.session("s1", system="m", units=4), play.session("s2", system="n", units=8))
        await play.add(_big(play, "big"), _small(play, "small"))
        offers = play.offer("s1", 9, [SMALL, BIG], system="m"), play.offer("s2", 5, [SMALL, BIG], system="n")
        committed = await play.claim(*offers, units=TAKE)
        assert [(job.id, job.session) for job in committed.claimed] == [("big", "s2"), ("small", "s1")]

    @story
    async def test_units_are_held_until_a_lost_workers_jobs_are_released(self, play: Play) -> None:
        await play.arrive(play.session("s1", system="m", units=10), play.session("s2", system="m", units=10))
        await play.add(_big(play, "b1"), _big(play, "b2"))
        (held,) = (await play.claim(play.offer("s1", 9, [BIG], system="m"), units=TAKE)).claimed
        await play.commit(LoseSession("s1", 1, play.store.now()))
        assert (await play.claim(play.offer("s2", 9, [BIG], system="m"), units=TAKE)).claimed == []
        await play.end(held)
        claimed = (await play.claim(play.offer("s2", 9, [BIG], system="m"), units=TAKE)).claimed
        assert [job.id for job in claimed] == ["b2"]

    @story
    async def test_a_big_job_is_overtaken_only_by_what_leaves_room_for_it(self, play: Play) -> None:
        """10 units: one of 6 runs. The next of 6 waits for it; what overtakes it may take 4 in all, so that it begins
        when the first has ended.
        """
        await play.arrive(play.session("s1", system="m", units=10))
        lanes: list[Lane] = [SMALL, BIG]
        await play.add(_big(play, "b1"))
        (first,) = (await play.claim(play.offer("s1", 9, lanes, system="m"), units=TAKE)).claimed
        play.clock.advance(1)
        await play.add(_big(play, "b2"))
        await play.add(*(_small(play, f"s{n}") for n in range(5)))
        overtaking = await play.claim(play.offer("s1", 9, lanes, system="m"), units=TAKE)
        assert [job.id for job in overtaking.claimed] == ["s0", "s1"]
        await play.end(overtaking.claimed[0])
        again = await play.claim(play.offer("s1", 9, lanes, system="m"), units=TAKE)
        assert [job.id for job in again.claimed] == ["s2"]
        await play.end(first)
        last = await play.claim(play.offer("s1", 9, lanes, system="m"), units=TAKE)
        assert [job.id for job in last.claimed] == ["b2"]

    @story
    async def test_a_job_that_fits_no_machine_holds_nobody_up(self, play: Play) -> None:
        await play.arrive(play.session("s1", system="m", units=5))
        await play.add(_big(play, "too big"), _small(play, "s1"), _small(play, "s2"), _small(play, "s3"))
        committed = await play.claim(play.offer("s1", 9, [SMALL, BIG], system="m"), units=TAKE)
        assert [job.id for job in committed.claimed] == ["s1", "s2"]
        assert committed.emptied == []
