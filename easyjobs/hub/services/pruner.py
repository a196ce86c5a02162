"""Removes jobs that ended long ago, and tasks that nobody has needed for long, a little at a time."""

from __future__ import annotations

from easyjobs.core.job import Lane
from easyjobs.hub.retirement import Retirement
from easyjobs.hub.settings import HubSettings
from easyjobs.stores.base import Store

PAGE = 500
PAUSE = 0.2  # seconds between pages, so that pruning a million jobs is never felt
LOOK_AT_TASKS = 600.0


class Pruner:
    """One page, then a short pause while there is more, else until the next round. Tasks after jobs, more seldom."""

    name = "pruner"

    def __init__(self, store: Store, settings: HubSettings, retirement: Retirement) -> None:
        self._store = store
        self._settings = settings
        self._retirement = retirement
        self._tasks_at = 0.0
        self._after: Lane | None = None

    async def run_once(self, now: float) -> float | None:
        """Prune one page."""
        if await self._store.prune(self._settings.retention, PAGE) == PAGE:
            return now + PAUSE
        if now >= self._tasks_at:
            retired = await self._store.retire(self._settings.keep_tasks, self._after, PAGE)
            self._after = retired.next
            await self._retirement.gone(retired.tasks)
            if retired.next is not None:
                return now + PAUSE
            self._tasks_at = now + LOOK_AT_TASKS
        return now + self._settings.prune_every
