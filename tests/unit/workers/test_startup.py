"""A worker inside a FastAPI application, and as a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType

import pytest
from fastapi import FastAPI
from scripted_manager import ScriptedManager, assignment, result_of

from easyjobs.errors import ConfigurationError, ConnectionLost
from easyjobs.protocol.messages import Goodbye
from easyjobs.tasks.decorator import task
from easyjobs.workers.worker import EasyJobsWorker


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # on_event is what this is about
async def test_a_worker_created_at_startup_drains_when_the_application_shuts_down() -> None:
    manager = ScriptedManager()
    server = FastAPI()
    workers: list[EasyJobsWorker] = []
    closed: list[bool] = []

    @server.on_event("startup")
    async def setup() -> None:
        worker = await EasyJobsWorker.create(server, server_secret="s", jobs_queue="ETL", connect=manager.connect)
        again = await EasyJobsWorker.create(server, server_secret="s", jobs_queue="ETL", connect=manager.connect)
        other = await EasyJobsWorker.create(server, server_secret="s", jobs_queue="else", connect=manager.connect)
        assert again is worker is not other
        await other.stop(0)
        workers.append(worker)

        @worker.task()
        async def work() -> str:
            return "done"

    @server.on_event("shutdown")
    async def close_pool() -> None:
        closed.append(workers[0].connected)

    async with server.router.lifespan_context(server):
        await manager.welcome()
        await manager.assign(assignment("a", "work", queue="ETL"))
        assert result_of(await manager.outcome()) == "done"
        goodbye = asyncio.ensure_future(manager.pass_over(Goodbye))
    await goodbye
    assert closed == [False]  # ours came first: what jobs use is closed after they have ended


async def test_an_application_with_its_own_lifespan_is_told_how() -> None:
    @asynccontextmanager
    async def lifespan(server: FastAPI) -> AsyncIterator[None]:
        with pytest.raises(ConfigurationError, match="async with"):
            await EasyJobsWorker.create(server, jobs_queue="Q", connect=ScriptedManager().connect)
        yield

    server = FastAPI(lifespan=lifespan)
    async with server.router.lifespan_context(server):
        pass


async def test_a_worker_without_a_secret_may_be_made_and_is_refused_at_its_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("EASYJOBS_SECRET", raising=False)
    monkeypatch.delenv("EASYJOBS_MANAGER_SECRET", raising=False)
    worker = EasyJobsWorker("Q")
    with pytest.raises(ConfigurationError, match="EASYJOBS_MANAGER_SECRET"):
        await worker.start()
    monkeypatch.setenv("EASYJOBS_SECRET", "s")
    assert EasyJobsWorker("Q", manager_host="::1", manager_port=9).settings.manager_port == 9


async def test_the_plain_tasks_of_a_module_are_included() -> None:
    module = ModuleType("plain")

    def shout(text: str) -> str:
        return text.upper()

    shout.__module__ = "plain"
    module.shout = task(shout)  # type: ignore[attr-defined]
    manager = ScriptedManager()
    worker = EasyJobsWorker("Q", connect=manager.connect, watchdog=False)
    assert [bound.name for bound in worker.include(module)] == ["shout"]
    async with worker:
        hello = await manager.welcome()
        assert [spec.name for spec in hello.tasks] == ["shout"]
        await manager.assign(assignment("a", "shout", "hey"))
        assert result_of(await manager.outcome()) == "HEY"


async def test_run_works_until_sigterm_and_a_second_one_ends_the_grace() -> None:
    manager = ScriptedManager()
    worker = EasyJobsWorker("Q", connect=manager.connect, watchdog=False)

    @worker.task
    async def forever() -> None:
        await asyncio.sleep(1e6)

    running = asyncio.ensure_future(worker.run())
    await manager.welcome()
    await manager.assign(assignment("a", "forever"))
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    while worker._stopping is None:
        await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    outcome = await manager.outcome()
    assert outcome.end == "returned"
    await manager.pass_over(Goodbye)
    await running


async def test_run_ends_with_a_clear_word_when_another_process_took_over() -> None:
    manager = ScriptedManager()
    worker = EasyJobsWorker("Q", connect=manager.connect, worker_id="mine", watchdog=False)
    running = asyncio.ensure_future(worker.run())
    await manager.welcome()
    await manager.link.close(4409, "replaced")
    with pytest.raises(ConnectionLost, match="mine"):
        await running


def test_a_bare_worker_and_a_bare_client_stay_small() -> None:
    code = """
import sys
import easyjobs.workers.worker, easyjobs.client
heavy = {"fastapi", "pydantic", "starlette", "uvicorn", "httpx", "jinja2", "jsonschema_rs"} & set(sys.modules)
assert not heavy, heavy
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
assert peak < 60, peak
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
