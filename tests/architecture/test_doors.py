"""Each third-party library has one door: the place that may import it. A change of library changes one place."""

from __future__ import annotations

import re
import sys
import tomllib
from functools import cache

from source import ROOT, imports, trees

DOORS = {
    "asyncpg": ("stores/postgres/",),
    "aiosqlite": ("stores/sqlite/reads.py",),
    "click": ("cli/",),
    "croniter": ("core/cron.py",),
    "fastapi_swagger": ("api/pages.py",),
    "httpx": ("cli/http.py", "monitors/http.py"),
    "hypothesis": ("testing/conformance/",),
    "jsonschema_rs": ("hub/arguments.py",),
    "msgspec": ("",),
    "pytest": ("testing/conformance/",),
    "rich": ("cli/text.py",),
    "sqlalchemy": ("faces/engines.py",),
    "sqlite3": ("stores/sqlite/",),
    "starlette": ("api/", "manager/"),
    "uvicorn": ("cli/manager.py", "manager/hosting.py"),
    "uvloop": ("cli/worker.py",),
    "websockets": ("wire/dial.py", "wire/dial_sync.py", "wire/upgrade.py"),
}
"""What may be imported where: a file, a folder, or ("") everywhere."""


@cache
def imported() -> dict[str, set[str]]:
    """The files that import each library that is not of the standard library, and sqlite3."""
    found: dict[str, set[str]] = {}
    for path, tree in trees().items():
        for name in imports(tree):
            library = name.partition(".")[0]
            if library != "easyjobs" and (library not in sys.stdlib_module_names or library == "sqlite3"):
                found.setdefault(library, set()).add(path)
    return found


def test_libraries_come_in_by_their_doors() -> None:
    new = imported().keys() - DOORS
    assert not new, "give each one door, here"
    strangers = {
        library: elsewhere
        for library, paths in imported().items()
        if (elsewhere := {path for path in paths if not path.startswith(DOORS[library])})
    }
    assert not strangers


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    declared = {re.split(r"[^A-Za-z0-9_-]", line)[0].replace("-", "_") for line in lines}
    brought_by = {"starlette": "fastapi"}
    assert {brought_by.get(library, library) for library in imported() if library != "sqlite3"} <= declared
