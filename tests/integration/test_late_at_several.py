"""Late jobs at several processes on one store: all show them, one tells, and who takes the lead goes on with it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from serving import until

from easyjobs.core.signature import Signature
from easyjobs.core.task import Options, TaskSpec
from easyjobs.faces.pulling import hub_on
from easyjobs.hub.hub import Hub
from easyjobs.protocol.messages import Submission

TIMED = TaskSpec("etl", "load", Signature(()), Options(sla=0.2))


class Told:
    """What one process tells of alerts."""

    def __init__(self) -> None:
        self.alerts: list[tuple[str, bool]] = []

    def alert(self, report: Any) -> None:
        self.alerts.append((report.subject, report.over))


async def shown(hub: Hub) -> list[str]:
    return [alert.subject for alert in await hub.outlook.alerts() if alert.kind == "late"]


async def test_every_manager_shows_late_jobs_also_when_the_one_that_told_is_gone(store_url: str) -> None:
    first, second = Told(), Told()
    async with AsyncExitStack() as leaves, AsyncExitStack() as stays:
        one = await leaves.enter_async_context(hub_on(store_url, monitors=[first]))
        await until(lambda: one.lead.held)
        two = await stays.enter_async_context(hub_on(store_url, monitors=[second]))
        await one.declare([TIMED])
        submission = Submission(one.job_id(), "etl", "load")
        (late,) = await one.submit([submission])
        await until(lambda: first.alerts)
        alerts = [alert for alert in await one.outlook.alerts() if alert.kind == "late"]
        assert [alert.subject for alert in alerts] == [late.job.id]
        assert await shown(two) == [late.job.id]
        (there,) = [alert for alert in await two.outlook.alerts() if alert.kind == "late"]
        assert (there.since, there.kind) == (alerts[0].since, alerts[0].kind)

        await leaves.aclose()
        assert await shown(two) == [late.job.id]
        await until(lambda: two.lead.held and two.alerts.subjects("late"))
        await two.cancel(late.job.id, "somebody")
        await until(lambda: second.alerts)
        assert await shown(two) == []
    assert first.alerts == [(late.job.id, False)]
    assert second.alerts == [(late.job.id, True)], "it is not told again, and is told to be over"
