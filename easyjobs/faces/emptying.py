"""When a queue is empty, as far as one worker can empty it: all that a `run` of JobMaster waits for."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from easyjobs.core.job import Lane
from easyjobs.core.states import RETRY
from easyjobs.errors import RegistrationError, StoreUnavailable
from easyjobs.hub.hub import Hub
from easyjobs.hub.roster import Live
from easyjobs.stores.base import JobQuery
from easyjobs.workers.worker import EasyJobsWorker

log = logging.getLogger("easyjobs")

LOOK: Final = 0.02
"""Seconds between two looks whether the queue is empty."""

LOOK_ELSEWHERE: Final = 0.2
"""Seconds between two looks at other processes."""

PATIENCE: Final = 2.0
"""Seconds after which jobs that are ready, and that nobody takes although nothing runs here, are left for others."""

SILENT: Final = 60.0
"""Seconds that a store may fail, whose server is started anew; looked at again every `ONCE_MORE`."""

ONCE_MORE: Final = 0.5

SOON: Final = 60.0
"""A failed job whose next attempt is due within so many seconds is waited for."""

LEAD: Final = 30.0
"""Seconds until another process has the lead of one that died, and has looked who else did."""


async def until_empty(hub: Hub, worker: EasyJobsWorker) -> None:
    """Returns when nothing of this worker's runs, nothing that it could take is ready, nothing is tried again soon, and
    whoever else runs such jobs is alive.

    :raises RegistrationError: the tasks are refused. StoreUnavailable: the store has failed for a minute.
    """
    lanes = frozenset(spec.lane for spec in worker.specs())
    names = {lane[:2] for lane in lanes}
    clock = asyncio.get_running_loop().time
    idle_since = answered = clock()
    elsewhere = _Elsewhere(hub, lanes)
    while worker.refused is None:
        await asyncio.sleep(LOOK)
        live = next((live for live in hub.roster.holders() if live.row.name == worker.settings.name), None)
        if live is None or live.lanes != lanes or live.held or _runs_in(hub, live):
            idle_since = answered = clock()
            continue
        works, why = hub.ready()
        if not works:  # it can be read again, but the hub has not tried to write yet, and hands nothing out
            if clock() - answered > SILENT:
                raise StoreUnavailable(why)
            idle_since = clock()
            continue
        try:
            # those with other parameters may be made to fit
            ready = {lane[:2] for lane in await hub.store.lanes()} & names
            waits = bool(live.held) or await elsewhere.in_doubt() or (not ready and await _tried_again_soon(hub, lanes))
        except StoreUnavailable:
            if clock() - answered > SILENT:
                raise
            await asyncio.sleep(ONCE_MORE)
            idle_since = clock()
            continue
        answered = clock()
        if waits:  # and what is due then may take a moment to be handed out
            idle_since = answered
            continue
        if not ready:
            return
        if clock() - idle_since > PATIENCE:
            left = ", ".join(sorted(map(":".join, ready)))
            log.warning("jobs of %s are left: paused, beyond what may run at once, or with other parameters", left)
            return
    raise RegistrationError(f"the tasks are refused: {worker.refused}")


def _runs_in(hub: Hub, live: Live) -> bool:
    return any(job.session == live.row.id for job in hub.roster.running.values())


async def _tried_again_soon(hub: Hub, lanes: frozenset[Lane]) -> bool:
    page = await hub.store.find(JobQuery(state=RETRY, limit=500))
    until = hub.now() + SOON
    return any(job.lane in lanes and job.run_at <= until for job in page.items)


class _Elsewhere:
    """Other processes that run jobs of the same tasks: whether they live shows in their leases, which they renew."""

    def __init__(self, hub: Hub, lanes: frozenset[Lane]) -> None:
        self._hub = hub
        self._lanes = lanes
        self._leases: dict[str, float] = {}
        self._next = 0.0
        self._doubt = False
        self._until = hub.now() + 2 * hub.settings.lease + hub.settings.grace + LEAD

    async def in_doubt(self) -> bool:
        """Whether one of them was not heard of since it was first seen here. One that is dead is found out by whoever
        leads, and its jobs are free then.
        """
        now = self._hub.now()
        if not self._hub.store.single_manager and now >= self._next:
            self._next = now + LOOK_ELSEWHERE
            self._doubt = now < self._until and await self._look()
        return self._doubt

    async def _look(self) -> bool:
        sessions = {job.session or "" for job in await self._hub.store.running() if job.lane in self._lanes}
        if not sessions:
            return False
        leases = {row.id: row.expires_at for row in await self._hub.store.sessions()}
        # the jobs of a session that is lost already are about to be free
        return any(id not in leases or leases[id] == self._leases.setdefault(id, leases[id]) for id in sessions)
