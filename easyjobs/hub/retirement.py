"""Tasks that the store has forgotten are forgotten here too, unless somebody needs them after all."""

from __future__ import annotations

from collections.abc import Iterable

from easyjobs.core.changes import PutTask, Write
from easyjobs.core.job import Lane
from easyjobs.core.keeping import is_offered
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.committer import Committer
from easyjobs.hub.entries import Chore
from easyjobs.hub.roster import Roster
from easyjobs.stores.base import Store


class Retirement:
    """Keeps the catalog in line with what was removed from the store, by whichever manager."""

    def __init__(self, store: Store, roster: Roster, catalog: Catalog, committer: Committer) -> None:
        self._store = store
        self._roster = roster
        self._catalog = catalog
        self._committer = committer
        self.declared: set[Lane] = set()
        """Tasks that this process says there are, though none of its workers may offer them."""

    async def gone(self, lanes: Iterable[Lane]) -> None:
        """These are not in the store any more. One of which a worker, or a job, came in that very moment is put back:
        another manager may have removed it without knowing.
        """
        known = [lane for lane in lanes if self._catalog.by_lane(lane) is not None]
        if not known:
            return
        used = {(count.queue, count.task) for count in await self._store.counts()}
        back: list[Write] = []
        for lane in known:
            entry = self._catalog.by_lane(lane)
            if entry is None:
                continue
            newest = self._catalog.get(lane.queue, lane.task) is entry
            asked = newest and (lane.queue, lane.task) in used
            if asked or lane in self.declared or is_offered(entry.spec, self._roster.lanes()):
                back.append(PutTask(entry.spec, self._store.now()))
            else:
                self._catalog.drop(lane)
        if back:
            self._committer.add(Chore(back))
