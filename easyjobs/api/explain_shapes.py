"""Why a job is where it is, and what is wrong with the whole, as the API says it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from easyjobs.api.shapes import Time, maybe_time, time
from easyjobs.core.states import State
from easyjobs.hub.alerts import Alert
from easyjobs.hub.explain import Explanation
from easyjobs.hub.reasons import Code, Reason


class ReasonOut(msgspec.Struct, frozen=True):
    """One thing that holds a job, or that happens to it. `text` is for people, `code` for programs."""

    code: Code
    text: str
    since: Time | None
    by: Annotated[str, Meta(description="Who did it.")] | None
    jobs: Annotated[list[str], Meta(description="Ids of the jobs that it is about.")]
    workers: Annotated[list[str], Meta(description="Ids of the workers that it is about.")]


class ExplainOut(msgspec.Struct, frozen=True):
    """Every reason for which a job is where it is, the most important first; there is always one."""

    id: str
    state: State
    reasons: list[ReasonOut]


class AlertOut(msgspec.Struct, frozen=True):
    """A trouble that lasts. `subject` is the task, queue, worker or schedule that has it."""

    kind: str
    subject: str
    text: str
    since: Time


class AlertList(msgspec.Struct, frozen=True):
    """All open alerts, oldest first."""

    items: list[AlertOut]
    next: None = None


def explain_out(explanation: Explanation) -> ExplainOut:
    """Why a job is where it is."""
    return ExplainOut(explanation.id, explanation.state, [_reason(reason) for reason in explanation.reasons])


def _reason(reason: Reason) -> ReasonOut:
    return ReasonOut(reason.code, reason.text, maybe_time(reason.since), reason.by, reason.jobs, reason.workers)


def alert_out(alert: Alert) -> AlertOut:
    """An alert."""
    return AlertOut(alert.kind, alert.subject, alert.text, time(alert.since))
