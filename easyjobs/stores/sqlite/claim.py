"""The claim: which ready jobs go to which offers, inside the commit's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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

# INDEXED BY: a plan that is not this one must be an error, not a slow surprise among many finished rows
_READY: Final = (
    " FROM jobs INDEXED BY jobs_ready WHERE ready = 1 AND queue = ? AND task = ? AND signature = ?"
    " ORDER BY priority DESC, seq LIMIT ?"
)
_USED: Final = "SELECT holds, count(*) FROM jobs INDEXED BY jobs_running WHERE state = 'running' AND holds = ?"


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
    used = {c: connection.execute(_USED, (c,)).fetchone()[1] for c in sorted(set(counters.values()))}
    room = {lane: max(0, most - used[counter]) for lane, (counter, most) in capacity.items()}
    total = sum(offer.slots for offer in offers)
    # one more than can be taken: so that a lane in which nothing is left is known as such
    limits = {lane: min(total, room.get(lane, total)) + 1 for lane in lanes}
    pairs: Sequence[tuple[Job, Offer]]
    if len(lanes) == 1:
        (lane,) = lanes
        ready = [Job(*row) for row in fetch(connection, f"SELECT {texts.JOB}{_READY}", (*lane, limits[lane]))]
        seen = {lane: len(ready)}
        pairs = place(ready, offers, room, counters)
    else:
        candidates = {lane: _candidates(connection, lane, limits[lane]) for lane in lanes}
        seen = {lane: len(found) for lane, found in candidates.items()}
        merged = sorted(candidate for found in candidates.values() for candidate in found)
        placed = place(merged, offers, room, counters)
        rows = _rows(connection, [candidate.seq for candidate, _ in placed])
        pairs = [(rows[candidate.seq], offer) for candidate, offer in placed]
    moves: Counter[Key] = Counter()
    taken: Counter[Lane] = Counter()
    values: list[Any] = []
    for (job, offer), token in zip(pairs, claim.tokens[: len(pairs)], strict=True):
        lane = Lane(job.queue, job.task, job.signature)
        taken[lane] += 1
        moves[job.queue, job.task, job.state] -= 1
        job.state = RUNNING
        job.attempt += 1
        job.version += 1
        job.started_at = now
        job.token = token
        job.session = offer.session
        job.worker = offer.worker
        job.progress = None
        job.holds = counters.get(lane)
        values += (token, offer.session, offer.worker, job.holds, job.seq)
    for size, part in texts.slices(values, 5):
        connection.execute(texts.begin_attempts(size), (now, *part))
    for lane, number in taken.items():
        moves[lane.queue, lane.task, RUNNING] += number
    return [job for job, _ in pairs], [lane for lane in lanes if seen[lane] == taken[lane]], moves


def _candidates(connection: Connection, lane: Lane, limit: int) -> list[Candidate]:
    rows = connection.execute(f"SELECT -priority, seq{_READY}", (*lane, limit)).fetchall()
    return [Candidate(behind, seq, lane) for behind, seq in rows]


def _rows(connection: Connection, seqs: list[int]) -> dict[int, Job]:
    found: dict[int, Job] = {}
    for size, part in texts.slices(seqs):
        rows = fetch(connection, texts.select(f"SELECT {texts.JOB} FROM jobs WHERE seq IN {{}}", size), part)
        found.update((row[texts.SEQ], Job(*row)) for row in rows)
    return found
