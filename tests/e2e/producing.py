"""A producer with a ledger of what was acknowledged to it, and the reckoning at the end."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from types import TracebackType

from support import FINAL, Cluster, until

from easyjobs import EasyJobsClient
from easyjobs.errors import Unavailable


class Producer:
    """Makes `rate` jobs of `queue:tally` a second from a thread of its own, until the block ends.

    `acknowledged` has the id of every job that the manager called durable, and the `n` it was made with. One that is
    `insistent` gives each job a key, and asks again where the manager says that its store is not there.
    """

    def __init__(self, cluster: Cluster, queue: str, rate: float = 200.0, *, insistent: bool = False) -> None:
        self._cluster = cluster
        self._queue = queue
        self._pause = 1 / rate
        self._insistent = insistent
        self._over = False
        self.acknowledged: dict[str, int] = {}
        self.errors: list[BaseException] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._produce()))

    def __enter__(self) -> Producer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._thread.join(90)
        assert not self._thread.is_alive()
        if error is None:
            assert self.errors == []

    def until_acknowledged(self, number: int) -> None:
        until(lambda: len(self.acknowledged) >= number, f"{number} jobs are acknowledged")

    async def _produce(self) -> None:
        async with EasyJobsClient(self._cluster.url, self._cluster.secret, connect_timeout=60) as client:
            going: set[asyncio.Task[None]] = set()
            n = 0
            while not self._over:
                n += 1
                task = asyncio.create_task(self._make(client, n))
                going.add(task)
                task.add_done_callback(going.discard)
                await asyncio.sleep(self._pause)
            if going:
                await asyncio.wait(going)

    async def _make(self, client: EasyJobsClient, n: int) -> None:
        key = f"{self._queue} {n}" if self._insistent else None
        try:
            while True:
                try:
                    handle = await client.submit(self._queue, "tally", kwargs={"n": n}, key=key)
                except Unavailable:
                    if not self._insistent:
                        raise
                    await asyncio.sleep(0.1)
                else:
                    self.acknowledged[handle.id] = n
                    return
        except BaseException as error:
            self.errors.append(error)


def reckon(cluster: Cluster, producer: Producer, queue: str) -> Counter[str]:
    """Every acknowledged job completed, and its recorded outcome is that of exactly one attempt that really ran.

    What is counted: `acknowledged`, and `twice`, the jobs whose task ran more than once.
    """
    acknowledged = producer.acknowledged

    def all_ended() -> bool:
        view = next(q for q in cluster.get("/api/queues")["items"] if q["name"] == queue)
        return view["waiting"] + view["queued"] + view["running"] + view["retry"] == 0

    until(all_ended, "nothing is left to do")
    rows = {}
    cursor = None
    while True:
        query = {"queue": queue, "limit": 1000, **({"cursor": cursor} if cursor else {})}
        page = cluster.get("/api/jobs", **query)
        rows.update({job["id"]: job for job in page["items"]})
        cursor = page["next"]
        if cursor is None:
            break
    assert acknowledged.keys() <= rows.keys(), "acknowledged jobs are lost"
    done = {}
    for line in cluster.effects():
        done.setdefault(line.job, []).append(line)
    for id, n in acknowledged.items():
        job = rows[id]
        assert job["state"] == "completed", job
        result = job["result"]
        assert result["n"] == n
        assert result["attempt"] == job["attempt"]
        assert (result["attempt"], result["pid"]) in {(line.attempt, line.pid) for line in done[id]}
        # an attempt is one execution: however often the job ran, no two runs had the same number
        assert len({line.attempt for line in done[id]}) == len(done[id])
    assert all(job["state"] in FINAL for job in rows.values())
    many = {id: lines for id, lines in done.items() if len({line.attempt for line in lines}) > 1}
    for id in many:
        ends = cluster.ends(id)
        assert ends.count("completed") == 1, (id, ends)
        assert ends[-1] == "completed", (id, ends)
    return Counter(acknowledged=len(acknowledged), twice=len(many))
