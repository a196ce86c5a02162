"""Sessions, tasks and pauses."""

from __future__ import annotations

from easyjobs.core.changes import (
    Applied,
    DropPause,
    Insert,
    LoseSession,
    PutPause,
    PutSession,
    PutTask,
    Renew,
    Stale,
    Unit,
)
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import Options, TaskSpec
from easyjobs.stores.base import KnownTask, Pause
from easyjobs.testing.conformance.story import Cases, Play, columns, story


class SessionCases(Cases):
    """What `commit` does with units that are about workers and tasks."""

    @story
    async def test_a_session_is_kept_as_it_was_given(self, play: Play) -> None:
        full = play.session(
            "s1", epoch=3, queues='["a","b"]', slots=9, embedded="m", pid=77, version="1.2", name="ü", host="h"
        )
        full.life, full.hellos, full.opened_at = "x", 2**53, 1_700_000_000.123456
        await play.arrive(full, play.session("s0"))
        assert await play.store.sessions() == [play.session("s0"), full]

    @story
    async def test_a_session_is_welcomed_again_only_with_the_next_epoch(self, play: Play) -> None:
        await play.arrive(play.session("s1", epoch=1))
        again = play.session("s1", epoch=2, name="renamed", expires_at=9e9, life="y", hellos=1)
        assert await play.commit(PutSession(play.session("s1", epoch=1))) == [Stale("session")]
        assert await play.commit(PutSession(play.session("s1", epoch=3))) == [Stale("session")]
        assert await play.commit(PutSession(again)) == [Applied()]
        assert await play.store.sessions() == [again]

    @story
    async def test_a_lease_is_moved_only_by_the_session_of_that_epoch(self, play: Play) -> None:
        await play.arrive(play.session("s1", epoch=2))
        verdicts = await play.commit(Renew("s1", 1, 5.0), Renew("s1", 2, 7.0), Renew("s2", 1, 5.0))
        assert verdicts == [Stale("session"), Applied(), Stale("session")]
        assert [session.expires_at for session in await play.store.sessions()] == [7.0]

    @story
    async def test_what_a_worker_offers_is_kept_with_its_lease(self, play: Play) -> None:
        await play.arrive(play.session("s1"))
        await play.commit(Renew("s1", 1, 5.0, '[["q","t","s"]]'), Renew("s1", 1, 7.0))
        (session,) = await play.store.sessions()
        assert columns(session, "offers", "expires_at") == ('[["q","t","s"]]', 7.0)

    @story
    async def test_a_session_whose_lease_was_moved_has_not_expired(self, play: Play) -> None:
        await play.arrive(play.session("s1", expires_at=5.0))
        verdicts = await play.commit(
            Renew("s1", 1, 8.0), LoseSession("s1", 1, 9.0, expires_by=7.0), LoseSession("s1", 1, 9.0, expires_by=8.0)
        )
        assert verdicts == [Applied(), Stale("session"), Applied()]

    @story
    async def test_whoever_was_never_there_is_not_missed(self, play: Play) -> None:
        await play.arrive(play.session("s1", embedded="m", manager="m"))
        assert await play.store.away({"m", "nobody"}) == set()
        assert await play.store.away(set()) == set()

    @story
    async def test_one_leads_until_its_time_is_over_or_it_gives_up(self, play: Play) -> None:
        first = await play.store.lead("m1", 1000.0)
        assert first is not None
        assert await play.store.lead("m2", 1000.0) is None
        assert await play.store.lead("m1", 1000.0) == first
        assert await play.store.lead("m1", 0.0) == first
        assert await play.store.lead("m2", 1000.0) == first + 1
        assert await play.store.lead("m1", 1000.0) is None

    @story
    async def test_lost_is_final(self, play: Play) -> None:
        await play.arrive(play.session("s1", epoch=2))
        assert await play.commit(LoseSession("s1", 1, 5.0)) == [Stale("session")]
        assert await play.commit(LoseSession("s1", 2, 5.0)) == [Applied()]
        verdicts = await play.commit(
            LoseSession("s1", 2, 6.0),
            LoseSession("s1", None, 6.0),
            Renew("s1", 2, 9.0),
            PutSession(play.session("s1", epoch=3)),
        )
        assert verdicts == [Stale("session")] * 4
        assert await play.store.sessions() == []
        assert [columns(s, "state", "ended_at") for s in await play.store.sessions(lost_since=5.0)] == [("lost", 5.0)]

    @story
    async def test_a_session_of_any_epoch_can_be_lost(self, play: Play) -> None:
        await play.arrive(play.session("s1", epoch=8))
        assert await play.commit(LoseSession("s1", None, 5.0), LoseSession("none", None, 5.0)) == [
            Applied(),
            Stale("session"),
        ]

    @story
    async def test_lost_sessions_are_shown_from_a_moment_on(self, play: Play) -> None:
        await play.arrive(*(play.session(f"s{n}") for n in range(4)))
        await play.commit(LoseSession("s1", 1, 10.0), LoseSession("s2", 1, 20.0))
        assert [session.id for session in await play.store.sessions()] == ["s0", "s3"]
        assert [session.id for session in await play.store.sessions(lost_since=20.0)] == ["s0", "s2", "s3"]
        assert [session.id for session in await play.store.sessions(lost_since=0.0)] == ["s0", "s1", "s2", "s3"]

    @story
    async def test_sessions_and_claimed_jobs_in_one_commit_go_in_order(self, play: Play) -> None:
        def claimed(id: str) -> Insert:
            return Insert(play.job(id, state="running", session="s1", attempt=1, token="t"), epoch=1)

        verdicts = await play.commit(
            claimed("too early"),
            PutSession(play.session("s1")),
            claimed("j1"),
            LoseSession("s1", 1, 5.0),
            claimed("late"),
        )
        assert verdicts == [Stale("session"), Applied(), Applied(), Applied(), Stale("session")]
        assert [job.id for job in await play.store.running()] == ["j1"]

    @story
    async def test_a_session_that_comes_later_in_the_commit_is_too_late(self, play: Play) -> None:
        early = Insert(play.job("j1", state="running", session="s1", attempt=1, token="t"), epoch=1)
        assert await play.commit(early, PutSession(play.session("s1"))) == [Stale("session"), Applied()]
        assert await play.store.jobs(["j1"]) == {}

    @story
    async def test_a_session_of_a_unit_that_was_refused_was_never_there(self, play: Play) -> None:
        def claimed(id: str) -> Insert:
            return Insert(play.job(id, state="running", session="s1", attempt=1, token="t"), epoch=1)

        await play.add(play.job("taken"))
        refused = Unit([PutSession(play.session("s1")), claimed("j1"), Insert(play.job("taken"))])
        first, second = (await play.store.commit([refused, Unit([claimed("j2")])])).verdicts
        assert first == Stale("id", [await play.row("taken")])
        assert second == Stale("session")
        assert await play.store.sessions() == []
        assert await play.store.totals() == {"queued": 1}

    @story
    async def test_tasks_are_kept_a_row_for_each_signature(self, play: Play) -> None:
        one = TaskSpec("etl", "load", Signature())
        two = TaskSpec(
            "etl",
            "load",
            Signature(
                (Parameter("n", {"type": "integer"}, required=False, default=3), Parameter("rest", kind="args")),
                defs={"d": {}},
                returns={"type": "null"},
            ),
            Options(retries=3, unique=("n",), no_retry_on=("KeyError",), timeout=1.5),
            doc="what it does",
            kind="thread",
            meta={"a": [1]},
        )
        other = TaskSpec("a", "load", Signature())
        assert await play.commit(PutTask(two, 1.0), PutTask(one, 1.0), PutTask(other, 1.0)) == [Applied()] * 3
        newer = TaskSpec("etl", "load", Signature(), doc="newer")
        assert await play.commit(PutTask(newer, 2.0)) == [Applied()]
        by_signature = sorted([KnownTask(two, 1.0), KnownTask(newer, 2.0)], key=lambda known: known.spec.signature.hash)
        assert await play.store.tasks() == [KnownTask(other, 1.0), *by_signature]

    @story
    async def test_a_pause_stands_as_first_made_until_it_is_dropped(self, play: Play) -> None:
        pause = PutPause("queue", "etl", "ann", 1.0)
        await play.commit(pause, PutPause("queue", "etl", "bob", 2.0), PutPause("task", "etl:load", "bob", 2.0))
        assert await play.store.pauses() == [Pause("queue", "etl", "ann", 1.0), Pause("task", "etl:load", "bob", 2.0)]
        await play.commit(DropPause("queue", "etl"), DropPause("queue", "etl"), DropPause("worker", "none"))
        assert await play.store.pauses() == [Pause("task", "etl:load", "bob", 2.0)]
