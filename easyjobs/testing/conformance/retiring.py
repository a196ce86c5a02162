"""Tasks that nobody needs any more."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from easyjobs.core.changes import (
    Delete,
    DropPause,
    DropSchedule,
    LoseSession,
    PutPause,
    PutSchedule,
    PutTask,
    Update,
)
from easyjobs.core.job import Lane
from easyjobs.core.schedule import Rule, Schedule
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import TaskSpec
from easyjobs.stores.base import Retired
from easyjobs.testing.conformance.story import Cases, Play, story

DAY: Final = 86_400.0
MONTH: Final = 30 * DAY


def _spec(name: str = "load", parameter: str | None = None, **more: Any) -> TaskSpec:
    parameters = () if parameter is None else (Parameter(parameter, {"type": "integer"}),)
    return TaskSpec("etl", name, Signature(parameters), **more)


async def _know(play: Play, *specs: TaskSpec) -> None:
    await play.commit(*(PutTask(spec, play.store.now()) for spec in specs))


async def _names(play: Play) -> list[str]:
    return [known.spec.name for known in await play.store.tasks()]


async def _retire(play: Play, keep: float = MONTH) -> list[Lane]:
    """One look at all tasks; those that went."""
    retired = await play.store.retire(keep, None, 100)
    assert retired.next is None
    return retired.tasks


async def _stays_while_needed(play: Play) -> None:
    """Two looks, a month between them, after which it is still there."""
    assert await _retire(play) == []
    play.clock.advance(MONTH)
    assert await _retire(play) == []
    (known,) = await play.store.tasks()
    assert known.idle_since is None


async def _goes_a_month_from_now(play: Play, spec: TaskSpec) -> None:
    """Nobody needs it from now on: it goes a month after that was found, and not a moment earlier."""
    begin = play.store.now()
    assert await _retire(play) == []
    assert [known.idle_since for known in await play.store.tasks()] == [begin]
    play.clock.advance(MONTH - 1)
    assert await _retire(play) == []
    assert [known.idle_since for known in await play.store.tasks()] == [begin]
    play.clock.advance(1)
    assert await _retire(play) == [spec.lane]
    assert await play.store.tasks() == []


class RetiringCases(Cases):
    """How long a store keeps tasks."""

    @story
    async def test_a_task_that_nobody_needs_goes_some_time_after_that_was_found(self, play: Play) -> None:
        spec = _spec()
        await _know(play, spec)
        play.clock.advance(10 * MONTH)  # nobody looked meanwhile
        await _goes_a_month_from_now(play, spec)
        assert await play.store.retire(MONTH, None, 100) == Retired([], None)

    @story
    async def test_a_task_that_a_live_worker_offers_stays(self, play: Play) -> None:
        spec = _spec()
        await _know(play, spec)
        await play.arrive(play.session(offers=msgspec.json.encode([spec.lane]).decode()))
        await _stays_while_needed(play)
        await play.commit(LoseSession("s1", 1, play.store.now()))
        await _goes_a_month_from_now(play, spec)

    @story
    async def test_a_task_that_is_pushed_elsewhere_stays_while_a_live_worker_serves_its_queue(self, play: Play) -> None:
        spec = _spec(destination="fpga")
        await _know(play, spec)
        await play.arrive(play.session(offers=msgspec.json.encode([_spec("other").lane]).decode()))
        await _stays_while_needed(play)
        await play.commit(LoseSession("s1", 1, play.store.now()))
        elsewhere = msgspec.json.encode([Lane("other", "load", "")]).decode()
        await play.arrive(play.session("s2", offers=elsewhere))
        await _goes_a_month_from_now(play, spec)

    @story
    async def test_who_offers_it_with_other_parameters_does_not_keep_it(self, play: Play) -> None:
        old, new = _spec(parameter="a"), _spec(parameter="b")
        await _know(play, old)
        play.clock.advance(1)
        await _know(play, new)
        await play.arrive(play.session(offers=msgspec.json.encode([new.lane]).decode()))
        assert await _retire(play) == []
        play.clock.advance(MONTH)
        assert await _retire(play) == [old.lane]

    @story
    async def test_offers_that_cannot_be_read_offer_nothing(self, play: Play) -> None:
        spec = _spec()
        await _know(play, spec)
        await play.arrive(play.session(offers="{"))
        await _goes_a_month_from_now(play, spec)

    @story
    async def test_a_task_stays_as_long_as_a_job_of_it_does_whatever_its_state(self, play: Play) -> None:
        spec = _spec()
        await _know(play, spec)
        for state in ("queued", "waiting", "retry", "completed", "failed"):
            ended = play.store.now() if state in ("completed", "failed") else None
            await play.add(play.job(state, state=state, signature="earlier", finished_at=ended))
            await _stays_while_needed(play)
            await play.commit(Delete(await play.row(state)))
        job = await play.start("running", signature="earlier")
        await _stays_while_needed(play)
        await play.end(job)
        await play.commit(Delete(await play.row("running")))
        await _goes_a_month_from_now(play, spec)

    @story
    async def test_what_was_registered_with_other_parameters_since_stays_for_its_own_jobs_alone(
        self, play: Play
    ) -> None:
        old, new = _spec(parameter="a"), _spec(parameter="b")
        await _know(play, old)
        play.clock.advance(1)
        await _know(play, new)
        await play.add(
            play.job("old", state="completed", signature=old.signature.hash, finished_at=1.0),
            play.job("new", state="completed", signature=new.signature.hash, finished_at=1.0),
        )
        await _retire(play)
        play.clock.advance(MONTH)
        assert await _retire(play) == []
        await play.commit(Delete(await play.row("old")))
        await _retire(play)
        play.clock.advance(MONTH)
        assert await _retire(play) == [old.lane]
        assert [known.spec for known in await play.store.tasks()] == [new]

    @story
    async def test_a_job_that_runs_keeps_the_very_parameters_it_was_made_with(self, play: Play) -> None:
        old, new = _spec(parameter="a"), _spec(parameter="b")
        await _know(play, old)
        play.clock.advance(1)
        await _know(play, new)
        await play.start("j1", signature=old.signature.hash)
        await _retire(play)
        play.clock.advance(MONTH)
        assert await _retire(play) == []

    @story
    async def test_a_task_that_is_scheduled_stays(self, play: Play) -> None:
        spec = _spec()
        await _know(play, spec)
        await play.commit(PutSchedule(Schedule("nightly", "etl", "load", Rule("0 1 * * *"))))
        await _stays_while_needed(play)
        await play.commit(DropSchedule("nightly", 1))
        await _goes_a_month_from_now(play, spec)

    @story
    async def test_a_task_that_is_paused_stays(self, play: Play) -> None:
        spec = _spec()
        await _know(play, spec)
        await play.commit(PutPause("task", "etl:load", "me", 1.0))
        await _stays_while_needed(play)
        await play.commit(DropPause("task", "etl:load"), PutPause("queue", "etl:load", "me", 1.0))
        await _goes_a_month_from_now(play, spec)

    @story
    async def test_a_task_that_is_needed_again_begins_anew(self, play: Play) -> None:
        spec = _spec()
        await _know(play, spec)
        await _retire(play)
        play.clock.advance(MONTH - 1)
        await play.arrive(play.session(offers=msgspec.json.encode([spec.lane]).decode()))
        await _retire(play)
        await play.commit(LoseSession("s1", 1, play.store.now()))
        await _goes_a_month_from_now(play, spec)

    @story
    async def test_a_task_that_is_registered_again_begins_anew(self, play: Play) -> None:
        spec = _spec()
        await _know(play, spec)
        await _retire(play)
        play.clock.advance(MONTH - 1)
        await _know(play, spec)
        assert [known.idle_since for known in await play.store.tasks()] == [None]
        await _goes_a_month_from_now(play, spec)

    @story
    async def test_what_was_made_for_one_run_goes_with_the_last_of_its_jobs(self, play: Play) -> None:
        spec = _spec(passing=True)
        await _know(play, spec)
        job = await play.start("j1")
        assert await _retire(play) == []
        await play.commit(Update(job, {"state": "completed", "finished_at": play.store.now()}))
        assert await _retire(play) == []
        await play.commit(Delete(await play.row("j1")))
        await play.arrive(play.session("s2", offers=msgspec.json.encode([spec.lane]).decode()))
        assert await _retire(play) == []
        await play.commit(LoseSession("s2", 1, play.store.now()))
        assert await _retire(play) == []  # whoever makes it has perhaps not said hello yet
        assert await _retire(play) == [spec.lane]

    @story
    async def test_it_looks_at_so_many_tasks_and_goes_on_from_there(self, play: Play) -> None:
        specs = [_spec(name, passing=name != "c") for name in "abcde"]
        await _know(play, *specs)
        assert await _retire(play) == []
        first = await play.store.retire(MONTH, None, 2)
        assert first == Retired([specs[0].lane, specs[1].lane], specs[1].lane)
        second = await play.store.retire(MONTH, first.next, 2)
        assert second == Retired([specs[3].lane], specs[3].lane)
        assert await play.store.retire(MONTH, second.next, 2) == Retired([specs[4].lane], None)
        assert await _names(play) == ["c"]

    # -- and all at once

    @story
    async def test_a_store_that_begins_anew_knows_nothing_but_the_tasks_that_it_is_told_of(self, play: Play) -> None:
        await _know(play, _spec("old"))
        await play.add(play.job("j1"))
        await play.store.close()
        await play.store.reset([_spec("new"), _spec("newer")])
        await play.store.open()
        assert await _names(play) == ["new", "newer"]
        assert await play.store.totals() == {}
        await play.store.close()
        await play.store.reset()
        await play.store.open()
        assert await _names(play) == []
