"""The source of the package as the tests of the house read it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "easyjobs"


@cache
def files() -> dict[str, str]:
    """The text of each Python file of the package, by its path below it."""
    return {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}


@cache
def trees() -> dict[str, ast.Module]:
    """Each of them parsed."""
    return {path: ast.parse(text) for path, text in files().items()}


def imports(tree: ast.AST) -> Iterator[str]:
    """The full name of each module that a file imports, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
