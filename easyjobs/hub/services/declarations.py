"""Schedules from code: made when a worker registers their task, changed with it, gone when it has none any more."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from easyjobs.core import cron
from easyjobs.core.changes import DropPause, DropSchedule, PutPause, PutSchedule, Stale, Write
from easyjobs.core.schedule import Schedule
from easyjobs.core.task import DefaultArgs, TaskSpec
from easyjobs.hub.committer import Committer
from easyjobs.hub.entries import Chore
from easyjobs.hub.schedules import follow
from easyjobs.hub.timetable import Timetable
from easyjobs.stores.base import Store


class Declarations:
    """Brings the schedules in line with what was registered last. They stay while their workers are away."""

    name = "declarations"

    def __init__(self, store: Store, timetable: Timetable, committer: Committer) -> None:
        self._store = store
        self._timetable = timetable
        self._committer = committer
        self._declared: dict[str, TaskSpec] = {}

    def declare(self, specs: Iterable[TaskSpec]) -> bool:
        """These tasks were registered; whether there may be something to do. May be said again."""
        news = [spec for spec in specs if spec.schedule is not None or _id(spec) in self._timetable.rows]
        self._declared.update({_id(spec): spec for spec in news})
        return bool(self._declared)

    async def run_once(self, now: float) -> float | None:
        """Follow all that was declared; called again when woken."""
        while self._declared:
            id, spec = next(iter(self._declared.items()))
            while not await self._follow(id, spec, now):
                self._timetable.refresh([id], await self._store.schedules())
                await self._learn_pause(id)
            if self._declared[id] is spec:  # else it was declared anew meanwhile
                del self._declared[id]
        return None

    async def _follow(self, id: str, spec: TaskSpec, now: float) -> bool:
        """Whether the schedule is as `spec` says; else its row is not what it was believed to be."""
        planned = self._timetable.rows.get(id)
        if spec.schedule is None:
            return planned is None or await self._drop(planned.row)
        call = spec.default_args or DefaultArgs()
        if planned is None:
            row = Schedule(id, spec.queue, spec.name, spec.schedule, "", call.args, call.kwargs, "code", version=1)
            row.created_at = row.updated_at = now
            row.next_at = cron.next_after(spec.schedule, now)
            # that it is there already can only be the word of a commit whose outcome was unknown
            await self._commit([PutSchedule(row), *_paused(row, now)])
            if not row.rule.active:
                await self._learn_pause(id)
            self._timetable.put(row)
            return True
        row = msgspec.structs.replace(planned.row, args=call.args, kwargs=call.kwargs)
        follow(row, spec.schedule, now)
        if row == planned.row:
            return True
        # as long as its author says the same, what people did at run time stands
        switched = row.rule.active != planned.row.rule.active
        pause = [] if not switched else _paused(row, now) or [DropPause("schedule", id)]
        if await self._commit([PutSchedule(row, row.version), *pause]) is not None:
            return False
        if switched:
            await self._learn_pause(id)
        row.version += 1
        self._timetable.put(row)
        return True

    async def _drop(self, row: Schedule) -> bool:
        if await self._commit([DropSchedule(row.id, row.version), DropPause("schedule", row.id)]) is not None:
            return False
        self._timetable.drop(row.id)
        return True

    async def _learn_pause(self, id: str) -> None:
        self._timetable.learn_pause(id, await self._store.pauses())

    async def _commit(self, writes: list[Write]) -> Stale | None:
        return await self._committer.chore(Chore(writes))


def _paused(row: Schedule, now: float) -> list[Write]:
    return [] if row.rule.active else [PutPause("schedule", row.id, "code", now)]


def _id(spec: TaskSpec) -> str:
    return f"{spec.queue}:{spec.name}"
