"""Strategies for the random stories: writes and claims that a manager might make, and some it never should."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from easyjobs.core.changes import (
    AppendLogs,
    Charge,
    Claim,
    Delete,
    DropPause,
    FlagCancel,
    Insert,
    LoseSession,
    NoteProgress,
    Offer,
    PutFresh,
    PutPause,
    PutSession,
    PutTask,
    Renew,
    Unit,
    Update,
    Write,
)
from easyjobs.core.job import Attempt, Job, Lane, Session
from easyjobs.core.signature import Signature
from easyjobs.core.states import RUNNING
from easyjobs.core.task import TaskSpec

QUEUES, SIGNATURES = ("etl", "mail"), ("", "new")
LANES = [Lane(queue, "load", signature) for queue in QUEUES for signature in SIGNATURES]
IDS = [f"job{n}" for n in range(40)]
SESSIONS = ("s1", "s2", "s3")
SCHEDULES = ("every minute", "nightly")
KEYS = ("k1", "k2", "k3")
RUNS = ("job0", "run")
COUNTERS = ("c1", "c2")

delays = st.sampled_from([0.0, 0.0, 0.0, 0.0, -5.0, 5.0, 60.0])


def seldom(*values: Any) -> st.SearchStrategy[Any]:
    """None, or sometimes one of `values`."""
    return st.sampled_from([None] * 8 + list(values))


def free(seen: Sequence[Job]) -> list[str]:
    """Some ids that are probably not taken."""
    taken = {job.id for job in seen}
    return [id for id in IDS if id not in taken][:12] or IDS


@st.composite
def jobs(draw: st.DrawFn, now: float, live: Sequence[Session], seen: Sequence[Job]) -> Insert:
    """A new job: queued, now and then in another state, with a key or even an id that may be taken."""
    lane = draw(st.sampled_from(LANES))
    id = draw(st.sampled_from(free(seen) * 2 + IDS[:2]))
    job = Job(
        id,
        *lane,
        args=draw(st.sampled_from(["[]"] * 9 + ['["\ud800"]'])),
        state=draw(st.sampled_from(["queued"] * 5 + ["waiting", "retry", "failed", "skipped"] + ["running"] * 3)),
        priority=draw(st.integers(-1, 1)),
        created_at=now,
        run_at=now + draw(delays),
        key=draw(seldom("k1", "k2")),
        unique_key=draw(seldom("u1", "u2")),
        deadline=draw(seldom(now - 1, now + 30)),
        parent=draw(seldom("job0")),
        deps_left=draw(st.sampled_from([0] * 5 + [1])),
        schedule=draw(seldom(*SCHEDULES)),
        tick=draw(seldom(60.0, 120.0)),
        turn=draw(seldom("check", "spread", "gather", "bind", "map", "expand", "close")),
        run=draw(seldom(*RUNS, id)),
        node=draw(seldom("n")),
        late_at=draw(seldom(now - 1, now + 30)),
    )
    epoch = 1
    if job.state == RUNNING:
        session = draw(st.sampled_from(live)) if live else Session("none", "", "", "", 1, "live", 0.0, 0.0)
        job.attempt, job.version, job.token, job.started_at = 1, 1, "direct", now
        job.session, job.holds, epoch = (
            session.id,
            draw(seldom(*COUNTERS)),
            session.epoch + draw(st.sampled_from([0] * 5 + [1])),
        )
    if job.state == "waiting":
        job.holds = draw(seldom(*COUNTERS))
    if job.final:
        job.finished_at = now
    return Insert(job, epoch)


@st.composite
def updates(draw: st.DrawFn, seen: Sequence[Job], now: float) -> Update:
    """A change of a job as it was seen once: legal in itself, though the job may have moved on."""
    job = copy.copy(draw(st.sampled_from(seen)))
    changes: list[dict[str, Any]] = [
        {"priority": 1},
        {"run_at": now + draw(delays)},
        {"late_at": None},
        {"late_at": -now},
    ]
    if draw(st.integers(0, 20)) == 0:
        changes = [{"unknown": 1}, {}]
    elif not job.final:
        end = {"state": "completed", "finished_at": now, "result": "1"}
        changes += [
            end,
            end,
            {"state": "failed", "finished_at": now, "error": "{}"},
            {"state": "cancelled", "finished_at": now},
            {"state": "queued", "run_at": now + draw(delays), "session": None, "holds": None},
            {"state": "retry", "run_at": now + 5, "failures": job.failures + 1, "holds": None},
            {"state": "waiting"},
            {"state": "waiting", "deps_left": 1},
            {"state": "waiting", "deps_left": 1, "turn": "gather"},
            {"state": "waiting", "deps_left": 1, "turn": "close", "holds": "c1"},
            {"state": "queued", "turn": None},
        ]
    columns = draw(st.sampled_from(changes))
    past = None
    if job.state == RUNNING and columns.get("state") in ("queued", "retry"):
        past = Attempt(job.id, job.attempt, job.worker, job.started_at, now, "returned")
    return Update(job, columns, past, job.holds)


@st.composite
def words(draw: st.DrawFn, seen: Sequence[Job], now: float) -> Write:
    """What is said of a job that is there: an outcome, progress, lines, a cancel."""
    job = draw(st.sampled_from(seen))
    kind = draw(st.sampled_from(["update"] * 4 + ["flag", "progress", "logs", "delete", "charge"]))
    if kind == "update":
        return draw(updates(seen, now))
    if kind == "charge":
        return Charge(draw(st.sampled_from(COUNTERS)), draw(st.integers(0, 3)))
    if kind == "flag":
        return FlagCancel(job.id, job.attempt, draw(st.sampled_from(["ann", "bob"])))
    if kind == "progress":
        return NoteProgress(job.id, job.attempt, draw(st.sampled_from(["half", "most"])))
    if kind == "logs":
        first = draw(st.integers(0, 4))
        drop = draw(seldom((1, 2))) if first else None
        voice = draw(st.sampled_from(["", "child"]))
        return AppendLogs(job.id, [(job.attempt, now, "info", "a")] * draw(st.integers(0, 2)), voice, first, drop)
    return Delete(copy.copy(job))


@st.composite
def arrivals(draw: st.DrawFn, now: float, live: Sequence[Session]) -> Write:
    """What is said of a worker: it is new, here again, alive or lost."""
    session = draw(st.sampled_from(live)) if live else None
    kind = draw(st.sampled_from(["new", "new", "again", "renew", "lose"]))
    if kind == "new" or session is None:
        id = draw(st.sampled_from(SESSIONS))
        session = Session(id, id, id, "h", 1, "live", now, now + 30)
        session.system = draw(st.sampled_from(["", "m"]))
        session.units = draw(st.sampled_from([None, 3, 5]))
        return PutSession(session)
    epoch = session.epoch + draw(st.sampled_from([0, 0, 0, 1]))
    if kind == "again":
        again = copy.copy(session)
        again.epoch = epoch + 1
        return PutSession(again)
    if kind == "renew":
        return Renew(session.id, epoch, now + 30, draw(st.sampled_from([None, '[["q","t","s"]]'])))
    return LoseSession(
        session.id, draw(st.sampled_from([None, epoch])), now, draw(st.sampled_from([None, now, now + 40]))
    )


@st.composite
def others(draw: st.DrawFn, now: float) -> Write:
    """What is said of tasks and queues."""
    kind, queue = draw(st.sampled_from(["task", "pause", "drop", "fresh"])), draw(st.sampled_from(QUEUES))
    if kind == "fresh":
        return PutFresh(draw(st.lists(st.sampled_from(KEYS))), now + draw(delays), now + draw(delays))
    if kind == "task":
        return PutTask(TaskSpec(queue, "load", Signature(), doc=draw(st.sampled_from(["", "x"]))), now)
    return PutPause("queue", queue, "ann", now) if kind == "pause" else DropPause("queue", queue)


def units(
    now: float, live: Sequence[Session], seen: Sequence[Job], kinds: Sequence[str], least: int = 0
) -> st.SearchStrategy[list[Unit]]:
    """A batch of up to eight units; `kinds` of writes: jobs, words, arrivals, others."""
    choices: dict[str, st.SearchStrategy[Write]] = {
        "jobs": jobs(now, live, seen),
        "words": words(seen, now) if seen else jobs(now, live, seen),
        "arrivals": arrivals(now, live),
        "others": others(now),
    }
    write = st.sampled_from(kinds).flatmap(choices.__getitem__)
    sizes = st.sampled_from([1, 1, 1, 1, 2, 3])
    unit = sizes.flatmap(lambda size: st.lists(write, min_size=size, max_size=size).map(Unit))
    return st.lists(unit, min_size=least, max_size=8)


@st.composite
def claims(draw: st.DrawFn, live: Sequence[Session]) -> Claim:
    """A claim for most of the live sessions."""
    offers = [
        Offer(
            session.id,
            session.epoch + draw(st.sampled_from([0] * 9 + [1])),
            f"worker of {session.id}",
            draw(st.integers(0, 3)),
            draw(st.sampled_from([frozenset(LANES), frozenset(LANES[:1]), frozenset(LANES[1:3])])),
            session.system,
        )
        for session in live
    ]
    bounds = st.tuples(st.sampled_from(COUNTERS), st.integers(0, 3))
    capacity = draw(st.dictionaries(st.sampled_from(LANES), bounds, max_size=2))
    units = draw(st.none() | st.dictionaries(st.sampled_from(LANES), st.integers(1, 4), max_size=2))
    return Claim(offers, [f"t{n}" for n in range(sum(offer.slots for offer in offers))], capacity, units)
