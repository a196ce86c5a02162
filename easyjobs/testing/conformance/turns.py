"""Jobs of which something must be done before they may be claimed, groups, and what is known of others' freshness."""

from __future__ import annotations

from easyjobs.core.changes import AddEdge, Applied, Insert, Offer, PutFresh, Release, Stale, Unit, Update
from easyjobs.core.job import Edge, Job
from easyjobs.stores.base import Retention
from easyjobs.testing.conformance.story import LANE, OTHER_LANE, Cases, Play, columns, story


def _ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


class TurnCases(Cases):
    """What a claim does with a `turn`, how a group is released, and what `fresh` and `coming` know."""

    @story
    async def test_a_job_whose_turn_comes_first_takes_a_slot_and_stays_as_it_is(self, play: Play) -> None:
        await play.arrive(play.session())
        await play.add(play.job("j1", turn="check"), play.job("j2"), play.job("j3"))
        before = await play.row("j1")
        committed = await play.claim(play.offer(slots=2))
        assert (_ids(committed.claimed), committed.turns) == (["j2"], [before])
        assert await play.row("j1") == before
        assert await play.store.lanes() == [LANE]

    @story
    async def test_it_is_offered_its_turn_again_until_it_was_taken(self, play: Play) -> None:
        await play.arrive(play.session())
        await play.add(play.job("j1", turn="spread", priority=1))
        offer = play.offer(slots=3)
        for _ in range(2):
            committed = await play.claim(offer)
            assert (_ids(committed.turns), committed.claimed, committed.emptied) == (["j1"], [], [])
        row = await play.row("j1")
        assert await play.commit(Update(row, {"state": "queued", "turn": None})) == [Applied()]
        committed = await play.claim(offer)
        assert (_ids(committed.claimed), committed.turns, committed.emptied) == (["j1"], [], [LANE])

    @story
    async def test_turns_come_in_order_of_urgency_over_all_lanes(self, play: Play) -> None:
        await play.arrive(play.session())
        await play.add(
            play.job("j1", turn="check"),
            play.job("j2", task="clean", turn="check", priority=5),
            play.job("j3", task="clean"),
            play.job("j4", turn="check", priority=5),
        )
        committed = await play.claim(play.offer(slots=3, lanes=[LANE, OTHER_LANE]))
        assert (_ids(committed.turns), committed.claimed, committed.emptied) == (["j2", "j4", "j1"], [], [])
        committed = await play.claim(play.offer(slots=9, lanes=[LANE, OTHER_LANE]))
        assert (_ids(committed.turns), _ids(committed.claimed)) == (["j2", "j4", "j1"], ["j3"])
        assert committed.emptied == []

    @story
    async def test_no_turn_comes_where_the_counter_is_full(self, play: Play) -> None:
        await play.arrive(play.session())
        await play.add(play.job("j1"), play.job("j2", turn="check"))
        bound = {LANE: ("c", 1)}
        assert _ids((await play.claim(play.offer(slots=3), capacity=bound)).claimed) == ["j1"]
        committed = await play.claim(play.offer(slots=3), capacity=bound)
        assert (committed.turns, committed.claimed, committed.emptied) == ([], [], [])

    @story
    async def test_a_job_whose_time_has_not_come_has_no_turn(self, play: Play) -> None:
        await play.arrive(play.session())
        await play.add(play.job("j1", turn="check", run_at=play.store.now() + 5))
        assert (await play.claim(play.offer())).turns == []
        play.clock.advance(5)
        assert await play.store.promote(10) == [LANE]
        assert _ids((await play.claim(play.offer())).turns) == ["j1"]

    @story
    async def test_a_group_is_released_ready_and_still_waiting(self, play: Play) -> None:
        await play.arrive(play.session())
        later = play.store.now() + 5
        group = play.job("g", state="waiting", turn="gather", deps_left=2, run_at=later)
        edges = [AddEdge(Edge(id, "g", "count")) for id in ("m1", "m2")]
        members = [Insert(play.job(id, followers=1, task="clean")) for id in ("m1", "m2")]
        assert await play.together(Insert(group), *members, *edges) == Applied()
        assert [edge.bad for edge in await play.store.edges(["g"])] == ["count", "count"]
        committed = await play.store.commit([Unit([Release("m1")])])
        assert committed.released == []
        committed = await play.store.commit([Unit([Release("m2")])])
        assert committed.released == [await play.row("g")]
        assert columns(committed.released[0], "state", "deps_left", "version") == ("waiting", 0, 2)
        assert [(c.task, c.state, c.jobs) for c in await play.store.counts()] == [
            ("clean", "queued", 2),
            ("load", "waiting", 1),
        ]
        assert await play.store.lanes() == [OTHER_LANE, LANE]
        assert _ids((await play.claim(play.offer())).turns) == ["g"]

    @story
    async def test_a_group_that_is_still_made_is_counted_down_and_not_released(self, play: Play) -> None:
        await play.add(play.job("g", turn="spread", deps_left=1), play.job("m", followers=1))
        await play.commit(AddEdge(Edge("m", "g", "count")))
        committed = await play.store.commit([Unit([Release("m")])])
        assert committed.released == []
        assert columns(await play.row("g"), "state", "deps_left", "turn") == ("queued", 0, "spread")

    @story
    async def test_freshness_is_known_by_key_and_only_grows(self, play: Play) -> None:
        assert await play.store.fresh(["a"]) == {}
        await play.commit(PutFresh(["a", "b"], 10.0, 100.0), PutFresh(["b"], 20.0, 50.0), PutFresh(["a"], 5.0, 200.0))
        assert await play.store.fresh(["c", "b", "a", "a"]) == {"a": 10.0, "b": 20.0}
        assert await play.store.fresh([]) == {}

    @story
    async def test_freshness_is_not_written_with_a_unit_that_is_stale(self, play: Play) -> None:
        await play.add(play.job("j1"))
        old = await play.row("j1")
        await play.commit(Update(old, {"priority": 1}))
        verdict = await play.together(PutFresh(["a"], 1.0, 2.0), Update(old, {"state": "completed"}))
        assert isinstance(verdict, Stale)
        assert await play.store.fresh(["a"]) == {}

    @story
    async def test_freshness_outlives_its_job_and_goes_when_it_serves_nobody_any_more(self, play: Play) -> None:
        job = await play.start("j1")
        now = play.store.now()
        end = Update(job, {"state": "completed", "finished_at": now})
        assert await play.together(end, PutFresh(["a"], now, now + 100), PutFresh(["b"], now, now + 10)) == Applied()
        play.clock.advance(10)
        assert await play.store.prune(Retention(5.0, 5.0), 10) == 1
        assert await play.store.jobs(["j1"]) == {}
        assert await play.store.fresh(["a", "b"]) == {"a": now}

    @story
    async def test_what_is_coming_of_a_task_is_all_that_will_end_before_long(self, play: Play) -> None:
        now = play.store.now()
        await play.start("running")
        await play.add(
            play.job("ready"),
            play.job("waiting", state="waiting", deps_left=1),
            play.job("retry", state="retry", run_at=now + 60),
            play.job("much later", run_at=now + 60),
            play.job("failed", state="failed", finished_at=now),
            play.job("other", task="clean"),
            play.job("elsewhere", queue="mail"),
            play.job("again", state="retry", signature="new", attempt=1),
        )
        coming = await play.store.coming("etl", "load", 10)
        assert _ids(coming) == ["running", "ready", "waiting", "retry", "again"]
        assert coming[1] == await play.row("ready")
        assert await play.store.coming("etl", "none", 10) == []

    @story
    async def test_of_much_that_is_coming_a_bounded_part_is_told(self, play: Play) -> None:
        await play.add(*(play.job(f"j{n}") for n in range(6)))
        await play.add(*(play.job(f"w{n}", state="waiting", deps_left=1) for n in range(6)))
        coming = await play.store.coming("etl", "load", 3)
        assert [sum(job.state == state for job in coming) for state in ("queued", "waiting")] == [3, 3]

    @story
    async def test_a_claim_passes_over_nobody_for_the_sake_of_a_turn(self, play: Play) -> None:
        await play.arrive(play.session("s1"), play.session("s2"))
        await play.add(play.job("j1", turn="check"), play.job("j2"))
        offers: list[Offer] = [play.offer("s1"), play.offer("s2")]
        committed = await play.claim(*offers)
        assert (_ids(committed.turns), _ids(committed.claimed)) == (["j1"], ["j2"])

    @story
    async def test_a_job_may_be_hastened_and_joined_in_one_unit(self, play: Play) -> None:
        await play.add(play.job("p"), play.job("f", turn="check"))
        p, f = await play.row("p"), await play.row("f")
        waits = Update(f, {"state": "waiting", "deps_left": 1, "turn": None})
        hastened = Update(p, {"priority": 5})
        assert await play.together(waits, hastened, AddEdge(Edge("p", "f"), join=True)) == Applied()
        assert columns(await play.row("p"), "priority", "followers", "version") == (5, 1, 2)
        assert isinstance(await play.together(hastened, AddEdge(Edge("p", "x"), join=True)), Stale)
        assert [edge.follower for edge in await play.store.edges(["f", "x"])] == ["f"]

    @story
    async def test_a_bad_end_is_counted_for_a_group_and_ends_who_needed_it(self, play: Play) -> None:
        group = play.job("g", state="waiting", turn="gather", deps_left=1)
        follower = play.job("f", state="waiting", deps_left=1)
        member = play.job("m", followers=2)
        edges = [AddEdge(Edge("m", "g", "count")), AddEdge(Edge("m", "f"))]
        assert await play.together(Insert(group), Insert(follower), Insert(member), *edges) == Applied()
        m, f = await play.row("m"), await play.row("f")
        ends = [Update(job, {"state": "failed", "finished_at": 1.0}) for job in (m, f)]
        committed = await play.store.commit([Unit([*ends, Release("m")])])
        assert committed.verdicts == [Applied()]
        assert _ids(committed.released) == ["g"]
        assert columns(await play.row("f"), "state", "deps_left") == ("failed", 0)
        assert columns(await play.row("g"), "state", "deps_left") == ("waiting", 0)
