"""A deploy changes a task's parameters: which jobs fit, which move, which are held, and what is said of it."""

from __future__ import annotations

import pytest
from house import House, Peer, spec, story

from easyjobs.core.changes import Insert, PutSchedule, Unit
from easyjobs.core.job import Job
from easyjobs.core.schedule import Rule, Schedule
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import TaskSpec
from easyjobs.errors import Unprocessable
from easyjobs.hub import fitting
from easyjobs.hub.fitting import TaskFit
from easyjobs.protocol.messages import Goodbye

OLD = Signature(parameters=(Parameter("n", {"type": "integer"}), Parameter("s", required=False)))
NEW = Signature(parameters=(Parameter("n", {"type": "integer"}), Parameter("name", {"type": "string"}, required=False)))
OTHER = Signature(parameters=(Parameter("s", required=False), Parameter("n", required=False)))


def old(**options: object) -> TaskSpec:
    return spec(signature=OLD, **options)


def new() -> TaskSpec:
    return spec(signature=NEW)


async def leave(house: House, worker: Peer) -> None:
    worker.stop_beating()
    worker.say(Goodbye())
    await house.settle()


def shape(fit: TaskFit) -> list[tuple[str, bool, list[str], int, int]]:
    names = {OLD.hash: "old", NEW.hash: "new", OTHER.hash: "other"}
    return [(names[one.signature], one.newest, one.workers, one.jobs, one.misfits) for one in fit.signatures]


@story
async def test_workers_of_both_live_side_by_side_and_each_job_goes_where_it_fits(house: House) -> None:
    await house.open(old())
    first = await house.worker(old(), worker_id="first")
    first.keep_beating()
    a = await house.submit(kwargs={"n": 1, "s": "x"})
    assert (await first.begin()).job == a.id
    waiting = [await house.submit(kwargs={"n": n, "s": "x"}) for n in range(3)]
    second = await house.worker(new(), worker_id="second", slots=5)
    second.keep_beating()
    for n in range(2):
        await house.submit(kwargs={"n": n, "name": "ann"})
    await house.settle(1.0)
    assert len(second.held) == 2
    (fit,) = await house.hub.fitting.now()
    assert shape(fit) == [("new", True, ["second"], 0, 0), ("old", False, ["first"], 3, 3)]
    assert fit.examples[0].id == waiting[-1].id
    assert "kwargs.s: unknown argument" in fit.examples[0].reason
    assert (fit.misfits, fit.fits, fit.whole) == (3, False, True)
    first.finish(next(iter(first.held.values())))
    await house.settle(1.0)
    assert next(iter(first.held)) == waiting[0].id


@story
async def test_what_fits_moves_many_to_a_commit_and_what_does_not_is_held_with_an_alert(house: House) -> None:
    await house.open(old())
    await house.hub.submit([house.job(kwargs={"n": n}) for n in range(1200)])
    held = await house.submit(kwargs={"n": 1, "s": "x"})
    before = house.store.commits
    worker = await house.worker(new(), slots=2000)
    worker.keep_beating()
    await house.settle(3.0)
    assert len(worker.held) == 1200
    assert house.store.commits - before < 20
    (alert,) = house.hub.alerts.all()
    assert (alert.kind, alert.subject) == ("misfit", "q:add")
    assert alert.text.startswith("1 jobs fit the parameters of no worker and are held for one that fits; job ")
    assert f"{held.id}: The arguments do not fit the task. (kwargs.s: unknown argument" in alert.text
    assert (await house.row(held.id)).state == "queued"
    again = await house.worker(old(), worker_id="again")
    assert (await again.begin()).job == held.id
    await house.settle(1.0)
    assert house.hub.alerts.all() == []


@story
async def test_the_alert_ends_when_its_jobs_do(house: House) -> None:
    await house.open(old())
    held = await house.submit(kwargs={"n": 1, "s": "x"})
    worker = await house.worker(new())
    worker.keep_beating()
    await house.settle(1.0)
    assert len(house.hub.alerts.all()) == 1
    await house.hub.cancel(held.id, "ann")
    await house.settle(61.0)
    assert house.hub.alerts.all() == []


@story
async def test_a_job_moves_to_any_parameters_that_are_offered_and_fit(house: House) -> None:
    await house.open(old())
    job = await house.submit(kwargs={"n": 1, "s": "x"})
    await house.worker(spec(signature=OTHER), worker_id="other")
    worker = await house.worker(new(), worker_id="new")
    await house.settle(1.0)
    assert (await house.row(job.id)).signature == OTHER.hash
    assert worker.held == {}


@story
async def test_arguments_from_code_need_only_bind(house: House) -> None:
    await house.open(old())
    template = await house.submit(kwargs={"n": 1})
    row = await house.row(template.id)
    written = [
        {"id": house.hub.job_id(), "relation": "after", "kwargs": '{"n":"text"}'},
        {"id": house.hub.job_id(), "schedule": "q:add", "tick": 1.0, "kwargs": '{"n":"text"}'},
        {"id": house.hub.job_id(), "relation": "call", "kwargs": '{"n":"text"}'},
        {"id": house.hub.job_id(), "relation": "after", "kwargs": '{"s":1}'},
    ]
    await house.store.commit([Unit([Insert(Job(**{**_columns(row), **changes}))]) for changes in written])
    (fit,) = await house.hub.fitting.against([new()])
    assert {misfit.id for misfit in fit.examples} == {written[2]["id"], written[3]["id"]}


def _columns(row: Job) -> dict[str, object]:
    return {name: getattr(row, name) for name in ("queue", "task", "signature", "args", "kwargs", "state")}


@story
async def test_schedules_are_judged_too(house: House) -> None:
    await house.open(old())
    far = house.store.now() + 1e9
    for id, kwargs, source in (
        ("fits", '{"n":1}', "api"),
        ("gone", '{"n":1,"s":2}', "api"),
        ("typed", '{"n":"x"}', "api"),
        ("q:add", '{"n":"x"}', "code"),
    ):
        rule = Rule("0 7 * * *")
        await house.store.commit(
            [Unit([PutSchedule(Schedule(id, "q", "add", rule, kwargs=kwargs, source=source, next_at=far))])]  # type: ignore[arg-type]
        )
    (fit,) = await house.hub.fitting.against([new()])
    assert [misfit.id for misfit in fit.schedules] == ["gone", "typed"]
    assert not fit.fits
    worker = await house.worker(new())
    worker.keep_beating()
    await house.settle(1.0)
    (fit,) = await house.hub.fitting.now()
    assert [misfit.id for misfit in fit.schedules] == ["gone", "typed"]
    assert fit.misfits == 0
    assert (
        "schedules that do not fit: gone, typed"
        in {alert.kind: alert.text for alert in house.hub.alerts.all()}["misfit"]
    )


@story
async def test_before_a_deploy_each_task_is_told_with_what_would_not_fit(house: House) -> None:
    await house.open(old(), spec("same", signature=OLD))
    fits, misfit = await house.submit(kwargs={"n": 1}), await house.submit(kwargs={"n": 1, "s": "x"}, delay=50.0)
    fresh = spec("fresh", signature=NEW)
    add, same, unknown = await house.hub.fitting.against([new(), spec("same", signature=OLD), fresh])
    assert shape(add) == [("new", True, [], 0, 0), ("old", False, [], 2, 1)]
    assert [one.id for one in add.examples] == [misfit.id]
    assert same.fits
    assert unknown.fits
    assert await house.hub.fitting.now() == []
    assert (await house.row(fits.id)).signature == OLD.hash, "asking changes nothing"


@story
async def test_a_task_that_no_worker_could_register_is_refused_with_its_place(house: House) -> None:
    await house.open()
    remote = Signature(parameters=(Parameter("n", {"$ref": "http://127.0.0.1:9/x.json"}),))
    for bad, word in ((spec("a b"), "names"), (spec(signature=remote), "Retrieval is disabled")):
        with pytest.raises(Unprocessable, match=word) as refused:
            await house.hub.fitting.against([new(), bad])
        assert refused.value.errors[0]["loc"] == ["tasks", 1]


@story
async def test_so_many_jobs_are_looked_at_and_the_answer_says_if_there_are_more(house: House) -> None:
    await house.open(old())
    await house.hub.submit([house.job(kwargs={"n": n, "s": "x"}) for n in range(1200)])
    was, fitting.MOST_JOBS = fitting.MOST_JOBS, 1000  # type: ignore[misc]
    try:
        (fit,) = await house.hub.fitting.against([new()])
    finally:
        fitting.MOST_JOBS = was  # type: ignore[misc]
    assert (fit.misfits, fit.whole, len(fit.examples)) == (1000, False, fitting.MOST_EXAMPLES)


@story
async def test_a_job_whose_task_nobody_knew_is_left_to_whoever_binds_it(house: House) -> None:
    await house.open(old())
    template = await house.row((await house.submit(kwargs={"n": 1})).id)
    columns = {**_columns(template), "id": house.hub.job_id(), "signature": "", "state": "waiting", "kwargs": '{"x":1}'}
    await house.store.commit([Unit([Insert(Job(**columns))])])  # type: ignore[arg-type]
    (fit,) = await house.hub.fitting.against([new()])
    assert fit.misfits == 0


@story
async def test_an_old_worker_that_comes_back_does_not_make_its_parameters_the_newest(house: House) -> None:
    await house.open()
    first = await house.worker(old(), worker_id="first")
    await house.settle(1.0)
    await house.worker(new(), worker_id="second")
    first.drop()
    first, _ = await house.again(first)
    assert house.hub.catalog.find("q", "add").lane.signature == NEW.hash
    await house.restart()
    await house.again(first)
    assert house.hub.catalog.find("q", "add").lane.signature == NEW.hash
    first.drop()
    await house.again(first, session="")
    assert house.hub.catalog.find("q", "add").lane.signature == OLD.hash, "it was started anew: a deploy was undone"
