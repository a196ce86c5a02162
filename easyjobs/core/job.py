"""A job, its attempts and its sessions as plain rows: what every store keeps and every floor above passes on.

Times are seconds since 1970 UTC as the store's clock tells them. `args`, `kwargs`, `result`, `error` and `progress`
are JSON text that nobody between the two doors parses again.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from easyjobs.core.states import FINAL, State


class Lane(NamedTuple):
    """Jobs that any one worker can run or not run alike: one task of one queue, judged by one signature."""

    queue: str
    task: str
    signature: str


Relation = Literal["call", "before", "after", "failure", "dependency", "member", "node"]
"""Why a job's parent made it: by calling it, because it must end first (`run_before`), because it follows
(`run_after`), because it looks after a failure (`on_failure`), because the parent needs it fresh (`dependencies`),
because the parent is a group (`write_all`, a map) of which it is a part, or because it is a node of the run that the
parent is.
"""

Turn = Literal["check", "spread", "gather", "bind", "map", "expand", "close"]
"""What must be done about a job when its turn comes, in place of running it: `check` whether what it depends on is
fresh; `spread` a group into its members; `gather` it when all of those have ended; `bind` the arguments of a node to
the results that it takes; `map` a node over a list that it takes; `expand` a run into its nodes; `close` it when all of
those have ended.
"""


class Job(msgspec.Struct):
    """One call of a task. A store may rely on this order of fields for its columns.

    `seq` is the store's own growing key, set when it is inserted; `version` rises with every change that a store
    commits to the row, except `cancel` and `progress`, and is the guard of the next one.
    """

    id: str
    queue: str
    task: str
    signature: str = ""
    args: str = "[]"
    kwargs: str = "{}"
    state: State = "queued"
    priority: int = 0
    created_at: float = 0.0
    run_at: float = 0.0
    max_attempts: int = 1
    seq: int = 0
    version: int = 0
    attempt: int = 0  # number of the last attempt that began; never lowered, never reused
    failures: int = 0  # attempts that ended in an error: the retry budget
    crashes: int = 0  # attempts whose worker died, within the 24 hours before the last of them
    token: str | None = None  # of the attempt that is running
    session: str | None = None  # that holds the attempt that is running
    worker: str | None = None  # name of the last worker, for people
    started_at: float | None = None  # of the last attempt
    finished_at: float | None = None
    result: str | None = None
    error: str | None = None  # {type, message, traceback} of the last failure
    progress: str | None = None  # {value, note}
    cancel: str | None = None  # who asked a running job to stop; raises no version
    timeout: float | None = None  # seconds an attempt may take
    deadline: float | None = None  # must have started by then
    parent: str | None = None  # id of the job that made this one
    retry_of: str | None = None  # id of the job that this one repeats
    run: str | None = None
    key: str | None = None  # the caller's idempotency key
    body: str | None = None  # hash of what came with the key
    unique_key: str | None = None  # at most one job that is not final has it
    holds: str | None = None  # name of the counter charged while it runs
    relation: Relation | None = None  # to its parent
    deps_left: int = 0  # prerequisites that have not completed; the store counts them down
    followers: int = 0  # edges that begin here: when it ends, somebody waits for that
    schedule: str | None = None  # id of the schedule that made it
    tick: float | None = None  # the nominal time it was made for; no two jobs of a schedule have the same
    crashed_at: str | None = None  # JSON list of the times of its crashes, as far as they count
    turn: Turn | None = None  # what comes before it may be claimed
    node: str | None = None  # its name in the graph of the run that it is part of
    late_at: float | None = None  # not begun by then, it is late, and somebody is told; negative: that was done

    @property
    def lane(self) -> Lane:
        """The lane in which it waits."""
        return Lane(self.queue, self.task, self.signature)

    @property
    def is_run(self) -> bool:
        """Whether it is a run of a workflow, whose nodes are jobs."""
        return self.turn == "expand" or self.turn == "close"

    @property
    def final(self) -> bool:
        """Whether it has ended for good."""
        return self.state in FINAL


AttemptEnd = Literal["completed", "failed", "cancelled", "returned", "crashed"]


class Attempt(msgspec.Struct):
    """One execution of a job that has ended, or the one on its row. `end` is None while it runs."""

    job: str
    attempt: int
    worker: str | None
    started_at: float | None
    finished_at: float | None
    end: AttemptEnd | None
    error: str | None = None


class Edge(msgspec.Struct, frozen=True):
    """`follower` waits for `prerequisite`. `bad` is what becomes of the follower when that does not complete: it fails,
    is skipped, or counts that end like any other.
    """

    prerequisite: str
    follower: str
    bad: Literal["fail", "skip", "count"] = "fail"


class LogLine(msgspec.Struct):
    """One line a task wrote. `n` grows with each line of a job and is the cursor of its reader; a number that is
    missing is that of a line that was left out.
    """

    n: int
    attempt: int
    at: float
    level: str
    text: str


class Session(msgspec.Struct):
    """One worker process as the manager knows it, across reconnects.

    `lost` is final. `epoch` rises with every welcome; what was said under an older one is stale.
    """

    id: str
    worker_id: str
    name: str
    host: str
    epoch: int
    state: Literal["live", "lost"]
    started_at: float
    expires_at: float
    queues: str = "[]"  # JSON list
    slots: int = 0
    embedded: str | None = None  # id of the manager process it lives and dies with
    ended_at: float | None = None
    pid: int | None = None
    version: str = ""
    offers: str = "[]"  # JSON list of [queue, task, signature]: the lanes it takes jobs of
    manager: str = ""  # id of the manager process that welcomed it last
    system: str = ""  # the machine it runs on
    units: int | None = None  # process units that this machine has, as far as this worker was told
    life: str = ""  # a word of the process that was welcomed last; "" where it has none
    hellos: int = 0  # how many times it had said hello by then
    opened_at: float = 0.0  # when the connection was opened on which it was welcomed last
