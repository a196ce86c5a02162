"""All that belongs to schedules, put together: what they are, who makes them, and what fires them."""

from __future__ import annotations

from collections.abc import Iterable

from easyjobs.core.task import TaskSpec
from easyjobs.hub.alerts import Alerts
from easyjobs.hub.announcer import Announcer
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.committer import Committer
from easyjobs.hub.control import Control
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.lead import Duty, Lead
from easyjobs.hub.schedules import Schedules
from easyjobs.hub.services.declarations import Declarations
from easyjobs.hub.services.periodic import Periodic
from easyjobs.hub.services.ticker import Ticker
from easyjobs.hub.settings import HubSettings
from easyjobs.hub.submission import Admission
from easyjobs.hub.timetable import Timetable
from easyjobs.ids import Ids
from easyjobs.stores.base import Pause, Store


class Scheduling:
    """Run its `services`; `load` first."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        admission: Admission,
        committer: Committer,
        control: Control,
        dispatcher: Dispatcher,
        announcer: Announcer,
        alerts: Alerts,
        ids: Ids,
        settings: HubSettings,
        lead: Lead,
    ) -> None:
        self._store = store
        self.timetable = timetable = Timetable(alerts)
        self.schedules = Schedules(store, timetable, catalog, admission, committer, control, ids, settings)
        self._declarations = Declarations(store, timetable, committer)
        self._follow = Periodic(self._declarations, store.now)
        ticker = Ticker(store, timetable, admission, committer, dispatcher, announcer, ids)
        tick = Periodic(Duty(ticker, lead), store.now)
        lead.gained.append(tick.wake)
        timetable.changed = tick.wake
        self.services = [self._follow, tick]

    async def load(self, pauses: Iterable[Pause]) -> None:
        """Begin with what the store holds. Raises StoreError."""
        self.timetable.load(await self._store.schedules(), pauses)

    async def follow(self) -> None:
        """Take in what other managers have written. Raises StoreError."""
        before = self.timetable.known()
        rows = await self._store.schedules()
        self.timetable.follow(rows, await self._store.pauses(), before)

    def registered(self, specs: Iterable[TaskSpec]) -> None:
        """These are tasks as they are known now; their schedules follow them. May be said again."""
        if self._declarations.declare(specs):
            self._follow.wake()
