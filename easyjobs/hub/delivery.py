"""After a commit: jobs to their workers, cancels to whom they concern, late words into a job's history."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from easyjobs.core.changes import AppendLogs
from easyjobs.core.events import FoundUnreadable, NeverStarted
from easyjobs.core.job import Job
from easyjobs.errors import BadRequest
from easyjobs.hub.arguments import parse
from easyjobs.hub.entries import Chore, Entry, Word
from easyjobs.hub.roster import Live, Roster
from easyjobs.hub.settings import HubSettings
from easyjobs.protocol.manager_side import parts, weight_of_assignment
from easyjobs.protocol.messages import Assign, Assignment, Cancel, Held, Withdraw

log = logging.getLogger("easyjobs.hub")


class Delivery:
    """The committer's outlets. The hub ties the loose ends (`add`, `wake_…`) when all parts are there."""

    def __init__(self, roster: Roster, settings: HubSettings, now: Callable[[], float]) -> None:
        self._roster = roster
        self._settings = settings
        self._now = now
        self.add: Callable[[Entry], None]
        self.due: Callable[[float], None]
        self.abandoned: Callable[[Job], None]
        self.doubt: Callable[[], None]
        self.expect_end: Callable[[Job, float], None]
        self.expect_stop: Callable[[Job, float], None]

    def assign(self, jobs: list[Job], *, from_store: bool) -> None:
        """Send each job to the worker whose session it runs in."""
        now = self._now()
        frames: dict[str, tuple[Live, list[Assignment]]] = {}
        for job in jobs:
            live = self._roster.hand_out(job, now)
            if from_store:
                fault = self._fault(job)
                if fault is not None:
                    self.add(Word(job.id, FoundUnreadable(fault)))
                    continue
            if live is None or live.voice is None:
                if live is None:
                    self.add(Word(job.id, NeverStarted(job.attempt, job.token or "")))
                continue  # with a session but no socket: the next hello, or the grace, decides
            if job.timeout is not None:
                self.expect_end(job, now)
            assignment = Assignment(
                job.id,
                job.attempt,
                job.token or "",
                job.queue,
                job.task,
                msgspec.Raw(job.args),
                msgspec.Raw(job.kwargs),
            )
            assignment.timeout = job.timeout
            assignment.max_attempts = job.max_attempts
            assignment.failures = job.failures
            if job.crashes:
                assignment.isolate = True
            entry = frames.get(live.row.id)
            if entry is None:
                frames[live.row.id] = (live, [assignment])
            else:
                entry[1].append(assignment)
        for live, assignments in frames.values():
            for part, weight in parts(assignments, weight_of_assignment, self._settings.limits.frame // 2):
                if live.voice is not None:
                    live.voice.send(Assign(part), weight)

    def _fault(self, job: Job) -> str | None:
        """Why a job that was read cannot be sent; one bad text would spoil the frame for all others in it."""
        depth = self._settings.limits.depth
        try:
            if (
                type(parse(job.args.encode(), depth, "args")) is list
                and type(parse(job.kwargs.encode(), depth, "kwargs")) is dict
            ):
                return None
        except (BadRequest, UnicodeError) as error:
            return str(error)
        return "its arguments are neither an array nor an object"

    def cancel(self, job: Job) -> None:
        """Tell the worker of a running job to stop it."""
        self.expect_stop(job, self._now())
        live = self._roster.sessions.get(job.session or "")
        if live is not None and live.voice is not None:
            live.voice.send(Cancel([Held(job.id, job.attempt, job.token or "")]))

    def withdraw(self, job: Job) -> None:
        """Tell the worker of an attempt that was ended without its word to drop it."""
        live = self._roster.sessions.get(job.session or "")
        if live is not None and live.voice is not None:
            live.voice.send(Withdraw([Held(job.id, job.attempt, job.token or "")]))

    def stale(self, word: Word, job: Job) -> None:
        """A word came too late: the job's log says so."""
        attempt = getattr(word.event, "attempt", 0)
        kind = type(word.event).__name__.lower()
        text = (
            f"a late word of attempt {attempt} was refused ({kind}): the job is {job.state} with attempt {job.attempt}"
        )
        self.add(Chore([AppendLogs(job.id, [(attempt, self._now(), "stale", text)])]))
