"""What the server and its driver say when they fail, as the errors of the store's contract: the one place."""

from __future__ import annotations

from typing import Final

import asyncpg

from easyjobs.errors import StoreCorrupt, StoreError, StoreFull, StoreUnavailable

UNWRITABLE: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueError,  # UnicodeEncodeError too
    TypeError,
    OverflowError,
)
"""What is raised for values that no row can take: the fault of the unit, not of the store."""

FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""Everything else that a statement or a connection may raise."""

DENIED: Final = asyncpg.InsufficientPrivilegeError
"""What is raised for a table that our user may not use."""

AGAIN: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""What goes away when the whole transaction is done again."""

_CORRUPT: Final = (
    asyncpg.DataCorruptedError,
    asyncpg.IndexCorruptedError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
)
_WRONG: Final = (
    asyncpg.InvalidAuthorizationSpecificationError,  # a wrong password is one
    asyncpg.InvalidCatalogNameError,
    asyncpg.ClientConfigurationError,
)
_STANDBY: Final = (asyncpg.ReadOnlySQLTransactionError, asyncpg.TargetServerAttributeNotMatched)

TAKEN: Final = asyncpg.UniqueViolationError
"""What is raised for a key that another row has."""


class Again(Exception):
    """Another transaction was faster; this one is to be done again."""


def translated(error: BaseException, shown: str, unknown: bool = False) -> StoreError:
    """The error of the contract for what befell the store `shown` as a whole.

    :param unknown: whether it befell the end of a transaction, so that nobody knows if that was written.
    """
    said = str(error) or type(error).__name__
    if isinstance(error, asyncpg.DiskFullError):
        return StoreFull(f"No space is left for the store {shown}.")
    if isinstance(error, _CORRUPT):
        return StoreCorrupt(f"The store {shown} is not as it should be: {said}.")
    if isinstance(error, _WRONG):
        return StoreUnavailable(f"The store {shown} does not let us in: {said}.")
    if isinstance(error, _STANDBY):
        return StoreUnavailable(f"The store {shown} is on a standby server, which cannot be written.")
    if unknown:
        return StoreUnavailable(f"The store {shown} failed ({said}); the outcome of what was being written is unknown.")
    return StoreUnavailable(f"The store {shown} failed ({said}).")
