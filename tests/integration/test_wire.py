"""Workers and clients over real websockets, to a real manager."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from serving import BEARER, SECRET, on_a_socket

from easyjobs.client import Call, EasyJobsClient, SyncEasyJobsClient
from easyjobs.errors import (
    ArgumentsRefused,
    ConfigurationError,
    ConnectionLost,
    JobFailed,
    NotFound,
    Unauthorized,
    WaitTimeout,
)
from easyjobs.manager import EasyJobsManager
from easyjobs.tasks.context import current_job
from easyjobs.wire.address import address
from easyjobs.wire.dial import Redial, dial
from easyjobs.wire.dial_sync import dial_sync
from easyjobs.wire.link import LinkClosed
from easyjobs.workers.worker import EasyJobsWorker


def application(**options: Any) -> FastAPI:
    manager = EasyJobsManager(SECRET, store="memory:", **options)
    return FastAPI(lifespan=manager.lifespan)


def worker_for(place: str, **options: Any) -> EasyJobsWorker:
    """A worker of the queue `Q`, with a few tasks."""
    worker = EasyJobsWorker("Q", manager_url=f"ws://{place}", manager_secret=SECRET, watchdog=False, **options)

    @worker.task
    async def echo(n: int, s: str = "") -> list[Any]:
        return [n, s]

    @worker.task(retries=0)
    async def boom() -> None:
        raise ValueError("boom")

    @worker.task
    async def parent(n: int) -> int:
        return 1 + await child(n)

    @worker.task
    async def child(n: int) -> int:
        return 2 * n

    @worker.task
    def threaded_parent(n: int) -> int:
        return 1 + worker.wait(threaded_child(n))

    @worker.task
    def threaded_child(n: int) -> int:
        return 3 * n

    @worker.task
    async def patient() -> None:
        await asyncio.sleep(3600)

    return worker


async def ready(client: EasyJobsClient) -> None:
    """Wait until the worker's tasks are known."""
    async with asyncio.timeout(20):
        while True:
            try:
                await client.run("Q:echo", args=[0])
            except NotFound:
                await asyncio.sleep(0.01)
            else:
                return


async def test_jobs_go_from_a_client_to_a_worker_and_back() -> None:
    async with (
        on_a_socket(application()) as place,
        worker_for(place),
        EasyJobsClient(f"http://{place}", SECRET) as client,
    ):
        await ready(client)
        assert await client.run("Q", "echo", [1], {"s": "x"}) == [1, "x"]
        handle = await client.submit("Q", "echo", [2])
        assert await handle == [2, ""]
        results = await asyncio.gather(*(client.run("Q:echo", args=[n]) for n in range(500)))
        assert results == [[n, ""] for n in range(500)]
        handles = await client.submit_many([Call("Q", "echo", [n, "y" * 100]) for n in range(3000)])
        assert await handles[2999].result(20) == [2999, "y" * 100]
        with pytest.raises(JobFailed, match="ValueError: boom"):
            await client.run("Q:boom")
        with pytest.raises(NotFound):
            await client.run("Q:nobody")
        with pytest.raises(NotFound):
            await client.result("01a1fc6c-31c2-7358-9d27-12513ba7fd02")
        with pytest.raises(ArgumentsRefused) as refused:
            await client.run("Q:echo", args=["one"])
        assert refused.value.errors[0]["loc"][-1] == "n"


async def test_a_job_with_a_key_is_made_once() -> None:
    async with (
        on_a_socket(application()) as place,
        worker_for(place),
        EasyJobsClient(f"ws://{place}", SECRET) as client,
    ):
        await ready(client)
        first = await client.submit("Q:echo", args=[1], key="k")
        again = await client.submit("Q:echo", args=[1], key="k")
        assert again.id == first.id
        assert await again == await client.run("Q:echo", args=[1], key="k") == [1, ""]


@pytest.mark.parametrize("task", ["parent", "threaded_parent"])
async def test_eight_jobs_that_each_await_a_job_of_their_queue_finish_with_one_slot(task: str) -> None:
    async with (
        on_a_socket(application()) as place,
        worker_for(place, max_tasks_per_worker=1),
        EasyJobsClient(f"ws://{place}", SECRET) as client,
    ):
        await ready(client)
        factor = {"parent": 2, "threaded_parent": 3}[task]
        async with asyncio.timeout(20):
            results = await asyncio.gather(*(client.run("Q", task, [n]) for n in range(8)))
        assert results == [1 + factor * n for n in range(8)]


async def test_a_cancelled_job_stops() -> None:
    async with (
        on_a_socket(application()) as place,
        worker_for(place),
        EasyJobsClient(f"ws://{place}", SECRET) as client,
    ):
        await ready(client)
        handle = await client.submit("Q:patient")
        with pytest.raises(WaitTimeout):
            await handle.result(0.05)
        await handle.cancel()
        with pytest.raises(JobFailed) as cancelled:
            await handle.result(20)
        assert cancelled.value.state == "cancelled"


async def test_a_worker_that_stops_lets_its_jobs_end_and_its_session_with_them() -> None:
    app = application()
    async with on_a_socket(app) as place, EasyJobsClient(f"ws://{place}", SECRET) as client:
        worker = worker_for(place)
        await worker.start()
        await ready(client)
        handle = await client.submit("Q:patient")
        await asyncio.sleep(0.05)
        await worker.stop(0.1)
        async with worker_for(place, drain_grace=0.1):
            await ready(client)
            async with httpx.AsyncClient(base_url=f"http://{place}", headers=BEARER) as http:
                shown = (await http.get(f"/api/jobs/{handle.id}")).json()
                assert shown["state"] in ("queued", "running")
                assert shown["error"] is None


# -- the door


@pytest.mark.parametrize("secret", ["wrong", "", SECRET + "x"])
async def test_a_wrong_secret_opens_nothing(secret: str) -> None:
    async with on_a_socket(application()) as place:
        with pytest.raises(Unauthorized) as refused:
            await dial(address(f"ws://{place}"), secret=secret)
        assert "secret" in str(refused.value)
        assert SECRET not in str(refused.value)
        with pytest.raises(Unauthorized):
            await asyncio.to_thread(dial_sync, address(f"ws://{place}"), secret=secret, timeout=5)


async def test_the_secret_never_crosses_the_wire_nor_enters_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen = bytearray()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = place.partition(":")
        there_reader, there_writer = await asyncio.open_connection(host, int(port))

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                seen.extend(data)
                target.write(data)
            target.close()

        await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))

    async with on_a_socket(application()) as place:
        server = await asyncio.start_server(relay, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with EasyJobsClient(f"ws://127.0.0.1:{port}", SECRET) as client:
            with pytest.raises(NotFound):
                await client.run("Q:nobody")
        server.close()
    assert b"EasyJobs nonce=" in seen
    assert SECRET.encode() not in seen
    assert SECRET not in caplog.text


async def test_a_token_is_sent_on_this_machine_but_not_over_an_open_network() -> None:
    async with on_a_socket(application()) as place, EasyJobsClient(f"ws://{place}", token=SECRET) as client:
        with pytest.raises(NotFound):
            await client.run("Q:nobody")
        async with EasyJobsClient(f"ws://{place}", token="wrong") as stranger:
            with pytest.raises(Unauthorized):
                await stranger.run("Q:nobody")
    with pytest.raises(ConfigurationError, match="wss"):
        await dial(address("ws://example.com"), token=SECRET)


async def test_a_place_without_a_manager_is_said_clearly() -> None:
    async with on_a_socket(FastAPI()) as place:
        with pytest.raises((ConnectionLost, Unauthorized), match=r"no manager is there|does not let us in"):
            await dial(address(f"ws://{place}"), secret=SECRET)
    with pytest.raises(ConnectionLost, match="can be reached"):
        await dial(address(f"ws://{place}"), secret=SECRET)
    with pytest.raises(ConnectionLost, match="can be reached"):
        await asyncio.to_thread(dial_sync, address(f"ws://{place}"), secret=SECRET, timeout=5)


async def test_who_takes_the_connection_and_says_nothing_is_left_soon_for_the_next_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a stopped manager behind a balancer does. Who is silent again and again is given longer."""
    monkeypatch.setattr("easyjobs.wire.dial.PATIENCE", (0.05, 0.06, 10.0))

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hearing.append(asyncio.current_task())
        await reader.read()
        writer.close()
        await writer.wait_closed()

    hearing: list[asyncio.Task[None] | None] = []
    silent = await asyncio.start_server(hear, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    redial = Redial(address(f"ws://127.0.0.1:{port}"), secret=SECRET)
    for patience in ("0.05", "0.06"):
        with pytest.raises(ConnectionLost, match=rf"nothing came from there for {patience} s"):
            await redial()
    silent.close()
    await silent.wait_closed()
    async with on_a_socket(application(), port=port):
        await (await redial()).close()
    silent = await asyncio.start_server(hear, "127.0.0.1", port)
    with pytest.raises(ConnectionLost, match=r"nothing came from there for 0\.05 s"):
        await redial()
    silent.close()
    await silent.wait_closed()
    await asyncio.gather(*filter(None, hearing))


async def test_a_manager_under_a_prefix_is_found_by_its_url() -> None:
    async with on_a_socket(application(prefix="/jobs")) as place:
        link = await dial(address(f"http://{place}/jobs/"), secret=SECRET)
        await link.send(b"nonsense")
        with pytest.raises(LinkClosed) as closed:
            await link.receive()
        assert closed.value.code == 4406
        await link.close()
        with pytest.raises(LinkClosed):
            await link.send(b"[]")


@pytest.mark.parametrize(
    ("written", "url", "loopback"),
    [
        ("ws://localhost:8220", "ws://localhost:8220/ws/jobs", True),
        ("http://0.0.0.0:8220", "ws://127.0.0.1:8220/ws/jobs", True),
        ("https://jobs.example.com/prefix/", "wss://jobs.example.com/prefix/ws/jobs", False),
        ("ws://[::]:9", "ws://[::1]:9/ws/jobs", True),
        ("WSS://10.0.0.1", "wss://10.0.0.1/ws/jobs", False),
    ],
)
def test_an_address_is_what_people_write(written: str, url: str, loopback: bool) -> None:
    found = address(written)
    assert (found.url, found.secure, found.loopback) == (url, url.startswith("wss"), loopback)


# -- from another thread


@contextmanager
def in_a_thread(app: FastAPI) -> Iterator[str]:
    """The application on a real port, on a loop of its own in another thread."""
    ready, over = threading.Event(), threading.Event()
    places: list[str] = []

    async def serve() -> None:
        async with on_a_socket(app) as place:
            places.append(place)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield places[0]
    finally:
        over.set()
        thread.join()


def embedded_application(**options: Any) -> FastAPI:
    manager = EasyJobsManager(SECRET, store="memory:", **options)

    @manager.task(namespace="Q")
    async def echo(n: int) -> int:
        return n

    @manager.task(namespace="Q")
    async def patient() -> None:
        await asyncio.sleep(3600)

    return FastAPI(lifespan=manager.lifespan)


def test_the_client_without_asyncio() -> None:
    with in_a_thread(embedded_application()) as place, SyncEasyJobsClient(f"ws://{place}", SECRET) as client:
        assert client.run("Q:echo", args=[1]) == 1
        handle = client.submit("Q", "echo", [2])
        assert handle.result() == handle.result(5) == 2
        assert (handle.queue, handle.task) == ("Q", "echo")
        assert repr(handle) == f"<SyncJobHandle Q:echo {handle.id}>"
        assert [h.result() for h in client.submit_many([Call("Q", "echo", [n]) for n in range(5)])] == [0, 1, 2, 3, 4]
        waiting = client.submit("Q:patient")
        with pytest.raises(WaitTimeout):
            waiting.result(0.05)
        waiting.cancel()
        with pytest.raises(JobFailed):
            waiting.result(20)
        with pytest.raises(NotFound):
            client.submit("Q:nobody")
        client.close()
        assert client.run("Q:echo", args=[3]) == 3


def test_the_client_without_asyncio_serves_many_threads() -> None:
    with in_a_thread(embedded_application()) as place, SyncEasyJobsClient(f"ws://{place}", SECRET) as client:
        results: list[int] = []
        threads = [
            threading.Thread(target=lambda n=n: results.append(client.run("Q:echo", args=[n])))  # type: ignore[misc]
            for n in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == list(range(16))


def test_a_job_that_blocks_the_loop_keeps_its_lease_and_is_named() -> None:
    """The block outlasts the lease; without the second voice the job would be given away and run again."""
    runs: list[int] = []

    async def story(place: str) -> None:
        worker = EasyJobsWorker("Q", manager_url=f"ws://{place}", manager_secret=SECRET)

        @worker.task
        async def blocks() -> str:
            job = current_job()
            runs.append(job.attempt)
            with httpx.Client(base_url=f"http://{place}", headers=BEARER) as http:
                pause = threading.Event()
                named = 0
                while named < 30:  # polls, 0.1 s each
                    (shown,) = http.get("/api/workers").json()["items"]
                    named += shown["blocked"] == "Q:blocks"
                    pause.wait(0.1)
                return str(http.get(f"/api/jobs/{job.id}").json()["state"])

        @worker.task
        async def noop() -> str:
            return "free"

        async with worker, EasyJobsClient(f"ws://{place}", SECRET, connect_timeout=20) as client:
            async with asyncio.timeout(20):
                while True:
                    try:
                        handle = await client.submit("Q:blocks")
                        break
                    except NotFound:
                        await asyncio.sleep(0.01)
            assert await handle.result(20) == "running"
            assert await client.run("Q:noop") == "free"

    with in_a_thread(application(lease=4.0, heartbeat=0.25, grace=0.5)) as place:
        asyncio.run(story(place))
    assert runs == [1]


async def test_a_worker_that_stops_gets_nothing_more_however_much_is_queued() -> None:
    async with on_a_socket(application()) as place, EasyJobsClient(f"ws://{place}", SECRET) as client:
        worker = worker_for(place, max_tasks_per_worker=50)
        await worker.start()
        await ready(client)
        await client.submit_many([Call("Q", "patient") for _ in range(2000)])
        async with asyncio.timeout(10):
            await worker.stop(0)
        async with httpx.AsyncClient(base_url=f"http://{place}", headers=BEARER) as http:
            states = (await http.get("/api/stats")).json()["jobs"]
        assert states["queued"] == 2000
        assert states.get("running", 0) == 0
