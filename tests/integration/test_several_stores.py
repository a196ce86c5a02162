"""Several managers' stores on one schema of PostgreSQL, at once: nothing is given out twice, no bound is passed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
import pytest

from easyjobs.core.changes import (
    APPLIED,
    AddEdge,
    AppendLogs,
    Charge,
    Claim,
    FlagCancel,
    Insert,
    LoseSession,
    Offer,
    PutPause,
    PutSession,
    Release,
    Stale,
    Unit,
    Update,
    Write,
)
from easyjobs.core.job import Edge, Job, Lane, Session
from easyjobs.stores.base import Hint, JobQuery
from easyjobs.stores.postgres import PostgresStore, writer
from easyjobs.stores.postgres.address import address_of
from easyjobs.stores.postgres.channel import Channel

LANES = [Lane("etl", task, "") for task in ("load", "clean", "report")]
LOAD = LANES[0]


@asynccontextmanager
async def stores(url: str, number: int = 3) -> AsyncIterator[list[PostgresStore]]:
    """So many managers' stores, each with a session of its own: s0, s1 …, all on the machine m with 6 units."""
    opened = [PostgresStore(url) for _ in range(number)]
    try:
        for n, store in enumerate(opened):
            await store.open()
            now = store.now()
            session = Session(f"s{n}", f"w{n}", f"w{n}", "h", 1, "live", now, now + 60, system="m", units=6)
            assert await commit(store, PutSession(session)) == [APPLIED]
        yield opened
    finally:
        for store in opened:
            await store.close()


async def commit(store: PostgresStore, *writes: Write) -> list[object]:
    """Each write as a unit of its own."""
    return list((await store.commit([Unit([write]) for write in writes])).verdicts)


def queued(store: PostgresStore, ids: list[str], **columns: object) -> list[Write]:
    now = store.now()
    return [
        Insert(
            msgspec.structs.replace(
                Job(id, "etl", LANES[n % 3].task, created_at=now, run_at=now, priority=n % 2), **columns
            )
        )
        for n, id in enumerate(ids)
    ]


def claim(n: int, slots: int, lanes: list[Lane] = LANES, **bounds: object) -> Claim:
    offer = Offer(f"s{n}", 1, f"w{n}", slots, frozenset(lanes), "m")
    return msgspec.structs.replace(Claim([offer], [f"t{n}-{i}" for i in range(slots)]), **bounds)


def ended(store: PostgresStore, job: Job) -> Unit:
    return Unit([Update(job, {"state": "completed", "finished_at": store.now(), "holds": None}, None, job.holds)])


@pytest.mark.parametrize("seed", range(3))
async def test_no_job_is_given_out_twice(store_url: str, seed: int) -> None:
    chance = random.Random(seed)
    given: Counter[str] = Counter()

    async def manage(n: int, store: PostgresStore) -> None:
        held: list[Job] = []
        while True:
            lanes = chance.sample(LANES, chance.randint(1, 3))
            committed = await store.commit([ended(store, job) for job in held], claim(n, chance.randint(1, 9), lanes))
            assert all(verdict == APPLIED for verdict in committed.verdicts)
            held = committed.claimed
            given.update(job.id for job in held)
            assert [(-job.priority, job.seq) for job in held] == sorted((-job.priority, job.seq) for job in held)
            if not held and not await store.lanes():
                return
            if chance.random() < 0.3:
                await asyncio.sleep(0)

    async with stores(store_url) as opened:
        ids = [f"j{n:03}" for n in range(200)]
        await commit(opened[0], *queued(opened[0], ids))
        await asyncio.gather(*(manage(n, store) for n, store in enumerate(opened)))
        assert given == Counter(ids)
        assert await opened[0].totals() == {"completed": 200}
        assert {job.attempt for job in (await opened[1].find(JobQuery(limit=500))).items} == {1}


@pytest.mark.parametrize("bounds", [{"capacity": {LOAD: ("c", 4)}}, {"units": {LOAD: 2}}], ids=["counter", "units"])
async def test_what_runs_at_once_is_bounded_over_all_managers(store_url: str, bounds: dict[str, object]) -> None:
    most = 4 if "capacity" in bounds else 3  # of 6 units each takes 2
    chance = random.Random(7)
    running: set[str] = set()
    highest = 0

    async def manage(n: int, store: PostgresStore) -> None:
        nonlocal highest
        held: list[Job] = []
        while held or await store.lanes():
            ends = [held.pop(chance.randrange(len(held))) for _ in range(chance.randint(0, len(held)))]
            running.difference_update(job.id for job in ends)
            committed = await store.commit([ended(store, job) for job in ends], claim(n, 5, [LOAD], **bounds))
            held += committed.claimed
            running.update(job.id for job in committed.claimed)
            highest = max(highest, len(running))
            assert len(running) <= most
            assert len(await store.running()) <= most

    async with stores(store_url) as opened:
        await commit(opened[0], *queued(opened[0], [f"j{n}" for n in range(40)], task="load"))
        await asyncio.gather(*(manage(n, store) for n, store in enumerate(opened)))
        assert await opened[0].totals() == {"completed": 40}
        assert highest == most


async def test_runs_that_go_on_at_once_are_bounded_over_all_managers(store_url: str) -> None:
    """Each has runs of a version of its own, all of one counter; and one job waits for all their nodes."""
    flows = [Lane("etl", "flow", version) for version in "abc"]
    highest = 0

    def begun(run: Job, now: float) -> Unit:
        begins = {"state": "waiting", "turn": "close", "deps_left": 1, "holds": "c"}
        node = Job(f"node of {run.id}", "etl", "load", created_at=now, run_at=now + 9, run=run.id, followers=2)
        edges = [AddEdge(Edge(node.id, run.id, "count")), AddEdge(Edge(node.id, "all", "count"))]
        return Unit([Charge("c", 2), Update(run, begins), Insert(node), *edges])

    async def manage(n: int, store: PostgresStore) -> None:
        nonlocal highest
        units: list[Unit] = []
        while True:
            committed = await store.commit(units, claim(n, 3, [flows[n]], capacity={flows[n]: ("c", 2)}))
            waiting = (await store.find(JobQuery(runs=True, state="waiting"))).items
            highest = max(highest, len(waiting))
            assert len(waiting) <= 2
            units = [begun(run, store.now()) for run in committed.turns if run.turn == "expand"]
            for run in committed.turns:
                if run.turn == "close":
                    units.append(Unit([Update(run, {"state": "completed", "finished_at": store.now()}, release="c")]))
            nodes = await store.jobs([f"node of {run.id}" for run in waiting])
            units += [Unit([*ended(store, node).writes, Release(node.id)]) for node in nodes.values() if not node.final]
            if not units and (await store.jobs(["all"]))["all"].state == "queued" and not waiting:
                return

    async with stores(store_url) as opened:
        now, runs = opened[0].now(), [f"r{n}" for n in range(30)]
        everything = Job("all", "etl", "report", state="waiting", created_at=now, run_at=now, deps_left=len(runs))
        unit = Unit([Insert(everything)])
        unit.writes += [
            Insert(Job(id, *flows[n % 3], created_at=now, run_at=now, turn="expand")) for n, id in enumerate(runs)
        ]
        assert (await opened[0].commit([unit])).verdicts == [APPLIED]
        await asyncio.gather(*(manage(n, store) for n, store in enumerate(opened)))
        assert await opened[0].totals() == {"completed": 60, "queued": 1}
        assert await opened[0].by_run(runs) == {run: {"completed": 1} for run in runs}
        assert highest == 2


async def test_who_charges_a_counter_and_who_claims_with_it_never_wait_in_a_circle(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both end a job for which the same one waits: one claims with the counter, when the other, who has a run begin,
    waits for something already.
    """
    circles: list[Channel] = []
    transaction, claim_jobs = Channel._transaction, writer.claim_jobs

    async def told(channel: Channel, *given: Any) -> Any:
        try:
            return await transaction(channel, *given)
        except asyncpg.DeadlockDetectedError:
            circles.append(channel)
            raise

    async def late(*given: Any) -> Any:
        blocked = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        beginning.set()
        async with asyncio.timeout(10):
            while not await watching.fetchval(blocked):
                await asyncio.sleep(0.01)
        return await claim_jobs(*given)

    beginning = asyncio.Event()
    watching = await asyncpg.connect(address_of(store_url).dsn)
    async with stores(store_url, 2) as (one, other):
        now = one.now()
        run = Job("run", "etl", "flow", created_at=now, run_at=now, turn="expand")
        both = Job("both", "etl", "report", state="waiting", created_at=now, run_at=now, deps_left=2)
        edges = [AddEdge(Edge(id, "both")) for id in ("a", "b")]
        await one.commit([Unit([Insert(run), Insert(both), *queued(one, ["a", "b"], followers=1), *edges])])
        rows = await one.jobs(["run", "a", "b"])
        monkeypatch.setattr(Channel, "_transaction", told)
        monkeypatch.setattr(writer, "claim_jobs", late)

        ends = Unit([*ended(one, rows["a"]).writes, Release("a")])
        claiming = asyncio.ensure_future(one.commit([ends], claim(0, 1, [LOAD], capacity={LOAD: ("c", 1)})))
        await beginning.wait()
        begins = Update(rows["run"], {"state": "waiting", "turn": "close", "deps_left": 1, "holds": "c"})
        ends = Unit([*ended(other, rows["b"]).writes, Release("b")])
        begun = await other.commit([Unit([Charge("c", 1), begins]), ends])
        assert begun.verdicts == [APPLIED] * 2
        assert (await claiming).verdicts == [APPLIED]
        assert circles == []
    await watching.close()


async def test_after_a_session_was_lost_nothing_more_is_claimed_by_it(store_url: str) -> None:
    async with stores(store_url, 2) as (one, other):
        for turn in range(10):
            now = one.now()
            session = Session("s0", "w0", "w0", "h", 1, "live", now, now + 60)
            session.id = f"turn{turn}"
            await commit(one, PutSession(session), *queued(one, [f"j{turn}-{n}" for n in range(20)], task="load"))
            offer = Offer(session.id, 1, "w0", 20, frozenset([LOAD]))
            claiming = asyncio.ensure_future(one.commit([], Claim([offer], ["t"] * 20)))
            assert await commit(other, LoseSession(session.id, 1, now)) == [APPLIED]
            seen = {job.id for job in await other.running() if job.session == session.id}
            claimed = {job.id for job in (await claiming).claimed}
            assert claimed == seen


async def test_a_follower_of_many_is_released_once_by_whoever_ends_the_last_of_them(store_url: str) -> None:
    async with stores(store_url) as opened:
        now = opened[0].now()
        firsts = [f"p{n}" for n in range(30)]
        follower = Job("f", "etl", "load", state="waiting", created_at=now, run_at=now, deps_left=len(firsts))
        unit = Unit([Insert(follower), *queued(opened[0], firsts, followers=1)])
        unit.writes += [AddEdge(Edge(id, "f")) for id in firsts]
        assert (await opened[0].commit([unit])).verdicts == [APPLIED]
        rows = await opened[0].jobs(firsts)

        async def end(store: PostgresStore, ids: list[str]) -> list[str]:
            released = []
            for id in ids:
                end = ended(store, rows[id])
                committed = await store.commit([Unit([*end.writes, Release(id)])])
                assert committed.verdicts == [APPLIED]
                released += [job.id for job in committed.released]
            return released

        released = await asyncio.gather(*(end(store, firsts[n::3]) for n, store in enumerate(opened)))
        assert [id for ids in released for id in ids] == ["f"]
        row = (await opened[0].jobs(["f"]))["f"]
        assert (row.state, row.deps_left, row.version) == ("queued", 0, 30)


async def test_who_joins_a_job_while_it_ends_is_counted_or_told(store_url: str) -> None:
    async with stores(store_url, 2) as (one, other):
        for turn in range(15):
            now = one.now()
            first, follower = f"p{turn}", f"f{turn}"
            await commit(one, *queued(one, [first]))
            row = (await one.jobs([first]))[first]
            join = Unit(
                [
                    Insert(Job(follower, "etl", "load", state="waiting", created_at=now, run_at=now, deps_left=1)),
                    AddEdge(Edge(first, follower), join=True),
                ]
            )
            end = Unit([*ended(other, row).writes, Release(first)])
            joined, left = await asyncio.gather(one.commit([join]), other.commit([end]))
            if joined.verdicts == [APPLIED]:
                (verdict,) = left.verdicts
                assert isinstance(verdict, Stale), "an end that did not know of its follower must be decided anew"
                assert verdict.jobs[0].followers == 1
            else:
                assert left.verdicts == [APPLIED]
                assert joined.verdicts[0].why == "ended"


async def test_one_of_two_with_the_same_key_is_stored_and_the_other_told_of_it(store_url: str) -> None:
    async with stores(store_url) as opened:
        for turn in range(10):
            answers = await asyncio.gather(
                *(commit(store, *queued(store, [f"j{turn}-{n}"], key=f"k{turn}")) for n, store in enumerate(opened))
            )
            verdicts = [verdict for (verdict,) in answers]
            assert verdicts.count(APPLIED) == 1
            winner = f"j{turn}-{verdicts.index(APPLIED)}"
            assert {verdict.jobs[0].id for verdict in verdicts if isinstance(verdict, Stale)} == {winner}


async def test_two_write_lines_of_one_job_at_once(store_url: str) -> None:
    async with stores(store_url) as opened:
        await commit(opened[0], *queued(opened[0], ["j"]))

        async def write(n: int, store: PostgresStore) -> None:
            for line in range(10):
                assert await commit(store, AppendLogs("j", [(1, 1.0, "info", f"{n}.{line}")])) == [APPLIED]

        await asyncio.gather(*(write(n, store) for n, store in enumerate(opened)))
        lines = await opened[0].logs("j")
        assert [line.n for line in lines] == list(range(1, 31))
        assert sorted(line.text for line in lines) == sorted(f"{n}.{line}" for n in range(3) for line in range(10))


async def test_transactions_that_lock_each_other_out_are_done_again(store_url: str) -> None:
    async with stores(store_url, 2) as (one, other):
        await commit(one, *queued(one, ["a", "b"], task="load"))
        assert len((await one.commit([], claim(0, 2, [LOAD]))).claimed) == 2

        def flags(first: str, second: str) -> list[Write]:
            return [FlagCancel(id, 1, "ann") for id in (first, first, second)]  # two of one are never one statement

        for _ in range(20):
            answers = await asyncio.gather(commit(one, *flags("a", "b")), commit(other, *flags("b", "a")))
            assert answers == [[APPLIED] * 3] * 2


async def test_one_leads_and_terms_grow(store_url: str) -> None:
    async with stores(store_url, 2) as (one, other):
        terms = await asyncio.gather(one.lead("m1", 15.0), other.lead("m2", 15.0))
        assert sorted(terms, key=str) == [1, None]


# -- hints


async def test_what_one_commits_the_other_hears(store_url: str) -> None:
    heard: list[Hint] = []
    own: list[Hint] = []
    one, other = PostgresStore(store_url), PostgresStore(store_url)
    one.listen(own.append)
    other.listen(heard.append)
    await one.open()
    await other.open()

    async def said(what: object, where: str) -> None:
        async with asyncio.timeout(10):
            while not any(what in getattr(hint, where) for hint in heard):
                await asyncio.sleep(0.01)

    try:
        async with asyncio.timeout(10):
            while not heard or not own:  # both listen: the first thing that is heard is to look at everything
                await asyncio.sleep(0.01)
        assert heard[0].more
        now = one.now()
        session = Session("s0", "w", "w", "h", 1, "live", now, now + 60)
        await commit(one, PutSession(session), PutPause("queue", "mail", "ann", now))
        await said("sessions", "kinds")
        await said("pauses", "kinds")
        await commit(one, *queued(one, ["j1", "j2"], task="load"))
        await said(LOAD, "lanes")
        first, second = (await one.commit([], claim(0, 2, [LOAD]))).claimed
        await commit(one, FlagCancel(first.id, 1, "ann"))
        await said(first.id, "cancels")
        await one.commit([ended(one, second)])
        await said(second.id, "ended")
        assert all(hint.more for hint in own), "nobody hears himself"
        many = [f"many-{n}-{'x' * 30}" for n in range(300)]
        await commit(one, *queued(one, many, task="load"))
        heard.clear()
        await one.commit([ended(one, row) for row in (await one.jobs(many)).values()])
        async with asyncio.timeout(10):
            while not any(hint.more for hint in heard):
                await asyncio.sleep(0.01)
    finally:
        await one.close()
        await other.close()


async def test_who_only_promotes_tells_the_others_too(store_url: str) -> None:
    heard: list[Hint] = []
    one, other = PostgresStore(store_url), PostgresStore(store_url)
    other.listen(heard.append)
    await one.open()
    await other.open()
    try:
        async with asyncio.timeout(10):
            while not heard:
                await asyncio.sleep(0.01)
            await commit(one, *queued(one, ["j1"], task="load", run_at=one.now() + 0.05))
            while not await one.promote(10):
                await asyncio.sleep(0.01)
            while not any(LOAD in hint.lanes for hint in heard):
                await asyncio.sleep(0.01)
    finally:
        await one.close()
        await other.close()
