"""An application of Taskflow at work, on a file and on PostgreSQL: pull workers of its own, runs from their start to
their end, what tasks are given, and what becomes of those that fail, take too long or are not wanted any more.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from serving import until

from easyjobs import BashTask, Task, Taskflow, TaskInstance, Workflow
from easyjobs.core.job import Job
from easyjobs.errors import ArgumentsRefused, Conflict, NotFound, Refused
from easyjobs.faces.pulling import pulling
from easyjobs.hub.hub import Hub
from easyjobs.protocol.messages import Submission
from easyjobs.stores.base import JobQuery


class Does(Task):
    """Calls what it was given."""

    def __init__(self, function: Any, **options: Any) -> None:
        super().__init__(**{"retry_delay": 0.01, **options})
        self.function = function

    def execute(self, task_instance: TaskInstance) -> Any:
        return self.function(task_instance)


class Awaits(Does):
    async def execute(self, task_instance: TaskInstance) -> Any:
        return await self.function(task_instance)


class Patient(Task):
    """Waits until it is told to stop."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.begun = threading.Event()
        self.told = threading.Event()
        self.killed: list[str] = []

    def execute(self, task_instance: TaskInstance) -> Any:
        self.begun.set()
        assert self.told.wait(20)
        self.told.clear()
        return "half of it"

    def on_kill(self, task_instance: TaskInstance) -> None:
        self.killed.append(task_instance.id)
        self.told.set()


class Monitor:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.alerts: list[tuple[str, bool]] = []

    def task_success(self, report: Any) -> None:
        self.told.append(("task_success", report.task))

    def task_failed(self, report: Any) -> None:
        self.told.append(("task_failed", report.task))

    def task_retry(self, report: Any) -> None:
        self.told.append(("task_retry", report.task))

    def workflow_success(self, report: Any) -> None:
        self.told.append(("workflow_success", report.task))

    def workflow_failed(self, report: Any) -> None:
        self.told.append(("workflow_failed", report.task))

    def alert(self, report: Any) -> None:
        self.alerts.append((report.kind, report.over))


class Broken(Monitor):
    def task_success(self, report: Any) -> None:
        raise RuntimeError("it is broken")


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.db'}"
    url: str = request.getfixturevalue("store_url")
    return url


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A store, where one is as good as another."""
    return f"sqlite:///{tmp_path / 'jobs.db'}"


@asynccontextmanager
async def working(taskflow: Taskflow, workers: int = 1, slots: int = 8) -> AsyncIterator[list[Hub]]:
    """So many pull workers, each with a hub of its own, as processes have."""
    async with AsyncExitStack() as stack:
        hubs = []
        for _ in range(workers):
            worker = taskflow.puller(max_tasks_per_worker=slots, name="puller")
            hubs.append(await stack.enter_async_context(pulling(worker, taskflow.store, monitors=taskflow.monitors)))
            await worker.start()
            stack.push_async_callback(worker.stop, 1.0)
            await until(lambda worker=worker: worker.connected)
        yield hubs


def flow(name: str = "flow", **options: Any) -> Workflow:
    return Workflow(name=name, **options)


def application(store: str, *parts: Task | Workflow, **options: Any) -> Taskflow:
    taskflow = Taskflow(store, **options)
    taskflow.add_workflows([part for part in parts if isinstance(part, Workflow)])
    taskflow.add_tasks([part for part in parts if isinstance(part, Task)])
    return taskflow


async def found(hub: Hub, **query: Any) -> list[Job]:
    return (await hub.store.find(JobQuery(**query, limit=1000))).items


async def nodes(hub: Hub, run: Job) -> dict[str, Job]:
    return {job.node or "": job for job in await found(hub, run=run.id)}


async def states(hub: Hub, run: Job) -> dict[str, str]:
    return {name: job.state for name, job in sorted((await nodes(hub, run)).items())}


def result(job: Job) -> Any:
    assert job.state == "completed", (job.state, job.error)
    return json.loads(job.result or "null")


# -- runs


async def test_callers_see_and_give_params_and_nothing_that_a_run_gives(file: str) -> None:
    work = flow()
    first = Does(lambda ti: 1, name="first", workflow=work, params={"rows": 2})
    Does(lambda ti: [ti.params, dict(ti.parents), ti.run is not None], name="last", workflow=work).depends_on(first)
    async with working(application(file, work)) as (hub,):
        shown = hub.queries.task("taskflow", "flow.first").spec.signature.schema()
        assert list(shown["properties"]) == ["params"]
        assert shown["properties"]["params"]["default"] == {"rows": 2}
        for given in ({"run": "x"}, {"given": {}}, {"parents": {"first": "x"}}):
            call = Submission(hub.job_id(), "taskflow", "flow.last", kwargs=msgspec.Raw(json.dumps(given).encode()))
            with pytest.raises(
                ArgumentsRefused, match=f"kwargs.{next(iter(given))}: given by the run that a job is part"
            ):
                await hub.submit([call])
        run = await application(file, work).queue_workflow_async("flow", {"day": "today"})
        assert (await hub.wait(run.id, 20)).state == "completed"
        last = (await nodes(hub, run))["last"]
        again = await hub.retry(last.id, "me")
        assert result(await hub.wait(again.id, 20)) == result(last) == [{"day": "today"}, {"first": 1}, True]


async def test_results_of_parents_are_read_by_their_children_in_both_kinds(store: str) -> None:
    pages = flow()
    extract = Does(lambda ti: {"rows": ti.params["rows"]}, name="extract", workflow=pages, params={"rows": 2})

    async def doubled(ti: TaskInstance) -> Any:
        return [list(ti.parents), ti.parents["extract"]["rows"] * 2, dict(ti.parents)]

    double = Awaits(doubled, name="double", workflow=pages).depends_on(extract)

    def summed(ti: TaskInstance) -> Any:
        return {"of": sorted(ti.parents), "sum": ti.parents["extract"]["rows"] + ti.parents["double"][1], "id": ti.id}

    Does(summed, name="total", workflow=pages).depends_on([extract, double])
    taskflow = application(store, pages)
    async with working(taskflow, workers=2) as (hub, other):
        run = await taskflow.queue_workflow_async("flow", {"rows": 5})
        assert result(await hub.wait(run.id, 20)) == {"jobs": 3}
        made = await nodes(other, run)
        assert result(made["double"]) == [["extract"], 10, {"extract": {"rows": 5}}]
        assert result(made["total"]) == {"of": ["double", "extract"], "sum": 15, "id": made["total"].id}
        alone = await taskflow.queue_task_async("flow.extract", {"rows": 7})
        assert result(await hub.wait(alone.id, 20)) == {"rows": 7}, "a task of a workflow may be run by itself"


async def test_parameters_of_a_run_of_one_task_and_its_own(file: str) -> None:
    settings = flow()

    def params(ti: TaskInstance) -> Any:
        assert (ti.workflow_name, ti.attempt) == ("flow", 1)
        return ti.params

    Does(params, name="a", workflow=settings, params={"x": "task", "y": "task", "z": "task"})
    Does(params, name="b", workflow=settings)
    taskflow = application(file, settings)
    async with working(taskflow) as (hub,):
        run = await taskflow.queue_workflow_async("flow", {"y": "run", "z": "run"}, tasks={"a": {"z": "one"}})
        await hub.wait(run.id, 20)
        made = await nodes(hub, run)
        assert result(made["a"]) == {"x": "task", "y": "run", "z": "one"}
        assert result(made["b"]) == {"y": "run", "z": "run"}
        assert (await hub.job(run.id)).state == "completed"
        with pytest.raises(Refused):
            await taskflow.queue_workflow_async("flow", tasks={"c": {}})


async def test_a_failed_task_skips_what_depends_on_it_and_a_repetition_keeps_what_had_completed(store: str) -> None:
    work = flow()
    ran: list[str] = []
    good = threading.Event()

    def noted(ti: TaskInstance) -> str:
        ran.append(ti.task_name)
        return ti.task_name

    def shaky(ti: TaskInstance) -> str:
        noted(ti)
        if not good.is_set():
            raise ValueError("not yet")
        return "ok"

    first = Does(noted, name="first", workflow=work)
    bad = Does(shaky, name="bad", workflow=work).depends_on(first)
    Does(lambda ti: [ti.parents["bad"], noted(ti)], name="last", workflow=work).depends_on(bad)
    Does(noted, name="aside", workflow=work)
    taskflow = application(store, work)
    async with working(taskflow) as (hub,):
        run = await taskflow.queue_workflow_async("flow")
        ended = await hub.wait(run.id, 20)
        assert ended.state == "failed"
        assert await states(hub, run) == {
            "aside": "completed",
            "bad": "failed",
            "first": "completed",
            "last": "skipped",
        }
        assert sorted(ran) == ["aside", "bad", "first"]
        good.set()
        ran.clear()
        again = await hub.retry(run.id, "ann")
        assert again.retry_of == run.id
        assert (await hub.wait(again.id, 20)).state == "completed"
        assert ran == ["bad", "last"]
        assert result((await nodes(hub, again))["last"]) == ["ok", "last"]


async def test_a_task_is_tried_again_and_tells_which_try_it_is(store: str) -> None:
    def third(ti: TaskInstance) -> int:
        ti.log(f"try {ti.attempt}")
        ti.progress(0.5, "half")
        if ti.attempt < 3:
            raise ValueError("again")
        return ti.attempt

    taskflow = application(store, Does(third, name="third", retries=2), Does(third, name="once"))
    async with working(taskflow) as (hub,):
        job = await taskflow.queue_task_async("third")
        assert result(await hub.wait(job.id, 20)) == 3
        once = await hub.wait((await taskflow.queue_task_async("once")).id, 20)
        assert (once.state, once.attempt) == ("failed", 1)


async def test_one_that_takes_too_long_is_told_to_stop_and_tried_again_or_fails(store: str) -> None:
    patient = Patient(name="patient", timeout=0.2, retries=1, retry_delay=0.01)
    taskflow = application(store, patient, BashTask("sleep 600", name="shell", timeout=0.3))
    async with working(taskflow) as (hub,):
        job = await taskflow.queue_task_async("patient")
        shell = await taskflow.queue_task_async("shell")
        ended = await hub.wait(job.id, 20)
        assert (ended.state, ended.attempt) == ("failed", 2)
        assert json.loads(ended.error or "{}")["message"] == "the task took longer than its timeout of 0.2 s"
        assert patient.killed == [job.id, job.id], "once each time"
        assert "timeout of 0.3 s" in ((await hub.wait(shell.id, 20)).error or "")


async def test_a_run_that_is_cancelled_stops_what_runs_and_lets_nothing_begin(store: str) -> None:
    work = flow()
    patient = Patient(name="patient", workflow=work)
    Does(lambda ti: None, name="never", workflow=work).depends_on(patient)
    taskflow = application(store, work)
    async with working(taskflow, workers=2) as (hub, other):
        run = await taskflow.queue_workflow_async("flow")
        await asyncio.to_thread(patient.begun.wait, 20)
        await other.cancel(run.id, "ann")
        ended = await hub.wait(run.id, 20)
        assert (ended.state, ended.cancel) == ("cancelled", "ann")
        made = await nodes(hub, run)
        assert {name: job.state for name, job in made.items()} == {"patient": "cancelled", "never": "cancelled"}
        assert patient.killed == [made["patient"].id]


async def test_so_many_of_a_task_and_of_a_workflow_go_on_at_once(store: str) -> None:
    lock, going, most = threading.Lock(), dict[str, int](), dict[str, int]()

    def counted(ti: TaskInstance) -> None:
        with lock:
            going[ti.task_name] = going.get(ti.task_name, 0) + 1
            most[ti.task_name] = max(most.get(ti.task_name, 0), going[ti.task_name])
        threading.Event().wait(0.01)
        with lock:
            going[ti.task_name] -= 1

    one, two = flow("one"), flow("two", concurrency=2)
    Does(counted, name="single", workflow=one, concurrency=None)
    Does(counted, name="pair", workflow=two, concurrency=None)
    taskflow = application(
        store, one, two, Does(counted, name="usual"), Does(counted, name="three", concurrency=3), queue="limits"
    )
    async with working(taskflow, workers=2) as (hub, _):
        jobs = [await taskflow.queue_task_async(name) for name in ["usual", "three"] * 6]
        jobs += [await taskflow.queue_workflow_async(name) for name in ["one", "two"] * 5]
        for job in jobs:
            assert (await hub.wait(job.id, 20)).state == "completed"
    assert (most["usual"], most["single"]) == (1, 1), "the default"
    assert (most["pair"], most["three"]) <= (2, 3)


async def test_the_urgent_are_first_by_name_and_by_number(store: str) -> None:
    order: list[str] = []
    named = [
        Does(lambda ti: order.append(ti.task_name), name=f"p{i}", default_priority=priority)
        for i, priority in enumerate(["low", "normal", 15, "high", "critical"])
    ]
    work = flow(default_priority="low")
    Does(lambda ti: order.append(ti.task_name), name="node", workflow=work)
    usual = flow("usual")
    for name in ("low", "high"):
        Does(lambda ti: order.append(ti.task_name), name=name, workflow=usual, default_priority=name)
    taskflow = application(store, work, usual, *named)
    run = await taskflow.queue_workflow_async("flow", priority="critical")
    jobs = [await taskflow.queue_task_async(f"p{i}") for i in range(5)]
    jobs.append(await taskflow.queue_task_async("p0", priority=99))
    async with working(taskflow, slots=1) as (hub,):
        for job in [*jobs, run]:
            assert (await hub.wait(job.id, 20)).state == "completed"
        assert (await hub.wait((await taskflow.queue_workflow_async("usual")).id, 20)).state == "completed"
    assert [order.pop(-2), order.pop()] == ["high", "low"], "in a run that is normal their own counts"
    assert order[0] == "p0"
    assert set(order[1:3]) == {"p4", "node"}, "the tasks of a run are as urgent as it"
    assert order[3:] == ["p2", "p3", "p1", "p0"]


async def test_the_same_key_is_the_same_job_and_a_time_is_waited_for(file: str) -> None:
    taskflow = application(file, Does(lambda ti: None, name="t"))
    first = await taskflow.queue_task_async("t", {"n": 1}, key="today")
    assert (await taskflow.queue_task_async("t", {"n": 1}, key="today")).id == first.id
    later = await taskflow.queue_task_async("t", run_at=first.created_at + 3600)
    assert (later.run_at, later.state) == (first.created_at + 3600, "queued")
    for name in ("nope", "flow.t"):
        with pytest.raises(NotFound, match="there are: t"):
            await taskflow.queue_task_async(name)
    with pytest.raises(NotFound, match=r"No workflow 't'; there are: none\."):
        await taskflow.queue_workflow_async("t")


# -- schedules and what is late


async def test_what_is_not_active_is_not_scheduled_until_it_is_switched_on(store: str) -> None:
    ran: list[str] = []
    off, on = (flow(name, schedule="* * * * *", active=name == "on") for name in ("off", "on"))
    for one in (off, on):
        Does(lambda ti: ran.append(ti.workflow_name), name="node", workflow=one)
    taskflow = application(store, off, on)
    async with working(taskflow) as (hub,):
        await until(lambda: len(hub.schedules.page(None, None, limit=9)[0]) == 2)
        paused = {view.row.id: view.paused is not None for view in hub.schedules.page(None, None, limit=9)[0]}
        assert paused == {"taskflow:off": True, "taskflow:on": False}
        run = await taskflow.queue_workflow_async("off")
        assert (await hub.wait(run.id, 20)).state == "completed", "by hand it runs"
        await hub.schedules.resume("taskflow:off")
    async with working(application(store, off, on)) as (hub,):
        await until(lambda: hub.schedules.page(None, None, limit=9)[0])
        assert hub.schedules.show("taskflow:off").paused is None, "who declares it anew does not switch it off again"


async def test_what_does_not_begin_in_time_is_told_of_once(store: str) -> None:
    monitor = Monitor()
    taskflow = application(store, Does(lambda ti: None, name="late", sla=0.05), monitors=[monitor])
    async with working(taskflow, workers=2) as (hub, other):
        await hub.pause("queue", "taskflow", "ann")
        await until(lambda: other.dispatcher.pauses)
        job = await taskflow.queue_task_async("late")
        await until(lambda: monitor.alerts)
        assert [reason.code for reason in (await hub.explainer.explain(job.id)).reasons] == ["queue_paused", "late"]
        await hub.resume("queue", "taskflow", "ann")
        await hub.wait(job.id, 20)
        await until(lambda: ("late", True) in monitor.alerts)
    assert monitor.alerts == [("late", False), ("late", True)]


# -- what is pushed, and what is run here


async def test_what_is_to_be_pushed_waits_and_says_so_until_it_is_run_by_its_id(store: str) -> None:
    work = flow()
    Does(lambda ti: ti.params, name="far", workflow=work, push_destination="aws_batch")
    taskflow = application(store, work)
    async with working(taskflow) as (hub,):
        run = await taskflow.queue_workflow_async("flow", {"n": 1})
        await until(lambda: found(hub, task="flow.far", state="queued"))
        job = (await until(lambda: nodes(hub, run)))["far"]
        (reason,) = (await hub.explainer.explain(job.id)).reasons
        assert reason.code == "no_destination"
        assert "'aws_batch', and no such destination is configured" in reason.text
        here = await taskflow.run_task_async(job.id)
        assert (here.id, result(here)) == (job.id, {"n": 1})
        assert (await hub.wait(run.id, 20)).state == "completed"
        with pytest.raises(Conflict, match="has ended: it is completed"):
            await taskflow.run_task_async(job.id)
        with pytest.raises(Conflict, match="has ended"):
            await taskflow.run_task_async(run.id)


async def test_one_job_is_run_here_and_no_other(file: str) -> None:
    ran: list[Any] = []
    shaky = Does(lambda ti: 1 / 0, name="shaky", retries=1, retry_delay=300)
    taskflow = application(file, Does(lambda ti: ran.append(ti.params), name="t"), shaky)
    waits = [await taskflow.queue_task_async("t", {"n": n}) for n in range(3)]
    assert (await taskflow.run_task_async("t", {"n": "new"})).state == "completed"
    assert ran == [{"n": "new"}]
    assert (await taskflow.run_task_async(waits[1].id)).id == waits[1].id
    assert ran == [{"n": "new"}, {"n": 1}]
    failed = await taskflow.run_task_async("shaky")
    assert (failed.state, failed.attempt) == ("retry", 1), "it is tried again by who works then"
    assert (await taskflow.run_task_async(failed.id)).state == "failed"
    for called in (taskflow.run_task_async, taskflow.queue_task_async):
        with pytest.raises(ArgumentsRefused, match="JSON has no nan"):
            await called("t", {"n": float("nan")})
    async with taskflow.hub() as hub:
        assert (await hub.job(waits[0].id)).state == "queued"
        for unknown in ("nope", hub.job_id()):
            with pytest.raises(NotFound):
                await taskflow.run_task_async(unknown)


async def test_who_stops_what_runs_here_cancels_a_new_job_and_hands_back_one_that_was_there(file: str) -> None:
    patient = Patient(name="p")
    taskflow = application(file, patient)
    waits = await taskflow.queue_task_async("p")
    for name in ("p", waits.id):
        running = asyncio.ensure_future(taskflow.run_task_async(name))
        await asyncio.to_thread(patient.begun.wait, 20)
        patient.begun.clear()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    async with taskflow.hub() as hub:
        (new,) = await found(hub, task="p", state="cancelled")
        assert patient.killed == [new.id, waits.id]
        assert (await hub.job(waits.id)).state == "queued"


async def test_it_is_run_here_also_where_others_have_nothing_to_do_or_must_wait_for_it(store: str) -> None:
    gate, begun = threading.Event(), threading.Event()

    def held(ti: TaskInstance) -> None:
        begun.set()
        assert gate.wait(20)

    taskflow = application(store, Does(lambda ti: None, name="quick"), Does(held, name="held"))
    async with working(taskflow, workers=2) as (hub, _):
        for _ in range(5):
            job = await taskflow.run_task_async("quick")
            assert (job.state, job.worker == "puller") == ("completed", False)
        first = await taskflow.queue_task_async("held")
        await asyncio.to_thread(begun.wait, 20)
        second = asyncio.ensure_future(taskflow.run_task_async("held"))
        await until(lambda: found(hub, task="held", state="queued"))
        assert not second.done()
        gate.set()
        assert (await second).state == "completed", "one of this task at a time: it has waited"
        assert (await hub.wait(first.id, 20)).worker == "puller"
        await hub.pause("task", "taskflow:quick", "ann")
        with pytest.raises(Conflict, match="is paused"):
            await taskflow.run_task_async("quick")
        assert not await found(hub, task="quick", state="queued"), "nothing was made"


# -- commands of the shell


async def test_a_command_has_its_parameters_in_its_environment_and_its_files(file: str, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("b\na\n")
    work = flow()
    made = BashTask(
        'sort; echo "$GREETING $TASKFLOW_PARAMS"',
        name="sorted",
        workflow=work,
        env={"GREETING": "hello"},
        input_file="in.txt",
        output_file="out.txt",
        cwd=str(tmp_path),
    )

    class Counted(BashTask):
        def get_command(self, task_instance: TaskInstance) -> str:
            assert task_instance.parents["sorted"] == {"returncode": 0}
            return f"test $(wc -l < out.txt) = {int(task_instance.params['lines'])} || exit 3"

    Counted(name="counted", workflow=work, cwd=str(tmp_path), params={"lines": 3}).depends_on(made)
    taskflow = application(file, work)
    async with working(taskflow) as (hub,):
        run = await taskflow.queue_workflow_async("flow", tasks={"sorted": {"text": "$(touch x); 'q'"}})
        assert (await hub.wait(run.id, 20)).state == "completed"
        assert (tmp_path / "out.txt").read_text() == 'a\nb\nhello {"text": "$(touch x); \'q\'"}\n'
        assert not (tmp_path / "x").exists()
        run = await taskflow.queue_workflow_async("flow", tasks={"counted": {"lines": 9}})
        assert (await hub.wait(run.id, 20)).state == "failed"
        assert "ended with status 3" in ((await nodes(hub, run))["counted"].error or "")


# -- monitors


async def test_monitors_are_told_and_one_that_fails_harms_nothing(store: str) -> None:
    monitor = Monitor()
    good, bad = flow("good"), flow("bad")
    Does(lambda ti: 1, name="node", workflow=good)
    Does(lambda ti: 1 / 0, name="node", workflow=bad, retries=1)
    taskflow = application(store, good, bad, monitors=[Broken(), monitor])
    async with working(taskflow) as (hub,):
        for name in ("good", "bad"):
            run = await taskflow.queue_workflow_async(name)
            await hub.wait(run.id, 20)
        await until(lambda: len(monitor.told) == 5)
    assert monitor.told == [
        ("task_success", "good.node"),
        ("workflow_success", "good"),
        ("task_retry", "bad.node"),
        ("task_failed", "bad.node"),
        ("workflow_failed", "bad"),
    ]


async def test_a_worker_that_ends_tells_what_runs_and_hands_it_back(store: str) -> None:
    patient = Patient(name="patient")
    taskflow = application(store, patient)
    worker = taskflow.puller(max_tasks_per_worker=1)
    async with pulling(worker, taskflow.store) as hub:
        await worker.start()
        job = await taskflow.queue_task_async("patient")
        await asyncio.to_thread(patient.begun.wait, 20)
        await worker.stop(0.0)
        row = await hub.job(job.id)
        assert (row.state, row.failures, patient.killed) == ("queued", 0, [job.id]), "half of it is no result"


async def test_processes_may_begin_at_once_where_there_is_nothing_yet(store: str) -> None:
    taskflow = application(store, Does(lambda ti: ti.params, name="t"))
    jobs = await asyncio.gather(*(taskflow.queue_task_async("t", {"n": n}) for n in range(6)))
    async with working(taskflow) as (hub,):
        assert [result(await hub.wait(job.id, 20)) for job in jobs] == [{"n": n} for n in range(6)]
