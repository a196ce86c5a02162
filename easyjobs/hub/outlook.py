"""What a manager notices besides its work, and whom it tells: alerts, and all that raises or passes them on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from easyjobs.errors import StoreError
from easyjobs.hub.alerts import Alert, Alerts
from easyjobs.hub.announcer import Announcer
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.committer import Committer
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.lead import Duty, Lead
from easyjobs.hub.monitors import Heart, Monitors
from easyjobs.hub.roster import Roster
from easyjobs.hub.services.breaker import Breaker
from easyjobs.hub.services.lateness import Lateness, known_to_all
from easyjobs.hub.services.periodic import Periodic
from easyjobs.hub.services.refitter import Refitter
from easyjobs.hub.services.watch import Watch
from easyjobs.hub.settings import HubSettings
from easyjobs.stores.base import Store


class Outlook:
    """Run its `services`. `destinations` are told what happens (docs/monitoring.md).

    :raises ConfigurationError: a destination will not do.
    """

    def __init__(
        self,
        store: Store,
        roster: Roster,
        catalog: Catalog,
        dispatcher: Dispatcher,
        committer: Committer,
        announcer: Announcer,
        alerts: Alerts,
        lead: Lead,
        depth: Mapping[str, int],
        trouble: Callable[[], str | None],
        counters: Counter[str],
        settings: HubSettings,
        destinations: Sequence[Any],
    ) -> None:
        self.breaker = Breaker(roster, alerts, committer.poke)
        self.monitors = Monitors(destinations, store, lead, announcer, alerts, counters)
        self._watch = Periodic(
            Watch(store, roster, catalog, dispatcher, depth, trouble, alerts, settings),
            store.now,
        )
        self._refit = Periodic(
            Refitter(store, roster, catalog, dispatcher, committer, settings, alerts),
            store.now,
        )
        self._break = Periodic(self.breaker, store.now)
        self._alerts = alerts
        self._lateness = Lateness(store, catalog, committer, lambda: lead.held, alerts)
        self._late = Periodic(self._lateness, store.now)
        names = Periodic(self.monitors, store.now)
        lead.gained.append(self._late.wake)
        self.breaker.wake = self._break.wake
        self.monitors.wake = names.wake
        self.services = [self._refit, self._break, self._watch, self._late]
        if destinations:
            heart = Periodic(Duty(Heart(self.monitors), lead), store.now)
            lead.gained.append(heart.wake)
            self.services += [names, heart]

    async def alerts(self) -> list[Alert]:
        """What somebody should look at, oldest first: what this manager sees, and the jobs that are late for all. While
        the store fails, of these only those that it has told itself.
        """
        try:
            late = await self._lateness.alerts()
        except StoreError:
            return self._alerts.all()
        return known_to_all(self._alerts.all(), late)

    def look(self) -> None:
        """Something may have become an alert, or be none any more."""
        self._watch.wake()

    def changed(self) -> None:
        """Which tasks are offered may be other than before."""
        for service in (self._refit, self._break, self._watch, self._late):
            service.wake()
