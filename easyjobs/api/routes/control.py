"""Tasks, queues, workers and the manager itself: what is there, and pausing it."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from easyjobs.api.endpoints import Call, Endpoint, Handler, reply
from easyjobs.api.shapes import (
    HealthOut,
    PauseOut,
    QueueList,
    StatsOut,
    TaskList,
    WorkerList,
    queue_out,
    stats_out,
    task_out,
    worker_out,
)
from easyjobs.errors import Unavailable
from easyjobs.hub.pausing import ALL, PauseKind


async def list_tasks(call: Call) -> Response:
    """List all tasks that a worker offers or once offered."""
    return reply(TaskList([task_out(view) for view in call.hub.queries.tasks()]))


async def list_queues(call: Call) -> Response:
    """List all queues, with how much waits in each."""
    return reply(QueueList([queue_out(view) for view in await call.hub.queries.queues()]))


async def list_workers(call: Call) -> Response:
    """List the workers."""
    return reply(WorkerList([worker_out(view) for view in await call.hub.queries.workers()]))


async def get_stats(call: Call) -> Response:
    """Show the manager in numbers."""
    return reply(stats_out(await call.hub.queries.stats()))


async def pause_queue(call: Call) -> Response:
    """Give out no more jobs of a queue; what runs goes on. May be repeated."""
    return await _pause(call, "queue", call.path("queue"))


async def resume_queue(call: Call) -> Response:
    """Give out jobs of a queue again. May be repeated."""
    return await _resume(call, "queue", call.path("queue"))


async def pause_task(call: Call) -> Response:
    """Give out no more jobs of a task; what runs goes on. May be repeated."""
    return await _pause(call, "task", f"{call.path('queue')}:{call.path('task')}")


async def resume_task(call: Call) -> Response:
    """Give out jobs of a task again. May be repeated."""
    return await _resume(call, "task", f"{call.path('queue')}:{call.path('task')}")


async def pause_worker(call: Call) -> Response:
    """Give a worker nothing new; what it has goes on. May be repeated."""
    return await _pause(call, "worker", call.path("worker"))


async def resume_worker(call: Call) -> Response:
    """Give a worker jobs again. May be repeated."""
    return await _resume(call, "worker", call.path("worker"))


async def pause_workers(call: Call) -> Response:
    """Give no worker anything new, nor those that come later; what runs goes on. May be repeated."""
    return await _pause(call, "workers", ALL)


async def resume_workers(call: Call) -> Response:
    """Give workers jobs again, except those that are paused by themselves. May be repeated."""
    return await _resume(call, "workers", ALL)


async def is_alive(_: Call) -> Response:
    """Say whether the process answers at all."""
    return reply(HealthOut("ok"))


async def is_ready(call: Call) -> Response:
    """Say whether jobs can be stored and given out."""
    ready, why = call.hub.ready()
    if not ready:
        raise Unavailable(f"Not ready: {why}.")
    return reply(HealthOut("ready"))


async def _pause(call: Call, kind: PauseKind, name: str) -> Response:
    await call.hub.pause(kind, name, call.who.by)
    return reply(PauseOut(kind, name, True))


async def _resume(call: Call, kind: PauseKind, name: str) -> Response:
    await call.hub.resume(kind, name, call.who.by)
    return reply(PauseOut(kind, name, False))


def _switch(path: str, handler: Handler, tag: str) -> Endpoint:
    return Endpoint("POST", path, handler, tag, {200: PauseOut}, problems=(404, 503))


_QUEUE: Final = "/api/queues/{queue}"
_TASK: Final = "/api/queues/{queue}/tasks/{task}"
_WORKER: Final = "/api/workers/{worker}"

ENDPOINTS: Final = (
    Endpoint("GET", "/api/tasks", list_tasks, "tasks", {200: TaskList}, problems=(503,)),
    _switch(_TASK + "/pause", pause_task, "tasks"),
    _switch(_TASK + "/resume", resume_task, "tasks"),
    Endpoint("GET", "/api/queues", list_queues, "queues", {200: QueueList}, problems=(503,)),
    _switch(_QUEUE + "/pause", pause_queue, "queues"),
    _switch(_QUEUE + "/resume", resume_queue, "queues"),
    Endpoint("GET", "/api/workers", list_workers, "workers", {200: WorkerList}, problems=(503,)),
    _switch("/api/workers/pause", pause_workers, "workers"),
    _switch("/api/workers/resume", resume_workers, "workers"),
    _switch(_WORKER + "/pause", pause_worker, "workers"),
    _switch(_WORKER + "/resume", resume_worker, "workers"),
    Endpoint("GET", "/api/stats", get_stats, "manager", {200: StatsOut}, problems=(503,)),
    Endpoint("GET", "/health/live", is_alive, "manager", {200: HealthOut}),
    Endpoint("GET", "/health/ready", is_ready, "manager", {200: HealthOut}, problems=(503,)),
)
