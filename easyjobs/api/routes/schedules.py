"""Schedules: what fires when, and changing it."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta
from starlette.responses import Response

from easyjobs.api.endpoints import Call, Endpoint, Handler, reply
from easyjobs.api.requests import parse_body, read_body, read_query
from easyjobs.api.routes.jobs import Name
from easyjobs.api.schedule_shapes import (
    ScheduleChange,
    ScheduleIn,
    ScheduleOut,
    SchedulePage,
    rule_changes,
    rule_of,
    schedule_out,
)
from easyjobs.api.shapes import JobOut, PauseOut, job_out
from easyjobs.core.task import DefaultArgs

MOST: Final = 200  # of a page: the next times of each are worked out for it


class ScheduleFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which schedules to list."""

    queue: Name | None = None
    task: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST)] = 50
    cursor: Annotated[str, Meta(max_length=256, description="`next` of the page before.")] | None = None


_made: Final = msgspec.json.Decoder(ScheduleIn)
_changed: Final = msgspec.json.Decoder(ScheduleChange)


async def list_schedules(call: Call) -> Response:
    """List schedules by queue, task and id."""
    query = read_query(call.request, ScheduleFilter)
    filters = msgspec.structs.replace(query, cursor=None, limit=50)
    after = 0 if query.cursor is None else call.cursors.read(query.cursor, filters)
    page, following = call.hub.schedules.page(query.queue, query.task, after, query.limit)
    cursor = None if following is None else call.cursors.make(following, filters)
    return reply(SchedulePage([schedule_out(view) for view in page], cursor))


async def get_schedule(call: Call) -> Response:
    """Show a schedule."""
    return reply(schedule_out(await call.hub.schedules.find(_id(call))))


async def create_schedule(call: Call) -> Response:
    """Make a schedule.

    The arguments are judged now, and again at each tick by what the task's parameters are then.
    """
    body = parse_body(await read_body(call.request, call.hub.limits.arguments), _made)
    arguments = DefaultArgs(_text(body.args), _text(body.kwargs))
    view = await call.hub.schedules.create(body.queue, body.task, rule_of(body), arguments, body.title)
    return reply(schedule_out(view), 201, {"Location": call.url(f"/api/schedules/{view.row.id}")})


async def change_schedule(call: Call) -> Response:
    """Change a schedule that was made here.

    What is left out stays. With another rule it fires next at the first time that lies ahead by that rule.
    """
    body = parse_body(await read_body(call.request, call.hub.limits.arguments), _changed)
    view = await call.hub.schedules.edit(
        _id(call),
        rule=rule_changes(body),
        args=None if body.args is UNSET else _text(body.args),
        kwargs=None if body.kwargs is UNSET else _text(body.kwargs),
        title=None if body.title is UNSET else body.title,
    )
    return reply(schedule_out(view))


async def delete_schedule(call: Call) -> Response:
    """Remove a schedule that was made here; its jobs stay."""
    await call.hub.schedules.delete(_id(call))
    return Response(status_code=204)


async def pause_schedule(call: Call) -> Response:
    """Let the ticks of a schedule pass without a job. May be repeated."""
    await call.hub.schedules.pause(_id(call), call.who.by)
    return reply(PauseOut("schedule", _id(call), True))


async def resume_schedule(call: Call) -> Response:
    """Let a schedule fire again, from its next time on. May be repeated."""
    await call.hub.schedules.resume(_id(call))
    return reply(PauseOut("schedule", _id(call), False))


async def run_schedule(call: Call) -> Response:
    """Make a job of a schedule now; its ticks go on as they would."""
    job = await call.hub.schedules.run(_id(call))
    return reply(job_out(job), 202, {"Location": call.url(f"/api/jobs/{job.id}")})


def _id(call: Call) -> str:
    return call.path("schedule")


def _text(raw: msgspec.Raw) -> str:
    return bytes(raw).decode()


def _switch(path: str, handler: Handler) -> Endpoint:
    return Endpoint("POST", path, handler, "schedules", {200: PauseOut}, problems=(404, 503))


_ALL: Final = "/api/schedules"
_ONE: Final = "/api/schedules/{schedule}"

ENDPOINTS: Final = (
    Endpoint(
        "GET", _ALL, list_schedules, "schedules", {200: SchedulePage}, query=ScheduleFilter, problems=(400, 422, 503)
    ),
    Endpoint(
        "POST",
        _ALL,
        create_schedule,
        "schedules",
        {201: ScheduleOut},
        body=ScheduleIn,
        problems=(400, 404, 413, 422, 503),
    ),
    Endpoint("GET", _ONE, get_schedule, "schedules", {200: ScheduleOut}, problems=(404, 503)),
    Endpoint(
        "PATCH",
        _ONE,
        change_schedule,
        "schedules",
        {200: ScheduleOut},
        body=ScheduleChange,
        problems=(400, 404, 409, 413, 422, 503),
    ),
    Endpoint("DELETE", _ONE, delete_schedule, "schedules", {204: None}, problems=(404, 409, 503)),
    _switch(_ONE + "/pause", pause_schedule),
    _switch(_ONE + "/resume", resume_schedule),
    Endpoint(
        "POST",
        _ONE + "/run",
        run_schedule,
        "schedules",
        {202: JobOut},
        problems=(404, 409, 413, 422, 429, 503, 507),
    ),
)
