"""The contract of a store: durable rows behind one interface. The memory store is its executable specification, and
`easyjobs.testing.conformance` proves every other one equal to it.

A store decides nothing about jobs but three things that must be atomic where the rows are: which jobs a claim takes,
which edge releases a follower, and whether a bounded counter has room.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

from easyjobs.core.changes import Claim, Committed, PauseKind, Unit
from easyjobs.core.job import Attempt, Edge, Job, Lane, LogLine, Session
from easyjobs.core.schedule import Schedule
from easyjobs.core.states import State
from easyjobs.core.task import TaskSpec

SETTABLE: Final[frozenset[str]] = frozenset(Job.__struct_fields__) - {
    "id",
    "seq",
    "version",
    "key",
    "unique_key",
    "followers",
    "schedule",
    "tick",
}
"""The columns that an `Update` may set; a unit that sets another is `Broken`."""


class JobQuery(msgspec.Struct, frozen=True):
    """Which jobs to list, newest first. None leaves a filter out.

    `text` is looked for, as it stands, in the id, task, arguments, error and worker. `since` and `until` bound
    `created_at` (from, inclusive; to, exclusive). `before` is the `seq` the page begins below.
    """

    queue: str | None = None
    task: str | None = None
    state: State | None = None
    worker: str | None = None
    run: str | None = None
    parent: str | None = None
    schedule: str | None = None
    runs: bool = False  # only runs of workflows
    text: str | None = None
    since: float | None = None
    until: float | None = None
    before: int | None = None
    limit: int = 50

    def matches(self, job: Job) -> bool:
        """Whether `job` is among those that are asked for."""
        texts = (job.id, job.task, job.args, job.kwargs, job.error or "", job.worker or "")
        return (
            (self.queue is None or job.queue == self.queue)
            and (self.task is None or job.task == self.task)
            and (self.state is None or job.state == self.state)
            and (self.worker is None or job.worker == self.worker)
            and (self.run is None or job.run == self.run)
            and (self.parent is None or job.parent == self.parent)
            and (self.schedule is None or job.schedule == self.schedule)
            and (not self.runs or job.is_run)
            and (self.text is None or any(self.text in text for text in texts))
            and (self.since is None or job.created_at >= self.since)
            and (self.until is None or job.created_at < self.until)
            and (self.before is None or job.seq < self.before)
        )


class Page(msgspec.Struct):
    """Jobs, newest first; `next` is the `before` of the page that follows, None on the last one."""

    items: list[Job]
    next: int | None


class Count(NamedTuple):
    """How many jobs of a task are in a state."""

    queue: str
    task: str
    state: State
    jobs: int


class Pause(msgspec.Struct, frozen=True):
    """What is paused, by whom, since when."""

    kind: PauseKind
    name: str
    by: str
    at: float


class KnownTask(msgspec.Struct, frozen=True):
    """A task as the store keeps it: `seen_at` is when a worker last registered it, `idle_since` when `retire` found
    that nobody needs it (None: somebody did, or it was registered since).
    """

    spec: TaskSpec
    seen_at: float
    idle_since: float | None = None


class Retired(NamedTuple):
    """The tasks that were removed, and after which one the next look goes on; None: that was the last."""

    tasks: list[Lane]
    next: Lane | None


class Retention(msgspec.Struct, frozen=True):
    """How long jobs that have ended are kept, in seconds since they ended; and how many of them at most, and how many
    bytes the store may take in all (None: as many as there are).
    """

    completed: float = 7 * 86400.0
    others: float = 30 * 86400.0
    rows: int | None = None
    bytes: int | None = None


Kind = Literal["tasks", "pauses", "schedules", "sessions"]


class Hint(msgspec.Struct):
    """What another manager on the same rows has committed, as far as it may concern this one.

    It may come late, twice, or never: a manager that hears nothing reads all of it anew every few seconds.

    `lanes`: something became ready in them. `ended`: these jobs did. `cancels`: running jobs that somebody wants to
    stop. `kinds`: rows of these kinds were written. `more`: other jobs ended, or moved, than are named.
    """

    lanes: list[Lane] = []
    ended: list[str] = []
    cancels: list[str] = []
    kinds: list[Kind] = []
    more: bool = False


class Store(Protocol):
    """Durable state. All methods may be called from one event loop only; `commit` and `promote` never run two at once.

    Every method raises `StoreUnavailable`, `StoreFull` or `StoreCorrupt` (errors.py) for what befalls the store as a
    whole; a unit that cannot be written alone is answered `Broken`.
    """

    @property
    def single_manager(self) -> bool:
        """Whether this process is the only one that claims: then nothing appears in it behind the manager's back.

        Asked each time: others may come while it is open, and then it is so no more. Whoever reads rows first and asks
        then knows whether there may be others' among them.
        """

    async def open(self) -> None:
        """Create or migrate the tables, take the manager's lock, check the file. Once, before all else.

        :raises StoreLocked: another manager has it. StoreCorrupt: damaged, or of a newer version.
        """

    def nearly_full(self) -> bool:
        """Whether so little room is left that new jobs must be refused, so that what has happened can still be written.
        Cheap; asked for each submission.
        """

    def listen(self, heard: Callable[[Hint], None], me: str = "") -> None:
        """Tell `heard`, from `open` on, what other managers commit; it returns at once and raises nothing. Once, before
        `open`. A store of a single manager has nothing to tell, until others come; that is its first hint.

        `me`: who we are, as in the sessions' rows.
        """

    async def gone(self, hubs: Collection[str]) -> set[str]:
        """Those of some hubs (`Session.manager`) that are known to have ended. A store that cannot know names none."""

    async def away(self, hubs: Collection[str]) -> set[str]:
        """Those of some hubs that were there and are not seen any more: they have ended, or lost their way to the store
        and will be back in seconds. A store that cannot know names none.
        """

    async def reset(self, anew: Sequence[TaskSpec] | None = None) -> None:
        """Remove everything, the tables too; unless `anew` is None, make the tables again, which know these tasks.
        Before `open`. Where several managers may be, nobody sees it without tables, and who does the same waits his
        turn.

        :raises StoreLocked: a manager has it.
        """

    async def close(self) -> None:
        """Give up the lock and all connections. May be called twice."""

    def now(self) -> float:
        """Seconds since 1970 by the store's clock; never goes backward within one process."""

    async def commit(self, units: Sequence[Unit], claim: Claim | None = None) -> Committed:
        """Write all units and then the claim in one durable transaction.

        When it returns, what it answers is on disk. When it raises, nothing was written, unless the error says that
        the outcome is unknown (`StoreUnavailable`); then each unit may be committed again, its guards see to the rest.

        Units apply in order, each seeing what those before it wrote; a stale one changes nothing and harms no other.
        Once a unit is applied, the `seq` of each job it inserted is set on the caller's object; nothing else of the
        caller's is changed or kept. Guards are tried in this order: id, key, unique, tick, session; version, cancel.
        The claim takes ready jobs (`queued` or `retry`, run_at come) of the offers' lanes, most urgent first
        (`placement.urgency`), gives them to offers as `placement.place` says, within its `capacity` counters
        and the units of their systems, and
        moves each to `running`: attempt + 1, version + 1, started_at now, its token, session and worker, progress
        empty, `holds` the counter it charged. One with a `turn` takes a slot, so that nothing less urgent gets that,
        but stays ready and as it is, and is among `Committed.turns`; so is one that waits and holds the counter of its
        lane, whatever the room. Offers of sessions that are not live, or of another epoch, are passed over.
        """

    async def lead(self, holder: str, seconds: float) -> int | None:
        """Take the lead, or keep it, for so many `seconds` from now by the store's clock; 0 gives it up.

        The term of who has it now, which rises with each change of hands; None while another manager has the lead.
        """

    async def promote(self, limit: int) -> list[Lane]:
        """Make up to `limit` jobs ready whose `run_at` has come; their lanes. Call again while it gives `limit`."""

    async def next_due(self) -> float | None:
        """The earliest `run_at` among jobs that `promote` has not made ready; None when there is none."""

    async def overdue(self, limit: int) -> list[Job]:
        """Up to `limit` jobs in `waiting`, `queued` or `retry` although their `deadline` has passed, earliest first."""

    async def jobs(self, ids: Sequence[str], bare: bool = False) -> dict[str, Job]:
        """Those of the jobs that exist, by id, as last committed; `bare` without their arguments and result, for who
        only shows how they are.
        """

    async def find(self, query: JobQuery) -> Page:
        """One page of jobs."""

    async def running(self) -> list[Job]:
        """All jobs in state `running`, oldest first."""

    async def cancelling(self) -> list[Job]:
        """The running jobs that somebody wants to stop, oldest first."""

    async def lanes(self) -> list[Lane]:
        """The lanes in which a job is ready."""

    async def counts(self) -> list[Count]:
        """How many live jobs (not final) there are, by queue, task and state."""

    async def totals(self) -> dict[State, int]:
        """How many jobs of each state are stored."""

    async def size(self) -> int:
        """About how many bytes the rows take."""

    async def attempts(self, id: str) -> list[Attempt]:
        """Finished attempts of a job that are no longer on its row, oldest first."""

    async def logs(self, id: str, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """Lines of a job with `n` > `after`, oldest first."""

    async def followers(self, ids: Sequence[str]) -> dict[str, list[tuple[Edge, Job]]]:
        """For each of `ids` for which any job waits: the edges that are not counted yet, with the waiting jobs, oldest
        job first. Who only counts ends ("count") waits as soon as the edge is there, although it may be queued until
        it has all its edges.
        """

    async def edges(self, ids: Sequence[str]) -> list[Edge]:
        """All edges that end at one of `ids`, counted or not: what these jobs waited, or wait, for; by follower and
        prerequisite.
        """

    async def coming(self, queue: str, task: str, limit: int) -> list[Job]:
        """Jobs of a task that will end before long, oldest first: those that run, may be claimed, wait for others or
        are to be tried again; of each of these kinds up to `limit`, of many any.
        """

    async def fresh(self, keys: Sequence[str]) -> dict[str, float]:
        """When a job last completed that serves each of `keys` (`PutFresh`); only keys of which that is known."""

    async def by_run(self, runs: Sequence[str]) -> dict[str, dict[State, int]]:
        """How many jobs that are part of each of these runs are in each state; only runs that have any."""

    async def late(self, limit: int, told: bool = False) -> list[Job]:
        """Up to `limit` jobs that have not begun although their `late_at` has passed, earliest first: those that are
        queued, to be tried again, or wait for others, but for groups and runs that are under way. With `told` those
        whose `late_at` is negative, as somebody was told, unless an attempt of them has failed or crashed since; these
        without their arguments and result.
        """

    async def live_of(self, schedules: Sequence[str]) -> dict[str, list[Job]]:
        """The jobs of these schedules that have not ended, oldest first; only schedules that have any."""

    async def schedules(self) -> list[Schedule]:
        """All schedules, by id."""

    async def sessions(self, lost_since: float | None = None) -> list[Session]:
        """The live sessions, and, if asked, those that were lost at `lost_since` or later; by id."""

    async def tasks(self) -> list[KnownTask]:
        """All tasks that are kept, one for each signature, by queue, name and signature."""

    async def pauses(self) -> list[Pause]:
        """All that is paused, by kind and name."""

    async def prune(self, retention: Retention, limit: int) -> int:
        """Remove up to `limit` jobs that ended too long ago, with their attempts, logs and the edges that end at them;
        how many it removed. Where more have ended than may be kept, or the store takes too many bytes, the oldest of
        them go as well. The jobs of a run stay as long as the run's own row does, and go after it.

        Sessions that were lost so long ago (as `others`) go too, uncounted, and the keys of `PutFresh` that were to be
        kept until now.
        One call looks at a bounded part of the rows, the next goes on from there; on a small store one call sees all.
        """

    async def retire(self, keep: float, after: Lane | None, limit: int) -> Retired:
        """Look at up to `limit` tasks, in the order of `tasks`, from the first that comes `after` one: note since when
        nobody needs them, and remove those of which that is `keep` seconds ago (`core.keeping.fate`). Who needs one: a
        live session that offers it, a job, a schedule, a pause.
        """
