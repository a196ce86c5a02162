"""Why is this run not further? What holds it before it begins, which of its jobs it waits for, and how it ended."""

from __future__ import annotations

from typing import Any

import msgspec
from house import ANY, House, Peer, spec, story

from easyjobs.core import workflow
from easyjobs.core.task import Options, TaskSpec
from easyjobs.core.workflow import Graph, Node
from easyjobs.hub.reasons import Reason
from easyjobs.hub.running import node_id
from easyjobs.protocol.messages import Assign, Assignment, Cancel

ADD = spec("add", retries=0)
LATER = spec("later", retries=3, retry_delay=600.0)


def flow(*nodes: Node, **options: Any) -> TaskSpec:
    graph = Graph(workflow.order(nodes))
    return TaskSpec("q", "flow", ANY, Options(**{"retries": 0, **options}), kind="workflow", graph=graph)


async def open_worker(house: House, *specs: TaskSpec, slots: int = 10) -> Peer:
    await house.open()
    peer = await house.worker(ADD, LATER, *specs, slots=slots)
    peer.keep_beating()
    return peer


async def assigned(house: House, peer: Peer) -> dict[str, Assignment]:
    await house.settle()
    return {(await house.row(a.job)).node or a.task: a for assign in peer.heard_of(Assign) for a in assign.jobs}


async def why(house: House, id: str) -> list[Reason]:
    return (await house.hub.explainer.explain(id)).reasons


@story
async def test_who_may_take_up_a_run_that_nobody_looks_after_is_told_how(house: House) -> None:
    script = msgspec.structs.replace(ADD, passing=True)
    alone = msgspec.structs.replace(flow(Node("a", "add")), passing=True)
    await house.open()
    peer = await house.worker(script, alone)
    run = await house.submit("flow")
    await assigned(house, peer)
    peer.drop()
    await house.settle(6.0)
    later = await house.submit("flow")
    for job, of in ((node_id(run.id, "a"), run.id), (later.id, later.id)):
        (reason, *_) = await why(house, job)
        assert (reason.code, f"easyjobs run --resume {of}, with" in reason.text) == ("no_worker", True)


@story
async def test_a_run_says_how_many_of_its_jobs_are_where(house: House) -> None:
    nodes = [Node("a", "add"), Node("b", "later"), Node("c", "add", ("a", "b")), Node("d", "add", ("c",))]
    peer = await open_worker(house, flow(*nodes, Node("e", "add")), slots=3)
    run = await house.submit("flow")
    first = await assigned(house, peer)
    peer.finish(first["e"])
    peer.fail(first["b"])
    await house.settle(60.0)
    (reason,) = await why(house, run.id)
    assert (reason.code, reason.since) == ("members", run.created_at)
    assert reason.text == (
        "It is a run of 5 jobs: 2 waiting, 1 running, 1 retry, 1 completed. Of these run: a (on w for 60 s); are "
        "tried again: b (due in 9 min); wait: d, c. Ask the same of them to learn more."
    )
    assert reason.jobs == [node_id(run.id, name) for name in "abdc"]


@story
async def test_queued_jobs_of_a_run_are_named_some_and_the_others_counted(house: House) -> None:
    peer = await open_worker(house, flow(*(Node(f"n{i:03}", "add") for i in range(200))), slots=1)
    run = await house.submit("flow")
    await assigned(house, peer)
    (reason,) = await why(house, run.id)
    assert "199 queued, 1 running" in reason.text
    assert "and 196 more" in reason.text
    assert len(reason.jobs) == 101


@story
async def test_a_run_that_may_not_begin_names_those_that_go_on(house: House) -> None:
    peer = await open_worker(house, flow(Node("a", "add"), concurrency=1))
    first, second = await house.submit("flow"), await house.submit("flow")
    nodes = await assigned(house, peer)
    (reason,) = await why(house, second.id)
    assert (reason.code, reason.jobs) == ("concurrency", [first.id])
    assert reason.text == (
        f"The `concurrency` of workflow q:flow is 1, and so many runs go on: {first.id}. "
        "It begins when one of them ends."
    )
    peer.finish(nodes["a"])
    await house.settle()
    (reason,) = await why(house, second.id)
    assert reason.code == "members"


@story
async def test_a_run_that_finds_every_worker_busy_waits_for_them(house: House) -> None:
    peer = await open_worker(house, flow(Node("a", "add"), concurrency=5), slots=1)
    await house.submit()
    await peer.begin()
    run = await house.submit("flow")
    assert (await why(house, run.id))[0].code == "workers_full"


@story
async def test_a_run_that_has_begun_is_not_late(house: House) -> None:
    peer = await open_worker(house, flow(Node("a", "add"), sla=5.0), slots=1)
    run = await house.submit("flow")
    await assigned(house, peer)
    await house.settle(60.0)
    assert [reason.code for reason in await why(house, run.id)] == ["members"]
    waits = await house.submit("flow")
    await house.settle(60.0)
    assert [reason.code for reason in await why(house, waits.id)] == ["workers_full", "late"]


@story
async def test_a_run_that_is_to_stop_waits_for_its_jobs(house: House) -> None:
    peer = await open_worker(house, flow(Node("a", "add")))
    run = await house.submit("flow")
    await assigned(house, peer)
    await house.hub.cancel(run.id, "ann")
    await peer.hear(Cancel)
    told, jobs = await why(house, run.id)
    assert (told.code, told.by) == ("cancelling", "ann")
    assert told.text == "ann asked it to stop. It ends when its jobs have, which were asked too."
    assert jobs.code == "members"


@story
async def test_how_a_run_ended(house: House) -> None:
    peer = await open_worker(house, flow(Node("a", "add")))
    good = await house.submit("flow")
    peer.finish((await assigned(house, peer))["a"])
    await house.settle()
    (reason,) = await why(house, good.id)
    assert (reason.code, reason.text) == ("completed", "It completed: all jobs of the run did.")
    bad = await house.submit("flow")
    peer.fail((await assigned(house, peer))["a"])
    await house.settle()
    (reason,) = await why(house, bad.id)
    assert reason.code == "failed"
    assert reason.text.startswith("It failed: RunFailed: 1 of 1 jobs did not complete (1 failed); the first is a (job ")
    assert reason.text.endswith(f"To run it again from where it failed: easyjobs runs retry {bad.id}.")
    await house.hub.pause("queue", "q", "me")
    never = await house.submit("flow")
    await house.hub.cancel(never.id, "ann")
    (reason,) = await why(house, never.id)
    assert reason.text == "It was cancelled by ann."
