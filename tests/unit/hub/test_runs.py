"""Runs of workflows: when their nodes begin, what these are given, and how a run ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from house import ANY, House, Peer, spec, story

from easyjobs.core import workflow
from easyjobs.core.changes import Claim, Committed, Insert, Unit
from easyjobs.core.events import CancelRequested
from easyjobs.core.job import Job
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import Options, TaskSpec
from easyjobs.core.workflow import Graph, Node, Take
from easyjobs.errors import Conflict, NotFound
from easyjobs.hub.entries import Word
from easyjobs.hub.running import PAGE, item_id, node_id
from easyjobs.protocol.messages import Assign, Assignment, Cancel
from easyjobs.stores.base import JobQuery

ADD = spec("add", retries=0)
DOUBLE = spec("double", signature=Signature((Parameter("n", {"type": "integer"}),)), retries=0)
TOTAL = spec("total", signature=Signature((Parameter("numbers"),)), retries=0)
DIAMOND = (Node("a", "add"), Node("b", "add", ("a",)), Node("c", "add", ("a",)), Node("d", "add", ("b", "c")))


def flow(
    *nodes: Node, name: str = "flow", signature: Signature = ANY, returns: Take | None = None, **o: Any
) -> TaskSpec:
    graph = Graph(workflow.order(nodes), returns)
    return TaskSpec("q", name, signature, Options(**{"retries": 0, **o}), kind="workflow", graph=graph)


async def worker(house: House, *tasks: TaskSpec, slots: int = 10, worker_id: str = "w") -> Peer:
    peer = await house.worker(*tasks, slots=slots, worker_id=worker_id)
    peer.keep_beating()
    return peer


async def nodes(house: House, run: Job) -> dict[str, Job]:
    """The jobs of a run by the names of their nodes."""
    await house.settle()
    rows = (await house.store.find(JobQuery(run=run.id, limit=100_000))).items
    return {row.node or row.task: row for row in rows}


async def states(house: House, run: Job) -> dict[str, str]:
    return {name: row.state for name, row in sorted((await nodes(house, run)).items())}


async def given(house: House, peer: Peer) -> dict[str, Assignment]:
    """The jobs that came and were not looked at yet, by node."""
    await house.settle()
    found = [a for assign in peer.heard_of(Assign) for a in assign.jobs]
    peer.heard = [message for message in peer.heard if not isinstance(message, Assign)]
    return {(await house.row(a.job)).node or a.task: a for a in found}


def call_of(a: Assignment) -> list[Any]:
    return [json.loads(bytes(a.args)), json.loads(bytes(a.kwargs))]


@story
async def test_nodes_run_side_by_side_as_soon_as_those_before_them_are_done(house: House) -> None:
    await house.open()
    peer = await worker(house, ADD, flow(*DIAMOND))
    run = await house.submit("flow")
    assert (run.turn, run.state) == ("expand", "queued")
    first = await given(house, peer)
    assert list(first) == ["a"]
    row = await house.row(run.id)
    assert (row.state, row.turn, row.deps_left) == ("waiting", "close", 1)
    peer.finish(first["a"])
    both = await given(house, peer)
    assert sorted(both) == ["b", "c"]
    peer.finish(both["b"])
    assert await given(house, peer) == {}, "d waits for c"
    peer.finish(both["c"])
    peer.finish((await given(house, peer))["d"])
    await house.settle()
    row = await house.row(run.id)
    assert (row.state, row.result) == ("completed", '{"jobs":4}')
    made = await nodes(house, run)
    assert {job.relation for job in made.values()} == {"node"}
    assert {job.parent for job in made.values()} == {run.id}
    assert made["a"].id == node_id(run.id, "a")


@story
async def test_a_failed_node_skips_what_depends_on_it_and_fails_the_run(house: House) -> None:
    await house.open()
    peer = await worker(house, ADD, flow(*DIAMOND, Node("e", "add")))
    run = await house.submit("flow")
    first = await given(house, peer)
    peer.finish(first["a"])
    both = await given(house, peer)
    peer.fail(both["b"])
    await house.settle()
    assert (await states(house, run)) == {
        "a": "completed",
        "b": "failed",
        "c": "running",
        "d": "skipped",
        "e": "running",
    }
    peer.finish(first["e"])
    await house.settle()
    assert (await house.row(run.id)).state == "waiting", "c goes on, although nothing waits for it any more"
    peer.finish(both["c"])
    await house.settle()
    row = await house.row(run.id)
    assert row.state == "failed"
    error = json.loads(row.error or "")
    assert error["type"] == "RunFailed"
    assert error["message"].startswith(
        "2 of 5 jobs did not complete (3 completed, 1 failed, 1 skipped); the first is b ("
    )


@story
async def test_results_go_into_the_calls_that_take_them(house: House) -> None:
    await house.open()
    take = Take(("args", 0), "first", ("rows", 1))
    graph = flow(
        Node("first", "add", args='["x"]'),
        Node("second", "double", args="[null]", takes=(take,)),
        Node("third", "add", kwargs='{"n":{"deep":[null]}}', takes=(Take(("kwargs", "n", "deep", 0), "second"),)),
        Node("fourth", "add", takes=(Take(("kwargs", "s"), "third", job=True),)),
        returns=Take((), "third"),
    )
    peer = await worker(house, ADD, DOUBLE, graph)
    run = await house.submit("flow")
    first = (await given(house, peer))["first"]
    assert call_of(first) == [["x"], {}]
    peer.finish(first, {"rows": [1, 21]})
    second = (await given(house, peer))["second"]
    assert call_of(second) == [[21], {}]
    assert (await house.row(second.job)).turn is None
    peer.finish(second, 42)
    third = (await given(house, peer))["third"]
    assert call_of(third) == [[], {"n": {"deep": [42]}}]
    peer.finish(third, "end")
    fourth = (await given(house, peer))["fourth"]
    assert call_of(fourth) == [[], {"s": node_id(run.id, "third")}], (
        "the job itself, and its result when it is asked for"
    )
    peer.finish(fourth)
    await house.settle()
    assert (await house.row(run.id)).result == '"end"'


@story
async def test_a_result_that_has_not_what_is_taken_fails_the_node_clearly(house: House) -> None:
    await house.open()
    peer = await worker(house, ADD, flow(Node("a", "add"), Node("b", "add", takes=(Take(("args", 0), "a", ("x",)),))))
    run = await house.submit("flow")
    peer.finish((await given(house, peer))["a"], [1])
    row = (await nodes(house, run))["b"]
    assert (row.state, json.loads(row.error or "")["message"]) == ("failed", "There is nothing at x for args.0.")
    assert (await house.row(run.id)).state == "failed"


@story
async def test_the_arguments_of_the_run_go_into_its_nodes(house: House) -> None:
    await house.open()
    parameters = Signature((Parameter("day"), Parameter("more", required=False, default={"s": 5})))
    takes = (Take(("kwargs", "n"), path=("day",)), Take(("kwargs",), path=("more",)))
    optional = (Take(("kwargs", "n"), path=("more", "n"), optional=True),)
    graph = flow(Node("a", "add", takes=takes), Node("b", "add", takes=optional), signature=parameters)
    peer = await worker(house, ADD, graph)
    await house.submit("flow", kwargs={"day": "monday"})
    both = await given(house, peer)
    assert call_of(both["a"]) == [[], {"n": "monday", "s": 5}]
    assert call_of(both["b"]) == [[], {}]


@story
async def test_a_run_whose_nodes_cannot_be_called_fails_before_any_of_them_runs(house: House) -> None:
    await house.open()
    peer = await worker(house, ADD, DOUBLE, flow(Node("a", "add"), Node("b", "double", kwargs='{"x":1}')))
    run = await house.submit("flow")
    assert await given(house, peer) == {}
    row = await house.row(run.id)
    assert row.state == "failed"
    assert "Task b cannot be called" in json.loads(row.error or "")["message"]
    assert await nodes(house, run) == {}


# -- maps


SUM = (
    Node("list", "add"),
    Node("each", "double", args="[null]", over=Take(("args", 0), "list")),
    Node("sum", "total", args="[null]", takes=(Take(("args", 0), "each"),)),
)


@story
async def test_a_map_is_a_job_for_each_item_and_its_result_the_list_of_theirs(house: House) -> None:
    await house.open()
    peer = await worker(house, ADD, DOUBLE, TOTAL, flow(*SUM, returns=Take((), "sum")))
    run = await house.submit("flow")
    peer.finish((await given(house, peer))["list"], [1, 2, 3])
    each = await given(house, peer)
    assert {name: call_of(a) for name, a in each.items()} == {f"each[{i}]": [[i + 1], {}] for i in range(3)}
    for name in ("each[2]", "each[0]", "each[1]"):
        peer.finish(each[name], 2 * call_of(each[name])[0][0])
    total = (await given(house, peer))["sum"]
    assert call_of(total) == [[[2, 4, 6]], {}], "in the order of the items, whatever the order of their ends"
    peer.finish(total, 12)
    await house.settle()
    assert ((await house.row(run.id)).state, (await house.row(run.id)).result) == ("completed", "12")


@story
async def test_a_map_over_nothing_is_an_empty_list(house: House) -> None:
    await house.open()
    peer = await worker(house, ADD, DOUBLE, TOTAL, flow(*SUM))
    await house.submit("flow")
    peer.finish((await given(house, peer))["list"], [])
    assert call_of((await given(house, peer))["sum"]) == [[[]], {}]


@story
async def test_a_map_over_what_is_no_list_fails(house: House) -> None:
    await house.open()
    peer = await worker(house, ADD, DOUBLE, TOTAL, flow(*SUM))
    run = await house.submit("flow")
    peer.finish((await given(house, peer))["list"], {"a": 1})
    each = (await nodes(house, run))["each"]
    assert json.loads(each.error or "")["message"] == "Only a list can be mapped over, not dict."
    assert (await states(house, run))["sum"] == "skipped"


@story
async def test_one_bad_item_fails_the_map_when_the_others_are_done(house: House) -> None:
    await house.open()
    peer = await worker(house, ADD, DOUBLE, TOTAL, flow(*SUM))
    run = await house.submit("flow")
    peer.finish((await given(house, peer))["list"], [1, 2, 3])
    each = await given(house, peer)
    peer.fail(each["each[1]"])
    peer.finish(each["each[0]"])
    await house.settle()
    assert (await states(house, run))["each"] == "waiting"
    peer.finish(each["each[2]"])
    assert (await states(house, run))["each"] == "failed"
    assert "the first is each[1] (" in json.loads((await nodes(house, run))["each"].error or "")["message"]
    assert (await house.row(run.id)).state == "failed"


@story
async def test_a_wide_map_is_made_in_pages(house: House) -> None:
    await house.open()
    peer = await worker(
        house, DOUBLE, flow(Node("each", "double", args="[null]", over=Take(("args", 0), path=("n",)))), slots=2000
    )
    run = await house.submit("flow", kwargs={"n": list(range(2 * PAGE + 1))})
    each = await given(house, peer)
    assert len(each) == 2 * PAGE + 1
    assert call_of(each[f"each[{2 * PAGE}]"]) == [[2 * PAGE], {}]
    for a in each.values():
        peer.finish(a, 1)
    await house.settle()
    row = (await nodes(house, run))["each"]
    assert row.state == "completed"
    assert len(json.loads(row.result or "")) == 2 * PAGE + 1
    assert (await house.row(run.id)).state == "completed"


# -- large graphs


@story
async def test_a_graph_of_several_pages_begins_when_it_is_whole(house: House) -> None:
    await house.open()
    fan = [Node(f"n{i}", "add") for i in range(2 * PAGE)]
    last = Node("last", "add", after=tuple(node.name for node in fan))
    peer = await worker(house, ADD, flow(*fan, last), slots=3000)
    run = await house.submit("flow")
    all_of_them = await given(house, peer)
    assert len(all_of_them) == 2 * PAGE
    for a in all_of_them.values():
        peer.finish(a)
    peer.finish((await given(house, peer))["last"])
    await house.settle()
    assert (await house.row(run.id)).state == "completed"


@story
async def test_who_waits_for_a_long_run_does_not_begin_when_that_is_whole(house: House) -> None:
    await house.open()
    long = flow(*(Node(f"n{i}", "add") for i in range(PAGE + 1)), name="long")
    peer = await worker(house, ADD, long, flow(Node("inner", "long"), Node("after", "add", ("inner",))), slots=3000)
    run = await house.submit("flow")
    all_of_them = await given(house, peer)
    assert len(all_of_them) == PAGE + 1
    assert await states(house, run) == {"inner": "waiting", "after": "waiting"}
    for a in all_of_them.values():
        peer.finish(a)
    assert list(await given(house, peer)) == ["after"]


@story
async def test_a_run_that_is_cancelled_between_two_pages_shows_what_was_never_made_as_planned(house: House) -> None:
    await house.open()
    commit = house.store.commit

    async def cancelled_between(units: Sequence[Unit], claim: Claim | None = None) -> Committed:
        committed = await commit(units, claim)
        inserted = [write.job for unit in units for write in unit.writes if isinstance(write, Insert)]
        if len(inserted) == PAGE:
            house.hub.committer.add(Word(inserted[0].run or "", CancelRequested("me")))
        return committed

    house.store.commit = cancelled_between  # type: ignore[method-assign]
    await worker(house, ADD, flow(*(Node(f"n{i}", "add") for i in range(PAGE + 2))))
    run = await house.submit("flow")
    await house.settle(1.0)
    assert (await house.row(run.id)).state == "cancelled"
    await house.hub.delete(node_id(run.id, "n0"))
    seen, _ = await house.hub.runs.nodes(run.id, 0, 2 * PAGE)
    assert [view.node.name for view in seen if view.removed] == ["n0"]
    assert {view.node.name for view in seen if view.job is None} == {"n0", f"n{PAGE}", f"n{PAGE + 1}"}
    (later, *_), _ = await house.hub.runs.nodes(run.id, PAGE, 1)
    assert not later.removed
    row = await house.row(run.id)
    graph = house.hub.runs.graph(row)
    assert graph is not None
    states = await house.hub.runs.states(row, graph)
    assert (states["n0"], states["n1"]) == ("removed", "cancelled")
    assert f"n{PAGE}" not in states


@story
async def test_a_node_whose_page_comes_after_the_bad_end_of_what_it_waits_for_is_skipped(house: House) -> None:
    await house.open()
    fan = [Node(f"n{i}", "add") for i in range(PAGE)]
    commit, made = house.store.commit, []

    async def cancelled_between(units: Sequence[Unit], claim: Claim | None = None) -> Committed:
        committed = await commit(units, claim)
        inserted = [write.job for unit in units for write in unit.writes if isinstance(write, Insert)]
        if len(inserted) == PAGE:
            made.append(inserted[7].node)
            house.hub.committer.add(Word(inserted[7].id, CancelRequested("me")))
        return committed

    house.store.commit = cancelled_between  # type: ignore[method-assign]
    last = [Node("last", "add", after=tuple(node.name for node in fan)), Node("very-last", "add", after=("last",))]
    peer = await worker(house, ADD, flow(*fan, *last), slots=3000)
    run = await house.submit("flow")
    await house.settle(1.0)
    all_of_them = await given(house, peer)
    assert (len(all_of_them), made) == (PAGE - 1, ["n7"])
    rows = await nodes(house, run)
    assert (rows["last"].state, rows["very-last"].state) == ("skipped", "skipped")
    assert "add (job" in (rows["last"].error or "")
    for a in all_of_them.values():
        peer.finish(a)
    await house.settle()
    assert (await house.row(run.id)).state == "failed"


# -- cancel, retry


@story
async def test_a_run_that_is_cancelled_ends_when_its_nodes_have(house: House) -> None:
    await house.open()
    peer = await worker(house, ADD, flow(*DIAMOND))
    run = await house.submit("flow")
    first = (await given(house, peer))["a"]
    row = await house.hub.cancel(run.id, "me")
    await house.settle()
    assert (row.state, (await house.row(run.id)).cancel) == ("waiting", "me")
    assert [held.job for cancel in peer.heard_of(Cancel) for held in cancel.jobs] == [first.job]
    assert (await states(house, run)) == {"a": "running", "b": "cancelled", "c": "cancelled", "d": "cancelled"}
    peer.fail(first)
    await house.settle()
    assert (await house.row(run.id)).state == "cancelled"


@story
async def test_a_run_that_has_not_begun_is_cancelled_at_once(house: House) -> None:
    await house.open()
    peer = await worker(house, ADD, flow(*DIAMOND), slots=1)
    await house.submit("add")
    await peer.begin()
    run = await house.submit("flow")
    assert (await house.hub.cancel(run.id, "me")).state == "cancelled"


@story
async def test_a_manager_that_died_while_it_stopped_a_run_stops_it_when_it_is_back(house: House) -> None:
    await house.open()
    peer = await worker(house, ADD, flow(*DIAMOND))
    run = await house.submit("flow")
    await given(house, peer)
    house.hub.delivery.abandoned = lambda job: None  # as if it died before it swept
    await house.hub.cancel(run.id, "me")
    await house.settle()
    assert (await states(house, run))["d"] == "waiting"
    await house.restart()
    await house.settle()
    assert (await states(house, run))["d"] == "cancelled"


@story
async def test_a_run_that_is_repeated_keeps_what_had_completed(house: House) -> None:
    await house.open()
    graph = flow(*SUM, Node("aside", "add"), returns=Take((), "sum"))
    peer = await worker(house, ADD, DOUBLE, TOTAL, graph)
    run = await house.submit("flow")
    first = await given(house, peer)
    peer.finish(first["list"], [1, 2, 3])
    each = await given(house, peer)
    peer.finish(each["each[0]"], 2)
    peer.fail(each["each[1]"])
    peer.finish(each["each[2]"], 6)
    peer.finish(first["aside"], "aside")
    await house.settle()
    assert (await house.row(run.id)).state == "failed"
    again = await house.hub.retry(run.id, "me")
    assert again.retry_of == run.id
    rest = await given(house, peer)
    assert list(rest) == ["each[1]"], "nothing else runs again"
    peer.finish(rest["each[1]"], 4)
    total = (await given(house, peer))["sum"]
    assert call_of(total) == [[[2, 4, 6]], {}]
    peer.finish(total, 12)
    await house.settle()
    row = await house.row(again.id)
    assert (row.state, row.result) == ("completed", "12")
    kept = (await nodes(house, again))["aside"]
    assert (kept.state, kept.result, kept.retry_of) == ("completed", '"aside"', node_id(run.id, "aside"))
    assert (await house.row(item_id(node_id(again.id, "each"), 2))).retry_of == item_id(node_id(run.id, "each"), 2)


@story
async def test_a_run_that_had_completed_is_repeated_whole(house: House) -> None:
    await house.open()
    peer = await worker(house, ADD, flow(Node("a", "add")))
    run = await house.submit("flow")
    peer.finish((await given(house, peer))["a"])
    await house.settle()
    await house.hub.retry(run.id, "me")
    assert list(await given(house, peer)) == ["a"]


@story
async def test_a_run_that_goes_on_cannot_be_repeated(house: House) -> None:
    await house.open()
    peer = await worker(house, ADD, flow(Node("a", "add")))
    run = await house.submit("flow")
    await given(house, peer)
    with pytest.raises(Conflict):
        await house.hub.retry(run.id, "me")


# -- limits, unknown tasks, runs in runs


@story
async def test_only_so_many_runs_of_a_workflow_go_on_at_once(house: House) -> None:
    await house.open()
    peer = await worker(house, ADD, flow(Node("a", "add"), concurrency=2))
    runs = [await house.submit("flow") for _ in range(4)]
    await house.settle()
    assert [(await house.row(run.id)).state for run in runs] == ["waiting", "waiting", "queued", "queued"]
    for states_then in (
        ["completed", "queued", "waiting", "waiting"],
        ["completed", "completed", "waiting", "waiting"],
        ["completed", "completed", "completed", "waiting"],
        ["completed"] * 4,
    ):
        peer.finish(next(iter(peer.held.values())))
        await house.settle()
        assert sorted([(await house.row(run.id)).state for run in runs]) == states_then


@story
async def test_a_node_whose_task_nobody_offers_yet_waits_for_it(house: House) -> None:
    await house.open()
    late = Node("late", "later", ("a",), args="[null]", takes=(Take(("args", 0), "a"),))
    peer = await worker(house, ADD, flow(Node("a", "add"), late))
    run = await house.submit("flow")
    peer.finish((await given(house, peer))["a"], 7)
    assert (await states(house, run))["late"] == "waiting"
    other = await worker(house, spec("later"), worker_id="w2")
    got = (await given(house, other))["late"]
    assert call_of(got) == [[7], {}]
    other.finish(got)
    await house.settle()
    assert (await house.row(run.id)).state == "completed"


@story
async def test_a_node_may_be_a_run_itself(house: House) -> None:
    await house.open()
    inner = flow(Node("x", "add"), name="inner", returns=Take((), "x"))
    outer = flow(Node("sub", "inner"), Node("after", "add", args="[null]", takes=(Take(("args", 0), "sub"),)))
    peer = await worker(house, ADD, inner, outer)
    run = await house.submit("flow")
    x = (await given(house, peer))["x"]
    sub = (await nodes(house, run))["sub"]
    assert (sub.run, (await house.row(x.job)).run) == (run.id, sub.id)
    peer.finish(x, 5)
    after = (await given(house, peer))["after"]
    assert call_of(after) == [[5], {}]
    peer.finish(after)
    await house.settle()
    assert (await house.row(run.id)).state == "completed"


@story
async def test_a_cancelled_run_cancels_the_runs_in_it(house: House) -> None:
    await house.open()
    inner = flow(Node("x", "add"), name="inner")
    peer = await worker(house, ADD, inner, flow(Node("sub", "inner")))
    run = await house.submit("flow")
    x = (await given(house, peer))["x"]
    await house.hub.cancel(run.id, "me")
    await house.settle()
    peer.fail(x)
    await house.settle()
    assert ((await house.row(run.id)).state, (await states(house, run))["sub"]) == ("cancelled", "cancelled")


@story
async def test_priorities_of_nodes(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("add", priority=3), flow(Node("a", "add"), Node("b", "add", priority=8)))
    run = await house.submit("flow")
    await given(house, peer)
    assert {name: row.priority for name, row in (await nodes(house, run)).items()} == {"a": 3, "b": 8}
    run = await house.submit("flow", priority=5)
    await given(house, peer)
    assert {name: row.priority for name, row in (await nodes(house, run)).items()} == {"a": 5, "b": 8}


# -- what is shown


@story
async def test_runs_are_shown_with_their_nodes(house: House) -> None:
    await house.open()
    peer = await worker(house, ADD, flow(*DIAMOND))
    run = await house.submit("flow")
    await house.submit("add")
    first = await given(house, peer)
    (view,), following = await house.hub.runs.page(JobQuery())
    assert (view.job.id, view.state, view.counts, view.nodes, following) == (
        run.id,
        "running",
        {"running": 1, "waiting": 3},
        4,
        None,
    )
    shown, more = await house.hub.runs.nodes(run.id, 1, 2)
    assert ([(one.node.name, one.job and one.job.state) for one in shown], more) == (
        [("b", "waiting"), ("c", "waiting")],
        3,
    )
    seen, _ = await house.hub.runs.nodes(run.id, 0, 4, {first["a"].job: Job("seen before", "q", "t")})
    assert [one.job and one.job.id == "seen before" for one in seen] == [True, False, False, False]
    with pytest.raises(NotFound):
        await house.hub.runs.run(first["a"].job)
    (known,) = await house.hub.runs.workflows()
    assert (known.entry.lane.task, known.open_runs) == ("flow", 1)
    with pytest.raises(NotFound, match="known: flow"):
        await house.hub.runs.workflow("other")


@story
async def test_a_run_goes_by_the_graph_that_it_began_with(house: House) -> None:
    await house.open()
    old = flow(*DIAMOND)
    peer = await worker(house, ADD, old)
    run = await house.submit("flow")
    await given(house, peer)
    await worker(house, ADD, flow(Node("other", "add")), worker_id="w2")
    graph = house.hub.runs.graph(await house.row(run.id))
    assert graph is not None
    assert [node.name for node in graph.nodes] == ["a", "b", "c", "d"]
    assert msgspec.json.encode(graph) == msgspec.json.encode(old.graph)


@story
async def test_a_run_that_ended_as_its_manager_died_ends_with_the_next_though_no_worker_has_its_graph(
    house: House,
) -> None:
    await house.open()
    peer = await worker(house, ADD, flow(Node("a", "add")))
    run = await house.submit("flow")
    a = (await given(house, peer))["a"]
    house.hub.committer._judge.turned = lambda jobs: None  # as if it died in that moment
    peer.finish(a)
    await house.settle()
    assert ((await house.row(run.id)).state, (await house.row(run.id)).deps_left) == ("waiting", 0)
    await house.restart()
    await worker(house, ADD, flow(Node("other", "add")), worker_id="w2")
    await house.settle()
    assert (await house.row(run.id)).state == "completed"


@story
async def test_a_run_that_has_not_begun_goes_by_the_graph_that_workers_have_then(house: House) -> None:
    await house.open()
    peer = await worker(house, ADD, flow(Node("a", "add")), slots=1)
    await house.submit("add")
    await peer.begin()
    run = await house.submit("flow")
    peer.drop()
    await house.settle(60.0)
    await worker(house, ADD, flow(Node("b", "add")), worker_id="w2")
    await house.settle()
    assert list(await nodes(house, run)) == ["b"]
