"""The claim: which ready jobs go to which offers, inside the commit's transaction."""

from __future__ import annotations

from collections import Counter
from sqlite3 import Connection
from typing import Any, Final, NamedTuple

from easyjobs.core.changes import Claim, Offer
from easyjobs.core.job import Job, Lane
from easyjobs.core.placement import place
from easyjobs.core.states import RUNNING
from easyjobs.stores.sqlite import texts
from easyjobs.stores.sqlite.reading import fetch
from easyjobs.stores.sqlite.segment import Sessions
from easyjobs.stores.sqlite.tally import Key

# what a claim does not set or know anyway; `_begun` puts the rest around it
_KEPT: Final = (
    "id, args, kwargs, state, priority, created_at, run_at, max_attempts, seq, version, attempt, failures, crashes,"
    " finished_at, result, error, cancel, timeout, deadline, parent, retry_of, run, key, body, unique_key"
)
_STATE, _PRIORITY, _SEQ = 3, 4, 8
# INDEXED BY: a plan that is not this one must be an error, not a slow surprise among many finished rows
_READY: Final = (
    " FROM jobs INDEXED BY jobs_ready WHERE ready = 1 AND queue = ? AND task = ? AND signature = ?"
    " ORDER BY priority DESC, seq LIMIT ?"
)
_USED: Final = "SELECT count(*) FROM jobs INDEXED BY jobs_running WHERE state = 'running' AND holds = ?"


class Candidate(NamedTuple):
    """A ready job, as the index alone knows it; in order of urgency."""

    behind: int
    seq: int
    lane: Lane


def claim_jobs(
    connection: Connection, sessions: Sessions, claim: Claim, now: float
) -> tuple[list[Job], list[Lane], Counter[Key]]:
    """Claim: the jobs with their new rows, in order of urgency, the lanes with nothing ready left, the moves."""
    offers = [o for o in claim.offers if o.slots > 0 and sessions.live(connection, o.session, o.epoch)]
    lanes = sorted(set().union(*(offer.lanes for offer in offers)))
    if not lanes:
        return [], [], Counter()
    capacity = {lane: claim.capacity[lane] for lane in lanes if lane in claim.capacity}
    counters = {lane: counter for lane, (counter, _) in capacity.items()}
    used = {counter: connection.execute(_USED, (counter,)).fetchone()[0] for counter in set(counters.values())}
    room = {lane: max(0, most - used[counter]) for lane, (counter, most) in capacity.items()}
    total = sum(offer.slots for offer in offers)
    # one more than can be taken: so that a lane in which nothing is left is known as such
    limits = {lane: min(total, room.get(lane, total)) + 1 for lane in lanes}
    rows: dict[int, Any]
    if len(lanes) == 1:
        (lane,) = lanes
        rows = {row[_SEQ]: row for row in fetch(connection, f"SELECT {_KEPT}{_READY}", (*lane, limits[lane]))}
        candidates = [Candidate(-row[_PRIORITY], seq, lane) for seq, row in rows.items()]
        pairs = place(candidates, offers, room, counters)
    else:
        candidates = sorted(candidate for lane in lanes for candidate in _candidates(connection, lane, limits[lane]))
        pairs = place(candidates, offers, room, counters)
        rows = _rows(connection, [candidate.seq for candidate, _ in pairs])
    left = Counter(candidate.lane for candidate in candidates)
    claimed: list[Job] = []
    moves: Counter[Key] = Counter()
    values: list[Any] = []
    for (candidate, offer), token in zip(pairs, claim.tokens[: len(pairs)], strict=True):
        lane = candidate.lane
        row = rows[candidate.seq]
        holds = counters.get(lane)
        claimed.append(_begun(row, lane, offer, token, now, holds))
        values += (token, offer.session, offer.worker, holds, candidate.seq)
        left[lane] -= 1
        moves[lane.queue, lane.task, row[_STATE]] -= 1
        moves[lane.queue, lane.task, RUNNING] += 1
    for size, part in texts.slices(values, 5):
        connection.execute(texts.begin_attempts(size), (now, *part))
    return claimed, [lane for lane in lanes if not left[lane]], moves


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
        *row[16:],
        holds,
    ]
    return Job(*values)


def _candidates(connection: Connection, lane: Lane, limit: int) -> list[Candidate]:
    rows = connection.execute(f"SELECT -priority, seq{_READY}", (*lane, limit)).fetchall()
    return [Candidate(behind, seq, lane) for behind, seq in rows]


def _rows(connection: Connection, seqs: list[int]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for size, part in texts.slices(seqs):
        rows = fetch(connection, texts.select(f"SELECT {_KEPT} FROM jobs WHERE seq IN {{}}", size), part)
        found.update((row[_SEQ], row) for row in rows)
    return found
