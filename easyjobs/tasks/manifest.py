"""The files of a folder of scripts: what is really there, and nothing that is not really in that folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from easyjobs.errors import ConfigurationError


def home_of(folder: str | Path) -> Path:
    """The folder itself, absolute and without links.

    :raises ConfigurationError: it cannot be read, or is no folder.
    """
    try:
        home = Path(folder).resolve(strict=True)
        with os.scandir(home):
            return home
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its path is none"
        raise ConfigurationError(f"the folder of scripts {str(folder)!r} cannot be read: {reason}") from None


def file_of(home: Path, path: str) -> Path:
    """The file of a script, without links in its path. `home` is what `home_of` gave.

    Each part of `path` is looked up among the names that are there; it is never joined to anything before.

    :raises ConfigurationError: `path` is absolute, or not plain (`..`, `.`, `//`); there is no such file; it is a
        folder, or a link that leads out. Says which.
    """
    parts = path.split("/")
    if path.startswith("/") or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise ConfigurationError(
            f"{path!r} cannot name a script: that is its path within the folder, such as 'bonds/bonds.py'"
        )
    place = home
    try:
        for part in parts:
            if part not in os.listdir(place):  # noqa: PTH208 - of many scripts each asks for all names
                raise ConfigurationError(f"there is no {path} in {home}")
            place = (place / part).resolve(strict=True)
            if not place.is_relative_to(home):
                raise ConfigurationError(f"{path} is a link that leads out of {home}")
    except NotADirectoryError:
        raise ConfigurationError(f"there is no {path} in {home}") from None
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "a link that leads to itself"
        raise ConfigurationError(f"{path} in {home} cannot be read: {reason}") from None
    if not place.is_file():
        raise ConfigurationError(f"{path} in {home} is no file")
    return place


def paths_in(home: Path) -> Iterator[str]:
    """The paths of all files, sorted, without those that are hidden (`.git/…`) or Python's own (`__init__.py`), and
    without what lies behind links to folders.
    """
    for folder, folders, files in os.walk(home):
        folders[:] = sorted(name for name in folders if not _own(name))
        for name in sorted(files):
            if not _own(name):
                yield (Path(folder) / name).relative_to(home).as_posix()


def _own(name: str) -> bool:
    return name.startswith((".", "__"))
