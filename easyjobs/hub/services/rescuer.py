"""Takes jobs from workers that are gone, and ends attempts whose worker owes a word about them."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable
from typing import Literal, NamedTuple

from easyjobs.core.changes import LoseSession, Renew, Stale
from easyjobs.core.events import CancelForced, WorkerDied
from easyjobs.core.job import Job
from easyjobs.hub.committer import Committer
from easyjobs.hub.entries import Chore, Word
from easyjobs.hub.roster import Live, Roster
from easyjobs.hub.settings import HubSettings
from easyjobs.protocol.manager_side import SLOW
from easyjobs.stores.base import Store

log = logging.getLogger("easyjobs.hub")

TICK = 1.0
FORGOTTEN = 1000  # deadlines of attempts that have ended, which may lie about


class Rescuer:
    """Loses sessions: when the grace after their last socket, or their lease, is over.

    It notices that the manager itself was stalled (it woke much later than it asked to) and grants everyone a fresh
    lease first: a manager's outage must not look like every worker's death. For the same reason it loses nobody while
    its manager is `leaving`: their connections were closed by us, and whom they come back to judges them.
    """

    name = "rescuer"

    def __init__(
        self,
        store: Store,
        roster: Roster,
        committer: Committer,
        settings: HubSettings,
        leaving: Callable[[], bool],
    ) -> None:
        self._store = store
        self._roster = roster
        self._committer = committer
        self._settings = settings
        self._leaving = leaving
        self._expected: float | None = None

    async def run_once(self, now: float) -> float | None:
        """Lose every session whose time is over; looks every second while there are sessions."""
        if self._leaving():
            return now + TICK
        if self._expected is not None and now - self._expected > self._settings.stall:
            log.warning("the manager was stalled for %.1f s; every worker gets a fresh lease", now - self._expected)
            self.pardon(now)
        due = None
        for live in self._roster.holders():
            end = live.lease_until if live.grace_until is None else min(live.grace_until, live.lease_until)
            if now >= end:
                silent = live.grace_until is None or now - live.seen_at >= self._settings.lease
                why = "it fell silent" if silent else "its connection closed"
                self.lose(live, now, why)
            else:
                due = end if due is None else min(due, end)
        self._expected = None if due is None else min(due, now + TICK)
        return self._expected

    def pardon(self, now: float) -> None:
        """Grant every session one lease and the grace."""
        until = now + self._settings.lease + self._settings.grace
        for live in self._roster.holders():
            live.lease_until = live.spared_until = until
            if live.grace_until is not None:
                live.grace_until = until
            if not self._store.single_manager:
                self._committer.add(Chore([Renew(live.row.id, live.row.epoch, until)]))  # for the others to see

    def lose(self, live: Live, now: float, why: str) -> None:
        """End a session for good: first its row, then its jobs, in one batch. Where there are other managers, the jobs
        follow once the session is known to be lost: it may have come to one of them, or be vouched for there.
        """
        self._roster.remove(live)
        if live.voice is not None:
            live.voice.close(SLOW, "the lease is over")
        if self._store.single_manager:
            self._committer.add(Chore([LoseSession(live.row.id, None, now)]))
            self._free(live, why)
            return

        def done(stale: Stale | None) -> None:
            if stale is None:
                self._free(live, why)
            else:
                log.info("worker %s is not lost: it is known to another manager", live.row.name)
                self._roster.forget(live)

        lose = LoseSession(live.row.id, live.row.epoch, now, expires_by=live.lease_until)
        self._committer.add(Chore([lose], done))

    def _free(self, live: Live, why: str) -> None:
        log.warning("worker %s is lost: %s; its %d jobs go elsewhere", live.row.name, why, len(live.held))
        for job in [job for job in self._roster.running.values() if job.session == live.row.id]:
            reason = f"worker {live.row.name} died: {why}"
            self._committer.add(Word(job.id, WorkerDied(job.attempt, job.token or "", reason)))


class Due(NamedTuple):
    """When a worker's word about an attempt is overdue."""

    at: float
    job: str
    attempt: int
    what: Literal["cancel", "timeout"]


class Overdue:
    """The manager's own deadlines for timeouts and cancels, in one heap; a worker that works as it should is faster.

    A manager that was itself stalled gives everyone a lease and the grace first: what they said lies unread.
    """

    name = "overdue"

    def __init__(self, roster: Roster, committer: Committer, settings: HubSettings) -> None:
        self._roster = roster
        self._committer = committer
        self._settings = settings
        self._heap: list[Due] = []

    def expect_end(self, job: Job, now: float) -> float:
        """The job was sent out with a timeout; when it will be overdue."""
        return self._expect(Due(now + (job.timeout or 0.0) + self._settings.word, job.id, job.attempt, "timeout"))

    def expect_stop(self, job: Job, now: float) -> float:
        """The job was asked to stop; when it will be overdue."""
        return self._expect(Due(now + self._settings.word, job.id, job.attempt, "cancel"))

    def _expect(self, due: Due) -> float:
        if len(self._heap) > FORGOTTEN + 4 * len(self._roster.running):
            # jobs end long before their timeouts: without this, as many would be kept as run in the longest of them
            self._heap = [other for other in self._heap if self._job(other) is not None]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, due)
        return due.at

    def _job(self, due: Due) -> Job | None:
        """The job, if that attempt of it still runs."""
        job = self._roster.running.get(due.job)
        return job if job is not None and job.attempt == due.attempt else None

    async def run_once(self, now: float) -> float | None:
        """End what is overdue."""
        if self._heap and now - self._heap[0].at > self._settings.stall:
            least = now + self._settings.lease + self._settings.grace
            self._heap = [due._replace(at=max(due.at, least)) for due in self._heap]
            heapq.heapify(self._heap)
        while self._heap and self._heap[0].at <= now:
            due = heapq.heappop(self._heap)
            job = self._job(due)
            if job is None:
                continue
            log.warning("job %s: its worker was silent about its %s; ending it", job.id, due.what)
            if due.what == "cancel":
                self._committer.add(Word(job.id, CancelForced(job.cancel or "the manager")))
            else:
                reason = f"the attempt ran longer than {job.timeout:g} s, and its worker said nothing"
                self._committer.add(Word(job.id, WorkerDied(job.attempt, job.token or "", reason)))
        return self._heap[0].at if self._heap else None
