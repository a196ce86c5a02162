"""The files of `subprocess=True`: `<folder>/<task>.py`, and nothing that is not really in that folder."""

from __future__ import annotations

from pathlib import Path

from easyjobs.errors import ConfigurationError


def script_of(task: str, folder: str | None) -> Path:
    """The file of a task, without links in its path.

    The name is looked up among the names that the folder has; it is never made into a path.

    :raises ConfigurationError: there is no folder or no such file in it, or it is a link that leads out; says which.
    """
    if not folder:
        raise ConfigurationError("WORKER_TASK_DIR is not set: it names the folder with the files of subprocess=True")
    try:
        home = Path(folder).resolve(strict=True)
        names = {entry.name for entry in home.iterdir()}
    except OSError as error:
        raise ConfigurationError(f"the folder WORKER_TASK_DIR={folder} cannot be read: {error.strerror}") from None
    wanted = f"{task}.py"
    if wanted not in names:
        raise ConfigurationError(f"there is no {wanted} in WORKER_TASK_DIR={folder}")
    try:
        file = (home / wanted).resolve(strict=True)
    except (OSError, RuntimeError):
        raise ConfigurationError(f"{wanted} in WORKER_TASK_DIR={folder} is a link that leads nowhere") from None
    if not file.is_relative_to(home):
        raise ConfigurationError(f"{wanted} is a link that leads out of WORKER_TASK_DIR={folder}")
    if not file.is_file():
        raise ConfigurationError(f"{wanted} in WORKER_TASK_DIR={folder} is no file")
    return file
