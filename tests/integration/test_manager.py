"""A manager in its application: started and stopped with it, in each way that FastAPI has; one for each store."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from serving import BEARER, SECRET, Play
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import easyjobs
from easyjobs import EasyJobsManager
from easyjobs.errors import ConfigurationError, StoreLocked, Unavailable
from easyjobs.stores.memory import MemoryStore

ADD = "/api/queues/DEFAULT/tasks/double?wait=10"


@pytest.fixture(autouse=True)
def no_deprecation() -> Iterator[None]:
    """FastAPI's `on_event` warns; it is the form that these tests are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def application(store: Any) -> tuple[FastAPI, list[EasyJobsManager]]:
    """An application in the form of `on_event('startup')`."""
    app = FastAPI()
    app.include_router(APIRouter())
    made: list[EasyJobsManager] = []

    @app.on_event("startup")
    async def setup() -> None:
        manager = await EasyJobsManager.create(app, server_secret=SECRET, store=store)
        made.append(manager)

        @manager.task()
        async def double(n: int) -> int:
            return 2 * n

        assert await EasyJobsManager.create(app, server_secret="another") is manager

    return app, made


@asynccontextmanager
async def living(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """The application between its startup and its shutdown."""
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://x", headers=BEARER) as http,
    ):
        yield http


async def test_create_at_startup_serves_until_shutdown() -> None:
    app, made = application("memory:")
    async with living(app) as http:
        assert await made[0].submit([]) == []
        while (answer := await http.post(ADD, json={"n": 4})).status_code == 404:
            await asyncio.sleep(0)
        assert answer.json()["result"] == 8
    with pytest.raises(Unavailable):
        _ = made[0].hub


async def test_it_is_stopped_before_the_hosts_own_shutdown_handlers() -> None:
    app, made = application("memory:")
    seen: list[str] = []

    @app.on_event("shutdown")
    async def close_pools() -> None:
        try:
            seen.append(made[0].hub.ready()[1])
        except Unavailable:
            seen.append("stopped")

    async with living(app):
        assert made[0].hub.ready() == (True, "ok")
    assert seen == ["stopped"]


async def test_an_application_may_start_again() -> None:
    app, made = application(MemoryStore())
    for turn in range(2):
        async with living(app) as http:
            while (answer := await http.post(ADD, json={"n": turn})).status_code == 404:
                await asyncio.sleep(0)
            assert answer.json()["result"] == 2 * turn
            assert len((await http.get("/api/jobs")).json()["items"]) == turn + 1
    assert made[0] is made[1]


async def test_in_a_lifespan_of_its_own_create_says_what_to_do() -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await EasyJobsManager.create(app, server_secret=SECRET, store="memory:")
        yield

    app = FastAPI(lifespan=lifespan)
    with pytest.raises(ConfigurationError, match="async with EasyJobsManager"):
        async with living(app):
            pass


async def test_a_lifespan_of_its_own_holds_the_managers() -> None:
    play = Play()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, int]]:
        async with play.manager.lifespan(app):
            yield {"mine": 1}

    app = FastAPI(lifespan=lifespan)
    async with living(app) as http:
        assert (await http.get("/health/ready")).status_code == 200


@pytest.mark.parametrize("prefix", ["", "/jobs"])
async def test_an_application_of_starlette_alone_holds_one_as_well(prefix: str) -> None:
    play = Play(prefix=prefix)
    app = Starlette(lifespan=play.manager.lifespan, routes=[Route("/mine", lambda request: PlainTextResponse("mine"))])
    async with living(app) as http:
        assert (await http.get("/mine")).text == "mine"
        assert (await http.get(f"{prefix}/health/ready")).status_code == 200
        page = (await http.get(f"{prefix}/openapi.json")).json()
        assert page["info"]["title"] == "easyjobs"
        assert f"{prefix}/api/jobs" in page["paths"]


def test_a_manager_does_not_wait_for_fastapi() -> None:
    code = "import sys, easyjobs.manager; sys.exit(bool({'fastapi', 'pydantic'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


async def test_a_second_manager_on_one_file_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    async with Play(store=url).served():
        with pytest.raises(StoreLocked, match="PostgreSQL"):
            await EasyJobsManager(SECRET, store=url).start()


async def test_jobs_outlive_the_manager(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    async with Play(store=url).served() as http:
        job = (await http.post("/api/queues/play/tasks/add?wait=10", json={"a": 1})).json()
        cursor = None
        await http.post("/api/jobs", json=[{"queue": "play", "task": "add", "args": [n]} for n in range(5)])
        cursor = (await http.get("/api/jobs?limit=2")).json()["next"]
    async with Play(store=url).served() as http:
        shown = (await http.get(f"/api/jobs/{job['id']}")).json()
        assert {name: shown[name] for name in job} == job
        assert (await http.get("/api/jobs", params={"limit": 2, "cursor": cursor})).status_code == 200


def test_settings_that_will_not_do_are_named() -> None:
    for options, name in (
        ({"prefix": "jobs"}, "prefix"),
        ({"prefix": "/jobs/"}, "prefix"),
        ({"lease": 0}, "lease"),
        ({"lease": 4, "heartbeat": 3}, "lease"),
        ({"max_tasks_per_worker": 0}, "max_tasks_per_worker"),
        ({"nonsense": 1}, "nonsense"),
        ({"server_secret": ""}, "server_secret"),
    ):
        with pytest.raises(ConfigurationError, match=name):
            EasyJobsManager(**{"server_secret": SECRET, **options})


async def test_a_store_that_nobody_knows_is_named_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="mysql"):
        await EasyJobsManager(SECRET, store="mysql://x/y").start()


# -- with the real server, as a process


APP = """
from fastapi import FastAPI
from easyjobs import EasyJobsManager

manager = EasyJobsManager()
app = FastAPI(lifespan=manager.lifespan)

@manager.task(namespace="general")
async def hello(name: str = "world") -> str:
    return f"hello {name}"

@manager.task(namespace="general")
async def forever() -> None:
    import asyncio
    await asyncio.sleep(3600)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def serve(folder: Path, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    (folder / "app.py").write_text(APP)
    own = {"EASYJOBS_STORE": f"sqlite:///{folder}/jobs.db", "PYTHONPATH": str(Path(easyjobs.__file__).parent.parent)}
    return subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "app:app", "--port", str(free_port()), "--no-access-log", *arguments],
        cwd=folder,
        env={**os.environ, **own, **environ},
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.e2e
def test_two_processes_on_one_file_end_with_one_clear_message(tmp_path: Path) -> None:
    process = serve(tmp_path, "--workers", "2", EASYJOBS_SECRET=SECRET)
    try:
        said, _ = process.communicate(timeout=25)
    finally:
        process.kill()
    assert process.returncode != 0 or "failed to start" in said
    assert "PostgreSQL" in said
    assert "Traceback" not in said
    assert len(re.findall("PostgreSQL", said)) == 1


def listening(process: subprocess.Popen[str]) -> str:
    """All that a server says until it listens."""
    said = ""
    assert process.stdout is not None
    while "running on" not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    return said


def address(said: str) -> str:
    found = re.search(r"http://\S+", said)
    assert found is not None
    return found[0]


@pytest.mark.e2e
def test_the_app_of_ten_lines_runs_prints_its_secret_and_stops_on_sigterm(tmp_path: Path) -> None:
    process = serve(tmp_path, EASYJOBS_SECRET="")
    try:
        said = listening(process)
        found = re.search("manager's is ([0-9a-f]+)", said)
        assert found is not None
        assert "/login" in said
        answer = httpx.post(
            f"{address(said)}/api/queues/general/tasks/hello?wait=10",
            json={"name": "you"},
            headers={"Authorization": f"Bearer {found[1]}"},
        )
        assert answer.json()["result"] == "hello you"
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert "Application shutdown complete" in rest
    assert "Traceback" not in rest
    assert process.returncode in (0, -signal.SIGTERM)


@pytest.mark.e2e
def test_no_client_holds_a_manager_that_was_told_to_stop(tmp_path: Path) -> None:
    process = serve(tmp_path, EASYJOBS_SECRET=SECRET, EASYJOBS_STOP_GRACE="3")
    try:
        where = address(listening(process))
        host, port = where.removeprefix("http://").split(":")
        head = (
            f"POST /api/queues/general/tasks/forever?wait=60 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n"
        )
        with (
            socket.create_connection((host, int(port))) as waits,
            socket.create_connection((host, int(port))) as dawdles,
        ):
            waits.sendall(f"{head}Content-Length: 0\r\n\r\n".encode())
            dawdles.sendall(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
            while not httpx.get(f"{where}/api/jobs?state=running", headers=BEARER).json()["items"]:
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert "Application shutdown complete" in rest
