"""Strategies for the random stories of chains and schedules.

A batch in which anything is stale is written unit by unit, so most batches here must have nothing stale in them: each
unit is about jobs that are as it says, and that no other unit of the batch is about.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence

from hypothesis import strategies as st

from easyjobs.core.changes import (
    AddEdge,
    AppendLogs,
    Charge,
    Delete,
    DropSchedule,
    Insert,
    NoteProgress,
    PutSchedule,
    Release,
    Unit,
    Update,
    Write,
)
from easyjobs.core.job import Edge, Job
from easyjobs.core.schedule import Rule, Schedule
from easyjobs.testing.conformance.operations import IDS, SCHEDULES, delays


class Cast:
    """Who may play in the units of a batch: live rows as they are and ids that are free, each given out once."""

    def __init__(self, now: float, rows: Sequence[Job], ids: Sequence[str], waited_for: Collection[str]) -> None:
        self.now = now
        self.plans: dict[str, int] = {}  # version of each schedule
        self._rows = {job.id: job for job in rows if not job.final}
        self._firsts = [id for id in self._rows if id in waited_for]
        self._waiting = [id for id, job in self._rows.items() if job.state == "waiting"]
        self._ids: Iterator[str] = iter(ids)

    def row(self, most: Sequence[str] = ()) -> Job:
        """A job that is there, of `most` if possible; when there is no more, one that is not."""
        id = next((id for id in (*most, *self._rows) if id in self._rows), None)
        return Job("nobody", "etl", "load") if id is None else copy.copy(self._rows.pop(id))

    def first(self) -> Job:
        """A job for which another waits."""
        return self.row(self._firsts)

    def waiting(self) -> Job:
        """A job that waits."""
        return self.row(self._waiting)

    def new(self) -> Job | None:
        """A job that is not there; None when no id is left."""
        id = next(self._ids, None)
        return None if id is None else Job(id, "etl", "load", created_at=self.now, run_at=self.now)


@st.composite
def beginnings(draw: st.DrawFn, cast: Cast) -> list[Write]:
    """A follower, which may be a run, that waits for new jobs, or for one that is there."""
    follower = cast.new()
    if follower is None:
        return [Release("nobody")]
    follower.state, follower.run_at = "waiting", cast.now + draw(delays)
    follower.turn = draw(st.sampled_from([None, None, "gather", "close"]))
    writes: list[Write] = [Insert(follower)]
    if follower.turn == "close":
        follower.holds = "c1"
        writes.insert(0, Charge("c1", draw(st.integers(2, 9))))
    for _ in range(draw(st.integers(1, 2))):
        first = cast.new() if draw(st.integers(0, 2)) else None
        follower.deps_left += 1
        if first is None:
            writes.append(AddEdge(Edge(cast.row().id, follower.id), join=True))
        else:
            first.followers, first.relation = 1, "before"
            writes += [Insert(first), AddEdge(Edge(first.id, follower.id))]
    return writes


@st.composite
def ends(draw: st.DrawFn, cast: Cast) -> list[Write]:
    """A job completes and releases those that wait for it; now and then another, or twice."""
    job = cast.first()
    other = draw(st.sampled_from([job.id] * 5 + IDS[:1]))
    end: list[Write] = [] if job.id == "nobody" else [Update(job, {"state": "completed", "finished_at": cast.now})]
    return [*end, *[Release(other)] * draw(st.sampled_from([1, 1, 1, 2]))]


@st.composite
def changes(draw: st.DrawFn, cast: Cast) -> list[Write]:
    """Whatever else befalls a job, which may be a follower or have some."""
    kind = draw(
        st.sampled_from(["update"] * 3 + ["wait", "delete", "progress", "logs", "release", "edge", "edge", "join"])
    )
    job = draw(st.sampled_from([cast.first, cast.waiting]))()
    if kind == "release" or job.id == "nobody":
        return [Release(job.id, inside=draw(st.sampled_from([False, False, True])))]
    if kind == "progress":
        return [NoteProgress(job.id, job.attempt, "half")]
    if kind == "logs":
        return [AppendLogs(job.id, [(job.attempt, cast.now, "info", "a")])]
    if kind == "delete":
        return [Delete(job)]
    if kind in ("edge", "join"):
        edge = Edge(job.id, cast.waiting().id, draw(st.sampled_from(("fail", "skip"))))
        return [AddEdge(edge, kind == "join")]
    state = {"state": "waiting", "deps_left": draw(st.integers(0, 2))}
    return [Update(job, {"priority": 2} if kind == "update" else state)]


@st.composite
def plans(draw: st.DrawFn, cast: Cast) -> list[Write]:
    """A schedule comes, goes or fires."""
    id = draw(st.sampled_from(SCHEDULES))
    was = cast.plans.get(id)
    kind = draw(st.sampled_from(["put"] * 4 + ["fire"] * 8 + ["drop"] * 3 + ["late", "broken"]))
    if kind == "drop" and was is not None:
        del cast.plans[id]
        return [DropSchedule(id, was)]
    title = "\ud800" if kind == "broken" else draw(st.sampled_from(["", "x"]))
    put = PutSchedule(Schedule(id, "etl", "load", Rule("* * * * *"), title, version=7), 9 if kind == "late" else was)
    cast.plans[id] = (was or 0) + 1
    job = cast.new() if kind == "fire" else None
    if job is None:
        return [put]
    job.schedule, job.tick = id, cast.now + draw(st.integers(0, 9))
    return [put, Insert(job)]


@st.composite
def linked_units(
    draw: st.DrawFn, now: float, rows: Sequence[Job], waited_for: Collection[str], schedules: Sequence[Schedule]
) -> list[Unit]:
    """A batch of up to eight units of all that."""
    taken = {job.id for job in rows}
    cast = Cast(now, draw(st.permutations(rows)), [id for id in IDS if id not in taken], waited_for)
    cast.plans = {schedule.id: schedule.version for schedule in schedules}
    kinds = st.sampled_from([beginnings] * 4 + [ends] * 3 + [changes] * 3 + [plans])
    return [Unit(draw(kind(cast))) for kind in draw(st.lists(kinds, min_size=2, max_size=8))]
