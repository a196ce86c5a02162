"""What is wrong: with one job, and with the whole."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from easyjobs.api.endpoints import Call, Endpoint, reply
from easyjobs.api.explain_shapes import AlertList, ExplainOut, alert_out, explain_out
from easyjobs.api.routes.jobs import job_id


async def explain_job(call: Call) -> Response:
    """Say why a job is not running, or where it is: every reason, the most important first."""
    return reply(explain_out(await call.hub.explainer.explain(job_id(call))))


async def list_alerts(call: Call) -> Response:
    """List what somebody should look at, oldest first. An alert is shown as long as its trouble lasts."""
    return reply(AlertList([alert_out(alert) for alert in await call.hub.outlook.alerts()]))


ENDPOINTS: Final = (
    Endpoint("GET", "/api/jobs/{id}/explain", explain_job, "jobs", {200: ExplainOut}, problems=(404, 503)),
    Endpoint("GET", "/api/alerts", list_alerts, "manager", {200: AlertList}, problems=(503,)),
)
