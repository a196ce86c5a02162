"""What people do to schedules; all of it is there after a restart."""

from __future__ import annotations

from typing import Any

import pytest
from house import House, spec, story
from msgspec.structs import replace

from easyjobs.core.changes import DropSchedule, PutSchedule, Unit
from easyjobs.core.schedule import Rule
from easyjobs.core.task import DefaultArgs
from easyjobs.errors import ArgumentsRefused, Conflict, NotFound, Refused, TooMany, Unprocessable
from easyjobs.testing.loop import EPOCH

HOUR = 3600.0


async def made(house: House, cron: str = "0 * * * *", queue: str = "q", task: str = "add", **rule: Any) -> str:
    return (await house.hub.schedules.create(queue, task, Rule(cron, **rule), DefaultArgs(), "a title")).row.id


@story
async def test_a_schedule_is_made_and_shown_with_its_next_five_times(house: House) -> None:
    await house.open(spec())
    call = DefaultArgs("[1]", '{"s":"x"}')
    view = await house.hub.schedules.create("q", "add", Rule("0 */2 * * *"), call, "counts")
    row = view.row
    assert (row.title, row.args, row.kwargs, row.source) == ("counts", "[1]", '{"s":"x"}', "api")
    assert view.upcoming == [EPOCH + 2 * HOUR * n for n in (1, 2, 3, 4, 5)]
    assert (row.next_at, view.paused, view.held, view.error) == (EPOCH + 2 * HOUR, None, False, None)
    assert view.words
    await house.restart()
    assert house.hub.schedules.show(row.id).row == row


@pytest.mark.parametrize(
    ("queue", "task", "rule", "call", "refusal", "place"),
    [
        ("none", "add", Rule("* * * * *"), DefaultArgs(), NotFound, None),
        ("q", "none", Rule("* * * * *"), DefaultArgs(), NotFound, None),
        ("q", "add", Rule("* * * * *"), DefaultArgs("[]", '{"x":1}'), ArgumentsRefused, ["kwargs", "x"]),
        ("q", "add", Rule("* * * *"), DefaultArgs(), Unprocessable, ["cron"]),
        ("q", "add", Rule("* * * * *", timezone="Mars/Olympus"), DefaultArgs(), Unprocessable, ["timezone"]),
        ("q", "add", Rule("* * * * *", end_at=EPOCH + 10), DefaultArgs(), Unprocessable, ["end_at"]),
    ],
)
def test_one_that_cannot_be_is_refused_with_the_place(
    queue: str, task: str, rule: Rule, call: DefaultArgs, refusal: type[Refused], place: list[str] | None
) -> None:
    @story
    async def told(house: House) -> None:
        await house.open(spec())
        with pytest.raises(refusal) as refused:
            await house.hub.schedules.create(queue, task, rule, call)
        if place is not None:
            assert refused.value.errors[0]["loc"] == place
        assert await house.store.schedules() == []

    told()


@story
async def test_they_are_listed_by_queue_and_task_a_page_at_a_time(house: House) -> None:
    await house.open(spec(), spec("sub"), spec(queue="a"))
    ids = [await made(house), await made(house, task="sub"), await made(house, queue="a"), await made(house)]
    page = house.hub.schedules.page
    views, following = page()
    assert [view.row.id for view in views] == [ids[2], ids[0], ids[3], ids[1]]
    assert following is None
    assert [view.row.id for view in page("q", "add")[0]] == [ids[0], ids[3]]
    first, after = page(limit=3)
    assert after == 3
    rest, end = page(after=after, limit=3)
    assert ([view.row.id for view in first + rest], end) == ([ids[2], ids[0], ids[3], ids[1]], None)


@story
async def test_another_rule_fires_from_now_on(house: House) -> None:
    await house.open(spec())
    id = await made(house, "* * * * *", misfire="all")
    await house.settle(90.0)
    row = house.hub.schedules.show(id).row
    edited = (await house.hub.schedules.edit(id, rule={"cron": "0 0 * * *", "timezone": "Asia/Tokyo"})).row
    assert edited.rule == Rule("0 0 * * *", timezone="Asia/Tokyo", misfire="all")
    assert (edited.next_at, edited.last_at, edited.last_job) == (EPOCH + 15 * HOUR, EPOCH + 60, row.last_job)
    await house.restart()
    await house.settle(200.0)
    assert house.hub.schedules.show(id).row == edited


@story
async def test_arguments_and_title_change_without_moving_the_next_tick(house: House) -> None:
    await house.open(spec())
    id = await made(house)
    before = house.hub.schedules.show(id).row
    await house.hub.schedules.edit(id, args="[5]")
    await house.hub.schedules.edit(id, kwargs='{"s":1}', rule={"cron": "0 * * * *"})
    await house.hub.schedules.edit(id, title="")
    after = house.hub.schedules.show(id).row
    assert (after.args, after.kwargs, after.title, after.version) == ("[5]", '{"s":1}', "", 4)
    assert (after.next_at, after.updated_at, after.rule) == (before.next_at, before.updated_at, before.rule)
    with pytest.raises(ArgumentsRefused):
        await house.hub.schedules.edit(id, args="[1, 2, 3]")
    with pytest.raises(Unprocessable):
        await house.hub.schedules.edit(id, rule={"cron": "whenever"})
    assert house.hub.schedules.show(id).row == after


@story
async def test_changes_are_made_to_the_row_as_it_is(house: House) -> None:
    await house.open(spec())
    id = await made(house)
    (row,) = await house.store.schedules()
    await house.store.commit([Unit([PutSchedule(replace(row, args="[9]"), 1)])])
    await house.hub.schedules.edit(id, title="mine")
    (row,) = await house.store.schedules()
    assert (row.args, row.title) == ("[9]", "mine")
    await house.store.commit([Unit([PutSchedule(row, row.version)])])
    await house.hub.schedules.delete(id)
    assert await house.store.schedules() == []


@story
async def test_a_row_that_never_holds_still_is_given_up(house: House) -> None:
    await house.open(spec())
    id = await made(house)
    commit = house.store.commit

    async def racing(units: Any, claim: Any = None) -> Any:
        (row,) = await house.store.schedules()
        await commit([Unit([PutSchedule(row, row.version)])])
        return await commit(units, claim)

    house.store.commit = racing  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="kept changing"):
        await house.hub.schedules.edit(id, title="mine")
    with pytest.raises(Conflict, match="kept changing"):
        await house.hub.schedules.delete(id)
    house.store.commit = commit  # type: ignore[method-assign]
    await house.hub.schedules.delete(id)


@story
async def test_a_schedule_is_removed_and_its_jobs_stay(house: House) -> None:
    await house.open(spec())
    id = await made(house, "* * * * *")
    await house.hub.schedules.pause(id, "me")
    job = await house.hub.schedules.run(id)
    await house.hub.schedules.delete(id)
    for act in (
        house.hub.schedules.delete(id),
        house.hub.schedules.edit(id, title="x"),
        house.hub.schedules.pause(id, "me"),
        house.hub.schedules.resume(id),
        house.hub.schedules.run(id),
    ):
        with pytest.raises(NotFound):
            await act
    await house.settle(200.0)
    assert await house.states() == {"queued": 1}
    assert (await house.row(job.id)).schedule == id
    assert await house.store.pauses() == []


@story
async def test_one_that_another_hand_removed_is_gone(house: House) -> None:
    await house.open(spec())
    id = await made(house)
    await house.store.commit([Unit([DropSchedule(id, 1)])])
    with pytest.raises(NotFound):
        await house.hub.schedules.edit(id, title="mine")


@story
async def test_running_it_now_makes_a_job_and_touches_no_tick(house: House) -> None:
    await house.open(spec(), queue_depth=2)
    id = await made(house)
    before = house.hub.schedules.show(id).row
    first, second = await house.hub.schedules.run(id), await house.hub.schedules.run(id)
    assert first.id != second.id
    assert (first.schedule, first.tick, first.state) == (id, None, "queued")
    assert house.hub.schedules.show(id).row == before
    with pytest.raises(TooMany):
        await house.hub.schedules.run(id)


@story
async def test_a_paused_schedule_leaves_the_short_way_of_other_jobs_open(house: House) -> None:
    await house.open(spec())
    id = await made(house)
    await house.hub.schedules.pause(id, "me")
    await house.restart()
    assert house.hub.dispatcher.pauses == {}
    paused = house.hub.schedules.show(id).paused
    assert paused is not None
    assert (paused.by, paused.name) == ("me", id)
