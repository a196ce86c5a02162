"""The deploy check: what waits, and whether it can be called with the parameters that tasks have or are to have."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.responses import Response

from easyjobs.api.endpoints import Call, Endpoint, reply
from easyjobs.api.requests import parse_body, read_body
from easyjobs.core.task import TaskSpec
from easyjobs.hub.fitting import Misfit, SignatureFit, TaskFit

LARGEST: Final = 4 * 1024 * 1024
MOST_TASKS: Final = 1_000


class CheckIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tasks as workers register them (see the protocol); `easyjobs check MODULE` sends those of a module."""

    tasks: Annotated[list[TaskSpec], Meta(max_length=MOST_TASKS)]


class TaskFitOut(msgspec.Struct, frozen=True):
    """How what waits for a task fits its newest parameters: `misfits` jobs do not, of which there are some `examples`,
    and these `schedules`. `whole` is false where there were too many jobs to look at them all.
    """

    queue: str
    task: str
    fits: bool
    misfits: int
    signatures: list[SignatureFit]
    examples: list[Misfit]
    schedules: list[Misfit]
    whole: bool


class CheckOut(msgspec.Struct, frozen=True):
    """Whether all fits, and each task that was looked at."""

    fits: bool
    items: list[TaskFitOut]


async def check_now(call: Call) -> Response:
    """Show the tasks of which something that waits does not fit the newest parameters, or that have workers of several.

    Jobs that do not fit are held for a worker that they fit; they are not run into an error.
    """
    return _answer(await call.hub.fitting.now())


async def check_tasks(call: Call) -> Response:
    """Show, before a deploy, which jobs and schedules would not fit these tasks.

    Asking changes nothing: no task is registered.
    """
    given = parse_body(await read_body(call.request, LARGEST), _decoder)
    return _answer(await call.hub.fitting.against(given.tasks))


def _answer(fits: list[TaskFit]) -> Response:
    items = [
        TaskFitOut(fit.queue, fit.task, fit.fits, fit.misfits, fit.signatures, fit.examples, fit.schedules, fit.whole)
        for fit in fits
    ]
    return reply(CheckOut(all(fit.fits for fit in fits), items))


_decoder: Final = msgspec.json.Decoder(CheckIn)

ENDPOINTS: Final = (
    Endpoint("GET", "/api/check", check_now, "tasks", {200: CheckOut}, problems=(503,)),
    Endpoint("POST", "/api/check", check_tasks, "tasks", {200: CheckOut}, body=CheckIn, problems=(400, 413, 422, 503)),
)
