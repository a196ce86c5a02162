"""Why is this job not running? Every reason that holds it, the one that needs a hand first; and where it is if it does.

Reads only; all but the job itself, what it waits for and who is before it is known in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from easyjobs.core.events import reason_of
from easyjobs.core.job import Job
from easyjobs.core.retry import MAX_CRASHES
from easyjobs.core.states import CLAIMABLE, COMPLETED, FINAL, RUNNING, WAITING, State
from easyjobs.errors import NotFound
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.dispatcher import ALL_WORKERS, Dispatcher
from easyjobs.hub.fitting import Measure
from easyjobs.hub.holding import Holding
from easyjobs.hub.reasons import Code, Reason, listed, several, span
from easyjobs.hub.roster import Roster
from easyjobs.hub.run_reasons import RunReasons
from easyjobs.hub.settings import HubSettings
from easyjobs.stores.base import JobQuery, Store

MOST_CHILDREN: Final = 200


class Explanation(msgspec.Struct):
    """A job and its reasons, the most important first; there is always one."""

    id: str
    state: State
    reasons: list[Reason]


class Explainer:
    """Answers for one job at a time. `trouble` says why the store fails, None while it works."""

    def __init__(
        self,
        store: Store,
        roster: Roster,
        catalog: Catalog,
        dispatcher: Dispatcher,
        trouble: Callable[[], str | None],
        settings: HubSettings,
    ) -> None:
        self._store = store
        self._roster = roster
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._trouble = trouble
        self._settings = settings
        self._holding = Holding(store, roster, catalog, dispatcher)
        self._runs = RunReasons(store, catalog)

    async def explain(self, id: str) -> Explanation:
        """Why the job is where it is, now. Raises NotFound."""
        rows = await self._store.jobs([id])
        if id not in rows:
            raise NotFound(f"No job {id[:64]!r}.")
        job, now = rows[id], self._store.now()
        if job.state in FINAL:
            reasons = [self._end(job)]
        elif job.state == RUNNING:
            reasons = await self._running(job, now)
        else:
            reasons = await self._held(job, now)
        return Explanation(id, job.state, reasons)

    # -- before it runs

    async def _held(self, job: Job, now: float) -> list[Reason]:
        reasons = [*self._manager(), *self._pauses(job, now)]
        if job.state == WAITING:
            if not job.signature:
                text = (
                    f"No worker ever registered task {job.queue}:{job.task}, so that its parameters are not known. "
                    "Start a worker that has it, or cancel the job."
                )
                reasons.append(Reason("task_unknown", text, job.created_at))
            elif job.turn == "close":
                reasons += await self._run(job, now)
            elif job.deps_left:
                reasons += await self._prerequisites(job, now)
        else:
            reasons += self._nobody(job)
            if job.run_at > now:
                reasons.append(await self._later(job, now))
            elif self._roster.offered(job.lane):
                limit = await self._runs.limit(job) if job.is_run else None
                reasons += [limit] if limit is not None else await self._holding.reasons(job, now)
        if not reasons:
            reasons.append(Reason("starting", "Nothing holds it: it is given to a worker in this very moment."))
        if job.crashes:
            reasons.append(self._crashed(job))
        sla = self._catalog.options(job.lane).sla
        begun = job.failures or job.turn in ("gather", "close")
        if sla is not None and now > job.run_at + sla and not begun:
            ago = span(now - job.run_at - sla)
            reasons.append(Reason("late", f"It is late: its task's sla was over {ago} ago.", job.run_at + sla))
        if job.deadline is not None:
            text = f"It is skipped unless it has begun in {span(job.deadline - now)}: its start deadline."
            reasons.append(Reason("start_deadline", text))
        return reasons

    def _manager(self) -> list[Reason]:
        reasons = []
        trouble = self._trouble()
        if trouble is not None:
            text = f"The store fails: {trouble}. Nothing is given out until it works: look at its disk and its server."
            reasons.append(Reason("store_fails", text))
        if self._dispatcher.stopped:
            reasons.append(Reason("manager_stopping", "The manager stops; it goes on when the next one has started."))
        return reasons

    def _pauses(self, job: Job, now: float) -> list[Reason]:
        def paused(code: Code, key: tuple[str, str], what: str, command: str) -> None:
            pause = self._dispatcher.pauses.get(key)
            if pause is not None:
                ago = span(now - pause.at)
                text = f"{what} paused by {pause.by} {ago} ago. To go on: easyjobs resume {command}."
                reasons.append(Reason(code, text, pause.at, pause.by))

        reasons: list[Reason] = []
        task = f"{job.queue}:{job.task}"
        paused("workers_paused", ALL_WORKERS, "All workers were", "workers")
        paused("queue_paused", ("queue", job.queue), f"Queue {job.queue} was", f"queue {job.queue}")
        paused("task_paused", ("task", task), f"Task {task} was", f"task {task}")
        return reasons

    def _nobody(self, job: Job) -> list[Reason]:
        """No worker there is could run it, however free."""
        if self._roster.offered(job.lane):
            return []
        task = f"{job.queue}:{job.task}"
        entry = self._catalog.get(job.queue, job.task)
        if entry is None:
            return [Reason("no_worker", f"No worker offers task {task}, and it is not known. Start one that has it.")]
        if entry.spec.destination is not None:
            text = (
                f"It is to be pushed to {entry.spec.destination!r}, and no such destination is configured: it waits. "
                "Workers do not take it."
            )
            return [Reason("no_destination", text, entry.seen_at)]
        others = [live.row.worker_id for live in self._roster.holders() if entry.lane in live.lanes]
        others += [other.row.worker_id for other in self._roster.elsewhere.values() if entry.lane in other.lanes]
        if not others and entry.spec.passing:
            run = job.run or (job.id if entry.spec.kind == "workflow" else "ID")
            text = (
                "Nobody looks after its run now: the process that did has ended. It is taken up by: "
                f"easyjobs run --resume {run}, with --store or --manager as it was begun."
            )
            return [Reason("no_worker", text, entry.seen_at)]
        if not others:
            text = f"No worker offers task {task} now. Start one; look whether it was renamed, or serves another queue."
            return [Reason("no_worker", text, entry.seen_at)]
        fault = Measure(entry.checker, self._settings).fault_of_job(job)
        if fault is None:
            text = (
                f"The parameters of task {task} have changed; it fits them and is about to be given to these workers."
            )
        else:
            text = (
                f"The parameters of task {task} have changed, and no worker fits this job: {fault} "
                "It is held for a worker with the old ones. Start one, or cancel it and make it anew."
            )
        return [Reason("no_worker_fits", text, workers=others)]

    async def _prerequisites(self, job: Job, now: float) -> list[Reason]:
        edges = await self._store.edges([job.id])
        rows = await self._store.jobs([edge.prerequisite for edge in edges])
        open_ = [row for row in rows.values() if row.state != COMPLETED]
        if job.turn == "gather":
            open_ = [row for row in open_ if not row.final]
            shown = [f"{row.id} ({_state(row, now)})" for row in open_]
            verb = "has" if len(open_) == 1 else "have"
            left = f"{several(len(open_), 'job')} of {len(edges)}"
            text = f"It is a group, of which {left} {verb} not ended: {listed(shown)}."
            return [Reason("members", text, job.created_at, jobs=[row.id for row in open_])]
        if not open_:
            return []
        shown = [f"{row.queue}:{row.task} ({_state(row, now)})" for row in open_]
        text = (
            f"{several(len(open_), 'job')} of {len(edges)} must complete first: {listed(shown)}. "
            "Ask the same of them to learn more."
        )
        return [Reason("prerequisites", text, job.created_at, jobs=[row.id for row in open_])]

    async def _run(self, job: Job, now: float) -> list[Reason]:
        """A run that goes on."""
        reasons = []
        if job.cancel is not None:
            text = f"{job.cancel} asked it to stop. It ends when its jobs have, which were asked too."
            reasons.append(Reason("cancelling", text, by=job.cancel))
        return [*reasons, await self._runs.jobs(job, now)]

    async def _later(self, job: Job, now: float) -> Reason:
        due = f"in {span(job.run_at - now)}"
        if job.failures and job.state in CLAIMABLE and job.error is not None and job.attempt:
            past = await self._store.attempts(job.id)
            ended = past[-1].finished_at if past else None
            ago = "" if ended is None else f", {span(now - ended)} ago,"
            most = f"of {job.max_attempts}" if job.max_attempts else "(it is retried always)"
            text = f"Failure {job.failures} {most}{ago} was {reason_of(job.error)}. The next attempt begins {due}."
            return Reason("backing_off", text, ended)
        why = f"schedule {job.schedule} spreads its jobs" if job.schedule else "it was submitted so"
        return Reason("not_due", f"It is not due: it may begin {due}, because {why}.", job.created_at)

    def _crashed(self, job: Job) -> Reason:
        text = (
            f"{several(job.crashes, 'worker')} died with it. Its next attempt runs alone, in a child process where "
            f"that is possible; with crash {MAX_CRASHES} within 24 hours it fails. Look at the logs of its workers."
        )
        return Reason("crashed", text)

    # -- while it runs

    async def _running(self, job: Job, now: float) -> list[Reason]:
        live = self._roster.sessions.get(job.session or "")
        other = self._roster.elsewhere.get(job.session or "")
        workers = [one.row.worker_id for one in (live, other) if one is not None]
        since = job.started_at or now
        after = f", after {several(job.failures, 'failure')}" if job.failures else ""
        limit = "" if job.timeout is None else f" It may take {span(job.timeout)}."
        runs = f"It has been running on worker {job.worker} for {span(now - since)}"
        text = f"{runs}, attempt {job.attempt}{after}.{limit}"
        reasons = []
        if job.cancel is not None:
            word = f"{self._settings.word:.0f} s"
            told = f"{job.cancel} asked it to stop. Unless its worker says that it has, it is ended after {word}."
            reasons.append(Reason("cancelling", told, by=job.cancel, workers=workers))
        if live is not None and live.blocked is not None:
            told = f"Task {live.blocked} blocks the loop of worker {live.row.name}: nothing else on it moves meanwhile."
            reasons.append(Reason("worker_blocked", told, workers=workers))
        elif other is None and (live is None or live.voice is None):
            told = f"Worker {job.worker} is disconnected: unless it comes back within moments, the job goes elsewhere."
            reasons.append(Reason("worker_disconnected", told, live.seen_at if live else None, workers=workers))
        elif live is not None and job.id in live.unconfirmed:
            sent = live.unconfirmed[job.id]
            told = f"It was sent to worker {live.row.name} {span(now - sent)} ago, which has not acknowledged it yet."
            reasons.append(Reason("not_acknowledged", told, sent, workers=workers))
        reasons.append(Reason("running", text, since, workers=workers))
        if live is not None and live.parked:
            reasons += await self._awaited(job, now)
        return reasons

    async def _awaited(self, job: Job, now: float) -> list[Reason]:
        """Jobs that it made and that have not ended, where jobs of its worker await others."""
        page = await self._store.find(JobQuery(parent=job.id, limit=MOST_CHILDREN))
        made = [child for child in page.items if child.relation in (None, "call") and not child.final]
        if not made:
            return []
        shown = [f"{child.queue}:{child.task} ({_state(child, now)})" for child in made]
        text = f"It made jobs that have not ended, and may await them: {listed(shown)}."
        return [Reason("awaiting", text, jobs=[child.id for child in made])]

    # -- afterwards

    def _end(self, job: Job) -> Reason:
        told = self._runs.end(job) if job.is_run else None
        if told is not None:
            return told
        at = job.finished_at
        why = reason_of(job.error)
        where = f" on worker {job.worker}" if job.worker else ""
        if job.state == COMPLETED and job.turn == "gather":
            return Reason("completed", "It completed: all jobs of the group did.", at)
        if job.state == COMPLETED:
            return Reason("completed", f"It completed{where}, with attempt {job.attempt}.", at)
        if job.state == "failed":
            again = f"To run it again: easyjobs jobs retry {job.id}."
            if job.turn == "gather":
                return Reason("failed", f"It failed with its group: {why}. {again}", at)
            if not job.attempt:
                return Reason("failed", f"It failed before it began: {why}. {again}", at)
            return Reason("failed", f"It failed{where} with attempt {job.attempt}: {why}. {again}", at)
        if job.state == "cancelled":
            return Reason("cancelled", f"It was cancelled by {job.cancel or 'somebody'}.", at, job.cancel)
        return Reason("skipped", f"It was skipped: {why or 'what it waited for did not complete'}.", at)


def _state(job: Job, now: float) -> str:
    if job.state == RUNNING:
        return f"runs on {job.worker} for {span(now - (job.started_at or now))}"
    return f"is due in {span(job.run_at - now)}" if job.run_at > now and job.state in CLAIMABLE else job.state
