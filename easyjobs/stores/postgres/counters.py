"""Counters: how many jobs hold one is counted where it is asked; whoever relies on that holds its lock until the end of
his transaction.

One order of locks for all managers: sessions, counters, jobs by id. A claim that comes with nothing but new jobs and
outcomes takes its counters late, so that what it writes is written beside others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from easyjobs.core.changes import AddEdge, Charge, Claim, Release, Write
from easyjobs.stores.postgres.channel import Connection

# one lock for each counter of each schema, taken in order
_HOLD: Final = (
    "SELECT pg_advisory_xact_lock(hashtextextended('easyjobs.counter.' || current_schema() || '.' || name, 0))"
    " FROM unnest($1::text[]) AS name"
)
_HELD: Final = (
    "SELECT holds, count(*), NULL FROM jobs WHERE state = 'running' AND holds = ANY($1::text[]) GROUP BY holds"
    " UNION ALL SELECT holds, count(*), array_agg(seq) FILTER (WHERE ready = 1) FROM jobs"
    " WHERE state = 'waiting' AND holds = ANY($1::text[]) GROUP BY holds"
)


class Held(NamedTuple):
    """How many jobs that run or wait hold each of some counters; and the numbers of those among them that wait and for
    which all has ended that they waited for.
    """

    jobs: Counter[str]
    ends: list[int]


async def hold(connection: Connection, counters: Iterable[str], machines: Iterable[str] = ()) -> None:
    """Keep others from charging these counters, and the units of these machines, until the transaction ends."""
    names = [*(f"c:{name}" for name in sorted(counters)), *(f"s:{name}" for name in sorted(machines))]
    if names:
        await connection.execute(_HOLD, names)


async def held(connection: Connection, counters: Sequence[str]) -> Held:
    """Who holds these counters now."""
    found = Held(Counter(), [])
    for counter, jobs, ends in await connection.fetch(_HELD, counters):
        found.jobs[counter] += jobs
        found.ends.extend(ends or ())
    return found


def held_first(writes: Iterable[Write], claim: Claim | None) -> set[str]:
    """The counters that must be held before any job is: those that are charged; and, where rows are written for which
    another transaction may wait with a counter in its hands, those of the claim.
    """
    charged: set[str] = set()
    shared = False
    for write in writes:
        if isinstance(write, Charge):
            charged.add(write.counter)
        elif isinstance(write, Release) or (isinstance(write, AddEdge) and write.join):
            shared = True
    if claim is not None and (shared or charged):
        lanes = set().union(*(offer.lanes for offer in claim.offers))
        charged.update(counter for lane, (counter, _) in claim.capacity.items() if lane in lanes)
    return charged
