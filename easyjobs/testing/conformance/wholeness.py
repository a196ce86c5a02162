"""Commits: units are whole, in order, and harm no neighbour; what was answered is durable."""

from __future__ import annotations

import pytest

from easyjobs.core.changes import (
    AppendLogs,
    Applied,
    Broken,
    FlagCancel,
    Insert,
    NoteProgress,
    Stale,
    Unit,
    Update,
    Write,
)
from easyjobs.core.job import Attempt
from easyjobs.errors import StoreUnavailable
from easyjobs.stores.base import JobQuery
from easyjobs.testing.conformance.story import Cases, Play, columns, story


class WholenessCases(Cases):
    """What holds for all units of a commit together."""

    @story
    async def test_units_see_what_those_before_them_wrote(self, play: Play) -> None:
        job = play.job("j1")
        assert await play.commit(Insert(job), Update(job, {"priority": 1}), Update(job, {"priority": 2})) == [
            Applied(),
            Applied(),
            Stale("version", [await play.row("j1")]),
        ]
        assert columns(await play.row("j1"), "seq", "priority", "version") == (1, 1, 1)
        assert job.seq == 1

    @story
    async def test_a_key_is_free_again_for_the_units_after_the_one_that_freed_it(self, play: Play) -> None:
        running = await play.start("j1", unique_key="u")
        end = Update(running, {"state": "completed"})
        second, third = Insert(play.job("j2", unique_key="u")), Insert(play.job("j3", unique_key="u"))
        verdicts = await play.commit(end, second, third)
        assert verdicts == [Applied(), Applied(), Stale("unique", [await play.row("j2")])]

    @story
    async def test_progress_and_logs_said_before_the_end_are_kept_in_one_commit_with_it(self, play: Play) -> None:
        jobs = [await play.start(f"j{n}") for n in range(3)]
        writes: list[Write] = []
        for job in jobs:
            writes += [
                NoteProgress(job.id, 1, "before"),
                AppendLogs(job.id, [(1, 1.0, "info", "before")]),
                Update(job, {"state": "completed"}),
                AppendLogs(job.id, [(1, 1.0, "info", "after")]),
                NoteProgress(job.id, 1, "too late"),
            ]
        assert await play.commit(*writes) == [Applied()] * 15
        for job in jobs:
            assert columns(await play.row(job.id), "state", "progress") == ("completed", "before")
            assert [line.text for line in await play.store.logs(job.id)] == ["before", "after"]

    @story
    async def test_words_about_a_job_that_is_not_there_yet_are_lost(self, play: Play) -> None:
        await play.arrive(play.session())
        claimed = [play.job(f"j{n}", state="running", session="s1", attempt=1, token="t") for n in range(2)]
        verdicts = await play.commit(
            NoteProgress("j0", 1, "too early"),
            AppendLogs("j1", [(1, 1.0, "info", "too early")]),
            *(Insert(job, 1) for job in claimed),
        )
        assert verdicts == [Applied()] * 4
        assert [job.progress for job in await play.store.running()] == [None] * 2
        assert await play.store.logs("j1") == []

    @story
    async def test_a_cancel_after_the_end_is_stale_and_one_before_it_counts(self, play: Play) -> None:
        first, second = await play.start("j1"), await play.start("j2")
        assert await play.commit(Update(first, {"state": "completed"}), FlagCancel("j1", 1, "ann")) == [
            Applied(),
            Stale("version", [await play.row("j1")]),
        ]
        assert await play.commit(FlagCancel("j2", 1, "ann"), Update(second, {"state": "retry"})) == [
            Applied(),
            Stale("cancel", [await play.row("j2")]),
        ]

    @story
    async def test_progress_after_the_end_is_lost(self, play: Play) -> None:
        job = await play.start("j1")
        assert await play.commit(Update(job, {"state": "completed"}), NoteProgress("j1", 1, "late")) == [Applied()] * 2
        assert (await play.row("j1")).progress is None

    @story
    async def test_a_unit_is_applied_wholly_or_not_at_all(self, play: Play) -> None:
        job = await play.start("j1")
        await play.add(play.job("j2", key="k"))
        before = await play.store.jobs(["j1", "j2"])
        past = Attempt("j1", 1, "w", 1.0, 2.0, "returned")
        verdict = await play.together(
            AppendLogs("j1", [(1, 1.0, "info", "x")]),
            Update(job, {"state": "queued"}, past=past),
            Insert(play.job("j3")),
            Insert(play.job("j4", key="k")),
            Insert(play.job("j5")),
        )
        assert verdict == Stale("key", [before["j2"]])
        assert await play.store.jobs(["j1", "j2", "j3", "j4", "j5"]) == before
        assert await play.store.attempts("j1") == []
        assert await play.store.logs("j1") == []
        assert await play.store.totals() == {"running": 1, "queued": 1}
        assert await play.store.lanes() == [before["j2"].lane]

    @story
    async def test_a_unit_that_stands_in_its_own_way_is_stale_without_a_row(self, play: Play) -> None:
        first, second = play.job("j1", key="k"), play.job("j2", key="k")
        assert await play.together(Insert(first), Insert(second)) == Stale("key")
        assert (first.seq, second.seq) == (0, 0)

    @story
    async def test_stale_units_harm_no_neighbour_in_a_large_batch(self, play: Play) -> None:
        await play.add(*(play.job(f"old{n}") for n in range(5)))
        batch = [play.job(f"old{n // 100}" if n % 100 == 50 else f"new{n}") for n in range(500)]
        verdicts = await play.commit(*(Insert(job) for job in batch))
        stale = [n for n, verdict in enumerate(verdicts) if verdict != Applied()]
        assert stale == [50, 150, 250, 350, 450]
        assert [verdict.why for verdict in verdicts if isinstance(verdict, Stale)] == ["id"] * 5
        assert await play.store.totals() == {"queued": 500}
        assert [job.seq for job in batch if job.id.startswith("new")] == list(range(6, 501))

    @story
    async def test_many_jobs_are_inserted_and_ended_at_once(self, play: Play) -> None:
        await play.arrive(play.session())
        jobs = [play.job(f"j{n:04}", priority=n % 3) for n in range(1_111)]
        await play.add(*jobs)
        claimed = (await play.claim(play.offer(slots=2_000))).claimed
        assert [job.priority for job in claimed] == sorted((job.priority for job in jobs), reverse=True)
        ends = [Update(job, {"state": "completed", "result": f'"{job.id}"'}) for job in claimed]
        assert await play.commit(*ends) == [Applied()] * 1_111
        rows = await play.store.jobs([job.id for job in jobs])
        assert all(row.result == f'"{id}"' and row.attempt == 1 for id, row in rows.items())
        assert await play.store.totals() == {"completed": 1_111}

    @story
    async def test_a_unit_that_cannot_be_written_is_broken_and_harms_no_neighbour(self, play: Play) -> None:
        good = play.job("good")
        await play.add(good)
        verdicts = await play.commit(
            Insert(play.job("j1", args='["\ud800"]')),
            Insert(play.job("j2", state="asleep")),
            Insert(play.job("j3", priority="high")),
            Update(good, {"no_such_column": 1}),
            Update(good, {"seq": 7}),
            Update(good, {"result": {"not": "text"}}),
            AppendLogs("good", [(1, 1.0, "info", "\ud800")]),
            Update(good, {"priority": 5}),
            Insert(play.job("j4")),
        )
        assert [type(verdict) for verdict in verdicts] == [Broken] * 7 + [Applied] * 2
        assert all(verdict.reason for verdict in verdicts if isinstance(verdict, Broken))
        assert (await play.row("good")).priority == 5
        assert await play.store.totals() == {"queued": 2}
        assert await play.store.logs("good") == []

    @story
    async def test_what_a_commit_answered_is_there_after_opening_again(self, play: Play) -> None:
        job = await play.start("j1")
        await play.end(job, result="1")
        await play.add(play.job("j2", run_at=play.store.now() + 60))
        before = await play.store.jobs(["j1", "j2"])
        await play.store.close()
        await play.store.close()
        await play.store.open()
        assert await play.store.jobs(["j1", "j2"]) == before
        assert await play.store.totals() == {"completed": 1, "queued": 1}
        assert await play.store.next_due() == before["j2"].run_at
        third = play.job("j3")
        await play.add(third)
        assert third.seq == 3

    @story
    async def test_a_store_that_is_not_open_cannot_be_reached(self, play: Play) -> None:
        await play.store.close()
        for call in (
            play.store.commit([Unit([Insert(play.job("j1"))])]),
            play.store.promote(1),
            play.store.jobs(["j1"]),
            play.store.pauses(),
        ):
            with pytest.raises(StoreUnavailable):
                await call

    @story
    async def test_rows_that_went_in_or_came_out_are_the_callers_own(self, play: Play) -> None:
        job = play.job("j1")
        await play.add(job)
        job.queue = "mine"
        for row in (await play.row("j1"), (await play.store.find(JobQuery())).items[0]):
            row.state = "failed"
        assert columns(await play.row("j1"), "queue", "state") == ("etl", "queued")

    @story
    async def test_an_empty_commit_is_nothing(self, play: Play) -> None:
        answer = await play.store.commit([])
        assert columns(answer, "verdicts", "claimed", "emptied") == ([], [], [])
