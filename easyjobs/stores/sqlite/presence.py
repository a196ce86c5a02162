"""Who has a store's file open: one file a hub in the folder `<file>.hubs`, which that hub keeps locked.

The lock goes with its process, however that ends; so others on the same host know at once who is gone. A child process
that was forked without `exec` keeps it: then the hub is gone when its lease is over.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

from easyjobs.errors import StoreLocked
from easyjobs.stores.sqlite.files import FileLock

NEW: Final = "."
"""What begins the name of one that is not locked yet."""


class Presence:
    """Ours, with the locks of `<file>.manager.lock` and of the folder; and that of others."""

    def __init__(self, path: str) -> None:
        self._file = path
        self._folder = Path(f"{path}.hubs")
        self._manager = FileLock(f"{path}.manager.lock")
        self._used = FileLock(str(self._folder / ".lock"))
        self._lock: FileLock | None = None
        self._me = ""

    def enter(self, me: str, *, manager: bool) -> bool:
        """Be seen by others as `me`, a name that nobody had before, and be the one `manager` if we are to be; whether
        others are there. `leave` ends it, also when this fails.

        :raises StoreLocked: there is a manager, or somebody who wants to be alone. OSError: no file can be made.
        """
        if manager and not self._manager.acquire():
            raise StoreLocked(
                f"The store {self._file} is in use by another manager. A SQLite store serves one manager in one"
                " process (no uvicorn --workers); several managers need PostgreSQL."
            )
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if not self._used.acquire(shared=True):
            raise StoreLocked(f"The store {self._file} is being copied or removed.")
        new = self._folder / f"{NEW}{me}"
        lock = FileLock(str(new))
        lock.acquire()
        new.rename(self._path(me))  # seen by nobody before it is locked
        self._lock, self._me = lock, me
        return self.others()

    def own(self) -> None:
        """Be the only one, now and until `leave`. With or without `enter` before.

        :raises StoreLocked: there are others. OSError: no file can be made.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if not (self._manager.acquire() and self._used.acquire()):
            raise StoreLocked(f"The store {self._file} is in use by a manager or other processes: stop them first.")

    def leave(self) -> None:
        """Be gone. May be called twice."""
        if self._lock is not None:
            self._path(self._me).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None
        self._used.close()
        self._manager.close()

    def others(self) -> bool:
        """Whether anybody else is there."""
        return any(self.there(name) for name in self.names())

    def names(self) -> list[str]:
        """All others that were seen here, and have not left: they are there, or died."""
        with contextlib.suppress(FileNotFoundError):
            names = [path.name for path in self._folder.iterdir()]
            return [name for name in names if not name.startswith(NEW) and name != self._me]
        return []

    def there(self, name: str) -> bool:
        """Whether a hub is there."""
        try:
            fd = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def bury(self, name: str) -> None:
        """One that died is not to be seen any more."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / name
