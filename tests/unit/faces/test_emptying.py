"""When a run of JobMaster ends."""

from __future__ import annotations

from easyjobs import EasyJobsWorker, current_job
from easyjobs.faces.emptying import until_empty
from easyjobs.testing.loop import VirtualLoop, run
from easyjobs.testing.network import Node
from easyjobs.testing.simulated import MANAGER, SimulatedCluster


def declare(worker: EasyJobsWorker, node: Node) -> None:
    @worker.task(retry_delay=3)
    async def later() -> None:
        if current_job().attempt == 1:
            raise ValueError("the first time")


def test_a_job_whose_next_attempt_is_due_is_not_left_while_a_slow_store_hands_it_out() -> None:
    async def tell(loop: VirtualLoop) -> None:
        cluster = SimulatedCluster(loop)
        await cluster.start_manager()
        await cluster.start_worker("w", declare)
        handle = await cluster.client("c").submit("play", "later")
        manager = cluster.managers[MANAGER]
        manager.store.slowest = 1.0
        await until_empty(manager.hub, cluster.workers["w"][1])
        job = (await manager.hub.store.jobs([handle.id]))[handle.id]
        assert (job.state, job.attempt) == ("completed", 2)

    for seed in range(5):
        run(tell, seed=seed)
