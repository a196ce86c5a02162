"""What the tests of the SQLite store share: an open store and jobs for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from easyjobs.core.changes import Applied, Insert, PutSession, Unit, Verdict, Write
from easyjobs.core.job import Job, Session
from easyjobs.stores.sqlite import SQLiteStore


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(str(path), **options)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def job(id: str, **columns: Any) -> Job:
    return msgspec.structs.replace(Job(id, "etl", "load", created_at=1.0, run_at=1.0), **columns)


def session(id: str = "s1") -> PutSession:
    return PutSession(Session(id, id, id, "host", 1, "live", 1.0, 2.0))


async def commit(store: SQLiteStore, *writes: Write) -> list[Verdict]:
    return (await store.commit([Unit([write]) for write in writes])).verdicts


async def add(store: SQLiteStore, *ids: str) -> None:
    assert await commit(store, *(Insert(job(id)) for id in ids)) == [Applied()] * len(ids)
