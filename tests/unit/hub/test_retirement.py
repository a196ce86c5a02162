"""Tasks that nobody needs any more are forgotten, here and in the store."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from house import House, Peer, spec, story

from easyjobs.core.signature import Signature
from easyjobs.core.task import TaskSpec
from easyjobs.core.workflow import Graph, Node
from easyjobs.errors import Conflict, NotFound
from easyjobs.protocol.messages import Goodbye

HOUR = 3600.0


async def _leave(worker: Peer) -> None:
    worker.stop_beating()
    worker.say(Goodbye())
    await asyncio.sleep(0.1)


def _shown(house: House) -> list[str]:
    return [view.spec.name for view in house.hub.queries.tasks()]


async def _stored(house: House) -> list[str]:
    return [known.spec.name for known in await house.store.tasks()]


def _passing(task: TaskSpec) -> TaskSpec:
    return msgspec.structs.replace(task, passing=True)


def _flow(queue: str = "run-1") -> TaskSpec:
    return TaskSpec(queue, "jobs", Signature(()), kind="workflow", graph=Graph((Node("a", "q:add"),)))


@story
async def test_a_task_whose_workers_are_gone_is_forgotten_after_a_while_and_known_again_when_one_comes(
    house: House,
) -> None:
    hub = await house.open(spec("stays", queue="p"), keep_tasks=2 * HOUR)
    stays = await house.worker(spec("stays", queue="p"), worker_id="other")
    stays.keep_beating()
    await _leave(await house.worker(spec()))
    version = hub.catalog.version
    await asyncio.sleep(1.9 * HOUR)
    assert _shown(house) == ["stays", "add"]
    await asyncio.sleep(0.4 * HOUR)
    assert _shown(house) == await _stored(house) == ["stays"]
    assert hub.catalog.version > version, "the pages are made anew"
    assert [view.name for view in await hub.queries.queues()] == ["p"]
    with pytest.raises(NotFound, match="No queue 'q'; known queues: p"):
        await house.submit()
    await house.worker(spec())
    assert (_shown(house), await _stored(house)) == (["stays", "add"], ["stays", "add"])
    await house.submit()


@story
async def test_a_task_stays_while_a_job_of_it_waits_for_a_worker(house: House) -> None:
    await house.open(spec(), keep_tasks=HOUR)
    job = await house.submit()
    await asyncio.sleep(5 * HOUR)
    assert _shown(house) == ["add"]
    await house.hub.cancel(job.id, "me")
    await house.hub.delete(job.id)
    await asyncio.sleep(1.4 * HOUR)
    assert _shown(house) == []


@story
async def test_what_comes_back_in_the_moment_in_which_it_is_forgotten_is_put_back(house: House) -> None:
    hub = await house.open(spec("queued"), spec("nobody"), keep_tasks=HOUR)
    await house.worker(spec("offered"))
    await hub.declare([spec("declared")])
    await house.submit("queued")
    names = ("queued", "nobody", "offered", "declared")
    for name in names:
        del house.store._tasks[spec(name).lane]  # as another manager does that has not heard of it
    await hub._retirement.gone([spec(name).lane for name in (*names, "never heard of")])
    await hub.committer.drained()
    assert _shown(house) == await _stored(house) == ["declared", "offered", "queued"]


@story
async def test_a_task_that_is_registered_again_begins_anew_in_the_store_too(house: House) -> None:
    await house.open(spec(), keep_tasks=HOUR)
    await asyncio.sleep(0.8 * HOUR)
    await house.restart()
    await _leave(await house.worker(spec()))
    await asyncio.sleep(0.8 * HOUR)
    assert _shown(house) == ["add"]


@story
async def test_what_was_made_for_one_run_is_not_shown_to_people_and_goes_with_it(house: House) -> None:
    hub = await house.open(spec())
    script, flow = _passing(spec("script", queue="run-1")), _passing(_flow())
    worker = await house.worker(script, flow)
    worker.keep_beating()
    job = await house.submit("script", "run-1")
    assert _shown(house) == ["add"]
    assert await hub.runs.workflows() == []
    assert [view.name for view in await hub.queries.queues()] == ["q", "run-1"], "it has a live job"
    assert (await hub.runs.workflow("run-1:jobs")).entry.spec == flow
    assert (await hub.runs.workflow("jobs")).entry.spec == flow
    await hub.cancel(job.id, "me")
    await _leave(worker)
    await asyncio.sleep(0.4 * HOUR)
    assert [view.name for view in await hub.queries.queues()] == ["q"]
    assert await _stored(house) == ["add", "script"], "the job is kept, and may be repeated"
    await hub.delete(job.id)
    await asyncio.sleep(0.4 * HOUR)
    assert await _stored(house) == ["add"]


@story
async def test_a_workflow_is_found_by_its_name_beside_others_of_that_name_that_were_made_for_one_run(
    house: House,
) -> None:
    hub = await house.open(_passing(_flow("run-1")), _passing(_flow("run-2")), _flow("mine"))
    assert (await hub.runs.workflow("jobs")).entry.spec.queue == "mine"
    await house.worker(_flow("yours"), worker_id="yours")
    with pytest.raises(Conflict):
        await hub.runs.workflow("jobs")
