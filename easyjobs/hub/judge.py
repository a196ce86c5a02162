"""From entries to units and, after the commit, from verdicts to consequences: the deciding half of the corridor."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from easyjobs.core.changes import (
    Applied,
    Broken,
    Claim,
    Committed,
    FlagCancel,
    Insert,
    Stale,
    Unit,
    Update,
    Verdict,
)
from easyjobs.core.events import CancelRequested, Completed, FoundUnreadable, Gathered, TaskKnown, error_text
from easyjobs.core.events import Failed as FailedEvent
from easyjobs.core.job import Job
from easyjobs.core.lifecycle import Decision, Flag, Ignored, Step, advance
from easyjobs.core.states import CANCELLED, COMPLETED, FINAL, QUEUED, RUNNING, WAITING
from easyjobs.errors import IllegalTransition
from easyjobs.hub.announcer import Announcer
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.chains import Chains, Links, Waiting, rejoined
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.entries import Arrival, Chore, Entry, Word
from easyjobs.hub.outlets import Outlets
from easyjobs.hub.refusals import refused
from easyjobs.hub.roster import Roster
from easyjobs.hub.turning import Turning
from easyjobs.ids import Ids

log = logging.getLogger("easyjobs.hub")


MOST_TRIES = 5  # of a unit in which something was gone

Refusing: TypeAlias = Stale | Broken
Plan: TypeAlias = list[tuple[Entry, Job | None, Decision | None, Links | None]]


class Judge:
    """Decides a batch, then settles it. Each `decide` must be followed by one `settle` with the verdicts of its units,
    or by nothing where the commit failed.
    """

    def __init__(
        self,
        roster: Roster,
        catalog: Catalog,
        chains: Chains,
        dispatcher: Dispatcher,
        announcer: Announcer,
        outlets: Outlets,
        ids: Ids,
        counters: Counter[str],
        turning: Turning,
    ) -> None:
        self._roster = roster
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._announcer = announcer
        self._outlets = outlets
        self._ids = ids
        self._counters = counters
        self._chains = chains
        self._turning = turning
        self.turned: Callable[[list[Job]], None] = lambda jobs: None  # told of the jobs whose turn has come
        self._plan: Plan = []
        self._ignored: list[tuple[Word, Ignored | None, Job | None]] = []
        self._later: list[Word] = []
        self._faulty: set[str] = set()  # jobs whose turn cannot be taken, and who have followers
        self.requeued = False
        """Whether the batch that was settled last put jobs back or freed slots: its own claim came too early."""

    def unknown(self, batch: list[Entry]) -> list[str]:
        """The jobs whose rows must be read before the batch can be decided."""
        running = self._roster.running
        return [e.id for e in batch if type(e) is Word and e.row is None and e.id not in running]

    def leading(self, batch: list[Entry], rows: dict[str, Job]) -> list[str]:
        """The jobs whose followers must be read besides: they may end otherwise than completed."""
        running = self._roster.running
        words = [e for e in batch if type(e) is Word and type(e.event) is not Completed and not self._begins(e)]
        found = [word.row or running.get(word.id) or rows.get(word.id) for word in words]
        return [row.id for row in found if row is not None and row.followers]

    def _begins(self, word: Word) -> bool:
        """Whether it is about the turn of a job that ends only if that cannot be taken, which is rare."""
        return word.facts is not None and type(word.event) is not Gathered and word.id not in self._faulty

    def decide(
        self, batch: list[Entry], rows: dict[str, Job], now: float, waiting: Waiting | None = None
    ) -> list[Unit]:
        """The units of a batch. `rows` has the jobs that `unknown` asked for, as far as they exist; `waiting` those who
        wait for what `leading` named, and for them in turn.
        """
        plan: Plan = []
        self._plan = plan
        self._ignored = []
        self._later = []
        units: list[Unit] = []
        fresh = [job for entry in batch if type(entry) is Arrival and not self._queues(entry) for job in entry.jobs]
        epochs = self._dispatcher.shortcut(fresh, now)
        for entry in batch:
            if type(entry) is Word:
                self._decide_word(entry, rows, now, units, waiting or {})
            elif type(entry) is Arrival:
                if entry.together:
                    entry.pending = 1
                    links = self._linked(entry, entry.jobs, now)
                    writes = entry.writes + [Insert(job, epochs.get(job.session or "", 0)) for job in entry.jobs]
                    units.append(Unit(writes if links is None else writes + links.writes))
                    plan.append((entry, None, None, links))
                else:
                    entry.pending = len(entry.jobs)
                    for job in entry.jobs:
                        unit = Unit([Insert(job, epochs[job.session] if job.session else 0)])
                        links = self._linked(entry, [job], now) if job.state == WAITING else None
                        if links is not None:
                            unit.writes += links.writes
                        units.append(unit)
                        plan.append((entry, job, None, links))
            elif type(entry) is Chore:
                units.append(Unit(entry.writes))
                plan.append((entry, None, None, None))
        return units

    def _queues(self, arrival: Arrival) -> bool:
        """Whether its jobs are left to a claim, which sees whose session is live."""
        if arrival.queued:
            self._dispatcher.ready.update(job.lane for job in arrival.jobs if job.state == QUEUED)
        return arrival.queued

    def _linked(self, arrival: Arrival, jobs: list[Job], now: float) -> Links | None:
        """The prerequisites of new jobs of one unit; None where there are none."""
        waiting = [job for job in jobs if job.state == WAITING]
        if not waiting:
            return None
        links = Links(unique={job.unique_key: job for job in jobs if job.unique_key is not None})
        for job in jobs:
            job.followers = 0
        for job in waiting:
            self._chains.before(links, job, arrival.joins, now)
        self._foresee(links)
        return links

    def _foresee(self, links: Links) -> None:
        """What is about to be made may begin with the claim of the same commit, or wait for its task, even if nobody
        ever hears what became of that commit.
        """
        for job in links.made:
            if job.state == QUEUED:
                self._dispatcher.ready.add(job.lane)
            elif not job.signature:
                self._catalog.awaited.add((job.queue, job.task))

    def _decide_word(self, word: Word, rows: dict[str, Job], now: float, units: list[Unit], waiting: Waiting) -> None:
        row = word.row or self._roster.running.get(word.id) or rows.get(word.id)
        if row is None:
            self._ignored.append((word, None, None))
            return
        event = word.event
        links: Links | None = None
        if type(event) is TaskKnown and row.state == WAITING and not row.signature:
            links = Links()
            event = self._chains.known(links, row, word.joins or {}, now)  # as it is known now
        elif word.facts is not None:
            event, links = self._turning.taken(row, word.facts, word.joins or {}, now)
            if row.followers and self._begins(word) and not isinstance(event, Gathered) and event.fault is not None:
                self._faulty.add(word.id)  # next time with those who wait for it
                self._later.append(word)
                return
            self._faulty.discard(word.id)
        options = self._catalog.options(row.lane)
        try:
            decision = advance(row, event, now, options, self._ids.jitter())
        except IllegalTransition:
            self._counters["illegal"] += 1
            log.exception("a bug: an event was refused")
            decision = Ignored("stale")
        if isinstance(decision, Step):
            unit = Unit([Update(row, decision.columns, decision.past, row.holds if decision.release else None)])
            if links is not None and links.guards:
                unit.writes[:0] = links.guards
            if self._catalog.sought and decision.state == COMPLETED:
                unit.writes += self._turning.fresh(row, now)
            if row.followers and decision.state in FINAL:
                self._dispatcher.look_everywhere()
            if options.run_after or options.on_failure or row.followers or row.state == WAITING or links is not None:
                links = links or Links()
                self._chains.end(links, row, decision, waiting, word.joins or {}, now)
                self._foresee(links)
                unit.writes += links.writes
            units.append(unit)
            self._plan.append((word, row, decision, links))
        elif isinstance(decision, Flag):
            units.append(Unit([FlagCancel(row.id, row.attempt, decision.by)]))
            self._plan.append((word, row, decision, None))
        else:
            self._ignored.append((word, decision, row))

    def claim(self) -> Claim | None:
        """What the commit is to hand out besides."""
        return self._dispatcher.claim()

    # -- after the commit

    def settle(self, verdicts: list[Verdict]) -> list[Entry]:
        """Announce what was applied; the entries that must be decided anew, in order."""
        again: list[Entry] = [*self._later]
        begun: list[Job] = []
        self.requeued = False
        for (entry, row, decision, links), verdict in zip(self._plan, verdicts, strict=True):
            if links is not None and isinstance(verdict, Applied):
                self._linked_now(links)
            if isinstance(entry, Word):
                if row is None:
                    raise AssertionError("a word was decided without a row")
                if isinstance(verdict, Applied):
                    self._word_applied(entry, row, decision)
                else:
                    again.extend(self._word_refused(entry, row, verdict, links))
            elif isinstance(entry, Arrival):
                jobs = entry.jobs if row is None else [row]
                if isinstance(verdict, Applied):
                    entry.pending -= 1
                    for job in jobs:
                        self._announcer.inserted(job)
                        if job.state == RUNNING:
                            begun.append(job)
                        elif job.run_at > job.created_at:
                            self._due(job)
                else:
                    again.extend(refused(entry, jobs, verdict, chained=links is not None))
                if entry.pending == 0:
                    entry.done(entry)
            else:
                if isinstance(verdict, Broken):
                    log.error("the store refused a write: %s", verdict.reason)
                if entry.done is not None:
                    entry.done(verdict if isinstance(verdict, Stale) else None)
        for word, ignored, row in self._ignored:
            if ignored is not None and ignored.why == "stale" and row is not None:
                self._counters["stale"] += 1
                self._outlets.stale(word, row)
            elif type(word.event) is CancelRequested and row is not None and row.turn == "close" and not row.final:
                self._outlets.abandoned(row)  # if that was stored with an unknown outcome, its nodes were not told
            word.answer("gone" if ignored is None else ignored.why, row)
        if begun:
            self._outlets.assign(begun, from_store=False)
        return again

    def _linked_now(self, links: Links) -> None:
        """Announce what was written with a job."""
        for job in links.made:
            self._announcer.inserted(job)
            if job.state in FINAL:
                self._announcer.ended(job)
            elif not job.signature:
                self._catalog.awaited.add((job.queue, job.task))
                self._roster.changed()  # it may have become known while this was written
        for job, step in links.ended:
            _moved(job, step)
            self._announcer.ended(job)
        for id, followers in links.joined:
            running = self._roster.running.get(id)
            if running is not None:
                running.version += 1
                running.followers += followers

    def released(self, jobs: list[Job]) -> None:
        """The last prerequisites of these have completed: they are queued, or are groups that have ended."""
        for job in jobs:
            self._due(job)
        groups = [job for job in jobs if job.turn == "gather" or job.turn == "close"]
        if groups:
            self.turned(groups)

    def claimed(self, committed: Committed) -> None:
        """Announce what the claim handed out."""
        self._dispatcher.ready.difference_update(committed.emptied)
        if committed.claimed:
            self._outlets.assign(committed.claimed, from_store=True)
        if committed.turns:
            self.turned(committed.turns)

    def _word_applied(self, word: Word, row: Job, decision: Decision | None) -> None:
        if isinstance(decision, Flag):
            row.cancel = decision.by
            self._outlets.cancel(row)
        elif isinstance(decision, Step):
            waited = row.state == WAITING or row.turn is not None
            if row.state == RUNNING and self._roster.released(row):
                self.requeued = True
                if word.done is None:  # nobody waits for an answer: it was not the worker's own word
                    self._outlets.withdraw(row)
            _moved(row, decision)
            if decision.past is not None and decision.past.error is not None:
                self._announcer.again(row, decision.past)
            if row.state in FINAL:
                self._announcer.ended(row)
                if waited and row.state == CANCELLED:
                    self._outlets.abandoned(row)
                if row.holds is not None and waited:
                    self.requeued = True  # a run has ended, and another may begin
            elif row.turn == "close" and row.cancel is not None:
                self._outlets.abandoned(row)  # a run is to stop: its nodes are cancelled
                self._due(row)
            elif row.state == QUEUED:
                self._dispatcher.ready.add(row.lane)
                self.requeued = True
            elif row.state != WAITING:
                self._due(row)
        word.answer("applied", row)

    def _due(self, job: Job) -> None:
        """A job was put off. If its time came before the commit did, it is ready already and nobody will promote it."""
        self._dispatcher.ready.add(job.lane)
        self._outlets.due(job.run_at)

    def _word_refused(self, word: Word, row: Job, verdict: Refusing, links: Links | None) -> list[Entry]:
        """The row moved since it was read, or the store cannot write what was said."""
        if isinstance(verdict, Broken):
            log.error("the store refused the outcome of job %s: %s", row.id, verdict.reason)
            event = word.event
            if word.facts is not None:
                word.event, word.facts = FoundUnreadable(verdict.reason), None
                return [word]
            reason = error_text("Unstorable", verdict.reason)
            if not isinstance(event, (Completed, FailedEvent)) or getattr(event, "error", None) == reason:
                word.answer("stale", row)
                return []
            # the worker has ended it: left alone, it would run for ever on paper
            word.event = FailedEvent(event.attempt, event.token, reason, final=True)
        elif word.facts is not None and verdict.why != "unique":
            there = verdict.jobs[0] if verdict.jobs else row
            word.answer("stale", there if there.id == row.id else row)  # its facts are old: they are read again
            return []
        else:
            if links is not None and links.writes and self._elsewhere(word, row, verdict):
                word.tries += 1
                return [word]
            if not verdict.jobs:
                self._roster.released(row)
                word.answer("gone", None)
                return []
            word.row = self._refreshed(row, verdict.jobs[0])
            self._counters["redecided"] += 1
        word.tries += 1
        return [word]

    def _elsewhere(self, word: Word, row: Job, verdict: Stale) -> bool:
        """Whether one of its followers moved, and not the job: then it is decided anew on the same row."""
        joins = {} if word.joins is None else word.joins
        if verdict.jobs:
            if verdict.jobs[0].id == row.id:
                return False
            word.joins = rejoined(joins, verdict.jobs[0])
            return True
        if word.tries >= MOST_TRIES:
            return False
        word.joins = None  # something is gone: the job itself, or what it was to join
        word.row = None
        return True

    def _refreshed(self, row: Job, current: Job) -> Job:
        """What the store says of a job replaces what this manager believed."""
        believed = self._roster.running.get(current.id)
        if believed is None:
            return current
        if current.state == RUNNING and current.attempt == believed.attempt:
            for field in current.__struct_fields__:
                setattr(believed, field, getattr(current, field))
            return believed
        self._roster.released(believed)
        return current


def _moved(row: Job, step: Step) -> None:
    """The row in memory becomes what was written."""
    for name, value in step.columns.items():
        setattr(row, name, value)
    row.version += 1
