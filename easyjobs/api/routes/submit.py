"""Making jobs: one task's endpoint, and the one for any jobs."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw
from starlette.requests import Request
from starlette.responses import Response

from easyjobs.api.endpoints import Call, Endpoint, reply
from easyjobs.api.requests import parse_body, read_body, read_query
from easyjobs.api.shapes import JobList, JobOut, job_out
from easyjobs.core.states import FINAL
from easyjobs.errors import ArgumentsRefused, BadRequest, Refused, TooLarge, Unprocessable
from easyjobs.hub.control import Submitted
from easyjobs.hub.hub import Hub
from easyjobs.protocol.messages import Submission

MOST_JOBS: Final = 10_000
LARGEST_BULK: Final = 8 * 1024 * 1024

Moment = Annotated[datetime.datetime, Meta(tz=True, description="RFC 3339, with its offset.")]
QueryMoment = Annotated[Moment, Meta(description="RFC 3339, with its offset, or seconds since 1970.")]
Wait = Annotated[float, Meta(ge=0, le=60, description="Seconds to wait for the end of the job.")]
Delay = Annotated[float, Meta(ge=0, le=1e11, description="Seconds until it may start; not with `run_at`.")]
Priority = Annotated[int, Meta(ge=-1_000_000, le=1_000_000, description="Higher goes first.")]
Duration = Annotated[float, Meta(gt=0, le=1e11)]


class SubmitQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a job is to be run."""

    wait: Wait = 0.0
    priority: Priority | None = None
    delay: Delay | None = None
    run_at: QueryMoment | None = None


class WaitQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long to wait."""

    wait: Wait = 0.0


class JobIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A job to be made. `args` is an array, `kwargs` an object. What is left out is as the task says."""

    queue: str
    task: str
    args: Annotated[Raw, Meta(extra_json_schema={"type": "array"})] = msgspec.field(default_factory=lambda: Raw(b"[]"))
    kwargs: Annotated[Raw, Meta(extra_json_schema={"type": "object"})] = msgspec.field(
        default_factory=lambda: Raw(b"{}")
    )
    priority: Priority | None = None
    delay: Delay | None = None
    run_at: Moment | None = None
    timeout: Annotated[Duration, Meta(description="Seconds that one attempt may take.")] | None = None
    start_deadline: Annotated[Duration, Meta(description="Seconds within which it must start.")] | None = None
    retries: Annotated[int, Meta(ge=0, le=1_000_000, description="Runs after the first that failed.")] | None = None
    key: Annotated[str, Meta(min_length=1, max_length=255, description="As the header Idempotency-Key.")] | None = None


_one: Final = msgspec.json.Decoder(JobIn)
_many: Final = msgspec.json.Decoder(list[JobIn])


async def submit_task(call: Call) -> Response:
    """Make a job of a task.

    The body is an object with the task's arguments. The answer comes when the job is durable: 202, or 200 when `wait`
    saw its end or `Idempotency-Key` was used before with the same arguments, which gives the first job again.
    """
    query = read_query(call.request, SubmitQuery)
    queue, task = call.path("queue"), call.path("task")
    await call.hub.control.find(queue, task)  # an unknown task is told before its arguments are read
    body = await read_body(call.request, call.hub.limits.arguments)
    made = await submitted(call, queue, task, body, query)
    return await _answer(call, made, query.wait)


async def submit_jobs(call: Call) -> Response:
    """Make one job, or many: all or none.

    The body is a job or an array of up to 10,000. An array is answered by `{"items": [...]}` in its order. `wait` and
    `Idempotency-Key` go with a single job; in an array each has its own `key`.
    """
    query = read_query(call.request, WaitQuery)
    body = await read_body(call.request, LARGEST_BULK)
    key = _key(call.request)
    if not body.lstrip().startswith(b"["):
        job = parse_body(body, _one)
        if key is not None and job.key not in (None, key):
            raise _refuse(["key"], "differs from the header Idempotency-Key")
        (made,) = await call.hub.submit([_submission(call.hub, job, key)])
        return await _answer(call, made, query.wait)
    if key is not None:
        raise _refuse(["header", "Idempotency-Key"], "goes with a single job; give each of the array its `key`")
    if query.wait:
        raise _refuse(["query", "wait"], "goes with a single job")
    jobs = parse_body(body, _many)
    if len(jobs) > MOST_JOBS:
        raise TooLarge(f"The array has {len(jobs)} jobs; {MOST_JOBS} are allowed.")
    all_made = await call.hub.submit([_submission(call.hub, job, None) for job in jobs]) if jobs else []
    status = 202 if any(made.created for made in all_made) else 200
    return reply(JobList([job_out(made.job) for made in all_made]), status)


async def submitted(call: Call, queue: str, task: str, body: bytes, query: SubmitQuery) -> Submitted:
    """Make a job of a task, whose arguments are the request's `body`. Raises Refused as the hub does."""
    submission = Submission(
        call.hub.job_id(),
        queue,
        task,
        kwargs=Raw(body if body.strip() else b"{}"),
        priority=query.priority,
        delay=query.delay,
        run_at=_seconds(query.run_at),
        key=_key(call.request),
    )
    try:
        (made,) = await call.hub.submit([submission])
    except (ArgumentsRefused, BadRequest) as refused:
        # what is said of the keyword arguments is said of the body that they are here
        errors = [{**error, "loc": ["body", *error["loc"][1:]]} for error in refused.errors]
        raise type(refused)(refused.detail.replace("kwargs", "The body", 1), errors=errors) from None
    return made


def _submission(hub: Hub, job: JobIn, key: str | None) -> Submission:
    return Submission(
        hub.job_id(),
        job.queue,
        job.task,
        job.args,
        job.kwargs,
        job.priority,
        job.delay,
        _seconds(job.run_at),
        job.timeout,
        job.start_deadline,
        job.retries,
        job.key if key is None else key,
    )


async def _answer(call: Call, made: Submitted, wait: float) -> Response:
    job = made.job
    if wait and job.state not in FINAL:
        job = await call.hub.wait(job.id, wait)
    done = job.state in FINAL or not made.created
    return reply(job_out(job), 200 if done else 202, {"Location": call.url(f"/api/jobs/{job.id}")})


def _seconds(moment: datetime.datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _key(request: Request) -> str | None:
    keys = request.headers.getlist("idempotency-key")
    if len(keys) > 1:
        raise _refuse(["header", "Idempotency-Key"], "given twice")
    return keys[0] if keys else None


def _refuse(loc: list[Any], message: str) -> Refused:
    return Unprocessable(f"{'.'.join(loc)}: {message}", errors=[{"loc": loc, "message": message}])


ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/api/queues/{queue}/tasks/{task}",
        submit_task,
        "jobs",
        {200: JobOut, 202: JobOut},
        query=SubmitQuery,
        body=dict[str, Any],
        key=True,
        problems=(400, 404, 413, 422, 429, 503, 507),
    ),
    Endpoint(
        "POST",
        "/api/jobs",
        submit_jobs,
        "jobs",
        {200: (JobOut, JobList), 202: (JobOut, JobList)},
        query=WaitQuery,
        body=(JobIn, list[JobIn]),
        key=True,
        problems=(400, 404, 413, 422, 429, 503, 507),
    ),
)
