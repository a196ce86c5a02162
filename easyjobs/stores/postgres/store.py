"""The store in PostgreSQL, around its connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, TypeVar

from easyjobs.clock import Clock, SystemClock
from easyjobs.core.changes import Claim, Committed, PutTask, Unit
from easyjobs.core.job import Attempt, Edge, Job, Lane, LogLine, Session
from easyjobs.core.schedule import Schedule
from easyjobs.core.states import State
from easyjobs.core.task import TaskSpec
from easyjobs.errors import StoreCorrupt, StoreLocked, StoreUnavailable
from easyjobs.ids import Ids
from easyjobs.stores.base import Count, Hint, JobQuery, KnownTask, Page, Pause, Retention, Retired
from easyjobs.stores.copying import Dump
from easyjobs.stores.hints import hint_of
from easyjobs.stores.postgres import reading, reads, schema, texts
from easyjobs.stores.postgres.address import address_of
from easyjobs.stores.postgres.channel import HINTING, LIMITS, LONG, UNBOUNDED, Channel, Connection, writing
from easyjobs.stores.postgres.clock import GivenClock, ServerClock
from easyjobs.stores.postgres.dialling import Servers
from easyjobs.stores.postgres.failures import UNWRITABLE
from easyjobs.stores.postgres.hints import Hints
from easyjobs.stores.postgres.load import load
from easyjobs.stores.postgres.others import Others
from easyjobs.stores.postgres.presence import Presence
from easyjobs.stores.postgres.retiring import retire_tasks
from easyjobs.stores.postgres.segment import forget_jobs
from easyjobs.stores.postgres.writer import Writer
from easyjobs.stores.version import Version

T = TypeVar("T")

REMOVED_AT_ONCE: Final = 500

_CLOCK: Final = "SELECT extract(epoch FROM clock_timestamp())::double precision"
_PROMOTE: Final = (
    "WITH due AS MATERIALIZED (SELECT seq FROM jobs WHERE ready = 0 AND run_at <= $1 ORDER BY run_at, seq LIMIT $2"
    " FOR UPDATE SKIP LOCKED) UPDATE jobs SET ready = 1 FROM due WHERE jobs.seq = due.seq"
    " RETURNING queue, task, signature"
)
_LEAD: Final = (
    "UPDATE lead SET term = term + (holder <> $1)::integer, holder = $1, until = $2"
    " WHERE holder = $1 OR until <= $3 RETURNING term"
)
# of no run, or of one that is gone: the jobs of a run are what it takes results of, and what a repetition keeps
_ALONE: Final = "(run IS NULL OR run = id OR NOT EXISTS (SELECT FROM jobs AS whole WHERE whole.id = jobs.run))"
_REMOVE: Final = (
    f"WITH old AS MATERIALIZED (SELECT seq FROM jobs WHERE {texts.ENDED}"
    " AND finished_at <= greatest($1::double precision, $2::double precision)"
    f" AND finished_at <= CASE WHEN state = 'completed' THEN $1 ELSE $2 END AND {_ALONE} ORDER BY finished_at LIMIT $3"
    " FOR UPDATE SKIP LOCKED) DELETE FROM jobs USING old WHERE jobs.seq = old.seq RETURNING id, jobs.seq"
)
_REMOVE_OLDEST: Final = (
    f"WITH old AS MATERIALIZED (SELECT seq FROM jobs WHERE {texts.ENDED} AND {_ALONE} ORDER BY seq LIMIT $1"
    " FOR UPDATE SKIP LOCKED) DELETE FROM jobs USING old WHERE jobs.seq = old.seq RETURNING id, jobs.seq"
)


class PostgresStore:
    """A schema in a PostgreSQL database, for any number of managers. May be opened again after `close`.

    Its clock is the server's, which is asked at `open` and with every `lead`.

    :param url: as `address.address_of` reads it.
    :param clock: for tests: dates from it in place of the server's.
    """

    single_manager = False

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        self.address = address_of(url)
        self._source = clock
        self._clock = self._new_clock()
        servers = Servers(self.address)
        self._writing = Channel(self.address, writing(self.address), servers)
        self._near = Channel(self.address, writing(self.address), servers)  # short reads, by key
        self._far = Channel(self.address, LIMITS, servers)  # lists, as the planner thinks best
        self._writer = Writer(self._writing)
        self._presence = Presence(self.now, lambda: self._clock.monotonic())
        standing = Channel(self.address, HINTING, servers)
        self._hints = Hints(self.address, standing, Ids().token(), self._presence, self._near)
        self._is_open = False

    def _new_clock(self) -> ServerClock | GivenClock:
        return ServerClock(SystemClock()) if self._source is None else GivenClock(self._source)

    async def open(self) -> None:
        """Connect, check the server, create or migrate the tables.

        :raises StoreLocked: it is open already. StoreCorrupt: the tables are of a newer version, or not ours.
            StoreUnavailable: it cannot be reached or written. ConfigurationError: its settings would lose jobs.
        """
        if self._is_open:
            raise StoreLocked(f"The store {self.address.shown} is open already.")
        self._clock = self._new_clock()
        try:
            await self._writing.read(lambda connection: schema.check_server(connection, self.address))
            await self._writing.write(lambda connection: schema.migrate(connection, self.address), LONG)
            await self._writing.write(self._ask_the_time)
        except BaseException:
            await self._writing.close()
            raise
        self._is_open = True
        self._hints.start()

    def nearly_full(self) -> bool:
        """The server's disk cannot be seen from here: it says so itself, with StoreFull, when it is full."""
        return False

    def listen(self, heard: Callable[[Hint], None], me: str = "") -> None:
        """Tell `heard` what other managers commit, and be known to them as `me`; see `base.Store.listen`."""
        self._hints.heard = heard
        self._presence.me = me

    async def gone(self, hubs: Collection[str]) -> set[str]:
        """Who is on another machine cannot be known to have ended: he is `away`, or his lease says so."""
        return set()

    async def away(self, hubs: Collection[str]) -> set[str]:
        """Those of some hubs whose connection is lost; see `base.Store.away`."""
        return await self._read(self._near, lambda connection: self._presence.away(connection, hubs))

    async def version(self) -> Version:
        """How far the tables are; nothing is changed. Before `open`."""
        try:
            return await self._writing.write(lambda connection: schema.version_of(connection, self.address.schema))
        finally:
            await self._writing.close()

    async def reset(self, anew: Sequence[TaskSpec] | None = None) -> None:
        """Remove the schema, and make it anew; see `base.Store.reset`. A manager has it while one leads.

        :raises StoreCorrupt: it has tables that are not of easyjobs. As `open`, if it is made anew.
        """
        if self._is_open:
            raise StoreLocked(f"The store {self.address.shown} is open.")

        async def work(connection: Connection) -> None:
            await schema.wait_turn(connection, self.address)
            await self._ask_the_time(connection)
            await schema.drop(connection, self.address, self.now())
            if anew is not None:
                await schema.check_server(connection, self.address)
                await schema.migrate(connection, self.address)
                tasks = Others()
                for number, spec in enumerate(anew):
                    tasks.add(number, PutTask(spec, self.now()))
                await tasks.run(connection)

        try:
            await self._writing.write(work, LONG)
        finally:
            await self._writing.close()

    async def load(self, dump: Dump) -> dict[str, int]:
        """Take over all rows of another store, all or none; how many of each table. Once, while it is open and empty.

        :raises ConfigurationError: it is not empty. StoreLocked: a manager leads. StoreCorrupt: what was read again was
            not what was written.
        """

        async def work(connection: Connection) -> dict[str, int]:
            await connection.execute(
                "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
            )
            return await load(connection, self.address, dump, self.now())

        self._check_open()
        try:
            return await self._writing.write(work, UNBOUNDED)
        except UNWRITABLE as error:
            raise StoreCorrupt(f"A row cannot be written to {self.address.shown}: {error}.") from error

    async def close(self) -> None:
        """Disconnect. May be called twice."""
        self._is_open = False
        await self._hints.close()
        for channel in (self._writing, self._near, self._far):
            await channel.close()

    def now(self) -> float:
        """Seconds since 1970 by the server's clock; never goes backward while open."""
        return self._clock.now()

    async def _ask_the_time(self, connection: Connection) -> None:
        asked = self._clock.monotonic()
        self._clock.told(await connection.fetchval(_CLOCK), asked, self._clock.monotonic())

    # -- writing

    async def commit(self, units: Sequence[Unit], claim: Claim | None = None) -> Committed:
        """Write all units and the claim in one durable transaction; see `base.Store.commit`."""
        self._check_open()
        committed = await self._writer.commit(units, claim, self.now())
        self._hints.say(hint_of(units, committed))
        return committed

    async def lead(self, holder: str, seconds: float) -> int | None:
        """Take, keep or give up the lead; see `base.Store.lead`."""

        async def work(connection: Connection) -> int | None:
            await self._ask_the_time(connection)
            now = self.now()
            term: int | None = await connection.fetchval(_LEAD, holder, now + seconds, now)
            return term

        return await self._write(work)

    async def promote(self, limit: int) -> list[Lane]:
        """Make jobs ready whose time has come; see `base.Store.promote`."""
        rows = await self._write(lambda connection: connection.fetch(_PROMOTE, self.now(), limit))
        lanes = [Lane(*row) for row in rows]
        if lanes:
            self._hints.say(Hint(sorted(set(lanes))))
        return lanes

    async def prune(self, retention: Retention, limit: int) -> int:
        """Remove what ended too long ago, in steps between which commits go on; see `base.Store.prune`."""
        now = self.now()
        completed, others = now - retention.completed, now - retention.others

        async def forget(connection: Connection) -> None:
            await connection.execute("DELETE FROM sessions WHERE state = 'lost' AND ended_at <= $1", others)
            await connection.execute("DELETE FROM fresh WHERE until <= $1", now)
            await self._presence.forget(connection, others)

        await self._write(forget, LONG)
        removed = 0
        while removed < limit:
            step = min(REMOVED_AT_ONCE, limit - removed)

            async def work(connection: Connection, step: int = step) -> int:
                rows = await connection.fetch(_REMOVE, completed, others, step)
                if len(rows) < step:
                    surplus = await reads.surplus(connection, retention, step - len(rows))
                    rows += await connection.fetch(_REMOVE_OLDEST, surplus) if surplus > 0 else []
                await forget_jobs(connection, [seq for _, seq in rows], [id for id, _ in rows])
                return len(rows)

            number = await self._write(work, LONG)
            removed += number
            if number < step:
                break
        return removed

    async def retire(self, keep: float, after: Lane | None, limit: int) -> Retired:
        """Forget tasks that nobody needs any more; see `base.Store.retire`."""
        return await self._write(lambda connection: retire_tasks(connection, self.now(), keep, after, limit), LONG)

    async def size(self) -> int:
        """Of the rows, by the server's own estimate of their width."""
        return await self._read(self._far, reads.size, LONG)

    # -- reading

    async def next_due(self) -> float | None:
        """The earliest `run_at` that `promote` has not served."""
        return await self._read(self._near, reads.next_due)

    async def jobs(self, ids: Sequence[str], bare: bool = False) -> dict[str, Job]:
        """Those of the jobs that exist, by id."""
        return await self._read(self._near, lambda connection: reading.jobs_by_id(connection, ids, bare))

    async def running(self) -> list[Job]:
        """All that run."""
        return await self._read(self._near, reads.running)

    async def cancelling(self) -> list[Job]:
        """Those that run and are to stop."""
        return await self._read(self._near, reads.cancelling)

    async def followers(self, ids: Sequence[str]) -> dict[str, list[tuple[Edge, Job]]]:
        """Who waits for each of some jobs, oldest first."""
        return await self._read(self._near, lambda connection: reading.followers(connection, ids))

    async def edges(self, ids: Sequence[str]) -> list[Edge]:
        """What some jobs waited for."""
        return await self._read(self._near, lambda connection: reading.edges(connection, ids))

    async def coming(self, queue: str, task: str, limit: int) -> list[Job]:
        """Jobs of a task that will end before long, oldest first."""
        return await self._read(self._near, lambda connection: reading.coming(connection, queue, task, limit))

    async def fresh(self, keys: Sequence[str]) -> dict[str, float]:
        """When a job last completed that serves each of some keys."""
        return await self._read(self._near, lambda connection: reading.fresh(connection, keys))

    async def live_of(self, schedules: Sequence[str]) -> dict[str, list[Job]]:
        """Jobs of some schedules that have not ended, oldest first."""
        return await self._read(self._near, lambda connection: reading.live_of(connection, schedules))

    async def lanes(self) -> list[Lane]:
        """Where something is ready."""
        return await self._read(self._near, reads.lanes)

    async def counts(self) -> list[Count]:
        """Live jobs by queue, task and state."""
        return await self._read(self._far, reads.counts, LONG)

    async def totals(self) -> dict[State, int]:
        """All jobs by state."""
        return await self._read(self._far, reads.totals, LONG)

    async def find(self, query: JobQuery) -> Page:
        """One page of jobs, newest first."""
        return await self._read(self._far, lambda connection: reads.page(connection, query), LONG)

    async def overdue(self, limit: int) -> list[Job]:
        """Jobs that should have started by now."""
        return await self._read(self._near, lambda connection: reads.overdue(connection, self.now(), limit))

    async def late(self, limit: int, told: bool = False) -> list[Job]:
        """Jobs that should have begun by now."""
        return await self._read(self._near, lambda connection: reads.late(connection, self.now(), limit, told))

    async def by_run(self, runs: Sequence[str]) -> dict[str, dict[State, int]]:
        """The jobs of some runs by state."""
        return await self._read(self._far, lambda connection: reads.by_run(connection, runs))

    async def attempts(self, id: str) -> list[Attempt]:
        """Past attempts, oldest first."""
        return await self._read(self._far, lambda connection: reads.attempts(connection, id))

    async def logs(self, id: str, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """Lines after `after`, oldest first."""
        return await self._read(self._far, lambda connection: reads.logs(connection, id, after, limit))

    async def sessions(self, lost_since: float | None = None) -> list[Session]:
        """Live ones, and those lost since."""
        return await self._read(self._near, lambda connection: reads.sessions(connection, lost_since))

    async def tasks(self) -> list[KnownTask]:
        """All that can be read."""
        return await self._read(self._far, reads.tasks)

    async def schedules(self) -> list[Schedule]:
        """All that can be read."""
        return await self._read(self._near, reads.schedules)

    async def pauses(self) -> list[Pause]:
        """All that is paused."""
        return await self._read(self._near, reads.pauses)

    # -- where it runs

    async def _read(
        self, channel: Channel, work: Callable[[Connection], Awaitable[T]], patience: float | None = None
    ) -> T:
        self._check_open()
        try:
            return await channel.read(work, patience)
        except UNWRITABLE as error:
            raise StoreUnavailable(f"The store {self.address.shown} cannot be asked that ({error}).") from error

    async def _write(self, work: Callable[[Connection], Awaitable[T]], patience: float | None = None) -> T:
        self._check_open()
        return await self._writing.write(work, patience)

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreUnavailable(f"The store {self.address.shown} is not open.")
