"""A job whose last attempt took its worker with it: where no child process can have it, it runs alone."""

from __future__ import annotations

import asyncio

from scripted_manager import ScriptedManager, assignment, play, result_of

from easyjobs.protocol.messages import Cancel, Credit, Held, Withdraw
from easyjobs.tasks.context import current_job
from easyjobs.workers.worker import EasyJobsWorker

RUNNING: list[str] = []


def declare(worker: EasyJobsWorker) -> None:
    RUNNING.clear()

    @worker.task
    async def slow(seconds: float) -> list[str]:
        """Says who ran beside it when it began, and when it ended."""
        me = current_job().id
        before = list(RUNNING)
        RUNNING.append(me)
        await asyncio.sleep(seconds)
        RUNNING.remove(me)
        return sorted({*before, *RUNNING})

    @worker.task
    async def parks() -> list[str]:
        async with current_job().parked():
            await asyncio.sleep(5)
            return list(RUNNING)


def test_it_waits_for_the_others_and_what_came_with_it_waits_for_nobody() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        declare(worker)
        await worker.start()
        await manager.welcome()
        await manager.assign(
            assignment("first", "slow", 2), assignment("alone", "slow", 2, isolate=True), assignment("last", "slow", 2)
        )
        handed_back = await manager.outcome()
        assert (handed_back.job, handed_back.end) == ("last", "returned")
        assert (await manager.pass_over(Credit)).slots == 0  # nothing new comes meanwhile
        outcomes = [await manager.outcome() for _ in range(2)]
        assert [outcome.job for outcome in outcomes] == ["first", "alone"]
        assert [result_of(outcome) for outcome in outcomes] == [[], []]

    play(story)


def test_when_it_has_ended_all_slots_are_offered_again() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        declare(worker)
        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("alone", "slow", 2, isolate=True))
        assert (await manager.pass_over(Credit)).slots == 0
        await manager.outcome()
        assert (await manager.pass_over(Credit)).slots == 4
        await manager.assign(*(assignment(f"j{n}", "slow", 1) for n in range(2)))
        assert [len(result_of(outcome)) for outcome in await manager.outcomes(2)] == [1, 1]

    play(story)


def test_while_it_awaits_another_that_one_may_run() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        declare(worker)
        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("alone", "parks", isolate=True))
        assert [(await manager.pass_over(Credit)).slots for _ in range(2)] == [0, 4]
        await manager.assign(assignment("other", "slow", 20))
        outcome = await manager.outcome()
        assert (outcome.job, result_of(outcome)) == ("alone", ["other"])
        assert (await manager.outcome()).job == "other"

    play(story)


def test_one_that_is_taken_back_before_it_began_holds_nobody_up() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        declare(worker)
        await worker.start()
        await manager.welcome()
        await manager.assign(
            assignment("first", "slow", 9),
            assignment("a", "slow", 1, isolate=True),
            assignment("b", "slow", 1, isolate=True),
        )
        await manager.say(Withdraw([Held("a", 1, "a-1")]), Cancel([Held("b", 1, "b-1")]))
        stopped = await manager.outcome()
        assert (stopped.job, stopped.end) == ("b", "stopped")
        await manager.assign(assignment("last", "slow", 1))
        last, first = [await manager.outcome() for _ in range(2)]
        assert (last.job, result_of(last)) == ("last", ["first"])
        assert first.job == "first"

    play(story)


def test_one_that_resumes_waits_until_the_lonely_one_has_ended() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        declare(worker)
        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("parked", "parks"), assignment("alone", "slow", 20, isolate=True))
        first, second = [await manager.outcome() for _ in range(2)]
        assert (first.job, result_of(first)) == ("alone", [])
        assert second.job == "parked"

    play(story)


def test_one_with_a_timeout_is_handed_back_before_it_seems_to_have_run_all_the_time_that_it_waited() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        declare(worker)
        await worker.start()
        await manager.welcome()
        await manager.assign(
            assignment("first", "slow", 9),
            assignment("a", "slow", 1, isolate=True, timeout=5.0),
            assignment("b", "slow", 1, isolate=True, timeout=20.0),
        )
        outcomes = [await manager.outcome() for _ in range(3)]
        assert [(outcome.job, outcome.end) for outcome in outcomes] == [
            ("a", "returned"),
            ("first", "completed"),
            ("b", "completed"),
        ]

    play(story)
