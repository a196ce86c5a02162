"""Schedules that are written in code follow the code; the workers that bring it come and go."""

from __future__ import annotations

from typing import Any

import pytest
from house import House, Peer, spec, story

from easyjobs.core.changes import PutSchedule
from easyjobs.core.schedule import Rule, Schedule
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import DefaultArgs, TaskSpec
from easyjobs.errors import Conflict
from easyjobs.protocol.messages import Goodbye, Hello, Register
from easyjobs.stores.base import JobQuery
from easyjobs.testing.loop import EPOCH


def daily(cron: str = "0 7 * * *", kwargs: str = '{"n":1}', **rule: Any) -> TaskSpec:
    plain = spec()
    return TaskSpec(
        plain.queue,
        plain.name,
        plain.signature,
        plain.options,
        default_args=DefaultArgs("[]", kwargs),
        schedule=Rule(cron, **rule),
    )


async def registered(house: House, *specs: TaskSpec) -> Peer:
    """A worker that stays, registered anew."""
    worker = await house.worker(*specs)
    await house.settle()
    return worker


async def only(house: House) -> Schedule:
    (row,) = await house.store.schedules()
    assert house.hub.schedules.show(row.id).row == row
    return row


@story
async def test_a_task_with_a_schedule_is_scheduled_when_it_is_registered(house: House) -> None:
    await house.open()
    await registered(house, daily())
    row = await only(house)
    assert (row.id, row.queue, row.task, row.source, row.version) == ("q:add", "q", "add", "code", 1)
    assert (row.rule, row.kwargs, row.next_at) == (Rule("0 7 * * *"), '{"n":1}', EPOCH + 7 * 3600)
    await registered(house, daily())
    assert (await only(house)).version == 1


@story
async def test_tasks_that_are_registered_later_are_scheduled_too(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    worker.say(Register([daily()]))
    await house.settle()
    assert (await only(house)).id == "q:add"


@story
async def test_it_stays_while_its_workers_are_away_and_fires(house: House) -> None:
    await house.open()
    worker = await registered(house, daily("* * * * *"))
    worker.say(Goodbye())
    await house.settle(1.0)
    await house.restart()
    await house.settle(60.0)
    (job,) = (await house.store.find(JobQuery(schedule="q:add"))).items
    assert (job.state, job.kwargs, job.tick) == ("queued", '{"n":1}', EPOCH + 60)


@story
async def test_it_follows_the_code_from_then_on_and_keeps_what_was(house: House) -> None:
    await house.open()
    await registered(house, daily("* * * * *", misfire="all"))
    await house.settle(60.0)
    old = await only(house)
    await registered(house, daily("*/30 * * * *", '{"n":2}', overlap="skip"))
    new = await only(house)
    assert (new.rule, new.kwargs) == (Rule("*/30 * * * *", overlap="skip"), '{"n":2}')
    assert (new.last_at, new.last_job) == (old.last_at, old.last_job)
    assert old.last_at == EPOCH + 60
    assert (new.next_at, new.created_at) == (EPOCH + 1800, old.created_at)
    await registered(house, daily("*/30 * * * *", '{"n":3}', overlap="skip"))
    newest = await only(house)
    assert (newest.kwargs, newest.next_at, newest.updated_at) == ('{"n":3}', new.next_at, new.updated_at)


@story
async def test_it_goes_when_the_task_is_registered_without_one(house: House) -> None:
    await house.open()
    await registered(house, daily())
    await house.hub.schedules.pause("q:add", "me")
    await registered(house, spec("other"))
    assert (await only(house)).id == "q:add"
    await registered(house, spec())
    assert await house.store.schedules() == []
    assert await house.store.pauses() == []
    await registered(house, daily())
    assert house.hub.schedules.show("q:add").paused is None


@story
async def test_the_last_of_two_declarations_counts(house: House) -> None:
    await house.open()
    house.store.gate.clear()
    house.hub.scheduling.registered([daily("0 1 * * *")])
    await house.settle()
    house.hub.scheduling.registered([daily("0 2 * * *")])
    house.store.gate.set()
    await house.settle()
    assert (await only(house)).rule.cron == "0 2 * * *"


@story
async def test_what_another_hand_changed_is_read_again(house: House) -> None:
    from msgspec.structs import replace

    from easyjobs.core.changes import DropSchedule, Unit

    await house.open()
    await registered(house, daily())
    await house.store.commit([Unit([PutSchedule(replace(await only(house), title="theirs"), 1)])])
    await registered(house, daily("0 9 * * *"))
    row = await only(house)
    assert (row.rule.cron, row.title, row.version) == ("0 9 * * *", "theirs", 3)
    await house.store.commit([Unit([PutSchedule(row, 3)])])
    await registered(house, spec())
    assert await house.store.schedules() == []
    await registered(house, daily())
    await house.store.commit([Unit([DropSchedule("q:add", 1)])])
    await registered(house, daily("0 9 * * *"))
    assert (await only(house)).version == 1


@story
async def test_one_that_is_not_active_is_made_paused_until_somebody_resumes_it(house: House) -> None:
    await house.open()
    await registered(house, daily("* * * * *", active=False))
    paused = house.hub.schedules.show("q:add").paused
    assert paused is not None
    assert paused.by == "code"
    await house.settle(60.0)
    assert (await house.store.find(JobQuery(schedule="q:add"))).items == []
    await house.hub.schedules.resume("q:add")
    await registered(house, daily("* * * * *", '{"n":2}', active=False))
    assert house.hub.schedules.show("q:add").paused is None, "what people did stands while the code says the same"
    await house.settle(60.0)
    assert len((await house.store.find(JobQuery(schedule="q:add"))).items) == 1


@story
async def test_its_pause_follows_the_code_when_that_changes_its_mind(house: House) -> None:
    await house.open()
    await registered(house, daily())
    await registered(house, daily(active=False))
    assert [pause.name for pause in await house.store.pauses()] == ["q:add"]
    assert house.hub.schedules.show("q:add").paused is not None
    await house.restart()
    assert house.hub.schedules.show("q:add").paused is not None
    await registered(house, daily(active=True))
    assert await house.store.pauses() == []
    assert house.hub.schedules.show("q:add").paused is None


@pytest.mark.parametrize("fault", ["down", "unknown"])
@pytest.mark.parametrize("before", [None, True])
def test_a_store_that_fails_meanwhile_loses_no_pause(fault: str, before: bool | None) -> None:
    @story
    async def told(house: House) -> None:
        await house.open()
        house.store.faults = []
        await registered(house, spec() if before is None else daily("* * * * *"))
        house.store.faults = [fault] * 3
        house.hub.scheduling.registered([daily("* * * * *", active=False)])
        await house.settle(5.0)
        assert [pause.name for pause in await house.store.pauses()] == ["q:add"]
        assert house.hub.schedules.show("q:add").paused is not None

    told()


@pytest.mark.parametrize("fault", ["down", "unknown"])
def test_a_store_that_fails_meanwhile_loses_nothing(fault: str) -> None:
    @story
    async def told(house: House) -> None:
        await house.open()
        house.store.faults = []
        await registered(house, spec())
        house.store.faults = [fault] * 3
        house.hub.scheduling.registered([daily()])
        await house.settle(5.0)
        assert (await only(house)).rule.cron == "0 7 * * *"

    told()


@story
async def test_from_code_it_can_be_paused_and_run_and_not_edited_or_deleted(house: House) -> None:
    await house.open()
    await registered(house, daily())
    schedules = house.hub.schedules
    with pytest.raises(Conflict, match="declared in code"):
        await schedules.edit("q:add", title="mine")
    with pytest.raises(Conflict, match="declared in code"):
        await schedules.delete("q:add")
    await schedules.pause("q:add", "me")
    job = await schedules.run("q:add")
    assert (job.kwargs, job.schedule, job.tick) == ('{"n":1}', "q:add", None)


@story
async def test_arguments_from_code_go_to_the_task_as_they_were_written(house: House) -> None:
    await house.open()
    text = Signature(parameters=(Parameter("s", schema={"type": "string"}),))
    await registered(
        house, TaskSpec("q", "add", text, default_args=DefaultArgs('[["a list"]]'), schedule=Rule("* * * * *"))
    )
    await house.settle(60.0)
    (job,) = (await house.store.find(JobQuery(schedule="q:add"))).items
    assert job.args == '[["a list"]]'


NEEDS = Signature(parameters=(Parameter("n"),))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (daily("61 * * * *"), "61"),
        (daily(timezone="Mars/Olympus"), "Mars"),
        (daily(kwargs='{"x":1}'), "default_args"),
        (daily(kwargs="{"), "default_args"),
        (daily(kwargs="7"), "default_args"),
        (TaskSpec("q", "add", NEEDS, schedule=Rule("* * * * *")), "default_args"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_when_it_is_registered(bad: TaskSpec, why: str) -> None:
    @story
    async def told(house: House) -> None:
        await house.open()
        peer = Peer(house)
        peer.say(Hello(1, "worker", worker_id="w", name="w", tasks=[bad], slots=1))
        await peer.until_closed()
        assert why in peer.reason
        assert await house.store.schedules() == []

    told()
