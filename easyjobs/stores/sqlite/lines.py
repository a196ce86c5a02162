"""Writing the lines of jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sqlite3 import Connection
from typing import Any, Final

from easyjobs.core.changes import AppendLogs
from easyjobs.stores.sqlite import texts

COLUMNS: Final = f"job, {texts.LOG_LINE}, voice, number"
WIDTH: Final = 8

_ENDS = "SELECT id, seq, (SELECT max(n) FROM logs WHERE job = seq) FROM jobs WHERE id IN {}"
# backwards: the last line of a voice is nearly always among the newest
_HIGHEST = "SELECT number FROM logs WHERE job = ? AND attempt = ? AND voice = ? AND number > 0 ORDER BY n DESC LIMIT 1"
_DROP = "DELETE FROM logs WHERE job = ? AND attempt = ? AND voice = ? AND number BETWEEN ? AND ?"


def write_lines(connection: Connection, ids: Iterable[str], writes: Sequence[AppendLogs]) -> None:
    """Append and drop in the order of `writes`, which are about the jobs `ids`."""
    ends: dict[str, tuple[int, int]] = {}
    for size, part in texts.slices(list(ids)):
        for id, seq, n in connection.execute(texts.select(_ENDS, size), part):
            ends[id] = (seq, n or 0)
    highest: dict[tuple[int, int, str], int] = {}
    values: list[Any] = []
    drops: list[tuple[Any, ...]] = []
    for write in writes:
        if write.id not in ends or not write.lines:
            continue
        seq, n = ends[write.id]
        if write.first == 0:
            for n, line in enumerate(write.lines, n + 1):  # noqa: B020 - goes on from the last
                values += (seq, n, *line, "", 0)
        else:
            said_by = (seq, write.lines[0][0], write.voice)
            known = highest.get(said_by)
            if known is None:
                row = connection.execute(_HIGHEST, said_by).fetchone()
                known = 0 if row is None else row[0]
            for number, line in enumerate(write.lines, write.first):
                if number > known:
                    n += number - known
                    known = number
                    values += (seq, n, *line, write.voice, number)
            highest[said_by] = known
            if write.drop is not None:
                low, high = write.drop
                drops.append((*said_by, max(1, low), min(high, write.first - 1)))
        ends[write.id] = (seq, n)
    for size, part in texts.slices(values, WIDTH):
        connection.execute(texts.insert("logs", COLUMNS, WIDTH, size), part)
    for drop in drops:
        connection.execute(_DROP, drop)
