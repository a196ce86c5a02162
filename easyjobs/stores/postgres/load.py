"""All rows of another store, into empty tables."""

from __future__ import annotations

from itertools import islice
from typing import Final

from easyjobs.errors import ConfigurationError, StoreCorrupt, StoreLocked
from easyjobs.stores.copying import COLUMNS, Dump, Sum
from easyjobs.stores.postgres.address import Address
from easyjobs.stores.postgres.channel import Connection

AT_ONCE: Final = 2_000  # rows


async def load(connection: Connection, address: Address, dump: Dump, now: float) -> dict[str, int]:
    """Write all rows and read them again, in the transaction under way; how many there were of each table.

    :raises ConfigurationError: there are rows already. StoreLocked: a manager leads. StoreCorrupt: what was read is not
        what was written.
    """
    if await connection.fetchval("SELECT until > $1 FROM lead", now):
        raise StoreLocked(f"A manager uses the store {address.shown}: stop that first.")
    await connection.execute(f"LOCK TABLE {', '.join(COLUMNS)} IN EXCLUSIVE MODE")
    for table in COLUMNS:
        if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table})"):
            raise ConfigurationError(f"The store {address.shown} is not empty; `easyjobs db reset` removes all of it.")
    copied: dict[str, int] = {}
    for table, rows in dump.tables():
        given, found = Sum(), Sum()
        left = iter(rows)
        while batch := list(islice(left, AT_ONCE)):
            for row in batch:
                given.add(row)
            await connection.copy_records_to_table(table, records=batch, columns=COLUMNS[table])
        columns = ", ".join(f'"{column}"' for column in COLUMNS[table])
        async for record in connection.cursor(f"SELECT {columns} FROM {table}", prefetch=AT_ONCE):
            found.add(tuple(record))
        if found != given:
            raise StoreCorrupt(
                f"Of table {table} {given.rows} rows were copied, and {found.rows} with other contents found in"
                f" {address.shown}: nothing was kept."
            )
        copied[table] = given.rows
    if dump.highest:
        await connection.fetchval("SELECT setval('jobs_seq', $1)", dump.highest)
    await connection.execute("ANALYZE")
    return copied
