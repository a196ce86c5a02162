"""The hub on a real SQLite file, in real time: what must hold over its commits, its restarts, and its lock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from easyjobs.core.job import Job
from easyjobs.core.signature import Parameter, Signature
from easyjobs.core.task import Options, TaskSpec
from easyjobs.errors import StoreLocked, Unprocessable
from easyjobs.hub.connections import Connection
from easyjobs.hub.hub import Hub
from easyjobs.hub.settings import HubSettings
from easyjobs.protocol.codec import decode_from_manager, encode
from easyjobs.protocol.messages import (
    Ack,
    Assign,
    Assignment,
    Finished,
    FromManager,
    FromPeer,
    Held,
    Hello,
    Outcome,
    Submission,
    Welcome,
)
from easyjobs.stores.sqlite.store import SQLiteStore

SPEC = TaskSpec("q", "add", Signature(parameters=(Parameter("n", required=False),)))


class Peer:
    """A socket's other end."""

    def __init__(self, hub: Hub) -> None:
        self.heard: asyncio.Queue[FromManager] = asyncio.Queue()
        self.connection: Connection = hub.connect(self, role_allowed=frozenset(("worker",)), by="me")

    async def send(self, frame: bytes) -> None:
        for message in decode_from_manager(frame):
            self.heard.put_nowait(message)

    async def close(self, code: int, reason: str) -> None:
        """Nothing is left to close."""

    def say(self, *messages: FromPeer) -> None:
        self.connection.receive(encode(messages))

    async def hear(self, kind: type[Any]) -> Any:
        async with asyncio.timeout(10):
            while True:
                message = await self.heard.get()
                if isinstance(message, kind):
                    return message

    async def work(self, jobs: int, specs: list[TaskSpec] | None = None, held: list[Held] | None = None) -> list[str]:
        """Say hello, run so many jobs, and see their outcomes acknowledged; the ids, in order of assignment."""
        self.say(Hello(1, "worker", worker_id="w", name="w", tasks=specs or [SPEC], slots=10, held=held or []))
        await self.hear(Welcome)
        done: list[str] = []
        acknowledged = 0
        async with asyncio.timeout(20):
            while acknowledged < jobs:
                message = await self.heard.get()
                if isinstance(message, Assign):
                    done += [a.job for a in message.jobs]
                    self.say(Finished([Outcome(a.job, a.attempt, a.token) for a in message.jobs]))
                elif isinstance(message, Ack):
                    acknowledged += len(message.applied)
        return done


@asynccontextmanager
async def hub_on(path: Path, **settings: Any) -> AsyncIterator[Hub]:
    hub = Hub(SQLiteStore(str(path)), settings=HubSettings(**settings))
    await hub.start()
    try:
        yield hub
    finally:
        await hub.stop(3.0)


def submission(hub: Hub, **options: Any) -> Submission:
    if "kwargs" in options:
        options["kwargs"] = msgspec.Raw(msgspec.json.encode(options["kwargs"]))
    return Submission(hub.job_id(), "q", "add", **options)


async def submit(hub: Hub, **options: Any) -> Job:
    (made,) = await hub.submit([submission(hub, **options)])
    return made.job


async def test_what_was_acknowledged_is_there_after_a_restart_with_its_pauses(tmp_path: Path) -> None:
    async with hub_on(tmp_path / "jobs.db") as hub:
        await Peer(hub).work(0)
        ids = [m.job.id for m in await hub.submit([submission(hub) for _ in range(500)])]
        await hub.pause("queue", "q", "me")
    async with hub_on(tmp_path / "jobs.db") as hub:
        await Peer(hub).work(0)
        (view,) = await hub.queries.queues()
        assert (view.paused is not None, view.queued + view.running) == (True, 500)
        assert hub.admission.depth == {"q": 500}
        await hub.resume("queue", "q", "me")
        assert sorted(await Peer(hub).work(500)) == sorted(ids)
        assert (await hub.queries.stats()).jobs == {"completed": 500}
        assert hub.admission.depth == {"q": 0}


async def test_one_key_a_hundred_times_at_once_is_one_job(tmp_path: Path) -> None:
    async with hub_on(tmp_path / "jobs.db") as hub:
        await Peer(hub).work(0)
        made = await asyncio.gather(*(submit(hub, key="k", kwargs={"n": 1}) for _ in range(100)))
        assert len({job.id for job in made}) == 1
        with pytest.raises(Unprocessable):
            await submit(hub, key="k", kwargs={"n": 2})


async def test_jobs_sent_together_may_repeat_each_other(tmp_path: Path) -> None:
    async with hub_on(tmp_path / "jobs.db") as hub:
        unique = TaskSpec("q", "one", SPEC.signature, Options(unique=True))
        await Peer(hub).work(0, [SPEC, unique])
        a, b = submission(hub, key="k"), submission(hub, key="k")
        assert [m.job.id for m in await hub.submit([a, b, a])] == [a.id] * 3
        c, d = (Submission(hub.job_id(), "q", "one") for _ in range(2))
        assert [m.job.id for m in await hub.submit([c, d])] == [c.id] * 2
        assert sum((await hub.queries.stats()).jobs.values()) == 2


async def test_a_job_that_runs_over_a_restart_is_kept_by_its_worker(tmp_path: Path) -> None:
    async with hub_on(tmp_path / "jobs.db") as hub:
        worker = Peer(hub)
        worker.say(Hello(1, "worker", worker_id="w", name="w", tasks=[SPEC], slots=1))
        job = await submit_when_known(hub)
        (a,) = (await worker.hear(Assign)).jobs
    assert isinstance(a, Assignment)
    async with hub_on(tmp_path / "jobs.db") as hub:
        worker = Peer(hub)
        held = Held(a.job, a.attempt, a.token)
        worker.say(Hello(1, "worker", worker_id="w", name="w", tasks=[SPEC], slots=1, held=[held]))
        assert [v.verdict for v in (await worker.hear(Welcome)).verdicts] == ["keep"]
        worker.say(Finished([Outcome(a.job, a.attempt, a.token, result=msgspec.Raw(b"[1]"))]))
        assert (await worker.hear(Ack)).applied == [job.id]
        assert (await hub.job(job.id)).result == "[1]"


async def submit_when_known(hub: Hub) -> Job:
    async with asyncio.timeout(5):
        while not hub.queries.tasks():
            await asyncio.sleep(0)
    return await submit(hub)


async def test_a_file_serves_one_manager(tmp_path: Path) -> None:
    async with hub_on(tmp_path / "jobs.db") as hub:
        with pytest.raises(StoreLocked):
            await Hub(SQLiteStore(str(tmp_path / "jobs.db"))).start()
        assert hub.ready() == (True, "ok")
