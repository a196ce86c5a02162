"""Tasks that nobody needs any more are forgotten."""

from __future__ import annotations

from sqlite3 import Connection
from typing import Final

from easyjobs.core.job import Lane
from easyjobs.core.keeping import Known, fate, is_offered
from easyjobs.stores.base import Retired
from easyjobs.stores.documents import lanes_offered, schedules_of, task_of

_PAGE: Final = (
    "SELECT queue, name, signature, idle_since, spec,"
    " EXISTS (SELECT 1 FROM tasks AS other WHERE other.queue = tasks.queue AND other.name = tasks.name"
    " AND other.seen_at > tasks.seen_at),"
    " EXISTS (SELECT 1 FROM pauses WHERE kind = 'task' AND pauses.name = tasks.queue || ':' || tasks.name),"
    " EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_task WHERE jobs.queue = tasks.queue AND jobs.task = tasks.name)"
    " FROM tasks WHERE (queue, name, signature) > (?, ?, ?) ORDER BY queue, name, signature LIMIT ?"
)
_OFFERS: Final = "SELECT offers FROM sessions WHERE state = 'live'"
_SCHEDULES: Final = "SELECT row, version FROM schedules"
_THESE: Final = "WHERE queue = ? AND name = ? AND signature = ?"
_FORGET: Final = (
    f"DELETE FROM tasks {_THESE} AND NOT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_task"
    " WHERE jobs.queue = tasks.queue AND jobs.task = tasks.name AND jobs.signature = tasks.signature)"
)
_NOTE: Final = f"UPDATE tasks SET idle_since = ? {_THESE}"


def retire_tasks(connection: Connection, now: float, keep: float, after: Lane | None, limit: int) -> Retired:
    """Look at up to `limit` tasks, in the transaction under way. See `base.Store.retire`."""
    rows = connection.execute(_PAGE, (*(after or ("", "", "")), limit + 1)).fetchall()
    page, gone = rows[:limit], []
    offered = lanes_offered(text for (text,) in connection.execute(_OFFERS)) if page else set()
    scheduled = {(row.queue, row.task) for row in schedules_of(connection.execute(_SCHEDULES))} if page else set()
    for queue, name, signature, idle_since, spec, newer, paused, used in page:
        lane = Lane(queue, name, signature)
        named = bool(paused) or (queue, name) in scheduled
        task = task_of(spec)
        passing, brought = task is not None and task.passing, task is not None and is_offered(task, offered)
        becomes = fate(Known(lane, idle_since, passing, bool(newer), brought, named, bool(used)), now, keep)
        if becomes == "goes" and connection.execute(_FORGET, lane).rowcount:
            gone.append(lane)
        elif becomes != "stays":
            connection.execute(_NOTE, (now if becomes == "idle" else None, *lane))
    return Retired(gone, Lane(*page[-1][:3]) if len(rows) > limit else None)
