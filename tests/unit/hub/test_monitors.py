"""Destinations are told what a manager committed: what ended, what is tried again, alerts, and that it schedules."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from house import ANY, House, spec, story

from easyjobs.core import workflow
from easyjobs.core.job import Job
from easyjobs.core.task import Options, TaskSpec
from easyjobs.core.workflow import Graph, Node
from easyjobs.errors import ConfigurationError
from easyjobs.hub.hub import Hub
from easyjobs.monitors.reports import HOOKS
from easyjobs.protocol.messages import Ack
from easyjobs.stores.memory import MemoryStore


class Told:
    """Keeps what it is told of some hooks."""

    def __init__(self, *hooks: str) -> None:
        self.heard: list[tuple[str, Any]] = []
        for hook in hooks or HOOKS:
            setattr(self, hook, self._hook(hook))

    def _hook(self, hook: str) -> Any:
        async def told(report: Any) -> None:
            self.heard.append((hook, report))

        return told

    def of(self, hook: str) -> list[Any]:
        return [report for name, report in self.heard if name == hook]


@story
async def test_successes_failures_and_retries_are_told_with_all_that_is_known(house: House) -> None:
    told = Told()
    house.monitors = [told]
    await house.open()
    worker = await house.worker(spec(retries=1, retry_delay=10.0))
    worker.keep_beating()
    good = await house.submit()
    begun = await worker.begin()
    await house.settle(3.0)
    worker.finish(begun, {"big": "result"})
    bad = await house.submit()
    worker.fail(await worker.begin())
    await house.settle(1.0)
    worker.fail(await worker.begin())
    await house.settle(1.0)
    (success,), (retry,), (failure,) = told.of("task_success"), told.of("task_retry"), told.of("task_failed")
    assert (success.id, success.queue, success.task, success.state) == (good.id, "q", "add", "completed")
    assert (success.worker, success.attempt, success.error) == ("w", 1, None)
    assert 3.0 <= success.duration <= 3.1
    assert (retry.id, retry.state, retry.attempt, retry.failures) == (bad.id, "retry", 1, 1)
    assert retry.error == {"type": "ValueError", "message": "no", "traceback": "…"}
    assert retry.run_at > retry.at
    assert retry.duration is not None
    assert (failure.id, failure.state, failure.attempt, failure.max_attempts) == (bad.id, "failed", 2, 2)
    assert failure.error == retry.error
    assert failure.finished_at is not None
    assert success.manager == failure.manager != ""
    assert [hook for hook, _ in told.heard if hook != "heartbeat_scheduler"] == [
        "task_success",
        "task_retry",
        "task_failed",
    ]


@story
async def test_a_crash_is_a_retry_and_a_job_that_was_handed_back_is_none(house: House) -> None:
    told = Told("task_retry")
    house.monitors = [told]
    await house.open()
    worker = await house.open_worker()
    job = await house.submit()
    await worker.begin()
    worker.drop()
    await house.settle(8.0)
    (retry,) = told.of("task_retry")
    assert (retry.id, retry.attempt, retry.worker) == (job.id, 1, "w")
    assert retry.error is not None
    assert retry.error["type"] == "WorkerDied"


@story
async def test_nobody_is_told_of_what_was_cancelled(house: House) -> None:
    told = Told()
    house.monitors = [told]
    await house.open(spec())
    job = await house.submit()
    await house.hub.cancel(job.id, "somebody")
    await house.settle(1.0)
    assert {hook for hook, _ in told.heard} == {"heartbeat_scheduler"}


@story
async def test_a_run_is_told_as_a_workflow_and_its_nodes_with_its_name(house: House) -> None:
    told = Told()
    house.monitors = [told]
    await house.open()
    graph = Graph(workflow.order([Node("a", "add"), Node("b", "add", ("a",))]))
    flow = TaskSpec("q", "nightly", ANY, Options(retries=0), kind="workflow", graph=graph)
    worker = await house.worker(spec(retries=0), flow)
    worker.keep_beating()
    run = await house.submit("nightly")
    worker.finish(await worker.begin())
    second = await worker.begin()
    await house.settle()
    await house.restart()  # a manager that has not seen the run begin asks the store for its name
    worker, _ = await house.again(worker)
    worker.keep_beating()
    worker.finish(second)
    await house.settle(1.0)
    assert [(r.node, r.run, r.workflow) for r in told.of("task_success")] == [
        ("a", run.id, "nightly"),
        ("b", run.id, "nightly"),
    ]
    (ended,) = told.of("workflow_success")
    assert (ended.id, ended.run, ended.task, ended.workflow, ended.node) == (run.id, run.id, "nightly", "nightly", None)
    assert ended.duration is not None
    await house.submit("nightly")
    worker.fail(await worker.begin())
    await house.settle(1.0)
    (failed,) = told.of("workflow_failed")
    assert failed.workflow == "nightly"
    assert failed.error is not None
    assert [r.node for r in told.of("task_failed")] == ["a"], "what was skipped is told to nobody"


@story
async def test_an_end_is_told_once_although_nobody_knew_whether_it_was_written(house: House) -> None:
    told = Told("task_success", "task_failed")
    house.monitors = [told]
    await house.open()
    worker = await house.open_worker()
    job = await house.submit()
    begun = await worker.begin()
    house.store.faults = ["unknown"]
    worker.finish(begun)
    await house.settle(5.0)
    assert house.store.faults == []
    assert (await house.row(job.id)).state == "completed"
    assert [report.id for report in told.of("task_success")] == [job.id]


@story
async def test_a_node_is_told_without_the_name_of_a_run_that_cannot_be_read(house: House) -> None:
    told = Told("task_failed")
    house.monitors = [told]
    await house.open(spec())
    node = Job(house.ids.job_id(1.0), "q", "add", state="failed", run=house.ids.job_id(1.0), node="a", error="broken {")
    house.store.down = True
    house.hub.announcer.ended(node)
    await house.settle(0.1)
    house.store.down = False
    (report,) = told.of("task_failed")
    assert (report.node, report.workflow) == ("a", None)
    assert report.error == {"type": "Unreadable", "message": "the error cannot be read", "traceback": ""}


@story
async def test_alerts_are_told_when_they_begin_and_when_they_are_over(house: House) -> None:
    told = Told("alert")
    house.monitors = [told]
    await house.open()
    house.hub.alerts.open("worker_fails", "w", "it fails")
    house.hub.alerts.open("worker_fails", "w", "it fails still")
    await house.settle(5.0)
    house.hub.alerts.close("worker_fails", "w")
    await house.settle(0.1)
    first, last = told.of("alert")
    assert (first.kind, first.subject, first.text, first.over) == ("worker_fails", "w", "it fails", False)
    assert (last.text, last.over, last.since) == ("it fails still", True, first.since)


@story
async def test_what_every_manager_sees_is_told_by_the_one_that_leads(house: House) -> None:
    told = Told("alert")
    house.monitors = [told]
    house.store.single_manager = False
    hub = await house.open()
    hub.lead.term = None
    hub.alerts.open("queue_depth", "q", "deep")
    hub.alerts.open("schedule", "nightly", "its tick made no job")
    await house.settle(0.01)
    assert [report.kind for report in told.of("alert")] == ["schedule"]


@story
async def test_the_leader_says_every_half_minute_that_it_schedules(house: House) -> None:
    told = Told("heartbeat_scheduler")
    house.monitors = [told]
    await house.open()
    await house.settle(65.0)
    beats = told.of("heartbeat_scheduler")
    assert len(beats) == 3
    assert beats[0].manager
    assert 29.0 < beats[1].at - beats[0].at < 31.0


@story
async def test_a_destination_that_fails_or_hangs_keeps_nobody_waiting(house: House) -> None:
    class Bad:
        calls = 0

        async def task_success(self, report: Any) -> None:
            self.calls += 1
            raise RuntimeError("no")

    class Stuck:
        async def task_success(self, report: Any) -> None:
            await asyncio.sleep(10_000.0)

    bad, told = Bad(), Told("task_success")
    house.monitors = [bad, Stuck(), told]
    await house.open()
    worker = await house.open_worker()
    for _ in range(3):
        await house.submit()
        worker.finish(await worker.begin())
        await worker.hear(Ack)
    await house.settle(0.1)
    assert len(told.heard) == bad.calls == 3
    assert house.hub.counters["monitor_failures"] == 3
    began = house.loop.time()
    await house.hub.stop(10.0)
    assert house.loop.time() - began < 5.0


@story
async def test_a_stop_delivers_what_is_ready(house: House) -> None:
    class Slow:
        heard = 0

        async def task_success(self, report: Any) -> None:
            await asyncio.sleep(0.3)
            self.heard += 1

    slow = Slow()
    house.monitors = [slow]
    await house.open()
    worker = await house.worker(spec(), slots=4)
    for _ in range(4):
        await house.submit()
    await house.settle(0.1)
    for a in list(worker.held.values()):
        worker.finish(a)
    await house.settle(0.05)
    await house.hub.stop(10.0)
    assert slow.heard == 4


def test_a_destination_without_hooks_is_a_mistake() -> None:
    class Deaf:
        def task_sucess(self, report: Any) -> None: ...

    with pytest.raises(ConfigurationError, match="monitor Deaf is told nothing"):
        Hub(MemoryStore(), monitors=[Deaf()])
