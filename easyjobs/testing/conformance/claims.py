"""The claim: which ready jobs go to whom."""

from __future__ import annotations

from easyjobs.core.changes import Applied, Claim, Insert, LoseSession, NoteProgress, PutSession, Unit, Update
from easyjobs.core.job import Lane
from easyjobs.testing.conformance.story import LANE, OTHER_LANE, Cases, Play, columns, story

LAST_LANE = Lane("etl", "report", "")


class ClaimCases(Cases):
    """What `commit` does with a claim."""

    @story
    async def test_a_claimed_job_runs_under_the_offers_session(self, play: Play) -> None:
        await play.arrive(play.session("s1", epoch=3))
        chained = {
            "relation": "after",
            "deps_left": 1,
            "followers": 2,
            "schedule": "s",
            "tick": 3.0,
            "crashed_at": "[]",
        }
        await play.add(play.job("j1", attempt=4, version=9, failures=2, progress="old", holds="old", **chained))
        play.clock.advance(5)
        (job,) = (await play.claim(play.offer(epoch=3))).claimed
        expected = play.job(
            "j1",
            seq=1,
            state="running",
            created_at=play.store.now() - 5,
            run_at=play.store.now() - 5,
            attempt=5,
            version=10,
            failures=2,
            token="t1",
            session="s1",
            worker="worker of s1",
            started_at=play.store.now(),
            **chained,
        )
        assert job == expected
        assert await play.row("j1") == expected
        assert await play.store.running() == [expected]

    @story
    async def test_the_most_urgent_job_goes_first_higher_priority_then_older(self, play: Play) -> None:
        await play.arrive(play.session())
        await play.add(*(play.job(f"j{n}", priority=priority) for n, priority in enumerate((0, 5, -1, 5, 0))))
        claimed = [(await play.claim(play.offer(slots=2))).claimed for _ in range(3)]
        assert [[job.id for job in jobs] for jobs in claimed] == [["j1", "j3"], ["j0", "j4"], ["j2"]]

    @story
    async def test_urgency_goes_over_all_lanes_of_the_offers(self, play: Play) -> None:
        await play.arrive(play.session())
        tasks = ["load", "clean", "report"]
        await play.add(*(play.job(f"j{n}", task=tasks[n % 3], priority=n % 2) for n in range(12)))
        committed = await play.claim(play.offer(slots=7, lanes=[LANE, OTHER_LANE, LAST_LANE]))
        assert [job.id for job in committed.claimed] == ["j1", "j3", "j5", "j7", "j9", "j11", "j0"]
        rows = await play.store.jobs([job.id for job in committed.claimed])
        assert {job.id: job for job in committed.claimed} == rows
        assert committed.emptied == []

    @story
    async def test_a_job_goes_to_the_able_worker_with_most_free_slots(self, play: Play) -> None:
        await play.arrive(play.session("s1"), play.session("s2"), play.session("s3"))
        await play.add(*(play.job(f"j{n}", task="load" if n % 2 else "clean") for n in range(6)))
        committed = await play.claim(
            play.offer("s1", 1, [LANE]), play.offer("s2", 3, [LANE, OTHER_LANE]), play.offer("s3", 5, [LAST_LANE])
        )
        assert [(job.id, job.session) for job in committed.claimed] == [
            ("j0", "s2"),
            ("j1", "s2"),
            ("j2", "s2"),
            ("j3", "s1"),
        ]
        assert [job.token for job in committed.claimed] == ["t1", "t2", "t3", "t4"]

    @story
    async def test_only_what_is_offered_and_ready_is_taken(self, play: Play) -> None:
        await play.arrive(play.session())
        now = play.store.now()
        await play.add(
            play.job("other task", task="clean"),
            play.job("other signature", signature="ab"),
            play.job("other queue", queue="mail"),
            play.job("later", run_at=now + 1),
            play.job("held", state="waiting"),
            play.job("over", state="completed", finished_at=now),
            play.job("again", state="retry"),
            play.job("ready"),
        )
        committed = await play.claim(play.offer(slots=9))
        assert [job.id for job in committed.claimed] == ["again", "ready"]
        assert committed.emptied == [LANE]
        assert (await play.claim(play.offer(slots=9))).claimed == []

    @story
    async def test_a_claim_sees_the_units_of_its_commit(self, play: Play) -> None:
        running = await play.start("j1")
        await play.add(play.job("j2"))
        offer = play.offer("s2", 9)
        committed = await play.store.commit(
            [
                Unit([PutSession(play.session("s2"))]),
                Unit([Insert(play.job("j3", priority=1))]),
                Unit([Update(await play.row("j2"), {"state": "cancelled"})]),
                Unit([Update(running, {"state": "queued"})]),
                Unit([Update(running, {"state": "failed"})]),
            ],
            Claim([offer], [f"t{n}" for n in range(9)]),
        )
        assert [type(verdict) is Applied for verdict in committed.verdicts] == [True] * 4 + [False]
        assert [(job.id, job.attempt) for job in committed.claimed] == [("j3", 1), ("j1", 2)]

    @story
    async def test_sessions_that_are_lost_unknown_or_of_another_epoch_get_nothing(self, play: Play) -> None:
        await play.arrive(play.session("s1"), play.session("s2", epoch=2), play.session("s4"))
        await play.commit(LoseSession("s1", 1, 5.0))
        await play.add(play.job("j1"))
        committed = await play.claim(
            play.offer("s1"), play.offer("s2", epoch=1), play.offer("s3"), play.offer("s4", slots=0)
        )
        assert columns(committed, "claimed", "emptied") == ([], [])
        assert [job.session for job in (await play.claim(play.offer("s1"), play.offer("s4"))).claimed] == ["s4"]

    @story
    async def test_a_session_lost_in_the_same_commit_gets_nothing(self, play: Play) -> None:
        await play.arrive(play.session())
        await play.add(play.job("j1"))
        lose = Unit([LoseSession("s1", 1, 5.0)])
        assert (await play.store.commit([lose], Claim([play.offer()], ["t"]))).claimed == []

    @story
    async def test_emptied_names_exactly_the_offered_lanes_with_nothing_ready_left(self, play: Play) -> None:
        await play.arrive(play.session())
        await play.add(play.job("j1"), play.job("j2"), play.job("j3", task="clean"), play.job("j4", signature="z"))
        offer = play.offer(slots=2, lanes=[LANE, OTHER_LANE, LAST_LANE])
        first, second, third = [await play.claim(offer) for _ in range(3)]
        assert ([job.id for job in first.claimed], first.emptied) == (["j1", "j2"], [LANE, LAST_LANE])
        assert ([job.id for job in second.claimed], second.emptied) == (["j3"], [OTHER_LANE, LANE, LAST_LANE])
        assert columns(third, "claimed", "emptied") == ([], [OTHER_LANE, LANE, LAST_LANE])

    # -- counters

    @story
    async def test_a_counter_bounds_what_runs_at_once(self, play: Play) -> None:
        await play.arrive(play.session("s1"), play.session("s2"))
        await play.add(*(play.job(f"j{n}") for n in range(5)))
        capacity = {LANE: ("etl:load", 2)}
        first = await play.claim(play.offer("s1", 1), capacity=capacity)
        second = await play.claim(play.offer("s1", 4), play.offer("s2", 4), capacity=capacity)
        assert [(job.id, job.holds) for job in first.claimed + second.claimed] == [
            ("j0", "etl:load"),
            ("j1", "etl:load"),
        ]
        third = await play.claim(play.offer("s1", 4), capacity=capacity)
        assert columns(third, "claimed", "emptied") == ([], [])
        end = Update(second.claimed[0], {"state": "completed"}, release="etl:load")
        fourth = await play.store.commit([Unit([end])], Claim([play.offer("s1", 4)], ["t"] * 4, capacity))
        assert [job.id for job in fourth.claimed] == ["j2"]

    @story
    async def test_lanes_with_one_counter_share_its_room(self, play: Play) -> None:
        await play.arrive(play.session())
        lanes = [Lane("etl", "load", signature) for signature in ("old", "new")]
        await play.add(*(play.job(f"j{n}", signature=lanes[n % 2].signature) for n in range(6)))
        capacity = dict.fromkeys(lanes, ("etl:load", 3))
        committed = await play.claim(play.offer(slots=9, lanes=lanes), capacity=capacity)
        assert [job.id for job in committed.claimed] == ["j0", "j1", "j2"]

    @story
    async def test_a_full_counter_leaves_the_slots_to_other_lanes(self, play: Play) -> None:
        await play.arrive(play.session())
        await play.add(*(play.job(f"j{n}", priority=1) for n in range(3)), play.job("other", task="clean"))
        committed = await play.claim(play.offer(slots=3, lanes=[LANE, OTHER_LANE]), capacity={LANE: ("c", 1)})
        assert [(job.id, job.holds) for job in committed.claimed] == [("j0", "c"), ("other", None)]
        assert committed.emptied == [OTHER_LANE]

    @story
    async def test_a_bound_below_what_runs_already_lets_nothing_more_run(self, play: Play) -> None:
        await play.arrive(play.session())
        await play.add(*(play.job(f"j{n}") for n in range(4)))
        await play.claim(play.offer(slots=3), capacity={LANE: ("c", 3)})
        assert (await play.claim(play.offer(slots=3), capacity={LANE: ("c", 1)})).claimed == []

    @story
    async def test_a_job_that_ran_without_a_counter_takes_none_of_its_room(self, play: Play) -> None:
        await play.arrive(play.session())
        await play.add(play.job("j1"), play.job("j2"))
        await play.claim(play.offer())
        assert [job.holds for job in (await play.claim(play.offer(), capacity={LANE: ("c", 1)})).claimed] == ["c"]

    # -- again

    @story
    async def test_a_job_handed_back_is_claimed_as_the_next_attempt(self, play: Play) -> None:
        job = await play.start("j1")
        await play.commit(NoteProgress("j1", 1, "half"))
        await play.commit(Update(job, {"state": "queued", "session": None, "token": None, "started_at": None}))
        assert await play.store.lanes() == [LANE]
        (again,) = (await play.claim(play.offer())).claimed
        assert columns(again, "attempt", "version", "token", "progress") == (2, 3, "t2", None)

    @story
    async def test_a_retry_waits_for_its_time(self, play: Play) -> None:
        job = await play.start("j1")
        await play.commit(Update(job, {"state": "retry", "run_at": play.store.now() + 10, "failures": 1}))
        assert (await play.claim(play.offer())).claimed == []
        play.clock.advance(10)
        assert await play.store.promote(10) == [LANE]
        assert [job.attempt for job in (await play.claim(play.offer())).claimed] == [2]

    @story
    async def test_a_new_priority_counts_at_once(self, play: Play) -> None:
        await play.arrive(play.session())
        await play.add(play.job("j1"), play.job("j2"))
        await play.commit(Update(await play.row("j2"), {"priority": 1}))
        assert [job.id for job in (await play.claim(play.offer())).claimed] == ["j2"]
