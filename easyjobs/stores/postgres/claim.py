"""The claim: which ready jobs go to which offers, inside the commit's transaction.

Jobs that another manager is just claiming are passed over (SKIP LOCKED). Counters and the units of machines are exact,
because they are locked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from easyjobs.core.changes import Claim, Offer
from easyjobs.core.job import Job, Lane
from easyjobs.core.placement import Systems, place, urgency
from easyjobs.core.states import RUNNING
from easyjobs.stores.postgres import texts
from easyjobs.stores.postgres.channel import Connection
from easyjobs.stores.postgres.counters import Held, held, hold
from easyjobs.stores.postgres.reading import jobs_by_seq
from easyjobs.stores.postgres.sessions import Sessions
from easyjobs.stores.postgres.systems import systems_of

_LANE: Final = "ready = 1 AND queue = {0}queue AND task = {0}task AND signature = {0}signature"
_OF: Final = _LANE.format("l.")
_THIS: Final = "ready = 1 AND queue = $1 AND task = $2 AND signature = $3"
_ORDER: Final = "ORDER BY priority DESC, seq"
_LANES: Final = "unnest($1::text[], $2::text[], $3::text[]{}) AS l (queue, task, signature{})"

_BEGIN: Final = (
    "UPDATE jobs SET state = 'running', attempt = attempt + 1, version = version + 1, progress = NULL, ready = NULL,"
)

ONE_TO_ONE: Final = (
    # one lane, one worker: $4 so many, $5 now, $6 tokens, $7 session, $8 worker, $9 holds. Each row: whether nothing is
    # left, the numbers of those whose turn it is, the job
    f"WITH locked AS MATERIALIZED (SELECT seq, priority, turn FROM jobs WHERE {_THIS} {_ORDER} LIMIT $4"
    " FOR UPDATE SKIP LOCKED),"
    f" picked AS MATERIALIZED (SELECT seq, turn, row_number() OVER ({_ORDER}) AS n FROM locked),"
    f" begun AS ({_BEGIN} started_at = $5, token = ($6::text[])[picked.n], session = $7, worker = $8, holds = $9"
    f" FROM picked WHERE jobs.seq = picked.seq AND picked.turn IS NULL RETURNING {texts.JOBS_JOB})"
    f" SELECT NOT EXISTS (SELECT FROM jobs WHERE {_THIS} AND seq NOT IN (SELECT seq FROM picked WHERE turn IS NULL)),"
    " (SELECT array_agg(seq) FROM picked WHERE turn IS NOT NULL), begun.*"
    " FROM (SELECT) AS one LEFT JOIN begun ON true"
)

LOCK_ONE: Final = f"SELECT {texts.JOB} FROM jobs WHERE {_THIS} {_ORDER} LIMIT $4 FOR UPDATE SKIP LOCKED"

LOCK_MANY: Final = (
    # $4 a group of lanes, $5 how many of that group can be taken: first how many of each lane are among those, then
    # so many of each are locked
    "WITH seen AS MATERIALIZED (SELECT l.queue, l.task, l.signature, most,"
    " row_number() OVER (PARTITION BY l.many ORDER BY j.priority DESC, j.seq) AS place"
    f" FROM {_LANES.format(', $4::integer[], $5::integer[]', ', many, most')} CROSS JOIN LATERAL"
    f" (SELECT priority, seq FROM jobs WHERE {_OF} {_ORDER} LIMIT l.most) AS j),"
    " l AS MATERIALIZED"
    " (SELECT queue, task, signature, count(*) AS most FROM seen WHERE place <= most GROUP BY 1, 2, 3)"
    f" SELECT j.* FROM l CROSS JOIN LATERAL (SELECT {texts.JOB} FROM jobs WHERE {_OF} {_ORDER}"
    " LIMIT l.most FOR UPDATE SKIP LOCKED) AS j"
)

BEGIN_MANY: Final = (
    # $4 seq, $5 token, $6 session, $7 worker, $8 holds, $9 now; the lanes with nothing left
    f"WITH begun AS ({_BEGIN} started_at = $9, token = v.token, session = v.session, worker = v.worker, holds = v.holds"
    " FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[])"
    " AS v (seq, token, session, worker, holds) WHERE jobs.seq = v.seq)"
    f" SELECT l.queue, l.task, l.signature FROM {_LANES.format('', '')}"
    f" WHERE NOT EXISTS (SELECT FROM jobs WHERE {_OF} AND seq <> ALL($4))"
)


class Claimed(NamedTuple):
    """What a claim did: the jobs with their new rows, in order of urgency, the lanes with nothing ready left, the jobs
    whose turn it is instead.
    """

    jobs: list[Job]
    emptied: list[Lane]
    turns: list[Job]


class Room(NamedTuple):
    """What bounds a claim beside slots; as `place` takes it."""

    lanes: dict[Lane, int]
    counters: dict[Lane, str]
    systems: Systems[Job] | None


async def claim_jobs(connection: Connection, sessions: Sessions, claim: Claim, now: float) -> Claimed:
    """Claim."""
    offers = [o for o in claim.offers if o.slots > 0 and sessions.live(o.session, o.epoch)]
    lanes = sorted(set().union(*(offer.lanes for offer in offers)))
    if not lanes:
        return Claimed([], [], [])
    room, ends = await _room(connection, claim, lanes, offers)
    if len(lanes) == len(offers) == 1 and room.systems is None:
        claimed = await _one_to_one(connection, lanes[0], offers[0], claim.tokens, now, room)
    else:
        claimed = await _many(connection, lanes, offers, claim.tokens, now, room)
    if ends:
        known = {job.seq for job in claimed.turns}
        found = [job for job in await jobs_by_seq(connection, ends) if job.seq not in known and job.turn is not None]
        claimed.turns.extend(job for job in found if job.holds == room.counters.get(job.lane))
        claimed.turns.sort(key=urgency)
    return claimed


async def _many(
    connection: Connection,
    lanes: Sequence[Lane],
    offers: Sequence[Offer],
    tokens: Sequence[str],
    now: float,
    room: Room,
) -> Claimed:
    """Several lanes or workers: what is to be given is read and locked first."""
    pairs = place(await _locked(connection, lanes, offers, room), offers, *room)
    begun: list[Job] = []
    turns: list[Job] = []
    values: list[tuple[Any, ...]] = []
    for (job, offer), token in zip(pairs, tokens, strict=False):
        if job.turn is not None:
            turns.append(job)
            continue
        values.append((job.seq, token, offer.session, offer.worker, room.counters.get(job.lane)))
        job.state, job.attempt, job.version, job.started_at = RUNNING, job.attempt + 1, job.version + 1, now
        job.progress = None
        _, job.token, job.session, job.worker, job.holds = values[-1]
        begun.append(job)
    columns: Iterable[Sequence[Any]] = zip(*values, strict=True) if values else [()] * 5
    emptied = await connection.fetch(BEGIN_MANY, *zip(*lanes, strict=True), *columns, now)
    return Claimed(begun, sorted(Lane(*row) for row in emptied), turns)


async def _room(
    connection: Connection, claim: Claim, lanes: Sequence[Lane], offers: Sequence[Offer]
) -> tuple[Room, list[int]]:
    """How much more may run, and the numbers of those that may give some of it back. Nobody else charges what bounds it
    before we are done.
    """
    counters = {lane: claim.capacity[lane][0] for lane in lanes if lane in claim.capacity}
    names = sorted(set(counters.values()))
    machines = sorted({offer.system for offer in offers}) if claim.units is not None else []
    if not names and not machines:
        return Room({}, {}, None), []
    await hold(connection, names, machines)
    holders = await held(connection, names) if names else Held(Counter(), [])
    left = {lane: max(0, claim.capacity[lane][1] - holders.jobs[counter]) for lane, counter in counters.items()}
    systems = await systems_of(connection, claim.units, machines) if claim.units is not None else None
    return Room(left, counters, systems), holders.ends


async def _one_to_one(
    connection: Connection, lane: Lane, offer: Offer, tokens: Sequence[str], now: float, room: Room
) -> Claimed:
    """The usual case, in one statement."""
    limit = min(offer.slots, room.lanes.get(lane, offer.slots), len(tokens))
    given = (limit, now, tokens, offer.session, offer.worker, room.counters.get(lane))
    rows = [tuple(row) for row in await connection.fetch(ONE_TO_ONE, *lane, *given)]
    begun = sorted((Job(*row[2:]) for row in rows if row[2] is not None), key=urgency)
    turns: list[Job] = []
    if rows[0][1]:
        turns = sorted(await jobs_by_seq(connection, rows[0][1]), key=urgency)
    return Claimed(begun, [lane] if rows[0][0] else [], turns)


async def _locked(connection: Connection, lanes: Sequence[Lane], offers: Sequence[Offer], room: Room) -> list[Job]:
    """Enough ready jobs to fill all offers, in order of urgency: nobody else takes them before we are done."""
    takers = {lane: frozenset(n for n, offer in enumerate(offers) if lane in offer.lanes) for lane in lanes}
    most = {lane: sum(offers[n].slots for n in takers[lane]) for lane in lanes}
    most = {lane: min(slots, room.lanes.get(lane, slots)) for lane, slots in most.items()}
    if room.systems is not None:
        # each that fits nowhere has one machine more leave room for it
        most = {lane: slots + len(offers) for lane, slots in most.items()}
    if len(lanes) == 1:
        rows = await connection.fetch(LOCK_ONE, *lanes[0], most[lanes[0]])
    else:
        # lanes that the same workers take compete for the same slots; each that something bounds is by itself
        bounded = lanes if room.systems is not None else room.lanes
        groups: dict[object, int] = {}
        group = [groups.setdefault(lane if lane in bounded else takers[lane], len(groups)) for lane in lanes]
        rows = await connection.fetch(LOCK_MANY, *zip(*lanes, strict=True), group, [most[lane] for lane in lanes])
    return sorted((Job(*row) for row in rows), key=urgency)
