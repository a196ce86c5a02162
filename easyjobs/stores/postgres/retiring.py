"""Tasks that nobody needs any more are forgotten."""

from __future__ import annotations

from typing import Final

from easyjobs.core.job import Lane
from easyjobs.core.keeping import Known, fate, is_offered
from easyjobs.stores.base import Retired
from easyjobs.stores.documents import lanes_offered, schedules_of, task_of
from easyjobs.stores.postgres import texts
from easyjobs.stores.postgres.channel import Connection

_OF: Final = "EXISTS (SELECT FROM jobs WHERE jobs.queue = tasks.queue AND jobs.task = tasks.name AND "
# each kind of job by the index that has it
_USED: Final = " OR ".join(f"{_OF}{which})" for which in (texts.ENDED, "ready = 1", "ready IN (0, 2)"))
_PAGE: Final = (
    "SELECT queue, name, signature, idle_since, spec,"
    " EXISTS (SELECT FROM tasks AS other WHERE other.queue = tasks.queue AND other.name = tasks.name"
    " AND other.seen_at > tasks.seen_at),"
    " EXISTS (SELECT FROM pauses WHERE kind = 'task' AND pauses.name = tasks.queue || ':' || tasks.name),"
    f" {_USED} FROM tasks WHERE (queue, name, signature) > ($1, $2, $3) ORDER BY queue, name, signature LIMIT $4"
)
_OFFERS: Final = "SELECT offers FROM sessions WHERE state = 'live'"
_SCHEDULES: Final = "SELECT document, version FROM schedules"
_RUNNING: Final = "SELECT DISTINCT queue, task FROM jobs WHERE state = 'running'"
_THESE: Final = "WHERE queue = $1 AND name = $2 AND signature = $3"
_HELD: Final = " OR ".join(
    f"{_OF}jobs.signature = tasks.signature AND {which})"
    for which in (texts.ENDED, "ready = 1", "ready IN (0, 2)", "state = 'running'")
)
_FORGET: Final = f"DELETE FROM tasks {_THESE} AND NOT ({_HELD}) RETURNING true"
_NOTE: Final = f"UPDATE tasks SET idle_since = $4 {_THESE}"


async def retire_tasks(connection: Connection, now: float, keep: float, after: Lane | None, limit: int) -> Retired:
    """Look at up to `limit` tasks, in the transaction under way. See `base.Store.retire`."""
    rows = await connection.fetch(_PAGE, *(after or ("", "", "")), limit + 1)
    page, gone = rows[:limit], []
    if not page:
        return Retired([], None)
    offered = lanes_offered(text for (text,) in await connection.fetch(_OFFERS))
    scheduled = {(row.queue, row.task) for row in schedules_of(await connection.fetch(_SCHEDULES))}
    running = {(queue, task) for queue, task in await connection.fetch(_RUNNING)}
    for queue, name, signature, idle_since, spec, newer, paused, used in page:
        lane = Lane(queue, name, signature)
        named, in_use = paused or (queue, name) in scheduled, used or (queue, name) in running
        task = task_of(spec)
        passing, brought = task is not None and task.passing, task is not None and is_offered(task, offered)
        becomes = fate(Known(lane, idle_since, passing, newer, brought, named, in_use), now, keep)
        if becomes == "goes" and await connection.fetchval(_FORGET, *lane):
            gone.append(lane)
        elif becomes != "stays":
            await connection.execute(_NOTE, *lane, now if becomes == "idle" else None)
    return Retired(gone, Lane(*page[-1][:3]) if len(rows) > limit else None)
