"""What one event wants of the store: a unit of writes, each with its guard, applied wholly or not at all.

The core decides, the store commits: `Store.commit` takes a list of units and answers for each `APPLIED` or a `Stale`
that carries the rows as they are now. A stale unit never fails its neighbours.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec

from easyjobs.core.job import Attempt, Edge, Job, Lane, Session
from easyjobs.core.schedule import Schedule
from easyjobs.core.task import TaskSpec


class Insert(msgspec.Struct):
    """A new job. Guards: its `id`, its `key`, its `unique_key` and the `tick` of its schedule are free.

    A job in state `running` comes already claimed; its session must be live and of `epoch`.
    """

    job: Job
    epoch: int = 0


class Update(msgspec.Struct):
    """Set `columns` of `job`'s row and raise its version by one.

    Guard: the row still has `job.version` (and `job.seq`, unless that is 0: not known yet), and, where `state` leaves
    running for anything but completed, `job.cancel`: such an outcome was decided with or without a cancel in sight.
    `past` is kept as a finished attempt.
    `release` names the counter that gets one back: it is given when, and only when, a job that `holds` one leaves
    `running`, so that a store may as well count the running jobs that hold it.
    """

    job: Job
    columns: dict[str, Any]
    past: Attempt | None = None
    release: str | None = None


class Delete(msgspec.Struct):
    """Remove a job with its attempts, its logs and the edges that end at it. Guard: its version."""

    job: Job


class FlagCancel(msgspec.Struct):
    """Note on a running job that `by` wants it to stop. Guard (`version`): it runs `attempt`. Raises no version."""

    id: str
    attempt: int
    by: str


class NoteProgress(msgspec.Struct):
    """Show how far `attempt` is. Silently nothing when the row has moved on. Raises no version."""

    id: str
    attempt: int
    progress: str


class AppendLogs(msgspec.Struct):
    """Keep lines that a job wrote: (attempt, time, level, text). Silently nothing for a job that is gone, or no lines.

    Where `first` is not 0, the lines are those of one attempt, numbered by whoever said them (`voice`) from `first` on.
    Those up to the highest number kept of that attempt and voice are passed over, so that they may be said again; and
    the cursor `n` steps over numbers that were left out, so that a reader sees how many.
    `drop` (from, to) then removes what was kept under these numbers, all of them lower than `first`.
    """

    id: str
    lines: list[tuple[int, float, str, str]]
    voice: str = ""
    first: int = 0
    drop: tuple[int, int] | None = None


class AddEdge(msgspec.Struct):
    """A job waits for another. The follower's `deps_left` is its inserter's business.

    Without `join` the prerequisite is inserted in the same unit, its `followers` counted already. With `join` it was
    there before: its `followers` and its version rise, so that an end decided without this edge is stale. Guard of a
    join (`ended`): it is there and not final. Between two jobs there is one edge; a second is `Broken`.
    """

    edge: Edge
    join: bool = False


class Release(msgspec.Struct):
    """The prerequisite `id` has completed: every edge from it that was not counted yet is counted, once.

    Each such follower's `deps_left` falls by one and its version rises by one; a `waiting` one that reaches 0 becomes
    `queued` (ready if its `run_at` has come) and is among `Committed.released`. One whose turn is `gather` is released
    too, and ready, but stays `waiting`.
    `inside`: `id` is a run that goes on, and only edges to jobs that are part of it are counted.
    """

    id: str
    inside: bool = False


class PutFresh(msgspec.Struct):
    """A job completed `at` that time, which serves whoever looks for one of `keys`; they are kept until `until`, and
    longer than the job. May be repeated: of two, the later `at` and the later `until` stand.
    """

    keys: list[str]
    at: float
    until: float


class Charge(msgspec.Struct):
    """Let one more be counted by `counter`. Guard (`room`): fewer than `most` jobs that run or wait hold it.

    The count itself is changed by the write of the same unit that sets `holds`, which comes after this one.
    """

    counter: str
    most: int


class PutSchedule(msgspec.Struct):
    """Insert a schedule (`was` None) or replace it. Guard: there is none, or it has version `was`.

    The row gets version 1, or `was` + 1, whatever `schedule.version` says.
    """

    schedule: Schedule
    was: int | None = None


class DropSchedule(msgspec.Struct):
    """Remove a schedule; its jobs stay. Guard: it has version `was`."""

    id: str
    was: int


class PutSession(msgspec.Struct):
    """Insert a session, or welcome it again. Guard: it is new, or live with `epoch - 1`."""

    session: Session


class Renew(msgspec.Struct):
    """Move a lease, and say what the worker `offers` now (None: as before). Guard: the session is live, of `epoch`."""

    id: str
    epoch: int
    expires_at: float
    offers: str | None = None


class LoseSession(msgspec.Struct):
    """End a session for good. Guard: it is live, of `epoch` (None: of any), and its lease ends at `expires_by` or
    earlier (None: whenever): nobody has moved it further.
    """

    id: str
    epoch: int | None
    at: float
    expires_by: float | None = None


class PutTask(msgspec.Struct):
    """Keep what is known of a task, a row for each (queue, name, signature); may be repeated."""

    spec: TaskSpec
    seen_at: float


PauseKind = Literal["queue", "task", "worker", "workers", "schedule"]


class PutPause(msgspec.Struct):
    """Stop giving out jobs of a `queue`, a `task` ("queue:name") or a `worker` (its worker_id); of all `workers` (name
    "all"); or stop a `schedule` (its id).

    May be repeated: the first, with its `by` and `at`, stands.
    """

    kind: PauseKind
    name: str
    by: str
    at: float


class DropPause(msgspec.Struct):
    """Undo `PutPause`. May be repeated."""

    kind: PauseKind
    name: str


Write: TypeAlias = (
    Insert
    | Update
    | Delete
    | FlagCancel
    | NoteProgress
    | AppendLogs
    | PutSession
    | Renew
    | LoseSession
    | PutTask
    | PutPause
    | DropPause
    | AddEdge
    | Release
    | PutFresh
    | Charge
    | PutSchedule
    | DropSchedule
)


class Unit(msgspec.Struct):
    """The writes of one event, in order; all or none."""

    writes: list[Write]


class Applied(msgspec.Struct, frozen=True):
    """The unit is durable."""


Why: TypeAlias = Literal["id", "key", "unique", "tick", "version", "cancel", "session", "ended", "schedule", "room"]


class Stale(msgspec.Struct):
    """The unit changed nothing. `why` names the guard that failed; `jobs` are the rows as they are without it.

    `id`, `key`, `unique`, `tick`: the job that is there already. `ended`: the prerequisite, or none when it is gone.
    `schedule`: none; read it again. `room`: none. `version`, `cancel`: the job, or none when it is gone.
    `session`: it is not live or of another epoch.
    """

    why: Why
    jobs: list[Job] = []


class Broken(msgspec.Struct):
    """The store could not write this unit, whatever the others: `reason` says what it refused."""

    reason: str


Verdict: TypeAlias = Applied | Stale | Broken

APPLIED: Final = Applied()


class Offer(msgspec.Struct):
    """A live session, on the machine `system`, that would take up to `slots` jobs of `lanes`."""

    session: str
    epoch: int
    worker: str
    slots: int
    lanes: frozenset[Lane]
    system: str = ""


class Claim(msgspec.Struct):
    """Hand jobs to workers, best first, after the units of the same commit.

    `capacity` bounds lanes by a counter: lane -> (counter's name, most that may run, or wait with it in their hands).
    A ready job that waits, and holds that counter itself, has its turn nevertheless, and takes no slot for it: else
    who has all of the room could never give any back. `tokens` has at least as many fresh random tokens as there are
    slots in all.

    Unless `units` is None, the process units of all jobs that run on one system (those of its sessions, lost ones too)
    stay within what it has: the least that any of its live sessions declares, `placement.UNITS` where none does. A job
    takes as many as `units` says of its lane, else 1.
    """

    offers: list[Offer]
    tokens: list[str]
    capacity: dict[Lane, tuple[str, int]] = {}
    units: dict[Lane, int] | None = None


class Committed(msgspec.Struct):
    """The answer to a commit: a verdict for each unit in order, the jobs that were claimed, in order of urgency, with
    their new rows, the lanes in which nothing is ready any more, the followers that were released, oldest first, as
    they were when the last unit was applied, and those jobs, in order of urgency, that were left as they are although
    there was a slot for them, because their `turn` comes first.
    """

    verdicts: list[Verdict]
    claimed: list[Job] = []
    emptied: list[Lane] = []
    released: list[Job] = []
    turns: list[Job] = []
