"""Pictures of workflows and of their runs."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta
from starlette.responses import Response

from easyjobs.api.endpoints import Call, Endpoint
from easyjobs.api.requests import read_query
from easyjobs.api.routes.runs import run_id
from easyjobs.core.picture import States, as_svg, as_text
from easyjobs.core.workflow import Graph
from easyjobs.errors import NotFound

SVG: Final = "image/svg+xml"


class PictureQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to draw it."""

    format: Annotated[Literal["svg", "text"], Meta(description="`text`: in lines, for a terminal.")] = "svg"


async def draw_workflow(call: Call) -> Response:
    """Draw a workflow: its tasks and what each waits for.

    What is too large to be looked at is folded, with a note.
    """
    query = read_query(call.request, PictureQuery)
    view = await call.hub.runs.workflow(call.path("name"))
    spec = view.entry.spec
    return _picture(query, view.graph, None, spec.title or spec.name)


async def draw_run(call: Call) -> Response:
    """Draw a run: its tasks, what each waits for, and how each of them is.

    What is too large to be looked at is folded, with a note.
    """
    query = read_query(call.request, PictureQuery)
    view = await call.hub.runs.run(run_id(call))
    graph = call.hub.runs.graph(view.job)
    if graph is None:
        raise NotFound(f"The workflow of run {view.job.id} is not known any more.")
    states = await call.hub.runs.states(view.job, graph)
    return _picture(query, graph, states, f"{view.job.task}: {view.state}")


def _picture(query: PictureQuery, graph: Graph, states: States | None, title: str) -> Response:
    if query.format == "text":
        return Response(as_text(graph, states), media_type="text/plain")
    return Response(as_svg(graph, states, title), media_type=SVG)


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/api/workflows/{name}/picture",
        draw_workflow,
        "workflows",
        {200: str},
        query=PictureQuery,
        problems=(404, 409, 422, 503),
        media=SVG,
    ),
    Endpoint(
        "GET",
        "/api/runs/{id}/picture",
        draw_run,
        "workflows",
        {200: str},
        query=PictureQuery,
        problems=(404, 422, 503),
        media=SVG,
    ),
)
