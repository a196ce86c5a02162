"""What people may do to single jobs of a run: none of it takes from the run what that still needs."""

from __future__ import annotations

import pytest
from house import ANY, House, spec, story

from easyjobs.core import workflow
from easyjobs.core.task import Options, TaskSpec
from easyjobs.core.workflow import Graph, Node, Take
from easyjobs.errors import Conflict, NotFound
from easyjobs.hub.running import item_id, node_id
from easyjobs.protocol.messages import Ack

ADD = spec("add", retries=0)
LIST = Node("list", "add")
EACH = Node("each", "add", args="[null]", over=Take(("args", 0), "list"))
SUM = Node("sum", "add", args="[null]", takes=(Take(("args", 0), "each"),))
FLOW = TaskSpec(
    "q", "flow", ANY, Options(retries=0), kind="workflow", graph=Graph(workflow.order([LIST, EACH, SUM]), None)
)


@story
async def test_a_run_that_goes_on_is_not_removed_and_goes_on(house: House) -> None:
    await house.open()
    peer = await house.worker(ADD, FLOW)
    run = await house.submit("flow")
    first = await peer.begin()
    with pytest.raises(Conflict, match=r"goes on; cancel it first"):
        await house.hub.delete(run.id)
    assert (await house.row(run.id)).cancel is None
    await house.hub.cancel(run.id, "me")
    peer.fail(first)
    await peer.hear(Ack)
    await house.settle()
    await house.hub.delete(run.id)
    with pytest.raises(NotFound):
        await house.hub.runs.run(run.id)


@story
async def test_a_run_that_has_not_begun_is_cancelled_and_removed(house: House) -> None:
    await house.open()
    await house.worker(ADD, FLOW)
    run = await house.submit("flow", delay=100.0)
    await house.hub.delete(run.id)
    assert await house.states() == {}


@story
async def test_the_jobs_of_a_run_are_removed_only_when_it_has_ended(house: House) -> None:
    await house.open()
    peer = await house.worker(ADD, FLOW)
    run = await house.submit("flow")
    first, last = node_id(run.id, "list"), node_id(run.id, "sum")
    begun = await peer.begin()
    peer.finish(begun, [])
    for id in (first, last):
        with pytest.raises(Conflict, match=f"part of run {run.id}, which goes on"):
            await house.hub.delete(id)
    peer.finish(await peer.begin(), 0)
    await peer.hear(Ack)
    await house.settle()
    assert (await house.row(run.id)).state == "completed"
    await house.hub.delete(first)
    await house.hub.delete(run.id)
    await house.hub.delete(last)


@story
async def test_what_never_had_its_arguments_is_repeated_with_its_run_only(house: House) -> None:
    await house.open()
    peer = await house.worker(ADD, FLOW)
    run = await house.submit("flow")
    peer.finish(await peer.begin(), [1])
    peer.fail(await peer.begin())
    await peer.hear(Ack)
    await house.settle()
    assert (await house.row(run.id)).state == "failed"
    for name in ("each", "sum"):
        with pytest.raises(Conflict, match=f"repeat run {run.id} in its place"):
            await house.hub.retry(node_id(run.id, name), "me")
    again = await house.hub.retry(item_id(node_id(run.id, "each"), 0), "me")
    assert (again.args, again.run) == ("[1]", None), "this one had its own"


@story
async def test_a_node_whose_task_nobody_knew_is_repeated_with_its_run_only(house: House) -> None:
    await house.open()
    graph = Graph((Node("late", "later"),), None)
    await house.worker(TaskSpec("q", "flow", ANY, Options(retries=0), kind="workflow", graph=graph))
    run = await house.submit("flow")
    await house.settle()
    await house.hub.cancel(run.id, "me")
    await house.settle()
    assert (await house.row(run.id)).state == "cancelled"
    await house.worker(spec("later"), worker_id="w2")
    with pytest.raises(Conflict, match="repeat run"):
        await house.hub.retry(node_id(run.id, "late"), "me")
