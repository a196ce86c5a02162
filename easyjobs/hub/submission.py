"""The door for new jobs: what every submission must pass, wherever it came from, before it may be stored."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from easyjobs.core import groups
from easyjobs.core.job import Job, Turn
from easyjobs.core.states import QUEUED, WAITING
from easyjobs.errors import ArgumentsRefused, BadRequest, TooMany, Unprocessable
from easyjobs.hub.arguments import parse
from easyjobs.hub.catalog import Catalog, Entry
from easyjobs.hub.settings import HubSettings
from easyjobs.ids import is_job_id
from easyjobs.protocol.messages import Submission

LATEST = 253_402_300_799.0  # the end of the year 9999, which is as far as RFC 3339 goes
LONGEST_KEY = 255
HIGHEST_PRIORITY = 1_000_000


class Admission:
    """Turns submissions into jobs. `depth` holds how many live jobs each queue has, kept by the announcer."""

    def __init__(self, catalog: Catalog, settings: HubSettings) -> None:
        self._catalog = catalog
        self._settings = settings
        self._limits = settings.limits
        self.depth: dict[str, int] = {}

    def knows(self, s: Submission) -> bool:
        """Whether the task that `s` names was ever registered."""
        return self._catalog.get(s.queue, s.task) is not None

    def admit(self, s: Submission, now: float, *, from_code: bool = False, stored: bool = False) -> Job:
        """The job that `s` asks for, not stored yet. Arguments that are `from_code` must bind by name; their types are
        their author's business. Those that are `stored` are of another job.

        :raises NotFound: no such task. ArgumentsRefused, BadRequest, TooLarge: its arguments. Unprocessable: any other
            value outside its range. TooMany: the queue is full.
        """
        entry = self._catalog.find(s.queue, s.task)
        if not is_job_id(s.id):
            raise _refuse("id", "must be a UUID, in lower case")
        if self.depth.get(s.queue, 0) >= self._settings.queue_depth:
            raise TooMany(f"Queue {s.queue!r} holds {self._settings.queue_depth} jobs, which is its limit.")
        args, kwargs = bytes(s.args), bytes(s.kwargs)
        limits = self._limits
        if from_code:
            entry.spec.signature.bind(parse(args, limits.depth, "args"), parse(kwargs, limits.depth, "kwargs"))
        else:
            entry.checker.check(args, kwargs, size=limits.arguments, depth=limits.depth, stored=stored)
        options = entry.options
        lane = entry.lane
        job = Job(
            s.id,
            lane.queue,
            lane.task,
            lane.signature,
            args.decode(),
            kwargs.decode(),
            QUEUED,
            options.priority,
            now,
            now,
            entry.max_attempts,
        )
        job.timeout = options.timeout
        job.parent = s.parent
        if options.unique is not False:
            depth = limits.depth
            job.unique_key = unique_key(entry, parse(args, depth, "args"), parse(kwargs, depth, "kwargs"))
        if entry.turns:
            job.turn = turn_of(entry, job.args, job.kwargs, limits.depth)
        if options.run_before:
            job.state = WAITING  # its prerequisites are made when it is stored: see hub/chains.py
        self._apply_choices(job, s, now)
        wait = s.start_deadline if s.start_deadline is not None else options.start_deadline
        if wait is not None:
            job.deadline = job.run_at + wait
        if options.sla is not None:
            job.late_at = job.run_at + options.sla
        return job

    def _apply_choices(self, job: Job, s: Submission, now: float) -> None:
        """What the caller chose for this one job, over the task's own options."""
        if s.priority is not None:
            if not -HIGHEST_PRIORITY <= s.priority <= HIGHEST_PRIORITY:
                raise _refuse("priority", f"must be within ±{HIGHEST_PRIORITY}")
            job.priority = s.priority
        if s.delay is not None:
            if not 0 <= s.delay <= LATEST - now:
                raise _refuse("delay", "must be seconds from now, not negative")
            job.run_at = now + s.delay
        if s.run_at is not None:
            if s.delay is not None:
                raise _refuse("run_at", "give either `delay` or `run_at`")
            if not 0 <= s.run_at <= LATEST:
                raise _refuse("run_at", "must lie between 1970 and 9999")
            job.run_at = max(now, s.run_at)
        if s.timeout is not None:
            if not 0 < s.timeout < LATEST:
                raise _refuse("timeout", "must be seconds, more than 0")
            job.timeout = s.timeout
        if s.start_deadline is not None and not 0 < s.start_deadline < LATEST:
            raise _refuse("start_deadline", "must be seconds, more than 0")
        if s.retries is not None:
            if not 0 <= s.retries <= HIGHEST_PRIORITY:
                raise _refuse("retries", f"must be between 0 and {HIGHEST_PRIORITY}")
            job.max_attempts = s.retries + 1
        if s.key is not None:
            if not 0 < len(s.key) <= LONGEST_KEY or not s.key.isprintable():
                raise _refuse("key", f"must be 1 to {LONGEST_KEY} printable characters")
            job.key = s.key
            job.body = _hash(job.queue, job.task, *_canonical(job.args, job.kwargs))
        if s.parent is not None:
            if not is_job_id(s.parent):
                raise _refuse("parent", "must be the id of a job")
            job.relation = "call"


def unique_key(entry: Entry, args: list[Any], kwargs: dict[str, Any]) -> str:
    """Equal for calls that `unique` calls equal: by the arguments as bound, not as spelled.

    :raises ArgumentsRefused: they do not bind.
    """
    bound = entry.spec.signature.bind(args, kwargs)
    names = entry.options.unique
    if isinstance(names, tuple):
        bound = {name: bound[name] for name in names if name in bound}
    lane = entry.lane
    return _hash(lane.queue, lane.task, msgspec.json.encode(bound, order="sorted").decode())


def arguments_of(entry: Entry, args: str, kwargs: str, depth: int) -> dict[str, Any]:
    """All arguments of a stored call by name, the defaults too.

    :raises BadRequest, ArgumentsRefused: it cannot be read, or does not bind.
    """
    by_place, by_name = (
        parse(text.encode(errors="replace"), depth, what) for text, what in ((args, "args"), (kwargs, "kwargs"))
    )
    if type(by_place) is not list or type(by_name) is not dict:
        raise BadRequest("The arguments are neither an array nor an object.")
    return entry.spec.signature.complete(by_place, by_name)


def turn_of(entry: Entry, args: str, kwargs: str, depth: int) -> Turn | None:
    """What must be done about a job of a task that has `turns` before it runs.

    :raises BadRequest, ArgumentsRefused: as `arguments_of`; or it is a group that is too large.
    """
    options = entry.options
    if entry.spec.graph is not None:
        return "expand"
    if options.write_all:
        names = groups.spread(options, arguments_of(entry, args, kwargs, depth))
        size = groups.size(entry.spec.signature, names) if names else 0
        if size > groups.MOST:
            message = f"together they are {size} jobs; {groups.MOST} are allowed"
            errors = [{"loc": ["kwargs", name], "message": message} for name in names]
            raise ArgumentsRefused("The group is too large.", errors=errors)
        if names:
            return "spread"
    return "check" if options.needs else None


def _canonical(args: str, kwargs: str) -> tuple[str, str]:
    """The same text for the same values, however they were spaced and ordered."""
    return _sorted(args), _sorted(kwargs)


def _sorted(text: str) -> str:
    return msgspec.json.encode(msgspec.json.decode(text), order="sorted").decode()


def _hash(*parts: str) -> str:
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()


def _refuse(field: str, message: str) -> Unprocessable:
    return Unprocessable(f"{field}: {message}", errors=[{"loc": [field], "message": message}])
