"""A destination that is told everything in one way, whatever it is; and how that is said in a line for people."""

from __future__ import annotations

from easyjobs.monitors.reports import AlertReport, Heartbeat, Hook, JobReport, Report


class Telling:
    """All hooks, each of which calls `tell`. What it is told can be narrowed by an attribute `events`."""

    async def tell(self, event: Hook, report: Report) -> None:
        """Say it; raises what it likes, best `Undelivered`."""
        raise NotImplementedError

    async def heartbeat_scheduler(self, report: Heartbeat) -> None:
        """The manager that schedules is there."""
        await self.tell("heartbeat_scheduler", report)

    async def task_retry(self, report: JobReport) -> None:
        """An attempt failed or crashed; there will be another."""
        await self.tell("task_retry", report)

    async def task_failed(self, report: JobReport) -> None:
        """A job failed for good."""
        await self.tell("task_failed", report)

    async def task_success(self, report: JobReport) -> None:
        """A job completed."""
        await self.tell("task_success", report)

    async def workflow_failed(self, report: JobReport) -> None:
        """A run of a workflow failed."""
        await self.tell("workflow_failed", report)

    async def workflow_success(self, report: JobReport) -> None:
        """A run of a workflow completed."""
        await self.tell("workflow_success", report)

    async def alert(self, report: AlertReport) -> None:
        """An alert was raised, or is over."""
        await self.tell("alert", report)


def sentence(event: Hook, report: Report) -> str:
    """A report in one line; in place of what would end it, or steer a terminal, there is a space."""
    return "".join(c if c.isprintable() else " " for c in _said(event, report))


def _said(event: Hook, report: Report) -> str:
    if isinstance(report, Heartbeat):
        return f"{report.manager} schedules"
    if isinstance(report, AlertReport):
        end = f" is over, after {report.at - report.since:.0f} s" if report.over else ""
        return f"alert {report.kind} {report.subject}{end}: {report.text}"
    took = "" if report.duration is None else f", after {report.duration:.3g} s"
    if event.startswith("workflow"):
        what, how = f"workflow {report.queue}:{report.task}", took
    else:
        part = (
            f" (node {report.node} of workflow {report.workflow or report.run})" if report.run and report.node else ""
        )
        most = f" of {report.max_attempts}" if report.attempt <= report.max_attempts else ""  # crashes come on top
        where = f" on {report.worker}" if report.worker else ""
        what, how = f"task {report.queue}:{report.task}{part}", f"{where}, attempt {report.attempt}{most}{took}"
        if not report.attempt:
            how = ""
    end = {"task_retry": "failed, and is tried again"}.get(event, report.state)
    why = "" if report.error is None else f": {report.error.get('type')}: {report.error.get('message')}"
    return f"{what} {end}{how}, job {report.id}{why}"
