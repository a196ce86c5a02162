"""SQL as text, made once for each shape and size and kept: the text is the key of the statements already prepared.

A statement of many rows takes them in `VALUES (…),(…)`: that is one step of SQLite for all of them, where `executemany`
is one for each and gives the interpreter away every time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

import msgspec

from easyjobs.core.job import Attempt, Edge, Job, LogLine, Session
from easyjobs.stores.base import SETTABLE

SIZES: Final = (256, 64, 16, 4, 1)  # rows of a statement; few sizes, so that all of them stay prepared

JOB: Final = ", ".join(Job.__struct_fields__)
_LEFT_OUT: Final = {"args": "'[]'", "kwargs": "'{{}}'", "result": "NULL"}  # for `select`, which formats it
BARE_JOB: Final = ", ".join(_LEFT_OUT.get(name, name) for name in Job.__struct_fields__)
QUALIFIED_JOB: Final = ", ".join(f"jobs.{name}" for name in Job.__struct_fields__)  # in a join
SEQ: Final = Job.__struct_fields__.index("seq")
SESSION: Final = ", ".join(Session.__struct_fields__)
ATTEMPT: Final = ", ".join(f'"{name}"' for name in Attempt.__struct_fields__)
EDGE: Final = ", ".join(Edge.__struct_fields__)
LOG_LINE: Final = ", ".join(LogLine.__struct_fields__)

LIVE: Final = "(state = 'queued' OR state = 'running' OR state = 'retry' OR state = 'waiting')"  # as in the indexes
UNDER_WAY: Final = (  # as in jobs_running, word for word
    "(state = 'running' OR (state = 'waiting' AND (holds IS NOT NULL OR turn = 'expand' OR turn = 'close')))"
)
RUN: Final = "(turn = 'expand' OR turn = 'close')"

BARE: Final[tuple[Any, ...]] = msgspec.structs.astuple(Job("", "", ""))
QUEUED_WIDTH: Final = SEQ + 1  # so many columns of a new job are not at their defaults, where it was only queued
RUNNING_WIDTH: Final = Job.__struct_fields__.index("started_at") + 1  # … and where it comes claimed
WIDTH: Final = len(BARE)


def chunks(total: int) -> Iterator[tuple[int, int]]:
    """(start, size) of the statements for `total` rows, largest first."""
    start = 0
    for size in SIZES:
        while total - start >= size:
            yield start, size
            start += size


@cache
def insert(table: str, columns: str, width: int, size: int) -> str:
    """Insert `size` rows of `width` values."""
    row = f"({', '.join('?' * width)})"
    return f"INSERT INTO {table} ({columns}) VALUES {', '.join([row] * size)}"


@cache
def insert_columns(width: int) -> str:
    """The columns of a new job that gives its first `width`, and `ready` after them."""
    return ", ".join((*Job.__struct_fields__[:width], "ready"))


@cache
def update(columns: tuple[str, ...], fenced: bool, size: int) -> str:
    """Set `columns` of `size` jobs. Each row of parameters: the columns, seq, version, and `cancel` when `fenced`.

    :raises ValueError: a column cannot be set.
    """
    wrong = sorted(set(columns) - SETTABLE - {"ready"})
    if wrong:
        raise ValueError(f"columns that cannot be set: {', '.join(wrong)}")
    guards = ("jobs.seq = {}", "jobs.version = {}", *(("jobs.cancel IS {}",) if fenced else ()))
    places = ["?" if size == 1 else f"v.column{n}" for n in range(1, len(columns) + len(guards) + 1)]
    settings = [f"{column} = {place}" for column, place in zip(columns, places, strict=False)]
    settings.append("version = version + 1")
    where = [guard.format(place) for guard, place in zip(guards, places[len(columns) :], strict=True)]
    return f"UPDATE jobs SET {', '.join(settings)}{_from_values(len(places), size)} WHERE {' AND '.join(where)}"


@cache
def note_progress(size: int) -> str:
    """Each row of parameters: id, attempt, progress."""
    id, attempt, progress = _places(3, size)
    return (
        f"UPDATE jobs SET progress = {progress}{_from_values(3, size)}"
        f" WHERE jobs.id = {id} AND state = 'running' AND attempt = {attempt}"
    )


@cache
def begin_attempts(size: int) -> str:
    """Move ready jobs to running. Parameters: now; then for each row token, session, worker, holds, seq."""
    places = ["?"] * 5 if size == 1 else [f"v.column{n}" for n in range(1, 6)]
    return (
        "UPDATE jobs SET state = 'running', attempt = attempt + 1, version = version + 1, progress = NULL,"
        " ready = NULL, started_at = ?, token = {}, session = {}, worker = {}, holds = {}".format(*places[:4])
        + f"{_from_values(5, size)} WHERE jobs.seq = {places[4]}"
    )


@cache
def join_jobs(size: int) -> str:
    """More edges begin at live jobs. Each row of parameters: id, how many."""
    id, more = _places(2, size)
    return (
        f"UPDATE jobs SET followers = followers + {more}, version = version + {more}{_from_values(2, size)}"
        f" WHERE jobs.id = {id} AND {LIVE}"
    )


@cache
def queue_followers(size: int) -> str:
    """Queue waiting jobs, but for groups and runs. Each row of parameters: how many edges were counted, ready, seq."""
    times, ready, seq = _places(3, size)
    return (
        f"UPDATE jobs SET state = iif(turn IN ('gather', 'close'), 'waiting', 'queued'), ready = {ready},"
        f" deps_left = deps_left - {times}, version = version + {times}{_from_values(3, size)} WHERE jobs.seq = {seq}"
    )


@cache
def count_down(size: int) -> str:
    """Count edges of jobs that stay as they are. Each row of parameters: how many, seq."""
    times, seq = _places(2, size)
    return (
        f"UPDATE jobs SET deps_left = deps_left - {times}, version = version + {times}{_from_values(2, size)}"
        f" WHERE jobs.seq = {seq}"
    )


@cache
def change_schedules(size: int) -> str:
    """Each row of parameters: the row as JSON, id, version."""
    row, id, version = _places(3, size)
    return (
        f"UPDATE schedules SET row = {row}, version = version + 1{_from_values(3, size)}"
        f" WHERE schedules.id = {id} AND schedules.version = {version}"
    )


@cache
def select(what: str, size: int) -> str:
    """`what` holds one `{}` for a list of `size` parameters."""
    return what.format(f"({', '.join('?' * size)})")


def _places(width: int, size: int) -> list[str]:
    """Where the values of a row are, for a text that uses them in any order."""
    return [f"?{n}" if size == 1 else f"v.column{n}" for n in range(1, width + 1)]


def _from_values(width: int, size: int) -> str:
    if size == 1:
        return ""
    row = f"({', '.join('?' * width)})"
    return f" FROM (VALUES {', '.join([row] * size)}) AS v"


def slices(values: Sequence[Any], width: int = 1) -> Iterator[tuple[int, Sequence[Any]]]:
    """(size, parameters) of the statements for flat `values`, `width` of them a row."""
    for start, size in chunks(len(values) // width):
        yield size, values[start * width : (start + size) * width]
