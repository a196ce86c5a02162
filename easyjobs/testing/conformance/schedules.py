"""Schedules and their ticks."""

from __future__ import annotations

import copy
from typing import Any

import msgspec

from easyjobs.core.changes import Applied, Broken, Delete, DropSchedule, Insert, PutSchedule, Stale, Unit, Update
from easyjobs.core.schedule import Rule, Schedule
from easyjobs.stores.base import JobQuery
from easyjobs.testing.conformance.story import Cases, Play, columns, story


def _schedule(id: str = "etl:load", **columns: Any) -> Schedule:
    return msgspec.structs.replace(Schedule(id, "etl", "load", Rule("* * * * *")), **columns)


class ScheduleCases(Cases):
    """What `commit` does with schedules and ticks, and what can be asked about them."""

    @story
    async def test_a_schedule_is_kept_as_it_was_given_from_version_1_on(self, play: Play) -> None:
        full = Schedule(
            "nightly",
            "etl",
            "load",
            Rule("0 0 7 * * *", "Europe/Paris", True, 1.0, 2.0, 3.0, "all", "queue_one"),
            "Every night",
            '["é"]',
            '{"a":1}',
            "code",
            4.0,
            5.0,
            "j1",
            6.0,
            7.0,
            version=99,
        )
        before = copy.deepcopy(full)
        assert await play.commit(PutSchedule(_schedule()), PutSchedule(full)) == [Applied()] * 2
        assert full == before, "the caller's object is his"
        full.version = 1
        assert await play.store.schedules() == [_schedule(version=1), full]
        await play.store.close()
        await play.store.open()
        assert await play.store.schedules() == [_schedule(version=1), full]

    @story
    async def test_a_schedule_is_changed_only_from_the_version_that_was_seen(self, play: Play) -> None:
        assert await play.commit(PutSchedule(_schedule(), was=1)) == [Stale("schedule")]
        assert await play.commit(PutSchedule(_schedule()), PutSchedule(_schedule())) == [Applied(), Stale("schedule")]
        changes = [PutSchedule(_schedule(title=f"from {was}"), was) for was in (0, 1, 1, 2)]
        assert await play.commit(*changes) == [Stale("schedule"), Applied(), Stale("schedule"), Applied()]
        assert await play.store.schedules() == [_schedule(title="from 2", version=3)]

    @story
    async def test_a_schedule_is_dropped_only_in_the_version_that_was_seen(self, play: Play) -> None:
        await play.commit(PutSchedule(_schedule()))
        await play.add(play.job("j1", schedule="etl:load", tick=1.0))
        drops = [DropSchedule("etl:load", 2), DropSchedule("etl:load", 1), DropSchedule("etl:load", 1)]
        assert await play.commit(*drops) == [Stale("schedule"), Applied(), Stale("schedule")]
        assert await play.store.schedules() == []
        assert (await play.row("j1")).schedule == "etl:load", "its jobs stay"
        assert await play.commit(PutSchedule(_schedule())) == [Applied()]

    @story
    async def test_a_schedule_that_cannot_be_kept_is_broken(self, play: Play) -> None:
        verdicts = await play.commit(
            PutSchedule(_schedule("s1", title="\ud800")),
            PutSchedule(_schedule("s2", rule=Rule("* * * * *", overlap="never"))),  # type: ignore[arg-type]
            PutSchedule(_schedule("s3")),
        )
        assert [type(verdict) for verdict in verdicts] == [Broken, Broken, Applied]
        assert [schedule.id for schedule in await play.store.schedules()] == ["s3"]

    # -- ticks

    @story
    async def test_a_tick_has_one_job(self, play: Play) -> None:
        await play.add(play.job("j1", schedule="s", tick=60.0))
        first = await play.row("j1")
        for state in ("queued", "completed"):
            await play.commit(Update(first, {"state": state}))
            again = Insert(play.job("j2", schedule="s", tick=60.0))
            assert await play.commit(again) == [Stale("tick", [await play.row("j1")])]
            first = await play.row("j1")
        await play.add(play.job("j2", schedule="s", tick=120.0), play.job("j3", schedule="other", tick=60.0))

    @story
    async def test_a_tick_is_free_again_when_its_job_is_gone(self, play: Play) -> None:
        await play.add(play.job("j1", schedule="s", tick=60.0))
        job = play.job("j2", schedule="s", tick=60.0)
        assert await play.commit(Delete(await play.row("j1")), Insert(job)) == [Applied()] * 2

    @story
    async def test_jobs_of_a_schedule_without_a_tick_do_not_stand_in_their_way(self, play: Play) -> None:
        await play.add(*(play.job(f"j{n}", schedule="s") for n in range(3)))
        await play.add(*(play.job(f"k{n}", tick=1.0) for n in range(3)))

    @story
    async def test_the_guard_of_a_tick_comes_after_the_key_and_before_the_session(self, play: Play) -> None:
        await play.add(play.job("j1", key="k", schedule="s", tick=1.0))
        job = play.job("j2", key="k", schedule="s", tick=1.0, state="running", session="nobody", attempt=1)
        for why in ("key", "tick", "session"):
            (verdict,) = await play.commit(Insert(copy.copy(job), 1))
            assert isinstance(verdict, Stale)
            assert verdict.why == why
            job.key, job.tick = None, 2.0 if why == "tick" else 1.0

    @story
    async def test_of_two_who_fire_one_tick_only_one_does(self, play: Play) -> None:
        await play.commit(PutSchedule(_schedule()))
        ticks = [
            Unit([PutSchedule(_schedule(last_at=60.0), 1), Insert(play.job(id, schedule="etl:load", tick=60.0))])
            for id in ("j1", "j2")
        ]
        verdicts = (await play.store.commit(ticks)).verdicts
        assert verdicts == [Applied(), Stale("schedule")]
        assert await play.store.totals() == {"queued": 1}
        assert await play.store.schedules() == [_schedule(last_at=60.0, version=2)]

    @story
    async def test_a_tick_that_was_fired_leaves_its_schedule_as_it_was(self, play: Play) -> None:
        await play.add(play.job("j1", schedule="etl:load", tick=60.0))
        again = Insert(play.job("j2", schedule="etl:load", tick=60.0))
        assert await play.together(PutSchedule(_schedule(last_at=60.0)), again) == Stale("tick", [await play.row("j1")])
        assert await play.store.schedules() == []

    @story
    async def test_a_thousand_schedules_fire_at_once(self, play: Play) -> None:
        schedules = [_schedule(f"s{n:04}") for n in range(1_000)]
        await play.commit(*(PutSchedule(schedule) for schedule in schedules))
        ticks = [
            Unit([PutSchedule(schedule, 1), Insert(play.job(f"j{schedule.id}", schedule=schedule.id, tick=60.0))])
            for schedule in schedules
        ]
        assert (await play.store.commit(ticks)).verdicts == [Applied()] * 1_000
        assert [schedule.version for schedule in await play.store.schedules()] == [2] * 1_000
        assert len(await play.store.live_of([schedule.id for schedule in schedules])) == 1_000

    # -- reads

    @story
    async def test_the_jobs_of_a_schedule_are_found(self, play: Play) -> None:
        await play.add(
            *(play.job(f"j{n}", schedule="s", tick=float(9 - n)) for n in range(3)),
            play.job("now", schedule="s"),
            play.job("other", schedule="t", tick=1.0),
            play.job("none"),
        )
        page = await play.store.find(JobQuery(schedule="s", limit=3))
        assert [job.id for job in page.items] == ["now", "j2", "j1"]
        page = await play.store.find(JobQuery(schedule="s", limit=3, before=page.next))
        assert [job.id for job in page.items] == ["j0"]
        assert (await play.store.find(JobQuery(schedule="s", state="failed"))).items == []

    @story
    async def test_live_jobs_of_schedules_are_those_that_have_not_ended(self, play: Play) -> None:
        await play.start("running", schedule="s", tick=1.0)
        await play.add(
            play.job("queued", schedule="s", tick=2.0),
            play.job("later", schedule="s", tick=0.5, run_at=play.store.now() + 5),
            play.job("retry", schedule="s", state="retry"),
            play.job("waiting", schedule="s", state="waiting"),
            play.job("other", schedule="t", tick=1.0),
            play.job("third", schedule="u", tick=1.0),
            play.job("none"),
            *(
                play.job(state, schedule="s", state=state, finished_at=play.store.now())
                for state in ("completed", "failed", "cancelled", "skipped")
            ),
        )
        live = await play.store.live_of(["t", "s", "nobody", "s"])
        assert {schedule: [job.id for job in jobs] for schedule, jobs in live.items()} == {
            "s": ["running", "queued", "later", "retry", "waiting"],
            "t": ["other"],
        }
        assert live["s"][0] == await play.row("running")
        await play.end(live["s"][0])
        assert columns((await play.store.live_of(["s"]))["s"][0], "id", "state") == ("queued", "queued")
        assert await play.store.live_of([]) == {}
