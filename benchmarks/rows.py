"""The rows of a benchmark's store, looked at and removed behind the managers' backs."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

from easyjobs.stores import open_store


class Rows:
    """Those of the store at `url`: a SQLite file or a schema of PostgreSQL."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def file(self) -> Path:
        """Of SQLite."""
        return Path(self.url.removeprefix("sqlite:///"))

    def remove(self) -> None:
        """All of them, and the tables. No manager may use them."""
        _apart(open_store(self.url).reset())

    def finished(self, last: int) -> list[float]:
        """When the `last` jobs that were made ended."""
        statement = f"SELECT finished_at FROM jobs ORDER BY seq DESC LIMIT {last}"
        if self.url.startswith("sqlite"):
            db = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)
            times = [row[0] for row in db.execute(statement)]
            db.close()
            return times
        fetched: list[float] = _apart(_fetch(self.url, statement))
        return fetched


async def _fetch(url: str, statement: str) -> list[float]:
    import asyncpg

    from easyjobs.stores.postgres.address import address_of

    address = address_of(url)
    connection = await asyncpg.connect(address.dsn, server_settings={"search_path": address.schema})
    try:
        return [float(row[0]) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


def _apart(work: Any) -> Any:
    """Run on a loop of its own, whether or not one runs here."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(work)))
    thread.start()
    thread.join()
    return found[0]
