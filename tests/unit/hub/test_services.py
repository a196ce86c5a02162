"""What the manager does by the clock: it waits for workers, makes jobs ready, prunes, and forgives its own absence."""

from __future__ import annotations

import asyncio

import pytest
from house import House, held, spec, story

from easyjobs.core.job import Job
from easyjobs.errors import StoreUnavailable
from easyjobs.hub.services.periodic import Periodic
from easyjobs.protocol.messages import Ack, Assign, Heartbeat
from easyjobs.stores.base import Retention
from easyjobs.testing.loop import run

# -- the loop of all services


class Counting:
    """A service that does as `script` says: a time to be called again, None, or an error to raise."""

    name = "counting"

    def __init__(self, *script: float | Exception | None) -> None:
        self.script = list(script)
        self.called: list[float] = []

    async def run_once(self, now: float) -> float | None:
        self.called.append(now)
        step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        return step if step is None else now + step


def times_of(service: Counting, wakes: dict[float, float | None], seconds: float) -> list[float]:
    """When the service ran; `wakes` are moments at which somebody wakes it, each for a moment or now."""

    async def told() -> list[float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        periodic = Periodic(service, lambda: loop.time() - began)
        for at, until in wakes.items():
            loop.call_at(began + at, periodic.wake, until)
        running = loop.create_task(periodic.run())
        await asyncio.sleep(seconds)
        running.cancel()
        return service.called

    return run(told())


def test_a_service_runs_when_it_asked_to_and_when_it_is_woken() -> None:
    assert times_of(Counting(10.0, 5.0, None), {}, 100.0) == [0.0, 10.0, 15.0]
    assert times_of(Counting(10.0), {3.0: None}, 9.0) == [0.0, 3.0]
    assert times_of(Counting(None, None), {3.0: 7.0}, 100.0) == [0.0, 7.0]


def test_a_wake_for_later_than_was_asked_changes_nothing() -> None:
    assert times_of(Counting(10.0), {3.0: 50.0}, 40.0) == [0.0, 10.0]


def test_a_service_backs_off_while_the_store_fails_and_after_a_bug() -> None:
    down = StoreUnavailable("away")
    assert times_of(Counting(down, down, ValueError("a bug"), None), {}, 100.0) == [0.0, 1.0, 3.0, 7.0]


def test_a_service_without_anything_to_do_sleeps() -> None:
    assert times_of(Counting(), {}, 3000.0) == [0.0]


# -- a manager that was away itself


async def stall(house: House, seconds: float) -> None:
    """The manager's process does not run for so long: its timers are late, all of them."""
    house.loop._timeline.now += seconds


@story
async def test_a_manager_that_was_stalled_grants_everyone_a_lease_first(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    a = await worker.begin()
    await house.settle(5.0)
    await stall(house, 300.0)
    await house.settle(1.0)
    assert (await house.row(job.id)).state == "running"
    worker, _ = await house.again(worker)
    worker.finish(a, 1)
    assert (await worker.hear(Ack)).applied == [job.id]


@story
async def test_a_worker_that_left_a_stalled_manager_may_take_its_time_to_come_back(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    await worker.begin()
    await house.settle(5.0)
    await stall(house, 60.0)
    await house.settle(0.5)
    worker.drop()  # it had left long ago; only now is that read from its socket
    await house.settle(30.0)
    assert (await house.row(job.id)).state == "running"
    worker, _ = await house.again(worker)
    worker.drop()
    await house.settle(5.5)
    assert (await house.row(job.id)).state == "queued"


@story
async def test_a_manager_that_was_stalled_reads_what_was_said_before_it_ends_anything(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit(timeout=10.0)
    a = await worker.begin()
    await stall(house, 100.0)
    await house.settle(1.0)
    worker, _ = await house.again(worker)
    worker.finish(a, "in time")
    assert (await worker.hear(Ack)).applied == [job.id]


@story
async def test_a_store_that_comes_back_finds_all_workers_alive(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    job = await house.submit()
    await worker.begin()
    house.store.down = True
    worker.say(Heartbeat(worker.named()))
    await house.settle(28.0)
    house.store.down = False
    worker.drop()
    await house.settle(20.0)
    assert (await house.row(job.id)).state == "running"


# -- deadlines


@story
async def test_deadlines_of_jobs_that_have_ended_are_forgotten(house: House) -> None:
    await house.open()
    overdue = house.hub._overdue
    for n in range(10_000):
        overdue.expect_end(Job(str(n), "q", "add", timeout=86_400.0), 0.0)
    assert len(overdue._heap) <= 1001


@story
async def test_what_runs_longest_is_not_forgotten(house: House) -> None:
    await house.open()
    worker = await house.open_worker()
    job = await house.submit(timeout=5000.0)
    a = await worker.begin()
    for n in range(10_000):
        house.hub._overdue.expect_end(Job(str(n), "q", "add", timeout=86_400.0), 0.0)
    await house.settle(5100.0)
    row = await house.row(job.id)
    assert (row.attempt, row.crashes) == (2, 1)
    assert a.timeout == 5000.0


# -- pruning and promoting


@story
async def test_jobs_that_ended_long_ago_are_removed(house: House) -> None:
    await house.open(retention=Retention(completed=100.0, others=1000.0))
    worker = await house.open_worker()
    done = await house.submit()
    worker.finish(await worker.begin())
    failed = await house.submit(retries=0)
    worker.fail(await worker.begin())
    await house.settle(200.0)
    assert await house.states() == {"failed": 1}
    await house.settle(1000.0)
    assert await house.store.jobs([done.id, failed.id]) == {}


@story
async def test_very_many_jobs_due_at_once_all_become_ready(house: House) -> None:
    await house.open(spec())
    at = house.store.now() + 10.0
    await house.hub.submit([house.job(run_at=at) for _ in range(2500)])
    await house.settle(5.0)
    worker = await house.worker(spec(), slots=3000)
    worker.keep_beating()
    assert worker.held == {}
    await house.settle(6.0)
    assert len(worker.held) == 2500


@story
async def test_nothing_polls_the_store_when_nothing_is_to_be_done_but_deadlines_and_leases(house: House) -> None:
    await house.open(spec())
    before = house.store.commits
    await house.settle(3000.0)
    assert house.store.commits == before


@story
async def test_jobs_that_fit_no_signature_any_more_are_held(house: House) -> None:
    from easyjobs.core.signature import Parameter, Signature

    await house.open(spec())
    job = await house.submit(kwargs={"s": "x"})
    fits = await house.submit(kwargs={"n": 3})
    worker = await house.worker(spec(signature=Signature(parameters=(Parameter("n"),))), slots=5)
    worker.keep_beating()
    await house.settle(1.0)
    assert list(worker.held) == [fits.id]
    old = await house.worker(spec(), worker_id="old")
    assert (await old.begin()).job == job.id


@story
async def test_a_lease_is_watched_from_the_first_session_on(house: House) -> None:
    await house.open()
    worker = await house.worker(spec())
    watchdog = await house.watchdog()
    job = await house.submit()
    a = await worker.begin()
    watchdog.say(Heartbeat([held(a)], blocked="q:add"))
    for _ in range(9):  # the watchdog's socket stands, and says nothing that renews the lease
        await house.settle(3.0)
        worker.say()
    assert (await house.row(job.id)).state == "running"
    await house.settle(4.0)
    assert (await house.row(job.id)).state == "queued"


@pytest.mark.parametrize("crashes", [1, 2])
def test_a_lost_session_is_lost_in_the_store_before_its_jobs_are_given_out(crashes: int) -> None:
    @story
    async def told(house: House) -> None:
        await house.open()
        for n in range(crashes):
            worker = await house.worker(spec(), worker_id=f"w{n}")
            if n == 0:
                await house.submit()
            await worker.hear(Assign)
            worker.drop()
            await house.settle(5.5)
        assert await house.store.sessions() == []
        assert len(await house.store.sessions(lost_since=0.0)) == crashes

    told()
