"""The client over the websocket, and its twin without asyncio."""

from __future__ import annotations

import asyncio
import threading

import pytest
from support import Cluster, free_port

from easyjobs import Call, EasyJobsClient, JobCancelled, JobFailed, SyncEasyJobsClient, WaitTimeout
from easyjobs.errors import ArgumentsRefused, ConnectionLost, NotFound, Unauthorized


async def test_submit_and_await(home: Cluster) -> None:
    async with EasyJobsClient(home.url, home.secret) as client:
        handle = await client.submit("home", "add", [40], {"b": 2})
        assert await handle == 42
        assert await handle.result() == 42
        assert await client.run("home:add", args=[1], kwargs={"b": 2}) == 3
        assert await client.result(handle.id) == 42
    assert home.job(handle.id)["result"] == 42


async def test_five_thousand_jobs_at_once(house: Cluster) -> None:
    workers = [house.start_worker("many", 100, wait=False) for _ in range(2)]
    house.until_connected(*workers)
    async with EasyJobsClient(house.url, house.secret) as client:
        handles = await client.submit_many([Call("many", "add", (n,)) for n in range(5000)])
        assert len({handle.id for handle in handles}) == 5000
        results = await asyncio.gather(*handles)
    assert results == [n + 1 for n in range(5000)]
    lines = [e for e in house.effects() if e.pid in {worker.pid for worker in workers}]
    assert len(lines) == 5000
    assert {e.job for e in lines} == {handle.id for handle in handles}
    for worker in workers:
        worker.terminate()


async def test_options_of_a_call(home: Cluster) -> None:
    async with EasyJobsClient(home.url, home.secret) as client:
        late = await client.submit("home", "add", [1], delay=3600, priority=7)
        same = [await client.submit("home", "add", [2], key="a client's key") for _ in range(3)]
        assert len({handle.id for handle in same}) == 1
        job = home.job(late.id)
        assert (job["state"], job["priority"]) == ("queued", 7)
        await late.cancel()
        with pytest.raises(JobCancelled):
            await late


async def test_cancel_of_a_running_job(home: Cluster) -> None:
    gate = str(home.gate())
    async with EasyJobsClient(home.url, home.secret) as client:
        handle = await client.submit("home", "hold", [gate])
        with pytest.raises(WaitTimeout):
            await handle.result(timeout=0.1)
        await asyncio.to_thread(home.until_effect, handle.id, "began")
        await handle.cancel()
        with pytest.raises(JobCancelled):
            await handle
    assert home.ends(handle.id) == ["cancelled"]


async def test_errors_are_told_where_they_were_made(home: Cluster) -> None:
    async with EasyJobsClient(home.url, home.secret) as client:
        with pytest.raises(NotFound, match="nowhere"):
            await client.submit("nowhere", "add", [1])
        with pytest.raises(NotFound):
            await client.submit("home", "nothing")
        with pytest.raises(ArgumentsRefused) as refused:
            await client.submit("home", "add", ["text"])
        assert refused.value.errors
        with pytest.raises(ArgumentsRefused):
            await client.submit("home", "add", [1], {"surplus": 2})
        with pytest.raises(ArgumentsRefused):
            await client.submit("home", "add")
        with pytest.raises(NotFound):
            await client.result("01234567-89ab-7def-8123-456789abcdef")
        with pytest.raises(JobFailed) as failed:
            await client.run("home", "gives_up")
        assert failed.value.error["type"] == "NoRetry"
        # after all that the connection is as good as new
        assert await client.run("home", "add", [1]) == 2


async def test_a_wrong_secret_and_no_manager(home: Cluster) -> None:
    async with EasyJobsClient(home.url, "not the secret", connect_timeout=3) as client:
        with pytest.raises((ConnectionLost, Unauthorized), match="refused"):
            await client.submit("home", "add", [1])
    nobody = f"http://127.0.0.1:{free_port()}"
    async with EasyJobsClient(nobody, home.secret, connect_timeout=0.5) as client:
        with pytest.raises(ConnectionLost, match="no manager"):
            await client.submit("home", "add", [1])


def test_the_twin_without_asyncio_serves_many_threads(home: Cluster) -> None:
    found: dict[int, int] = {}
    with SyncEasyJobsClient(home.url, home.secret) as client:

        def work(n: int) -> None:
            found[n] = client.submit("home", "add", [n]).result(timeout=20)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {n: n + 1 for n in range(8)}
        many = client.submit_many([Call("home", "add", (n,)) for n in range(300)])
        assert [handle.result() for handle in many] == [n + 1 for n in range(300)]
        late = client.submit("home", "add", [1], delay=3600)
        late.cancel()
        with pytest.raises(JobCancelled):
            late.result()
        with pytest.raises(ArgumentsRefused):
            client.submit("home", "add", ["text"])
        assert client.run("home", "family", [4]) == 9


def test_the_twin_tells_a_wrong_secret_and_no_manager(home: Cluster) -> None:
    with (
        SyncEasyJobsClient(home.url, "not the secret", connect_timeout=3) as client,
        pytest.raises((ConnectionLost, Unauthorized), match="refused"),
    ):
        client.submit("home", "add", [1])
    with (
        SyncEasyJobsClient(f"http://127.0.0.1:{free_port()}", home.secret, connect_timeout=0.5) as client,
        pytest.raises(ConnectionLost),
    ):
        client.submit("home", "add", [1])
