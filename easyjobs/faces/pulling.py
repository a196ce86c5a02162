"""Processes that work straight on a store, with no manager and no HTTP: pull workers, and a scheduler."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from easyjobs.background import Nursery
from easyjobs.errors import ConfigurationError
from easyjobs.hub.embedded import connect
from easyjobs.hub.hub import Hub
from easyjobs.hub.settings import HubSettings, hub_settings
from easyjobs.settings import manager_settings
from easyjobs.stores import open_store
from easyjobs.stores.memory import MemoryStore
from easyjobs.wire.link import Link
from easyjobs.workers.signals import stop_signals
from easyjobs.workers.worker import EasyJobsWorker


@asynccontextmanager
async def pulling(
    worker: EasyJobsWorker, store: str | None = None, settings: HubSettings | None = None
) -> AsyncIterator[Hub]:
    """Inside, `worker` may be started, and takes jobs straight from the store: those of its tasks, as a manager on the
    same store would give it. Stop it before the end.

    :param store: its URL, else EASYJOBS_STORE; a file in SQLite, which a manager may be using, or PostgreSQL.
    :param settings: as the manager's; by default those of the environment.
    :raises ConfigurationError: this store is one process's own. StoreError: it cannot be opened.
    """
    nursery = Nursery("pulling")
    async with _hub(store, settings) as hub:

        async def dial() -> Link:
            return connect(hub, nursery)

        worker.embed(dial)
        try:
            yield hub
        finally:
            await nursery.close()


async def pull(worker: EasyJobsWorker, store: str | None = None, settings: HubSettings | None = None) -> None:
    """Run the jobs of `worker`'s tasks straight from the store, until SIGTERM or SIGINT; a second signal does not wait
    for running jobs. The rest: as `pulling`.
    """
    async with pulling(worker, store, settings):
        await worker.run()


async def schedule(store: str | None = None, settings: HubSettings | None = None) -> None:
    """Fire schedules, and do what else one of several is enough for, until SIGTERM or SIGINT. Of several on a store one
    acts at a time. The rest: as `pulling`.
    """
    async with _hub(store, settings):
        with stop_signals(_nothing) as told:
            await told


@asynccontextmanager
async def _hub(url: str | None, settings: HubSettings | None) -> AsyncIterator[Hub]:
    given = manager_settings(store=url)
    store = open_store(given.store, shared=True)
    if isinstance(store, MemoryStore):
        raise ConfigurationError("memory: is one process's own; name a store that several can open: sqlite:///jobs.db")
    hub = Hub(store, settings=settings or hub_settings(given))
    await hub.start()
    try:
        yield hub
    finally:
        await hub.stop()


def _nothing() -> None:
    """There is nothing to hurry."""
