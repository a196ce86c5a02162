"""Makes the jobs of schedules. A tick is one unit: the schedule moves on and its job is there, or neither.

So no tick is fired twice, whoever crashes when: the schedule's version is the guard, and `last_at` only grows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from easyjobs.core import cron
from easyjobs.core.changes import PutSchedule, Stale
from easyjobs.core.events import CancelRequested
from easyjobs.core.job import Job
from easyjobs.core.schedule import Schedule
from easyjobs.errors import Conflict, Refused, StorageFull, StoreError, Unavailable
from easyjobs.hub.announcer import Announcer
from easyjobs.hub.committer import Committer
from easyjobs.hub.dispatcher import Dispatcher
from easyjobs.hub.entries import Arrival, Chore, Word
from easyjobs.hub.schedules import admitted
from easyjobs.hub.submission import Admission
from easyjobs.hub.timetable import Planned, Timetable
from easyjobs.ids import Ids
from easyjobs.stores.base import Store

PAGE = 500
SLICE = 50  # ticks that are worked out before others may run
AGAIN = 1.0  # seconds until a tick that the store did not take is tried again
LOOK = 5.0  # seconds between looks at a job that holds a tick, should its end not be announced


class Ticker:
    """Decides what is due, a page at a time and of each schedule one tick at a time; sleeps until the next is due."""

    name = "ticker"

    def __init__(
        self,
        store: Store,
        timetable: Timetable,
        admission: Admission,
        committer: Committer,
        dispatcher: Dispatcher,
        announcer: Announcer,
        ids: Ids,
    ) -> None:
        self._store = store
        self._timetable = timetable
        self._admission = admission
        self._committer = committer
        self._dispatcher = dispatcher
        self._announcer = announcer
        self._ids = ids
        self._reviewed = False

    async def run_once(self, now: float) -> float | None:
        """Decide one page of ticks; at once again while there are more."""
        if self._dispatcher.stopped:
            return None
        if not self._reviewed:
            await self._review()
            self._reviewed = True
        page = self._timetable.due(now, PAGE)
        if page:
            try:
                await self._decide(page, now)
            except StoreError:
                for planned in page:
                    self._timetable.look(planned, now + AGAIN)
                raise
        return self._timetable.next_look()

    async def _review(self) -> None:
        """Times that were worked out by an earlier manager may be others by this one's knowledge of time zones."""
        for planned in list(self._timetable.rows.values()):
            row = planned.row
            if row.next_at is not None and row.rule.timezone != "UTC":
                self._timetable.look(planned, cron.next_after(row.rule, _anchor(row)))
                await asyncio.sleep(0)

    async def _decide(self, page: list[Planned], now: float) -> None:
        pauses = self._timetable.pauses
        asked = [p.row.id for p in page if p.row.rule.overlap != "allow" and p.row.id not in pauses]
        live = await self._store.live_of(asked) if asked else {}
        answers = _Answers()
        for number, planned in enumerate(page, 1):
            self._tick(planned, live.get(planned.row.id, ()), now, answers)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        await answers.all()
        if answers.stale:
            self._timetable.refresh(answers.stale, await self._store.schedules())

    def _tick(self, planned: Planned, live: list[Job] | tuple[()], now: float, answers: _Answers) -> None:
        row = planned.row
        rule = row.rule
        anchor = _anchor(row)
        if self._timetable.rows.get(row.id) is not planned:
            return  # it was removed since
        if now <= anchor:
            # the clock was set back: what has ticked does not tick again
            self._timetable.look(planned, cron.next_after(rule, anchor))
            return
        if any(job.tick is not None and anchor < job.tick <= now for job in live):
            live = ()  # nobody told this manager that it has ticked: what it would write is refused, for its row is old
        ticks, following = cron.due(rule, anchor, now)
        if planned.held or row.id in self._timetable.pauses or (live and rule.overlap == "skip"):
            ticks = cron.missed(rule, anchor, now, 1)  # of all that have come, only the last counts
        if row.id in self._timetable.pauses or (live and rule.overlap == "skip"):
            self._pass_over(planned, ticks, following, answers)
        elif not ticks:
            self._pass_over(planned, cron.missed(rule, anchor, now, 1), following, answers)
        elif live:
            self._hold(planned, live, now)
        else:
            tick, *others = ticks
            self._fire(planned, tick, others[0] if others else following, now, answers)

    def _pass_over(self, planned: Planned, ticks: list[float], following: float | None, answers: _Answers) -> None:
        """No job is made of these ticks."""
        row = planned.row
        if not ticks and following == row.next_at:
            self._timetable.look(planned, following)  # it was looked at too early
            return
        last_at = ticks[-1] if ticks else row.last_at
        self._move(planned, msgspec.structs.replace(row, last_at=last_at, next_at=following), answers)

    def _move(self, planned: Planned, new: Schedule, answers: _Answers) -> None:
        was = planned.row.version
        answer = answers.one()

        def done(stale: Stale | None) -> None:
            if stale is None:
                new.version = was + 1
                self._timetable.put(new)
            else:
                answers.stale.append(new.id)
            answer()

        self._committer.add(Chore([PutSchedule(new, was)], done))

    def _hold(self, planned: Planned, live: list[Job] | tuple[()], now: float) -> None:
        """The tick waits for the end of the job before."""
        if not planned.held and planned.row.rule.overlap == "cancel_previous":
            for job in live:
                self._committer.add(Word(job.id, CancelRequested(f"schedule {planned.row.id}")))
        planned.held = True
        for job in live:
            self._announcer.wait(job.id, self._ended)
        self._timetable.look(planned, now + LOOK)

    def _ended(self, job: Job) -> None:
        planned = self._timetable.rows.get(job.schedule or "")
        if planned is not None and planned.held:
            self._timetable.look(planned, self._store.now())

    def _fire(self, planned: Planned, tick: float, following: float | None, now: float, answers: _Answers) -> None:
        row = planned.row
        new = msgspec.structs.replace(row, last_at=tick, next_at=following)
        delay = self._ids.jitter() * row.rule.jitter if row.rule.jitter else None
        try:
            job = admitted(row, self._admission, self._ids, now, delay)
        except Refused as why:
            self._fail(planned, new, why, answers)
            return
        job.tick = tick
        new.last_job = job.id
        answer = answers.one()

        def done(arrival: Arrival) -> None:
            why = arrival.refused.get(job.id)
            if why is None and not arrival.instead:
                new.version = row.version + 1
                self._timetable.put(new)
                self._timetable.note(planned, None)
            elif why is None:
                # a job that is unique runs already, or the tick was fired by a schedule of this name before
                new.last_job = arrival.instead[job.id].id
                self._move(planned, new, answers)
            elif isinstance(why, Conflict):
                answers.stale.append(row.id)
            elif isinstance(why, Unavailable | StorageFull):
                self._timetable.look(planned, now + AGAIN)
            else:
                new.last_job = row.last_job
                self._fail(planned, new, why, answers)
            answer()

        self._committer.add(Arrival([job], True, done, writes=[PutSchedule(new, row.version)]))

    def _fail(self, planned: Planned, new: Schedule, why: Refused, answers: _Answers) -> None:
        """The tick makes no job, and says why; the next one tries again."""
        self._timetable.note(planned, str(why))
        self._move(planned, new, answers)


class _Answers:
    """Counts what of a page is not answered yet, and keeps the schedules whose rows had changed."""

    def __init__(self) -> None:
        self.stale: list[str] = []
        self._open = 1
        self._done = asyncio.get_running_loop().create_future()

    def one(self) -> Callable[[], None]:
        """There is one more to wait for; call what it gives when it is answered."""
        self._open += 1
        return self._answered

    def _answered(self) -> None:
        self._open -= 1
        if self._open == 0 and not self._done.done():
            self._done.set_result(None)

    async def all(self) -> None:
        """Return when all have been answered. Once."""
        self._answered()
        await self._done


def _anchor(row: Schedule) -> float:
    """What has ticked until then is decided."""
    return max(row.last_at or 0.0, row.updated_at)
