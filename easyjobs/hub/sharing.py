"""All that several managers on the same rows need of each, put together. In one that is alone it sleeps."""

from __future__ import annotations

from easyjobs.hub.announcer import Announcer
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.committer import Committer
from easyjobs.hub.control import Control
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.lead import Lead
from easyjobs.hub.neighbours import Neighbours
from easyjobs.hub.outlets import Outlets
from easyjobs.hub.pausing import Pausing
from easyjobs.hub.requests import Requests
from easyjobs.hub.retirement import Retirement
from easyjobs.hub.roster import Roster
from easyjobs.hub.scheduling import Scheduling
from easyjobs.hub.services.orphans import Orphans
from easyjobs.hub.services.periodic import Periodic
from easyjobs.hub.settings import HubSettings
from easyjobs.ids import Ids
from easyjobs.stores.base import Hint, Store


class Sharing:
    """Run its `services`; `load` first."""

    def __init__(
        self,
        store: Store,
        instance: str,
        lead: Lead,
        roster: Roster,
        catalog: Catalog,
        dispatcher: Dispatcher,
        committer: Committer,
        announcer: Announcer,
        outlets: Outlets,
        pausing: Pausing,
        scheduling: Scheduling,
        retirement: Retirement,
        control: Control,
        requests: Requests,
        ids: Ids,
        settings: HubSettings,
    ) -> None:
        self._store = store
        self.neighbours = Neighbours(
            store,
            instance,
            roster,
            catalog,
            dispatcher,
            committer,
            announcer,
            outlets,
            pausing,
            scheduling,
            retirement,
            ids,
        )
        self._orphans = Orphans(store, roster, committer, settings, lambda: lead.held)
        look = Periodic(self.neighbours, store.now)
        self.neighbours.wake = look.wake
        store.listen(self._heard, instance)
        control.learn = requests.learn = pausing.learn = self.neighbours.learn
        scheduling.schedules.learn = scheduling.follow
        lead.gained.append(self._orphans.pardon)
        lead.gained.append(self.neighbours.refresh)
        self.services = [Periodic(lead, store.now), look, Periodic(self._orphans, store.now)]
        self._awake = False

    def _heard(self, hint: Hint) -> None:
        """There are others, now or already."""
        if not self._awake:
            self._awake = True
            for service in self.services:
                service.wake()
        self.neighbours.heard(hint)

    def doubt(self) -> None:
        """The store failed: nobody may be held dead for that."""
        self._orphans.doubt()
