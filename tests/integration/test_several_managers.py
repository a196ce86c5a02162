"""Several managers on the same rows, in virtual time: whatever is said to one holds at all."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from easyjobs import EasyJobsWorker, current_job
from easyjobs.core.job import Job
from easyjobs.core.states import FINAL
from easyjobs.errors import JobFailed, NotFound
from easyjobs.protocol.codec import encode
from easyjobs.protocol.messages import PROTOCOL, Heartbeat, Hello
from easyjobs.testing.loop import VirtualLoop, run
from easyjobs.testing.network import Node
from easyjobs.testing.simulated import SimulatedCluster
from easyjobs.wire.link import Link

Tell = Callable[[SimulatedCluster], Awaitable[None]]
ONE, TWO, THREE, FOUR = "manager", "manager2", "manager3", "manager4"


def story(tell: Tell, managers: int = 4, seed: int = 1) -> None:
    async def main(loop: VirtualLoop) -> None:
        cluster = SimulatedCluster(loop, managers=managers)
        for name in cluster.names:
            await cluster.start_manager(name)
        await tell(cluster)

    run(lambda loop: main(loop), seed=seed)


def declare(worker: EasyJobsWorker, node: Node) -> None:
    @worker.task()
    async def add(a: int, b: int) -> int:
        return a + b

    @worker.task(retries=0)
    async def long(seconds: float) -> str:
        job = current_job()
        job.log("begun")
        await asyncio.sleep(seconds)
        return f"attempt {job.attempt}"

    @worker.task(schedule="*/10 * * * * *", seconds=True)
    async def tick() -> None:
        pass


async def at_home(cluster: SimulatedCluster, worker: str, manager: str, **choices: Any) -> None:
    cluster.homes[worker] = manager
    await cluster.start_worker(worker, declare, **choices)
    await until(lambda: of_worker(cluster, worker, manager) is not None)


def of_worker(cluster: SimulatedCluster, worker: str, manager: str) -> Any:
    live = cluster.managers[manager].hub.roster.of_worker(worker)
    return live if live is not None and live.voice is not None else None


def guest(cluster: SimulatedCluster, name: str, manager: str) -> Any:
    cluster.homes[name] = manager
    return cluster.client(name)


async def ended(link: Link) -> None:
    while True:
        await link.receive()


async def until(true: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not true():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)


def row(cluster: SimulatedCluster, id: str) -> Job:
    return cluster.rows._jobs[id]


def test_submitted_to_one_run_by_a_worker_of_another_awaited_on_a_third_cancelled_from_a_fourth() -> None:
    async def tell(cluster: SimulatedCluster) -> None:
        await at_home(cluster, "w", TWO)
        first, third, fourth = (guest(cluster, f"c{n}", name) for n, name in enumerate((ONE, THREE, FOUR)))
        handle = await first.submit("play", "add", [1, 2])
        assert await third.result(handle.id) == 3
        handle = await first.submit("play", "long", [3600])
        await until(lambda: row(cluster, handle.id).state == "running")
        waiting = asyncio.ensure_future(third.result(handle.id))
        await asyncio.sleep(1)
        before = cluster.loop.time()
        await fourth.cancel(handle.id)
        with pytest.raises(JobFailed):
            await waiting
        assert row(cluster, handle.id).state == "cancelled"
        assert cluster.loop.time() - before < 3

    story(tell)


def test_what_a_worker_said_to_one_manager_before_it_went_to_another_changes_nothing() -> None:
    """Its hello arrives seconds after it left that connection, and after the next one was welcomed elsewhere."""

    async def tell(cluster: SimulatedCluster) -> None:
        await at_home(cluster, "w", ONE)
        cluster.homes["w"] = TWO
        cluster.network.forsake("w", 5.0)
        cluster.network.reset("w", ONE)
        await until(lambda: not cluster.network._forsaken)
        cluster.homes["w"] = THREE
        await until(lambda: of_worker(cluster, "w", THREE) is not None, 2.0)
        handle = await guest(cluster, "c", FOUR).submit("play", "long", [20])
        assert await handle.result(timeout=60.0) == "attempt 1"
        assert of_worker(cluster, "w", THREE) is not None
        assert not cluster.workers["w"][1].replaced

    story(tell)


def test_a_killed_managers_workers_go_on_elsewhere_within_six_seconds() -> None:
    async def tell(cluster: SimulatedCluster) -> None:
        await at_home(cluster, "w", TWO)
        handle = await guest(cluster, "c", ONE).submit("play", "long", [20])
        await until(lambda: row(cluster, handle.id).state == "running")
        cluster.kill_manager(TWO)
        await until(lambda: any(of_worker(cluster, "w", name) for name in (ONE, THREE, FOUR)), seconds=6)
        assert await handle.result() == "attempt 1"
        assert row(cluster, handle.id).crashes == 0

    story(tell)


@pytest.mark.parametrize("silent", [False, True], ids=["processes", "machines"])
def test_when_a_worker_and_its_manager_die_together_the_job_runs_elsewhere(silent: bool) -> None:
    async def tell(cluster: SimulatedCluster) -> None:
        await at_home(cluster, "w", TWO)
        await at_home(cluster, "other", THREE, slots=1)
        client = guest(cluster, "c", ONE)
        busy = await client.submit("play", "long", [30])
        handle = await client.submit("play", "add", [1, 2], priority=-1)
        await until(lambda: row(cluster, busy.id).state == "running")
        worker = row(cluster, busy.id).worker or ""
        cluster.kill_worker(worker, silent=silent)
        cluster.kill_manager(TWO if worker == "w" else THREE, silent=silent)
        await until(lambda: row(cluster, busy.id).state in FINAL, seconds=2 * (30 + 5) + 30)
        assert (row(cluster, busy.id).state, row(cluster, busy.id).attempt) == ("completed", 2)
        assert await handle.result() == 3

    story(tell)


def test_a_worker_that_went_to_another_manager_is_forgotten_by_the_first() -> None:
    async def tell(cluster: SimulatedCluster) -> None:
        await at_home(cluster, "w", ONE)
        handle = await guest(cluster, "c", TWO).submit("play", "long", [60])
        await until(lambda: row(cluster, handle.id).state == "running")
        cluster.homes["w"] = TWO
        for ends in (("w", ONE), (ONE, "w")):
            cluster.network.half_open(*ends)  # neither hears the other any more, and neither knows
        await until(lambda: of_worker(cluster, "w", TWO) is not None, seconds=60)
        await until(lambda: not cluster.managers[ONE].hub.roster.sessions, seconds=10)
        assert handle.id in cluster.managers[TWO].hub.roster.running
        assert handle.id not in cluster.managers[ONE].hub.roster.running
        assert await handle.result() == "attempt 1"

    story(tell)


def test_a_task_is_known_at_all_managers_as_soon_as_at_one() -> None:
    async def tell(cluster: SimulatedCluster) -> None:
        for manager in cluster.managers.values():
            manager.store.hear = lambda hint: None  # type: ignore[method-assign]
        await at_home(cluster, "w", ONE)
        assert await (await guest(cluster, "c", TWO).submit("play", "add", [1, 2])).result() == 3
        hub = cluster.managers[THREE].hub
        await until(lambda: hub.catalog.get("play", "add") is not None, seconds=6)
        with pytest.raises(NotFound):
            await guest(cluster, "d", TWO).submit("play", "no such task", [])

    story(tell)


def test_a_pause_at_one_manager_holds_the_workers_of_all() -> None:
    async def tell(cluster: SimulatedCluster) -> None:
        await at_home(cluster, "w", TWO)
        hub = cluster.managers[ONE].hub
        await hub.pause("workers", "all", "ann")
        await until(lambda: cluster.managers[TWO].hub.dispatcher.pauses, seconds=6)
        handle = await guest(cluster, "c", THREE).submit("play", "add", [1, 2])
        await asyncio.sleep(30)
        assert row(cluster, handle.id).state == "queued"
        await cluster.managers[FOUR].hub.resume("workers", "all", "bob")
        assert await handle.result() == 3

    story(tell)


def test_each_tick_is_one_job_whoever_leads() -> None:
    async def tell(cluster: SimulatedCluster) -> None:
        await at_home(cluster, "w", TWO)
        await asyncio.sleep(60)
        leader = next(name for name, manager in cluster.managers.items() if manager.hub.lead.held)
        cluster.kill_manager(leader)
        await asyncio.sleep(120)
        ticks = sorted(job.tick or 0.0 for job in cluster.rows._jobs.values() if job.tick is not None)
        assert len(ticks) == len(set(ticks))
        assert {b - a for a, b in itertools.pairwise(ticks)} <= {10.0, 20.0, 30.0}  # while nobody led
        assert ticks[-1] >= cluster.rows.now() - 10

    story(tell)


def test_a_manager_that_stops_gives_up_the_lead_at_once() -> None:
    async def tell(cluster: SimulatedCluster) -> None:
        await asyncio.sleep(1)
        (leader,) = (manager for manager in cluster.managers.values() if manager.hub.lead.held)
        term = leader.hub.lead.term or 0
        await leader.hub.stop()
        await until(lambda: any(m.hub.lead.held for m in cluster.managers.values() if m is not leader), seconds=6)
        assert [m.hub.lead.term for m in cluster.managers.values() if m.hub.lead.held] == [term + 1]

    story(tell)


def test_every_manager_shows_all_workers_and_says_why_a_job_waits() -> None:
    async def tell(cluster: SimulatedCluster) -> None:
        await at_home(cluster, "w", TWO, slots=1)
        client = guest(cluster, "c", ONE)
        busy = await client.submit("play", "long", [600])
        await until(lambda: row(cluster, busy.id).state == "running")
        waiting = await client.submit("play", "add", [1, 2])
        hub = cluster.managers[THREE].hub
        await until(lambda: hub.roster.elsewhere, seconds=6)
        (view,) = await hub.queries.workers()
        assert (view.name, view.state, view.slots, view.running) == ("w", "live", 1, 1)
        assert hub.queries.task("play", "add").workers == 1
        assert [(queue.name, queue.workers) for queue in await hub.queries.queues()] == [("play", 1)]
        stats = await hub.queries.stats()
        assert (stats.workers, stats.slots, stats.running) == (1, 1, 1)
        explained = await hub.explainer.explain(waiting.id)
        assert [reason.code for reason in explained.reasons] == ["workers_full"]
        assert explained.reasons[0].jobs == [busy.id]
        assert [reason.code for reason in (await hub.explainer.explain(busy.id)).reasons] == ["running"]
        await hub.pause("worker", "w", "ann")
        explained = await hub.explainer.explain(waiting.id)
        assert explained.reasons[0].code == "worker_paused"

    story(tell)


def test_a_watchdog_vouches_for_its_worker_at_another_manager() -> None:
    async def tell(cluster: SimulatedCluster) -> None:
        await at_home(cluster, "w", ONE)
        handle = await guest(cluster, "c", THREE).submit("play", "long", [200])
        await until(lambda: row(cluster, handle.id).state == "running")
        watchdog = cluster.network.node("w's watchdog")
        link = await watchdog.dialler(TWO)()
        await link.send(encode([Hello(PROTOCOL, "watchdog", worker_id="w", name="w")]))
        await link.receive()  # it is welcome
        for manager in cluster.names:
            cluster.network.cut("w", manager)  # as good as a loop that stands still
        for _ in range(20):
            await link.send(encode([Heartbeat([], blocked="play:long")]))
            await asyncio.sleep(5)
        assert (row(cluster, handle.id).state, row(cluster, handle.id).attempt) == ("running", 1)
        cluster.network.heal()
        assert await handle.result() == "attempt 1"

    story(tell)


def test_a_watchdog_of_nobody_is_shown_out() -> None:
    async def tell(cluster: SimulatedCluster) -> None:
        link = await cluster.network.node("nobody's watchdog").dialler(TWO)()
        await link.send(encode([Hello(PROTOCOL, "watchdog", worker_id="nobody", name="n")]))
        with pytest.raises(Exception, match="without a session"):
            await ended(link)

    story(tell)


def test_a_session_that_is_lost_while_its_manager_dies_leaves_no_job_behind() -> None:
    """Between the end of a session and the release of its jobs there is a moment; who leads looks after it."""

    async def tell(cluster: SimulatedCluster) -> None:
        await at_home(cluster, "w", TWO)
        handle = await guest(cluster, "c", ONE).submit("play", "long", [1e6])
        await until(lambda: row(cluster, handle.id).state == "running")
        two = cluster.managers[TWO]
        cluster.kill_worker("w")
        free = two.hub.rescuer._free
        two.hub.rescuer._free = lambda live, why: cluster.kill_manager(TWO)  # type: ignore[method-assign]
        assert free is not None
        await until(lambda: row(cluster, handle.id).state != "running", seconds=150)
        assert row(cluster, handle.id).crashes == 1

    story(tell)


@pytest.mark.parametrize("seed", range(8))
def test_eight_workers_of_one_machine_on_three_managers_stay_within_its_units(seed: int) -> None:
    """Also while managers die: what runs in a session that is lost still takes its units until it is released."""
    takes = {"small": 1, "middle": 3, "big": 7}
    most = 10

    def declare(worker: EasyJobsWorker, node: Node) -> None:
        @worker.task(retry_policy="retry_always", retry_delay=1)
        async def small(seconds: float) -> None:
            await asyncio.sleep(seconds)

        @worker.task(process_units=3, retry_policy="retry_always", retry_delay=1)
        async def middle(seconds: float) -> None:
            await asyncio.sleep(seconds)

        @worker.task(process_units=7, retry_policy="retry_always", retry_delay=1)
        async def big(seconds: float) -> None:
            await asyncio.sleep(seconds)

    async def main(loop: VirtualLoop) -> None:
        fullest = 0

        def committed(rows: Any) -> None:
            nonlocal fullest
            used = sum(takes[job.task] for job in rows._jobs.values() if job.state == "running")
            fullest = max(fullest, used)

        cluster = SimulatedCluster(loop, managers=3, committed=committed)
        for name in cluster.names:
            await cluster.start_manager(name)
        for n in range(8):
            await cluster.start_worker(f"w{n}", declare, system_process_units=most if n else most + 5)
        client = cluster.client("c")
        chance = loop.random
        names = chance.choices(["small", "middle", "big"], [6, 3, 1], k=60)
        handles = [await client.submit("play", name, [chance.uniform(0.1, 5)]) for name in names]
        await asyncio.sleep(5)
        cluster.kill_manager(TWO)
        await asyncio.sleep(5)
        cluster.kill_worker("w3")
        await until(lambda: all(row(cluster, handle.id).state == "completed" for handle in handles), seconds=600)
        assert most - 1 <= fullest <= most

    run(main, seed=seed)


def test_a_big_job_is_not_passed_by_for_ever() -> None:
    def declare(worker: EasyJobsWorker, node: Node) -> None:
        @worker.task()
        async def small(seconds: float) -> None:
            await asyncio.sleep(seconds)

        @worker.task(process_units=10)
        async def big() -> None:
            pass

    async def tell(cluster: SimulatedCluster) -> None:
        for n, name in enumerate(cluster.names):
            cluster.homes[f"w{n}"] = name
            await cluster.start_worker(f"w{n}", declare, system_process_units=10, slots=20)
        client = cluster.client("c")
        for _ in range(10):
            await client.submit("play", "small", [30])
        await until(lambda: sum(job.state == "running" for job in cluster.rows._jobs.values()) == 10)
        big = await client.submit("play", "big", [])
        small = [await client.submit("play", "small", [30]) for _ in range(20)]
        explained = await cluster.managers[THREE].hub.explainer.explain(big.id)
        assert explained.reasons[0].code == "units"
        assert "takes 10 process units" in explained.reasons[0].text
        await until(lambda: row(cluster, big.id).state == "completed", seconds=45)
        await until(lambda: all(row(cluster, handle.id).state == "completed" for handle in small), seconds=120)

    story(tell, managers=3)
