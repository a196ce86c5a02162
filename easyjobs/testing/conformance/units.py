"""Units: what each write does, and its guards."""

from __future__ import annotations

import copy

from easyjobs.core.changes import (
    AppendLogs,
    Applied,
    Delete,
    FlagCancel,
    Insert,
    NoteProgress,
    Stale,
    Update,
)
from easyjobs.core.job import Attempt
from easyjobs.testing.conformance.story import Cases, Play, columns, story


class UnitCases(Cases):
    """What `commit` does with units that are about jobs."""

    # -- new jobs

    @story
    async def test_a_new_job_is_kept_as_it_was_given(self, play: Play) -> None:
        full = play.job(
            "j2",
            signature="ab",
            args="[1]",
            kwargs='{"é": "\\u0000"}',
            state="waiting",
            priority=-3,
            max_attempts=7,
            timeout=1.5,
            deadline=2e9,
            parent="j1",
            retry_of="j0",
            run="r",
            key="k",
            body="b",
            unique_key="u",
            relation="before",
            deps_left=2,
            followers=3,
            schedule="etl:load",
            tick=1e9,
            crashed_at="[1.5]",
        )
        await play.add(play.job("j1"), full)
        assert await play.store.jobs(["j2", "j1", "none"]) == {"j1": play.job("j1", seq=1), "j2": full}

    @story
    async def test_each_new_job_gets_the_next_seq_on_the_callers_object(self, play: Play) -> None:
        jobs = [play.job(f"j{n}") for n in range(5)]
        await play.add(*jobs[:3])
        await play.add(*jobs[3:])
        assert [job.seq for job in jobs] == [1, 2, 3, 4, 5]

    @story
    async def test_a_refused_job_uses_up_no_seq_and_stays_as_it_was(self, play: Play) -> None:
        refused, accepted = play.job("j1"), play.job("j2")
        await play.add(play.job("j1"))
        before = copy.copy(refused)
        await play.commit(Insert(refused), Insert(accepted))
        assert refused == before
        assert accepted.seq == 2

    @story
    async def test_an_id_that_is_taken_is_stale_with_the_row_that_has_it(self, play: Play) -> None:
        await play.add(play.job("j1"))
        (verdict,) = await play.commit(Insert(play.job("j1", task="clean")))
        assert verdict == Stale("id", [await play.row("j1")])
        assert verdict.jobs[0].task == "load"

    @story
    async def test_a_key_that_is_taken_is_stale_even_when_its_job_has_ended(self, play: Play) -> None:
        await play.end(await play.start("j1", key="k"))
        assert await play.commit(Insert(play.job("j2", key="k"))) == [Stale("key", [await play.row("j1")])]
        assert await play.store.jobs(["j2"]) == {}

    @story
    async def test_a_unique_key_is_taken_until_its_job_has_ended(self, play: Play) -> None:
        running = await play.start("j1", unique_key="u")
        assert await play.commit(Insert(play.job("j2", unique_key="u"))) == [Stale("unique", [running])]
        await play.end(running)
        assert await play.commit(Insert(play.job("j2", unique_key="u"))) == [Applied()]

    @story
    async def test_guards_are_tried_in_order_id_key_unique_session(self, play: Play) -> None:
        await play.add(play.job("j1", key="k", unique_key="u"))
        for columns_, why in (
            ({"id": "j1", "key": "k", "unique_key": "u"}, "id"),
            ({"key": "k", "unique_key": "u"}, "key"),
            ({"unique_key": "u"}, "unique"),
            ({}, "session"),
        ):
            job = play.job("j2", state="running", session="nobody", attempt=1)
            for name, value in columns_.items():
                setattr(job, name, value)
            (verdict,) = await play.commit(Insert(job, epoch=1))
            assert isinstance(verdict, Stale)
            assert verdict.why == why

    @story
    async def test_a_job_may_come_claimed_by_a_live_session_of_that_epoch(self, play: Play) -> None:
        await play.arrive(play.session("s1", epoch=4))
        claimed = play.job(
            "j1",
            state="running",
            attempt=1,
            version=1,
            token="t",
            session="s1",
            worker="w",
            started_at=play.store.now(),
        )
        assert await play.commit(Insert(copy.copy(claimed), epoch=3)) == [Stale("session")]
        assert await play.commit(Insert(copy.copy(claimed), epoch=5)) == [Stale("session")]
        assert await play.commit(Insert(claimed, epoch=4)) == [Applied()]
        assert await play.store.running() == [claimed]

    # -- changes

    @story
    async def test_an_update_sets_its_columns_and_raises_the_version(self, play: Play) -> None:
        job = await play.start("j1")
        before = copy.copy(job)
        assert await play.commit(Update(job, {"state": "completed", "result": "1", "finished_at": 5.0})) == [Applied()]
        assert job == before, "the caller's object is his"
        row = await play.row("j1")
        assert columns(row, "state", "result", "finished_at", "version") == ("completed", "1", 5.0, job.version + 1)
        assert columns(row, "token", "session", "attempt") == columns(job, "token", "session", "attempt")

    @story
    async def test_an_update_without_columns_raises_the_version(self, play: Play) -> None:
        job = await play.start("j1")
        assert await play.commit(Update(job, {})) == [Applied()]
        assert (await play.row("j1")).version == job.version + 1

    @story
    async def test_an_update_of_an_older_version_is_stale_with_the_row(self, play: Play) -> None:
        job = await play.start("j1")
        await play.end(job, result="1")
        assert await play.commit(Update(job, {"state": "failed"})) == [Stale("version", [await play.row("j1")])]
        assert (await play.row("j1")).state == "completed"

    @story
    async def test_an_update_of_a_job_that_is_gone_is_stale_without_a_row(self, play: Play) -> None:
        assert await play.commit(Update(play.job("j1"), {"priority": 1})) == [Stale("version")]

    @story
    async def test_an_update_of_a_deleted_job_does_not_reach_another_of_its_id(self, play: Play) -> None:
        first, second = play.job("j1"), play.job("j1", task="clean")
        await play.add(first)
        assert await play.commit(Delete(first)) == [Applied()]
        await play.add(second)
        assert await play.commit(Update(first, {"priority": 1})) == [Stale("version", [second])]
        assert await play.commit(Delete(first)) == [Stale("version", [second])]

    @story
    async def test_an_outcome_that_did_not_see_the_cancel_is_stale_unless_it_is_completed(self, play: Play) -> None:
        for number, (state, verdict) in enumerate(
            (
                ("completed", "applied"),
                ("failed", "cancel"),
                ("retry", "cancel"),
                ("queued", "cancel"),
                ("cancelled", "cancel"),
            )
        ):
            job = await play.start(f"j{number}")
            await play.commit(FlagCancel(job.id, job.attempt, "ann"))
            (answer,) = await play.commit(Update(job, {"state": state}))
            if verdict == "applied":
                assert answer == Applied()
            else:
                assert answer == Stale("cancel", [await play.row(job.id)])
                assert (await play.row(job.id)).cancel == "ann"

    @story
    async def test_an_outcome_that_saw_the_cancel_is_applied(self, play: Play) -> None:
        job = await play.start("j1")
        await play.commit(FlagCancel("j1", 1, "ann"))
        seen = await play.row("j1")
        assert seen.version == job.version
        assert await play.commit(Update(seen, {"state": "cancelled"})) == [Applied()]

    @story
    async def test_a_past_attempt_is_kept(self, play: Play) -> None:
        job = await play.start("j1")
        first = Attempt("j1", 1, "w", 1.0, 2.0, "crashed", '{"type":"WorkerDied"}')
        assert await play.commit(Update(job, {"state": "queued"}, past=first)) == [Applied()]
        (job,) = (await play.claim(play.offer())).claimed
        second = Attempt("j1", 2, None, None, 4.0, "returned")
        assert await play.commit(Update(job, {"state": "queued"}, past=second)) == [Applied()]
        assert await play.store.attempts("j1") == [first, second]
        assert await play.store.attempts("none") == []

    @story
    async def test_a_deleted_job_is_gone_with_its_attempts_and_logs(self, play: Play) -> None:
        job = await play.start("j1")
        await play.commit(AppendLogs("j1", [(1, 1.0, "info", "x")]))
        past = Attempt("j1", 1, "w", 1.0, 2.0, "returned")
        await play.commit(Update(job, {"state": "queued"}, past=past))
        assert await play.commit(Delete(job)) == [Stale("version", [await play.row("j1")])]
        assert await play.commit(Delete(await play.row("j1"))) == [Applied()]
        assert await play.store.jobs(["j1"]) == {}
        assert await play.store.attempts("j1") == []
        assert await play.store.logs("j1") == []
        assert await play.store.totals() == {}
        assert await play.commit(Delete(job)) == [Stale("version")]

    @story
    async def test_a_new_job_never_gets_the_seq_of_a_deleted_one(self, play: Play) -> None:
        job = play.job("j1")
        await play.add(job)
        await play.commit(Delete(job))
        await play.store.close()
        await play.store.open()
        again = play.job("j1")
        await play.add(again)
        assert again.seq == 2
        assert await play.store.logs("j1") == []

    # -- words that raise no version

    @story
    async def test_a_cancel_is_noted_only_on_the_attempt_that_runs(self, play: Play) -> None:
        job = await play.start("j1")
        await play.add(play.job("j2"))
        assert await play.commit(FlagCancel("j1", 2, "ann")) == [Stale("version", [job])]
        assert await play.commit(FlagCancel("j2", 0, "ann")) == [Stale("version", [await play.row("j2")])]
        assert await play.commit(FlagCancel("none", 0, "ann")) == [Stale("version")]
        assert await play.commit(FlagCancel("j1", 1, "ann")) == [Applied()]
        assert columns(await play.row("j1"), "cancel", "version") == ("ann", job.version)

    @story
    async def test_progress_shows_on_the_attempt_that_runs_and_nowhere_else(self, play: Play) -> None:
        job = await play.start("j1")
        await play.add(play.job("j2"))
        notes = [NoteProgress("j1", 2, "no"), NoteProgress("j2", 0, "no"), NoteProgress("none", 1, "no")]
        assert await play.commit(NoteProgress("j1", 1, '{"value":0.5}'), *notes) == [Applied()] * 4
        assert columns(await play.row("j1"), "progress", "version") == ('{"value":0.5}', job.version)
        assert (await play.row("j2")).progress is None

    @story
    async def test_log_lines_are_numbered_on_and_on(self, play: Play) -> None:
        await play.add(play.job("j1"), play.job("j2"))
        await play.commit(AppendLogs("j1", [(1, 1.0, "info", "a"), (1, 2.0, "error", "b")]), AppendLogs("none", []))
        await play.commit(
            AppendLogs("j1", [(2, 3.0, "info", "c")]),
            AppendLogs("j2", [(1, 3.0, "info", "x")]),
            AppendLogs("j1", [(2, 4.0, "info", "d")]),
            AppendLogs("none", [(1, 3.0, "info", "lost")]),
        )
        lines = await play.store.logs("j1")
        assert [columns(line, "n", "attempt", "at", "level", "text") for line in lines] == [
            (1, 1, 1.0, "info", "a"),
            (2, 1, 2.0, "error", "b"),
            (3, 2, 3.0, "info", "c"),
            (4, 2, 4.0, "info", "d"),
        ]
        assert [line.n for line in await play.store.logs("j1", after=1, limit=2)] == [2, 3]
        assert [line.n for line in await play.store.logs("j2")] == [1]
        assert await play.store.logs("none") == []
