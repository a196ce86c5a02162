"""What a stranger found who tried to break it."""

from __future__ import annotations

import logging

import pytest
from serving import SECRET, Play, on_a_socket, until
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from easyjobs import EasyJobsWorker


async def test_of_many_jobs_the_one_with_a_taken_key_is_named() -> None:
    async with Play().served() as http:
        job = {"queue": "play", "task": "add"}
        jobs = [{**job, "args": [0], "key": "free"}, {**job, "args": [1], "key": "k"}, {**job, "args": [2], "key": "k"}]
        answer = await http.post("/api/jobs", json=jobs)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["loc"] == [2, "key"]
        assert answer.json()["detail"].startswith("Job 2 of 3")
        assert (await http.get("/api/jobs")).json()["items"] == []

        assert (await http.post("/api/jobs", json=jobs[1])).status_code == 202
        assert (await http.post("/api/jobs", json=jobs[2])).json()["errors"][0]["loc"] == ["key"]


async def test_a_refused_socket_is_no_error_of_the_servers(caplog: pytest.LogCaptureFixture) -> None:
    play = Play()

    @play.app.websocket("/forgetful")
    async def forgetful() -> None:
        """One of the host's that neither accepts nor refuses."""

    caplog.set_level(logging.ERROR, "uvicorn.error")
    async with on_a_socket(play.app, log_config=None) as where:
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        with pytest.raises(InvalidStatus):
            await connect(f"ws://{where}/ws/jobs", proxy=None)
        assert caplog.text == ""
        with pytest.raises(InvalidStatus):
            await connect(f"ws://{where}/forgetful", proxy=None)
        await until(lambda: "without completing handshake" in caplog.text)


async def test_a_worker_that_said_it_lost_its_manager_says_that_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "easyjobs")
    async with on_a_socket(Play().app) as where:
        pass
    worker = EasyJobsWorker(jobs_queue="q", manager_url=f"ws://{where}", manager_secret=SECRET)
    async with worker:
        await until(lambda: "trying again" in caplog.text)
        assert "is connected" not in caplog.text
        async with on_a_socket(Play().app, port=int(where.rpartition(":")[2])):
            await until(lambda: "is connected" in caplog.text)
