"""What this machine can do without us: the same work with nothing around it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve


def sqlite_lifecycles(folder: Path, jobs: int = 20_000, batch: int = 100) -> float:
    """Jobs a second that are inserted, claimed and finished in batches, each batch a durable transaction (FULL)."""
    db = sqlite3.connect(folder / "raw.db", isolation_level=None)
    db.executescript(
        """PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
        CREATE TABLE jobs(id INTEGER PRIMARY KEY, queue TEXT, args TEXT, state INTEGER, started REAL, result TEXT);
        CREATE INDEX ready ON jobs(queue, id) WHERE state = 0;"""
    )
    args = '{"n":1,"s":"' + "x" * 64 + '"}'
    began = time.perf_counter()
    for first in range(1, jobs + 1, batch):
        ids = range(first, first + batch)
        _write(db, "INSERT INTO jobs(id, queue, args, state) VALUES (?, 'q', ?, 0)", [(i, args) for i in ids])
        _write(db, "UPDATE jobs SET state=1, started=? WHERE id=?", [(began, i) for i in ids])
        _write(db, "UPDATE jobs SET state=2, result=? WHERE id=?", [('{"n":1,"ok":true}', i) for i in ids])
    seconds = time.perf_counter() - began
    db.close()
    return jobs / seconds


def _write(db: sqlite3.Connection, statement: str, rows: list[tuple[object, ...]]) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.executemany(statement, rows)
    db.execute("COMMIT")


async def postgres_lifecycles(url: str, connections: int, jobs: int = 16_000, batch: int = 100) -> float:
    """The same in PostgreSQL, over so many connections at once: three statements a batch, each its own transaction."""
    import asyncpg

    from easyjobs.stores.postgres.address import address_of

    server = address_of(url).dsn
    pool = [await asyncpg.connect(server) for _ in range(connections)]
    await pool[0].execute(
        """DROP SCHEMA IF EXISTS raw_limit CASCADE; CREATE SCHEMA raw_limit;
        CREATE TABLE raw_limit.jobs(
            id bigint PRIMARY KEY, queue text, args text, state int, started float8, result text);
        CREATE INDEX ready ON raw_limit.jobs(queue, id) WHERE state = 0;"""
    )
    args = '{"n":1,"s":"' + "x" * 64 + '"}'

    async def work(connection: asyncpg.Connection, firsts: range) -> None:
        for first in firsts:
            ids = list(range(first, first + batch))
            await connection.execute(
                "INSERT INTO raw_limit.jobs SELECT id, 'q', $2, 0 FROM unnest($1::bigint[]) AS id", ids, args
            )
            claim = "UPDATE raw_limit.jobs SET state = 1, started = 1 WHERE id = ANY($1::bigint[])"
            await connection.execute(claim, ids)
            finish = "UPDATE raw_limit.jobs SET state = 2, result = $2 WHERE id = ANY($1::bigint[])"
            await connection.execute(finish, ids, '{"n":1,"ok":true}')

    began = time.perf_counter()
    step = batch * connections
    await asyncio.gather(
        *(work(one, range(1 + n * batch, jobs + 1 - step + n * batch + 1, step)) for n, one in enumerate(pool))
    )
    seconds = time.perf_counter() - began
    await pool[0].execute("DROP SCHEMA raw_limit CASCADE")
    for one in pool:
        await one.close()
    return jobs / seconds


async def websocket_round_trip(trips: int = 2_000) -> float:
    """Milliseconds (median) from a frame to its echo, both ends in one process."""

    async def echo(socket: ServerConnection) -> None:
        async for frame in socket:
            await socket.send(frame)

    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", compression=None, proxy=None) as socket:
            times = []
            for _ in range(trips):
                began = time.perf_counter()
                await socket.send(b"x" * 200)
                await socket.recv()
                times.append(time.perf_counter() - began)
    return sorted(times)[trips // 2] * 1e3


async def bare_tasks(tasks: int = 50_000, at_once: int = 200) -> float:
    """Asyncio tasks a second that do nothing, so many at once."""

    async def nothing() -> None:
        await asyncio.sleep(0)

    began = time.perf_counter()
    for _ in range(tasks // at_once):
        await asyncio.gather(*(nothing() for _ in range(at_once)))
    return tasks / (time.perf_counter() - began)
