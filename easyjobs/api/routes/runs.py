"""Workflows and their runs."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from starlette.responses import Response

from easyjobs.api.endpoints import Call, Endpoint, reply
from easyjobs.api.requests import read_body, read_query
from easyjobs.api.routes.jobs import Name, Text
from easyjobs.api.routes.submit import QueryMoment, SubmitQuery, WaitQuery, submitted
from easyjobs.api.run_shapes import (
    NodePage,
    RunOut,
    RunPage,
    WorkflowDetail,
    WorkflowList,
    node_out,
    run_out,
    workflow_detail,
    workflow_out,
)
from easyjobs.core.states import FINAL, State
from easyjobs.errors import NotFound
from easyjobs.hub.runs import RunView
from easyjobs.hub.schedules import ScheduleView
from easyjobs.ids import is_job_id
from easyjobs.stores.base import JobQuery


class RunFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which runs to list."""

    workflow: Annotated[Text, Meta(description="Its name, or queue:name.")] | None = None
    queue: Name | None = None
    state: Annotated[State, Meta(description="`waiting`: those that go on.")] | None = None
    schedule: Annotated[Text, Meta(description="Made by the schedule of this id.")] | None = None
    since: Annotated[QueryMoment, Meta(description="Made then (RFC 3339, or seconds since 1970) or later.")] | None = (
        None
    )
    until: Annotated[QueryMoment, Meta(description="Made before then.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[str, Meta(max_length=256, description="`next` of the page before.")] | None = None


class NodeFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which tasks of a run to list."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 200
    cursor: Annotated[str, Meta(max_length=256, description="`next` of the page before.")] | None = None


class _NodesOf(msgspec.Struct, frozen=True):
    """What a cursor into the tasks of a run is bound to."""

    run: str


async def list_workflows(call: Call) -> Response:
    """List workflows by queue and name."""
    views = await call.hub.runs.workflows()
    return reply(
        WorkflowList(
            [workflow_out(view, _schedules(call, view.entry.lane.queue, view.entry.lane.task)) for view in views]
        )
    )


async def get_workflow(call: Call) -> Response:
    """Show a workflow with its tasks.

    Where two queues have a workflow of that name, write `queue:name`.
    """
    view = await call.hub.runs.workflow(call.path("name"))
    return reply(workflow_detail(view, _schedules(call, view.entry.lane.queue, view.entry.lane.task)))


async def start_run(call: Call) -> Response:
    """Run a workflow.

    The body is an object with its arguments. The answer comes when the run is durable: 202, or 200 when `wait` saw its
    end or `Idempotency-Key` was used before with the same arguments, which gives the first run again.
    """
    query = read_query(call.request, SubmitQuery)
    lane = (await call.hub.runs.workflow(call.path("name"))).entry.lane
    body = await read_body(call.request, call.hub.limits.arguments)
    made = await submitted(call, lane.queue, lane.task, body, query)
    job = made.job
    if query.wait and job.state not in FINAL:
        job = await call.hub.wait(job.id, query.wait)
    view = await call.hub.runs.run(job.id)
    done = view.job.state in FINAL or not made.created
    return reply(run_out(view), 200 if done else 202, {"Location": call.url(f"/api/runs/{job.id}")})


async def list_runs(call: Call) -> Response:
    """List runs of workflows, newest first."""
    query = read_query(call.request, RunFilter)
    filters = msgspec.structs.replace(query, cursor=None, limit=50)
    queue, task = query.queue, None
    if query.workflow is not None:
        lane = (await call.hub.runs.workflow(query.workflow)).entry.lane
        if queue not in (None, lane.queue):
            return reply(RunPage([], None))
        queue, task = lane.queue, lane.task
    views, following = await call.hub.runs.page(
        JobQuery(
            queue=queue,
            task=task,
            state=query.state,
            schedule=query.schedule,
            since=None if query.since is None else query.since.timestamp(),
            until=None if query.until is None else query.until.timestamp(),
            before=None if query.cursor is None else call.cursors.read(query.cursor, filters),
            limit=query.limit,
        )
    )
    cursor = None if following is None else call.cursors.make(following, filters)
    return reply(RunPage([run_out(view) for view in views], cursor))


async def get_run(call: Call) -> Response:
    """Show a run; with `wait`, when it has ended, or after so many seconds."""
    query = read_query(call.request, WaitQuery)
    view = await _run(call)
    if query.wait and view.job.state not in FINAL:
        await call.hub.wait(view.job.id, query.wait)
        view = await _run(call)
    return reply(run_out(view))


async def list_nodes(call: Call) -> Response:
    """List the tasks of a run, each after those that it waits for."""
    query = read_query(call.request, NodeFilter)
    filters = _NodesOf(run_id(call))
    start = 0 if query.cursor is None else call.cursors.read(query.cursor, filters)
    views, following = await call.hub.runs.nodes(run_id(call), start, query.limit)
    cursor = None if following is None else call.cursors.make(following, filters)
    return reply(NodePage([node_out(view) for view in views], cursor))


async def cancel_run(call: Call) -> Response:
    """Cancel a run with all of its jobs: 200 when it has ended, 202 while they are being stopped. May be repeated."""
    await _run(call)
    await call.hub.cancel(run_id(call), call.who.by)
    view = await _run(call)
    return reply(run_out(view), 200 if view.job.state in FINAL else 202)


async def retry_run(call: Call) -> Response:
    """Repeat a run that has ended, from where it failed: makes a new run, which keeps what had completed.

    One that had completed is repeated whole. Asked again while the new run goes on, it says which one that is; when it
    has ended, that one is repeated.
    """
    await _run(call)
    job = await call.hub.retry(run_id(call), call.who.by)
    return reply(run_out(await call.hub.runs.run(job.id)), 202, {"Location": call.url(f"/api/runs/{job.id}")})


async def _run(call: Call) -> RunView:
    return await call.hub.runs.run(run_id(call))


def run_id(call: Call) -> str:
    """The id in the path; NotFound for what cannot be one."""
    id = call.path("id")
    if not is_job_id(id):
        raise NotFound(f"No run {id[:64]!r}; an id is a UUID in lower case.")
    return id


def _schedules(call: Call, queue: str, task: str) -> list[ScheduleView]:
    return call.hub.schedules.page(queue, task, limit=20)[0]


_FLOW: Final = "/api/workflows/{name}"
_RUN: Final = "/api/runs/{id}"

ENDPOINTS: Final = (
    Endpoint("GET", "/api/workflows", list_workflows, "workflows", {200: WorkflowList}, problems=(503,)),
    Endpoint("GET", _FLOW, get_workflow, "workflows", {200: WorkflowDetail}, problems=(404, 409, 503)),
    Endpoint(
        "POST",
        _FLOW + "/runs",
        start_run,
        "workflows",
        {200: RunOut, 202: RunOut},
        query=SubmitQuery,
        body=dict[str, Any],
        key=True,
        problems=(400, 404, 409, 413, 422, 429, 503, 507),
    ),
    Endpoint(
        "GET", "/api/runs", list_runs, "workflows", {200: RunPage}, query=RunFilter, problems=(400, 404, 409, 422, 503)
    ),
    Endpoint("GET", _RUN, get_run, "workflows", {200: RunOut}, query=WaitQuery, problems=(404, 422, 503)),
    Endpoint(
        "GET",
        _RUN + "/tasks",
        list_nodes,
        "workflows",
        {200: NodePage},
        query=NodeFilter,
        problems=(400, 404, 422, 503),
    ),
    Endpoint("POST", _RUN + "/cancel", cancel_run, "workflows", {200: RunOut, 202: RunOut}, problems=(404, 503)),
    Endpoint("POST", _RUN + "/retry", retry_run, "workflows", {202: RunOut}, problems=(404, 409, 422, 429, 503, 507)),
)
