"""Processes that work straight on a store, with no manager and no HTTP: pull workers, and a scheduler."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from easyjobs.background import Nursery
from easyjobs.core.task import TaskSpec
from easyjobs.errors import ConfigurationError
from easyjobs.faces.voice import StoreLink
from easyjobs.hub.embedded import Inlet
from easyjobs.hub.hub import Hub
from easyjobs.hub.settings import HubSettings, hub_settings
from easyjobs.monitors.configured import destinations
from easyjobs.settings import manager_settings
from easyjobs.stores import open_store
from easyjobs.stores.memory import MemoryStore
from easyjobs.workers.signals import stop_signals
from easyjobs.workers.worker import EasyJobsWorker


@asynccontextmanager
async def pulling(
    worker: EasyJobsWorker,
    store: str | None = None,
    settings: HubSettings | None = None,
    monitors: Sequence[Any] = (),
) -> AsyncIterator[Hub]:
    """Inside, `worker` may be started, and takes jobs straight from the store: those of its tasks, as a manager on the
    same store would give it. Stop it before the end.

    :param store: its URL, else EASYJOBS_STORE; a file in SQLite, which a manager may be using, or PostgreSQL.
    :param settings: as the manager's; by default those of the environment. `monitors`: too.
    :raises ConfigurationError: this store is one process's own. StoreError: it cannot be opened.
    """
    nursery = Nursery("pulling")
    async with hub_on(store, settings, monitors) as hub:
        inlet = Inlet(hub, nursery)
        url, lease = manager_settings(store=store).store, hub.settings.lease
        worker.embed(inlet.dial, inlet.of_child, lambda timeout: StoreLink(url, lease))
        try:
            yield hub
        finally:
            await nursery.close()


async def pull(
    worker: EasyJobsWorker,
    store: str | None = None,
    settings: HubSettings | None = None,
    monitors: Sequence[Any] = (),
) -> None:
    """Run the jobs of `worker`'s tasks straight from the store, until SIGTERM or SIGINT; a second signal does not wait
    for running jobs. The rest: as `pulling`.
    """
    async with pulling(worker, store, settings, monitors):
        await worker.run()


async def schedule(
    store: str | None = None,
    settings: HubSettings | None = None,
    monitors: Sequence[Any] = (),
    specs: Sequence[TaskSpec] = (),
) -> None:
    """Fire schedules, and do what else one of several is enough for, until SIGTERM or SIGINT. Of several on a store one
    acts at a time. `specs`: tasks and workflows that are made known first. The rest: as `pulling`.
    """
    async with hub_on(store, settings, monitors) as hub:
        await hub.declare(specs)
        with stop_signals(_nothing) as told:
            await told


@asynccontextmanager
async def hub_on(
    url: str | None = None,
    settings: HubSettings | None = None,
    monitors: Sequence[Any] = (),
    *,
    passing: bool = False,
) -> AsyncIterator[Hub]:
    """A hub on a store that others may be using too. One that is only `passing` leaves to others what one of several is
    enough for, and its workers take also the jobs of tasks that are pushed. The rest: as `pulling`.
    """
    given = manager_settings(store=url)
    store = open_store(given.store, shared=True)
    if isinstance(store, MemoryStore):
        raise ConfigurationError("memory: is one process's own; name a store that several can open: sqlite:///jobs.db")
    settings = settings or hub_settings(given)
    if passing:
        settings = msgspec.structs.replace(settings, leads=False, takes_pushed=True)
    hub = Hub(store, settings=settings, monitors=destinations(monitors, given))
    await hub.start()
    try:
        yield hub
    finally:
        await hub.stop()


def _nothing() -> None:
    """There is nothing to hurry."""
