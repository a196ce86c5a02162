"""A worker and its manager lose each other and find each other again; and a worker leaves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os

import pytest
from scripted_manager import ScriptedManager, assignment, play, result_of

from easyjobs.errors import ConfigurationError, ConnectionLost, RegistrationError, Unauthorized
from easyjobs.protocol.messages import (
    Ack,
    Credit,
    Finished,
    Goodbye,
    Held,
    PauseWork,
    Started,
    Toggle,
    Toggled,
    Verdict,
)
from easyjobs.tasks.dependencies import Dependency
from easyjobs.tasks.handle import Call
from easyjobs.workers.worker import EasyJobsWorker


def held(job: str) -> Held:
    return Held(job, 1, f"{job}-1")


def declare_slow(worker: EasyJobsWorker, seconds: float = 20.0) -> None:
    @worker.task
    async def slow() -> str:
        await asyncio.sleep(seconds)
        return "done"


def test_a_worker_may_start_before_its_manager() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        manager.refuse = ConnectionLost("nobody there")
        await worker.start()
        await asyncio.sleep(60)
        tries = manager.dialled
        assert 12 < tries < 80  # 0.1 s doubling to 5 s, each shortened by chance
        manager.refuse = None
        await manager.welcome()
        await asyncio.sleep(0.1)
        assert worker.connected

    play(story)


def test_a_job_goes_on_while_the_manager_is_away_and_is_reported_afterwards() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        declare_slow(worker)
        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("a", "slow"))
        await manager.hear(Started)
        await manager.link.close(1006, "cut")
        hello = await manager.welcome(Verdict("a", 1, "keep"))
        assert hello.held == [held("a")]
        assert result_of(await manager.outcome()) == "done"

    play(story)


def test_a_result_is_said_again_until_it_is_acknowledged() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        declare_slow(worker, 0)
        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("a", "slow"))
        await manager.outcome(ack=False)
        await manager.link.close(1012, "restarting")
        hello = await manager.welcome()
        assert [outcome.job for outcome in hello.unacked] == ["a"]
        await manager.link.close(1006)
        hello = await manager.welcome()
        assert [outcome.job for outcome in hello.unacked] == ["a"]
        await manager.say(Ack(duplicate=["a"]))
        await manager.link.close(1006)
        assert (await manager.welcome()).unacked == []

    play(story)


def test_a_job_that_was_given_to_another_meanwhile_is_stopped() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        declare_slow(worker)
        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("a", "slow"))
        await manager.hear(Started)
        await manager.link.close(1006)
        await manager.welcome(Verdict("a", 1, "abandon"))
        assert await manager.silent(10)
        await manager.link.close(1006)
        assert (await manager.welcome()).held == []

    play(story)


def test_a_silent_manager_is_left_and_dialled_again() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        manager.quiet = True
        await worker.start()
        await manager.welcome()
        closed = await manager.hung_up()
        assert "silent" in closed.reason
        manager.quiet = False
        await manager.welcome()
        await asyncio.sleep(60)
        assert manager.dialled == 2

    play(story)


def test_nonsense_from_the_manager_ends_the_connection_with_4406() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        await worker.start()
        await manager.welcome()
        await manager.link.send(b"nonsense")
        assert (await manager.hung_up()).code == 4406
        await manager.welcome()

    play(story)


def test_a_manager_that_does_not_read_is_left_after_ten_seconds() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        await worker.start()
        await manager.welcome()
        link = manager.link

        async def never(frame: bytes) -> None:
            await asyncio.sleep(1e9)

        link.other.send = never
        assert "did not read" in (await manager.hung_up()).reason
        await manager.welcome()

    play(story)


def test_a_wrong_secret_is_said_once_and_tried_again_slowly(caplog: pytest.LogCaptureFixture) -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        manager.refuse = Unauthorized("the manager refused the secret")
        await worker.start()
        await asyncio.sleep(120)
        assert 4 <= manager.dialled <= 24
        manager.refuse = None
        await manager.welcome()

    play(story)
    complaints = [record for record in caplog.records if "refused the secret" in record.message]
    assert [record.levelno for record in complaints] == [logging.ERROR]


def test_what_a_dependency_leaves_open_is_warned_of_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        @worker.task()
        async def prices(day: int) -> None:
            """Fetch them."""

        @worker.task(dependencies=Dependency(prices, 1))
        async def report() -> None:
            """Needs prices of some day."""

        await worker.start()
        await manager.welcome()

    play(story)
    (warning,) = [record.getMessage() for record in caplog.records if "Dependency" in record.getMessage()]
    assert "nobody says what 'day' is when a job of prices must be made" in warning


def test_a_worker_replaced_by_a_newer_session_stops_its_jobs_and_stays_away(caplog: pytest.LogCaptureFixture) -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        declare_slow(worker)
        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("a", "slow"))
        await manager.hear(Started)
        assert not worker.replaced
        await manager.link.close(4409, "replaced")
        await asyncio.sleep(60)
        assert worker.replaced
        assert manager.dialled == 1
        assert not worker.connected
        assert worker._engine is not None
        assert not worker._engine.runner._runs
        await worker._engine.until_over()

    play(story)
    assert any("newer session" in record.message for record in caplog.records)


def test_a_worker_whose_tasks_the_manager_refuses_says_so_once_and_stays_away(caplog: pytest.LogCaptureFixture) -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        await worker.start()
        await manager.greeted()
        await manager.link.close(4422, "a chain of tasks may not come back: a → b → a")
        await asyncio.sleep(600)
        assert manager.dialled == 1
        with pytest.raises(ConnectionLost, match="a → b → a"):
            await worker.submit([Call("q", "a", (), {})])

    play(story)
    complaints = [record for record in caplog.records if "refuses its tasks" in record.message]
    assert [record.levelno for record in complaints] == [logging.ERROR]


def test_a_process_that_is_nothing_but_a_worker_ends_when_its_tasks_are_refused() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        running = asyncio.ensure_future(worker.run())
        await manager.greeted()
        await manager.link.close(4422, "a chain of tasks may not come back: a → b → a")
        with pytest.raises(RegistrationError, match="a → b → a"):
            await running

    play(story)


# -- leaving


def test_a_worker_that_stops_lets_its_jobs_end_and_says_goodbye() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        declare_slow(worker)
        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("a", "slow"), assignment("b", "slow"))
        await manager.hear(Started)
        stopping = asyncio.ensure_future(worker.stop())
        handed_back = await manager.outcome()
        assert (handed_back.job, handed_back.end) == ("b", "returned")
        assert (await manager.hear(Credit)).slots == 0
        await manager.assign(assignment("c", "slow"))  # it crossed the word that there are no slots
        assert (await manager.outcome()).end == "returned"
        assert result_of(await manager.outcome()) == "done"
        await manager.hear(Goodbye)
        await stopping
        assert (await manager.hung_up()).code == 1000
        await worker.stop()

    play(story, slots=1)


def test_what_does_not_end_within_the_grace_is_handed_back_unblamed() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        declare_slow(worker, 1e6)

        @worker.task
        async def stubborn() -> None:
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(1e6)

        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("a", "slow"), assignment("b", "stubborn"))
        await manager.hear(Started)
        began = asyncio.get_running_loop().time()
        stopping = asyncio.ensure_future(worker.stop(7))
        outcomes = await manager.outcomes(2)
        assert {(outcome.job, outcome.end) for outcome in outcomes} == {("a", "returned"), ("b", "returned")}
        await manager.hear(Goodbye)
        await stopping
        assert 7 <= asyncio.get_running_loop().time() - began < 12

    play(story)


def test_a_worker_without_a_manager_stops_all_the_same() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        declare_slow(worker, 0)
        await worker.start()
        await manager.welcome()
        await manager.assign(assignment("a", "slow"))
        await manager.pass_over(Finished)
        manager.refuse = ConnectionLost("gone")
        await manager.link.close(1006)
        began = asyncio.get_running_loop().time()
        await worker.stop()
        assert asyncio.get_running_loop().time() - began < 10

    play(story)


def test_a_worker_that_never_started_stops_at_once_and_makes_no_jobs() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        await worker.stop()
        with pytest.raises(ConfigurationError, match="not started"):
            await worker.cancel("x")

    play(story)


def test_a_fork_does_not_speak_for_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        declare_slow(worker)
        await worker.start()
        await manager.welcome()
        await asyncio.sleep(0.1)
        mine = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: mine + 1)
        with pytest.raises(ConfigurationError, match="fork"):
            await worker.cancel("x")
        await manager.assign(assignment("a", "slow"))
        assert await manager.silent(30)
        assert manager.dialled == 1
        await worker.stop()
        monkeypatch.undo()

    play(story)


def test_a_worker_asks_for_its_pause_until_the_manager_has_stored_it() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        with pytest.raises(ConfigurationError, match="not started"):
            await worker.toggle_workers()
        await worker.start()
        asked = asyncio.ensure_future(worker.toggle_workers(pause=True))
        await manager.welcome()
        assert (await manager.hear(Toggle)).pause
        await manager.link.close(1006, "cut")
        await manager.welcome()
        assert (await manager.hear(Toggle)).pause
        await manager.say(PauseWork())
        await asyncio.sleep(0.1)
        assert not asked.done()
        await manager.say(Toggled(True))
        await asked

    play(story)


def test_a_worker_that_stops_before_the_answer_says_so() -> None:
    async def story(worker: EasyJobsWorker, manager: ScriptedManager) -> None:
        await worker.start()
        await manager.welcome()
        asked = asyncio.ensure_future(worker.toggle_workers(pause=False))
        assert not (await manager.hear(Toggle)).pause
        await worker.stop(0.0)
        with pytest.raises(ConnectionLost, match="has ended"):
            await asked

    play(story)
