"""`python -m benchmarks.insert_job URL`: how many jobs a second SQL enqueues, on a PostgreSQL that is given."""

from __future__ import annotations

import argparse
import asyncio
import time

import asyncpg

from easyjobs.core.changes import PutTask, Unit
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import TaskSpec
from easyjobs.stores.postgres import PostgresStore
from easyjobs.stores.postgres.address import address_of

SCHEMA = "benchmark_insert_job"
ARGUMENTS = '{"file_path": "/tmp/sum.txt", "number": 2}'
SPEC = TaskSpec(
    "benchmark",
    "foo",
    Signature((Parameter("file_path", {"type": "string"}), Parameter("number", {"enum": [1, 2, 3]}))),
)
CALL = f"CALL {SCHEMA}.insert_job('benchmark', 'foo', 10, '{ARGUMENTS}'::json)"
MANY = f"SELECT {SCHEMA}.insert_job_id('benchmark', 'foo', 10, '{ARGUMENTS}'::json) FROM generate_series(1, $1::int)"


async def one_by_one(dsn: str, number: int) -> None:
    """Each in a transaction of its own."""
    connection = await asyncpg.connect(dsn)
    for _ in range(number):
        await connection.execute(CALL)
    await connection.close()


async def at_once(dsn: str, number: int) -> None:
    """All in one statement."""
    connection = await asyncpg.connect(dsn)
    await connection.fetch(MANY, number)
    await connection.close()


async def measure(url: str, number: int) -> None:
    """Print the table; the schema is made anew, and removed at the end."""
    store = PostgresStore(f"{url}{'&' if '?' in url else '?'}schema={SCHEMA}")
    await store.reset()
    await store.open()
    await store.commit([Unit([PutTask(SPEC, store.now())])])
    await store.close()
    dsn = address_of(url).dsn
    for name, way, connections in (
        ("a transaction each, 1 connection", one_by_one, 1),
        ("a transaction each, 8 connections", one_by_one, 8),
        ("one statement", at_once, 1),
    ):
        start = time.perf_counter()
        await asyncio.gather(*(way(dsn, number // connections) for _ in range(connections)))
        print(f"{name:40}{number / (time.perf_counter() - start):10,.0f} jobs/s")
    await store.reset()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--jobs", type=int, default=4000)
    given = parser.parse_args()
    asyncio.run(measure(given.url, given.jobs))


if __name__ == "__main__":
    main()
