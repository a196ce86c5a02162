"""How far the tables of a file are, looked at without touching it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

from easyjobs.errors import StoreCorrupt
from easyjobs.stores.sqlite import files
from easyjobs.stores.sqlite.failures import translated
from easyjobs.stores.version import Version


def version_of(path: str) -> Version:
    """The version of the tables in the file `path`, which need not be there.

    :raises StoreCorrupt: it is a database of another program, or none. StoreUnavailable: it cannot be read.
    """
    files.check_folder(path)
    newest = len(files.migrations())
    if not Path(path).exists():
        return Version(0, newest)
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)) as connection:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        raise translated(error, path) from error
    if application != files.APPLICATION and objects:
        raise StoreCorrupt(f"{path} is a database, but not a store of easyjobs.")
    return Version(version, newest)
