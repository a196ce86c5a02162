"""Rows to structs, on whichever connection, so that a row that cannot be read harms no other."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from sqlite3 import Connection
from typing import Any

from easyjobs.core.job import Job
from easyjobs.stores.sqlite import texts
from easyjobs.stores.sqlite.failures import is_undecodable


def tolerant(raw: bytes) -> str:
    r"""The text of a column. Bytes that are not UTF-8 are written `\xNN`: no JSON, as whoever reads it will find."""
    return raw.decode("utf-8", "backslashreplace")


def fetch(connection: Connection, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
    """All rows; texts that are not UTF-8 come as `tolerant` has them, and cost time only where there are some."""
    try:
        return connection.execute(statement, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if not is_undecodable(error):
            raise
    connection.text_factory = tolerant
    try:
        return connection.execute(statement, parameters).fetchall()
    finally:
        connection.text_factory = str


def jobs_by_id(connection: Connection, ids: Sequence[str]) -> dict[str, Job]:
    """Those of the jobs that exist, by id."""
    found: dict[str, Job] = {}
    for size, part in texts.slices(ids):
        rows = fetch(connection, texts.select(f"SELECT {texts.JOB} FROM jobs WHERE id IN {{}}", size), part)
        found.update((row[0], Job(*row)) for row in rows)
    return found
