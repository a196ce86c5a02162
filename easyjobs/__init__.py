"""easyjobs: background jobs for FastAPI, with no broker to run.

The public names are imported when they are first used: a worker that stands alone loads no web framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from easyjobs.client import EasyJobsClient, SyncEasyJobsClient
    from easyjobs.errors import EasyJobsError, JobCancelled, JobFailed, NoRetry, Refused, Retry, WaitTimeout
    from easyjobs.faces.bash import BashTask
    from easyjobs.faces.instances import TaskInstance
    from easyjobs.faces.jobmaster import JobMaster
    from easyjobs.faces.taskflow import Taskflow
    from easyjobs.faces.tasks import Task, Workflow
    from easyjobs.manager import EasyJobsManager
    from easyjobs.monitors.log import LogMonitor
    from easyjobs.monitors.reports import AlertReport, Heartbeat, JobReport
    from easyjobs.monitors.webhook import SlackMonitor, WebhookMonitor
    from easyjobs.tasks.context import JobContext, current_job
    from easyjobs.tasks.decorator import task
    from easyjobs.tasks.dependencies import Dependency, same
    from easyjobs.tasks.handle import Call, JobHandle
    from easyjobs.tasks.shapes import chain, group, map, task_named
    from easyjobs.tasks.workflows import workflow
    from easyjobs.workers.worker import EasyJobsWorker

__version__ = "0.1.0"

_HOMES = {
    "EasyJobsManager": "easyjobs.manager",
    "EasyJobsWorker": "easyjobs.workers.worker",
    "EasyJobsClient": "easyjobs.client",
    "SyncEasyJobsClient": "easyjobs.client",
    "JobMaster": "easyjobs.faces.jobmaster",
    "Taskflow": "easyjobs.faces.taskflow",
    "Task": "easyjobs.faces.tasks",
    "Workflow": "easyjobs.faces.tasks",
    "BashTask": "easyjobs.faces.bash",
    "TaskInstance": "easyjobs.faces.instances",
    "LogMonitor": "easyjobs.monitors.log",
    "WebhookMonitor": "easyjobs.monitors.webhook",
    "SlackMonitor": "easyjobs.monitors.webhook",
    "JobReport": "easyjobs.monitors.reports",
    "AlertReport": "easyjobs.monitors.reports",
    "Heartbeat": "easyjobs.monitors.reports",
    "task": "easyjobs.tasks.decorator",
    "workflow": "easyjobs.tasks.workflows",
    "chain": "easyjobs.tasks.shapes",
    "group": "easyjobs.tasks.shapes",
    "map": "easyjobs.tasks.shapes",
    "task_named": "easyjobs.tasks.shapes",
    "Dependency": "easyjobs.tasks.dependencies",
    "same": "easyjobs.tasks.dependencies",
    "current_job": "easyjobs.tasks.context",
    "JobContext": "easyjobs.tasks.context",
    "JobHandle": "easyjobs.tasks.handle",
    "Call": "easyjobs.tasks.handle",
    "Retry": "easyjobs.errors",
    "NoRetry": "easyjobs.errors",
    "JobFailed": "easyjobs.errors",
    "JobCancelled": "easyjobs.errors",
    "WaitTimeout": "easyjobs.errors",
    "Refused": "easyjobs.errors",
    "EasyJobsError": "easyjobs.errors",
}

__all__ = [
    "EasyJobsManager",
    "EasyJobsWorker",
    "EasyJobsClient",
    "SyncEasyJobsClient",
    "JobMaster",
    "Taskflow",
    "Task",
    "Workflow",
    "BashTask",
    "TaskInstance",
    "LogMonitor",
    "WebhookMonitor",
    "SlackMonitor",
    "JobReport",
    "AlertReport",
    "Heartbeat",
    "task",
    "workflow",
    "chain",
    "group",
    "map",
    "task_named",
    "Dependency",
    "same",
    "current_job",
    "JobContext",
    "JobHandle",
    "Call",
    "Retry",
    "NoRetry",
    "JobFailed",
    "JobCancelled",
    "WaitTimeout",
    "Refused",
    "EasyJobsError",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'easyjobs' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
