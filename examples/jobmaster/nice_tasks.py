"""The tasks: plain functions. `bar` needs a `foo` that is not older than six hours, `baz` one of each."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from easyjobs import Dependency, same, task


@task
def foo(file_path: str, number: int) -> None:
    """
    Write a number to a file.

    :param file_path: the file to write to
    :param number: the number to write
    """
    Path(file_path).write_text(str(number))


@task(write_all=["letter"], dependencies=Dependency(foo, 6, file_path=same))
def bar(file_path: str, number: int, letter: Literal["A", "B", "C"] = "A") -> str:
    """
    Add to the number of a file.

    :param file_path: the file to read
    :param letter: stands behind the sum; "ALL": one job for each
    """
    return f"{number + int(Path(file_path).read_text())}{letter}"


@task(process_limit=3, process_units=20, dependencies=[Dependency(foo, 2, number=10, file_path=same)])
def baz(file_path: str) -> str:
    """Read a file in which the number is 10."""
    return Path(file_path).read_text()
