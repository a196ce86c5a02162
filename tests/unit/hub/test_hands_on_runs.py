"""What people may do to single jobs of a run: none of it takes from the run what that still needs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from house import ANY, House, spec, story

from easyjobs.core import workflow
from easyjobs.core.events import Gathered
from easyjobs.core.job import Job
from easyjobs.core.states import State
from easyjobs.core.task import Options, TaskSpec
from easyjobs.core.workflow import Graph, Node, Take
from easyjobs.errors import Conflict, NotFound
from easyjobs.hub.chains import Links
from easyjobs.hub.entries import Facts
from easyjobs.hub.running import Running, item_id, node_id
from easyjobs.protocol.messages import Ack, Cancel

ADD = spec("add", retries=0)
LIST = Node("list", "add")
EACH = Node("each", "add", args="[null]", over=Take(("args", 0), "list"))
SUM = Node("sum", "add", args="[null]", takes=(Take(("args", 0), "each"),))
LONE = TaskSpec(
    "q", "lone", ANY, Options(retries=0), kind="workflow", graph=Graph((Node("add", "add"),), Take((), "add"))
)
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
async def test_a_run_whose_cancel_is_stored_with_an_unknown_outcome_ends(house: House) -> None:
    await house.open()
    peer = await house.worker(ADD, FLOW)
    run = await house.submit("flow")
    begun = await peer.begin()
    house.store.faults = ["unknown"]
    await house.hub.cancel(run.id, "me")
    await house.settle(1.0)
    assert (await house.row(run.id)).state == "waiting"
    assert (await peer.hear(Cancel)).jobs[0].job == begun.job
    peer.finish(begun, [])
    await house.settle(1.0)
    assert (await house.row(run.id)).state == "cancelled"


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


@story
async def test_a_job_that_fails_while_the_end_of_its_run_is_looked_at_is_not_overlooked(house: House) -> None:
    await house.open()
    peer = await house.worker(spec("add", retries=0, run_after=("aside",)), spec("aside", retries=0), LONE, slots=5)
    run = await house.submit("lone")
    only = await peer.begin()
    by_run = house.store.by_run

    async def as_it_was(ids: Sequence[str]) -> dict[str, dict[State, int]]:
        counts = await by_run(ids)
        house.store.by_run = by_run  # type: ignore[method-assign]
        peer.fail(await peer.begin())
        await house.settle()
        return counts

    house.store.by_run = as_it_was  # type: ignore[method-assign,assignment]
    peer.finish(only)
    await house.settle(1.0)
    row = await house.row(run.id)
    assert row.state == "failed"
    assert "the first is aside (" in (row.error or "")


@story
async def test_of_several_that_failed_the_one_that_did_first_is_named(house: House) -> None:
    await house.open()
    peer = await house.worker(ADD, FLOW)
    run = await house.submit("flow")
    peer.finish(await peer.begin(), [1, 2, 3])
    for _ in range(3):
        peer.fail(await peer.begin())
        await house.settle(1.0)
    assert "the first is each[0] (" in ((await house.row(run.id)).error or "")


@story
async def test_what_a_run_gives_is_measured_in_bytes(house: House) -> None:
    await house.open()
    twice = Graph(
        (Node("add", "add"),), gives=(Take(("args", 0, 0), "add"), Take(("args", 0, 1), "add")), shape="[0,0]"
    )
    peer = await house.worker(ADD, TaskSpec("q", "twice", ANY, Options(retries=0), kind="workflow", graph=twice))
    run = await house.submit("twice")
    most = house.hub.limits.result
    peer.finish(await peer.begin(), "ü" * (most // 4))
    await house.settle()
    row = await house.row(run.id)
    assert row.state == "failed"
    assert f"{most} are allowed" in (row.error or "")


@story
async def test_of_a_list_that_is_too_large_not_all_is_held(house: House) -> None:
    await house.open()
    peer = await house.worker(ADD, FLOW)
    run = await house.submit("flow")
    peer.finish(await peer.begin(), [1, 2, 3, 4])
    most = house.hub.limits.result
    for _ in range(4):
        peer.finish(await peer.begin(), "x" * (most - 10))
    held: list[int] = []
    gather = Running.gather

    def looked_at(self: Running, row: Job, facts: Facts) -> Gathered:
        held.append(sum(len(job.result or "") for job in facts.rows.values()))
        return gather(self, row, facts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Running, "gather", looked_at)
        await house.settle(1.0)
    assert held == [most - 8], "one of them fits"
    each = await house.row(node_id(run.id, "each"))
    assert f"the list of its 4 results has {4 * (most - 8) + 5} bytes; {most} are allowed" in (each.error or "")


@story
async def test_what_the_jobs_of_a_run_were_given_is_not_held_when_it_ends(house: House) -> None:
    await house.open()
    graph = Graph((Node("add", "add", args='["much"]'),), Take((), "add"))
    peer = await house.worker(ADD, TaskSpec("q", "given", ANY, Options(retries=0), kind="workflow", graph=graph))
    run = await house.submit("given")
    peer.finish(await peer.begin(), 3)
    held: list[tuple[str, str | None]] = []
    close = Running.close

    def looked_at(self: Running, links: Links, row: Job, facts: Facts) -> Gathered:
        held.extend((job.args, job.result) for job in facts.rows.values())
        return close(self, links, row, facts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Running, "close", looked_at)
        await house.settle(1.0)
    assert held == [("[]", "3")]
    assert (await house.row(run.id)).result == "3"
    assert (await house.row(node_id(run.id, "add"))).args == '["much"]'
