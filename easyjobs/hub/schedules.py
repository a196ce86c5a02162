"""What people may see of schedules and do to them. Those from code follow the code: they are only paused and run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from easyjobs.core import cron
from easyjobs.core.changes import DropPause, DropSchedule, PutPause, PutSchedule, Write
from easyjobs.core.job import Job
from easyjobs.core.schedule import Rule, Schedule
from easyjobs.core.task import DefaultArgs, TaskSpec
from easyjobs.errors import BadRequest, Conflict, Refused, RegistrationError, Unprocessable
from easyjobs.hub.arguments import parse
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.committer import Committer
from easyjobs.hub.control import Control
from easyjobs.hub.entries import Chore
from easyjobs.hub.settings import HubSettings
from easyjobs.hub.submission import Admission
from easyjobs.hub.timetable import Planned, Timetable
from easyjobs.ids import Ids
from easyjobs.protocol.messages import Submission
from easyjobs.stores.base import Pause, Store

SHOWN: Final = 5  # fire times
MOST_TRIES: Final = 5  # of a change that others are faster than


class ScheduleView(msgspec.Struct):
    """A schedule: its rule in words, when it fires next, why its last tick made no job, and whether a tick is `held`
    until the job before has ended.
    """

    row: Schedule
    words: str
    upcoming: list[float]
    paused: Pause | None
    held: bool
    error: str | None


class Schedules:
    """Lists, makes, edits, removes, pauses and runs schedules. Each change is durable when it returns."""

    def __init__(
        self,
        store: Store,
        timetable: Timetable,
        catalog: Catalog,
        admission: Admission,
        committer: Committer,
        control: Control,
        ids: Ids,
        settings: HubSettings,
    ) -> None:
        self._store = store
        self._timetable = timetable
        self._catalog = catalog
        self._admission = admission
        self._committer = committer
        self._control = control
        self._turn = asyncio.Lock()  # of pauses: the last word counts, and not the last commit
        self._ids = ids
        self._limits = settings.limits
        self.learn: Callable[[], Awaitable[None]] = _nothing

    # -- looking

    def page(
        self, queue: str | None = None, task: str | None = None, after: int = 0, limit: int = 50
    ) -> tuple[list[ScheduleView], int | None]:
        """Up to `limit` schedules by queue, task and id, without the first `after`; the next `after`, if any."""
        found = [
            planned
            for planned in self._timetable.rows.values()
            if (queue is None or planned.row.queue == queue) and (task is None or planned.row.task == task)
        ]
        found.sort(key=lambda planned: (planned.row.queue, planned.row.task, planned.row.id))
        page = [self._view(planned) for planned in found[after : after + limit]]
        return page, after + limit if len(found) > after + limit else None

    async def find(self, id: str) -> ScheduleView:
        """One schedule, also where it was made at another manager a moment ago. Raises NotFound."""
        await self._look_for(id)
        return self.show(id)

    async def _look_for(self, id: str) -> None:
        if id not in self._timetable.rows:
            await self.learn()

    def show(self, id: str) -> ScheduleView:
        """One schedule that is known here. Raises NotFound."""
        return self._view(self._timetable.find(id))

    def _view(self, planned: Planned) -> ScheduleView:
        row = planned.row
        after = max(self._store.now(), row.last_at or 0.0)
        upcoming = [] if row.next_at is None else cron.upcoming(row.rule, after, SHOWN)
        paused = self._timetable.pauses.get(row.id)
        return ScheduleView(row, cron.in_words(row.rule), upcoming, paused, planned.held, planned.error)

    # -- changing

    async def create(self, queue: str, task: str, rule: Rule, call: DefaultArgs, title: str = "") -> ScheduleView:
        """A new schedule, which calls a task that is known.

        :raises NotFound: no such task. ArgumentsRefused, BadRequest, TooLarge: the arguments do not fit it.
            Unprocessable: the rule will not do, or never fires.
        """
        self._judge(queue, task, call)
        _check(rule)
        now = self._store.now()
        next_at = cron.next_after(rule, now)
        if next_at is None:
            raise _refuse("end_at", "lies before the first time at which it would fire")
        row = Schedule(
            self._ids.job_id(now), queue, task, rule, title, call.args, call.kwargs, "api", next_at, version=1
        )
        row.created_at = row.updated_at = now
        await self._committer.chore(Chore([PutSchedule(row)]))  # its id is fresh: what is there of it is this row
        self._timetable.put(row)
        return self.show(row.id)

    async def edit(
        self,
        id: str,
        *,
        rule: Mapping[str, Any] | None = None,
        args: str | None = None,
        kwargs: str | None = None,
        title: str | None = None,
    ) -> ScheduleView:
        """Change fields of its rule, its arguments or its title; what is not given stays.

        With another rule it fires next at the first time that lies ahead by that rule.

        :raises NotFound: no such schedule, or its task is not known any more. Conflict: it is from code. Else as
            `create`.
        """

        def edited(row: Schedule) -> Schedule:
            call = DefaultArgs(row.args if args is None else args, row.kwargs if kwargs is None else kwargs)
            if args is not None or kwargs is not None:
                self._judge(row.queue, row.task, call)
            new = msgspec.structs.replace(row, args=call.args, kwargs=call.kwargs)
            if title is not None:
                new.title = title
            if rule:
                follow(new, msgspec.structs.replace(row.rule, **rule), self._store.now())
            return new

        await self._change(id, edited)
        return self.show(id)

    async def _change(self, id: str, edited: Callable[[Schedule], Schedule]) -> None:
        await self._look_for(id)
        for _ in range(MOST_TRIES):
            row = self._own(id)
            new = edited(row)
            if await self._committer.chore(Chore([PutSchedule(new, row.version)])) is None:
                new.version = row.version + 1
                self._timetable.put(new)
                return
            self._timetable.refresh([id], await self._store.schedules())
        raise Conflict(f"Schedule {id} kept changing; try again.")

    async def delete(self, id: str) -> None:
        """Remove it; the jobs it has made stay. Raises NotFound; Conflict where it is from code."""
        async with self._turn:
            await self._look_for(id)
            for _ in range(MOST_TRIES):
                drop: list[Write] = [DropSchedule(id, self._own(id).version), DropPause("schedule", id)]
                if await self._committer.chore(Chore(drop)) is None:
                    self._timetable.drop(id)
                    return
                self._timetable.refresh([id], await self._store.schedules())
        raise Conflict(f"Schedule {id} kept changing; try again.")

    def _own(self, id: str) -> Schedule:
        row = self._timetable.find(id).row
        if row.source == "code":
            raise Conflict(f"Schedule {id} is declared in code and follows it; here it can be paused, resumed and run.")
        return row

    async def pause(self, id: str, by: str) -> None:
        """Let its ticks pass without a job; may be called again. Raises NotFound."""
        async with self._turn:
            await self._look_for(id)
            self._timetable.find(id)
            if id not in self._timetable.pauses or not self._store.single_manager:  # else another may have resumed it
                pause = Pause("schedule", id, by, self._store.now())
                await self._committer.chore(Chore([PutPause("schedule", id, by, pause.at)]))
                self._timetable.pauses.setdefault(id, pause)

    async def resume(self, id: str) -> None:
        """Undo `pause`: it fires at its next time, and ticks that it let pass are gone. May be called again. Raises
        NotFound.
        """
        async with self._turn:
            await self._look_for(id)
            self._timetable.find(id)
            if id in self._timetable.pauses or not self._store.single_manager:
                await self._committer.chore(Chore([DropPause("schedule", id)]))
                self._timetable.pauses.pop(id, None)

    async def run(self, id: str) -> Job:
        """Make a job of it now, also while it is paused; its ticks go on as they would.

        :raises NotFound: no such schedule, or its task is not known any more. Refused: as for any other job.
        """
        await self._look_for(id)
        row = self._timetable.find(id).row
        now = self._store.now()
        job = admitted(row, self._admission, self._ids, now)
        (submitted,) = await self._control.store([job])
        return submitted.job

    def _judge(self, queue: str, task: str, call: DefaultArgs) -> None:
        checker = self._catalog.find(queue, task).checker
        checker.check(call.args.encode(), call.kwargs.encode(), size=self._limits.arguments, depth=self._limits.depth)


async def _nothing() -> None:
    """This manager is alone: it knows all schedules."""


def judge_declared(spec: TaskSpec, rule: Rule, depth: int) -> None:
    """Pass the schedule of a task that is registered.

    :raises RegistrationError: the rule will not do, or `default_args` (JSON nested at most `depth` deep) do not bind.
    """
    cron.check(rule)
    call = spec.default_args or DefaultArgs()
    try:
        args = parse(call.args.encode(), depth, "args")
        kwargs = parse(call.kwargs.encode(), depth, "kwargs")
        if type(args) is not list or type(kwargs) is not dict:
            raise BadRequest("args must be an array, kwargs an object")
        spec.signature.bind(args, kwargs)
    except Refused as why:
        raise RegistrationError(
            f"task {spec.name!r} of queue {spec.queue!r} has a schedule that cannot call it with default_args: {why}"
        ) from None


def follow(row: Schedule, rule: Rule, now: float) -> None:
    """`row` goes by `rule` from `now` on: what came before it is not asked whether it was missed.

    :raises Unprocessable: the rule will not do.
    """
    if rule == row.rule:
        return
    _check(rule)
    row.rule = rule
    row.updated_at = now
    row.next_at = cron.next_after(rule, max(now, row.last_at or 0.0))


def admitted(row: Schedule, admission: Admission, ids: Ids, now: float, delay: float | None = None) -> Job:
    """A job of a schedule, not stored yet. Raises Refused as `Admission.admit` does."""
    args, kwargs = msgspec.Raw(row.args.encode()), msgspec.Raw(row.kwargs.encode())
    submission = Submission(ids.job_id(now), row.queue, row.task, args, kwargs, delay=delay)
    job = admission.admit(submission, now, from_code=row.source == "code")
    job.schedule = row.id
    return job


def _check(rule: Rule) -> None:
    field = "timezone"
    try:
        cron.zone_of(rule.timezone)
        field = "cron"
        cron.check(rule)
    except RegistrationError as error:
        raise _refuse(field, str(error)) from None


def _refuse(field: str, message: str) -> Unprocessable:
    return Unprocessable(f"{field}: {message}", errors=[{"loc": [field], "message": message}])
