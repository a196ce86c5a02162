"""Jobs that depend on what must be fresh, and groups: what becomes of them when their turn comes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from house import House, Peer, spec, story

from easyjobs.core import groups
from easyjobs.core.changes import Unit, Update
from easyjobs.core.job import Edge, Job
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import Need, TaskSpec, Value
from easyjobs.errors import ArgumentsRefused, StoreUnavailable
from easyjobs.protocol.messages import Assign, Assignment, Hello
from easyjobs.stores.base import JobQuery, Retention
from easyjobs.stores.memory import MemoryStore

HOUR = 3600.0
NUMBER = Parameter("number", {"type": "integer"})
PATH = Parameter("path", {"type": "string"})
LETTER = Parameter("letter", {"enum": ["A", "B"]}, required=False, default="A")
FOO = spec("foo", signature=Signature((PATH, NUMBER)))
SAME = (("path", Value(same="path")),)


def needing(name: str, *needs: Need, parameters: tuple[Parameter, ...] = (PATH, NUMBER), **options: Any) -> TaskSpec:
    return spec(name, signature=Signature(parameters), needs=needs, **options)


BAR = needing("bar", Need("foo", 6 * HOUR, SAME), parameters=(PATH, NUMBER, LETTER))
CALL = {"path": "/x", "number": 3}


def select(*values: Any, name: str = "b") -> Parameter:
    return Parameter(name, {"enum": [*values, "ALL"]})


GROUP = spec("cover", signature=Signature((Parameter("a"), select(1, 2, 3))), write_all=("b",))


async def worker(house: House, *tasks: TaskSpec, slots: int = 10, worker_id: str = "w") -> Peer:
    peer = await house.worker(*tasks, slots=slots, worker_id=worker_id)
    peer.keep_beating()
    return peer


def kwargs_of(a: Assignment) -> dict[str, Any]:
    call: dict[str, Any] = json.loads(bytes(a.kwargs))
    return call


def given_all(peer: Peer) -> list[Assignment]:
    """All assignments that came and were not looked at yet."""
    found = [a for assign in peer.heard_of(Assign) for a in assign.jobs]
    peer.heard = [message for message in peer.heard if not isinstance(message, Assign)]
    return found


async def jobs_of(house: House, task: str) -> list[Job]:
    """All jobs of a task, oldest first."""
    await house.settle()
    return (await house.store.find(JobQuery(task=task, limit=100_000))).items[::-1]


# -- what must be fresh


@story
async def test_what_it_depends_on_is_made_runs_first_and_is_more_urgent(house: House) -> None:
    await house.open()
    peer = await worker(house, FOO, BAR, slots=1)
    bar = await house.submit("bar", kwargs=CALL, priority=10)
    assert (bar.state, bar.turn) == ("queued", "check")
    first = await peer.begin()
    assert (first.task, kwargs_of(first)) == ("foo", CALL)
    foo, waiting = await house.row(first.job), await house.row(bar.id)
    assert (foo.parent, foo.relation, foo.priority, foo.followers) == (bar.id, "dependency", 11, 1)
    assert (waiting.state, waiting.deps_left, waiting.turn) == ("waiting", 1, None)
    peer.finish(first)
    second = await peer.begin()
    assert (second.job, second.task) == (bar.id, "bar")
    peer.finish(second)
    assert [job.state for job in await jobs_of(house, "bar")] == ["completed"]


@story
async def test_it_runs_at_once_while_it_is_fresh_and_not_a_moment_longer(house: House) -> None:
    await house.open()
    peer = await worker(house, FOO, BAR)
    await house.submit("foo", kwargs={"path": "/x", "number": 99})
    peer.finish(await peer.begin())
    await house.settle(6 * HOUR - 1.0)
    await house.submit("bar", kwargs=CALL)
    again = await peer.begin()
    assert again.task == "bar", "a job of any number will do: the Dependency leaves it out"
    peer.finish(again)
    await house.settle(1.0)
    await house.submit("bar", kwargs=CALL)
    assert (await peer.begin()).task == "foo"


@story
async def test_another_argument_is_not_fresh(house: House) -> None:
    await house.open()
    peer = await worker(house, FOO, BAR)
    await house.submit("foo", kwargs={"path": "/other", "number": 3})
    peer.finish(await peer.begin())
    await house.submit("bar", kwargs=CALL)
    assert (await peer.begin()).task == "foo"


@story
async def test_one_that_failed_was_not_completed(house: House) -> None:
    await house.open()
    peer = await worker(house, FOO, BAR)
    await house.submit("foo", kwargs=CALL, retries=0)
    peer.fail(await peer.begin())
    await house.submit("bar", kwargs=CALL)
    assert (await peer.begin()).task == "foo"


@story
async def test_freshness_outlives_the_job_and_a_restart_of_the_manager(house: House) -> None:
    await house.open()
    peer = await worker(house, FOO, BAR)
    await house.submit("foo", kwargs=CALL)
    peer.finish(await peer.begin())
    await house.settle()
    assert await house.store.prune(Retention(0.0, 0.0), 10) == 1
    await house.restart()
    peer = await worker(house, FOO, BAR, worker_id="w2")
    await house.submit("bar", kwargs=CALL)
    assert (await peer.begin()).task == "bar"


@story
async def test_an_equal_job_that_is_on_its_way_is_joined_and_hastened(house: House) -> None:
    await house.open()
    foos = await worker(house, FOO, slots=1, worker_id="foos")
    bars = await worker(house, BAR, worker_id="bars")
    await house.submit("foo", kwargs={"path": "/other", "number": 0})
    other = await foos.begin()
    theirs = await house.submit("foo", kwargs={"path": "/x", "number": 77})
    bar = await house.submit("bar", kwargs=CALL, priority=4)
    assert [job.id for job in await jobs_of(house, "foo")] == [other.job, theirs.id]
    row = await house.row(theirs.id)
    assert (row.priority, row.followers, row.parent) == (5, 1, None)
    foos.finish(other)
    running = await foos.begin()
    assert running.job == theirs.id
    again = await house.submit("bar", kwargs=CALL)
    await house.settle()
    foos.finish(running)
    assert {a.job for a in [*(await bars.hear(Assign)).jobs, *given_all(bars)]} == {bar.id, again.id}


@story
async def test_two_that_come_together_share_what_they_depend_on(house: House) -> None:
    await house.open()
    foos = await worker(house, FOO, worker_id="foos")
    bars = await worker(house, BAR, worker_id="bars")
    first, second = await house.hub.submit([house.job("bar", kwargs=CALL), house.job("bar", kwargs=CALL)])
    (foo,) = await jobs_of(house, "foo")
    assert foo.followers == 2
    foos.finish(await foos.begin())
    await house.settle()
    assert {a.job for a in given_all(bars)} == {first.job.id, second.job.id}


@story
async def test_a_dependency_may_depend_on_others_and_on_arithmetic(house: House) -> None:
    await house.open()
    day = Parameter("day", {"type": "integer"})
    load = needing("load", parameters=(day,))
    clean = needing(
        "clean", Need("load", HOUR, (("day", Value(same="day", steps=(("-", 1, False),))),)), parameters=(day,)
    )
    peer = await worker(house, load, clean, needing("report", Need("clean", HOUR), parameters=(day,)))
    await house.submit("report", kwargs={"day": 7})
    for task, number in (("load", 6), ("clean", 7), ("report", 7)):
        a = await peer.begin()
        assert (a.task, kwargs_of(a)) == (task, {"day": number})
        peer.finish(a)


@story
async def test_left_out_parameters_are_filled_in_from_the_job_the_default_and_the_choices(house: House) -> None:
    await house.open()
    theirs = Signature((NUMBER, LETTER, select(7, 8, name="size"), Parameter("x", required=False)))
    peer = await worker(house, spec("foo", signature=theirs), BAR)
    await house.submit("bar", kwargs={**CALL, "letter": "B"})
    (row,) = await jobs_of(house, "bar")
    assert row.state == "failed", "foo has no path"
    fits = needing("fits", Need("foo", HOUR), parameters=(NUMBER, LETTER))
    await worker(house, fits, worker_id="w2")
    await house.submit("fits", kwargs={"number": 3})
    assert kwargs_of(await peer.begin()) == {"number": 3, "letter": "A", "size": 7}


@story
async def test_a_job_whose_dependency_cannot_be_called_fails_and_says_why(house: House) -> None:
    await house.open()
    handler = spec("handler", signature=Signature((Parameter("failure"),)))
    lone = needing("lone", Need("foo", HOUR, SAME), parameters=(PATH,), on_failure="handler")
    peer = await worker(
        house, FOO, lone, handler, needing("wrong", Need("foo", HOUR), parameters=(PATH, Parameter("number")))
    )
    await house.submit("lone", kwargs={"path": "/x"})
    handled = await peer.begin()
    (row,) = await jobs_of(house, "lone")
    assert (row.state, handled.task) == ("failed", "handler")
    said = json.loads(row.error or "")["message"]
    assert said.startswith("It depends on foo, which cannot be called so. (number: has no value")
    await house.submit("wrong", kwargs={"path": "/x", "number": "three"})
    (row,) = await jobs_of(house, "wrong")
    assert row.state == "failed"
    assert '"three" is not of type "integer"' in json.loads(row.error or "")["message"]
    assert await jobs_of(house, "foo") == []


@story
async def test_a_job_fails_with_what_it_depends_on(house: House) -> None:
    await house.open()
    peer = await worker(house, spec("foo", signature=FOO.signature, retries=0), BAR)
    bar = await house.submit("bar", kwargs=CALL)
    peer.fail(await peer.begin())
    await house.settle()
    row = await house.row(bar.id)
    assert (row.state, json.loads(row.error or "")["type"]) == ("failed", "PrerequisiteFailed")


@story
async def test_what_was_made_for_a_job_that_is_cancelled_is_cancelled_too(house: House) -> None:
    await house.open()
    await worker(house, BAR)
    bar = await house.submit("bar", kwargs=CALL)
    (foo,) = await jobs_of(house, "foo")
    assert (foo.state, (await house.row(bar.id)).state) == ("waiting", "waiting")
    await house.hub.cancel(bar.id, "ann")
    assert [job.state for job in await jobs_of(house, "foo")] == ["cancelled"]


@story
async def test_a_dependency_that_nobody_declared_yet_is_made_when_somebody_does(house: House) -> None:
    await house.open()
    bars = await worker(house, BAR, worker_id="bars")
    bar = await house.submit("bar", kwargs=CALL)
    (foo,) = await jobs_of(house, "foo")
    assert (foo.state, foo.signature) == ("waiting", "")
    foos = await worker(house, FOO, worker_id="foos")
    a = await foos.begin()
    assert (a.job, kwargs_of(a)) == (foo.id, CALL)
    foos.finish(a)
    assert (await bars.begin()).job == bar.id


@story
async def test_a_dependency_that_turns_out_to_be_another_fails(house: House) -> None:
    await house.open()
    await worker(house, BAR, worker_id="bars")
    bar = await house.submit("bar", kwargs=CALL)
    await house.settle()
    await worker(house, spec("foo", signature=Signature((PATH, Parameter("needed")))), worker_id="foos")
    (foo,) = await jobs_of(house, "foo")
    assert (foo.state, (await house.row(bar.id)).state) == ("failed", "failed")


@story
async def test_its_turn_comes_when_it_could_begin_and_not_before(house: House) -> None:
    await house.open()
    peer = await worker(house, FOO, BAR, spec("long"), slots=1)
    await house.submit("long")
    long = await peer.begin()
    await house.submit("bar", kwargs=CALL)
    assert await jobs_of(house, "foo") == []
    peer.finish(long)
    assert (await peer.begin()).task == "foo"


@story
async def test_nothing_less_urgent_takes_the_slot_while_its_turn_is_taken(house: House) -> None:
    await house.open()
    peer = await worker(house, FOO, BAR, spec("small"), slots=1)
    await house.submit("foo", kwargs=CALL)
    running = await peer.begin()
    await house.submit("bar", kwargs=CALL, priority=5)
    await house.submit("small")
    await house.settle()
    peer.finish(running)
    assert (await peer.begin()).task == "bar"


@story
async def test_nothing_less_urgent_gets_in_between_what_it_depends_on_and_itself(house: House) -> None:
    await house.open()
    peer = await worker(house, FOO, BAR, spec("small"), slots=1)
    await house.submit("bar", kwargs=CALL, priority=5)
    await house.submit("small")
    began = []
    for _ in range(3):
        running = await peer.begin()
        began.append(running.task)
        peer.finish(running)
    assert began == ["foo", "bar", "small"]


@story
async def test_what_was_waited_for_is_not_begun_where_it_is_paused(house: House) -> None:
    await house.open()
    peer = await worker(house, FOO, BAR, spec("small"), slots=1)
    bar = await house.submit("bar", kwargs=CALL, priority=5)
    foo = await peer.begin()
    await house.submit("small")
    await house.hub.pause("task", f"{foo.queue}:bar", "ann")
    peer.finish(foo)
    assert (await peer.begin()).task == "small"
    assert (await house.row(bar.id)).state == "queued"


@story
async def test_a_job_that_was_retried_is_not_asked_again(house: House) -> None:
    await house.open()
    peer = await worker(house, FOO, BAR)
    await house.submit("bar", kwargs=CALL)
    peer.finish(await peer.begin())
    bar = await peer.begin()
    peer.fail(bar, delay=8 * HOUR)
    await house.settle(8 * HOUR + 1.0)
    assert (await peer.begin()).job == bar.job


@story
async def test_the_store_may_fail_while_a_turn_is_read(house: House) -> None:
    await house.open()
    peer = await worker(house, FOO, BAR)
    house.store.faults = ["", "down", "unknown"]
    await house.submit("bar", kwargs=CALL)
    first = await peer.begin()
    assert first.task == "foo"
    assert len(await jobs_of(house, "foo")) == 1


@story
async def test_what_cannot_be_written_fails_its_job_alone(house: House) -> None:
    await house.open()
    peer = await worker(house, FOO, BAR)
    house.store.rejects = lambda unit: any(
        getattr(getattr(w, "job", None), "relation", None) == "dependency" for w in unit.writes
    )
    bar = await house.submit("bar", kwargs=CALL)
    await house.settle()
    row = await house.row(bar.id)
    assert (row.state, json.loads(row.error or "")["type"]) == ("failed", "Unreadable")
    await house.submit("foo", kwargs=CALL)
    assert (await peer.begin()).task == "foo"


@story
async def test_arguments_that_no_longer_can_be_read_fail_the_job(house: House) -> None:
    await house.open(BAR, FOO)
    bar = await house.submit("bar", kwargs=CALL)
    house.store._jobs[bar.id].kwargs = "{"
    await worker(house, FOO, BAR)
    await house.settle()
    assert (await house.row(bar.id)).state == "failed"


# -- groups


@story
async def test_all_becomes_a_job_for_each_value_and_ends_with_them(house: House) -> None:
    await house.open()
    peer = await worker(house, GROUP)
    group = await house.submit("cover", kwargs={"a": 1, "b": "ALL"}, priority=3)
    assert (group.state, group.turn) == ("queued", "spread")
    members = (await peer.hear(Assign)).jobs
    assert [kwargs_of(a) for a in members] == [{"a": 1, "b": b} for b in (1, 2, 3)]
    row = await house.row(group.id)
    assert (row.state, row.turn, row.deps_left, row.attempt) == ("waiting", "gather", 3, 0)
    rows = [await house.row(a.job) for a in members]
    assert {(job.parent, job.relation, job.priority) for job in rows} == {(group.id, "member", 3)}
    peer.finish(members[0])
    await house.settle()
    assert json.loads(groups.shown_progress(await house.row(group.id)) or "") == {
        "value": 1 / 3,
        "note": "1 of 3 jobs have ended",
    }
    for a in members[1:]:
        peer.finish(a)
    await house.settle()
    row = await house.row(group.id)
    assert (row.state, row.result) == ("completed", '{"jobs":3}')
    assert row.finished_at is not None


@story
async def test_a_group_fails_after_all_when_one_of_its_jobs_did_not_complete(house: House) -> None:
    await house.open()
    peer = await worker(house, GROUP)
    group = await house.submit("cover", kwargs={"a": 1, "b": "ALL"}, retries=0)
    first, second, third = (await peer.hear(Assign)).jobs
    peer.fail(second)
    await house.settle()
    assert (await house.row(group.id)).state == "waiting"
    peer.finish(first)
    await house.hub.cancel(third.job, "ann")
    await house.settle()
    assert (await house.row(group.id)).state == "waiting"
    await house.settle(120.0)
    row = await house.row(group.id)
    assert row.state == "failed"
    error = json.loads(row.error or "")
    assert (error["type"], error["message"]) == (
        "MembersFailed",
        f"2 of 3 jobs did not complete (1 cancelled, 1 completed, 1 failed); the first is {min(second.job, third.job)}",
    )


@story
async def test_several_parameters_make_all_combinations(house: House) -> None:
    await house.open()
    both = spec("both", signature=Signature((select(1, 2), select("x", "y", name="c"))), write_all=("b", "c"))
    peer = await worker(house, both)
    await house.submit("both", args=["ALL"], kwargs={"c": "ALL"})
    calls = [kwargs_of(a) for a in (await peer.hear(Assign)).jobs]
    assert calls == [{"b": b, "c": c} for b in (1, 2) for c in ("x", "y")]
    await house.submit("both", kwargs={"b": 2, "c": "ALL"})
    assert [kwargs_of(a) for a in (await peer.hear(Assign)).jobs] == [{"b": 2, "c": "x"}, {"b": 2, "c": "y"}]


@story
async def test_what_a_group_waited_for_is_none_of_its_jobs(house: House) -> None:
    await house.open()
    cover = spec("cover", signature=GROUP.signature, write_all=("b",), run_before=("first",))
    peer = await worker(house, cover, spec("first"))
    group = await house.submit("cover", kwargs={"a": 1, "b": "ALL"})
    await house.settle()
    (first,) = given_all(peer)
    peer.finish(first)
    await house.settle()
    firsts = given_all(peer)
    while firsts:
        for a in firsts:
            peer.finish(a)
        await house.settle()
        firsts = given_all(peer)
    row = await house.row(group.id)
    assert (row.state, row.result) == ("completed", '{"jobs":3}')


@story
async def test_a_job_that_names_its_values_is_no_group(house: House) -> None:
    await house.open()
    peer = await worker(house, GROUP)
    job = await house.submit("cover", kwargs={"a": "ALL", "b": 2})
    assert job.turn is None
    assert (await peer.begin()).job == job.id


@story
async def test_members_of_a_group_look_for_what_each_of_them_needs(house: House) -> None:
    await house.open()
    day = spec("day", signature=Signature((select(1, 2),)))
    need = Need("day", HOUR, (("b", Value(same="b")),))
    both = spec("each", signature=Signature((select(1, 2),)), write_all=("b",), needs=(need,))
    peer = await worker(house, day, both)
    await house.submit("each", kwargs={"b": "ALL"})
    await house.settle()
    days = given_all(peer)
    assert [(a.task, kwargs_of(a)) for a in days] == [("day", {"b": 1}), ("day", {"b": 2})]
    peer.finish(days[1])
    a = await peer.begin()
    assert (a.task, kwargs_of(a)) == ("each", {"b": 2})


@story
async def test_what_follows_a_group_follows_each_of_its_jobs_and_not_the_group(house: House) -> None:
    await house.open()
    cover = spec("cover", signature=GROUP.signature, write_all=("b",), run_after=("after",))
    peer = await worker(house, cover, spec("after"))
    await house.submit("cover", kwargs={"a": 1, "b": "ALL"})
    for a in (await peer.hear(Assign)).jobs:
        peer.finish(a)
    for a in (await peer.hear(Assign)).jobs:
        peer.finish(a)
    assert len(await jobs_of(house, "after")) == 3


@story
async def test_who_depends_on_all_of_them_waits_for_the_group(house: House) -> None:
    await house.open()
    need = Need("cover", HOUR, (("b", Value("ALL")),))
    peer = await worker(house, GROUP, needing("total", need, parameters=(Parameter("a"),)))
    await house.submit("total", kwargs={"a": 1})
    for a in (await peer.hear(Assign)).jobs:
        peer.finish(a)
    assert (await peer.begin()).task == "total"
    await house.submit("total", kwargs={"a": 1})
    assert (await peer.begin()).task == "total"
    assert len(await jobs_of(house, "cover")) == 4


@story
async def test_a_group_that_is_cancelled_takes_its_jobs_with_it(house: House) -> None:
    await house.open()
    peer = await worker(house, GROUP, slots=2)
    group = await house.submit("cover", kwargs={"a": 1, "b": "ALL"})
    await peer.hear(Assign)
    await house.hub.cancel(group.id, "ann")
    await house.settle()
    _, *members = await jobs_of(house, "cover")
    assert [(job.state, job.cancel) for job in members] == [
        ("running", "ann"),
        ("running", "ann"),
        ("cancelled", "ann"),
    ]


@story
async def test_a_large_group_is_made_in_parts_and_waits_for_the_last(house: House) -> None:
    await house.open()
    values = range(groups.PAGE + 7)
    large = spec("large", signature=Signature((select(*values),)), write_all=("b",))
    peer = await worker(house, large, slots=1)
    group = await house.submit("large", kwargs={"b": "ALL"})
    first = await peer.begin()
    await house.settle()
    row = await house.row(group.id)
    assert (row.state, row.deps_left) == ("waiting", groups.PAGE + 7)
    assert len(await jobs_of(house, "large")) == groups.PAGE + 8
    peer.finish(first)
    assert kwargs_of(await peer.begin()) == {"b": 1}


@story
async def test_members_of_a_large_group_that_fail_while_others_are_made_count(house: House) -> None:
    await house.open()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "PAGE", 2)
        large = spec("large", signature=Signature((select(*range(20)),)), write_all=("b",), retries=0)
        peer = await worker(house, large, slots=100)
        group = await house.submit("large", kwargs={"b": "ALL"})
        failed: list[str] = []
        while (await house.row(group.id)).state != "failed":
            for a in given_all(peer):
                failed.append(a.job)
                peer.fail(a)
            assert house.loop.time() < 1100, "it waits for members that ended"
            await house.settle(0.001)
    assert len(failed) == 20
    assert "20 of 20 jobs did not complete" in ((await house.row(group.id)).error or "")


@story
async def test_a_group_that_is_too_large_is_refused_at_the_door(house: House) -> None:
    wide = tuple(Parameter(name, {"enum": [*range(30), "ALL"]}) for name in "abc")
    await house.open(spec("wide", signature=Signature(wide), write_all=("a", "b", "c")))
    with pytest.raises(ArgumentsRefused, match="together they are 27000 jobs; 10000 are allowed"):
        await house.submit("wide", kwargs=dict.fromkeys("abc", "ALL"))
    assert (await house.submit("wide", kwargs={"a": "ALL", "b": "ALL", "c": 1})).turn == "spread"


@story
async def test_members_of_a_unique_task_join_what_is_there(house: House) -> None:
    await house.open()
    unique = spec("cover", signature=GROUP.signature, write_all=("b",), unique=True)
    peer = await worker(house, unique, slots=9)
    theirs = await house.submit("cover", kwargs={"a": 1, "b": 2})
    first = await peer.begin()
    group = await house.submit("cover", kwargs={"a": 1, "b": "ALL"})
    others = (await peer.hear(Assign)).jobs
    assert [kwargs_of(a)["b"] for a in others] == [1, 3]
    assert {edge.prerequisite for edge in await house.store.edges([group.id])} == {theirs.id, *(a.job for a in others)}
    for a in (*others, first):
        peer.finish(a)
    await house.settle()
    assert ((await house.row(group.id)).state, (await house.row(group.id)).result) == ("completed", '{"jobs":3}')


@story
async def test_a_group_ends_though_nobody_is_free_and_though_the_manager_dies_before(house: House) -> None:
    await house.open()
    peer = await worker(house, GROUP, slots=3)
    group = await house.submit("cover", kwargs={"a": 1, "b": "ALL"})
    members = (await peer.hear(Assign)).jobs
    for a in members[:2]:
        peer.finish(a)
    await house.settle()
    house.hub.committer._judge.turned = lambda jobs: None
    peer.finish(members[2])
    await house.settle()
    row = await house.row(group.id)
    assert (row.state, row.deps_left) == ("waiting", 0)
    await house.crash()
    await house.open()
    await worker(house, GROUP, worker_id="w2")
    await house.settle(60.0)
    assert (await house.row(group.id)).state == "completed"


# -- what may come in between


@story
async def test_a_circle_with_a_task_that_nobody_offers_any_more_fails_the_job_with_its_path(house: House) -> None:
    await house.open(needing("one", Need("two", HOUR)))
    await worker(house, needing("two", Need("one", HOUR)), worker_id="w2")
    await house.submit("two", kwargs=CALL)
    (row,) = await jobs_of(house, "two")
    assert row.state == "failed"
    assert "a task may not depend on itself: two → one → two" in json.loads(row.error or "")["message"]


@story
async def test_a_worker_that_closes_a_circle_is_refused(house: House) -> None:
    await house.open()
    await worker(house, needing("one", Need("two", HOUR)), worker_id="w1")
    for wrong in (needing("two", Need("one", HOUR)), needing("three", Need("no name!", HOUR))):
        peer = Peer(house)
        peer.say(Hello(1, "worker", worker_id="w2", name="w2", tasks=[wrong], slots=1))
        await peer.until_closed()
        assert "two → one → two" in peer.reason or "cannot name a task" in peer.reason


@story
async def test_one_that_ends_while_it_is_about_to_be_joined_is_looked_for_again(house: House) -> None:
    await house.open()
    peer = await worker(house, FOO, BAR)
    await house.submit("foo", kwargs=CALL)
    foo = await peer.begin()
    coming = house.store.coming

    async def slow(queue: str, task: str, limit: int) -> list[Job]:
        found = await coming(queue, task, limit)
        peer.finish(foo)
        await house.settle()
        return found

    house.store.coming = slow  # type: ignore[method-assign]
    bar = await house.submit("bar", kwargs=CALL)
    assert (await peer.begin()).job == bar.id
    assert len(await jobs_of(house, "foo")) == 1


@story
async def test_a_group_that_changes_while_it_ends_ends_all_the_same(house: House) -> None:
    await house.open()
    peer = await worker(house, GROUP, slots=3)
    group = await house.submit("cover", kwargs={"a": 1, "b": "ALL"})
    edges = house.store.edges

    async def changing(ids: Sequence[str]) -> list[Edge]:
        row = await house.row(group.id)
        if not row.priority:
            await MemoryStore.commit(house.store, [Unit([Update(row, {"priority": 9})])])
        return await edges(ids)

    house.store.edges = changing  # type: ignore[method-assign]
    for a in (await peer.hear(Assign)).jobs:
        peer.finish(a)
    await house.settle(1.0)
    row = await house.row(group.id)
    assert (row.state, row.priority) == ("completed", 9)


@story
async def test_what_cannot_be_read_of_others_is_not_joined(house: House) -> None:
    await house.open(FOO, BAR)
    theirs = await house.submit("foo", kwargs=CALL)
    house.store._jobs[theirs.id].kwargs = "{"
    peer = await worker(house, BAR)
    await house.submit("bar", kwargs=CALL)
    assert [job.relation for job in await jobs_of(house, "foo")] == [None, "dependency"]
    assert given_all(peer) == []


@story
async def test_the_store_may_be_away_while_facts_are_read(house: House) -> None:
    await house.open()
    peer = await worker(house, FOO, BAR)
    reads = house.store.fresh

    async def away(keys: Sequence[str]) -> dict[str, float]:
        house.store.fresh = reads  # type: ignore[method-assign]
        raise StoreUnavailable("it does not answer")

    house.store.fresh = away  # type: ignore[method-assign]
    await house.submit("bar", kwargs=CALL)
    assert (await peer.begin()).task == "foo"


@story
async def test_a_group_says_what_it_waits_for_and_how_it_ended(house: House) -> None:
    await house.open()
    peer = await worker(house, GROUP)
    for end, text in (
        (peer.finish, "It completed: all jobs of the group did."),
        (peer.fail, "It failed with its group: MembersFailed: 3 of 3 jobs did not complete"),
    ):
        group = await house.submit("cover", kwargs={"a": 1, "b": "ALL"}, retries=0)
        await house.settle()
        (reason,) = (await house.hub.explainer.explain(group.id)).reasons
        assert (reason.code, len(reason.jobs)) == ("members", 3)
        assert reason.text.startswith("It is a group, of which 3 jobs of 3 have not ended: ")
        for a in given_all(peer):
            end(a)
        await house.settle()
        assert (await house.hub.explainer.explain(group.id)).reasons[0].text.startswith(text)


@story
async def test_a_large_group_that_is_cancelled_half_made_takes_all_with_it(house: House) -> None:
    await house.open()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "PAGE", 2)
        large = spec("large", signature=Signature((select(*range(100)),)), write_all=("b",))
        await worker(house, large, slots=1)
        group = await house.submit("large", kwargs={"b": "ALL"})
        while (await house.row(group.id)).deps_left < 10:
            await house.settle(0.001)
        await house.hub.cancel(group.id, "ann")
        row, *members = await jobs_of(house, "large")
    assert (row.state, row.turn) == ("cancelled", "spread")
    assert 10 <= len(members) < 100
    assert {(job.state, job.cancel) for job in members} <= {("cancelled", "ann"), ("running", "ann")}


@story
async def test_a_group_that_can_no_longer_be_read_fails(house: House) -> None:
    await house.open(GROUP)
    group = await house.submit("cover", kwargs={"a": 1, "b": "ALL"})
    house.store._jobs[group.id].kwargs = "[]"
    await worker(house, GROUP)
    await house.settle()
    row = await house.row(group.id)
    assert (row.state, json.loads(row.error or "")["type"]) == ("failed", "ArgumentsRefused")


@story
async def test_a_store_that_stays_away_is_asked_now_and_then(house: House) -> None:
    await house.open()
    peer = await worker(house, FOO, BAR)
    reads, asked = house.store.fresh, []

    async def away(keys: Sequence[str]) -> dict[str, float]:
        asked.append(house.clock.wall())
        raise StoreUnavailable("it does not answer")

    house.store.fresh = away  # type: ignore[method-assign]
    await house.submit("bar", kwargs=CALL)
    await house.settle(60.0)
    assert 3 < len(asked) < 10
    house.store.fresh = reads  # type: ignore[method-assign]
    assert (await peer.begin()).task == "foo"


@story
async def test_a_unique_group_is_there_once(house: House) -> None:
    await house.open(spec("cover", signature=GROUP.signature, write_all=("b",), unique=True))
    first = await house.submit("cover", kwargs={"a": 1, "b": "ALL"})
    assert (await house.submit("cover", kwargs={"a": 1, "b": "ALL"})).id == first.id
