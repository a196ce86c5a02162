"""What a command line names in Python: a module, or something in it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

from easyjobs.errors import ConfigurationError


def load(name: str) -> ModuleType:
    """A module of the folder we are in, or of the environment.

    :raises ConfigurationError: there is none; an error in the module itself is raised as it is.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    if not all(part.isidentifier() for part in name.split(".")):
        hint = f"; write {name[:-3].replace('/', '.')}" if name.endswith(".py") else ""
        raise ConfigurationError(f"{name!r} is no module's name{hint}")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ConfigurationError(f"there is no module {name!r} (searched from {here})") from None


def named(module: ModuleType, path: str) -> object:
    """What stands at `path`, names with dots between, in a module.

    :raises ConfigurationError: nothing does.
    """
    found: object = module
    for part in path.split("."):
        if not hasattr(found, part):
            raise ConfigurationError(f"{module.__name__} has no {path!r}")
        found = getattr(found, part)
    return found
