"""Time: what becomes due, what is late, what is old."""

from __future__ import annotations

from easyjobs.core.changes import AppendLogs, LoseSession, Update
from easyjobs.core.job import Attempt, Lane
from easyjobs.core.states import FINAL, STATES
from easyjobs.stores.base import Retention
from easyjobs.testing.conformance.story import LANE, Cases, Play, story


async def _prune_all(play: Play, retention: Retention, limit: int) -> list[int]:
    """How many each call removed, until one removed none."""
    removed = []
    while number := await play.store.prune(retention, limit):
        removed.append(number)
    return removed


class UpkeepCases(Cases):
    """What a store does about time."""

    @story
    async def test_the_clock_goes_on_and_never_back(self, play: Play) -> None:
        begin = play.store.now()
        play.clock.advance(2.5)
        assert play.store.now() == begin + 2.5
        play.clock.set_wall(begin - 3600)
        assert play.store.now() == begin + 2.5
        play.clock.set_wall(begin + 3600)
        assert play.store.now() == begin + 2.5

    # -- what becomes due

    @story
    async def test_jobs_become_ready_when_their_time_comes_the_earliest_first(self, play: Play) -> None:
        await play.arrive(play.session())
        now = play.store.now()
        await play.add(*(play.job(f"j{n}", run_at=now + n, task=f"t{n}") for n in (3, 1, 2, 4)))
        assert await play.store.next_due() == now + 1
        assert await play.store.promote(10) == []
        play.clock.advance(3)
        assert sorted(await play.store.promote(2)) == [Lane("etl", "t1", ""), Lane("etl", "t2", "")]
        assert await play.store.next_due() == now + 3
        assert await play.store.promote(2) == [Lane("etl", "t3", "")]
        assert await play.store.promote(2) == []
        assert await play.store.next_due() == now + 4
        assert await play.store.lanes() == [Lane("etl", f"t{n}", "") for n in (1, 2, 3)]

    @story
    async def test_promote_gives_a_lane_for_each_job(self, play: Play) -> None:
        await play.add(*(play.job(f"j{n}", run_at=play.store.now() + 1) for n in range(3)))
        play.clock.advance(1)
        assert await play.store.promote(10) == [LANE] * 3
        assert (await play.row("j0")).version == 0

    @story
    async def test_a_job_is_ready_at_the_very_moment(self, play: Play) -> None:
        await play.add(play.job("j1", run_at=play.store.now()))
        assert await play.store.next_due() is None
        assert await play.store.lanes() == [LANE]

    @story
    async def test_a_job_put_off_or_brought_forward_is_ready_accordingly(self, play: Play) -> None:
        now = play.store.now()
        await play.add(play.job("j1"), play.job("j2", run_at=now + 9))
        await play.commit(Update(await play.row("j1"), {"run_at": now + 5}))
        assert await play.store.lanes() == []
        await play.commit(Update(await play.row("j2"), {"run_at": now}))
        assert await play.store.lanes() == [LANE]
        assert await play.store.next_due() == now + 5

    @story
    async def test_jobs_that_are_held_running_or_over_are_never_due(self, play: Play) -> None:
        later = play.store.now() + 5
        for state in STATES:
            await play.add(play.job(state, state="queued" if state == "running" else state, run_at=later))
        await play.commit(Update(await play.row("running"), {"state": "running"}))
        play.clock.advance(5)
        assert await play.store.promote(10) == [LANE] * 2
        assert await play.store.next_due() is None

    @story
    async def test_a_job_let_go_is_ready(self, play: Play) -> None:
        await play.add(play.job("j1", state="waiting"))
        await play.commit(Update(await play.row("j1"), {"state": "queued"}))
        assert await play.store.lanes() == [LANE]

    # -- what is late

    @story
    async def test_overdue_jobs_are_those_that_wait_past_their_deadline(self, play: Play) -> None:
        now = play.store.now()
        await play.start("running", deadline=now + 1)
        await play.add(
            play.job("queued", deadline=now + 3),
            play.job("later", deadline=now + 1, run_at=now + 99),
            play.job("retry", state="retry", deadline=now + 2),
            play.job("waiting", state="waiting", deadline=now + 4),
            play.job("in time", deadline=now + 5),
            play.job("patient"),
            play.job("over", state="failed", deadline=now + 1),
        )
        assert await play.store.overdue(10) == []
        play.clock.advance(4)
        late = await play.store.overdue(10)
        assert [job.id for job in late] == ["later", "retry", "queued", "waiting"]
        assert late[0] == await play.row("later")
        assert [job.id for job in await play.store.overdue(2)] == ["later", "retry"]

    # -- what is old

    @story
    async def test_old_jobs_are_removed_with_all_that_hangs_on_them(self, play: Play) -> None:
        job = await play.start("j1")
        await play.commit(Update(job, {"state": "queued"}, past=Attempt("j1", 1, "w", 1.0, 2.0, "returned")))
        await play.commit(AppendLogs("j1", [(1, 1.0, "info", "x")]))
        (job,) = (await play.claim(play.offer())).claimed
        await play.end(job)
        play.clock.advance(100)
        await play.add(play.job("j2"))
        assert await play.store.prune(Retention(completed=101, others=101), 10) == 0
        assert await play.store.prune(Retention(completed=100, others=101), 10) == 1
        assert await play.store.jobs(["j1"]) == {}
        assert await play.store.attempts("j1") == []
        assert await play.store.logs("j1") == []
        assert await play.store.totals() == {"queued": 1}

    @story
    async def test_completed_jobs_and_others_are_kept_as_long_as_is_said(self, play: Play) -> None:
        now = play.store.now()
        await play.add(
            *(play.job(state, state=state, finished_at=now if state in FINAL else None) for state in STATES[:2])
        )
        await play.add(
            *(play.job(state, state=state, finished_at=now) for state in ("completed", "failed", "cancelled"))
        )
        await play.add(play.job("skipped", state="skipped", finished_at=now + 1))
        play.clock.advance(50)
        assert await play.store.prune(Retention(completed=99, others=50), 10) == 2
        assert await play.store.totals() == {"waiting": 1, "queued": 1, "completed": 1, "skipped": 1}
        assert await play.store.prune(Retention(completed=50, others=50), 10) == 1

    @story
    async def test_pruning_goes_in_steps_until_nothing_old_is_left(self, play: Play) -> None:
        now = play.store.now()
        old = {f"j{n}" for n in range(30) if n % 3}
        await play.add(
            *(
                play.job(f"j{n}", state="completed", finished_at=now) if f"j{n}" in old else play.job(f"j{n}")
                for n in range(30)
            )
        )
        play.clock.advance(10)
        removed = await _prune_all(play, Retention(completed=5, others=5), limit=7)
        assert sum(removed) == 20
        assert max(removed) <= 7
        assert await play.store.totals() == {"queued": 10}
        late = await play.row("j0")
        await play.commit(Update(late, {"state": "failed", "finished_at": now}))
        assert await _prune_all(play, Retention(completed=5, others=5), limit=7) == [1]

    @story
    async def test_of_too_many_the_oldest_go_before_their_time(self, play: Play) -> None:
        now = play.store.now()
        await play.add(play.job("j0"))
        await play.add(*(play.job(f"j{n}", state="completed", finished_at=now) for n in range(1, 30)))
        assert await _prune_all(play, Retention(rows=29), limit=7) == []
        assert sum(await _prune_all(play, Retention(rows=9), limit=7)) == 20
        assert await play.store.totals() == {"queued": 1, "completed": 9}
        assert set(await play.store.jobs([f"j{n}" for n in range(30)])) == {"j0", *(f"j{n}" for n in range(21, 30))}

    @story
    async def test_a_store_that_takes_too_much_keeps_only_what_has_not_ended(self, play: Play) -> None:
        now = play.store.now()
        await play.add(play.job("j0"), play.job("j1", state="failed", finished_at=now))
        size = await play.store.size()
        assert size > 0
        assert await play.store.prune(Retention(bytes=10 * size), 10) == 0
        assert await _prune_all(play, Retention(bytes=1), limit=7) == [1]
        assert await play.store.totals() == {"queued": 1}

    @story
    async def test_sessions_lost_long_ago_are_forgotten(self, play: Play) -> None:
        await play.arrive(play.session("s1"), play.session("s2"), play.session("s3"))
        await play.commit(LoseSession("s1", 1, play.store.now()), LoseSession("s2", 1, play.store.now() + 5))
        play.clock.advance(10)
        assert await play.store.prune(Retention(completed=1, others=10), 10) == 0
        assert [session.id for session in await play.store.sessions(lost_since=0.0)] == ["s2", "s3"]
