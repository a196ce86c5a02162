"""A worker runs what it is assigned: slots, results, cancels, withdrawals, logs."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from scripted_manager import ScriptedManager, assignment, play, result_of

from easyjobs.errors import NoRetry, Retry
from easyjobs.executors.function import FunctionExecutor
from easyjobs.protocol.messages import (
    Assignment,
    Cancel,
    Credit,
    Held,
    Log,
    Outcome,
    Progress,
    Register,
    Started,
    Withdraw,
)
from easyjobs.tasks.context import current_job
from easyjobs.workers.worker import EasyJobsWorker


def held(job: str, attempt: int = 1) -> Held:
    return Held(job, attempt, f"{job}-{attempt}")


def error_of(outcome: Outcome) -> dict[str, str]:
    assert outcome.end == "failed"
    return msgspec.json.decode(outcome.error, type=dict[str, str])


def test_an_assigned_job_runs_and_its_result_is_reported() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        @worker.task
        async def double(n: int) -> int:
            return 2 * n

        await worker.start()
        hello = await manager.welcome()
        assert [(spec.queue, spec.name) for spec in hello.tasks] == [("Q", "double")]
        assert (hello.role, hello.slots, hello.name, hello.queues) == ("worker", 4, "w", ["Q"])
        await manager.assign(assignment("a", "double", 21))
        outcome = await manager.outcome()
        assert (outcome.job, outcome.attempt, outcome.token) == ("a", 1, "a-1")
        assert result_of(outcome) == 42

    play(story)


def test_jobs_that_end_in_one_turn_are_reported_in_one_message_without_started() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        @worker.task
        async def noop() -> None: ...

        await worker.start()
        await manager.welcome()
        await manager.assign(*(assignment(f"j{n}", "noop") for n in range(4)))
        assert len(await manager.outcomes(4, ack=False)) == 4
        assert await manager.silent(3)

    play(story)


def test_a_job_that_takes_its_time_is_confirmed_first() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        @worker.task
        async def slow() -> str:
            await asyncio.sleep(3)
            return "done"

        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("a", "slow"))
        assert (await manager.hear(Started)).jobs == [held("a")]
        assert result_of(await manager.outcome()) == "done"

    play(story)


def test_failures_carry_their_error_and_what_the_task_wishes() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        @worker.task
        async def fails(how: str) -> None:
            raise {"plain": ValueError("no"), "later": Retry(7), "never": NoRetry("enough")}[how]

        await worker.start()
        await manager.welcome()
        plain, later, never = [assignment(how, "fails", how) for how in ("plain", "later", "never")]
        await manager.assign(plain, later, never)
        outcomes = {outcome.job: outcome for outcome in await manager.outcomes(3)}
        assert error_of(outcomes["plain"])["type"] == "ValueError"
        assert "in fails" in error_of(outcomes["plain"])["traceback"]
        assert not outcomes["plain"].final
        assert outcomes["later"].delay == 7
        assert outcomes["never"].final

    play(story)


def test_no_more_jobs_run_at_once_than_there_are_slots() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        running = 0
        most = 0

        @worker.task
        async def work() -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(1)
            running -= 1

        await worker.start()
        await manager.welcome()
        await manager.assign(*(assignment(f"j{n}", "work") for n in range(10)))
        assert [o.job for o in await manager.outcomes(10)] == [f"j{n}" for n in range(10)]
        assert most == 3

    play(story, slots=3)


def test_an_unknown_task_is_handed_back_with_the_reason() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("a", "nobody"))
        outcome = await manager.outcome()
        assert outcome.end == "returned"
        assert outcome.reason == "this worker has no task Q:nobody"

    play(story)


def test_a_cancelled_job_stops_and_one_that_waits_for_a_slot_never_begins() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        begun: list[str] = []

        @worker.task
        async def work() -> None:
            begun.append(current_job().id)
            await asyncio.sleep(60)

        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("a", "work"), assignment("b", "work"))
        await manager.hear(Started)
        await manager.say(Cancel([held("b"), held("a"), held("x")]))
        outcomes = await manager.outcomes(2)
        assert {(outcome.job, outcome.end) for outcome in outcomes} == {("a", "stopped"), ("b", "stopped")}
        assert begun == ["a"]

    play(story, slots=1)


def test_a_withdrawn_job_is_stopped_and_nobody_hears_of_it() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        stopped: list[str] = []

        @worker.task
        async def work() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                stopped.append(current_job().id)

        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("a", "work"), assignment("b", "work"))
        await manager.hear(Started)
        await manager.say(Withdraw([held("a"), held("b")]))
        assert await manager.silent(4)
        assert stopped == ["a"]

    play(story, slots=1)


def test_a_newer_attempt_runs_while_the_older_one_is_being_stopped() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        @worker.task
        async def work() -> int:
            if current_job().attempt == 1:
                await asyncio.sleep(60)
            return current_job().attempt

        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("a", "work"))
        await manager.hear(Started)
        await manager.assign(assignment("a", "work", attempt=2))
        outcome = await manager.outcome()
        assert outcome.attempt == result_of(outcome) == 2

    play(story)


def test_a_timeout_is_a_failure() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        @worker.task
        async def slow() -> None:
            await asyncio.sleep(60)

        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("a", "slow", timeout=2.0))
        outcome = await manager.outcomes(1)
        assert error_of(outcome[0])["type"] == "TimeoutError"

    play(story)


def test_a_slot_whose_thread_was_abandoned_is_not_offered_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = 0
    monkeypatch.setattr(FunctionExecutor, "stuck", property(lambda self: stuck))

    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        nonlocal stuck

        @worker.task
        async def fails() -> None:
            raise ValueError("no")

        await worker.start()
        await manager.welcome()
        stuck = 1
        await manager.assign(assignment("a", "fails"))
        assert (await manager.pass_over(Credit)).slots == 3
        await asyncio.sleep(30)
        stuck = 0
        assert (await manager.pass_over(Credit)).slots == 4
        stuck = 1
        await manager.assign(assignment("b", "fails"))
        assert (await manager.pass_over(Credit)).slots == 3

    play(story)


def test_logs_and_progress_reach_the_manager_while_the_job_runs() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        @worker.task
        async def talks() -> None:
            current_job().log("hello", "warning")
            current_job().progress(0.5, "half")
            await asyncio.sleep(0.5)
            current_job().log("bye")

        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("a", "talks"))
        assert (await manager.hear(Progress)).value == 0.5
        assert [line[1:] for line in (await manager.hear(Log)).lines] == [("warning", "hello")]
        assert [line[1:] for line in (await manager.hear(Log)).lines] == [("info", "bye")]
        await manager.outcome()

    play(story)


def test_tasks_declared_after_the_start_are_registered_in_one_message() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        await worker.start()
        await manager.welcome()
        await asyncio.sleep(1)

        @worker.task
        async def one() -> int:
            return 1

        @worker.task(namespace=["Q", "other"])
        async def two() -> int:
            return 2

        registered = await manager.hear(Register)
        assert [(spec.queue, spec.name) for spec in registered.tasks] == [("Q", "one"), ("Q", "two"), ("other", "two")]
        await manager.assign(assignment("a", "two", queue="other"))
        assert result_of(await manager.outcome()) == 2

    play(story)


def test_a_worker_of_several_queues_serves_each_task_in_all_of_them() -> None:
    worker = EasyJobsWorker(["A", "B"], connect=ScriptedManager().connect)

    @worker.task
    async def both() -> None: ...

    assert both.queue == "A"
    assert [(spec.queue, spec.name) for spec in worker._registry.specs()] == [("A", "both"), ("B", "both")]


# -- jobs that await jobs


def test_a_job_that_awaits_gives_its_slot_away_and_takes_one_before_new_jobs_do() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        order: list[str] = []

        @worker.task
        async def parent() -> None:
            order.append("parent begins")
            async with current_job().parked(), current_job().parked():  # nested waits are one
                await asyncio.sleep(1)
            order.append("parent goes on")

        @worker.task
        async def other(name: str) -> None:
            order.append(name)
            await asyncio.sleep(2)

        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("p", "parent"))
        credit = await manager.pass_over(Credit)
        assert (credit.parked, credit.slots) == (1, 1)
        await manager.assign(assignment("a", "other", "first"), assignment("b", "other", "second"))
        assert (await manager.pass_over(Credit)).parked == 0
        assert [o.job for o in await manager.outcomes(3)] == ["a", "p", "b"]
        assert order == ["parent begins", "first", "parent goes on", "second"]

    play(story, slots=1)


def test_a_job_cancelled_while_it_waits_for_its_slot_leaves_the_count_right() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        @worker.task
        async def parent() -> None:
            async with current_job().parked():
                await asyncio.sleep(1)

        @worker.task
        async def other() -> None:
            await asyncio.sleep(20)

        @worker.task
        async def noop() -> None: ...

        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("p", "parent"))
        await manager.pass_over(Credit)
        await manager.assign(assignment("a", "other"))
        await asyncio.sleep(2)
        await manager.say(Cancel([held("p")]))
        assert (await manager.outcome()).end == "stopped"
        await manager.assign(assignment("n", "noop"))
        assert [o.job for o in await manager.outcomes(2)] == ["a", "n"]
        await manager.assign(assignment("m", "noop"))
        assert [o.job for o in await manager.outcomes(1)] == ["m"]
        assert (worker._engine.runner._active, worker._engine.runner._parked) == (0, 0)  # type: ignore[union-attr]

    play(story, slots=1)


def test_a_job_that_ends_while_part_of_it_still_awaits_gives_everything_back() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        @worker.task
        async def careless() -> None:
            async def waits() -> None:
                async with current_job().parked():
                    await asyncio.sleep(5)

            kept.append(asyncio.get_running_loop().create_task(waits()))
            await asyncio.sleep(1)

        kept: list[asyncio.Task[None]] = []
        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("p", "careless"))
        await manager.outcome()
        await asyncio.sleep(10)
        assert kept[0].done()
        assert (worker._engine.runner._active, worker._engine.runner._parked) == (0, 0)  # type: ignore[union-attr]

    play(story, slots=1)


def test_a_job_that_is_to_run_alone_begins_where_nothing_runs_and_waits_for_what_does() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        together: list[str] = []

        @worker.task
        async def shy(name: str) -> list[str]:  # no child process can import it: it is alone in its worker
            together.append(name)
            found = list(together)
            await asyncio.sleep(1)
            together.remove(name)
            return found

        def alone(name: str) -> Assignment:
            return assignment(name, "shy", name, isolate=True)

        await worker.start()
        await manager.welcome()
        await manager.assign(alone("a"))
        assert result_of(await manager.outcome()) == ["a"]
        await manager.assign(assignment("b", "shy", "b"), alone("c"), assignment("d", "shy", "d"))
        assert (await manager.outcome()).end == "returned"  # others may be free
        for name in "bc":
            assert result_of(await manager.outcome()) == [name]

    play(story)
