"""Runs of workflows: how their jobs are counted and found, the counters that they hold, and who is late."""

from __future__ import annotations

import msgspec

from easyjobs.core.changes import AddEdge, Applied, Broken, Charge, Claim, Insert, Release, Stale, Unit, Update
from easyjobs.core.job import Edge, Job, Lane
from easyjobs.stores.base import JobQuery, Retention
from easyjobs.testing.conformance.story import LANE, OTHER_LANE, Cases, Play, columns, story

FLOW = Lane("etl", "nightly", "")


def _ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


def _open(play: Play, id: str, **columns: object) -> Job:
    """A run that waits for its nodes, and holds a counter."""
    return play.job(id, **{"task": "nightly", "state": "waiting", "turn": "close", "deps_left": 1, **columns})


class RunCases(Cases):
    """`Charge`, `by_run`, `late`, `JobQuery.runs`, and how a run is released."""

    # -- counters

    @story
    async def test_a_charge_is_refused_where_so_many_run_or_wait_with_the_counter(self, play: Play) -> None:
        await play.start("j1", turn=None)
        await play.add(_open(play, "r1", holds="c"), _open(play, "r2", holds="c"), _open(play, "r3", holds="other"))
        assert await play.commit(Charge("c", 3), Charge("c", 2), Charge("none", 1), Charge("none", 0)) == [
            Applied(),
            Stale("room"),
            Applied(),
            Stale("room"),
        ]

    @story
    async def test_jobs_that_are_queued_or_have_ended_take_no_room(self, play: Play) -> None:
        await play.add(
            play.job("r1", turn="close", holds="c"),
            play.job("r2", state="retry", holds="c"),
            play.job("r3", state="completed", finished_at=1.0, holds="c"),
        )
        assert await play.commit(Charge("c", 1)) == [Applied()]

    @story
    async def test_of_runs_that_begin_in_one_commit_no_more_go_on_than_may(self, play: Play) -> None:
        await play.add(*(play.job(f"r{n}", task="nightly", turn="expand") for n in range(4)))
        units = []
        for n in range(4):
            row = await play.row(f"r{n}")
            begins = Update(row, {"state": "waiting", "turn": "close", "deps_left": 1, "holds": "c"})
            node = Insert(play.job(f"n{n}", run=row.id, node="n", followers=1))
            units.append(Unit([Charge("c", 2), begins, node, AddEdge(Edge(f"n{n}", row.id, "count"))]))
        committed = await play.store.commit(units)
        assert committed.verdicts == [Applied(), Applied(), Stale("room"), Stale("room")]
        assert sorted(await play.store.jobs([f"n{n}" for n in range(4)])) == ["n0", "n1"]
        assert columns(await play.row("r3"), "state", "turn", "version") == ("queued", "expand", 0)

    @story
    async def test_a_charge_sees_what_was_given_back_before_it_in_the_commit(self, play: Play) -> None:
        await play.add(_open(play, "r1", holds="c", deps_left=0), play.job("r2", turn="expand"))
        r1, r2 = await play.row("r1"), await play.row("r2")
        ends = Unit([Update(r1, {"state": "completed", "finished_at": 1.0}, release="c")])
        begins = Unit([Charge("c", 1), Update(r2, {"state": "waiting", "turn": "close", "holds": "c"})])
        assert (await play.store.commit([begins])).verdicts == [Stale("room")]
        assert (await play.store.commit([ends, begins])).verdicts == [Applied(), Applied()]

    @story
    async def test_a_unit_that_is_stale_or_broken_takes_no_room(self, play: Play) -> None:
        await play.add(play.job("r1", turn="expand"), play.job("r2", turn="expand"))
        r1, r2 = await play.row("r1"), await play.row("r2")
        await play.commit(Update(r1, {"priority": 1}))
        columns = {"state": "waiting", "turn": "close", "holds": "c"}
        stale = Unit([Charge("c", 1), Update(r1, columns)])
        broken = Unit([Charge("c", 1), Update(r2, columns), Insert(play.job("x", state="none"))])
        right = Unit([Charge("c", 1), Update(r2, columns)])
        verdicts = (await play.store.commit([stale, broken, right, right])).verdicts
        assert isinstance(verdicts[1], Broken)
        assert [verdicts[0], *verdicts[2:]] == [Stale("version", [await play.row("r1")]), Applied(), Stale("room")]

    @story
    async def test_a_job_with_a_guard_of_room_alone_changes_nothing(self, play: Play) -> None:
        assert await play.commit(Charge("c", 1), Charge("c", 1)) == [Applied(), Applied()]

    @story
    async def test_a_run_that_waits_for_its_nodes_leaves_no_room_to_a_claim(self, play: Play) -> None:
        await play.arrive(play.session())
        await play.add(_open(play, "r1", holds="c"), play.job("r2", task="nightly", turn="expand"), play.job("j1"))
        offer = play.offer(slots=3, lanes=[FLOW, LANE])
        full = await play.claim(offer, capacity={FLOW: ("c", 1)})
        assert (full.turns, _ids(full.claimed), full.emptied) == ([], ["j1"], [LANE])
        assert _ids((await play.claim(offer, capacity={FLOW: ("c", 2)})).turns) == ["r2"]
        end = Update(await play.row("r1"), {"state": "failed", "finished_at": 1.0}, release="c")
        committed = await play.store.commit([Unit([end])], Claim([offer], ["t"] * 3, {FLOW: ("c", 1)}))
        assert _ids(committed.turns) == ["r2"]

    @story
    async def test_one_counter_is_held_by_jobs_and_runs_alike(self, play: Play) -> None:
        await play.arrive(play.session())
        await play.add(play.job("j1"), play.job("j2"), play.job("j3"))
        await play.claim(play.offer(), capacity={LANE: ("c", 3)})
        await play.add(_open(play, "r1", holds="c"))
        assert await play.commit(Charge("c", 2), Charge("c", 3)) == [Stale("room"), Applied()]
        claimed = (await play.claim(play.offer(slots=3), capacity={LANE: ("c", 3)})).claimed
        assert _ids(claimed) == ["j2"]

    # -- the end of a run

    @story
    async def test_a_run_is_released_ready_and_still_waiting(self, play: Play) -> None:
        await play.arrive(play.session())
        run = _open(play, "r", deps_left=2, run_at=play.store.now() + 5, holds="c")
        nodes = [Insert(play.job(id, followers=1, run="r", node=id)) for id in ("n1", "n2")]
        edges = [AddEdge(Edge(id, "r", "count")) for id in ("n1", "n2")]
        assert await play.together(Insert(run), *nodes, *edges) == Applied()
        n2 = await play.row("n2")
        assert (await play.store.commit([Unit([Release("n1")])])).released == []
        assert await play.store.lanes() == [LANE]
        end = Update(n2, {"state": "skipped", "finished_at": 1.0})
        committed = await play.store.commit([Unit([end, Release("n2")])])
        assert committed.released == [await play.row("r")]
        assert columns(committed.released[0], "state", "turn", "deps_left", "holds") == ("waiting", "close", 0, "c")
        assert await play.store.lanes() == [LANE, FLOW]
        assert await play.commit(Charge("c", 1)) == [Stale("room")]
        committed = await play.claim(play.offer(lanes=[FLOW]))
        assert (_ids(committed.turns), committed.claimed, committed.emptied) == (["r"], [], [])

    @story
    async def test_a_run_that_may_end_has_its_turn_though_it_takes_all_the_room_itself(self, play: Play) -> None:
        await play.arrive(play.session())
        await play.add(_open(play, "r1", holds="c"), play.job("r2", task="nightly", turn="expand", priority=9))
        await play.add(_open(play, "r3", task="load", holds="c", deps_left=2), play.job("n", followers=1, task="clean"))
        await play.commit(AddEdge(Edge("n", "r1", "count")))
        await play.store.commit([Unit([Release("n")])])
        for lanes in ([FLOW], [FLOW, LANE]):
            committed = await play.claim(play.offer(lanes=lanes), capacity={FLOW: ("c", 1), LANE: ("c", 1)})
            assert (committed.turns, committed.claimed) == ([await play.row("r1")], [])
            assert FLOW not in committed.emptied
        assert _ids((await play.claim(play.offer(lanes=[FLOW]), capacity={FLOW: ("c", 4)})).turns) == ["r2", "r1"]
        for capacity in ({FLOW: ("other", 0)}, {OTHER_LANE: ("c", 1)}):
            lanes = [*capacity]
            assert (await play.claim(play.offer(lanes=lanes), capacity=capacity)).turns == []

    @story
    async def test_the_first_nodes_of_a_long_run_are_let_go_when_its_last_page_is_there(self, play: Play) -> None:
        await play.add(play.job("r", turn="expand"), play.job("after", state="waiting", deps_left=1))
        assert await play.commit(AddEdge(Edge("r", "after", "skip"), join=True)) == [Applied()]
        pages: list[list[Job]] = []
        for page in range(2):
            nodes = [_node(play, f"n{page}{n}", run="r", state="waiting", deps_left=1) for n in range(3)]
            pages.append(nodes)
            row = await play.row("r")
            last = page == 1
            turn = {"state": "waiting", "turn": "close"} if last else {"state": "queued"}
            first = Update(row, {"deps_left": 3 * (page + 1), **turn})
            edges = [AddEdge(Edge("r", node.id, "skip"), join=True) for node in nodes]
            let_go = [Release("r", inside=True)] if last else []
            committed = await play.store.commit([Unit([first, *map(Insert, nodes), *edges, *let_go])])
            assert committed.verdicts == [Applied()]
            assert _ids(committed.released) == (["n00", "n01", "n02", "n10", "n11", "n12"] if last else [])
        assert columns(await play.row("r"), "state", "turn", "followers") == ("waiting", "close", 7)
        assert columns(await play.row("n12"), "state", "deps_left") == ("queued", 0)
        assert columns(await play.row("after"), "state", "deps_left") == ("waiting", 1), "it waits for the run's end"
        assert (await play.store.commit([Unit([Release("r", inside=True)])])).released == []
        assert _ids((await play.store.commit([Unit([Release("r")])])).released) == ["after"]

    @story
    async def test_a_node_may_be_stored_as_completed_already(self, play: Play) -> None:
        copied = _node(play, "n1", state="completed", finished_at=play.store.now(), result="7", retry_of="n0")
        skipped = _node(play, "n2", state="skipped", finished_at=play.store.now())
        await play.add(copied, skipped)
        assert columns(await play.row("n1"), "state", "result", "attempt", "retry_of") == ("completed", "7", 0, "n0")
        assert await play.store.totals() == {"completed": 1, "skipped": 1}
        assert await play.store.lanes() == []
        assert await play.commit(AddEdge(Edge("n1", "f"), join=True)) == [Stale("ended", [await play.row("n1")])]

    @story
    async def test_a_claimed_node_says_whose_it_is(self, play: Play) -> None:
        job = await play.start("n1", run="r", node="load it", late_at=play.store.now() + 7)
        assert columns(job, "run", "node", "late_at") == ("r", "load it", play.store.now() + 7)
        assert job == await play.row("n1")

    # -- counting and finding

    @story
    async def test_jobs_are_counted_by_run_and_state_without_the_run_itself(self, play: Play) -> None:
        await play.add(
            _open(play, "r1", run="r1"),
            _node(play, "n1"),
            _node(play, "n2"),
            _node(play, "n3", state="completed", finished_at=1.0),
            _node(play, "n4", run="r2", state="waiting", deps_left=1),
            play.job("j1"),
            play.job("r3", turn="expand"),
        )
        expected = {"r1": {"queued": 2, "completed": 1}, "r2": {"waiting": 1}}
        assert await play.store.by_run(["r1", "r2", "r3", "none", "r1"]) == expected
        assert await play.store.by_run(["r2"]) == {"r2": {"waiting": 1}}
        assert await play.store.by_run([]) == {}

    @story
    async def test_many_runs_are_counted_at_once(self, play: Play) -> None:
        runs = [f"r{n}" for n in range(300)]
        await play.add(*(_node(play, f"n of {run}", run=run) for run in runs))
        assert await play.store.by_run(runs) == {run: {"queued": 1} for run in runs}

    @story
    async def test_runs_are_found_whatever_their_state(self, play: Play) -> None:
        now = play.store.now()
        await play.add(
            play.job("r1", turn="close", state="completed", finished_at=now),
            play.job("r2", turn="expand", task="clean"),
            _open(play, "r3", holds="c"),
            _open(play, "r4", holds=None, turn="expand"),
            play.job("j1"),
            play.job("g1", turn="gather", state="waiting", deps_left=1),
            _node(play, "n1", turn="bind", state="waiting"),
            play.job("r5", turn="close", state="cancelled", finished_at=now, queue="mail"),
        )
        await play.start("j2", task="other")
        for query, expected in (
            (JobQuery(), ["r5", "r4", "r3", "r2", "r1"]),
            (JobQuery(state="waiting"), ["r4", "r3"]),
            (JobQuery(state="completed"), ["r1"]),
            (JobQuery(state="cancelled"), ["r5"]),
            (JobQuery(state="queued"), ["r2"]),
            (JobQuery(state="running"), []),
            (JobQuery(queue="mail"), ["r5"]),
            (JobQuery(queue="etl", task="nightly"), ["r4", "r3"]),
            (JobQuery(queue="etl", task="nightly", state="waiting"), ["r4", "r3"]),
            (JobQuery(run="r1"), []),
            (JobQuery(text="r2"), ["r2"]),
        ):
            page = await play.store.find(msgspec.structs.replace(query, runs=True))
            assert (_ids(page.items), page.next) == (expected, None), query

    @story
    async def test_pages_of_runs_follow_each_other(self, play: Play) -> None:
        for n in range(5):
            await play.add(play.job(f"r{n}", turn="expand"), play.job(f"j{n}"))
        first = await play.store.find(JobQuery(runs=True, limit=2))
        assert _ids(first.items) == ["r4", "r3"]
        second = await play.store.find(JobQuery(runs=True, limit=3, before=first.next))
        assert (_ids(second.items), second.next) == (["r2", "r1", "r0"], None)

    @story
    async def test_the_jobs_of_a_run_are_found_in_any_state(self, play: Play) -> None:
        await play.add(
            _open(play, "r1"),
            _node(play, "n1"),
            _node(play, "n2", state="failed", finished_at=1.0),
            _node(play, "n3", run="r2"),
        )
        assert _ids((await play.store.find(JobQuery(run="r1"))).items) == ["n2", "n1"]
        assert _ids((await play.store.find(JobQuery(run="r1", state="failed"))).items) == ["n2"]
        assert _ids((await play.store.find(JobQuery(run="r1", queue="etl", task="load"))).items) == ["n2", "n1"]
        assert _ids((await play.store.find(JobQuery(run="r1", parent="r1"))).items) == []

    # -- who is late

    @story
    async def test_who_has_not_begun_in_time_is_late_the_earliest_first(self, play: Play) -> None:
        now = play.store.now()
        await play.add(
            play.job("j1", late_at=now - 1),
            play.job("j2", late_at=now),
            play.job("j3", late_at=now + 5),
            play.job("j4"),
            play.job("w1", state="waiting", deps_left=1, late_at=now - 9),
            play.job("r1", state="retry", run_at=now + 60, late_at=now - 5),
            play.job("r2", turn="expand", late_at=now - 3),
            play.job("d1", run_at=now + 60, late_at=now - 4),
        )
        assert _ids(await play.store.late(10)) == ["w1", "r1", "d1", "r2", "j1", "j2"]
        assert _ids(await play.store.late(2)) == ["w1", "r1"]
        play.clock.advance(5)
        assert _ids(await play.store.late(10))[-1] == "j3"

    @story
    async def test_who_runs_or_has_ended_or_waits_for_its_own_jobs_is_not_late(self, play: Play) -> None:
        now = play.store.now()
        await play.start("j1", late_at=now - 1)
        await play.add(
            play.job("j2", state="completed", finished_at=now, late_at=now - 1),
            play.job("j3", state="cancelled", finished_at=now, late_at=now - 1),
            _open(play, "r1", late_at=now - 1),
            play.job("g1", state="waiting", turn="gather", deps_left=1, late_at=now - 1),
        )
        assert await play.store.late(10) == []
        await play.add(play.job("g2", turn="spread", late_at=now - 1), play.job("n1", turn="bind", late_at=now - 1))
        assert _ids(await play.store.late(10)) == ["g2", "n1"]

    @story
    async def test_of_two_who_tell_of_a_late_job_one_does(self, play: Play) -> None:
        await play.add(play.job("j1", late_at=play.store.now() - 1))
        (late,) = await play.store.late(10)
        told = Update(late, {"late_at": -play.store.now() + 1})
        first, second = await play.commit(told, told)
        assert (first, second) == (Applied(), Stale("version", [await play.row("j1")]))
        assert await play.store.late(10) == []
        assert await play.store.late(10, told=True) == [await play.row("j1")]
        await play.arrive(play.session())
        assert _ids((await play.claim(play.offer(lanes=[LANE, OTHER_LANE]))).claimed) == ["j1"]

    @story
    async def test_late_jobs_of_which_somebody_was_told_are_listed_until_they_have_begun(self, play: Play) -> None:
        now = play.store.now()
        await play.start("runs", late_at=1 - now)
        await play.add(
            play.job("second", late_at=8 - now, args="[1]", kwargs='{"a": 1}'),
            play.job("first", state="waiting", deps_left=1, late_at=9 - now),
            play.job("third", run_at=now + 60, late_at=7 - now),
            play.job("nobody was told", late_at=now - 1),
            play.job("has begun", state="retry", failures=1, late_at=9 - now),
            play.job("has crashed", crashes=1, late_at=9 - now),
            play.job("over", state="cancelled", finished_at=now, late_at=9 - now),
            _open(play, "goes on", late_at=9 - now),
        )
        assert _ids(await play.store.late(10)) == ["nobody was told"]
        assert _ids(await play.store.late(10, told=True)) == ["first", "second", "third"]
        (_, second) = await play.store.late(2, told=True)
        assert second == msgspec.structs.replace(await play.row("second"), args="[]", kwargs="{}")

    # -- what is old

    @story
    async def test_the_jobs_of_a_run_are_kept_as_long_as_it_is(self, play: Play) -> None:
        now = play.store.now()
        await play.add(
            _open(play, "r1"),
            play.job("n1", run="r1", node="n", state="completed", finished_at=now),
            play.job("n2", run="gone", node="n", state="failed", finished_at=now),
        )
        play.clock.advance(10)
        assert await play.store.prune(Retention(completed=1, others=1, rows=0, bytes=1), 10) == 1
        assert list(await play.store.jobs(["r1", "n1", "n2"])) == ["r1", "n1"]
        ends = Update(await play.row("r1"), {"state": "failed", "finished_at": now + 10, "deps_left": 0})
        await play.commit(ends)
        assert await play.store.prune(Retention(completed=1, others=11), 10) == 0, "its failed run may be repeated"
        play.clock.advance(1)
        removed = [await play.store.prune(Retention(completed=1, others=1), 10) for _ in range(3)]
        assert (sum(removed), await play.store.totals()) == (2, {})

    @story
    async def test_of_too_many_a_run_goes_before_its_jobs(self, play: Play) -> None:
        ended = {"state": "completed", "finished_at": play.store.now()}
        await play.add(_open(play, "r1", **ended), play.job("r2", **ended))
        await play.add(*(play.job(f"n{n}", run="r1", node=f"n{n}", **ended) for n in range(3)))
        for left in ({"r2", "n0", "n1", "n2"}, {"n0", "n1", "n2"}, {"n1", "n2"}):
            assert await play.store.prune(Retention(rows=len(left)), 10) == 1
            assert set(await play.store.jobs(["r1", "r2", "n0", "n1", "n2"])) == left


def _node(play: Play, id: str, **columns: object) -> Job:
    """A node of the run r1."""
    return play.job(id, **{"run": "r1", "node": id, "relation": "node", **columns})
