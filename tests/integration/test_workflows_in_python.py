"""Workflows from their functions to the ends of their runs, in one process, on a SQLite file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from easyjobs import EasyJobsManager, JobCancelled, JobFailed, chain, group, map, task_named
from easyjobs.stores.base import JobQuery

SECRET = "a secret of the tests, long enough"


class Pages:
    """A manager and its tasks. `good` lets `parse` succeed, `gate` lets `patient` end."""

    def __init__(self, folder: Path, pages: int = 3) -> None:
        self.manager = manager = EasyJobsManager(SECRET, store=f"sqlite:///{folder}/jobs.db", max_tasks_per_worker=20)
        self.app = FastAPI(lifespan=manager.lifespan)
        self.good = True
        self.gate = asyncio.Event()
        self.ran: list[str] = []

        @manager.task(retries=0)
        async def fetch(day: date) -> list[str]:
            self.ran.append("fetch")
            return [f"{day.isoformat()} {i}" for i in range(pages)]

        @manager.task(retries=0)
        async def parse(page: str, lang: str = "en") -> str:
            if not self.good:
                raise ValueError(f"cannot parse {page}")
            return f"{page} {lang}"

        @manager.task(retries=0)
        async def total(counts: list[Any]) -> int:
            self.ran.append("total")
            return len(counts)

        @manager.task(namespace="far")
        def both(values: list[Any], key: str = "") -> dict[str, Any]:
            return {"values": values, "key": key}

        @manager.task
        async def count(document: dict[str, Any]) -> int:
            return len(document)

        @manager.task
        async def patient() -> None:
            await self.gate.wait()

        self.fetch: Any = fetch
        self.parse: Any = parse
        self.total: Any = total
        self.both: Any = both
        self.count: Any = count
        self.patient: Any = patient

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with self.manager.lifespan(self.app):
            yield

    async def state(self, id: str) -> str:
        return (await self.manager.hub.queries.job(id)).state


async def test_a_function_is_drawn_once_and_run_many_times(tmp_path: Path) -> None:
    house = Pages(tmp_path)
    drawn = 0

    @house.manager.workflow(title="Nightly")
    def nightly(day: date, lang: str = "de") -> Any:
        nonlocal drawn
        drawn += 1
        pages = house.fetch(day)
        parsed = map(house.parse, pages, lang=lang)
        return house.both([parsed, house.total(parsed)], key=pages[0])["values"]

    async with house.open():
        for year in (2026, 2027):
            parsed, count = await nightly(date(year, 1, 1))
            assert parsed == [f"{year}-01-01 {i} de" for i in range(3)]
            assert count == 3
        run = await nightly.options(priority=2, key="once").enqueue(day=date(2026, 1, 1), lang="fr")
        assert (await run)[0][0] == "2026-01-01 0 fr"
        again = await nightly.options(priority=2, key="once").enqueue(day=date(2026, 1, 1), lang="fr")
        assert again.id == run.id
        assert (await house.manager.hub.queries.job(run.id)).priority == 2
    assert drawn == 1


async def test_chains_groups_and_maps_need_no_function(tmp_path: Path) -> None:
    house = Pages(tmp_path)
    shaped = house.manager.workflow(
        "shaped", chain(house.fetch, group(map(house.parse), chain(house.total, house.patient)), house.both)
    )
    house.gate.set()
    named = house.manager.workflow("named", chain(task_named("shaped"), house.count))
    empty = house.manager.workflow("empty", chain(map(house.parse), house.total))
    side_by_side = house.manager.workflow("side", group(house.fetch, house.fetch))
    async with house.open():
        pages = [f"2026-01-01 {i} en" for i in range(3)]
        assert await shaped(date(2026, 1, 1)) == {"values": [pages, None], "key": ""}
        assert await named(day=date(2026, 1, 1)) == 2
        assert await empty([]) == 0
        assert await side_by_side(date(2026, 1, 1)) == [[page.removesuffix(" en") for page in pages]] * 2


async def test_several_results_that_are_too_large_together_fail_the_run(tmp_path: Path) -> None:
    house = Pages(tmp_path)

    @house.manager.task
    async def large() -> str:
        return "x" * 600_000

    @house.manager.workflow
    def flow() -> Any:
        first: Any = large()
        second: Any = large()
        return {"first": first, "second": second}

    async with house.open():
        with pytest.raises(JobFailed, match="ResultTooLarge: what it gives has 1200024 bytes; 1048576 are allowed"):
            await flow()


async def test_a_wide_map_is_as_wide_as_its_list(tmp_path: Path) -> None:
    house = Pages(tmp_path, pages=1201)
    wide = house.manager.workflow("wide", chain(house.fetch, map(house.parse), house.total))
    async with house.open():
        run = await wide.enqueue(date(2026, 1, 1))
        assert await run == 1201
        assert house.ran == ["fetch", "total"]
        (view,), _ = await house.manager.hub.runs.page(JobQuery())
        assert (view.job.id, view.state, view.counts) == (run.id, "completed", {"completed": 1204})


async def test_what_depends_on_a_failed_task_is_skipped_and_a_retry_keeps_what_succeeded(tmp_path: Path) -> None:
    house = Pages(tmp_path)
    flow = house.manager.workflow("flow", chain(house.fetch, map(house.parse), house.total))
    house.good = False
    async with house.open():
        run = await flow.enqueue(date(2026, 1, 1))
        with pytest.raises(JobFailed, match="parse"):
            await run
        job = await house.manager.hub.queries.job(run.id)
        assert await house.manager.hub.runs.states(job, flow.graph) == {
            "fetch": "completed",
            "parse": "failed",
            "total": "skipped",
        }
        house.good = True
        again = await house.manager.hub.retry(run.id, "me")
        assert again.id != run.id
        assert await house.manager.result(again.id) == 3
        assert house.ran == ["fetch", "total"]


async def test_a_cancelled_run_cancels_its_tasks(tmp_path: Path) -> None:
    house = Pages(tmp_path)

    @house.manager.workflow(concurrency=1)
    def flow(day: date) -> Any:
        return house.fetch(day).after(house.patient())

    async with house.open():
        first = await flow.enqueue(date(2026, 1, 1))
        second = await flow.enqueue(date(2026, 1, 2))
        while await house.state(first.id) != "waiting":
            await asyncio.sleep(0)
        assert await house.state(second.id) == "queued", "one at a time"
        await first.cancel()
        with pytest.raises(JobCancelled):
            await first
        house.gate.set()
        assert (await second)[0] == "2026-01-02 0"


async def test_an_inactive_workflow_can_be_run_by_hand(tmp_path: Path) -> None:
    house = Pages(tmp_path)
    flow = house.manager.workflow(
        "flow", chain(house.fetch), schedule="* * * * *", default_args={"args": [date(2026, 1, 1)]}, active=False
    )
    async with house.open():
        assert len(await flow(date(2026, 1, 2))) == 3
        while not house.manager.hub.schedules.page()[0]:
            await asyncio.sleep(0)
        (schedule,), _ = house.manager.hub.schedules.page()
        assert schedule.paused is not None
        job = await house.manager.hub.schedules.run(schedule.row.id)
        assert (await house.manager.result(job.id))[0] == "2026-01-01 0"


async def test_a_workflow_may_be_declared_while_the_manager_runs(tmp_path: Path) -> None:
    house = Pages(tmp_path)
    async with house.open():
        late = house.manager.workflow("late", chain(house.fetch, house.total))
        assert await late(date(2026, 1, 1)) == 3
