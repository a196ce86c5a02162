"""A job that has not begun when its task's `sla` is over is an alert: one, until it has begun or ended."""

from __future__ import annotations

from typing import Any

from house import House, spec, story

from easyjobs.errors import StoreUnavailable
from easyjobs.hub.alerts import Alert
from easyjobs.monitors.reports import AlertReport


class Told:
    """A monitor that keeps what it is told."""

    def __init__(self) -> None:
        self.alerts: list[AlertReport] = []

    async def alert(self, report: AlertReport) -> None:
        self.alerts.append(report)


async def late(house: House) -> list[Alert]:
    """What is shown; what this manager tells of is the same."""
    shown = [alert for alert in await house.hub.outlook.alerts() if alert.kind == "late"]
    told = [alert for alert in house.hub.alerts.all() if alert.kind == "late"]
    assert {alert.subject for alert in shown} == {alert.subject for alert in told}
    return shown


@story
async def test_a_job_that_does_not_begin_in_time_is_an_alert_until_it_begins(house: House) -> None:
    await house.open(spec(sla=60.0))
    job = await house.submit()
    assert job.late_at == job.run_at + 60.0
    await house.settle(59.0)
    assert await late(house) == []
    await house.settle(3.0)
    (alert,) = await late(house)
    assert alert.subject == job.id
    assert alert.text.startswith(f"job {job.id} of q:add was to begin within 60 s, and has not after 6")
    assert alert.since == job.late_at
    assert (await house.row(job.id)).late_at == -alert.since, "it is noted where all managers see it"
    worker = await house.open_worker()
    await worker.begin()
    await house.settle(2.0)
    assert await late(house) == []


@story
async def test_an_alert_is_over_when_its_job_is_cancelled_or_gone(house: House) -> None:
    await house.open(spec(sla=1.0))
    first, second = await house.submit(), await house.submit()
    await house.settle(3.0)
    assert {alert.subject for alert in await late(house)} == {first.id, second.id}
    await house.hub.cancel(first.id, "somebody")
    await house.hub.cancel(second.id, "somebody")
    await house.hub.delete(second.id)
    await house.settle(2.0)
    assert await late(house) == []


@story
async def test_the_time_counts_from_when_it_is_due(house: House) -> None:
    await house.open(spec(sla=10.0))
    await house.submit(delay=100.0)
    await house.settle(105.0)
    assert await late(house) == []
    await house.settle(10.0)
    assert len(await late(house)) == 1


@story
async def test_one_that_began_in_time_is_not_late_when_it_is_tried_again(house: House) -> None:
    await house.open()
    worker = await house.worker(spec(sla=10.0, retries=1, retry_delay=60.0))
    worker.keep_beating()
    job = await house.submit()
    worker.fail(await worker.begin())
    await house.settle(30.0)
    assert (await house.row(job.id)).state == "retry"
    assert await late(house) == []
    assert (await house.row(job.id)).late_at is None, "it is not looked at for ever"


@story
async def test_it_is_told_once_whoever_restarts(house: House) -> None:
    told = Told()
    house.monitors = [told]
    await house.open(spec(sla=5.0))
    job = await house.submit()
    await house.settle(10.0)
    assert [(report.kind, report.subject, report.over) for report in told.alerts] == [("late", job.id, False)]
    await house.restart()
    await house.settle(10.0)
    assert len(told.alerts) == 1
    assert [alert.subject for alert in await late(house)] == [job.id]
    worker = await house.open_worker()
    await worker.begin()
    await house.settle(2.0)
    assert [report.over for report in told.alerts] == [False, True]
    assert await late(house) == []


@story
async def test_a_job_that_began_and_is_tried_again_is_not_late_any_more(house: House) -> None:
    await house.open(spec(sla=5.0, retries=1, retry_delay=60.0))
    job = await house.submit()
    await house.settle(10.0)
    worker = await house.worker(spec(sla=5.0, retries=1, retry_delay=60.0))
    worker.keep_beating()
    worker.fail(await worker.begin())
    await house.settle(5.0)
    assert (await house.row(job.id)).state == "retry"
    assert await late(house) == []


@story
async def test_while_the_store_fails_what_was_told_here_is_shown(house: House) -> None:
    await house.open(spec(sla=5.0))
    job = await house.submit()
    await house.settle(10.0)

    async def fails(limit: int, told: bool = False) -> list[Any]:
        raise StoreUnavailable("it does not answer")

    house.store.late = fails  # type: ignore[method-assign]
    assert [alert.subject for alert in await house.hub.outlook.alerts()] == [job.id]


@story
async def test_it_is_told_although_nobody_knew_whether_that_was_noted(house: House) -> None:
    await house.open(spec(sla=5.0))
    job = await house.submit()
    await house.settle(4.5)
    house.store.faults = ["unknown"]
    await house.settle(5.0)
    assert house.store.faults == [], "the commit of the note failed"
    assert [alert.subject for alert in await late(house)] == [job.id]


@story
async def test_many_late_jobs_of_a_task_share_an_alert(house: House) -> None:
    await house.open(spec(sla=5.0), spec("other", sla=5.0))
    jobs = [await house.submit() for _ in range(30)]
    one = await house.submit("other")
    await house.settle(10.0)
    alerts = {alert.subject: alert for alert in await late(house)}
    assert len(alerts) == 22
    assert one.id in alerts
    assert alerts["q:add"].text.startswith("10 more jobs of q:add did not begin within 5 s;")
    for job in jobs:
        await house.hub.cancel(job.id, "somebody")
    await house.settle(3.0)
    assert [alert.subject for alert in await late(house)] == [one.id]


@story
async def test_a_job_of_a_task_that_no_worker_has_ever_brought_is_late_too(house: House) -> None:
    hub = await house.open()
    await house.settle(5.0)
    await hub.declare([spec(sla=5.0)])
    job = await house.submit()
    await house.settle(10.0)
    assert [alert.subject for alert in await late(house)] == [job.id]


@story
async def test_nothing_is_looked_up_where_no_task_has_an_sla(house: House) -> None:
    looks = []

    async def looked(limit: int, told: bool = False) -> list[Any]:
        looks.append(limit)
        return []

    house.store.late = looked  # type: ignore[method-assign]
    await house.open(spec())
    await house.submit()
    await house.settle(300.0)
    assert looks == []
    await house.worker(spec("timed", sla=1.0))
    await house.settle(3.0)
    assert looks


@story
async def test_explain_says_that_it_is_late(house: House) -> None:
    await house.open(spec(sla=30.0))
    job = await house.submit()
    codes = [reason.code for reason in (await house.hub.explainer.explain(job.id)).reasons]
    assert "late" not in codes
    await house.settle(90.0)
    reasons = {reason.code: reason.text for reason in (await house.hub.explainer.explain(job.id)).reasons}
    assert reasons["late"] == "It is late: its task's sla was over 60 s ago."
