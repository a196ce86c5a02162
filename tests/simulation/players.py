"""The tasks that are played: what an attempt returns is noted just before it returns it, and who runs beside whom."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from easyjobs import Dependency, EasyJobsWorker, NoRetry, Retry, current_job, same
from easyjobs.tasks import conversion, introspection
from easyjobs.testing.network import Node
from tests.simulation.flows import declare_late, declare_parts
from tests.simulation.ledger import Ledger
from tests.simulation.plans import declare_scripts
from tests.simulation.turns import COVERED, FRESH, KINDS

T = TypeVar("T")

TASKS = (
    "ok",
    "ok",
    "ok",
    "slow",
    "flaky",
    "boom",
    "never",
    "again",
    "hang",
    "parent",
    "limited",
    "limited",
    "stubborn",
    "telling",
    "first",
    "needing",
    "sharing",
    "sharing",
    "shared",
    "doomed",
    "noticed",
    "fatal",
    "once",
    "base",
    "fresh",
    "fresh",
    "fresh",
    "cover",
)
CRAFTS = ("sawing", "milling", "drilling")
"""What is submitted in heaps: three tasks that a worker without a disk fails faster than others do them."""

CHAINS: dict[str, dict[str, Any]] = {
    "first": {"run_after": ["second", "flaky"]},
    "second": {"run_after": ["third"]},
    "needing": {"run_before": ["ground", "tools"]},
    "tools": {"run_before": ["ground"]},
    "sharing": {"run_before": ["shared"], "run_after": ["third"]},
    "doomed": {"run_before": ["ground", "spoilt"], "on_failure": "notice"},
    "noticed": {"on_failure": "notice"},
}
"""What follows what, as the tasks are declared and as the ledger judges."""


def _once(work_out: Callable[..., T]) -> Callable[..., T]:
    """What is worked out of a function: each worker that starts declares all tasks anew, and each is the same."""
    known: dict[Any, T] = {}

    def remembered(function: Callable[..., Any], *more: Any) -> T:
        of = (inspect.unwrap(function).__code__, *map(tuple, more))
        if of not in known:
            known[of] = work_out(function, *more)
        return known[of]

    return remembered


ONCE: dict[str, Callable[..., Any]] = {
    "easyjobs.tasks.decorator.signature_of": _once(introspection.signature_of),
    "easyjobs.tasks.workflows.signature_of": _once(introspection.signature_of),
    "easyjobs.tasks.decorator.converter_of": _once(conversion.converter_of),
}


class Players:
    """Gives workers their tasks, and has some workers fail all they do.

    :param kill: called with the node whose process a job ends.
    """

    def __init__(self, ledger: Ledger, kill: Callable[[Node], None]) -> None:
        self.failing: set[str] = set()
        """Names of workers whose disk is gone: whatever they begin fails at once."""
        self.late = False
        """Whether workers have the task by now for which runs wait."""
        self._ledger = ledger
        self._kill = kill

    def _task(self, worker: EasyJobsWorker, node: Node, **options: Any) -> Callable[[Callable[..., Any]], Any]:
        def declared(function: Callable[..., Any]) -> Any:
            @functools.wraps(function)
            async def played(*args: Any, **kwargs: Any) -> Any:
                await node.gate()
                with self._ledger.crashes.playing(node, current_job()):
                    if node.name in self.failing:
                        raise OSError("the disk is gone")
                    return await function(*args, **kwargs)

            return worker.task(**options)(played)

        return declared

    async def _said(self, node: Node, value: Any) -> Any:
        await node.gate()
        job = current_job()
        self._ledger.returned[job.id, job.attempt] = value
        return value

    def _length(self, *seconds: float) -> float:
        """One of these, for the job that is played now: always the same for its tick."""
        return seconds[int(self._ledger.rows[current_job().id].tick or 0) // 24 % len(seconds)]

    def declare_late(self, worker: EasyJobsWorker, node: Node) -> None:
        """The task that comes late, for a worker that has all others already."""
        declare_late(functools.partial(self._task, worker, node), functools.partial(self._said, node))

    def declare(self, worker: EasyJobsWorker, node: Node) -> None:
        """The play tasks, for a worker on its node."""
        ledger = self._ledger
        task = functools.partial(self._task, worker, node)
        said = functools.partial(self._said, node)

        @task()
        async def ok(n: int) -> Any:
            return await said(n)

        @task()
        async def slow(n: int) -> Any:
            await asyncio.sleep(1 + n % 13)
            return await said([n])

        @task(retries=3)
        async def flaky(n: int) -> Any:
            if current_job().attempt % 2:
                raise ValueError(f"not yet: {n}")
            return await said({"n": n})

        @task(retries=1, retry_delay=1)
        async def boom(n: int) -> None:
            raise RuntimeError(f"never: {n}")

        @task()
        async def never(n: int) -> None:
            raise NoRetry(f"not again: {n}")

        @task(retries=4)
        async def again(n: int) -> Any:
            if current_job().attempt < 2:
                raise Retry(delay=2.5)
            return await said(n)

        @task(timeout=30, retries=1)
        async def hang(n: int) -> None:
            await asyncio.sleep(1e9)

        @task(retries=3)
        async def parent(n: int) -> Any:
            return await said({"child": await ok(n)})

        @task(concurrency=ledger.limit)
        async def limited(n: int) -> Any:
            await asyncio.sleep(1.5)
            return await said(n)

        @task(timeout=5, retries=0)
        async def stubborn(n: int) -> Any:
            for _ in range(2):
                try:
                    await asyncio.sleep(20)
                except asyncio.CancelledError:
                    await asyncio.sleep(1)
            return await said(n)

        @task(unique=["n"])
        async def telling(n: int) -> Any:
            job = current_job()
            for part in range(4):
                job.log(f"part {part}")
                job.progress(part / 4)
                await asyncio.sleep(0.3)
            return await said(n)

        @task(**CHAINS["first"])
        async def first(n: int) -> Any:
            return await said({"n": n})

        @task(**CHAINS["second"])
        async def second(n: int) -> Any:
            return await said(n)

        @task()
        async def third(n: int) -> Any:
            return await said(n)

        @task(**CHAINS["needing"])
        async def needing(n: int) -> Any:
            return await said(n)

        @task(**CHAINS["tools"])
        async def tools() -> Any:
            return await said("tools")

        @task()
        async def ground() -> Any:
            await asyncio.sleep(0.2)
            return await said("ground")

        @task(**CHAINS["sharing"])
        async def sharing(n: int) -> Any:
            return await said(n)

        @task(unique=True)
        async def shared() -> Any:
            await asyncio.sleep(3)
            return await said("shared")

        @task(**CHAINS["doomed"])
        async def doomed(n: int) -> Any:
            return await said(n)

        @task(retries=0)
        async def spoilt() -> None:
            raise ValueError("spoilt")

        @task(retries=1, retry_delay=1, **CHAINS["noticed"])
        async def noticed(n: int) -> None:
            raise ValueError(f"noticed: {n}")

        @task()
        async def notice(failure: dict[str, Any]) -> Any:
            return await said(failure["task"])

        async def die() -> None:
            ledger.crashes.took_its_worker(current_job())
            self._kill(node)
            await node.gate()

        @task()
        async def fatal(n: int) -> Any:
            if n % 2 and current_job().attempt > 1:
                return await said(n)
            await die()

        @task(retries=2, retry_delay=1)
        async def base(n: int) -> Any:
            await asyncio.sleep(1)
            return await said(n)

        @task(dependencies=Dependency("base", FRESH / 3600, n=same % KINDS))
        async def fresh(n: int) -> Any:
            return await said(n)

        @task(write_all=["b"], retries=1, retry_delay=1)
        async def cover(n: int, b: Literal[COVERED]) -> Any:  # type: ignore[valid-type]
            await asyncio.sleep(1)
            if b == 2 and n % 3 == 0:
                raise ValueError("two")
            return await said([n, b])

        @task(retry_policy="never")
        async def once(n: int) -> Any:
            await asyncio.sleep(5)
            return await said(n)

        @task(retries=1, retry_delay=1)
        async def sawing(n: int) -> Any:
            await asyncio.sleep(1)
            return await said(n)

        @task(retries=1, retry_delay=1)
        async def milling(n: int) -> Any:
            await asyncio.sleep(1)
            return await said(n)

        @task(retries=1, retry_delay=1)
        async def drilling(n: int) -> Any:
            await asyncio.sleep(1)
            return await said(n)

        @task(schedule="*/7 * * * * *", seconds=True, misfire="all", jitter=2)
        async def ticking() -> Any:
            return await said("tick")

        @task(schedule="*/5 * * * * *", seconds=True, overlap="queue_one")
        async def slowly_ticking() -> Any:
            await asyncio.sleep(8)
            return await said("tock")

        @task(schedule="*/6 * * * * *", seconds=True, overlap="skip")
        async def skipping() -> Any:
            await asyncio.sleep(self._length(0.5, 4, 9, 20))
            return await said("skip")

        @task(schedule="*/8 * * * * *", seconds=True, overlap="cancel_previous")
        async def replaced() -> Any:
            try:
                await asyncio.sleep(self._length(1, 7, 1e9, 1e9))
            except asyncio.CancelledError:
                if self._length(0, 1):
                    raise
                await asyncio.sleep(3)  # it does not stop at once, nor as one that was cancelled
            return await said("replaced")

        declare_scripts(task, said, lambda id: ledger.rows[id], die)

        chained = {"fresh": fresh, "cover": cover, "first": first, "needing": needing, "telling": telling}
        ledger.runs.know(declare_parts(worker, task, said, lambda id: ledger.rows[id], chained))
        if self.late:
            self.declare_late(worker, node)
