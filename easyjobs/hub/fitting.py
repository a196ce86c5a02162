"""Whether the jobs that wait, and the schedules, can be called with the parameters that a task has or is to have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from easyjobs.core.job import Job, Lane, Relation, Turn
from easyjobs.core.schedule import Schedule
from easyjobs.core.states import CLAIMABLE, WAITING, State
from easyjobs.core.task import TaskSpec, is_name
from easyjobs.errors import Refused, RegistrationError, Unprocessable
from easyjobs.hub.arguments import Checker, parse
from easyjobs.hub.catalog import Catalog
from easyjobs.hub.roster import Roster
from easyjobs.hub.settings import HubSettings
from easyjobs.stores.base import JobQuery, Store

PAGE: Final = 500
STATES: Final[tuple[State, ...]] = (*sorted(CLAIMABLE), WAITING)
MOST_JOBS: Final = 100_000
"""Of one task, that one question looks at."""

MOST_EXAMPLES: Final = 5


class Misfit(msgspec.Struct, frozen=True):
    """A job or a schedule that could not be called, and why."""

    id: str
    reason: str


class SignatureFit(msgspec.Struct):
    """One set of parameters of a task. `misfits` of its `jobs` do not fit the newest, and are held where there are no
    `workers` for it.
    """

    signature: str
    newest: bool
    workers: list[str]
    jobs: int = 0
    misfits: int = 0


class TaskFit(msgspec.Struct):
    """How the waiting jobs and the schedules of a task fit its newest parameters.

    `examples` are some of the jobs that do not; `schedules` all of those. `whole` is False where there were too many
    jobs to look at them all.
    """

    queue: str
    task: str
    signatures: list[SignatureFit]
    examples: list[Misfit]
    schedules: list[Misfit]
    whole: bool = True

    @property
    def misfits(self) -> int:
        """How many jobs do not fit."""
        return sum(signature.misfits for signature in self.signatures)

    @property
    def fits(self) -> bool:
        """Whether all do."""
        return not self.misfits and not self.schedules


TAKING: Final[tuple[Turn, ...]] = ("bind", "map")
WRITTEN: Final[tuple[Relation, ...]] = ("before", "after", "failure", "node", "member")
"""Jobs whose arguments stand in code."""


class Measure:
    """Judges stored calls by one set of parameters."""

    def __init__(self, checker: Checker, settings: HubSettings) -> None:
        self._checker = checker
        self._limits = settings.limits

    def fault_of(self, args: str, kwargs: str, *, from_code: bool) -> str | None:
        """Why a call would be refused; None when it would not. The types of what is written in code are its author's
        business.
        """
        limits = self._limits
        try:
            if from_code:
                by_place, by_name = (
                    parse(text.encode(), limits.depth, what) for text, what in ((args, "args"), (kwargs, "kwargs"))
                )
                self._checker.bind(by_place, by_name)
            else:
                size, depth = limits.arguments, limits.depth
                self._checker.check(args.encode(), kwargs.encode(), size=size, depth=depth, stored=True)
        except Refused as refused:
            return str(refused)
        return None

    def fault_of_job(self, job: Job) -> str | None:
        """As `fault_of`, of a job that waits. A node that takes results is judged when it has them."""
        if job.turn in TAKING:
            return None
        written = job.relation in WRITTEN or job.schedule == f"{job.queue}:{job.task}"
        return self.fault_of(job.args, job.kwargs, from_code=written)

    def fault_of_schedule(self, schedule: Schedule) -> str | None:
        """As `fault_of`, of what a schedule would make."""
        return self.fault_of(schedule.args, schedule.kwargs, from_code=schedule.source == "code")


class Fitting:
    """Answers, and changes nothing."""

    def __init__(self, store: Store, roster: Roster, catalog: Catalog, settings: HubSettings) -> None:
        self._store = store
        self._roster = roster
        self._catalog = catalog
        self._settings = settings

    async def now(self) -> list[TaskFit]:
        """Of all tasks that have, or had, several sets of parameters: those with a job or a schedule that does not fit
        the newest, or with workers of several.
        """
        schedules = await self._store.schedules()
        asked = set(self._catalog.ambiguous) | {(s.queue, s.task) for s in schedules}
        fits = []
        for queue, task in sorted(asked):
            entry = self._catalog.get(queue, task)
            if entry is not None:
                fits.append(await self._task(entry.lane, Measure(entry.checker, self._settings), schedules))
        return [fit for fit in fits if not fit.fits or sum(bool(one.workers) for one in fit.signatures) > 1]

    async def against(self, specs: Iterable[TaskSpec]) -> list[TaskFit]:
        """As if workers with these tasks, and no others of them, were here: each task with what would not fit.

        :raises Unprocessable: a name or a schema that no worker could register; names the place.
        """
        measures = [self._judge(at, spec) for at, spec in enumerate(specs)]
        schedules = await self._store.schedules()
        return [await self._task(lane, measure, schedules) for lane, measure in measures]

    def _judge(self, at: int, spec: TaskSpec) -> tuple[Lane, Measure]:
        if not (is_name(spec.queue) and is_name(spec.name)):
            why = "its names will not do"
        else:
            try:
                return spec.lane, Measure(Checker(spec.signature), self._settings)
            except RegistrationError as error:
                why = str(error)
        raise Unprocessable(f"tasks.{at}: {why}", errors=[{"loc": ["tasks", at], "message": why}])

    async def _task(self, newest: Lane, measure: Measure, schedules: list[Schedule]) -> TaskFit:
        queue, task = newest.queue, newest.task
        known = [entry.lane.signature for entry in self._catalog.signatures(queue, task)]
        found = {
            signature: SignatureFit(signature, signature == newest.signature, self._workers(newest, signature))
            for signature in dict.fromkeys((newest.signature, *known))
        }
        fit = TaskFit(queue, task, [], [], [])
        looked = 0
        for state in STATES:
            before: int | None = None
            while fit.whole:
                page = await self._store.find(JobQuery(queue=queue, task=task, state=state, before=before, limit=PAGE))
                for job in page.items:
                    self._count(job, newest, measure, found, fit)
                looked += len(page.items)
                before = page.next
                if before is None:
                    break
                fit.whole = looked < MOST_JOBS
        fit.signatures = [one for one in found.values() if one.newest or one.jobs or one.workers]
        for schedule in schedules:
            if (schedule.queue, schedule.task) == (queue, task):
                why = measure.fault_of_schedule(schedule)
                if why is not None:
                    fit.schedules.append(Misfit(schedule.id, why))
        return fit

    def _count(self, job: Job, newest: Lane, measure: Measure, found: dict[str, SignatureFit], fit: TaskFit) -> None:
        if not job.signature:
            return  # nobody knew the task yet: it is bound when somebody does
        one = found.get(job.signature)
        if one is None:
            one = found[job.signature] = SignatureFit(job.signature, False, [])
        one.jobs += 1
        if job.signature != newest.signature and (why := measure.fault_of_job(job)) is not None:
            one.misfits += 1
            if len(fit.examples) < MOST_EXAMPLES:
                fit.examples.append(Misfit(job.id, why))

    def _workers(self, newest: Lane, signature: str) -> list[str]:
        return sorted(live.row.name for live in self._roster.offering(newest._replace(signature=signature)))
