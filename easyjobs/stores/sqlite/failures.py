"""What SQLite and the file system say when they fail, as the errors of the store's contract: the one place."""

from __future__ import annotations

import sqlite3
from typing import Final

from easyjobs.errors import StoreCorrupt, StoreError, StoreFull, StoreUnavailable


class GuardFailed(Exception):
    """A row was not there, or other than it should be."""


UNWRITABLE: Final = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
    OverflowError,
    UnicodeEncodeError,
    ValueError,
    TypeError,
)
"""What is raised for values that no row can take: the fault of the unit, not of the store."""

_CORRUPT: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_FULL: Final = {sqlite3.SQLITE_FULL}


def translated(error: sqlite3.Error | OSError, path: str) -> StoreError:
    """The `StoreError` for what befell the store at `path` as a whole."""
    if isinstance(error, OSError):
        return StoreUnavailable(f"The store {path} cannot be used: {error.strerror or error}.")
    code = primary(error)
    if code in _FULL:
        return StoreFull(f"No space is left for the store {path}.")
    if code in _CORRUPT:
        return StoreCorrupt(f"The store {path} is damaged: {error}.")
    return StoreUnavailable(f"The store {path} failed ({error}); the outcome of what was being written is unknown.")


def primary(error: sqlite3.Error) -> int:
    """The primary result code of SQLite, 0 when Python itself raised the error."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection holds the database now."""
    return primary(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_undecodable(error: sqlite3.Error) -> bool:
    """Whether a text that was read is not UTF-8. Python raises this without a code of SQLite."""
    return primary(error) == 0 and "decode" in str(error)
