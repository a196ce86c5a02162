"""The asynchronous face of the SQLite store."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Protocol, TypeVar

from easyjobs.clock import Clock, SteadyClock, SystemClock
from easyjobs.core.changes import Claim, Committed, Unit
from easyjobs.core.job import Attempt, Edge, Job, Lane, LogLine, Session
from easyjobs.core.schedule import Schedule
from easyjobs.core.states import FINAL, State
from easyjobs.core.task import TaskSpec
from easyjobs.errors import StoreLocked, StoreUnavailable
from easyjobs.ids import Ids
from easyjobs.stores.base import Count, Hint, JobQuery, KnownTask, Page, Pause, Retention, Retired
from easyjobs.stores.beginning import begin
from easyjobs.stores.sqlite import files, reading, texts
from easyjobs.stores.sqlite.company import Company
from easyjobs.stores.sqlite.failures import translated
from easyjobs.stores.sqlite.presence import Presence
from easyjobs.stores.sqlite.reads import Reader, page_statement
from easyjobs.stores.sqlite.tally import Tally
from easyjobs.stores.sqlite.turn import turn_to_reset
from easyjobs.stores.sqlite.writer import Busy, Writer

T = TypeVar("T")

LOOK_AT_DISK: Final = 0.25  # seconds between two looks at how full it is

POLL: Final = 0.002  # seconds between looks at a lock that another process holds
PATIENCE: Final = 2_500  # such looks: 5 s
LARGE: Final = 2_000  # rows of a commit that are too many to write on the event loop
SLOW: Final = 0.02  # seconds; a disk whose commits take longer gets a thread
REMOVED_AT_ONCE: Final = 256


class Runner(Protocol):
    """Runs a piece of synchronous work to its end, here or elsewhere; what it returns or raises comes out."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """Run `work`, one at a time."""


class SQLiteStore:
    r"""One file; one manager at a time, whose lock is `<file>.manager.lock`, and any number of hubs that serve nobody
    (pull workers, a scheduler), all on one host. May be opened again after `close`.

    Every write transaction and checkpoint is under `<file>.lock`, so other processes may write the file if they take
    it too. Who uses it has a file in `<file>.hubs`; a manager that is alone finds nobody there, and looks no further.
    A text that is not UTF-8 comes out with `\xNN` for its bad bytes, which makes it invalid as JSON: whoever needs it
    as JSON finds out, and fails that job alone.

    :param runner: where writes run; by default on the event loop, which for a small commit is faster than any thread,
        and in one thread of the store's own where a commit is large or the disk is slow.
    :param shared: open it beside a manager and others, as one who serves nobody.
    """

    def __init__(
        self, path: str, *, clock: Clock | None = None, runner: Runner | None = None, shared: bool = False
    ) -> None:
        self.path = path
        self._source: Clock = clock or SystemClock()
        self._clock = SteadyClock(self._source)
        self._runner = runner
        self._shared = shared
        self._me = ""
        self._presence = Presence(path)
        self._writer = Writer(path, self._presence)
        self._company = Company(self._presence, self._writer, self._exclusive)
        self._reader = Reader(path)
        self._turn = asyncio.Lock()  # whose turn it is on the writer
        self._thread: ThreadPoolExecutor | None = None
        self._pace = 0.0  # seconds that recent commits took
        self._is_open = False
        self._full = False
        self._look_at_disk = 0.0
        self._pruned = 0  # jobs up to here were looked at by `prune`

    @property
    def single_manager(self) -> bool:
        """Whether nobody else has used the file since it was opened; see `base.Store.single_manager`."""
        return not self._writer.several

    async def open(self) -> None:
        """Lock, create or migrate, check the whole file (about a second for a gigabyte) unless others use it.

        :raises StoreLocked: another manager has it, or others of an older version. StoreCorrupt: damaged, or of a newer
            version. StoreUnavailable: it cannot be made or written.
        """
        if self._is_open:
            raise StoreLocked(f"The store {self.path} is open already.")
        files.check_folder(self.path)
        try:
            try:
                self._me = self._me or Ids().token()
                beside = self._presence.enter(self._me, manager=not self._shared)
                self._writer.several = self._shared or beside
                await self._patiently(lambda: self._writer.open(self._me, beside=beside), LARGE)
                if not beside:  # else it may be done when it is needed, and others write meanwhile
                    await self._patiently(self._writer.tally, LARGE)
                await self._reader.open()
            except BaseException:
                await self._release()
                raise
        except (sqlite3.Error, OSError) as error:
            raise translated(error, self.path) from error
        self._clock = SteadyClock(self._source)
        self._is_open = True
        self._company.start()

    def keep_others_out(self) -> None:
        """Nobody else may open the file until it is closed.

        :raises StoreLocked: somebody has it open.
        """
        self._presence.own()

    def nearly_full(self) -> bool:
        """Whether the disk has hardly any room; looked at a few times a second."""
        now = self._source.monotonic()
        if now >= self._look_at_disk:
            self._look_at_disk = now + LOOK_AT_DISK
            self._full = files.nearly_full(self.path)
        return self._full

    def listen(self, heard: Callable[[Hint], None], me: str = "") -> None:
        """Tell `heard` what other hubs write, and be known to them as `me`; see `base.Store.listen`."""
        self._company.heard = heard
        self._me = me

    async def gone(self, hubs: Collection[str]) -> set[str]:
        """Those of some hubs whose processes do not use the file any more."""
        try:
            return {hub for hub in hubs if not self._presence.there(hub)}
        except OSError as error:
            raise translated(error, self.path) from error

    async def away(self, hubs: Collection[str]) -> set[str]:
        """Nobody is: who is not there has ended, and is `gone`."""
        return set()

    async def reset(self, anew: Sequence[TaskSpec] | None = None) -> None:
        """Remove the file, and make it anew; see `base.Store.reset`."""
        files.check_folder(self.path)
        if self._is_open:
            raise StoreLocked(f"The store {self.path} is open.")
        async with turn_to_reset(self.path):
            try:
                self._presence.own()
                files.remove(self.path)
            except (sqlite3.Error, OSError) as error:
                raise translated(error, self.path) from error
            finally:
                self._presence.leave()
            if anew is not None:
                await begin(self, anew)

    async def close(self) -> None:
        """Let go of the file. May be called twice."""
        await self._company.close()
        async with self._turn:
            if self._is_open:
                self._is_open = False
                await self._release()

    async def _release(self) -> None:
        await self._reader.close()  # before the writer: whoever closes last tidies up, and needs the lock for it
        try:
            await self._patiently(lambda: self._writer.close(patient=True), 0)
        except StoreUnavailable:
            self._writer.close()
        self._presence.leave()
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    def now(self) -> float:
        """Seconds since 1970; never goes backward while open."""
        return self._clock.now()

    # -- writing

    async def commit(self, units: Sequence[Unit], claim: Claim | None = None) -> Committed:
        """Write all units and the claim in one durable transaction; see `base.Store.commit`."""
        rows = sum(len(unit.writes) for unit in units) + (0 if claim is None else len(claim.tokens))

        def work() -> Committed:
            began = self._source.monotonic()
            try:
                return self._writer.commit(units, claim, self.now())
            finally:
                self._pace += (self._source.monotonic() - began - self._pace) / 4

        committed = await self._exclusive(work, rows)
        self._company.look()
        return committed

    async def lead(self, holder: str, seconds: float) -> int | None:
        """Take, keep or give up the lead; see `base.Store.lead`."""
        return await self._exclusive(lambda: self._writer.lead(holder, seconds, self.now()))

    async def promote(self, limit: int) -> list[Lane]:
        """Make jobs ready whose time has come; see `base.Store.promote`."""
        return await self._exclusive(lambda: self._writer.promote(self.now(), limit))

    async def prune(self, retention: Retention, limit: int) -> int:
        """Remove what ended too long ago; see `base.Store.prune`.

        The rows are found by reading beside the writer, and removed in steps between which commits go on.
        """
        now = self.now()
        await self._exclusive(lambda: self._writer.forget(now - retention.others, now))
        seqs, upto = await self._read(self._reader.old(retention, now, self._pruned, limit))
        if upto == 0 and self._pruned and len(seqs) < limit:
            more, upto = await self._read(self._reader.old(retention, now, 0, limit - len(seqs)))
            seqs += more
        self._pruned = upto
        removed = 0
        for start in range(0, len(seqs), REMOVED_AT_ONCE):
            step = seqs[start : start + REMOVED_AT_ONCE]
            removed += await self._exclusive(partial(self._writer.remove, step))
        return removed + await self._remove_surplus(retention, limit - removed)

    async def _remove_surplus(self, retention: Retention, limit: int) -> int:
        """The oldest of those that ended, as far as there are too many, in steps as above."""
        removed = 0
        while removed < limit:
            most = min(limit - removed, REMOVED_AT_ONCE)
            if retention.bytes is None or await self.size() <= retention.bytes:
                ended = sum(n for state, n in (await self.totals()).items() if state in FINAL)
                most = 0 if retention.rows is None else min(most, ended - retention.rows)
            if most <= 0:
                break
            step = await self._read(self._reader.oldest(most))
            removed += await self._exclusive(partial(self._writer.remove, step))
            if not step:
                break
        return removed

    async def retire(self, keep: float, after: Lane | None, limit: int) -> Retired:
        """Forget tasks that nobody needs any more; see `base.Store.retire`."""
        return await self._exclusive(lambda: self._writer.retire(self.now(), keep, after, limit), LARGE)

    async def size(self) -> int:
        """Of the pages of the file that are in use."""
        return await self._exclusive(lambda: files.used(self._writer.connection))

    # -- reading, in memory and beside the writer

    async def next_due(self) -> float | None:
        """The earliest `run_at` that `promote` has not served."""
        return await self._exclusive(self._writer.next_due)

    async def jobs(self, ids: Sequence[str], bare: bool = False) -> dict[str, Job]:
        """Those of the jobs that exist, by id."""
        return await self._exclusive(lambda: reading.jobs_by_id(self._writer.connection, ids, bare), len(ids))

    async def running(self) -> list[Job]:
        """All that run."""
        return await self._running("")

    async def cancelling(self) -> list[Job]:
        """Those that run and are to stop."""
        return await self._running(" AND cancel IS NOT NULL")

    async def _running(self, which: str) -> list[Job]:
        statement = f"SELECT {texts.JOB} FROM jobs INDEXED BY jobs_running WHERE state = 'running'{which} ORDER BY seq"
        return [Job(*row) for row in await self._exclusive(lambda: self._writer.looked(statement))]

    async def followers(self, ids: Sequence[str]) -> dict[str, list[tuple[Edge, Job]]]:
        """Who waits for each of some jobs, oldest first."""
        return await self._exclusive(lambda: reading.followers(self._writer.connection, ids), len(ids))

    async def edges(self, ids: Sequence[str]) -> list[Edge]:
        """What some jobs waited for."""
        return await self._exclusive(lambda: reading.edges(self._writer.connection, ids), len(ids))

    async def coming(self, queue: str, task: str, limit: int) -> list[Job]:
        """Jobs of a task that will end before long, oldest first."""
        return await self._exclusive(lambda: reading.coming(self._writer.connection, queue, task, limit))

    async def fresh(self, keys: Sequence[str]) -> dict[str, float]:
        """When a job last completed that serves each of some keys."""
        return await self._exclusive(lambda: reading.fresh(self._writer.connection, keys), len(keys))

    async def live_of(self, schedules: Sequence[str]) -> dict[str, list[Job]]:
        """Jobs of some schedules that have not ended, oldest first."""
        return await self._exclusive(lambda: reading.live_of(self._writer.connection, schedules), len(schedules))

    async def lanes(self) -> list[Lane]:
        """Where something is ready."""
        return await self._exclusive(lambda: reading.ready_lanes(self._writer.connection))

    async def counts(self) -> list[Count]:
        """Live jobs by queue, task and state."""
        return await self._tallied(Tally.live)

    async def totals(self) -> dict[State, int]:
        """All jobs by state."""
        return await self._tallied(Tally.totals)

    async def find(self, query: JobQuery) -> Page:
        """One page of jobs, newest first."""
        statement, parameters = await self._tallied(lambda tally: page_statement(query, tally))
        if not statement:
            return Page([], None)
        return await self._read(self._reader.page(statement, parameters, query.limit))

    async def overdue(self, limit: int) -> list[Job]:
        """Jobs that should have started by now."""
        return await self._read(self._reader.overdue(self.now(), limit))

    async def late(self, limit: int, told: bool = False) -> list[Job]:
        """Jobs that should have begun by now."""
        return await self._read(self._reader.late(self.now(), limit, told))

    async def by_run(self, runs: Sequence[str]) -> dict[str, dict[State, int]]:
        """The jobs of some runs by state."""
        return await self._read(self._reader.by_run(runs))

    async def attempts(self, id: str) -> list[Attempt]:
        """Past attempts, oldest first."""
        return await self._read(self._reader.attempts(id))

    async def logs(self, id: str, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """Lines after `after`, oldest first."""
        return await self._read(self._reader.logs(id, after, limit))

    async def sessions(self, lost_since: float | None = None) -> list[Session]:
        """Live ones, and those lost since."""
        return await self._read(self._reader.sessions(lost_since))

    async def tasks(self) -> list[KnownTask]:
        """All that are kept."""
        return await self._read(self._reader.tasks())

    async def schedules(self) -> list[Schedule]:
        """All that can be read."""
        return await self._read(self._reader.schedules())

    async def pauses(self) -> list[Pause]:
        """All that is paused."""
        return await self._read(self._reader.pauses())

    # -- where it runs

    async def _read(self, rows: Awaitable[T]) -> T:
        try:
            return await rows
        except (sqlite3.Error, OSError) as error:
            raise translated(error, self.path) from error

    async def _tallied(self, question: Callable[[Tally], T]) -> T:
        """What the tally says; counted anew, in the thread, when another process wrote."""
        counted = await self._exclusive(self._writer.counted)
        return await self._exclusive(lambda: question(self._writer.tally()), 0 if counted else LARGE)

    async def _exclusive(self, work: Callable[[], T], rows: int = 0) -> T:
        """`work` on the writer, alone; `rows` is how much it is, to choose the place."""
        async with self._turn:
            if not self._is_open:
                raise StoreUnavailable(f"The store {self.path} is not open.")
            try:
                return await self._patiently(work, rows)
            except (sqlite3.Error, OSError) as error:
                raise translated(error, self.path) from error

    async def _patiently(self, work: Callable[[], T], rows: int) -> T:
        """`work`, again and again while another process writes."""
        for _ in range(PATIENCE):
            try:
                return await self._run(work, rows)
            except Busy:
                await asyncio.sleep(POLL)
        raise StoreUnavailable(f"Another process keeps the store {self.path} locked.")

    async def _run(self, work: Callable[[], T], rows: int) -> T:
        if self._runner is not None:
            return await self._runner(work)
        if rows < LARGE and self._pace < SLOW:
            return work()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "easyjobs-store")
        running = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            # the thread cannot be stopped: nobody else may have the connection before it is done with it
            while not running.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({running})
            raise
