"""Lists, pages and counts."""

from __future__ import annotations

from typing import Any

import msgspec

from easyjobs.core.changes import FlagCancel, Update
from easyjobs.core.job import Lane
from easyjobs.core.states import STATES
from easyjobs.stores.base import Count, JobQuery
from easyjobs.testing.conformance.story import LANE, Cases, Play, story


async def _ids(play: Play, **query: Any) -> list[str]:
    page = await play.store.find(JobQuery(**query))
    return [job.id for job in page.items]


class ReadCases(Cases):
    """What can be asked of a store."""

    @story
    async def test_pages_go_from_new_to_old(self, play: Play) -> None:
        await play.add(*(play.job(f"j{n}") for n in range(5)))
        pages, before = [], None
        while True:
            page = await play.store.find(JobQuery(limit=2, before=before))
            pages.append([job.id for job in page.items])
            before = page.next
            if before is None:
                break
        assert pages == [["j4", "j3"], ["j2", "j1"], ["j0"]]
        assert await _ids(play, limit=5) == ["j4", "j3", "j2", "j1", "j0"]
        assert (await play.store.find(JobQuery(limit=5))).next is None
        assert await _ids(play, before=1) == []

    @story
    async def test_new_jobs_do_not_move_the_pages_that_follow(self, play: Play) -> None:
        await play.add(*(play.job(f"j{n}") for n in range(4)))
        first = await play.store.find(JobQuery(limit=2))
        await play.add(play.job("new"))
        assert await _ids(play, before=first.next) == ["j1", "j0"]

    @story
    async def test_a_page_has_whole_rows(self, play: Play) -> None:
        job = await play.start("j1")
        assert (await play.store.find(JobQuery())).items == [job]

    @story
    async def test_bare_jobs_are_whole_but_for_their_arguments_and_result(self, play: Play) -> None:
        job = await play.start("j1", args="[1]", kwargs='{"a":2}', progress='{"value":0.5}')
        await play.commit(Update(job, {"result": "[3]", "error": '{"type":"E"}'}))
        (whole,) = (await play.store.jobs(["j1"])).values()
        assert (whole.args, whole.kwargs, whole.result) == ("[1]", '{"a":2}', "[3]")
        (bare,) = (await play.store.jobs(["j1", "gone"], bare=True)).values()
        assert bare == msgspec.structs.replace(whole, args="[]", kwargs="{}", result=None)

    @story
    async def test_jobs_are_found_by_queue_task_state_worker_run_and_parent(self, play: Play) -> None:
        now = play.store.now()
        await play.start("running", priority=1)
        await play.add(
            play.job("clean", task="clean"),
            play.job("mail", queue="mail", task="load"),
            play.job("member", run="r1"),
            play.job("child", parent="clean"),
            *(
                play.job(state, state=state, finished_at=now)
                for state in ("completed", "failed", "cancelled", "skipped")
            ),
            play.job("retry", state="retry", run_at=now + 9),
            play.job("waiting", state="waiting"),
        )
        assert await _ids(play, queue="mail") == ["mail"]
        assert await _ids(play, task="clean") == ["clean"]
        assert await _ids(play, queue="etl", task="clean") == ["clean"]
        assert await _ids(play, queue="mail", task="clean") == []
        assert await _ids(play, run="r1") == ["member"]
        assert await _ids(play, parent="clean") == ["child"]
        assert await _ids(play, worker="worker of s1") == ["running"]
        for state in STATES:
            expected = ["child", "member", "mail", "clean"] if state == "queued" else [state]
            assert await _ids(play, state=state) == expected
            assert await _ids(play, state=state, queue="nowhere") == []
        assert await _ids(play, state="queued", queue="etl", task="load", limit=1) == ["child"]
        assert await _ids(play, state="failed", queue="etl", task="load", parent=None) == ["failed"]

    @story
    async def test_text_is_looked_for_as_it_stands(self, play: Play) -> None:
        await play.add(
            play.job("in-id-needle"),
            play.job("j1", task="needle"),
            play.job("j2", args='["needle"]'),
            play.job("j3", kwargs='{"a":"needle"}'),
            play.job("j4", error='{"type":"needle"}'),
            play.job("j5", worker="needle"),
            play.job("j6", result="needle"),
            play.job("j7", args='["NEEDLE"]'),
            play.job("j8", args='["100%_*"]'),
        )
        assert await _ids(play, text="needle") == ["j5", "j4", "j3", "j2", "j1", "in-id-needle"]
        assert await _ids(play, text="%_*") == ["j8"]
        assert await _ids(play, text="%") == ["j8"]
        assert await _ids(play, text="' OR 1=1 --") == []
        assert len(await _ids(play, text="")) == 9

    @story
    async def test_times_bound_when_jobs_were_created(self, play: Play) -> None:
        await play.add(*(play.job(f"j{n}", created_at=100.0 + n) for n in range(5)))
        assert await _ids(play, since=102.0) == ["j4", "j3", "j2"]
        assert await _ids(play, until=102.0) == ["j1", "j0"]
        assert await _ids(play, since=101.0, until=103.0) == ["j2", "j1"]

    @story
    async def test_a_rare_queue_among_many_jobs_is_found_whole(self, play: Play) -> None:
        await play.add(
            play.job("r1", queue="rare"), *(play.job(f"j{n}") for n in range(200)), play.job("r2", queue="rare")
        )
        assert await _ids(play, queue="rare") == ["r2", "r1"]
        assert await _ids(play, queue="rare", limit=1) == ["r2"]
        assert len(await _ids(play, queue="etl", limit=7)) == 7

    @story
    async def test_running_jobs_are_listed_oldest_first(self, play: Play) -> None:
        first, second = await play.start("j1"), await play.start("j2")
        await play.add(play.job("j3"))
        await play.commit(FlagCancel("j2", 1, "ann"))
        assert [job.id for job in await play.store.running()] == ["j1", "j2"]
        assert [job.id for job in await play.store.cancelling()] == ["j2"]
        await play.end(first)
        assert [(job.id, job.cancel) for job in await play.store.running()] == [("j2", "ann")]
        assert second.cancel is None

    @story
    async def test_lanes_are_those_in_which_something_is_ready(self, play: Play) -> None:
        await play.arrive(play.session())
        await play.add(
            play.job("j1"),
            play.job("j2"),
            play.job("j3", queue="mail", signature="ab"),
            play.job("j4", task="held", state="waiting"),
            play.job("j5", task="later", run_at=play.store.now() + 5),
        )
        assert await play.store.lanes() == [LANE, Lane("mail", "load", "ab")]
        await play.claim(play.offer(slots=2))
        assert await play.store.lanes() == [Lane("mail", "load", "ab")]

    @story
    async def test_counts_are_of_live_jobs_and_totals_of_all(self, play: Play) -> None:
        running = await play.start("j1")
        await play.add(play.job("j2"), play.job("j3"), play.job("j4", task="clean", state="waiting"))
        assert await play.store.counts() == [
            Count("etl", "clean", "waiting", 1),
            Count("etl", "load", "queued", 2),
            Count("etl", "load", "running", 1),
        ]
        await play.end(running)
        await play.commit(Update(await play.row("j2"), {"state": "cancelled"}))
        await play.commit(Update(await play.row("j4"), {"state": "queued"}))
        assert await play.store.counts() == [Count("etl", "clean", "queued", 1), Count("etl", "load", "queued", 1)]
        assert await play.store.totals() == {"completed": 1, "cancelled": 1, "queued": 2}
        await play.store.close()
        await play.store.open()
        assert await play.store.counts() == [Count("etl", "clean", "queued", 1), Count("etl", "load", "queued", 1)]
        assert await play.store.totals() == {"completed": 1, "cancelled": 1, "queued": 2}
