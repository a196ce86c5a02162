"""Functions that a manager runs by itself."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest
from serving import Play

from easyjobs.errors import RegistrationError
from easyjobs.stores.base import JobQuery


async def test_plain_and_coroutine_functions_run_in_the_manager_when_the_clock_says() -> None:
    play = Play()
    ran: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    @play.manager.scheduler(schedule="* * * * * *", seconds=True)
    def sweep() -> None:
        """Sweeps."""
        loop.call_soon_threadsafe(ran.put_nowait, ("sweep", None))

    @play.manager.scheduler("* * * * * *", seconds=True, name="tell", default_args={"args": [["x"]]}, overlap="skip")
    async def said(words: str, on: date = date.min) -> None:
        ran.put_nowait(("tell", words))

    async with play.served() as http:
        async with asyncio.timeout(20):
            seen = dict([await ran.get(), await ran.get()])
            while len(seen) < 2:
                seen.update([await ran.get()])
        assert seen == {"sweep": None, "tell": ["x"]}
        page = await play.manager.store.find(JobQuery(schedule="DEFAULT:sweep"))
        assert {job.queue for job in page.items} == {"DEFAULT"}
        assert all(job.tick is not None and job.tick % 1 == 0 for job in page.items)
        assert len({job.tick for job in page.items}) == len(page.items)
        shown = (await http.get("/api/schedules")).json()["items"]
        assert [(item["id"], item["words"], item["source"]) for item in shown] == [
            ("DEFAULT:sweep", "every second", "code"),
            ("DEFAULT:tell", "every second", "code"),
        ]


async def test_one_may_be_declared_while_the_manager_runs_and_called_as_any_other_task() -> None:
    play = Play()
    async with play.served():

        @play.manager.scheduler("0 0 1 1 *", jitter=timedelta(minutes=1), default_args={"kwargs": {"n": 1}})
        def double(n: int) -> int:
            return 2 * n

        assert await double(4) == 8
        view = play.manager.hub.schedules.show("DEFAULT:double")
        assert (view.row.kwargs, view.words) == ('{"n":1}', "at 00:00 on the 1st of January")


@pytest.mark.parametrize(
    ("declare", "why"),
    [
        (lambda manager, function: manager.scheduler(function), "needs a cron expression"),
        (lambda manager, function: manager.scheduler("0 0 31 2 *")(function), "never comes"),
        (lambda manager, function: manager.scheduler("@daily", default_args={"args": [1]})(function), "surplus"),
    ],
)
def test_what_can_never_run_is_refused_at_once(declare: Any, why: str) -> None:
    with pytest.raises(RegistrationError, match=why):
        declare(Play().manager, idle)


def idle() -> None:
    """Nothing to do."""
