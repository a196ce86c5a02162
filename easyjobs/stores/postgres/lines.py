"""Writing the lines of jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from easyjobs.core.changes import AppendLogs
from easyjobs.stores.postgres.channel import Connection

# two managers never number lines of one job at once; and the numbers are looked at once nobody else can write any
_HOLD: Final = "SELECT id FROM jobs WHERE id = ANY($1::text[]) ORDER BY id FOR NO KEY UPDATE"
_ENDS: Final = (
    "SELECT id, seq, coalesce((SELECT max(n) FROM logs WHERE job = seq), 0) FROM jobs WHERE id = ANY($1::text[])"
)
# backwards: the last line of a voice is nearly always among the newest
_HIGHEST: Final = (
    "SELECT number FROM logs WHERE job = $1 AND attempt = $2 AND voice = $3 AND number > 0 ORDER BY n DESC LIMIT 1"
)
_APPEND: Final = (
    "INSERT INTO logs (job, n, attempt, at, level, text, voice, number) SELECT * FROM unnest($1::bigint[],"
    " $2::bigint[], $3::bigint[], $4::double precision[], $5::text[], $6::text[], $7::text[], $8::bigint[])"
)
_DROP: Final = "DELETE FROM logs WHERE job = $1 AND attempt = $2 AND voice = $3 AND number BETWEEN $4 AND $5"


async def write_lines(connection: Connection, ids: Iterable[str], writes: Sequence[AppendLogs]) -> None:
    """Append and drop in the order of `writes`, which are about the jobs `ids`."""
    held = [id for (id,) in await connection.fetch(_HOLD, list(ids))]
    ends = {id: (seq, n) for id, seq, n in await connection.fetch(_ENDS, held)}
    highest: dict[tuple[int, int, str], int] = {}
    rows: list[tuple[Any, ...]] = []
    drops: list[tuple[Any, ...]] = []
    for write in writes:
        if write.id not in ends or not write.lines:
            continue
        seq, n = ends[write.id]
        if write.first == 0:
            for n, line in enumerate(write.lines, n + 1):  # noqa: B020 - goes on from the last
                rows.append((seq, n, *_kept(line), "", 0))
        else:
            said_by = (seq, write.lines[0][0], write.voice)
            known = highest.get(said_by)
            if known is None:
                known = await connection.fetchval(_HIGHEST, *said_by) or 0
            for number, line in enumerate(write.lines, write.first):
                if number > known:
                    n += number - known
                    known = number
                    rows.append((seq, n, *_kept(line), write.voice, number))
            highest[said_by] = known
            if write.drop is not None:
                low, high = write.drop
                drops.append((*said_by, max(1, low), min(high, write.first - 1)))
        ends[write.id] = (seq, n)
    if rows:
        await connection.execute(_APPEND, *zip(*rows, strict=True))
    for drop in drops:
        await connection.execute(_DROP, *drop)


def _kept(line: tuple[int, float, str, str]) -> tuple[int, float, str, str]:
    """PostgreSQL has no text with NUL in it: that becomes the character for what cannot be shown."""
    return (*line[:3], line[3].replace("\0", "\ufffd")) if "\0" in line[3] else line
