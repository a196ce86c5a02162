"""SQL as text, made once for each shape and kept: the text is the key of the statements that stay prepared.

Rows go in as one array a column and are opened by `unnest`, so that a statement has the same text for any number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final, get_args

import msgspec

from easyjobs.core.job import Attempt, Edge, Job, LogLine, Session
from easyjobs.stores.base import SETTABLE

SEQ: Final = Job.__struct_fields__.index("seq")
# in these the new jobs of a batch are mostly alike
ALIKE: Final = {*Job.__struct_fields__[1 : SEQ + 5], "ready"} - {"args", "kwargs", "created_at", "run_at", "seq"}

JOB: Final = ", ".join(Job.__struct_fields__)
_LEFT_OUT: Final = {"args": "'[]'", "kwargs": "'{}'", "result": "NULL"}
BARE_JOB: Final = ", ".join(_LEFT_OUT.get(name, name) for name in Job.__struct_fields__)
JOBS_JOB: Final = ", ".join(f"jobs.{name}" for name in Job.__struct_fields__)  # in a join
SESSION: Final = ", ".join(Session.__struct_fields__)
ATTEMPT: Final = ", ".join(f'"{name}"' for name in Attempt.__struct_fields__[1:])
EDGE: Final = ", ".join(Edge.__struct_fields__)
LOG_LINE: Final = ", ".join(LogLine.__struct_fields__)

LIVE: Final = "state IN ('waiting', 'queued', 'running', 'retry')"  # as in the indexes
ENDED: Final = "state IN ('completed', 'failed', 'cancelled', 'skipped')"

BARE: Final[tuple[Any, ...]] = msgspec.structs.astuple(Job("", "", ""))
QUEUED_WIDTH: Final = SEQ + 1  # so many columns of a new job are not at their defaults, where it was only queued
RUNNING_WIDTH: Final = Job.__struct_fields__.index("started_at") + 1  # … and where it comes claimed
WIDTH: Final = len(BARE)


_NUMBERS: Final = {int: "bigint", float: "double precision"}
_TYPES: Final = {
    field.name: next((_NUMBERS[kind] for kind in (field.type, *get_args(field.type)) if kind in _NUMBERS), "text")
    for struct in (Session, LogLine, Job)  # of the same name that of a job counts
    for field in msgspec.structs.fields(struct)
}
_TYPES.update(ready="smallint", until="double precision", seen_at="double precision")


def rows(columns: Sequence[str], **types: str) -> str:
    """For a FROM: the arrays of the parameters, in the order of `columns`, as rows called `v`; `types` of some columns,
    where they are not those of a job.
    """
    given = (types.get(column) or _TYPES.get(column.removeprefix("its_"), "text") for column in columns)
    arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(given, 1))
    return f"unnest({arrays}) AS v ({', '.join(columns)})"


@cache
def insert_names(width: int) -> tuple[str, ...]:
    """The columns of a new job of which the first `width` are given: all of those but `seq`, and `ready`."""
    return (*Job.__struct_fields__[:SEQ], *Job.__struct_fields__[SEQ + 1 : width], "ready")


@cache
def insert_jobs(width: int, alike: bool) -> str:
    """New jobs. Parameters: their `insert_names`, an array each, but one value each for those of `ALIKE` where all jobs
    are `alike` in them; then the numbers that are to be used before new ones are drawn; then, unless all were only
    queued, the sessions that hold any, and of each job the epoch of its session (null: none). Their ids and numbers.

    Those whose id, key, unique_key or tick is taken, or whose session is not live, are passed over and use up no
    number. The sessions are held as they are until the transaction ends.
    """
    names = insert_names(width)
    free = ["NOT EXISTS (SELECT FROM jobs WHERE id = v.id)"]
    held = ""
    if width > QUEUED_WIDTH:
        held = (
            f"WITH held AS MATERIALIZED (SELECT id, epoch FROM sessions WHERE id = ANY(${len(names) + 2}::text[])"
            " AND state = 'live' ORDER BY id FOR KEY SHARE) "
        )
        free.append("(epoch IS NULL OR EXISTS (SELECT FROM held WHERE held.id = v.session AND held.epoch = v.epoch))")
    if width == WIDTH:
        free += [
            "(v.key IS NULL OR NOT EXISTS (SELECT FROM jobs WHERE key = v.key))",
            f"(v.unique_key IS NULL OR v.{ENDED}"
            f" OR NOT EXISTS (SELECT FROM jobs WHERE unique_key = v.unique_key AND {LIVE}))",
            "(v.schedule IS NULL OR v.tick IS NULL"
            " OR NOT EXISTS (SELECT FROM jobs WHERE schedule = v.schedule AND tick = v.tick))",
        ]
    places = {name: f"${n}::{_TYPES.get(name, 'text')}" for n, name in enumerate(names, 1)}
    values = ", ".join(place for name, place in places.items() if alike and name in ALIKE)
    arrays = {name: f"{place}[]" for name, place in places.items() if not (alike and name in ALIKE)}
    columns = ", ".join([*arrays, *(name for name in names if name not in arrays)])
    if held:
        arrays["epoch"] = f"${len(names) + 3}::bigint[]"
    return (
        f"{held}INSERT INTO jobs ({columns}, seq)"
        f" SELECT {', '.join(filter(None, (', '.join(name for name in arrays if name != 'epoch'), values)))},"
        f" coalesce((${len(names) + 1}::bigint[])[nth], nextval('jobs_seq'))"
        " FROM (SELECT v.*, row_number() OVER (ORDER BY place) AS nth"
        f" FROM unnest({', '.join(arrays.values())}) WITH ORDINALITY AS v ({', '.join(arrays)}, place)"
        f" WHERE {' AND '.join(free)} ORDER BY place) AS fresh RETURNING id, seq"
    )


def check_settable(columns: Iterable[str]) -> None:
    """Refuse columns that an update cannot set.

    :raises ValueError: says which.
    """
    wrong = sorted(set(columns) - SETTABLE)
    if wrong:
        raise ValueError(f"columns that cannot be set: {', '.join(wrong)}")


@cache
def update_jobs(columns: tuple[str, ...], fenced: bool, alike: frozenset[str]) -> str:
    """Set `columns` of jobs. Parameters: an array each of id, version, seq (0: any), the columns (one value for those
    which all of them set `alike`), and `cancel` when `fenced`. Their ids.
    """
    names = ["id", "its_version", "its_seq", *columns, *(["its_cancel"] if fenced else [])]
    places = {n: f"${i}::{_TYPES.get(n.removeprefix('its_'), 'text')}" for i, n in enumerate(names, 1)}
    arrays = {name: f"{place}[]" for name, place in places.items() if name not in alike}
    settings = [f"{column} = {places[column] if column in alike else f'v.{column}'}" for column in columns]
    fence = " AND jobs.cancel IS NOT DISTINCT FROM v.its_cancel" if fenced else ""
    return (
        f"UPDATE jobs SET {', '.join([*settings, 'version = jobs.version + 1'])}"
        f" FROM unnest({', '.join(arrays.values())}) AS v ({', '.join(arrays)})"
        f" WHERE jobs.id = v.id AND jobs.version = v.its_version"
        f" AND (v.its_seq = 0 OR jobs.seq = v.its_seq){fence} RETURNING jobs.id"
    )


PUT_SESSIONS: Final = (
    f"INSERT INTO sessions ({SESSION}) SELECT * FROM"
    f" {rows(Session.__struct_fields__, version='text')} ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in Session.__struct_fields__[1:])
    + " WHERE sessions.state = 'live' AND sessions.epoch = excluded.epoch - 1 RETURNING id"
)

RENEW: Final = (
    "UPDATE sessions SET expires_at = v.expires_at, offers = coalesce(v.offers, sessions.offers)"
    f" FROM {rows(('id', 'epoch', 'expires_at', 'offers'))}"
    " WHERE sessions.id = v.id AND state = 'live' AND sessions.epoch = v.epoch RETURNING sessions.id"
)

LOSE: Final = (
    f"UPDATE sessions SET state = 'lost', ended_at = v.ended_at FROM {rows(('id', 'epoch', 'ended_at', 'expires_at'))}"
    " WHERE sessions.id = v.id AND state = 'live' AND sessions.epoch = coalesce(v.epoch, sessions.epoch)"
    " AND sessions.expires_at <= coalesce(v.expires_at, sessions.expires_at) RETURNING sessions.id"
)

PUT_TASKS: Final = (
    f"INSERT INTO tasks SELECT * FROM {rows(('queue', 'name', 'signature', 'spec', 'seen_at'))}"
    " ON CONFLICT (queue, name, signature) DO UPDATE"
    " SET spec = excluded.spec, seen_at = excluded.seen_at, idle_since = NULL"
)

PUT_PAUSES: Final = (
    f"INSERT INTO pauses SELECT * FROM {rows(('kind', 'name', 'by', 'at'))} ON CONFLICT (kind, name) DO NOTHING"
)

DROP_PAUSES: Final = (
    f"DELETE FROM pauses USING {rows(('kind', 'name'))} WHERE pauses.kind = v.kind AND pauses.name = v.name"
)

PUT_FRESH: Final = (
    f"INSERT INTO fresh SELECT * FROM {rows(('key', 'at', 'until'))} ON CONFLICT (key) DO UPDATE"
    " SET at = greatest(fresh.at, excluded.at), until = greatest(fresh.until, excluded.until)"
)

NEW_SCHEDULES: Final = (
    f"INSERT INTO schedules (id, document, version) SELECT id, document, 1 FROM {rows(('id', 'document'))}"
    " ON CONFLICT (id) DO NOTHING RETURNING id"
)

CHANGE_SCHEDULES: Final = (
    "UPDATE schedules SET document = v.document, version = schedules.version + 1"
    f" FROM {rows(('id', 'version', 'document'))}"
    " WHERE schedules.id = v.id AND schedules.version = v.version RETURNING schedules.id"
)

DROP_SCHEDULES: Final = (
    f"DELETE FROM schedules USING {rows(('id', 'version'))}"
    " WHERE schedules.id = v.id AND schedules.version = v.version RETURNING schedules.id"
)

KEEP_ATTEMPTS: Final = (
    f"INSERT INTO attempts (job, {ATTEMPT}) SELECT jobs.seq, {', '.join(f'v.{c}' for c in ATTEMPT.split(', '))}"
    " FROM unnest($1::text[], $2::bigint[], $3::text[], $4::double precision[], $5::double precision[], $6::text[],"
    f" $7::text[]) AS v (its_job, {ATTEMPT}) JOIN jobs ON jobs.id = v.its_job"
)

NOTE_PROGRESS: Final = (
    f"UPDATE jobs SET progress = v.progress FROM {rows(('id', 'attempt', 'progress'))}"
    " WHERE jobs.id = v.id AND state = 'running' AND jobs.attempt = v.attempt"
)

FLAG_CANCEL: Final = (
    f"UPDATE jobs SET cancel = v.by FROM {rows(('id', 'attempt', 'by'))}"
    " WHERE jobs.id = v.id AND state = 'running' AND jobs.attempt = v.attempt RETURNING jobs.id"
)

DELETE_JOBS: Final = (
    f"DELETE FROM jobs USING {rows(('id', 'its_version', 'its_seq'))} WHERE jobs.id = v.id"
    " AND jobs.version = v.its_version AND (v.its_seq = 0 OR jobs.seq = v.its_seq) RETURNING jobs.id, jobs.seq"
)

JOIN_JOBS: Final = (
    "UPDATE jobs SET followers = jobs.followers + v.followers, version = version + v.followers"
    f" FROM {rows(('id', 'followers'))} WHERE jobs.id = v.id AND {LIVE} RETURNING jobs.id"
)

ADD_EDGES: Final = f"INSERT INTO edges ({EDGE}) SELECT * FROM {rows(('prerequisite', 'follower', 'bad'))}"

COUNT_EDGES: Final = (
    "UPDATE edges SET counted = true WHERE prerequisite = ANY($1::text[]) AND NOT counted RETURNING follower"
)

COUNT_EDGES_INSIDE: Final = (
    "UPDATE edges SET counted = true FROM jobs WHERE edges.prerequisite = ANY($1::text[]) AND NOT edges.counted"
    " AND jobs.id = edges.follower AND jobs.run = edges.prerequisite RETURNING edges.follower"
)

LOCK_FOLLOWERS: Final = (
    "SELECT id, state, deps_left, run_at, turn FROM jobs WHERE id = ANY($1::text[]) ORDER BY id FOR NO KEY UPDATE"
)

COUNT_DOWN: Final = (
    "UPDATE jobs SET deps_left = jobs.deps_left - v.deps_left, version = version + v.deps_left,"
    " state = CASE WHEN v.ready IS NULL OR turn IN ('gather', 'close') THEN jobs.state ELSE 'queued' END,"
    " ready = coalesce(v.ready, jobs.ready)"
    f" FROM {rows(('id', 'deps_left', 'ready'))} WHERE jobs.id = v.id"
)
