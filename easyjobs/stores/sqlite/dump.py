"""All rows of a file, for another store."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from easyjobs.stores.copying import COLUMNS, Dump
from easyjobs.stores.sqlite.failures import translated
from easyjobs.stores.sqlite.reading import tolerant

_NAMED: Final = {"document": "row"}  # columns that have another name here


@contextlib.contextmanager
def dumped(path: str) -> Iterator[Dump]:
    r"""The rows, while nobody writes the file: hold the manager's lock, with an open store.

    A text that another store may not be able to keep is changed: bytes that are not UTF-8 become `\xNN`, and the
    character NUL the one that stands for what cannot be shown.

    :raises StoreCorrupt, StoreUnavailable: it cannot be read.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)) as connection:
            connection.text_factory = _readable
            highest = "SELECT max(coalesce((SELECT max(seq) FROM jobs), 0), highest_removed) FROM marks"
            (number,) = connection.execute(highest).fetchone()
            yield Dump(lambda: ((table, _rows(connection, table)) for table in COLUMNS), number)
    except sqlite3.Error as error:
        raise translated(error, path) from error


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[tuple[Any, ...]]:
    columns = ", ".join(f'"{_NAMED.get(column, column)}"' for column in COLUMNS[table])
    for row in connection.execute(f"SELECT {columns} FROM {table}"):
        yield (*row[:-1], bool(row[-1])) if table == "edges" else row


def _readable(raw: bytes) -> str:
    return tolerant(raw).replace("\0", "\ufffd")
