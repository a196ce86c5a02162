"""Removes jobs that ended long ago, a little at a time."""

from __future__ import annotations

from easyjobs.hub.settings import HubSettings
from easyjobs.stores.base import Store

PAGE = 500
PAUSE = 0.2  # seconds between pages, so that pruning a million jobs is never felt


class Pruner:
    """One page, then a short pause while there is more, else until the next round."""

    name = "pruner"

    def __init__(self, store: Store, settings: HubSettings) -> None:
        self._store = store
        self._settings = settings

    async def run_once(self, now: float) -> float | None:
        """Prune one page."""
        removed = await self._store.prune(self._settings.retention, PAGE)
        return now + (PAUSE if removed == PAGE else self._settings.prune_every)
