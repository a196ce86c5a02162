"""Workflows and runs, as the API says them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from easyjobs.api.shapes import Cursor, Json, Time, maybe_time, raw, time
from easyjobs.core import workflow
from easyjobs.core.groups import shown_progress
from easyjobs.core.states import FINAL
from easyjobs.core.workflow import Node
from easyjobs.hub.runs import NodeView, RunState, RunView, WorkflowView
from easyjobs.hub.schedules import ScheduleView

Names = Annotated[list[str], Meta(description="Names of tasks of the workflow.")]
NodeState: TypeAlias = Literal[
    "planned", "waiting", "queued", "running", "retry", "completed", "failed", "cancelled", "skipped", "removed"
]


class StepOut(msgspec.Struct, frozen=True):
    """A task of a workflow: a call of `task` when those it comes `after` have completed. `mapped`: one for each item of
    a list.
    """

    name: str
    task: str
    title: str
    after: Names
    mapped: bool


class WorkflowOut(msgspec.Struct, frozen=True):
    """A workflow as it was registered last. `schedules` are the ids of those that run it; it is `active` when any of
    them is not paused, null where it has none.
    """

    name: str
    queue: str
    title: str
    doc: str
    parameters: Annotated[dict[str, Any], Meta(description="JSON Schema of the arguments of a run.")]
    tasks: Annotated[int, Meta(description="How many tasks it has.")]
    concurrency: int | None
    open_runs: Annotated[int, Meta(description="Runs that have not ended.")]
    schedules: list[str]
    active: bool | None


class WorkflowDetail(WorkflowOut, frozen=True):
    """A workflow with its tasks, each after those that it waits for; those of one level can run side by side."""

    steps: list[StepOut]
    levels: list[Names]


class WorkflowList(msgspec.Struct, frozen=True):
    """All known workflows."""

    items: list[WorkflowOut]
    next: None = None


class RunOut(msgspec.Struct, frozen=True):
    """A run of a workflow. `jobs`: how many of its jobs are in each state; `tasks`: how many tasks it has; `progress`:
    the share of its jobs that have ended.
    """

    id: str
    workflow: str
    queue: str
    state: RunState
    priority: int
    args: Json
    kwargs: Json
    jobs: dict[str, int]
    tasks: int | None
    progress: float
    created_at: Time
    run_at: Time
    started_at: Time | None
    finished_at: Time | None
    result: Json
    error: Json
    cancelled_by: str | None
    retry_of: Annotated[str, Meta(description="The run that this one repeats, as far as it had failed.")] | None
    parent: str | None
    schedule: str | None
    tick: Time | None
    key: str | None


class RunPage(msgspec.Struct, frozen=True):
    """Runs, newest first."""

    items: list[RunOut]
    next: Cursor | None


class NodeOut(msgspec.Struct, frozen=True):
    """A task of a run, and its job: null where it is `planned`, before the run begins, or was `removed` since."""

    name: str
    task: str
    title: str
    after: Names
    mapped: bool
    state: NodeState
    job: str | None
    attempt: int
    worker: str | None
    started_at: Time | None
    finished_at: Time | None
    progress: Json
    error: Json


class NodePage(msgspec.Struct, frozen=True):
    """The tasks of a run, each after those that it waits for."""

    items: list[NodeOut]
    next: Cursor | None


def workflow_out(view: WorkflowView, schedules: list[ScheduleView]) -> WorkflowOut:
    """A workflow in short."""
    spec = view.entry.spec
    return WorkflowOut(
        spec.name,
        spec.queue,
        spec.title,
        spec.doc,
        spec.signature.schema(),
        len(view.graph.nodes),
        spec.options.concurrency,
        view.open_runs,
        [one.row.id for one in schedules],
        any(one.paused is None for one in schedules) if schedules else None,
    )


def workflow_detail(view: WorkflowView, schedules: list[ScheduleView]) -> WorkflowDetail:
    """A workflow with its tasks."""
    levels = [[node.name for node in level] for level in workflow.levels(view.graph)]
    steps = [_step(node) for node in view.graph.nodes]
    return WorkflowDetail(**msgspec.structs.asdict(workflow_out(view, schedules)), steps=steps, levels=levels)


def _step(node: Node) -> StepOut:
    return StepOut(node.name, node.task, node.title, list(node.prerequisites), node.over is not None)


def run_out(view: RunView) -> RunOut:
    """A run."""
    job = view.job
    all_over = job.state in FINAL and job.turn == "close"  # also those that were removed since
    total = max(sum(view.counts.values()), view.nodes or 0)
    ended = sum(number for state, number in view.counts.items() if state in FINAL)
    return RunOut(
        job.id,
        job.task,
        job.queue,
        view.state,
        job.priority,
        raw(job.args),
        raw(job.kwargs),
        {str(state): number for state, number in sorted(view.counts.items())},
        view.nodes,
        1.0 if all_over else round(ended / total, 4) if total else 0.0,
        time(job.created_at),
        time(job.run_at),
        maybe_time(job.started_at),
        maybe_time(job.finished_at),
        raw(job.result),
        raw(job.error),
        job.cancel,
        job.retry_of,
        job.parent,
        job.schedule,
        maybe_time(job.tick),
        job.key,
    )


def node_out(view: NodeView) -> NodeOut:
    """A task of a run."""
    node, job = view.node, view.job
    state: NodeState = job.state if job is not None else "removed" if view.removed else "planned"
    return NodeOut(
        node.name,
        node.task,
        node.title,
        list(node.prerequisites),
        node.over is not None,
        state,
        None if job is None else job.id,
        0 if job is None else job.attempt,
        None if job is None else job.worker,
        None if job is None else maybe_time(job.started_at),
        None if job is None else maybe_time(job.finished_at),
        raw(None if job is None else shown_progress(job)),
        raw(None if job is None else job.error),
    )
