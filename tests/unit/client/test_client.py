"""The client: one connection for all callers, pipelined, patient, and clear about what went wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from scripted import Answering, ended, play

from easyjobs.client import Call, EasyJobsClient
from easyjobs.errors import (
    ArgumentsRefused,
    ConfigurationError,
    ConnectionLost,
    EasyJobsError,
    JobCancelled,
    JobFailed,
    NotFound,
    Refused,
    TooLarge,
    TooMany,
    Unauthorized,
    Unprocessable,
    WaitTimeout,
)
from easyjobs.protocol.messages import (
    Accepted,
    Await,
    CancelJobs,
    Ended,
    Forget,
    FromManager,
    FromPeer,
    Limits,
    Refusal,
    Result,
    Submit,
)


def test_a_job_is_made_and_its_result_awaited() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        handle = await client.submit("q", "echo", [1, "two"], {"three": 3}, priority=5, delay=2, key="k")
        (job,) = manager.submitted()
        assert (job.id, job.queue, job.task, job.priority, job.delay, job.key) == (handle.id, "q", "echo", 5, 2.0, "k")
        assert bytes(job.kwargs) == b'{"three":3}'
        assert await handle == [1, "two"]
        assert await handle.result() == [1, "two"]
        assert (handle.queue, handle.task) == ("q", "echo")
        await handle.cancel()
        await asyncio.sleep(0)
        assert manager.hellos[0].role == "client"

    play(story)


def test_run_makes_and_awaits_in_one_message_each_way() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        assert await client.run("q:echo", args=[7]) == [7]
        assert [type(message) for message in manager.heard] == [Submit]
        assert manager.submitted()[0].wait

    play(story)


def test_calls_of_one_turn_share_a_frame_and_a_connection() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        assert await asyncio.gather(*(client.run("q", "echo", [n]) for n in range(200))) == [[n] for n in range(200)]
        assert len(manager.hellos) == 1
        assert len(manager.heard) == 1

    play(story)


def test_many_jobs_keep_their_order_and_fit_their_frames() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        await client.run("q:echo")
        handles = await client.submit_many([Call("q", "echo", [n, "x" * 500]) for n in range(5000)])
        assert len(handles) == len({handle.id for handle in handles}) == 5000
        assert [bytes(job.args)[:6] for job in manager.submitted()[1:4]] == [b'[0,"xx', b'[1,"xx', b'[2,"xx']
        assert max(manager.frames) <= 1_310_720
        assert await handles[4999] == [4999, "x" * 500]

    play(story)


def test_no_jobs_make_no_message() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        assert await client.submit_many([]) == []
        assert manager.heard == []

    play(story)


def test_more_than_both_sides_can_hold_waits_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easyjobs.wire.calls.MOST_JOBS", 10)

    async def story(client: EasyJobsClient, manager: Answering) -> None:
        manager.answer = manager.nothing
        making = [asyncio.ensure_future(client.submit("q", "t", [n])) for n in range(25)]
        await asyncio.sleep(1)
        assert len(manager.submitted()) == 10
        manager.answer = manager.accept
        await manager.say(Accepted([job.id for job in manager.submitted()]))
        handles = await asyncio.gather(*making)
        assert len({handle.id for handle in handles}) == 25

    play(story)


def test_jobs_made_together_go_in_one_message_or_not_at_all() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        await client.submit_many([Call("q", "echo", [n]) for n in range(3)], together=True)
        (submit,) = manager.heard
        assert isinstance(submit, Submit)
        assert submit.together
        with pytest.raises(TooLarge, match="together"):
            await client.submit_many([Call("q", "echo", ["x" * 200_000])] * 8, together=True)
        assert len(manager.heard) == 1

    play(story)


# -- what may go wrong


@pytest.mark.parametrize(
    ("status", "title", "kind"),
    [
        (404, "Not found", NotFound),
        (422, "Wrong arguments", ArgumentsRefused),
        (422, "Unprocessable", Unprocessable),
        (429, "Too many", TooMany),
        (429, "In another language", TooMany),
        (418, "A teapot", Refused),
    ],
)
def test_a_refusal_is_the_exception_that_http_would_tell(status: int, title: str, kind: type[Refused]) -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        def refuse(message: FromPeer) -> list[FromManager]:
            assert isinstance(message, Submit)
            errors = msgspec.Raw(b'[{"loc":["kwargs","a"],"message":"no"}]')
            return [Refusal([job.id for job in message.jobs], status, title, "it will not do", errors)]

        manager.answer = refuse
        for making in (client.submit("q", "t"), client.run("q", "t")):
            with pytest.raises(kind, match="it will not do") as refused:
                await making
            assert type(refused.value) is kind
            assert refused.value.errors == [{"loc": ["kwargs", "a"], "message": "no"}]

    play(story)


def test_one_refused_among_many_is_told_after_the_others_were_made() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        def picky(message: FromPeer) -> list[FromManager]:
            assert isinstance(message, Submit)
            first, *rest = [job.id for job in message.jobs]
            return [Refusal([first], 404, "Not found", "no such task"), Accepted(rest)]

        manager.answer = picky
        with pytest.raises(NotFound):
            await client.submit_many([Call("q", "t"), Call("q", "t")])

    play(story)


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (Ended("", "failed", error=msgspec.Raw(b'{"type":"ValueError","message":"no"}')), JobFailed),
        (Ended("", "cancelled"), JobCancelled),
        (Ended("", "skipped"), JobCancelled),
    ],
)
def test_a_job_that_ended_otherwise_raises(end: Ended, kind: type[JobFailed]) -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        def fail(message: FromPeer) -> list[FromManager]:
            assert isinstance(message, Submit)
            end.id = message.jobs[0].id
            return [Accepted([end.id]), Result([end])]

        manager.answer = fail
        with pytest.raises(kind) as failed:
            await client.run("q", "t")
        assert type(failed.value) is kind
        assert failed.value.state == end.state
        assert failed.value.job_id == end.id
        if kind is JobFailed:
            assert failed.value.error == {"type": "ValueError", "message": "no"}

    play(story)


def test_a_key_that_exists_leads_to_the_first_job() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        def known(message: FromPeer) -> list[FromManager]:
            if isinstance(message, Submit):
                return [Accepted([], [(job.id, "first") for job in message.jobs])]
            return [Result([ended("first", "old result")])] if isinstance(message, Await) else []

        manager.answer = known
        handle = await client.submit("q", "t", key="k")
        assert handle.id == "first"
        assert await handle == "old result"
        running = asyncio.ensure_future(client.run("q", "t", key="k"))
        impatient = asyncio.ensure_future(client.run("q", "t", key="k", wait=5))
        await asyncio.sleep(1)
        with pytest.raises(WaitTimeout):
            await impatient
        await manager.say(Result([ended("first", "again")]))
        assert await running == "again"

    play(story)


def test_a_wait_that_is_over_leaves_the_job_and_may_be_repeated() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        manager.answer = manager.accept
        handle = await client.submit("q", "t")
        with pytest.raises(WaitTimeout, match=handle.id):
            await handle.result(timeout=3)
        waiting = asyncio.ensure_future(handle.result())
        other = asyncio.ensure_future(handle.result(timeout=1))
        await asyncio.sleep(2)
        assert isinstance(other.exception(), WaitTimeout)
        assert [type(m) for m in manager.heard] == [Submit, Await, Forget, Await]
        await manager.say(Result([ended(handle.id, "late")]))
        assert await waiting == "late"

    play(story)


def test_whoever_is_cancelled_leaves_nothing_behind() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        manager.answer = manager.nothing
        making = asyncio.ensure_future(client.submit("q", "t"))
        running = asyncio.ensure_future(client.run("q", "t"))
        await asyncio.sleep(1)
        making.cancel()
        running.cancel()
        await asyncio.sleep(1)
        calls = client._calls
        assert calls is not None
        assert not calls._parts
        assert not calls._waiting
        assert (calls._jobs, calls._bytes) == (0, 0)
        await manager.cut()
        await asyncio.sleep(10)
        assert len(manager.hellos) == 2
        assert len(manager.submitted()) == 2  # neither is said again

    play(story)


def test_what_cannot_be_sent_is_refused_before_anything_is() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        wrong: list[tuple[type[EasyJobsError], dict[str, Any]]] = [
            (ArgumentsRefused, {"args": [{1, 2}]}),
            (ArgumentsRefused, {"args": [float("nan")]}),
            (ArgumentsRefused, {"args": ["x" * 300_000]}),
            (NotFound, {"task": "no/such"}),
            (NotFound, {"task": ""}),
            (Unprocessable, {"key": "\ud800"}),
            (Unprocessable, {"key": "k" * 2000}),
            (Unprocessable, {"delay": -1}),
            (Unprocessable, {"nonsense": 1}),
        ]
        for kind, given in wrong:
            with pytest.raises(kind):
                await client.submit("q", **{"task": "t", **given})
        with pytest.raises(TypeError, match=r"write args="):
            await client.submit("q:t", [1])  # type: ignore[arg-type]
        assert manager.heard == []

    play(story)


# -- losing the manager


def test_what_is_outstanding_is_asked_again_on_the_next_connection() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        manager.answer = manager.nothing
        making = asyncio.ensure_future(client.submit("q", "t", [1]))
        running = asyncio.ensure_future(client.run("q", "t", [2]))
        await asyncio.sleep(1)
        manager.answer = manager.do_all
        await manager.cut()
        assert (await making).id == manager.submitted()[0].id
        assert await running == [2]
        assert len(manager.hellos) == 2

    play(story)


def test_without_a_manager_a_call_gives_up_after_its_patience() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        manager.refuse = ConnectionLost("nobody listens there")
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(ConnectionLost, match="nobody listens there"):
            await client.submit("q", "t")
        assert loop.time() - began == 10
        with pytest.raises(ConnectionLost):
            await client.result("some id")
        manager.refuse = None
        assert await client.run("q", "echo", [1]) == [1]

    play(story)


def test_a_wrong_secret_is_told_at_once() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        manager.refuse = Unauthorized("the manager refused the secret")
        with pytest.raises(Unauthorized, match="refused the secret"):
            await client.submit("q", "t")
        with pytest.raises(Unauthorized):
            await client.run("q", "t")
        manager.refuse = None
        await asyncio.sleep(30)
        assert await client.run("q", "echo", [1]) == [1]

    play(story)


def test_what_was_in_flight_when_the_manager_went_is_given_up_after_that_time_too() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        manager.answer = manager.nothing
        making = asyncio.ensure_future(client.submit("q", "t"))
        running = asyncio.ensure_future(client.run("q", "t"))
        await asyncio.sleep(1)
        manager.refuse = ConnectionLost("gone")
        await manager.cut()
        await asyncio.sleep(9)
        assert not making.done()
        await asyncio.sleep(2)
        with pytest.raises(ConnectionLost, match="not known"):
            await making
        with pytest.raises(ConnectionLost):
            await running
        manager.refuse = None
        manager.answer = manager.do_all
        assert await client.run("q", "echo", [1]) == [1]
        assert len(manager.submitted()) == 3  # what was given up is not said again

    play(story)


def test_closing_tells_whoever_waits_and_a_later_call_connects_anew() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        manager.answer = manager.accept
        handle = await client.submit("q", "t")
        waiting = asyncio.ensure_future(handle.result())
        await asyncio.sleep(1)
        await client.close()
        await client.close()
        with pytest.raises(ConnectionLost):
            await waiting
        manager.answer = manager.do_all
        async with client:
            assert await client.run("q", "echo", [1]) == [1]
            again = await handle._caller.submit([Call("q", "echo", [2])])
            assert await again[0] == [2]
        assert len(manager.hellos) == 2

    play(story)


def test_closing_while_no_manager_is_reachable_ends_the_patience() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        manager.refuse = ConnectionLost("gone")
        making = asyncio.ensure_future(client.submit("q", "t"))
        await asyncio.sleep(1)
        await client.close()
        with pytest.raises(ConnectionLost, match="closed"):
            await making

    play(story)


def test_a_cancel_is_passed_on() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        await client.cancel("some-job")
        await asyncio.sleep(1)
        assert manager.heard == [CancelJobs(["some-job"])]

    play(story)


def test_results_of_jobs_that_nobody_awaits_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easyjobs.wire.calls.MOST_EARLY", 3)

    async def story(client: EasyJobsClient, manager: Answering) -> None:
        handles = await client.submit_many([Call("q", "echo", [n], wait=True) for n in range(5)])
        assert client._calls is not None
        assert len(client._calls._early) == 3
        assert await handles[0] == [0]  # asked for again
        assert await handles[4] == [4]

    play(story)


def test_a_small_frame_limit_is_kept() -> None:
    async def story(client: EasyJobsClient, manager: Answering) -> None:
        await client.run("q:echo")
        await client.submit_many([Call("q", "echo", ["x" * 1000]) for n in range(50)])
        assert max(manager.frames) <= 8000

    play(story, limits=Limits(frame=8000))


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://host", "secret": "s"},
        {"url": "ws://user:pw@host", "secret": "s"},
        {"url": "ws://host?secret=s", "secret": "s"},
        {"url": "ws://host:99999", "secret": "s"},
        {"url": "ws://[", "secret": "s"},
        {"url": "ws://host"},
    ],
)
def test_a_client_that_could_never_connect_is_refused(wrong: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EASYJOBS_SECRET", raising=False)
    monkeypatch.delenv("EASYJOBS_MANAGER_SECRET", raising=False)
    with pytest.raises(ConfigurationError):
        EasyJobsClient(**wrong)  # type: ignore[arg-type]
