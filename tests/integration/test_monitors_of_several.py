"""Several processes on one store, each with the same monitors: what happens is told once, whoever committed it."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
from serving import until

from easyjobs import EasyJobsWorker
from easyjobs.faces.pulling import pulling
from easyjobs.hub.hub import Hub
from easyjobs.protocol.messages import Submission


class Told:
    """What one process tells."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.alerts: list[tuple[str, str, bool]] = []
        self.beats = 0

    async def task_success(self, report: Any) -> None:
        self.ends.append(report.id)

    async def task_failed(self, report: Any) -> None:
        self.ends.append(report.id)

    def alert(self, report: Any) -> None:
        self.alerts.append((report.kind, report.subject, report.over))

    def heartbeat_scheduler(self, report: Any) -> None:
        self.beats += 1


def worker_of(name: str) -> EasyJobsWorker:
    worker = EasyJobsWorker("q", manager_secret="none is needed", max_tasks_per_worker=2, name=name)

    @worker.task(retries=0, sla=1.0)
    async def half(n: int) -> float:
        await asyncio.sleep(0.02)
        return n / (n % 2)

    return worker


async def submit(hub: Hub, n: int) -> str:
    call = Submission(hub.job_id(), "q", "half", msgspec.Raw(b"[%d]" % n), msgspec.Raw(b"{}"))
    (submitted,) = await hub.submit([call])
    return submitted.job.id


async def test_each_end_and_each_late_job_is_told_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    told = [Told() for _ in range(3)]
    async with AsyncExitStack() as stack:
        hubs = []
        for n, monitor in enumerate(told):
            worker = worker_of(f"w{n}")
            hubs.append(await stack.enter_async_context(pulling(worker, url, monitors=[monitor])))
            await worker.start()
            stack.push_async_callback(worker.stop, 1.0)
            await until(lambda worker=worker: worker.connected)
        ids = [await submit(hubs[n % 3], n) for n in range(60)]
        await until(lambda: sum(len(one.ends) for one in told) >= len(ids))
        await hubs[1].pause("queue", "q", "somebody")
        await until(lambda: all(hub.dispatcher.pauses for hub in hubs))
        late = {await submit(hub, 1) for hub in hubs}
        await until(lambda: sum(len(one.alerts) for one in told) >= len(late))
        await hubs[2].resume("queue", "q", "somebody")
        await until(lambda: sum(len(one.alerts) for one in told) >= 2 * len(late))
        await until(lambda: sum(len(one.ends) for one in told) >= len(ids) + len(late))
    ends = Counter(id for one in told for id in one.ends)
    assert ends == Counter([*ids, *late])
    assert sum(bool(one.ends) for one in told) > 1, "each tells what it committed"
    alerts = Counter(alert for one in told for alert in one.alerts)
    assert alerts == Counter(("late", id, over) for id in late for over in (False, True))
    assert sum(bool(one.beats) for one in told) == 1, "who leads says so"
