"""Slots and the jobs in them: starts what is assigned, stops what is cancelled, reports what has ended.

A job that awaits another gives its slot away and takes one again afterwards, ahead of jobs that have not begun.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from easyjobs.background import Nursery
from easyjobs.clock import Clock
from easyjobs.executors.base import Executor
from easyjobs.executors.children import Children
from easyjobs.executors.ran import Ran
from easyjobs.protocol.logs import shortened, speakable
from easyjobs.protocol.messages import Assignment, Held, Outcome
from easyjobs.protocol.parent_side import ParentSide
from easyjobs.tasks.registry import Registry
from easyjobs.workers.run import Run

SHUTTING_DOWN = "the worker is shutting down"
ALONE = "the worker runs a job alone"
BUSY = "the job is to run alone, and the worker did not become free for it in time"
REVIEW = 5.0
"""Seconds between two looks at threads that were abandoned."""

MOST_UNTOLD = 1_000
"""What threads have told and the loop has not taken up; one that tells more waits a moment each time."""

MOMENT = 0.05

STOPPING = 2.0
"""Seconds that cancelled jobs get to end before they are handed back anyway."""

KILLED: Final = 1.0
"""Seconds that child processes which were killed get to be gone: what is handed back must not run here any more."""


class Runner:
    """Runs what the manager assigns, in `slots`. All methods but `log` and `progress` belong to the loop's thread.

    :param side: is told every outcome; `wake`: there is something to send.
    :param stuck: how many threads were abandoned and have not come back.
    :param extra_threads: called with +1 and -1 when a job in a thread begins and ceases to await another.
    """

    def __init__(
        self,
        side: ParentSide,
        registry: Registry,
        executor: Executor,
        children: Children,
        slots: int,
        wake: Callable[[], None],
        *,
        clock: Clock,
        nursery: Nursery,
        stuck: Callable[[], int] = lambda: 0,
        extra_threads: Callable[[int], None] = lambda n: None,
    ) -> None:
        self._side = side
        self._registry = registry
        self._executor = executor
        self._children = children
        self._slots = slots
        self._wake = wake
        self._clock = clock
        self._nursery = nursery
        self._stuck = stuck
        self._extra_threads = extra_threads
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._untold = threading.Semaphore(MOST_UNTOLD)
        self._runs: dict[str, Run] = {}
        self._withdrawn: dict[Run, None] = {}
        self._unstarted: deque[Run] = deque()
        self._resuming: deque[asyncio.Future[None]] = deque()
        self._active = 0
        self._parked = 0
        self._quarantined = 0
        self._reviewing: asyncio.TimerHandle | None = None
        self._isolated = 0  # jobs in hand that are to run alone
        self._exclusive: Run | None = None  # the one of them that does
        self._draining = False
        self._hurried = False
        self._changed = asyncio.Event()

    # -- what the manager says

    def begin(self, assignments: Sequence[Assignment]) -> None:
        """Run these, as soon as there are slots. What cannot run here is handed back."""
        for assignment in assignments:
            task = self._registry.get(assignment.queue, assignment.task)
            if task is None or self._draining:
                unknown = f"this worker has no task {assignment.queue}:{assignment.task}"
                self._hand_back(assignment, SHUTTING_DOWN if self._draining else unknown)
                continue
            run = self._runs[assignment.job] = Run(assignment, task, self)
            if assignment.isolate:
                self._isolate(run)
            if self._active < self._slots and not self._unstarted and not self._isolated:
                self._start(run)
            else:
                self._unstarted.append(run)
        if self._isolated:
            self._fill()  # where nothing runs, no end of a job would let the one begin that is to run alone
            for run in [run for run in self._unstarted if not run._alone]:
                self._drop(run)  # it may wait for hours here, and other workers may be free
                self._hand_back(run._assignment, ALONE)

    def cancel(self, jobs: Iterable[Held]) -> None:
        """Stop these; each ends with an outcome. What has not begun never will."""
        for held in jobs:
            run = self._runs.get(held.job)
            if run is not None and run._assignment.token == held.token:
                if run._started is None:
                    self._drop(run)
                    self._report(run._assignment, Ran("stopped"))
                else:
                    run.request_cancel()

    def withdraw(self, jobs: Iterable[Held]) -> None:
        """These are not ours any more: stop them; what they end with is nobody's business."""
        for held in jobs:
            run = self._runs.get(held.job)
            if run is None or run._assignment.token != held.token:
                continue
            self._drop(run)
            if run._started is not None:
                self._withdrawn[run] = None
                run.request_cancel()

    def _drop(self, run: Run) -> None:
        del self._runs[run._assignment.job]
        if run._started is None:
            self._unstarted.remove(run)
            if run._alone:
                self._mingle(run)

    def _isolate(self, run: Run) -> None:
        """The last attempt of this job took its worker with it: whatever it does, it does to itself."""
        run._child = self._children.possible(run._bound)
        if not run._child:
            run._alone = True
            self._isolated += 1
            self._offer()
            if run._assignment.timeout is not None:
                # by then and a little more the manager takes it to have run, and us to be silent about its end
                self._loop.call_later(run._assignment.timeout, self._overdue, run)

    def _overdue(self, run: Run) -> None:
        if run._started is None and self._runs.get(run._assignment.job) is run:
            self._drop(run)
            self._hand_back(run._assignment, BUSY)

    def _mingle(self, run: Run) -> None:
        """`run` is not, or need not be, alone any more."""
        run._alone = False
        self._isolated -= 1
        if self._exclusive is run:
            self._exclusive = None
        self._offer()
        self._fill()

    # -- slots

    def _start(self, run: Run) -> None:
        self._active += 1
        if run._alone:
            self._exclusive = run
        run._started = self._nursery.spawn(self._run(run), run._assignment.task)

    async def _run(self, run: Run) -> None:
        run._begun = True
        assignment = run._assignment
        executor = self._children if run._child else self._executor
        ran = await executor.run(run._bound, assignment.args, assignment.kwargs, run, assignment.timeout)
        run._over = True
        if run._waits:
            self._parked -= 1
            self._lend_thread(run, -1)
            self._offer()
        else:
            self._active -= 1
        if self._runs.get(assignment.job) is run:
            del self._runs[assignment.job]
            if run._handed_back and ran.end not in ("completed", "recorded"):
                self._hand_back(assignment, SHUTTING_DOWN)
            else:
                self._report(assignment, ran)
        else:
            self._withdrawn.pop(run, None)
        if ran.end != "completed" and self._stuck() != self._quarantined:
            self._review()
        if run._alone:
            self._mingle(run)
        if self._unstarted or self._resuming:
            self._fill()
        self._changed.set()

    def _report(self, assignment: Assignment, ran: Ran) -> None:
        if ran.end == "recorded":
            self._side.settled(assignment.job, assignment.token)
            return
        outcome = Outcome(assignment.job, assignment.attempt, assignment.token, ran.end, ran.result)
        if ran.end == "failed":
            outcome.error = ran.error
            outcome.final = ran.final
            outcome.delay = ran.delay
        self._say(outcome)

    def _hand_back(self, assignment: Assignment, reason: str) -> None:
        self._say(Outcome(assignment.job, assignment.attempt, assignment.token, "returned", reason=reason))

    def _say(self, outcome: Outcome) -> None:
        if self._side.finish(outcome):
            self._wake()

    def _fill(self) -> None:
        """Give free slots away: first to jobs that have awaited another, then to new ones."""
        while self._active < self._slots and self._exclusive is None:
            if self._resuming:
                waiting = self._resuming.popleft()
                if not waiting.done():
                    self._active += 1
                    waiting.set_result(None)
            elif self._unstarted and not (self._unstarted[0]._alone and self._active):
                self._start(self._unstarted.popleft())
            else:
                return

    def park(self, run: Run) -> None:
        """`run` awaits a job; its slot is free for others until `unpark`. May be nested."""
        if run._over:
            return
        run._waits += 1
        if run._waits == 1:
            self._active -= 1
            self._parked += 1
            self._lend_thread(run, +1)
            if run._alone:
                self._mingle(run)  # what it awaits may have to run here
            self._offer()
            self._fill()

    async def unpark(self, run: Run) -> None:
        """`run` awaits one job less; with the last one, wait for a slot."""
        if run._over:
            return
        run._waits -= 1
        if run._waits:
            return
        self._parked -= 1
        self._lend_thread(run, -1)
        self._offer()
        if self._active < self._slots and not self._resuming and self._exclusive is None:
            self._active += 1
            return
        slot: asyncio.Future[None] = self._loop.create_future()
        self._resuming.append(slot)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.cancelled():
                self._active += 1  # it goes on without one, to its end, which gives one back
            raise

    def _lend_thread(self, run: Run, n: int) -> None:
        """A function that awaits keeps its thread, so that others need one more."""
        if not run._bound.is_coroutine and not run._child:
            self._extra_threads(n)

    def _review(self) -> None:
        """A slot whose thread was abandoned is quarantined until that thread comes back, which nobody tells."""
        self._quarantined = self._stuck()
        self._offer()
        if self._quarantined and self._reviewing is None:
            self._reviewing = self._loop.call_later(REVIEW, self._review_again)

    def _review_again(self) -> None:
        self._reviewing = None
        self._review()

    def _offer(self) -> None:
        slots = 0 if self._draining or self._isolated else max(0, self._slots - self._quarantined)
        self._side.offer(slots, self._parked)
        self._wake()

    # -- leaving

    async def drain(self, grace: float) -> None:
        """Take nothing more and hand back what has not begun; let the rest end within `grace` seconds, then hand it
        back too. Returns when nothing is in hand. Once.
        """
        self._draining = True
        self._offer()
        while self._unstarted:
            run = self._unstarted[0]
            self._drop(run)
            self._hand_back(run._assignment, SHUTTING_DOWN)
        await self._idle(grace)
        for run in [*self._runs.values(), *self._withdrawn]:
            run._handed_back = True
            run.request_cancel()
        self._hurried = False
        await self._idle(STOPPING)
        self._children.kill()
        await self._idle(KILLED)
        for run in list(self._runs.values()):
            self._drop(run)
            self._hand_back(run._assignment, f"{SHUTTING_DOWN}; the job did not stop")
        if self._reviewing is not None:
            self._reviewing.cancel()

    def hurry(self) -> None:
        """End the grace of `drain` now. May be called at any time."""
        self._hurried = True
        self._changed.set()

    async def _idle(self, patience: float) -> None:
        """Wait until nothing runs, `patience` seconds have passed, or somebody is in a hurry."""
        try:
            async with asyncio.timeout(patience):
                while (self._runs or self._withdrawn) and not self._hurried:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass

    # -- what jobs tell, from any thread

    def log(self, job_id: str, level: str, text: str) -> None:
        """As `Reporter.log`."""
        text = shortened(speakable(text), self._side.limits.log_line)  # here: 1,000 long ones may wait
        self._tell(self._side.log, job_id, self._clock.wall(), level, text)

    def progress(self, job_id: str, value: float | None, note: str) -> None:
        """As `Reporter.progress`."""
        self._tell(self._side.progress, job_id, value, note)

    def _tell(self, say: Callable[..., None], *what: Any) -> None:
        if threading.get_ident() == self._thread:
            say(*what)
            self._wake()
        elif not self._loop.is_closed():
            # a thread that tells faster than the loop turns, or while it is blocked, must not fill the memory
            counted = self._untold.acquire(timeout=MOMENT)
            self._loop.call_soon_threadsafe(self._told, counted, say, *what)

    def _told(self, counted: bool, say: Callable[..., None], *what: Any) -> None:
        if counted:
            self._untold.release()
        self._tell(say, *what)

    # -- for the watchdog, from its thread

    def taken_up(self) -> list[Held]:
        """What the watchdog may vouch for: all in hand but the assignments that have not begun, which the manager may
        give to others while the loop is blocked.
        """
        runs = self._runs.copy()
        return [held for held in self._side.named() if (run := runs.get(held.job)) is None or run._begun]

    def on_the_loop(self) -> str | None:
        """The `queue:task` whose coroutine the loop is stepping now; None when it is no job's, or cannot be told."""
        current = asyncio.current_task(self._loop)
        for run in list(self._runs.values()):
            if run._started is current:
                return f"{run._assignment.queue}:{run._assignment.task}"
        return None
