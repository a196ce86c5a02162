"""Looking at jobs, and telling them what to do."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.responses import Response

from easyjobs.api.chain_shapes import JobView, TreeOut, job_view, tree_out
from easyjobs.api.endpoints import Call, Endpoint, reply
from easyjobs.api.events import EventStream, last_event
from easyjobs.api.requests import read_query, unprocessable
from easyjobs.api.routes.submit import QueryMoment, WaitQuery
from easyjobs.api.shapes import (
    AttemptList,
    JobOut,
    JobPage,
    LogPage,
    ResultOut,
    attempt_out,
    job_out,
    log_out,
    result_out,
)
from easyjobs.core.states import FINAL, State
from easyjobs.errors import NotFound
from easyjobs.ids import is_job_id
from easyjobs.stores.base import JobQuery

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
Text = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^\x00]*$")]


class JobFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which jobs to list."""

    queue: Name | None = None
    task: Name | None = None
    state: State | None = None
    worker: Text | None = None
    run: Text | None = None
    schedule: Annotated[Text, Meta(description="Made by the schedule of this id.")] | None = None
    text: Annotated[Text, Meta(description="Part of the id, task, arguments, error or worker.")] | None = None
    since: Annotated[QueryMoment, Meta(description="Made then (RFC 3339, or seconds since 1970) or later.")] | None = (
        None
    )
    until: Annotated[QueryMoment, Meta(description="Made before then.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 50
    cursor: Annotated[str, Meta(max_length=256, description="`next` of the page before.")] | None = None


class LogQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which lines to show."""

    after: Annotated[int, Meta(ge=0, le=2**62, description="The `n` of the last line that is known.")] = 0
    limit: Annotated[int, Meta(ge=1, le=10_000, description="At most so many; 1000 if not said.")] | None = None
    follow: Annotated[bool, Meta(description="Go on as a stream of events, until the job has ended.")] = False


async def list_jobs(call: Call) -> Response:
    """List jobs, newest first."""
    query = read_query(call.request, JobFilter)
    # what makes the list, and not what makes the page: the cursor is bound to it
    filters = msgspec.structs.replace(query, cursor=None, limit=50)
    page = await call.hub.queries.find(
        JobQuery(
            queue=query.queue,
            task=query.task,
            state=query.state,
            worker=query.worker,
            run=query.run,
            schedule=query.schedule,
            text=query.text,
            since=None if query.since is None else query.since.timestamp(),
            until=None if query.until is None else query.until.timestamp(),
            before=None if query.cursor is None else call.cursors.read(query.cursor, filters),
            limit=query.limit,
        )
    )
    following = None if page.next is None else call.cursors.make(page.next, filters)
    return reply(JobPage([job_out(job) for job in page.items], following))


async def get_job(call: Call) -> Response:
    """Show a job, the jobs that it made, and those that it waits for."""
    return reply(job_view(await call.hub.kin(job_id(call))))


async def get_tree(call: Call) -> Response:
    """Show the whole chain that a job is part of, from its root."""
    return reply(tree_out(await call.hub.tree(job_id(call))))


async def get_result(call: Call) -> Response:
    """Show how a job ended: 200 when it has, 202 when it has not within `wait` seconds.

    Reading a result does not delete it.
    """
    query = read_query(call.request, WaitQuery)
    job = await call.hub.wait(job_id(call), query.wait)
    return reply(result_out(job), 200 if job.state in FINAL else 202)


async def get_logs(call: Call) -> Response:
    """Show what a job has logged so far, or follow it.

    With `follow=1` the answer is a stream of server-sent events: `log` (a line; its `id` is the line's `n`),
    `progress`, and `end`, after which it closes. A reader that comes back with `Last-Event-ID`, or `after`, misses
    nothing and hears nothing twice.
    """
    query = read_query(call.request, LogQuery)
    id = job_id(call)
    if query.follow:
        if query.limit is not None:
            raise unprocessable(["query", "limit"], "goes with a page; a stream has no limit")
        after = max(query.after, last_event(call.request))
        await call.hub.job(id)
        return EventStream(call.hub, id, after)
    limit = 1000 if query.limit is None else query.limit
    lines = await call.hub.queries.logs(id, query.after, limit)
    following = lines[-1].n if len(lines) == limit else None
    return reply(LogPage([log_out(line) for line in lines], following))


async def get_attempts(call: Call) -> Response:
    """Show each run of a job."""
    return reply(AttemptList([attempt_out(attempt) for attempt in await call.hub.queries.attempts(job_id(call))]))


async def cancel_job(call: Call) -> Response:
    """Cancel a job: 200 when it has ended, 202 while it is being stopped. May be repeated."""
    job = await call.hub.cancel(job_id(call), call.who.by)
    return reply(job_out(job), 200 if job.state in FINAL else 202)


async def retry_job(call: Call) -> Response:
    """Run a job again that has ended: makes a new job; asked again, says which that was."""
    job = await call.hub.retry(job_id(call), call.who.by)
    return reply(job_out(job), 202, {"Location": call.url(f"/api/jobs/{job.id}")})


async def delete_job(call: Call) -> Response:
    """Remove a job that does not run, with its attempts and logs."""
    await call.hub.delete(job_id(call))
    return Response(status_code=204)


def job_id(call: Call) -> str:
    """The id in the path; NotFound for what cannot be one."""
    id = call.path("id")
    if not is_job_id(id):
        raise NotFound(f"No job {id[:64]!r}; an id is a UUID in lower case.")
    return id


_JOB: Final = "/api/jobs/{id}"

ENDPOINTS: Final = (
    Endpoint("GET", "/api/jobs", list_jobs, "jobs", {200: JobPage}, query=JobFilter, problems=(400, 422, 503)),
    Endpoint("GET", _JOB, get_job, "jobs", {200: JobView}, problems=(404, 503)),
    Endpoint("GET", _JOB + "/tree", get_tree, "jobs", {200: TreeOut}, problems=(404, 503)),
    Endpoint(
        "GET",
        _JOB + "/result",
        get_result,
        "jobs",
        {200: ResultOut, 202: ResultOut},
        query=WaitQuery,
        problems=(404, 422, 503),
    ),
    Endpoint(
        "GET",
        _JOB + "/logs",
        get_logs,
        "jobs",
        {200: LogPage},
        query=LogQuery,
        stream=True,
        problems=(404, 422, 429, 503),
    ),
    Endpoint("GET", _JOB + "/attempts", get_attempts, "jobs", {200: AttemptList}, problems=(404, 503)),
    Endpoint("POST", _JOB + "/cancel", cancel_job, "jobs", {200: JobOut, 202: JobOut}, problems=(404, 503)),
    Endpoint("POST", _JOB + "/retry", retry_job, "jobs", {202: JobOut}, problems=(404, 409, 422, 429, 503, 507)),
    Endpoint("DELETE", _JOB, delete_job, "jobs", {204: None}, problems=(404, 409, 503)),
)
