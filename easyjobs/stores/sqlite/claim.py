"""The claim: which ready jobs go to which offers, inside the commit's transaction."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from sqlite3 import Connection
from typing import Any, Final, NamedTuple

from easyjobs.core.changes import Claim, Offer
from easyjobs.core.job import Job, Lane
from easyjobs.core.placement import Systems, place, urgency
from easyjobs.core.states import RUNNING
from easyjobs.stores.sqlite import texts
from easyjobs.stores.sqlite.reading import fetch, held, jobs_by_seq
from easyjobs.stores.sqlite.segment import Sessions
from easyjobs.stores.sqlite.systems import systems_of
from easyjobs.stores.sqlite.tally import Key

# what a claim does not set or know anyway; `_begun` puts the rest around it
_KEPT: Final = (
    "id, args, kwargs, state, priority, created_at, run_at, max_attempts, seq, version, attempt, failures, crashes,"
    " finished_at, result, error, cancel, timeout, deadline, parent, retry_of, run, key, body, unique_key,"
    " relation, deps_left, followers, schedule, tick, crashed_at, turn, node, late_at"
)
_STATE, _PRIORITY, _SEQ, _TURN = 3, 4, 8, 31
# INDEXED BY: a plan that is not this one must be an error, not a slow surprise among many finished rows
_READY: Final = (
    " FROM jobs INDEXED BY jobs_ready WHERE ready = 1 AND queue = ? AND task = ? AND signature = ?"
    " ORDER BY priority DESC, seq LIMIT ? OFFSET ?"
)


class Candidate(NamedTuple):
    """A ready job, as the index alone knows it; in order of urgency."""

    behind: int
    seq: int
    lane: Lane


class Choice(NamedTuple):
    """What a claim takes: who gets what, the rows of `_KEPT` by seq, the lanes with nothing ready left."""

    pairs: list[tuple[Candidate, Offer]]
    rows: dict[int, Any]
    emptied: list[Lane]


class Room(NamedTuple):
    """What bounds a claim beside slots; as `place` takes it."""

    lanes: dict[Lane, int]
    counters: dict[Lane, str]
    systems: Systems[Candidate] | None


class Claimed(NamedTuple):
    """What a claim did: the jobs with their new rows, in order of urgency, the lanes with nothing ready left, the jobs
    whose turn it is instead, the moves.
    """

    jobs: list[Job]
    emptied: list[Lane]
    turns: list[Job]
    moves: Counter[Key]


def claim_jobs(connection: Connection, sessions: Sessions, claim: Claim, now: float) -> Claimed:
    """Claim."""
    offers = [o for o in claim.offers if o.slots > 0 and sessions.live(connection, o.session, o.epoch)]
    lanes = sorted(set().union(*(offer.lanes for offer in offers)))
    if not lanes:
        return Claimed([], [], [], Counter())
    counters = {lane: claim.capacity[lane][0] for lane in lanes if lane in claim.capacity}
    holders = {counter: held(connection, counter) for counter in set(counters.values())}
    room = {lane: max(0, claim.capacity[lane][1] - len(holders[counter])) for lane, counter in counters.items()}
    systems = None if claim.units is None else systems_of(connection, claim.units)
    choose = _choose_of_one if len(lanes) == 1 else _choose_of_many
    chosen = choose(connection, lanes, offers, Room(room, counters, systems))
    claimed: list[Job] = []
    turns: list[int] = []
    moves: Counter[Key] = Counter()
    values: list[Any] = []
    for (candidate, offer), token in zip(chosen.pairs, claim.tokens[: len(chosen.pairs)], strict=True):
        lane = candidate.lane
        row = chosen.rows[candidate.seq]
        if row[_TURN] is not None:
            turns.append(candidate.seq)
            continue
        holds = counters.get(lane)
        claimed.append(_begun(row, lane, offer, token, now, holds))
        values += (token, offer.session, offer.worker, holds, candidate.seq)
        moves[lane.queue, lane.task, row[_STATE]] -= 1
        moves[lane.queue, lane.task, RUNNING] += 1
    for size, part in texts.slices(values, 5):
        connection.execute(texts.begin_attempts(size), (now, *part))
    ends = [seq for rows in holders.values() for seq, ends in rows if ends and seq not in turns]
    if not turns and not ends:
        return Claimed(claimed, chosen.emptied, [], moves)
    jobs = [
        job
        for job in jobs_by_seq(connection, [*turns, *ends])
        if job.seq not in ends or (job.turn is not None and job.holds == counters.get(job.lane))
    ]
    left = {job.lane for job in jobs}
    emptied = [lane for lane in chosen.emptied if lane not in left]
    return Claimed(claimed, emptied, sorted(jobs, key=urgency), moves)


def _limit(lane: Lane, offers: list[Offer], room: dict[Lane, int]) -> int:
    """How many jobs of a lane to look at: one more than can be taken, to know whether that leaves nothing."""
    total = sum(offer.slots for offer in offers)
    return min(total, room.get(lane, total)) + 1


def _choose_of_one(connection: Connection, lanes: list[Lane], offers: list[Offer], room: Room) -> Choice:
    """The usual case: whole rows at once."""
    (lane,) = lanes
    parameters = (*lane, _limit(lane, offers, room.lanes), 0)
    rows = {row[_SEQ]: row for row in fetch(connection, f"SELECT {_KEPT}{_READY}", parameters)}
    pairs = place([Candidate(-row[_PRIORITY], seq, lane) for seq, row in rows.items()], offers, *room)
    return Choice(pairs, rows, lanes if len(pairs) == len(rows) else [])


def _choose_of_many(connection: Connection, lanes: list[Lane], offers: list[Offer], room: Room) -> Choice:
    """Of the lanes only as much as the merge comes to see, by the index alone; then the rows of what is taken."""
    seen: Counter[Lane] = Counter()
    step = sum(offer.slots for offer in offers) // len(lanes) + 4
    ready = {lane: _ready(connection, lane, _limit(lane, offers, room.lanes), step, seen) for lane in lanes}
    pairs = place(heapq.merge(*ready.values()), offers, *room)
    taken = Counter(candidate.lane for candidate, _ in pairs)
    emptied = [lane for lane in lanes if seen[lane] == taken[lane] and next(ready[lane], None) is None]
    return Choice(pairs, _rows(connection, [candidate.seq for candidate, _ in pairs]), emptied)


def _begun(row: Any, lane: Lane, offer: Offer, token: str, now: float, holds: str | None) -> Job:
    """The job of a row of `_KEPT` as the claim leaves it."""
    values: list[Any] = [
        row[0],
        *lane,
        *row[1:3],
        RUNNING,
        *row[4:9],
        row[9] + 1,
        row[10] + 1,
        *row[11:13],
        token,
        offer.session,
        offer.worker,
        now,
        *row[13:16],
        None,
        *row[16:25],
        holds,
        *row[25:],
    ]
    return Job(*values)


def _ready(connection: Connection, lane: Lane, limit: int, step: int, seen: Counter[Lane]) -> Iterator[Candidate]:
    """Up to `limit` ready jobs of a lane in order of urgency, read in growing steps; counts in `seen` what it gave."""
    start = 0
    while start < limit:
        step = min(step, limit - start)
        rows = connection.execute(f"SELECT -priority, seq{_READY}", (*lane, step, start)).fetchall()
        for behind, seq in rows:
            seen[lane] += 1
            yield Candidate(behind, seq, lane)
        if len(rows) < step:
            return
        start += step
        step *= 4


def _rows(connection: Connection, seqs: list[int]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for size, part in texts.slices(seqs):
        rows = fetch(connection, texts.select(f"SELECT {_KEPT} FROM jobs WHERE seq IN {{}}", size), part)
        found.update((row[_SEQ], row) for row in rows)
    return found
