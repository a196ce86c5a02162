"""Jobs and their kin, as the API says them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from easyjobs.api.shapes import JobOut, Time, job_out, maybe_time, time
from easyjobs.core.events import reason_of
from easyjobs.core.job import Relation
from easyjobs.core.states import State
from easyjobs.hub.kin import Branch, Kin, Tree

Why = Annotated[
    Relation,
    Meta(
        description="Why `parent` made it: it called it, needed it `before` itself, had it run `after`, has it look "
        "after its `failure`, depends on it (`dependency`), is the group or map of which it is a `member`, or the run "
        "of which it is a `node`."
    ),
]
Ids = Annotated[list[str], Meta(description="Ids of jobs.")]


class JobView(JobOut, frozen=True):
    """A job with its kin: `children` are the newest thousand that it made; `waits_for` must complete first, and have
    not.
    """

    relation: Why | None
    retry_of: Annotated[str, Meta(description="The job that this one runs again.")] | None
    children: Ids
    waits_for: Ids


class BranchOut(msgspec.Struct, frozen=True):
    """A job in its chain, `depth` steps below the root. `error` is one line; the job itself has it whole."""

    id: str
    queue: str
    task: str
    state: State
    depth: int
    parent: str | None
    relation: Why | None
    retry_of: str | None
    prerequisites: Annotated[list[str], Meta(description="Ids of the jobs that had to complete, or have to, first.")]
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    error: str | None


class TreeOut(msgspec.Struct, frozen=True):
    """A whole chain, each job before those that it made."""

    root: str
    items: list[BranchOut]
    cut: Annotated[bool, Meta(description="Whether there are more jobs than the thousand that are shown.")]


def job_view(kin: Kin) -> JobView:
    """A job with its kin."""
    job = kin.job
    known = msgspec.structs.asdict(job_out(job))
    return JobView(
        **known, relation=job.relation, retry_of=job.retry_of, children=kin.children, waits_for=kin.waits_for
    )


def tree_out(tree: Tree) -> TreeOut:
    """A chain."""
    return TreeOut(tree.root, [_branch_out(branch) for branch in tree.items], tree.cut)


def _branch_out(branch: Branch) -> BranchOut:
    job = branch.job
    return BranchOut(
        job.id,
        job.queue,
        job.task,
        job.state,
        branch.depth,
        job.parent,
        job.relation,
        job.retry_of,
        branch.prerequisites,
        time(job.created_at),
        maybe_time(job.started_at),
        maybe_time(job.finished_at),
        reason_of(job.error) or None,
    )
