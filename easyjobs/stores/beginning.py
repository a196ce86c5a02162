"""A store that is made, or brought up to date, and told of tasks that no worker needs to offer."""

from __future__ import annotations

from collections.abc import Iterable

from easyjobs.core.changes import PutTask, Unit
from easyjobs.core.task import TaskSpec
from easyjobs.stores.base import Store


async def begin(store: Store, tasks: Iterable[TaskSpec]) -> None:
    """Open `store`, make `tasks` known there, close it. Raises as `Store.open` and `Store.commit` do."""
    await store.open()
    try:
        now = store.now()
        await store.commit([Unit([PutTask(spec, now) for spec in tasks])])
    finally:
        await store.close()
