"""The corridor: all that changes a job passes here, in batches.

Whatever gathered while the last commit ran is decided by `core.lifecycle`, written in one transaction, and only then
announced. No other code moves a job.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque

from easyjobs.core.changes import AppendLogs, NoteProgress, Renew, Stale, Unit
from easyjobs.core.job import Job
from easyjobs.errors import StorageFull, StoreError, StoreFull, Unavailable
from easyjobs.hub.chains import Waiting
from easyjobs.hub.entries import Arrival, Chore, Entry, Word
from easyjobs.hub.judge import Judge
from easyjobs.hub.outlets import Outlets
from easyjobs.hub.recovery import Recovery
from easyjobs.hub.settings import HubSettings
from easyjobs.stores.base import Store

log = logging.getLogger("easyjobs.hub")

PASSING = (AppendLogs, NoteProgress, Renew)  # writes that a store which is away too long may do without
ALONE_AFTER = 2  # a word that was stale this often is committed by itself
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
LONGEST_PAUSE_FULL = 1.0  # room may come at any moment, and to ask costs little
UNKNOWN = "The store failed; whether the job was stored is unknown. Sent with an idempotency key, it is safe to repeat."
FULL = "The disk is full: no new jobs are taken until there is room."


class Committer:
    """Collects entries, commits them, says what became of them.

    `add` never waits and may be called from callbacks. `run` is the one coroutine that commits; `drained` returns when
    all that was added has been answered.
    """

    def __init__(
        self,
        store: Store,
        judge: Judge,
        outlets: Outlets,
        recovery: Recovery,
        settings: HubSettings,
        counters: Counter[str],
    ) -> None:
        self._store = store
        self._judge = judge
        self._outlets = outlets
        self._recovery = recovery
        self._settings = settings
        self._inbox: deque[Entry] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._arriving = 0
        self._failures = 0
        self._in_doubt = False
        self._full = False
        self._shut = False  # the store failed again when it was tried: nobody new is to wait for the next try
        self.trouble: str | None = None
        self.counters = counters

    def add(self, entry: Entry) -> None:
        """Have `entry` decided and committed with the next batch."""
        if type(entry) is Arrival:
            if (self._full and self._inbox) or self._store.nearly_full():  # with an empty inbox, this one tries
                entry.refuse(StorageFull(FULL))
                return
            if self._shut:
                entry.refuse(Unavailable(f"The store fails: {self.trouble}. Nothing was stored; try again."))
                return
            if self._arriving and self._arriving + len(entry.jobs) > self._settings.inbox:
                entry.refuse(Unavailable("More submissions wait than the manager can store now; try again."))
                return
            self._arriving += len(entry.jobs)
        elif type(entry) is Chore and len(self._inbox) >= self._settings.inbox and _passing(entry):
            self.counters["dropped"] += 1
            return
        self._inbox.append(entry)
        self._idle.clear()
        self._wake.set()

    async def chore(self, chore: Chore) -> Stale | None:
        """Commit `chore`; what stood in its way, or None. Waits as long as the store fails."""
        return await self._ask(chore)

    async def chores(self, chores: list[Chore]) -> list[Stale | None]:
        """As `chore`, of several: each a unit of its own, together in as few commits as may be."""
        return [await answer for answer in [self._ask(chore) for chore in chores]]

    def _ask(self, chore: Chore) -> asyncio.Future[Stale | None]:
        answer: asyncio.Future[Stale | None] = asyncio.get_running_loop().create_future()

        def done(stale: Stale | None) -> None:
            if not answer.done():
                answer.set_result(stale)

        chore.done = done
        self.add(chore)
        return answer

    async def words(self, words: list[Word]) -> None:
        """Commit `words`, which nobody else waits for; return when all are decided. Waits as `chore` does."""
        for answer in [self._decided(word) for word in words]:
            await answer

    def _decided(self, word: Word) -> asyncio.Future[None]:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(*_: object) -> None:
            if not answer.done():
                answer.set_result(None)

        word.done = done
        self.add(word)
        return answer

    def poke(self) -> None:
        """Something else than an entry may let a job start: a slot became free, a lane ready."""
        self._wake.set()

    async def drained(self) -> None:
        """Return when nothing waits to be committed."""
        await self._idle.wait()

    async def run(self) -> None:
        """Commit for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.run_once()
            if self._inbox:
                self._wake.set()
                await asyncio.sleep(0)  # a long queue must not keep the sockets from being read
            else:
                self._idle.set()

    async def run_once(self) -> None:
        """Decide, commit and announce one batch."""
        batch, keyed = self._take()
        groups = [batch, *([arrival] for arrival in keyed)]
        done = 0
        orphans: list[Word] = []
        try:
            if self._in_doubt:
                orphans = await self._recovery.look()
                self._in_doubt = False
                self._shut = False
            for group in groups:
                await self._process([*orphans, *group] if orphans else group)
                orphans = []
                done += 1
        except StoreError as error:
            self._in_doubt = self._in_doubt or bool(orphans)  # they will be found again
            await self._survive([entry for group in groups[done:] for entry in group], error)
        except Exception:
            log.exception("a bug: a batch cannot be committed; its entries are taken one by one")
            await self._one_by_one([entry for group in groups[done:] for entry in group])

    async def _one_by_one(self, batch: list[Entry]) -> None:
        """Something in `batch` trips over a mistake of ours: that alone is given up, and all else goes on.

        What was written of it before is found written, and changes nothing.
        """
        self._in_doubt = True
        for done, entry in enumerate(batch):
            try:
                await self._process([entry])
            except StoreError as error:
                await self._survive(batch[done:], error)
                return
            except Exception:
                self.counters["bugs"] += 1
                log.exception("a bug: this cannot be committed, and is given up: %.300r", entry)
                _give_up(entry)

    def _take(self) -> tuple[list[Entry], list[Entry]]:
        """The next batch: at most one word for each job, so that each is decided on the row it will find; and the
        arrivals that are committed apart, because a stranger's key may stand in their way.
        """
        inbox = self._inbox
        batch: list[Entry] = []
        keyed: list[Entry] = []
        later: list[Entry] = []
        spoken: set[str] = set()
        room = self._settings.batch
        while inbox and room > 0:
            entry = inbox.popleft()
            if type(entry) is Word:
                alone = entry.tries >= ALONE_AFTER
                if entry.id in spoken or (alone and batch):
                    later.append(entry)
                    continue
                spoken.add(entry.id)
                batch.append(entry)
                room = 0 if alone else room - 1
            elif type(entry) is Arrival:
                self._arriving -= len(entry.jobs)
                room -= len(entry.jobs)
                (keyed if entry.keyed else batch).append(entry)
            else:
                room -= 1
                batch.append(entry)
        inbox.extendleft(reversed(later))
        return batch, keyed

    async def _process(self, batch: list[Entry]) -> None:
        judge = self._judge
        missing = judge.unknown(batch)
        rows: dict[str, Job] = await self._store.jobs(missing) if missing else {}
        leading = judge.leading(batch, rows)
        waiting = await self._waiting_for(leading) if leading else None
        units: list[Unit] = judge.decide(batch, rows, self._store.now(), waiting)
        claim = judge.claim()
        if not units and claim is None:
            self._again(judge.settle([]))
            return
        committed = await self._store.commit(units, claim)
        if self.trouble is not None:
            self._full = self._shut = False
            log.warning("the store is back; it had failed with: %s", self.trouble)
            self.trouble = None
            self._failures = 0
        self.counters["commits"] += 1
        again = judge.settle(committed.verdicts)
        if committed.released:
            judge.released(committed.released)
            self._wake.set()
        if judge.requeued:
            self._wake.set()
        if claim is not None:
            judge.claimed(committed)
            if len(committed.claimed) >= self._settings.claim:
                self._wake.set()  # some worker may have more free slots than one claim fills
        self._again(again)

    def _again(self, entries: list[Entry]) -> None:
        """Decide these anew, before all others."""
        for entry in reversed(entries):
            if type(entry) is Arrival:
                self._arriving += len(entry.jobs)
            self._inbox.appendleft(entry)

    async def _waiting_for(self, ids: list[str]) -> Waiting:
        """All that wait for these jobs, and for those in turn."""
        found: Waiting = {}
        while ids:
            more = await self._store.followers(ids)
            found.update(more)
            ids = [job.id for pairs in more.values() for _, job in pairs if job.followers and job.id not in found]
        return found

    async def _survive(self, batch: list[Entry], error: StoreError) -> None:
        """Refuse what is new, keep what has happened, and try again soon."""
        if self.trouble is None:
            log.error("the store fails: %s", error)
        self.trouble = str(error).rstrip(".") or type(error).__name__
        self.counters["store_failures"] += 1
        full = self._full = isinstance(error, StoreFull)
        self._in_doubt = self._in_doubt or not full
        self._shut = not full and self._failures > 0
        kept: list[Entry] = []
        for entry in batch:
            if type(entry) is not Arrival:
                kept.append(entry)
            elif full:
                entry.refuse(StorageFull(FULL))
            else:
                entry.refuse(Unavailable(UNKNOWN))
        if full and kept and len(kept) < len(batch):
            try:
                await self._process(kept)  # without the new jobs the rest may fit, and others come all the time
            except StoreError as again:
                self._in_doubt = self._in_doubt or not isinstance(again, StoreFull)
            else:
                return
        self._inbox.extendleft(reversed(kept))
        if self._shut:
            self._turn_away()
        self._wake.set()
        self._outlets.doubt()
        if not full or kept:
            longest = LONGEST_PAUSE_FULL if full else LONGEST_PAUSE
            await asyncio.sleep(min(longest, FIRST_PAUSE * 2.0 ** min(self._failures, 6)))
            self._failures += 1

    def _turn_away(self) -> None:
        """Refuse the new jobs that came while the store was tried in vain."""
        waiting = [entry for entry in self._inbox if type(entry) is Arrival]
        if waiting:
            self._inbox = deque(entry for entry in self._inbox if type(entry) is not Arrival)
            self._arriving = 0
            for arrival in waiting:
                arrival.refuse(Unavailable(UNKNOWN))


def _give_up(entry: Entry) -> None:
    """Nobody is to wait for it any more."""
    if type(entry) is Arrival:
        entry.refuse(Unavailable("The manager failed on this job; its log says why."))
    elif type(entry) is Word:
        entry.answer("stale", None)
    elif type(entry) is Chore and entry.done is not None:
        entry.done(None)


def _passing(chore: Chore) -> bool:
    return all(isinstance(write, PASSING) for write in chore.writes)
