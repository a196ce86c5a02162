"""What a manager does with the sessions and running jobs that an earlier one left in the store."""

from __future__ import annotations

import logging

from easyjobs.core.events import WorkerDied
from easyjobs.hub.committer import Committer
from easyjobs.hub.delivery import Delivery
from easyjobs.hub.entries import Word
from easyjobs.hub.roster import Live, Roster
from easyjobs.hub.services.rescuer import Rescuer
from easyjobs.hub.settings import HubSettings
from easyjobs.stores.base import Store

log = logging.getLogger("easyjobs.hub")


async def take_over(
    store: Store, roster: Roster, committer: Committer, delivery: Delivery, rescuer: Rescuer, settings: HubSettings
) -> None:
    """Sessions and running jobs as an earlier manager left them: everyone gets a lease and the grace to come back.

    Workers that were embedded in that manager's process died with it. Once, before anything else moves a job. Where
    there may be other managers, these are theirs, or will come here by themselves: nothing is taken over.
    """
    if not store.single_manager:
        return
    rows = await store.sessions()
    running = await store.running()
    if _came(store):
        return
    now = store.now()
    until = now + settings.lease + settings.grace
    for row in rows:
        live = Live(row, [], now, settings.lease)
        live.lease_until = until
        roster.add(live)
    for job in running:
        live_of_job = roster.hand_out(job, now)
        if live_of_job is None:
            # that manager had lost the session, and ended before it could say the same of its jobs
            committer.add(Word(job.id, WorkerDied(job.attempt, job.token or "", f"worker {job.worker} died")))
            continue
        if job.timeout is not None:
            delivery.expect_end(job, now)
        if job.cancel is not None:
            delivery.expect_stop(job, now)
    for live in roster.holders():
        live.unconfirmed.clear()
        if live.row.embedded is not None:
            rescuer.lose(live, now, "the manager that it was embedded in ended")
    if running:
        log.info("%d jobs were running when the last manager ended", len(running))


def _came(store: Store) -> bool:
    """Whether another manager came meanwhile: some of what was read may be its."""
    return not store.single_manager
