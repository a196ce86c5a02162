"""Who hears of a job's end, and how deep the queues are."""

from __future__ import annotations

import asyncio
from collections import Counter

from easyjobs.core.job import Job
from easyjobs.hub.announcer import Announcer
from easyjobs.stores.base import Count
from easyjobs.testing.loop import run


def announcer(warn: int = 3) -> tuple[Announcer, dict[str, int]]:
    depth: dict[str, int] = {}
    return Announcer(depth, Counter(), warn), depth


def job(id: str = "a", state: str = "completed") -> Job:
    return Job(id, "q", "add", state=state)  # type: ignore[arg-type]


def test_each_waiter_hears_once_of_the_job_it_waits_for() -> None:
    speaker, _ = announcer()
    heard: list[str] = []

    def first(job: Job) -> None:
        heard.append(f"first {job.id}")

    def second(job: Job) -> None:
        heard.append(f"second {job.id}")

    speaker.wait("a", first)
    speaker.wait("a", first)
    speaker.wait("a", second)
    speaker.wait("b", first)
    assert speaker.awaited() == ["a", "b"]
    speaker.inserted(job("a"))
    speaker.ended(job("a"))
    speaker.tell(job("a"))
    assert heard == ["first a", "second a"]


def test_whoever_forgets_hears_nothing() -> None:
    speaker, _ = announcer()
    heard: list[Job] = []
    waiter = heard.append
    speaker.wait("a", waiter)
    speaker.forget("a", waiter)
    speaker.forget("a", waiter)
    speaker.tell(job("a"))
    assert heard == []
    assert speaker.awaited() == []


def test_depth_is_what_lives_and_somebody_hears_when_it_is_too_much() -> None:
    speaker, depth = announcer()
    told: list[dict[str, int]] = []
    speaker.deep = lambda: told.append(dict(depth))
    speaker.load([Count("q", "add", "queued", 1), Count("q", "sub", "retry", 1), Count("p", "x", "running", 5)])
    assert depth == {"q": 2, "p": 5}
    speaker.inserted(job())
    assert told == [{"q": 3, "p": 5}]
    speaker.ended(job())
    speaker.ended(job(state="failed"))
    assert (depth["q"], speaker.counters) == (1, {"completed": 1, "failed": 1})
    speaker.load([Count("p", "x", "queued", 2)])
    assert depth == {"q": 0, "p": 2}


def test_the_end_of_a_job_may_be_awaited_for_so_long() -> None:
    speaker, _ = announcer()

    async def told() -> list[Job | None]:
        loop = asyncio.get_running_loop()
        loop.call_later(5.0, speaker.tell, job("a"))
        found = [await speaker.end_of("a", 10.0), await speaker.end_of("b", 10.0)]
        assert speaker.awaited() == []
        return found

    found = run(told())
    assert found == [job("a"), None]
