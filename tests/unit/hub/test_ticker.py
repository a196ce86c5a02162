"""Ticks become jobs: once each, in time, whatever crashes or stands in the way. It is midnight, new year 2026, UTC."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from house import House, Peer, spec, story

from easyjobs.core.changes import Insert, PutSchedule, Unit
from easyjobs.core.job import Job
from easyjobs.core.schedule import Rule
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import DefaultArgs
from easyjobs.errors import StoreUnavailable
from easyjobs.hub.schedules import ScheduleView
from easyjobs.protocol.messages import Ack, Cancel, Finished, Outcome
from easyjobs.stores.base import JobQuery
from easyjobs.testing.loop import EPOCH

MINUTE = 60.0


async def scheduled(house: House, cron: str = "* * * * *", task: str = "add", **rule: Any) -> str:
    """A schedule by API; its id."""
    call = DefaultArgs(rule.pop("args", "[]"), rule.pop("kwargs", "{}"))
    return (await house.hub.schedules.create("q", task, Rule(cron, **rule), call)).row.id


async def jobs_of(house: House, id: str) -> list[Job]:
    """Its jobs, oldest first."""
    page = await house.store.find(JobQuery(schedule=id, limit=1000))
    return page.items[::-1]


async def ticks_of(house: House, id: str) -> list[float | None]:
    """The minutes of this year for which it made jobs."""
    return [None if job.tick is None else (job.tick - EPOCH) / MINUTE for job in await jobs_of(house, id)]


def shown(house: House, id: str) -> ScheduleView:
    return house.hub.schedules.show(id)


async def until_minute(house: House, minute: float) -> None:
    """Let time pass until that minute of the year."""
    await asyncio.sleep(EPOCH + minute * MINUTE - house.clock.wall())


@story
async def test_a_tick_makes_one_job_at_its_time_as_the_task_says(house: House) -> None:
    await house.open(spec(priority=7, timeout=9.0, retries=0))
    id = await scheduled(house, "*/2 * * * *", args="[1]", kwargs='{"s":"x"}')
    await until_minute(house, 5.5)
    first, second = await jobs_of(house, id)
    assert [first.tick, second.tick] == [EPOCH + 120, EPOCH + 240]
    assert first.created_at - EPOCH == pytest.approx(120, abs=0.1)
    assert (first.queue, first.task, first.args, first.kwargs, first.state) == (
        "q",
        "add",
        "[1]",
        '{"s":"x"}',
        "queued",
    )
    assert (first.priority, first.timeout, first.max_attempts, first.schedule) == (7, 9.0, 1, id)
    (row,) = await house.store.schedules()
    assert (row.last_at, row.last_job, row.next_at) == (EPOCH + 240, second.id, EPOCH + 360)
    assert shown(house, id).row == row


@story
async def test_a_job_of_a_tick_goes_to_a_worker_at_once(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    id = await scheduled(house)
    assignment = await worker.begin()
    assert house.clock.wall() - EPOCH == pytest.approx(60, abs=0.1)
    worker.finish(assignment, 3)
    await worker.hear(Ack)
    assert [job.state for job in await jobs_of(house, id)] == ["completed"]


@story
async def test_a_jitter_puts_the_job_off_and_not_the_tick(house: House) -> None:
    await house.open(spec())
    id = await scheduled(house, jitter=30.0)
    await until_minute(house, 3.5)
    made = await jobs_of(house, id)
    assert [job.tick for job in made] == [EPOCH + 60, EPOCH + 120, EPOCH + 180]
    off = [job.run_at - job.created_at for job in made]
    assert all(0 <= seconds <= 30 for seconds in off)
    assert len(set(off)) == 3


@story
async def test_after_its_end_it_fires_no_more(house: House) -> None:
    await house.open(spec())
    id = await scheduled(house, start_at=EPOCH + 150, end_at=EPOCH + 250)
    await until_minute(house, 30)
    assert await ticks_of(house, id) == [3, 4]
    assert (shown(house, id).row.next_at, shown(house, id).upcoming) == (None, [])


@story
async def test_thousands_of_one_minute_are_as_many_jobs_in_few_commits(house: House) -> None:
    await house.open(spec())
    hub = house.hub
    await asyncio.gather(*(hub.schedules.create("q", "add", Rule("* * * * *"), DefaultArgs()) for _ in range(2000)))
    commits = house.store.commits
    await until_minute(house, 1.5)
    assert await house.states() == {"queued": 2000}
    assert house.store.commits - commits < 20
    assert len({job.schedule for job in (await house.store.find(JobQuery(limit=5000))).items}) == 2000


# -- exactly once


@story
async def test_a_crash_between_the_tick_and_its_commit_fires_it_after_the_restart_once(house: House) -> None:
    await house.open(spec())
    id = await scheduled(house)
    house.store.gate.clear()
    await until_minute(house, 1.1)
    await house.crash()
    house.store.gate.set()
    await house.restart()
    await house.settle()
    assert await ticks_of(house, id) == [1]
    await house.restart()
    await house.settle()
    assert await ticks_of(house, id) == [1]


@pytest.mark.parametrize("fault", ["down", "unknown"])
def test_a_commit_that_fails_fires_the_tick_once(fault: str) -> None:
    @story
    async def told(house: House) -> None:
        await house.open(spec())
        id = await scheduled(house)
        house.store.faults = [fault]
        await until_minute(house, 2.5)
        assert await ticks_of(house, id) == [1, 2]
        (row,) = await house.store.schedules()
        assert shown(house, id).row == row

    told()


@story
async def test_a_full_disk_fires_the_tick_when_there_is_room(house: House) -> None:
    await house.open(spec())
    id = await scheduled(house, "*/5 * * * *")
    house.store.full = True
    await until_minute(house, 5.5)
    assert await ticks_of(house, id) == []
    house.store.full = False
    await house.settle(3.0)
    assert await ticks_of(house, id) == [5]


@story
async def test_a_clock_that_was_set_back_fires_nothing_again(house: House) -> None:
    await house.open(spec())
    id = await scheduled(house)
    await until_minute(house, 3.5)
    house.clock.jump(-150.0)
    await house.restart()
    await until_minute(house, 5.5)
    assert await ticks_of(house, id) == [1, 2, 3, 4, 5]


@story
async def test_a_tick_that_another_hand_fired_is_not_fired_here(house: House) -> None:
    await house.open(spec())
    id = await scheduled(house)
    (row,) = await house.store.schedules()
    other = msgspec.structs.replace(row, last_at=EPOCH + 60, next_at=EPOCH + 120)
    job = Job(house.hub.job_id(), "q", "add", schedule=id, tick=EPOCH + 60)
    await house.store.commit([Unit([PutSchedule(other, row.version), Insert(job)])])
    await until_minute(house, 2.5)
    assert await ticks_of(house, id) == [1, 2]
    assert shown(house, id).row.version == 3


@story
async def test_a_tick_whose_job_is_there_only_moves_the_schedule_on(house: House) -> None:
    await house.open(spec())
    id = await scheduled(house)
    job = Job(house.hub.job_id(), "q", "add", schedule=id, tick=EPOCH + 60)
    await house.store.commit([Unit([Insert(job)])])
    await until_minute(house, 1.5)
    assert await ticks_of(house, id) == [1]
    assert (shown(house, id).row.last_job, shown(house, id).row.last_at) == (job.id, EPOCH + 60)


@story
async def test_a_unique_task_whose_job_lives_is_joined(house: House) -> None:
    await house.open(spec(unique=True))
    id = await scheduled(house)
    await until_minute(house, 3.5)
    (only,) = await jobs_of(house, id)
    assert only.tick == EPOCH + 60
    row = shown(house, id).row
    assert (row.last_job, row.last_at, row.next_at) == (only.id, EPOCH + 180, EPOCH + 240)


# -- missed


@pytest.mark.parametrize(("misfire", "fired"), [("last", [300]), ("none", []), ("all", list(range(102, 301, 2)))])
def test_of_150_missed_ticks_those_run_that_the_rule_wants(misfire: str, fired: list[int]) -> None:
    @story
    async def told(house: House) -> None:
        await house.open(spec())
        id = await scheduled(house, "*/2 * * * *", misfire=misfire)
        await house.crash()
        await until_minute(house, 301.5)
        await house.restart()
        await house.settle(0.5)
        assert await ticks_of(house, id) == fired
        row = shown(house, id).row
        assert (row.last_at, row.next_at) == (EPOCH + 300 * MINUTE, EPOCH + 302 * MINUTE)

    told()


@story
async def test_a_paused_schedule_lets_its_ticks_pass_and_has_no_backlog(house: House) -> None:
    await house.open(spec())
    id = await scheduled(house, misfire="all")
    await house.hub.schedules.pause(id, "me")
    await house.hub.schedules.pause(id, "somebody else")
    paused = shown(house, id).paused
    assert paused is not None
    assert paused.by == "me"
    await until_minute(house, 3.5)
    await house.restart()
    await until_minute(house, 5.5)
    assert shown(house, id).row.last_at == EPOCH + 300
    await house.hub.schedules.resume(id)
    await house.hub.schedules.resume(id)
    assert shown(house, id).paused is None
    await until_minute(house, 7.5)
    assert await ticks_of(house, id) == [6, 7]


# -- overlap


async def busy(house: House, **rule: Any) -> tuple[Peer, str]:
    """A worker with two slots, and a schedule of every minute."""
    await house.open()
    worker = await house.worker(spec(), slots=2)
    worker.keep_beating()
    return worker, await scheduled(house, **rule)


@story
async def test_ticks_overlap_where_that_is_allowed(house: House) -> None:
    worker, id = await busy(house)
    await until_minute(house, 2.5)
    assert len(worker.held) == 2
    assert [job.state for job in await jobs_of(house, id)] == ["running", "running"]


@story
async def test_a_tick_is_skipped_while_the_job_before_lives(house: House) -> None:
    worker, id = await busy(house, overlap="skip")
    first = await worker.begin()
    await until_minute(house, 3.5)
    assert await ticks_of(house, id) == [1]
    assert shown(house, id).row.last_at == EPOCH + 180
    worker.finish(first)
    await until_minute(house, 4.5)
    assert await ticks_of(house, id) == [1, 4]


@story
async def test_one_tick_waits_for_the_end_of_the_job_before(house: House) -> None:
    worker, id = await busy(house, overlap="queue_one")
    first = await worker.begin()
    await until_minute(house, 4.5)
    assert await ticks_of(house, id) == [1]
    assert shown(house, id).held
    worker.finish(first)
    second = await worker.begin()
    assert house.clock.wall() - EPOCH == pytest.approx(270, abs=0.1)
    assert not shown(house, id).held
    worker.finish(second)
    await until_minute(house, 5.5)
    assert await ticks_of(house, id) == [1, 4, 5]


@story
async def test_the_job_before_is_cancelled_and_the_next_begins_when_it_has_ended(house: House) -> None:
    worker, id = await busy(house, overlap="cancel_previous")
    first = await worker.begin()
    await until_minute(house, 2.1)
    told = await worker.hear(Cancel)
    assert [cancel.job for cancel in told.jobs] == [first.job]
    assert await ticks_of(house, id) == [1]
    worker.held.pop(first.job)
    worker.say(Finished([Outcome(first.job, first.attempt, first.token, "stopped")]))
    second = await worker.begin()
    assert (await house.row(first.job)).state == "cancelled"
    assert (await house.row(second.job)).tick == EPOCH + 120
    assert (await house.row(first.job)).cancel == f"schedule {id}"


@story
async def test_a_tick_does_not_wait_for_its_own_job_when_the_store_did_not_say_that_it_was_made(house: House) -> None:
    """It would have it cancelled, or, where it was held before, wait for it without a word to anybody."""
    worker, id = await busy(house, overlap="cancel_previous")
    await until_minute(house, 1.9)
    house.store.faults = ["", "unknown"]  # the first ends the job before, whose end lets the tick go
    worker.finish(await worker.begin())
    await until_minute(house, 2.5)
    second = await worker.begin()
    assert await ticks_of(house, id) == [1, 2]
    assert worker.heard_of(Cancel) == []
    assert not shown(house, id).held
    assert (await house.row(second.job)).cancel is None
    await until_minute(house, 3.1)
    assert [cancel.job for cancel in (await worker.hear(Cancel)).jobs] == [second.job]


@story
async def test_a_job_that_only_waits_is_replaced_at_once(house: House) -> None:
    await house.open(spec())
    id = await scheduled(house, overlap="cancel_previous")
    await until_minute(house, 3.5)
    assert [job.state for job in await jobs_of(house, id)] == ["cancelled", "cancelled", "queued"]
    assert await ticks_of(house, id) == [1, 2, 3]


@story
async def test_a_job_whose_end_nobody_announced_holds_a_tick_for_seconds_only(house: House) -> None:
    worker, id = await busy(house, overlap="queue_one")
    first = await worker.begin()
    await until_minute(house, 2.2)
    assert shown(house, id).held
    house.hub.announcer._waiters.clear()
    worker.finish(first)
    await house.settle(6.0)
    assert await ticks_of(house, id) == [1, 2]


@story
async def test_a_failing_read_of_the_jobs_before_delays_the_tick(house: House) -> None:
    await house.open(spec())
    id = await scheduled(house, overlap="skip")
    reads = house.store.live_of
    failures = 3

    async def failing(schedules: Any) -> Any:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise StoreUnavailable("not now")
        return await reads(schedules)

    house.store.live_of = failing  # type: ignore[method-assign]
    await until_minute(house, 1.5)
    assert await ticks_of(house, id) == [1]


# -- what cannot be


@story
async def test_arguments_that_bind_no_more_are_shown_and_tried_again(house: House) -> None:
    await house.open(spec())
    id = await scheduled(house, kwargs='{"n":1}')
    renamed = Signature(parameters=(Parameter("m", required=False),))
    worker = await house.worker(spec(signature=renamed))
    worker.keep_beating()
    await until_minute(house, 1.5)
    assert await ticks_of(house, id) == []
    assert "n" in (shown(house, id).error or "")
    assert house.hub.alerts.subjects("schedule") == [id]
    assert shown(house, id).row.last_at == EPOCH + 60
    worker.drop()
    await house.worker(spec(), worker_id="old")
    await until_minute(house, 2.5)
    assert await ticks_of(house, id) == [2]
    assert shown(house, id).error is None
    assert house.hub.alerts.all() == []


@story
async def test_a_full_queue_loses_the_tick_visibly(house: House) -> None:
    await house.open(spec(), queue_depth=1)
    id = await scheduled(house)
    await until_minute(house, 2.5)
    assert await ticks_of(house, id) == [1]
    assert "limit" in (shown(house, id).error or "")


@story
async def test_a_job_that_the_store_cannot_write_loses_its_tick_visibly(house: House) -> None:
    await house.open(spec())
    id = await scheduled(house)
    house.store.rejects = lambda unit: any(isinstance(write, Insert) for write in unit.writes)
    await until_minute(house, 1.5)
    assert "cannot be written" in (shown(house, id).error or "")
    assert (shown(house, id).row.last_at, shown(house, id).row.last_job) == (EPOCH + 60, None)
    await house.hub.schedules.delete(id)
    assert house.hub.alerts.all() == []


@story
async def test_a_manager_that_stops_fires_nothing(house: House) -> None:
    await house.open(spec())
    id = await scheduled(house)
    house.hub.dispatcher.stopped = True
    await until_minute(house, 2.5)
    assert await ticks_of(house, id) == []


@story
async def test_a_schedule_that_is_removed_while_it_ticks_makes_no_job(house: House) -> None:
    await house.open(spec())
    id = await scheduled(house, overlap="skip")
    reads = house.store.live_of

    async def slow(schedules: Any) -> Any:
        await asyncio.sleep(1.0)
        return await reads(schedules)

    house.store.live_of = slow  # type: ignore[method-assign]
    await until_minute(house, 1.005)
    await house.hub.schedules.delete(id)
    await until_minute(house, 2.5)
    assert await house.states() == {}
    assert await house.store.schedules() == []


@story
async def test_a_zone_whose_rules_changed_is_worked_out_anew_at_the_start(house: House) -> None:
    await house.open(spec())
    id = await scheduled(house, "0 7 * * *", timezone="Europe/Paris")
    (row,) = await house.store.schedules()
    assert row.next_at == EPOCH + 6 * 3600
    await house.crash()
    await house.store.open()
    await house.store.commit([Unit([PutSchedule(msgspec.structs.replace(row, next_at=EPOCH + 8 * 3600), 1)])])
    await house.store.close()
    await house.restart()
    await until_minute(house, 6.5 * 60)
    assert await ticks_of(house, id) == [360]


@story
async def test_jobs_of_ticks_wait_for_their_prerequisites_like_all_others(house: House) -> None:
    await house.open(spec("first"), spec("add", run_before=("first",)))
    id = await scheduled(house)
    await until_minute(house, 1.5)
    (job,) = await jobs_of(house, id)
    assert (job.state, job.deps_left) == ("waiting", 1)
    assert await house.states() == {"waiting": 1, "queued": 1}
