"""Durable state behind one interface: `base.Store` is the contract, `open_store` finds who keeps it."""

from __future__ import annotations

from easyjobs.errors import ConfigurationError
from easyjobs.stores.base import Store


def open_store(url: str, *, shared: bool = False) -> Store:
    """The store that `url` names, not yet opened: `await store.open()` next.

    `memory:` forgets all when the process ends; `sqlite:///jobs.db` is a file in the working folder,
    `sqlite:////var/lib/jobs.db` one with an absolute path. A file is made when it is not there, its folder is not.
    `postgresql://user:password@host/database` is a schema `easyjobs` in that database; its options are in the docs.

    :param shared: for one who serves nobody, and uses a file beside its one manager and others.
    :raises ConfigurationError: it names none of these, says which there are; or what it takes is not installed.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "memory":
        if rest.strip("/"):
            raise ConfigurationError(f"store {url!r}: the memory store has no name or path; write memory:")
        from easyjobs.stores.memory import MemoryStore

        return MemoryStore()
    if scheme == "sqlite":
        path = rest.removeprefix("///")
        if path == rest or not path or "\0" in path:
            raise ConfigurationError(
                f"store {url!r}: write sqlite:///jobs.db (in the working folder) or sqlite:////var/jobs.db (absolute)"
            )
        if path == ":memory:":
            raise ConfigurationError(f"store {url!r}: a store without a file is written memory:")
        if "?" in path:
            raise ConfigurationError(f"store {url!r}: a path without ? is expected; there are no options")
        from easyjobs.stores.sqlite import SQLiteStore

        return SQLiteStore(path, shared=shared)
    if scheme in ("postgresql", "postgres"):
        try:
            from easyjobs.stores.postgres import PostgresStore
        except ImportError as error:
            raise ConfigurationError(
                "A store in PostgreSQL needs its driver: pip install 'easyjobs[postgres]'."
            ) from error
        return PostgresStore(url)
    raise ConfigurationError(
        f"store {_without_password(url)!r}: only memory:, sqlite:///path and postgresql://host/database are known"
    )


def shown_url(url: str) -> str:
    """`url` as people may see it: without name, password and options."""
    return _without_password(url).partition("?")[0]


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.partition(':')[0]}://…@{tail}" if at else url
