"""What waits for the committer: new jobs, words about jobs, and chores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from easyjobs.core.chain import TaskName
from easyjobs.core.changes import Stale, Write
from easyjobs.core.events import Event
from easyjobs.core.job import Job
from easyjobs.core.states import State
from easyjobs.errors import Refused

Judgement: TypeAlias = Literal["applied", "duplicate", "stale", "settled", "gone"]


class Arrival(msgspec.Struct):
    """Jobs that passed the door; `together`: all or none.

    `done` is called once, after the commit: each job is then stored, or `instead` has the one that its id, key or
    uniqueness already belonged to, or `refused` says why not, and `blamed` names the job for whose sake
    all were refused. `pending` counts the units that are not answered. `joins` are live jobs, by `unique_key`, that
    prerequisites join. `writes` go before the jobs of an arrival that is `together`, in the same unit. `queued`: none
    is to begin at once, because the store does not know the session that it was to begin in.
    """

    jobs: list[Job]
    together: bool
    done: Callable[[Arrival], None]
    instead: dict[str, Job] = {}
    refused: dict[str, Refused] = {}
    blamed: str | None = None
    pending: int = 0
    joins: dict[str, Job] = {}
    writes: list[Write] = []
    queued: bool = False

    @property
    def keyed(self) -> bool:
        """Whether a stranger's key may stand in its way: such arrivals are committed apart from all else."""
        return any(job.key is not None or job.unique_key is not None for job in self.jobs)

    def refuse(self, why: Refused) -> None:
        """None of it is stored."""
        self.refused = {job.id: why for job in self.jobs}
        self.done(self)


class Candidate(NamedTuple):
    """A job on its way, with all its arguments by name; None where they cannot be read."""

    job: Job
    arguments: dict[str, Any] | None


class Facts(msgspec.Struct):
    """What was read for a job whose turn has come: when what it needs was last done, by key; the jobs on their way, by
    task; the states of a group's members, by id; other jobs, by id, of which it takes something. Of a run that is to
    end: how many of its jobs are in each state, those that have not ended, and the first that did not complete. Of a
    map that is to end: the bytes of its results, with one for what follows each; those past the limit are not kept.
    """

    fresh: dict[str, float] = {}
    coming: dict[TaskName, list[Candidate]] = {}
    members: dict[str, State] = {}
    rows: dict[str, Job] = {}
    counts: dict[State, int] = {}
    live: list[Job] = []
    bad: Job | None = None
    size: int = 0


class Word(msgspec.Struct):
    """An event about a job. `done` is called once, after the commit, with what became of it and the row as it is then.

    `row` is the row to decide on where it was just read; None: the one in memory, else the store's. `joins` are live
    jobs, by `unique_key`, that followers join. With `facts` its turn has come, and the event says only of which kind.
    """

    id: str
    event: Event
    done: Callable[[Word, Judgement, Job | None], None] | None = None
    row: Job | None = None
    tries: int = 0
    joins: dict[str, Job] | None = None
    facts: Facts | None = None

    def answer(self, judgement: Judgement, row: Job | None) -> None:
        """Tell whoever wants to know."""
        if self.done is not None:
            self.done(self, judgement, row)


class Chore(msgspec.Struct):
    """Writes that move no job. `done` is called once, after the commit, with what stood in the way, if anything did."""

    writes: list[Write]
    done: Callable[[Stale | None], None] | None = None


Entry: TypeAlias = Arrival | Word | Chore
