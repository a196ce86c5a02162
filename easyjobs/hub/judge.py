"""From entries to units and, after the commit, from verdicts to consequences: the deciding half of the corridor."""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from typing import TypeAlias

from easyjobs.core.changes import Applied, Broken, Claim, Committed, FlagCancel, Insert, Stale, Unit, Update, Verdict
from easyjobs.core.events import Completed, error_text
from easyjobs.core.events import Failed as FailedEvent
from easyjobs.core.job import Job
from easyjobs.core.lifecycle import Decision, Flag, Ignored, Step, advance
from easyjobs.core.states import FINAL, QUEUED, RUNNING
from easyjobs.errors import Conflict, IllegalTransition, Refused, Unavailable, Unprocessable
from easyjobs.hub.announcer import Announcer
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.entries import Arrival, Chore, Entry, Word
from easyjobs.hub.outlets import Outlets
from easyjobs.hub.roster import Roster
from easyjobs.ids import Ids

log = logging.getLogger("easyjobs.hub")


Refusing: TypeAlias = Stale | Broken
Plan: TypeAlias = list[tuple[Entry, Job | None, Decision | None]]


class Judge:
    """Decides a batch, then settles it. Each `decide` must be followed by one `settle` with the verdicts of its units,
    or by nothing where the commit failed.
    """

    def __init__(
        self,
        roster: Roster,
        catalog: Catalog,
        dispatcher: Dispatcher,
        announcer: Announcer,
        outlets: Outlets,
        ids: Ids,
        counters: Counter[str],
    ) -> None:
        self._roster = roster
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._announcer = announcer
        self._outlets = outlets
        self._ids = ids
        self._counters = counters
        self._plan: Plan = []
        self._ignored: list[tuple[Word, Ignored | None, Job | None]] = []
        self.requeued = False
        """Whether the batch that was settled last put jobs back or freed slots: its own claim came too early."""

    def unknown(self, batch: list[Entry]) -> list[str]:
        """The jobs whose rows must be read before the batch can be decided."""
        running = self._roster.running
        return [e.id for e in batch if type(e) is Word and e.row is None and e.id not in running]

    def decide(self, batch: list[Entry], rows: dict[str, Job], now: float) -> list[Unit]:
        """The units of a batch. `rows` has the jobs that `unknown` asked for, as far as they exist."""
        plan: Plan = []
        self._plan = plan
        self._ignored = []
        units: list[Unit] = []
        fresh = [job for entry in batch if type(entry) is Arrival for job in entry.jobs]
        epochs = self._dispatcher.shortcut(fresh, now)
        for entry in batch:
            if type(entry) is Word:
                self._decide_word(entry, rows, now, units)
            elif type(entry) is Arrival:
                if entry.together:
                    entry.pending = 1
                    units.append(Unit([Insert(job, epochs.get(job.session or "", 0)) for job in entry.jobs]))
                    plan.append((entry, None, None))
                else:
                    entry.pending = len(entry.jobs)
                    for job in entry.jobs:
                        units.append(Unit([Insert(job, epochs[job.session] if job.session else 0)]))
                        plan.append((entry, job, None))
            elif type(entry) is Chore:
                units.append(Unit(entry.writes))
                plan.append((entry, None, None))
        return units

    def _decide_word(self, word: Word, rows: dict[str, Job], now: float, units: list[Unit]) -> None:
        row = word.row or self._roster.running.get(word.id) or rows.get(word.id)
        if row is None:
            self._ignored.append((word, None, None))
            return
        try:
            decision = advance(row, word.event, now, self._catalog.options(row.lane), self._ids.jitter())
        except IllegalTransition:
            self._counters["illegal"] += 1
            log.exception("a bug: an event was refused")
            decision = Ignored("stale")
        if isinstance(decision, Step):
            release = row.holds if decision.release else None
            units.append(Unit([Update(row, decision.columns, decision.past, release)]))
            self._plan.append((word, row, decision))
        elif isinstance(decision, Flag):
            units.append(Unit([FlagCancel(row.id, row.attempt, decision.by)]))
            self._plan.append((word, row, decision))
        else:
            self._ignored.append((word, decision, row))

    def claim(self) -> Claim | None:
        """What the commit is to hand out besides."""
        return self._dispatcher.claim()

    # -- after the commit

    def settle(self, verdicts: list[Verdict]) -> list[Entry]:
        """Announce what was applied; the entries that must be decided anew, in order."""
        again: list[Entry] = []
        begun: list[Job] = []
        self.requeued = False
        for (entry, row, decision), verdict in zip(self._plan, verdicts, strict=True):
            if isinstance(entry, Word):
                if row is None:
                    raise AssertionError("a word was decided without a row")
                if isinstance(verdict, Applied):
                    self._word_applied(entry, row, decision)
                else:
                    again.extend(self._word_refused(entry, row, verdict))
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
                    again.extend(self._arrival_refused(entry, jobs, verdict))
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
            word.answer("gone" if ignored is None else ignored.why, row)
        if begun:
            self._outlets.assign(begun, from_store=False)
        return again

    def claimed(self, committed: Committed) -> None:
        """Announce what the claim handed out."""
        self._dispatcher.ready.difference_update(committed.emptied)
        if committed.claimed:
            self._outlets.assign(committed.claimed, from_store=True)

    def _word_applied(self, word: Word, row: Job, decision: Decision | None) -> None:
        if isinstance(decision, Flag):
            row.cancel = decision.by
            self._outlets.cancel(row)
        elif isinstance(decision, Step):
            if row.state == RUNNING and self._roster.released(row):
                self.requeued = True
                if word.done is None:  # nobody waits for an answer: it was not the worker's own word
                    self._outlets.withdraw(row)
            for name, value in decision.columns.items():
                setattr(row, name, value)
            row.version += 1
            if row.state in FINAL:
                self._announcer.ended(row)
            elif row.state == QUEUED:
                self._dispatcher.ready.add(row.lane)
                self.requeued = True
            else:
                self._due(row)
        word.answer("applied", row)

    def _due(self, job: Job) -> None:
        """A job was put off. If its time came before the commit did, it is ready already and nobody will promote it."""
        self._dispatcher.ready.add(job.lane)
        self._outlets.due(job.run_at)

    def _word_refused(self, word: Word, row: Job, verdict: Refusing) -> list[Entry]:
        """The row moved since it was read, or the store cannot write what was said."""
        if isinstance(verdict, Broken):
            log.error("the store refused the outcome of job %s: %s", row.id, verdict.reason)
            event = word.event
            reason = error_text("Unstorable", verdict.reason)
            if not isinstance(event, (Completed, FailedEvent)) or getattr(event, "error", None) == reason:
                word.answer("stale", row)
                return []
            # the worker has ended it: left alone, it would run for ever on paper
            word.event = FailedEvent(event.attempt, event.token, reason, final=True)
        else:
            if not verdict.jobs:
                self._roster.released(row)
                word.answer("gone", None)
                return []
            word.row = self._refreshed(row, verdict.jobs[0])
            self._counters["redecided"] += 1
        word.tries += 1
        return [word]

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

    def _arrival_refused(self, arrival: Arrival, jobs: list[Job], verdict: Refusing) -> list[Entry]:
        if isinstance(verdict, Broken):
            arrival.pending -= 1
            arrival.refused.update((job.id, Unprocessable(verdict.reason)) for job in jobs)
            return []
        rest = jobs if verdict.why == "session" else self._join(arrival, jobs, verdict)
        if not rest:
            arrival.pending -= 1
            return []
        for job in rest:
            if job.state == RUNNING:  # it was to begin at once; that is decided anew
                job.state, job.attempt, job.version, job.started_at = QUEUED, 0, 0, None
                job.session = job.worker = job.token = None
        return [Arrival(rest, arrival.together, partial(_joined, arrival))]

    def _join(self, arrival: Arrival, jobs: list[Job], verdict: Stale) -> list[Job]:
        """Those of `jobs` that are not there yet; the others join the one that is, or else all are refused."""
        why = verdict.why
        there = {_mark(job, why): job for job in verdict.jobs}
        repeats = not there  # nobody else's job is in the way: they repeat one of their own
        rest: list[Job] = []
        refusal: Refused | None = None
        for job in jobs:
            mark = _mark(job, why)
            theirs = there.get(mark) if mark is not None else None
            if theirs is None:
                rest.append(job)
                if repeats:
                    there[mark] = job
            elif _differs(job, theirs, why):
                if refusal is None:
                    refusal, arrival.blamed = _taken(job, theirs, why), job.id
            elif theirs.id != job.id or not repeats:
                arrival.instead[job.id] = theirs
        if refusal is None and len(rest) == len(jobs):
            log.error("a bug: a stale insert names none of its jobs: %s", verdict)
            refusal = Unavailable("The store contradicts itself; try again.")
        if refusal is None:
            return rest
        arrival.refused.update((job.id, refusal) for job in jobs)
        return []


def _joined(arrival: Arrival, part: Arrival) -> None:
    """A part of `arrival` that had to be committed again has its answer."""
    for id, theirs in arrival.instead.items():
        arrival.instead[id] = part.instead.get(theirs.id, theirs)
    arrival.instead.update(part.instead)
    arrival.refused.update(part.refused)
    arrival.blamed = arrival.blamed or part.blamed
    arrival.pending -= 1
    if arrival.pending == 0:
        arrival.done(arrival)


def _mark(job: Job, why: str) -> str | None:
    """What two jobs have in common when the one is in the other's way."""
    return job.key if why == "key" else job.unique_key if why == "unique" else job.id


def _differs(job: Job, theirs: Job, why: str) -> bool:
    if why == "key":
        return job.body != theirs.body
    if why == "unique":
        return False
    return (job.queue, job.task, job.args, job.kwargs) != (theirs.queue, theirs.task, theirs.args, theirs.kwargs)


def _taken(job: Job, theirs: Job, why: str) -> Unprocessable | Conflict:
    if why == "key":
        message = f"the key came before with another body, for job {theirs.id}"
        return Unprocessable(f"Idempotency key: {message}.", errors=[{"loc": ["key"], "message": message}])
    return Conflict(f"Job {theirs.id} exists with other arguments.")
