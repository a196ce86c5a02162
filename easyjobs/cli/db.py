"""`easyjobs db`: the tables of a store: make them, bring them up to date, look at them, remove them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import click

from easyjobs.cli.text import table
from easyjobs.core.states import STATES, State
from easyjobs.errors import ConfigurationError, StoreCorrupt, StoreLocked
from easyjobs.settings import manager_settings
from easyjobs.stores import open_store
from easyjobs.stores.base import Store
from easyjobs.stores.copying import Dump
from easyjobs.stores.memory import MemoryStore
from easyjobs.stores.sqlite import SQLiteStore
from easyjobs.stores.sqlite.dump import dumped
from easyjobs.stores.sqlite.version import version_of
from easyjobs.stores.version import Version

F = TypeVar("F", bound=Callable[..., Any])

BEHIND: Final = 1


def _store_option(function: F) -> F:
    option = click.option("--store", metavar="URL", help="Which store: as a manager's (else EASYJOBS_STORE).")
    return option(function)


@click.group("db", short_help="Make, migrate, show or remove the tables of a store.")
def command() -> None:
    """The tables of a store: a SQLite file, or a schema in PostgreSQL.

    A manager makes and migrates them itself when it starts. These commands are for those who want that done before, or
    by another user of the database.
    """


@command.command("init")
@_store_option
def init(store: str | None) -> None:
    """Make the tables, where there are none."""
    asyncio.run(_bring_up(store))


@command.command("migrate")
@_store_option
def migrate(store: str | None) -> None:
    """Bring the tables to the version of this easyjobs; make them where there are none.

    Several may do that at once. Going back is not possible: keep a backup.
    """
    asyncio.run(_bring_up(store))


@command.command("status")
@_store_option
def status(store: str | None) -> None:
    """Show how far the tables are, and how many jobs they hold. The exit code is 1 when they must be migrated first."""
    raise SystemExit(asyncio.run(_show(store)))


@command.command("reset")
@_store_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(store: str | None, yes: bool) -> None:
    """Remove everything: all jobs, results, logs and schedules. Nobody may be using the store."""
    found, tables = _named(store)
    if not yes:
        click.confirm(f"Remove everything in {tables.name}?", abort=True)
    asyncio.run(found.reset())
    click.echo(f"{tables.name}: removed")


@command.command("copy")
@click.argument("source")
@click.argument("target")
def copy(source: str, target: str) -> None:
    """Copy everything from the SQLite file SOURCE into the empty PostgreSQL store TARGET: jobs in all states, results,
    logs, schedules, workers.

    Nobody may be using either. All or nothing is copied; counts and sums of both are compared. SOURCE stays as it
    is: do not start a manager on it again. Workers just come back to a manager of TARGET.
    """
    copied = asyncio.run(_copy(source, target))
    table(("table", "rows"), [(name, str(rows)) for name, rows in copied.items()])


class Tables(NamedTuple):
    """A store that has tables: its name for people, and how to ask for their version without opening it."""

    name: str
    version: Callable[[], Awaitable[Version]]


def _tables(store: Store) -> Tables:
    if isinstance(store, SQLiteStore):
        return Tables(store.path, partial(asyncio.to_thread, version_of, store.path))
    if not isinstance(store, MemoryStore):
        from easyjobs.stores.postgres import PostgresStore  # its driver may not be installed

        if isinstance(store, PostgresStore):
            return Tables(store.address.shown, store.version)
    raise ConfigurationError("This store has no tables; name another with --store or EASYJOBS_STORE.")


def _named(url: str | None) -> tuple[Store, Tables]:
    store = open_store(manager_settings(store=url).store)
    return store, _tables(store)


async def _bring_up(url: str | None) -> None:
    store, tables = _named(url)
    before = await tables.version()
    if before.there == before.newest:
        click.echo(f"{tables.name}: schema {before.there}, nothing to do")
        return
    await store.open()
    await store.close()
    done = f"migrated from schema {before.there} to {before.newest}" if before.there else f"schema {before.newest} made"
    click.echo(f"{tables.name}: {done}")


async def _show(url: str | None) -> int:
    store, tables = _named(url)
    version = await tables.version()
    if version.there > version.newest:
        raise StoreCorrupt(
            f"{tables.name} has schema {version.there}, this version of easyjobs knows {version.newest}:"
            " install a newer one."
        )
    if version.there == 0:
        click.echo(f"{tables.name}: no tables yet (`easyjobs db init` makes them)")
        return BEHIND
    if version.there < version.newest:
        click.echo(f"{tables.name}: schema {version.there} of {version.newest} (`easyjobs db migrate` goes on)")
        return BEHIND
    click.echo(f"{tables.name}: schema {version.there}, up to date")
    try:
        totals = await _totals(store)
    except StoreLocked:
        click.echo("A manager uses it now; `easyjobs jobs` asks that how many jobs there are.")
        return 0
    if totals:
        table(("state", "jobs"), [(state, str(totals[state])) for state in STATES if state in totals])
    else:
        click.echo("no jobs")
    return 0


async def _totals(store: Store) -> dict[State, int]:
    await store.open()
    try:
        return await store.totals()
    finally:
        await store.close()


async def _copy(source: str, target: str) -> dict[str, int]:
    old, new = open_store(source), open_store(target)
    if isinstance(old, SQLiteStore) and not isinstance(new, (SQLiteStore, MemoryStore)):
        from easyjobs.stores.postgres import PostgresStore  # its driver may not be installed

        if isinstance(new, PostgresStore):
            if version_of(old.path).there == 0:
                raise ConfigurationError(f"There is no store at {old.path}.")
            return await _moved(old, new, new.load)
    raise ConfigurationError("A SQLite file is copied into PostgreSQL: sqlite:///jobs.db postgresql://host/database")


async def _moved(old: SQLiteStore, new: Store, load: Callable[[Dump], Awaitable[dict[str, int]]]) -> dict[str, int]:
    await old.open()
    try:
        old.keep_others_out()
        await new.open()
        try:
            with dumped(old.path) as dump:
                return await load(dump)
        finally:
            await new.close()
    finally:
        await old.close()
