"""A commit: units gathered into segments, applied together; what is refused is found by halving."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from easyjobs.core.changes import (
    APPLIED,
    AddEdge,
    Charge,
    Claim,
    Committed,
    LoseSession,
    PutSession,
    Release,
    Unit,
    Verdict,
    Write,
)
from easyjobs.core.job import Job
from easyjobs.errors import StoreError, StoreUnavailable
from easyjobs.stores.postgres.bulk import Updates
from easyjobs.stores.postgres.careful import apply_alone, why_stale
from easyjobs.stores.postgres.channel import Channel, Connection
from easyjobs.stores.postgres.claim import claim_jobs
from easyjobs.stores.postgres.counters import held_first, hold
from easyjobs.stores.postgres.failures import AGAIN, UNWRITABLE, Again
from easyjobs.stores.postgres.inserts import Inserts
from easyjobs.stores.postgres.numbers import Numbers
from easyjobs.stores.postgres.reading import jobs_by_id
from easyjobs.stores.postgres.refusal import Refused
from easyjobs.stores.postgres.segment import Segment
from easyjobs.stores.postgres.sessions import Sessions

SMALL: Final = 4  # units that are rather done one by one than halved once more
LOCKING: Final = frozenset((PutSession, LoseSession, Charge, AddEdge, Release))
"""Writes that say what must be locked first."""


class Effects(NamedTuple):
    """What units did: a verdict for each, the new jobs with their numbers, the ids of the followers released."""

    verdicts: list[Verdict]
    inserted: list[tuple[Job, int]]
    queued: list[str]


class Writer:
    """Commits on one channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._numbers = Numbers()

    async def commit(self, units: Sequence[Unit], claim: Claim | None, now: float) -> Committed:
        """Apply the units and then the claim. See `base.Store.commit`."""
        if claim is None:
            verdicts = await self._at_once(units, now)
            if verdicts is not None:
                return Committed(verdicts)
        try:
            effects, committed = await self._commit(units, claim, now, together=True)
        except (Refused, *UNWRITABLE):
            effects, committed = await self._commit(units, claim, now, together=False)
        for job, seq in effects.inserted:
            job.seq = seq
        return committed

    async def _at_once(self, units: Sequence[Unit], now: float) -> list[Verdict] | None:
        """The verdicts, where all units are new jobs, or all are updates of one kind, as most are of an idle manager:
        those need no transaction around their one statement. None, and nothing done, where they are not.
        """
        inserted: list[tuple[Job, int]] = []

        async def work(one: Updates | Inserts, connection: Connection) -> list[int]:
            if isinstance(one, Updates):
                return one.refused(await one.run(connection))
            found, refused = await one.run(connection, self._numbers)
            inserted.extend(found)
            return refused

        try:
            one = Segment.of_one(units, now)
            if one is None:
                return None
            refused = await self._channel.single(partial(work, one))
        except (*UNWRITABLE, *AGAIN, Again):
            return None
        verdicts: list[Verdict] = [APPLIED] * len(units)
        if refused:
            try:
                effects, _ = await self._commit([units[number] for number in refused], None, now, together=False)
            except StoreError as error:
                raise StoreUnavailable(f"The outcome of what was being written is unknown: {error}") from error
            for number, verdict in zip(refused, effects.verdicts, strict=True):
                verdicts[number] = verdict
            inserted += effects.inserted
        for job, seq in inserted:
            job.seq = seq
        return verdicts

    async def _commit(
        self, units: Sequence[Unit], claim: Claim | None, now: float, together: bool
    ) -> tuple[Effects, Committed]:
        async def work(connection: Connection) -> tuple[Effects, Committed]:
            locking = [write for unit in units for write in unit.writes if type(write) in LOCKING]
            sessions = _sessions(locking, claim)
            await sessions.look(connection)
            await hold(connection, held_first(locking, claim))
            apply = self._together if together else self._halved
            effects = await apply(connection, sessions, units, now)
            committed = Committed(effects.verdicts)
            try:
                if effects.queued:
                    rows = await jobs_by_id(connection, effects.queued)
                    committed.released = sorted(rows.values(), key=lambda job: job.seq)
                if claim is not None:
                    claimed = await claim_jobs(connection, sessions, claim, now)
                    committed.claimed, committed.emptied, committed.turns = claimed
            except BaseException:
                self._numbers.unused([seq for _, seq in effects.inserted])
                raise
            return effects, committed

        return await self._channel.write(work)

    async def _together(self, connection: Connection, sessions: Sessions, units: Sequence[Unit], now: float) -> Effects:
        """All units in as few statements as may be.

        :raises Refused: one is refused that is not so simple. An error of UNWRITABLE: one can never be written.
        """
        verdicts: list[Verdict] = [APPLIED] * len(units)
        done: list[Segment] = []
        try:
            for segment in _segments(units, now):
                done.append(segment)
                for number in await segment.write(connection, sessions, self._numbers):
                    verdicts[number] = await why_stale(connection, units[number])
        except (Refused, *UNWRITABLE):
            self._numbers.unused([seq for segment in done for _, seq in segment.inserted])
            raise
        return _effects(verdicts, done)

    async def _halved(self, connection: Connection, sessions: Sessions, units: Sequence[Unit], now: float) -> Effects:
        """All units, where some are refused: half of them together, the other half, and so on."""
        if len(units) <= SMALL:
            effects = Effects([], [], [])
            for unit in units:
                verdict, done = await apply_alone(connection, sessions, self._numbers, unit, now)
                _add(effects, _effects([verdict], done))
            return effects
        effects = Effects([], [], [])
        middle = len(units) // 2
        for half in (units[:middle], units[middle:]):
            await connection.execute("SAVEPOINT half")
            try:
                _add(effects, await self._together(connection, sessions, half, now))
            except (Refused, *UNWRITABLE):
                await connection.execute("ROLLBACK TO half")
                await sessions.look(connection)
                _add(effects, await self._halved(connection, sessions, half, now))
            await connection.execute("RELEASE half")
        return effects


def _sessions(writes: Sequence[Write], claim: Claim | None) -> Sessions:
    """The sessions that are to be locked before all else: those of the claim, and those that are written."""
    ids: set[str | None] = set() if claim is None else {offer.session for offer in claim.offers}
    ending = False
    for write in writes:
        if isinstance(write, (PutSession, LoseSession)):
            ids.add(write.session.id if isinstance(write, PutSession) else write.id)
            ending = True
    return Sessions(ids, ending)


def _segments(units: Sequence[Unit], now: float) -> list[Segment]:
    segment = Segment(now)
    segments = [segment]
    for number, unit in enumerate(units):
        for write in unit.writes:
            if not segment.add(number, write):
                segment = Segment(now)
                segments.append(segment)
                segment.add(number, write)
    return segments


def _effects(verdicts: list[Verdict], done: Sequence[Segment]) -> Effects:
    inserted = [pair for segment in done for pair in segment.inserted]
    return Effects(verdicts, inserted, [id for segment in done for id in segment.queued])


def _add(effects: Effects, more: Effects) -> None:
    effects.verdicts.extend(more.verdicts)
    effects.inserted.extend(more.inserted)
    effects.queued.extend(more.queued)
