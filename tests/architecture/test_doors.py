"""Each third-party library has one door: the place that may import it. A change of library changes one place."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache

import pytest
from source import ROOT, files, imports

DOORS = {
    "asyncpg": ("stores/postgres/",),
    "aiosqlite": ("stores/sqlite/reads.py",),
    "click": ("cli/",),
    "croniter": ("core/cron.py",),
    "fastapi": ("manager/",),
    "fastapi_swagger": ("api/pages.py",),
    "httpx": ("cli/http.py", "monitors/http.py"),
    "hypothesis": ("testing/conformance/",),
    "jsonschema_rs": ("hub/arguments.py",),
    "msgspec": ("",),
    "pytest": ("testing/conformance/",),
    "rich": ("cli/text.py",),
    "sqlalchemy": ("faces/engines.py",),
    "sqlite3": ("stores/sqlite/",),
    "starlette": ("api/", "manager/hosting.py"),
    "uvicorn": ("cli/manager.py", "manager/hosting.py"),
    "uvloop": ("cli/worker.py",),
    "websockets": ("wire/dial.py", "wire/dial_sync.py", "wire/upgrade.py"),
}
"""What may be imported where: a file, a folder, or ("") everywhere."""


@cache
def imported() -> dict[str, set[str]]:
    """The files that import each library that is not of the standard library, and sqlite3."""
    found: dict[str, set[str]] = {}
    for path, text in files().items():
        for name in imports(ast.parse(text)):
            library = name.partition(".")[0]
            if library != "easyjobs" and (library not in sys.stdlib_module_names or library == "sqlite3"):
                found.setdefault(library, set()).add(path)
    return found


@pytest.mark.parametrize("library", sorted(imported()))
def test_a_library_comes_in_by_its_door(library: str) -> None:
    assert library in DOORS, f"{library} is new: give it one door, here"
    strangers = {path for path in imported()[library] if not path.startswith(DOORS[library])}
    assert not strangers


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    declared = {re.split(r"[^A-Za-z0-9_-]", line)[0].replace("-", "_") for line in lines}
    brought_by = {"starlette": "fastapi"}
    assert {brought_by.get(library, library) for library in imported() if library != "sqlite3"} <= declared
