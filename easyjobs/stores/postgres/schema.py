"""The tables and their migrations, which several managers may race; and what is asked of a server."""

from __future__ import annotations

from importlib import resources
from typing import Final

from easyjobs.errors import ConfigurationError, StoreCorrupt, StoreLocked
from easyjobs.stores.postgres.address import Address
from easyjobs.stores.postgres.channel import Connection
from easyjobs.stores.postgres.failures import Again
from easyjobs.stores.version import Version

OLDEST: Final = 130000  # PostgreSQL 13

# one lock for each schema, so that two of one database do not wait for each other
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('easyjobs.migrations.' || $1, 0))"
_PATIENT: Final = "SET LOCAL lock_timeout = '30s'"
# to_regclass would answer from a cache that is not told, while we wait for the lock, of what others made
_THERE: Final = (
    "SELECT EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE nspname = $1 AND relname = 'migrations')"
)
_VERSION: Final = "SELECT coalesce(max(number), 0) FROM migrations"
_STRANGERS: Final = (
    "SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = $1"
)


async def check_server(connection: Connection, address: Address) -> None:
    """Refuse a server that would forget what it acknowledged, or cannot keep what we write.

    :raises ConfigurationError: says which setting is wrong.
    """
    settings = dict(
        await connection.fetch(
            "SELECT name, setting FROM pg_settings WHERE name IN"
            " ('fsync', 'full_page_writes', 'synchronous_commit', 'server_version_num', 'server_encoding')"
        )
    )
    if int(settings["server_version_num"]) < OLDEST:
        raise ConfigurationError(f"{address.shown}: PostgreSQL {OLDEST // 10_000} or newer is needed.")
    if settings["server_encoding"] != "UTF8":
        raise ConfigurationError(f"{address.shown}: the database must have the encoding UTF8.")
    if address.any_durability:
        return
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        if settings[name] == "off":
            raise ConfigurationError(
                f"{address.shown} has {name}=off: it may forget jobs that it acknowledged. Turn it on, or accept that"
                " with durability=any in the store's URL."
            )


async def version_of(connection: Connection, schema: str) -> Version:
    """How far the tables are."""
    newest = len(scripts())
    if not await connection.fetchval(_THERE, schema):
        return Version(0, newest)
    return Version(int(await connection.fetchval(_VERSION)), newest)


async def migrate(connection: Connection, address: Address) -> Version:
    """Bring the tables to the newest version, in the transaction under way; how far they were.

    :raises Again: somebody else has just made them. StoreCorrupt: they are of a newer version, or the schema is
        somebody else's.
    """
    before = await version_of(connection, address.schema)
    if before.there < before.newest:
        await wait_turn(connection, address)
        if not before.there and await connection.fetchval(_THERE, address.schema):
            raise Again  # another one was here meanwhile: a new transaction knows the names of what it made
        before = await version_of(connection, address.schema)
    if before.there > before.newest:
        raise StoreCorrupt(
            f"The store {address.shown} has schema {before.there}, this version of easyjobs knows {before.newest}:"
            " install a newer one."
        )
    if before.there == 0:
        await _refuse_strangers(connection, address)
        await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{address.schema}"')
        await connection.execute(
            "CREATE TABLE migrations (number integer PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
        )
    for number, script in enumerate(scripts(), 1):
        if number > before.there:
            await connection.execute(script)
            await connection.execute("INSERT INTO migrations (number) VALUES ($1)", number)
    return before


async def wait_turn(connection: Connection, address: Address) -> None:
    """Be the only one who makes or removes the tables until the end of the transaction under way; whoever does that now
    is waited for.
    """
    usual = await connection.fetchval("SELECT current_setting('lock_timeout')")
    await connection.execute(_PATIENT)
    await connection.execute(_LOCK, address.schema)
    await connection.execute("SELECT set_config('lock_timeout', $1, true)", usual)


async def drop(connection: Connection, address: Address, now: float) -> None:
    """Remove the schema with all that is in it, in the transaction under way, after `wait_turn`. Nothing happens where
    it has no tables of ours: it may have functions and types of others.

    :raises StoreLocked: a manager leads there now. StoreCorrupt: the schema is somebody else's.
    """
    if (await version_of(connection, address.schema)).there == 0:
        await _refuse_strangers(connection, address)
        return
    if await connection.fetchval("SELECT until > $1 FROM lead", now):
        raise StoreLocked(
            f"A manager uses the store {address.shown}: stop that first (one that was killed counts for 15 seconds)."
        )
    await connection.execute(f'DROP SCHEMA IF EXISTS "{address.schema}" CASCADE')


async def _refuse_strangers(connection: Connection, address: Address) -> None:
    if await connection.fetchval(_STRANGERS, address.schema):
        raise StoreCorrupt(f"The store {address.shown} has tables that are not of easyjobs; they were not touched.")


def scripts() -> list[str]:
    """The numbered SQL files, in order."""
    folder = resources.files("easyjobs.stores") / "sql" / "postgres"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(folder / name).read_text(encoding="utf-8") for name in names]
