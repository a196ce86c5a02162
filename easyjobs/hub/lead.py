"""Who of several managers on the same rows does what one is enough for.

The lead only saves work: each duty is safe with two leaders, because what it writes is guarded row by row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from easyjobs.errors import StoreError
from easyjobs.hub.services.periodic import Service
from easyjobs.stores.base import Store

log = logging.getLogger("easyjobs.hub")

LEASE: Final = 15.0
RENEW: Final = 5.0
LOOK: Final = 5.0
"""Seconds after which a duty is asked for again by one who does not lead."""


class Lead:
    """Takes the lead where nobody has it, and keeps it. A manager that is alone always leads, and asks nobody.

    :param wants: else it never leads.
    """

    name = "lead"

    def __init__(self, store: Store, holder: str, wants: bool = True) -> None:
        self._store = store
        self._wants = wants
        self._holder = holder
        self._until = 0.0
        self.term: int | None = None
        self.gained: list[Callable[[], None]] = []

    @property
    def held(self) -> bool:
        """Whether this manager leads now."""
        if self._store.single_manager:
            return self._wants
        return self.term is not None and self._store.now() < self._until

    async def run_once(self, now: float) -> float | None:
        """Ask for the lead, or for more of it."""
        if self._store.single_manager or not self._wants:
            return None
        term = await self._store.lead(self._holder, LEASE)
        self._until = now + LEASE  # counted from before it was asked for
        if term is not None and term != self.term:
            log.info("this manager leads, in term %d", term)
            self.term = term
            for gained in self.gained:
                gained()
        elif term is None and self.term is not None:
            log.info("another manager leads")
            self.term = None
        return now + RENEW

    async def resign(self) -> None:
        """Let another manager lead at once. When this one stops."""
        if self.term is not None and not self._store.single_manager:
            self.term = None
            try:
                await self._store.lead(self._holder, 0.0)
            except StoreError as error:
                log.info("the lead was not given up, and runs out by itself: %s", error)


class Duty:
    """A service that the leader runs."""

    def __init__(self, service: Service, lead: Lead) -> None:
        self._service = service
        self._lead = lead
        self.name = service.name

    async def run_once(self, now: float) -> float | None:
        """As the service, where this manager leads; else it looks again after a while."""
        return await self._service.run_once(now) if self._lead.held else now + LOOK
