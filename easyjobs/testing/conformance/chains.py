"""Chains: what waits for what, and what the end of a prerequisite does."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from easyjobs.core.changes import (
    AddEdge,
    Applied,
    Broken,
    Claim,
    Delete,
    FlagCancel,
    Insert,
    NoteProgress,
    Release,
    Stale,
    Unit,
    Update,
    Write,
)
from easyjobs.core.job import Edge, Job
from easyjobs.stores.base import Retention
from easyjobs.testing.conformance.story import LANE, Cases, Play, columns, story


def _unit_of(follower: Job, *first: Job) -> Unit:
    """`follower` waits for jobs that come with it."""
    follower.state, follower.deps_left = "waiting", len(first)
    edges = [AddEdge(Edge(job.id, follower.id)) for job in first]
    for job in first:
        job.followers += 1
    return Unit([Insert(follower), *(Insert(job) for job in first), *edges])


def _completion(job: Job, *more: Write) -> Unit:
    return Unit([Update(job, {"state": "completed", "finished_at": 1.0}), Release(job.id), *more])


async def _chained(play: Play, follower: str, *first: str) -> None:
    """Jobs, one of which waits for the others."""
    unit = _unit_of(play.job(follower), *(play.job(id) for id in first))
    assert (await play.store.commit([unit])).verdicts == [Applied()]


async def _ids_of_followers(play: Play, *ids: str) -> dict[str, list[str]]:
    return {id: [job.id for _, job in pairs] for id, pairs in (await play.store.followers(ids)).items()}


async def _complete(play: Play, *ids: str) -> list[Job]:
    """End jobs, which need not run for that, in one commit, each in its own unit; who was queued by that."""
    rows: Sequence[Job] = [await play.row(id) for id in ids]
    committed = await play.store.commit([_completion(row) for row in rows])
    assert committed.verdicts == [Applied()] * len(ids)
    return committed.released


class ChainCases(Cases):
    """What `commit` does with edges, and what can be asked about them."""

    @story
    async def test_a_follower_waits_until_its_last_prerequisite_has_completed(self, play: Play) -> None:
        await _chained(play, "f", "p1", "p2")
        assert await play.store.lanes() == [LANE]
        assert await _complete(play, "p1") == []
        assert columns(await play.row("f"), "state", "deps_left", "version") == ("waiting", 1, 1)
        released = await _complete(play, "p2")
        assert released == [await play.row("f")]
        assert columns(released[0], "state", "deps_left", "version", "seq") == ("queued", 0, 2, 1)
        assert await play.store.lanes() == [LANE]
        assert await play.store.totals() == {"completed": 2, "queued": 1}

    @story
    async def test_a_follower_of_two_that_complete_in_one_commit_is_counted_twice_and_queued_once(
        self, play: Play
    ) -> None:
        await _chained(play, "f", "p1", "p2")
        released = await _complete(play, "p1", "p2")
        assert [columns(job, "id", "state", "deps_left", "version") for job in released] == [("f", "queued", 0, 2)]

    @story
    async def test_all_followers_of_one_are_queued_oldest_first(self, play: Play) -> None:
        await play.add(play.job("p", followers=3))
        for id in ("f2", "f3", "f1"):
            follower = Insert(play.job(id, state="waiting", deps_left=1))
            assert await play.together(follower, AddEdge(Edge("p", id))) == Applied()
        assert await _ids_of_followers(play, "p", "f1", "none") == {"p": ["f2", "f3", "f1"]}
        assert [job.id for job in await _complete(play, "p")] == ["f2", "f3", "f1"]
        assert await _ids_of_followers(play, "p") == {}

    @story
    async def test_an_edge_is_counted_once(self, play: Play) -> None:
        await _chained(play, "f", "p1", "p2")
        await _complete(play, "p1")
        committed = await play.store.commit([Unit([Release("p1")]), Unit([Release("p1"), Release("p1")])])
        assert columns(committed, "verdicts", "released") == ([Applied()] * 2, [])
        assert columns(await play.row("f"), "state", "deps_left", "version") == ("waiting", 1, 1)

    @story
    async def test_a_released_follower_whose_time_has_not_come_is_not_ready(self, play: Play) -> None:
        later = play.store.now() + 5
        unit = _unit_of(play.job("f", run_at=later, task="clean"), play.job("p"))
        await play.store.commit([unit])
        assert [job.id for job in await _complete(play, "p")] == ["f"]
        assert (await play.store.lanes(), await play.store.next_due()) == ([], later)

    @story
    async def test_a_follower_that_no_longer_waits_is_counted_and_left_alone(self, play: Play) -> None:
        await _chained(play, "f", "p")
        await play.commit(Update(await play.row("f"), {"state": "cancelled"}))
        assert await _complete(play, "p") == []
        assert columns(await play.row("f"), "state", "deps_left", "version") == ("cancelled", 0, 2)

    @story
    async def test_a_release_of_nobody_is_nothing(self, play: Play) -> None:
        await play.add(play.job("p"))
        assert await play.commit(Release("p"), Release("none")) == [Applied()] * 2

    @story
    async def test_the_claim_of_the_same_commit_may_take_what_was_released(self, play: Play) -> None:
        await play.arrive(play.session())
        await _chained(play, "f", "p")
        (running,) = (await play.claim(play.offer())).claimed
        committed = await play.store.commit([_completion(running)], Claim([play.offer()], ["t9"]))
        assert [columns(job, "id", "state", "version") for job in committed.released] == [("f", "queued", 1)]
        assert [columns(job, "id", "state", "version") for job in committed.claimed] == [("f", "running", 2)]

    @story
    async def test_a_stale_completion_releases_nobody(self, play: Play) -> None:
        await _chained(play, "f", "p")
        old = await play.row("p")
        await play.commit(Update(old, {"priority": 1}))
        committed = await play.store.commit([_completion(old)])
        assert columns(committed, "verdicts", "released") == ([Stale("version", [await play.row("p")])], [])
        assert await _ids_of_followers(play, "p") == {"p": ["f"]}

    @story
    async def test_units_around_a_stale_one_release_all_the_same(self, play: Play) -> None:
        for n in range(3):
            await _chained(play, f"f{n}", f"p{n}")
        rows = [await play.row(f"p{n}") for n in range(3)]
        await play.commit(Update(rows[1], {"priority": 1}))
        committed = await play.store.commit([_completion(row) for row in rows])
        assert [type(verdict) for verdict in committed.verdicts] == [Applied, Stale, Applied]
        assert [job.id for job in committed.released] == ["f0", "f2"]
        assert await play.store.counts() == [("etl", "load", "queued", 3), ("etl", "load", "waiting", 1)]

    # -- joining a job that is there

    @story
    async def test_who_joins_a_live_job_raises_its_version(self, play: Play) -> None:
        running = await play.start("p")
        waiting = Insert(play.job("f", state="waiting", deps_left=1))
        assert await play.together(waiting, AddEdge(Edge("p", "f"), join=True)) == Applied()
        now = await play.row("p")
        assert columns(now, "followers", "version") == (1, running.version + 1)
        assert await play.commit(Update(running, {"state": "completed"})) == [Stale("version", [now])]
        assert [job.id for job in (await play.store.commit([_completion(now)])).released] == ["f"]

    @story
    async def test_many_may_join_one_job_in_one_commit(self, play: Play) -> None:
        await play.add(play.job("p"))
        units = [
            Unit([Insert(play.job(f"f{n}", state="waiting", deps_left=1)), AddEdge(Edge("p", f"f{n}"), join=True)])
            for n in range(300)
        ]
        assert (await play.store.commit(units)).verdicts == [Applied()] * 300
        assert columns(await play.row("p"), "followers", "version") == (300, 300)
        assert [job.id for job in await _complete(play, "p")] == [f"f{n}" for n in range(300)]

    @story
    async def test_a_job_that_has_ended_or_is_gone_cannot_be_joined(self, play: Play) -> None:
        await play.end(await play.start("p"))
        waiting = play.job("f", state="waiting", deps_left=1)
        ended = await play.together(Insert(copy.copy(waiting)), AddEdge(Edge("p", "f"), join=True))
        assert ended == Stale("ended", [await play.row("p")])
        gone = await play.together(Insert(copy.copy(waiting)), AddEdge(Edge("none", "f"), join=True))
        assert gone == Stale("ended")
        assert await play.store.jobs(["f"]) == {}
        assert await play.store.edges(["f"]) == []

    @story
    async def test_an_end_and_a_join_in_one_commit_go_as_they_come(self, play: Play) -> None:
        for id, first in (("p1", "join"), ("p2", "end")):
            row = await play.start(id)
            join = Unit([Insert(play.job(f"f {id}", state="waiting")), AddEdge(Edge(id, f"f {id}"), join=True)])
            units = [join, _completion(row)]
            committed = await play.store.commit(units if first == "join" else units[::-1])
            assert [getattr(verdict, "why", "applied") for verdict in committed.verdicts] == (
                ["applied", "version"] if first == "join" else ["applied", "ended"]
            )

    @story
    async def test_between_two_jobs_there_is_one_edge(self, play: Play) -> None:
        await _chained(play, "f", "p")
        verdicts = await play.commit(AddEdge(Edge("p", "f", "skip"), join=True), AddEdge(Edge("p", "f")))
        assert [type(verdict) for verdict in verdicts] == [Broken] * 2
        assert (await play.row("p")).followers == 1
        assert await play.store.edges(["f"]) == [Edge("p", "f")]

    # -- the order of a commit

    @story
    async def test_a_follower_changed_after_its_release_was_decided_on_an_older_row(self, play: Play) -> None:
        await _chained(play, "f", "p")
        row, follower = await play.row("p"), await play.row("f")
        cancel = Unit([Update(follower, {"state": "cancelled"})])
        committed = await play.store.commit([_completion(row), cancel])
        assert committed.verdicts == [Applied(), Stale("version", [await play.row("f")])]
        assert (await play.row("f")).state == "queued"

    @story
    async def test_a_follower_deleted_after_its_release_was_decided_on_an_older_row(self, play: Play) -> None:
        await _chained(play, "f", "p")
        row, follower = await play.row("p"), await play.row("f")
        committed = await play.store.commit([_completion(row), Unit([Delete(follower)])])
        assert committed.verdicts == [Applied(), Stale("version", [await play.row("f")])]
        assert [job.id for job in committed.released] == ["f"]

    @story
    async def test_a_follower_changed_before_its_release_is_released_as_it_is_then(self, play: Play) -> None:
        await _chained(play, "f", "p")
        row, follower = await play.row("p"), await play.row("f")
        cancel = Unit([Update(follower, {"state": "cancelled"})])
        committed = await play.store.commit([cancel, _completion(row)])
        assert columns(committed, "verdicts", "released") == ([Applied()] * 2, [])
        assert columns(await play.row("f"), "state", "deps_left") == ("cancelled", 0)

    @story
    async def test_what_is_told_of_the_released_is_how_the_last_unit_left_them(self, play: Play) -> None:
        await _chained(play, "f1", "p1")
        await _chained(play, "f2", "p2")
        rows = await play.store.jobs(["f1", "f2", "p1", "p2"])
        f1, f2 = (copy.copy(rows[id]) for id in ("f1", "f2"))
        f1.version = f2.version = 1
        committed = await play.store.commit(
            [
                _completion(rows["p1"]),
                _completion(rows["p2"]),
                Unit([Update(f1, {"priority": 7})]),
                Unit([Delete(f2)]),
            ]
        )
        assert committed.verdicts == [Applied()] * 4
        assert committed.released == [await play.row("f1")]
        assert committed.released[0].priority == 7

    @story
    async def test_an_edge_added_after_the_release_waits_on(self, play: Play) -> None:
        await play.add(play.job("p"), play.job("f1", state="waiting"), play.job("f2", state="waiting", deps_left=1))
        verdicts = await play.commit(Release("p"), AddEdge(Edge("p", "f2")), AddEdge(Edge("p", "f1"), join=True))
        assert verdicts == [Applied()] * 3
        assert await _ids_of_followers(play, "p") == {"p": ["f1", "f2"]}
        assert await play.commit(AddEdge(Edge("f2", "f1")), Release("f2"), Release("p")) == [Applied()] * 3
        assert columns(await play.row("f1"), "state", "deps_left", "version") == ("waiting", -2, 2)
        assert columns(await play.row("f2"), "state", "deps_left", "version") == ("queued", 0, 1)

    @story
    async def test_a_chain_goes_on_in_one_commit(self, play: Play) -> None:
        await play.add(play.job("a", followers=1))
        for first, then in (("a", "b"), ("b", "c")):
            link = play.job(then, state="waiting", deps_left=1, followers=1)
            assert await play.together(Insert(link), AddEdge(Edge(first, then))) == Applied()
        b = await play.row("b")
        b.version = 1
        committed = await play.store.commit([_completion(await play.row("a")), _completion(b)])
        assert committed.verdicts == [Applied()] * 2
        assert [columns(job, "id", "state") for job in committed.released] == [("b", "completed"), ("c", "queued")]

    @story
    async def test_words_about_followers_go_with_their_release(self, play: Play) -> None:
        await _chained(play, "f", "p")
        row = await play.row("p")
        committed = await play.store.commit(
            [_completion(row), Unit([NoteProgress("f", 0, "no")]), Unit([FlagCancel("f", 0, "ann")])]
        )
        assert committed.verdicts == [Applied(), Applied(), Stale("version", [await play.row("f")])]
        assert columns(await play.row("f"), "state", "progress", "cancel") == ("queued", None, None)

    @story
    async def test_a_thousand_chains_begin_and_go_on_at_once(self, play: Play) -> None:
        units = [_unit_of(play.job(f"f{n}"), play.job(f"p{n}")) for n in range(1_000)]
        assert (await play.store.commit(units)).verdicts == [Applied()] * 1_000
        firsts = await play.store.jobs([f"p{n}" for n in range(1_000)])
        ends = [
            _completion(row, Insert(play.job(f"after {id}", parent=id, relation="after"))) for id, row in firsts.items()
        ]
        committed = await play.store.commit(ends)
        assert committed.verdicts == [Applied()] * 1_000
        assert [job.id for job in committed.released] == [f"f{n}" for n in range(1_000)]
        assert await play.store.totals() == {"completed": 1_000, "queued": 2_000}

    # -- reads, and what goes with a job

    @story
    async def test_edges_say_what_jobs_waited_for_counted_or_not(self, play: Play) -> None:
        await _chained(play, "f", "p2", "p1")
        await play.commit(AddEdge(Edge("p1", "g", "skip")))
        await _complete(play, "p1")
        assert await play.store.edges(["g", "f", "p1", "g"]) == [
            Edge("p1", "f"),
            Edge("p2", "f"),
            Edge("p1", "g", "skip"),
        ]
        assert await play.store.followers(["p1", "p2", "p2"]) == {"p2": [(Edge("p2", "f"), await play.row("f"))]}
        assert (await play.store.edges([]), await play.store.followers([])) == ([], {})

    @story
    async def test_who_counts_ends_is_a_follower_before_it_waits(self, play: Play) -> None:
        await play.add(
            play.job("m", followers=2), play.job("group", turn="spread", deps_left=1), play.job("n", turn="bind")
        )
        edges = [Edge("m", "group", "count"), Edge("m", "n", "skip")]
        assert await play.commit(*map(AddEdge, edges)) == [Applied()] * 2
        assert await play.store.followers(["m"]) == {"m": [(edges[0], await play.row("group"))]}
        assert await play.commit(Update(await play.row("group"), {"state": "cancelled"})) == [Applied()]
        assert await play.store.followers(["m"]) == {}

    @story
    async def test_edges_go_with_their_follower_and_stay_without_their_prerequisite(self, play: Play) -> None:
        await _chained(play, "f1", "p1")
        await _chained(play, "f2", "p2")
        await play.commit(Delete(await play.row("f1")), Delete(await play.row("p2")))
        assert await play.store.edges(["f1", "f2"]) == [Edge("p2", "f2")]
        assert await _complete(play, "p1") == []
        await play.commit(Update(await play.row("f2"), {"state": "failed", "finished_at": play.store.now()}))
        play.clock.advance(5)
        assert await play.store.prune(Retention(1e12, 5), 10) == 1
        assert await play.store.edges(["f2"]) == []

    @story
    async def test_an_edge_of_one_job_is_not_that_of_the_next_of_its_id(self, play: Play) -> None:
        await _chained(play, "f", "p")
        row = await play.row("f")
        verdicts = await play.commit(
            Delete(row), Insert(play.job("f", state="waiting", deps_left=1)), AddEdge(Edge("p", "f", "skip"), join=True)
        )
        assert verdicts == [Applied()] * 3
        assert await play.store.edges(["f"]) == [Edge("p", "f", "skip")]
