"""The file and what stands beside it: locks between processes, the checks at start, the schema and its migrations."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from importlib import resources
from pathlib import Path
from typing import Final

from easyjobs.errors import StoreCorrupt, StoreLocked, StoreUnavailable

APPLICATION: Final = 0x656A6F62  # marks the file as a store of easyjobs; 0001_jobs.sql sets it
WRITER_CACHE_KIB: Final = 12_000
CHECKPOINT_PAGES: Final = 2_000  # 8 MB of log; fewer stall commits more often, more stall them longer
RESERVE: Final = 32 * 2**20
"""Bytes of the disk that new jobs leave for results: room for a log of that size, and what it is written into."""

SHARE: Final = 8
"""Of a disk that is small itself, one part of so many."""


class FileLock:
    """A lock between processes on a file of its own; it goes with the process, however that ends."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def acquire(self, *, shared: bool = False) -> bool:
        """Take it if nobody has it, or, `shared`, nobody for himself; whether that is so. Makes the file on first use.

        :raises OSError: the file cannot be made.
        """
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give it back. Only after `acquire`."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give it back for good. May be called twice; the file stays: removing it would let two hold the lock."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def open_writer(path: str, *, beside: bool = False) -> sqlite3.Connection:
    """The one connection that writes, on a file that was checked and has the newest schema. Under the write lock.

    The file is made if it is not there. `beside` others who use it, it was checked, and is not migrated, but for one
    that is new: several processes may begin at once.

    :raises StoreCorrupt: it is damaged, no store, or of a newer version. StoreLocked: those others know an older
        schema. sqlite3.Error: it cannot be used.
    """
    # what jobs carry is nobody else's business; SQLite gives the files beside it the same mode
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(
        path, timeout=0.0, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        _recognise(connection, path)
        _prepare(connection, path)
        if beside:
            _join(connection, path)
        else:
            _check(connection, path)
            _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _recognise(connection: sqlite3.Connection, path: str) -> None:
    """Refuse another program's file, and a newer version's, before anything in it is changed."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION and objects:
        raise StoreCorrupt(f"{path} is a database, but not a store of easyjobs; it was not touched.")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    newest = len(migrations())
    if version > newest:
        raise StoreCorrupt(
            f"The store {path} has schema {version}, this version of easyjobs knows {newest}: install a newer one."
        )


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make the connection's settings."""
    connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreUnavailable(f"The file system of {path} does not allow SQLite's write-ahead log.")


def _check(connection: sqlite3.Connection, path: str) -> None:
    """Look through the file for damage."""
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StoreCorrupt(f"The store {path} is damaged: {verdict}. Restore it from a backup.")


def _join(connection: sqlite3.Connection, path: str) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        _migrate(connection)  # it is new, and we were quicker than who came first
    elif version < len(migrations()):
        raise StoreLocked(f"The store {path} is in use by processes of an older version: stop them all first.")


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema to the newest version, one transaction a step."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for number, script in enumerate(migrations(), 1):
        if number > version:
            try:
                connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")


def migrations() -> list[str]:
    """The numbered SQL files, in order."""
    folder = resources.files("easyjobs.stores") / "sql" / "sqlite"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(folder / name).read_text(encoding="utf-8") for name in names]


def check_folder(path: str) -> None:
    """Say clearly what SQLite would say obscurely.

    :raises StoreUnavailable: there is no folder to put the file in, or a folder where the file should be.
    """
    if not Path(path).absolute().parent.is_dir():
        raise StoreUnavailable(f"The folder of the store {path} does not exist.")
    if Path(path).is_dir():
        raise StoreUnavailable(f"The store {path} is a folder; name a file in it.")


def remove(path: str) -> None:
    """Remove a store's file with what SQLite keeps beside it; nothing happens where there is none.

    :raises StoreCorrupt: it is a database of another program.
    """
    if not Path(path).exists():
        return
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        _recognise(connection, path)
    finally:
        connection.close()
    for ending in ("", "-wal", "-shm"):
        Path(path + ending).unlink(missing_ok=True)


def nearly_full(path: str) -> bool:
    """Whether the disk under a store has less room than is kept for what has happened to stored jobs."""
    try:
        disk = os.statvfs(Path(path).absolute().parent)
    except OSError:
        return False  # whoever writes will say what is wrong
    return disk.f_bavail * disk.f_frsize < min(RESERVE, disk.f_blocks * disk.f_frsize // SHARE)


def used(connection: sqlite3.Connection) -> int:
    """Bytes of the pages in use."""
    (pages,), (free,), (size,) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
