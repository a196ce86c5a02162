"""New jobs that the store refused: those that are there already are joined, the others decided anew."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from functools import partial

from easyjobs.core.changes import Broken, Stale
from easyjobs.core.job import Job
from easyjobs.core.states import QUEUED, RUNNING
from easyjobs.errors import Conflict, Refused, Unavailable, Unprocessable
from easyjobs.hub.chains import rejoined
from easyjobs.hub.entries import Arrival

log = logging.getLogger("easyjobs.hub")


def refused(arrival: Arrival, jobs: list[Job], verdict: Stale | Broken, *, chained: bool) -> list[Arrival]:
    """What of `arrival` is to be decided anew, after the unit of these of its `jobs` was refused. `chained`: with
    prerequisites.
    """
    if isinstance(verdict, Broken):
        arrival.pending -= 1
        arrival.refused.update((job.id, Unprocessable(verdict.reason)) for job in jobs)
        return []
    if verdict.why == "schedule":
        arrival.pending -= 1
        arrival.refused.update((job.id, Conflict("The schedule changed meanwhile.")) for job in jobs)
        return []
    again = verdict.why == "session" or (chained and _joins_anew(arrival, jobs, verdict))
    rest = jobs if again else _join(arrival, jobs, verdict)
    if not rest:
        arrival.pending -= 1
        return []
    for job in rest:
        if job.state == RUNNING:  # it was to begin at once; that is decided anew
            job.state, job.attempt, job.version, job.started_at = QUEUED, 0, 0, None
            job.session = job.worker = job.token = None
    done = partial(_joined, arrival)
    queued = arrival.queued or verdict.why == "session"
    return [Arrival(rest, arrival.together, done, joins=arrival.joins, writes=arrival.writes, queued=queued)]


def _joins_anew(arrival: Arrival, jobs: list[Job], verdict: Stale) -> bool:
    """Whether it is a prerequisite that stands in the way: one that is there already, or that was and has ended."""
    if verdict.why == "ended":
        arrival.joins = rejoined(arrival.joins, verdict.jobs[0]) if verdict.jobs else {}
        return True
    if verdict.why != "unique" or not verdict.jobs:
        return False
    there = verdict.jobs[0]
    if any(job.unique_key == there.unique_key for job in jobs):
        return False
    arrival.joins = rejoined(arrival.joins, there)
    return True


def _join(arrival: Arrival, jobs: list[Job], verdict: Stale) -> list[Job]:
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


def _mark(job: Job, why: str) -> Hashable:
    """What two jobs have in common when the one is in the other's way."""
    if why == "tick":
        return (job.schedule, job.tick)
    return job.key if why == "key" else job.unique_key if why == "unique" else job.id


def _differs(job: Job, theirs: Job, why: str) -> bool:
    if why == "key":
        return job.body != theirs.body
    if why in ("unique", "tick"):
        return False
    return (job.queue, job.task, job.args, job.kwargs) != (theirs.queue, theirs.task, theirs.args, theirs.kwargs)


def _taken(job: Job, theirs: Job, why: str) -> Unprocessable | Conflict:
    if why == "key":
        message = f"the key came before with another body, for job {theirs.id}"
        return Unprocessable(f"Idempotency key: {message}.", errors=[{"loc": ["key"], "message": message}])
    return Conflict(f"Job {theirs.id} exists with other arguments.")
