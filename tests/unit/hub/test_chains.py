"""Chains at work: prerequisites, followers, failures, and tasks that are registered later."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from house import House, Peer, spec, story

from easyjobs.core.job import Job
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import DefaultArgs, TaskSpec
from easyjobs.errors import Conflict, StoreUnavailable
from easyjobs.protocol.messages import Accepted, Assign, Assignment, Result, Submit
from easyjobs.stores.base import JobQuery

ONE = Signature(parameters=(Parameter("data"),))
TWO = Signature(parameters=(Parameter("data"), Parameter("more")))


async def worker(house: House, *tasks: TaskSpec, slots: int = 1000, worker_id: str = "w") -> Peer:
    """A worker that stays."""
    peer = await house.worker(*tasks, slots=slots, worker_id=worker_id)
    peer.keep_beating()
    return peer


async def given(peer: Peer, *tasks: str) -> list[Assignment]:
    """The assignments of these tasks, in this order, and no others."""
    found: dict[str, Assignment] = {}
    while len(found) < len(tasks):
        for a in (await peer.hear(Assign, within=5.0)).jobs:
            assert a.task in tasks, a.task
            assert a.task not in found, f"{a.task} was assigned twice"
            found[a.task] = a
    return [found[task] for task in tasks]


def given_all(peer: Peer) -> list[Assignment]:
    """All assignments that came and were not looked at yet."""
    found = [a for assign in peer.heard_of(Assign) for a in assign.jobs]
    peer.heard = [message for message in peer.heard if not isinstance(message, Assign)]
    return found


async def all_jobs(house: House) -> dict[str, Job]:
    """All jobs by their task; no task has two."""
    jobs = (await house.store.find(JobQuery(limit=1000))).items
    assert len({job.task for job in jobs}) == len(jobs), [job.task for job in jobs]
    return {job.task: job for job in jobs}


async def all_of(house: House, task: str) -> list[Job]:
    """All jobs of a task, oldest first."""
    return (await house.store.find(JobQuery(task=task))).items[::-1]


async def states_of(house: House) -> dict[str, str]:
    """The state of each job by its task."""
    await house.settle()
    return {task: job.state for task, job in (await all_jobs(house)).items()}


def call_of(a: Assignment) -> tuple[Any, Any]:
    return json.loads(bytes(a.args)), json.loads(bytes(a.kwargs))


# -- run_before


@story
async def test_prerequisites_run_side_by_side_before_their_job(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("a", run_before=("b", "c")), spec("b"), spec("c"))
    job = await house.submit("a", kwargs={"n": 1})
    assert (job.state, job.deps_left) == ("waiting", 2)
    b, c = await given(peer, "b", "c")
    peer.finish(b)
    await house.settle()
    assert (await house.row(job.id)).deps_left == 1
    peer.finish(c)
    (a,) = await given(peer, "a")
    assert (a.job, call_of(a)) == (job.id, ([], {"n": 1}))
    peer.finish(a)
    assert set((await states_of(house)).values()) == {"completed"}
    rows = await all_jobs(house)
    assert {(rows[t].parent, rows[t].relation, rows[t].followers) for t in "bc"} == {(job.id, "before", 1)}


@story
async def test_prerequisites_have_prerequisites_in_other_queues_too(house: House) -> None:
    await house.open()
    one = await worker(house, spec("a", run_before=("r:b",)))
    other = await worker(house, spec("b", "r", run_before=("c",)), spec("c", "r"), worker_id="v")
    await house.submit("a")
    assert await states_of(house) == {"a": "waiting", "b": "waiting", "c": "running"}
    other.finish((await given(other, "c"))[0])
    other.finish((await given(other, "b"))[0])
    one.finish((await given(one, "a"))[0])
    assert await states_of(house) == dict.fromkeys("abc", "completed")


@story
async def test_prerequisites_get_their_default_arguments_and_options(house: House) -> None:
    await house.open()
    first = TaskSpec("q", "b", ONE, spec(priority=2, timeout=9.0, retries=4, start_deadline=60.0).options)
    first = TaskSpec(first.queue, first.name, ONE, first.options, default_args=DefaultArgs("[7]"))
    await worker(house, spec("a", run_before=("b",), priority=5), first, slots=0)
    await house.submit("a")
    b = (await all_jobs(house))["b"]
    assert (b.state, b.args, b.kwargs, b.max_attempts, b.timeout) == ("queued", "[7]", "{}", 5, 9.0)
    assert b.priority == 5, "it is as urgent as the job that waits for it"
    assert b.deadline == b.created_at + 60.0


@story
async def test_prerequisites_run_once_for_a_job_and_not_once_for_an_attempt(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("a", run_before=("b",), retry_delay=1.0), spec("b"))
    await house.submit("a")
    peer.finish((await given(peer, "b"))[0])
    peer.fail((await given(peer, "a"))[0])
    (again,) = await given(peer, "a")
    assert again.attempt == 2
    peer.finish(again)
    assert await states_of(house) == dict.fromkeys("ab", "completed")


@story
async def test_a_job_that_is_put_off_runs_at_its_time_and_not_when_its_prerequisites_are_done(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("a", run_before=("b",)), spec("b"))
    job = await house.submit("a", delay=100.0)
    peer.finish((await given(peer, "b"))[0])
    await house.settle(99.0)
    assert (await house.row(job.id)).state == "queued"
    assert peer.held == {}
    await house.settle(2.0)
    assert list(peer.held) == [job.id]


@story
async def test_what_is_submitted_together_is_stored_with_all_prerequisites_or_not_at_all(house: House) -> None:
    await house.open()
    await worker(house, spec("a", run_before=("b", "c")), spec("b"), spec("c"), spec("d"), slots=0)
    taken = await house.submit("d", kwargs={"n": 1})
    with pytest.raises(Conflict):
        await house.hub.submit([house.job("a"), house.job("d", id=taken.id, kwargs={"n": 2})])
    assert await house.states() == {"queued": 1}
    same = house.job("a")
    first, second = await house.hub.submit([same]), await house.hub.submit([same])
    assert (first[0].created, second[0].created) == (True, False)
    assert await house.states() == {"queued": 3, "waiting": 1}


@story
async def test_a_socket_submits_many_jobs_with_prerequisites(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("a", run_before=("b",)), spec("b"))
    client = await house.client()
    jobs = [house.job("a", wait=True) for _ in range(50)]
    client.say(Submit(jobs))
    assert (await client.hear(Accepted)).ids == [job.id for job in jobs]
    await house.settle(1.0)
    for a in list(peer.held.values()):
        peer.finish(a)
    await house.settle(1.0)
    assert [a.task for a in peer.held.values()] == ["a"] * 50
    for a in list(peer.held.values()):
        peer.finish(a, 5)
    await house.settle(1.0)
    ended = [job for result in client.heard_of(Result) for job in result.jobs]
    assert sorted(job.id for job in ended) == sorted(job.id for job in jobs)


# -- run_after and on_failure


@story
async def test_followers_get_the_result_by_name_where_it_binds_and_else_whole(house: House) -> None:
    await house.open()
    tasks = [spec("b", signature=ONE), spec("c", signature=ONE, queue="r"), spec("a", run_after=("b", "r:c"))]
    peer = await worker(house, *tasks)
    await house.submit("a")
    a = await house.row((await given(peer, "a"))[0].job)
    peer.finish(peer.held[a.id], {"data": [1, 2]})
    b, c = await given(peer, "b", "c")
    assert call_of(b) == call_of(c) == ([], {"data": [1, 2]})
    rows = await all_jobs(house)
    assert {(rows[t].parent, rows[t].relation) for t in "bc"} == {(a.id, "after")}
    peer.finish(b, {"other": 1})
    peer.finish(c)
    again = await house.submit("a")
    await house.settle()
    peer.finish(peer.held[again.id], {"other": 1})
    await house.settle()
    assert [call_of(a) for a in peer.held.values()] == [([{"other": 1}], {})] * 2


@story
async def test_a_follower_begins_with_its_own_prerequisites(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("a", run_after=("b",)), spec("b", run_before=("c",), signature=ONE), spec("c"))
    await house.submit("a")
    peer.finish((await given(peer, "a"))[0], 5)
    assert await states_of(house) == {"a": "completed", "b": "waiting", "c": "running"}
    peer.finish((await given(peer, "c"))[0])
    (b,) = await given(peer, "b")
    assert call_of(b) == ([5], {})


@story
async def test_a_thousand_followers_are_made_with_the_end_of_their_parent(house: House) -> None:
    await house.open()
    names = tuple(f"t{n}" for n in range(1000))
    peer = await worker(house, spec("a", run_after=names), *(spec(name) for name in names))
    await house.submit("a")
    (a,) = await given(peer, "a")
    commits = house.store.commits
    peer.finish(a, {"n": 1})
    await house.settle(0.003)
    assert house.store.commits == commits + 1
    assert sum((await house.states()).values()) == 1001
    await house.settle(1.0)
    assert len(peer.held) == 1000


@story
async def test_a_follower_whose_arguments_do_not_bind_fails_at_once_and_its_failure_is_looked_after(
    house: House,
) -> None:
    await house.open()
    bad = spec("b", signature=TWO, on_failure="c")
    peer = await worker(house, spec("a", run_after=("b",)), bad, spec("c", signature=ONE))
    job = await house.submit("a")
    peer.finish((await given(peer, "a"))[0], 5)
    (c,) = await given(peer, "c")
    (failure,), _ = call_of(c)
    assert (failure["task"], failure["attempts"], failure["args"]) == ("b", 0, [5])
    assert failure["error"]["type"] == "ArgumentsRefused"
    assert "more: missing argument" in failure["error"]["message"]
    b = (await all_jobs(house))["b"]
    assert (b.state, b.parent, b.finished_at is not None) == ("failed", job.id, True)
    assert house.hub.admission.depth["q"] == 1


@story
async def test_a_failure_goes_to_the_task_that_looks_after_it(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("a", on_failure="b", retries=1, retry_delay=0.0), spec("b", signature=ONE))
    job = await house.submit("a", args=[1], kwargs={"s": "x"})
    peer.fail((await given(peer, "a"))[0])
    peer.fail((await given(peer, "a"))[0])
    (b,) = await given(peer, "b")
    assert call_of(b) == (
        [
            {
                "job": job.id,
                "task": "a",
                "queue": "q",
                "error": {"type": "ValueError", "message": "no", "traceback": "…"},
                "attempts": 2,
                "args": [1],
                "kwargs": {"s": "x"},
            }
        ],
        {},
    )
    row = await house.row(b.job)
    assert (row.parent, row.relation) == (job.id, "failure")


@story
async def test_a_job_that_looks_after_a_failure_of_its_own_task_does_so_once(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("a", on_failure="a", retries=0))
    await house.submit("a")
    for _ in range(2):
        peer.fail((await given(peer, "a"))[0])
    await house.settle(10.0)
    assert await house.states() == {"failed": 2}


@story
async def test_a_cancelled_job_starts_nobody(house: House) -> None:
    await house.open()
    tasks = [spec("a", run_after=("b",), on_failure="b"), spec("b")]
    await worker(house, *tasks, slots=0)
    job = await house.submit("a")
    await house.hub.cancel(job.id, "me")
    await house.settle()
    assert await house.states() == {"cancelled": 1}


@story
async def test_a_worker_s_death_that_fails_a_job_is_told_to_on_failure(house: House) -> None:
    await house.open()
    peer = await house.worker(spec("a", on_failure="b", retry_policy="never"))
    other = await worker(house, spec("b"), worker_id="v")
    await house.submit("a")
    await given(peer, "a")
    peer.drop()
    await house.settle(10.0)
    (b,) = await given(other, "b")
    assert call_of(b)[0][0]["error"]["type"] == "WorkerDied"


# -- ends that are bad


@story
async def test_a_prerequisite_that_fails_fails_all_that_wait_for_it_and_their_failures_are_looked_after(
    house: House,
) -> None:
    await house.open()
    peer = await worker(
        house,
        spec("a", run_before=("b",), on_failure="help"),
        spec("b", run_before=("c", "d")),
        spec("c", retries=0),
        spec("d"),
        spec("help"),
    )
    job = await house.submit("a")
    c, d = await given(peer, "c", "d")
    peer.fail(c)
    (help,) = await given(peer, "help")
    assert await states_of(house) == {
        "a": "failed",
        "b": "failed",
        "c": "failed",
        "d": "running",
        "help": "running",
    }
    (told,), _ = call_of(help)
    rows = await all_jobs(house)
    assert (told["job"], told["error"]["type"]) == (job.id, "PrerequisiteFailed")
    assert told["error"]["message"].startswith(f"b (job {rows['b'].id}) had to complete first, and ended as failed: ")
    assert f"c (job {c.job}) had to complete first, and ended as failed: ValueError: no" in told["error"]["message"]
    peer.finish(d)
    assert (await states_of(house))["a"] == "failed"
    assert house.hub.admission.depth["q"] == 1


@story
async def test_a_waiting_client_hears_of_a_job_that_failed_with_its_prerequisite(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("a", run_before=("b",)), spec("b", retries=0))
    job = await house.submit("a")
    waiting = house.spawn(house.hub.wait(job.id, 60.0))
    await house.settle()
    peer.fail((await given(peer, "b"))[0])
    assert (await waiting).state == "failed"


@pytest.mark.parametrize("how", ["cancel", "deadline"])
def test_a_prerequisite_that_never_runs_fails_what_waits_for_it(how: str) -> None:
    @story
    async def told(house: House) -> None:
        await house.open()
        await worker(house, spec("a", run_before=("b",)), spec("b", start_deadline=5.0), slots=0)
        await house.submit("a")
        b = (await all_jobs(house))["b"]
        if how == "cancel":
            await house.hub.cancel(b.id, "me")
        await house.settle(10.0)
        ended = {"cancel": "cancelled", "deadline": "skipped"}[how]
        assert await states_of(house) == {"a": "failed", "b": ended}
        error = json.loads((await all_jobs(house))["a"].error or "")
        assert f"ended as {ended}" in error["message"]

    told()


@story
async def test_prerequisites_that_fail_in_one_batch_fail_their_job_once(house: House) -> None:
    await house.open()
    tasks = [spec("a", run_before=("b", "c", "d"), on_failure="help"), spec("help")]
    peer = await worker(house, *tasks, *(spec(name, retries=0) for name in "bcd"))
    await house.submit("a")
    b, c, d = await given(peer, "b", "c", "d")
    peer.fail(b)
    peer.fail(c)
    peer.finish(d)
    await given(peer, "help")
    assert (await states_of(house))["a"] == "failed"


@story
async def test_cancelling_a_job_that_waits_cancels_what_was_made_for_it_alone(house: House) -> None:
    await house.open()
    shared = spec("u", unique=True)
    tasks = [spec("a", run_before=("b", "u")), spec("b", run_before=("c",)), spec("c"), spec("x", run_before=("u",))]
    await worker(house, *tasks, shared, slots=0)
    await house.submit("x")
    job = await house.submit("a")
    await house.hub.cancel(job.id, "me")
    assert await states_of(house) == {
        "a": "cancelled",
        "b": "cancelled",
        "c": "cancelled",
        "u": "queued",
        "x": "waiting",
    }


# -- tasks that nobody knows yet


@story
async def test_a_job_waits_for_a_prerequisite_until_somebody_registers_it(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("a", run_before=("r:b",)))
    await house.submit("a")
    await house.settle(1000.0)
    assert await states_of(house) == {"a": "waiting", "b": "waiting"}
    assert (await all_jobs(house))["b"].signature == ""
    await house.restart()
    await house.settle(10.0)
    late = await worker(
        house, TaskSpec("r", "b", ONE, spec(run_before=("c",)).options, default_args=DefaultArgs("[7]")), worker_id="v"
    )
    assert await states_of(house) == {"a": "waiting", "b": "waiting", "c": "waiting"}
    late = await worker(house, spec("c", "r"), spec("b", "r"), worker_id="v2")
    late.finish((await given(late, "c"))[0])
    await house.settle()
    del peer


@story
async def test_a_follower_waits_for_its_task_and_is_bound_when_that_is_known(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("a", run_after=("b", "c"), on_failure="d"))
    for _ in range(2):
        await house.submit("a")
    await house.settle()
    first, second = peer.held.values()
    peer.finish(first, {"data": 1})
    await house.settle()
    late = await worker(house, spec("b", signature=ONE), worker_id="v")
    (b,) = await given(late, "b")
    assert call_of(b) == ([], {"data": 1})
    await worker(house, spec("c", signature=TWO, on_failure="b"), worker_id="v2")
    await house.settle()
    (failed,) = (await house.store.find(JobQuery(task="c"))).items
    assert (failed.state, failed.args) == ("failed", '[{"data":1}]')
    helper = [a for a in late.held.values() if a.job != b.job]
    assert [call_of(a)[0][0]["task"] for a in helper] == ["c"]
    peer.fail(second, final=True)
    await house.settle()
    last = await worker(house, spec("d", signature=ONE), worker_id="v3")
    (d,) = await given(last, "d")
    assert call_of(d)[0][0]["job"] == second.job


@story
async def test_many_jobs_that_waited_for_one_task_are_all_let_go(house: House) -> None:
    await house.open()
    await worker(house, spec("a", run_before=("b",)))
    await house.hub.submit([house.job("a") for _ in range(1200)])
    late = await worker(house, spec("b"), slots=2000, worker_id="v")
    await house.settle(5.0)
    assert len(late.held) == 1200


@story
async def test_a_task_that_is_registered_while_its_follower_is_written_is_not_missed(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("a", run_after=("b",)))
    await house.submit("a")
    (a,) = await given(peer, "a")
    house.store.gate.clear()
    peer.finish(a)
    await asyncio.sleep(0.0005)
    house.hub.catalog.add(spec("b"), house.store.now())  # as a hello does, whose own commit waits
    house.store.gate.set()
    await house.settle()
    assert (await all_jobs(house))["b"].state == "queued"


@story
async def test_a_store_that_fails_while_they_are_looked_for_makes_nobody_wait_for_ever(house: House) -> None:
    await house.open()
    await worker(house, spec("a", run_before=("b",)))
    await house.submit("a")
    find, failures = house.store.find, [1, 1]

    async def failing(query: JobQuery) -> Any:
        if failures:
            failures.pop()
            raise StoreUnavailable("it does not answer")
        return await find(query)

    house.store.find = failing  # type: ignore[method-assign]
    late = await worker(house, spec("b"), worker_id="v")
    await house.settle(10.0)
    await given(late, "b")


# -- tasks that are unique


@story
async def test_a_unique_prerequisite_that_is_there_already_is_joined(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("a", run_before=("u",)), spec("u", unique=True, retries=0))
    jobs = [await house.submit("a") for _ in range(3)]
    (u,) = await given(peer, "u")
    row = await house.row(u.job)
    assert (row.followers, row.parent) == (3, jobs[0].id)
    peer.finish(u)
    await house.settle()
    assert sorted(a.job for a in given_all(peer)) == sorted(job.id for job in jobs)
    for a in list(peer.held.values()):
        peer.finish(a)
    more = [house.job("a") for _ in range(3)]
    await house.hub.submit(more)
    (u,) = await given(peer, "u")
    peer.fail(u)
    await house.settle()
    assert {(await house.row(job.id)).state for job in more} == {"failed"}


@story
async def test_one_prerequisite_serves_two_of_one_chain_where_it_is_unique(house: House) -> None:
    await house.open()
    tasks = [spec("a", run_before=("b", "c", "u", "q:u")), spec("b", run_before=("u",)), spec("c", run_before=("q:u",))]
    peer = await worker(house, *tasks, spec("u", unique=True))
    await house.submit("a")
    (u,) = await given(peer, "u")
    assert (await house.row(u.job)).followers == 3
    peer.finish(u)
    b, c = await given(peer, "b", "c")
    peer.finish(b)
    peer.finish(c)
    await given(peer, "a")


@pytest.mark.parametrize("key", [None, "k"])
@pytest.mark.parametrize("delay", [0.0, 0.001, 0.002, 0.003, 0.004])
def test_a_prerequisite_that_ends_while_it_is_being_joined_is_made_again(key: str | None, delay: float) -> None:
    @story
    async def told(house: House) -> None:
        await house.open()
        peer = await worker(house, spec("a", run_before=("u",)), spec("u", unique=True), slots=5)
        await house.submit("u")
        (u,) = await given(peer, "u")
        client = await house.client()
        client.say(Submit([house.job("a", key=key)]))
        await asyncio.sleep(delay)
        peer.finish(u)
        await house.settle()
        for a in list(peer.held.values()):
            assert a.task == ("u" if len(await all_of(house, "u")) == 2 else "a")
            peer.finish(a)
        await house.settle()
        for a in list(peer.held.values()):
            peer.finish(a)
        await house.settle()
        assert set(await house.states()) == {"completed"}
        assert [job.deps_left for job in await all_of(house, "a")] == [0]

    told()


@story
async def test_a_unique_follower_that_is_there_already_is_joined(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("a", run_after=("u", "q:u")), spec("u", unique=True, signature=ONE))
    await house.submit("u", args=[1])
    (u,) = await given(peer, "u")
    first = await house.submit("a")
    (a,) = await given(peer, "a")
    peer.finish(a, 1)
    await house.settle()
    assert (await house.row(first.id)).state == "completed"
    assert list(peer.held) == [u.job]
    peer.finish(u)
    await house.settle()
    assert (await house.row(u.job)).state == "completed"
    await house.submit("a")
    peer.finish((await given(peer, "a"))[0], 1)
    await given(peer, "u")


@story
async def test_a_unique_follower_that_ends_while_it_is_being_joined_is_made_after_all(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("a", run_after=("u",)), spec("u", unique=True, signature=ONE))
    await house.submit("u", args=[1])
    await house.submit("a")
    await house.settle()
    held = {a.task: a for a in peer.held.values()}
    peer.finish(held["a"], 1)
    await asyncio.sleep(0.0025)  # what stood in its way was told, and it is about to be decided anew
    peer.finish(held["u"])
    await house.settle()
    states = sorted((job.task, job.state) for job in (await house.store.find(JobQuery())).items)
    assert states in (
        [("a", "completed"), ("u", "completed")],
        [("a", "completed"), ("u", "completed"), ("u", "running")],
    )


@story
async def test_whatever_moves_first_the_end_of_a_prerequisite_is_decided_on_what_is_there(house: House) -> None:
    for delay in (0.0, 0.0005, 0.001, 0.0015, 0.002, 0.0025, 0.003):
        if house._hub is not None:
            await house.restart()
        else:
            await house.open()
        peer = await worker(house, spec("a", run_before=("b",), on_failure="c"), spec("b", retries=0), spec("c"))
        job = await house.submit("a")
        await house.settle()
        (b,) = [a for a in peer.held.values() if a.task == "b"]
        cancelling = house.spawn(house.hub.cancel(job.id, "me"))
        await asyncio.sleep(delay)
        peer.fail(b)
        await cancelling
        await house.settle(1.0)
        ended = await house.row(job.id)
        helpers = [c for c in (await house.store.find(JobQuery(parent=job.id))).items if c.relation == "failure"]
        assert (ended.state, len(helpers)) in (("cancelled", 0), ("failed", 1))
        assert (await house.row(b.job)).state == "failed"


@story
async def test_a_follower_that_is_deleted_while_its_prerequisite_fails_holds_nobody_up(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("a", run_before=("b",)), spec("b", retries=0))
    job = await house.submit("a")
    (b,) = await given(peer, "b")
    followers = house.store.followers

    async def and_then_gone(ids: Sequence[str]) -> Any:
        found = await followers(ids)
        house.store._jobs.pop(job.id, None)
        return found

    house.store.followers = and_then_gone  # type: ignore[method-assign]
    peer.fail(b)
    await house.settle(1.0)
    assert (await house.row(b.job)).state == "failed"


# -- run again


@story
async def test_a_job_that_is_run_again_gets_its_prerequisites_again_and_asking_twice_is_asking_once(
    house: House,
) -> None:
    await house.open()
    peer = await worker(house, spec("a", run_before=("b",), retries=0), spec("b"))
    job = await house.submit("a")
    peer.finish((await given(peer, "b"))[0])
    peer.fail((await given(peer, "a"))[0])
    await house.settle()
    first = await house.hub.retry(job.id, "me")
    second = await house.hub.retry(job.id, "me")
    assert first.id == second.id != job.id
    assert (first.retry_of, first.state) == (job.id, "waiting")
    peer.finish((await given(peer, "b"))[0])
    peer.finish((await given(peer, "a"))[0])
    await house.settle()
    third = await house.hub.retry(job.id, "me")
    assert (third.retry_of, third.state) == (first.id, "waiting"), "the last one has ended: here is another"
    assert (await house.hub.retry(first.id, "me")).id == third.id


# -- trouble


@pytest.mark.parametrize("fault", ["down", "unknown"])
def test_followers_are_made_once_whatever_becomes_of_the_commit(fault: str) -> None:
    @story
    async def told(house: House) -> None:
        await house.open()
        peer = await worker(house, spec("a", run_before=("b",), run_after=("c",)), spec("b"), spec("c"))
        await house.submit("a")
        (b,) = await given(peer, "b")
        house.store.faults = [fault]
        peer.finish(b)
        (a,) = await given(peer, "a")
        house.store.faults = [fault]
        peer.finish(a)
        await given(peer, "c")
        await house.settle(10.0)
        assert len(await all_jobs(house)) == 3

    told()


# -- what people see


@story
async def test_the_whole_chain_is_shown_from_its_root(house: House) -> None:
    await house.open()
    tasks = [spec("a", run_before=("b", "c"), run_after=("d",)), spec("b"), spec("c"), spec("d", signature=ONE)]
    peer = await worker(house, *tasks)
    job = await house.submit("a")
    b, c = await given(peer, "b", "c")
    peer.finish(b)
    await house.settle()
    kin = await house.hub.kin(job.id)
    assert (kin.children, kin.waits_for) == ([b.job, c.job], [c.job])
    peer.finish(c)
    peer.finish((await given(peer, "a"))[0], 5)
    (d,) = await given(peer, "d")
    await house.submit("b", parent=d.job)
    tree = await house.hub.tree(c.job)
    assert tree.root == job.id
    assert not tree.cut
    assert [(branch.job.task, branch.depth) for branch in tree.items] == [
        ("a", 0),
        ("b", 1),
        ("c", 1),
        ("d", 1),
        ("b", 2),
    ]
    assert tree.items[0].prerequisites == sorted([b.job, c.job])
    assert tree.items[-1].job.relation == "call"


@story
async def test_a_chain_of_very_many_jobs_is_shown_in_part(house: House) -> None:
    await house.open(spec())
    root = await house.submit()
    await house.hub.submit([house.job(parent=root.id) for _ in range(1100)])
    tree = await house.hub.tree(root.id)
    assert (len(tree.items), tree.cut) == (1000, True)
    assert len((await house.hub.kin(root.id)).children) == 1000


@story
async def test_a_unique_job_may_be_follower_and_prerequisite_of_one_end(house: House) -> None:
    await house.open()
    tasks = [spec("a", run_after=("x", "u", "y")), spec("x", run_before=("u",)), spec("y", run_before=("u",))]
    peer = await worker(
        house, *tasks, TaskSpec("q", "u", ONE, spec(unique=True).options, default_args=DefaultArgs("[1]"))
    )
    for there in (False, True):
        if there:
            await house.submit("u", args=[1])
        await house.submit("a")
        await house.settle()
        (a,) = [a for a in peer.held.values() if a.task == "a"]
        peer.finish(a, 1)
        await house.settle()
        (u,) = peer.held.values()
        assert (u.task, (await house.row(u.job)).followers) == ("u", 2)
        peer.finish(u)
        await house.settle()
        assert sorted(a.task for a in peer.held.values()) == ["x", "y"]
        for a in list(peer.held.values()):
            peer.finish(a)
        await house.settle()
    assert set(await house.states()) == {"completed"}
